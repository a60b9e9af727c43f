"""How the public Splitwise simulator reads its own measurements: the reading ``as-published``.

A prompt-only iteration costs what its prompt tokens cost, a mixed one 1.1 times what prompt and decoding tokens would
cost as a prompt, and a decode-only one what the token column says at x = the number of active requests, a column that
is keyed by prompt tokens and begins at 128. Everything outside the column is extrapolated linearly.

Source: Mutinifni/splitwise-sim (MIT), performance_model.py and interconnect.py.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hw_catalog.links import Link
from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance
from planner.perf.instance import InstancePhysics
from planner.perf.reference import Floats, Ints, Reference
from planner.perf.step_time import StepTime
from workloads.models import ModelSpec

PUBLISHED_SET = "splitwise-2023"
"""The profile set whose columns these are."""

TP = 8
"""GPUs of an instance: a whole machine."""

MIXED_RATIO = 1.1
"""Factor on an iteration that holds prompts and decodes."""

BATCH_TOKENS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
PROMPT_MS = {
    ("bloom-176b", "a100-sxm"): (
        79.668437131, 99.163994193, 174.382301047, 287.467345595, 536.055457313,
        1332.643015077, 3591.468118597, 5782.002554042, 11251.827955013,
    ),
    ("bloom-176b", "h100-sxm"): (
        48.284439021, 51.179482951, 76.141803991, 132.216997008, 251.964009483,
        649.598277028, 1411.574580998, 2521.909306000, 4996.450714010,
    ),
    ("llama-2-70b", "a100-sxm"): (
        65.347240074, 66.756509012, 93.016481027, 160.860030970, 282.709529973,
        708.355045004, 1780.966780498, 3524.541453924, 7553.992661997,
    ),
    ("llama-2-70b", "h100-sxm"): (
        58.185415983, 51.658510987, 53.857976047, 77.683869487, 134.423203010,
        376.215641503, 831.485572009, 1551.726160978, 2936.329717981,
    ),
}  # fmt: skip
"""Medians of prompt_time at tp 8 by prompt tokens of the batch, to the last digit: runs of decodes end where prompts
arrive, and a step's end may miss an arrival by a microsecond. Source: splitwise-sim, splitwise_perf_model.csv."""

TOKEN_MS = {
    ("bloom-176b", "a100-sxm"): (
        47.612100488, 47.706697895, 49.312983617, 49.442481044, 50.188204091,
        51.631326583, 54.273851959, 65.380468319, 96.582974533,
    ),
    ("bloom-176b", "h100-sxm"): (
        35.739242111, 36.154480404, 36.166175007, 36.333880492, 36.738943138,
        37.529898870, 39.016441875, 45.841567143, 63.821342159,
    ),
    ("llama-2-70b", "a100-sxm"): (
        43.031258888, 43.483437884, 45.033139639, 44.561585181, 45.697276702,
        46.473363468, 48.470785986, 53.016983945, 71.605147666,
    ),
    ("llama-2-70b", "h100-sxm"): (
        29.872660072, 28.266553230, 30.561747223, 29.972992704, 31.634892509,
        31.329116093, 32.592328739, 38.619350599, 50.160845609,
    ),
}  # fmt: skip
"""Medians of token_time likewise."""

WEIGHT_BYTES = {"bloom-176b": 329e9, "llama-2-70b": 135e9}
"""Source: splitwise-sim, model sizes."""

LINK_BYTES_PER_S = 200.0 * 2**30
"""Between any two machines of any type, one transfer at a time. Source: splitwise-sim, start-up configuration."""

FOREVER_TOKENS = 1 << 17


def extended(knots: tuple[int, ...], values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """A column continued along its first slope down to one token."""
    slope = (values[1] - values[0]) / (knots[1] - knots[0])
    below = values[0] - slope * (knots[0] - 1)
    return np.array([1, *knots]), np.array([below, *values])


def published_profile(measured: KernelProfile) -> KernelProfile:
    """The surfaces that give the public simulator's prices.

    Args:
        measured: the ``splitwise-2023`` profile of a model and GPU at tp 8; what is not in the columns is kept.
    """
    key = measured.model, measured.gpu
    tokens, prefill_s = extended(BATCH_TOKENS, np.array(PROMPT_MS[key]) * 1e-3)
    batch, decode_s = extended(BATCH_TOKENS, np.array(TOKEN_MS[key]) * 1e-3)
    nothing = np.zeros((2, 2))
    return replace(
        measured,
        tokens=tokens,
        linear_prefill_s=prefill_s,
        batch=batch,
        linear_decode_s=decode_s,
        new_tokens=np.array([1, FOREVER_TOKENS]),
        past_tokens=np.array([0, FOREVER_TOKENS]),
        prefill_attention_s=nothing,
        attention_batch=np.array([1, FOREVER_TOKENS]),
        context_tokens=np.array([1, FOREVER_TOKENS]),
        decode_attention_s=nothing,
        decode_extrapolated=np.zeros((2, 2), bool),
        prefill_extrapolated=np.zeros((2, 2), bool),
    )


def published_physics(model: ModelSpec, machine: Machine, measured: KernelProfile) -> InstancePhysics:
    """A whole machine as the public simulator has it.

    KV bytes = 2 · hidden · layers · 2 a token, as if without grouped-query attention; all of 80 GiB a GPU is usable,
    counted by tokens.
    """
    kv_bytes = 4.0 * model.hidden * model.layers
    free = machine.gpus * 80 * 2**30 - WEIGHT_BYTES[model.name]
    said = Provenance(kind=Kind.ASSUMED, source="splitwise-sim: 200 GiB/s for every design", date="2026-11-21")
    return InstancePhysics(
        step=StepTime(
            published_profile(measured),
            prefill_slowdown_ratio=machine.gpu.prefill_slowdown_ratio,
            decode_slowdown_ratio=machine.gpu.decode_slowdown_ratio,
            mixed_slowdown_ratio=MIXED_RATIO,
        ),
        kv_blocks=int(free / kv_bytes),
        block_tokens=1,
        kv_bytes_per_token=kv_bytes,
        layers=model.layers,
        link=Link(
            name="splitwise-sim", bandwidth_bytes_per_s=LINK_BYTES_PER_S, latency_s=0.0, sync_s=0.0, provenance=said
        ),
        instances_per_machine=1,
        link_queues=False,
    )


class PublishedReference(Reference):
    """A request alone, as the published analysis has it.

    ttft = prompt_time(prompt); tbt = token_time(prompt); e2e = ttft + tbt · (tokens - 1), on a DGX-A100

    Source: splitwise-sim notebooks, SLO analysis.
    """

    per_token = True

    def __init__(self, step: StepTime) -> None:
        """Take the columns.

        Args:
            step: of an instance at tp 8, whose model and GPU say which columns; its own times are not used.
        """
        super().__init__(step)
        made = published_profile(step.profile)
        self._tokens, self._prefill_s = made.tokens, made.linear_prefill_s
        self._batch, self._token_s = made.batch, made.linear_decode_s

    def ttft_s(self, prompt_tokens: int) -> float:
        """Prefill of the prompt alone."""
        return float(self.each_ttft_s(np.array(prompt_tokens)))

    def tbt_s(self, prompt_tokens: int) -> float:
        """One token, looked up at the length of the prompt."""
        return float(self.each_tbt_s(np.array(prompt_tokens)))

    def e2e_s(self, prompt_tokens: int, output_tokens: int) -> float:
        """Prefill and all tokens but the first."""
        return float(self.each_e2e_s(np.array(prompt_tokens), np.array(output_tokens)))

    def each_ttft_s(self, prompt_tokens: Ints) -> Floats:
        """(requests,) ``ttft_s`` of each."""
        return np.interp(prompt_tokens, self._tokens, self._prefill_s)

    def each_tbt_s(self, prompt_tokens: Ints) -> Floats:
        """(requests,) ``tbt_s`` of each."""
        return np.interp(prompt_tokens, self._batch, self._token_s)

    def each_e2e_s(self, prompt_tokens: Ints, output_tokens: Ints) -> Floats:
        """(requests,) ``e2e_s`` of each."""
        return self.each_ttft_s(prompt_tokens) + self.each_tbt_s(prompt_tokens) * (output_tokens - 1)
