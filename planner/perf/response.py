"""How one instance answers to work and to clocks, as tables: what a row of hundreds of machines is simulated from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics

Floats = NDArray[np.floating]

TOKEN_KNOTS = (
    1, 64, 128, 256, 512, 1024, 2048, 3072, 4096, 6144, 8192, 16384, 32768, 131072, 262144, 1048576, 4194304, 16777216,
)  # fmt: skip
"""Prompt lengths at which prefills are tabulated; between them time and watts are interpolated."""


class PhasePower(Protocol):
    """Watts and slowdowns of one instance by phase and clock. The watts are its share of the whole machine's."""

    def idle_w(self, clock_mhz: float) -> float:
        """With nothing to do."""

    def prefill_w(self, tokens: int, clock_mhz: float) -> float:
        """While it computes a prompt of so many tokens."""

    def decode_w(self, batch: int, clock_mhz: float) -> float:
        """While it decodes so many requests."""

    def prefill_slowdown_ratio(self, clock_mhz: float) -> float:
        """Prefill time over that at the highest clock, >= 1."""

    def decode_slowdown_ratio(self, batch: int, clock_mhz: float) -> float:
        """Decode time over that at the highest clock, >= 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InstanceResponse:
    """Times and watts of one instance at a few clocks, the first of which is the highest.

    Attributes:
        clocks_mhz: (c,) clocks.
        prefill_s: (k,) of a prompt alone, at ``TOKEN_KNOTS``, at the first clock; in a pipeline, the share of it for
            which its stages are not free for another.
        prefill_w: (c, k) while it is computed.
        prefill_slowdown_ratio: (c,) factor on its time.
        decode_base_s: (b + 1,) of a decode step by batch, without what its context costs, at the first clock.
        decode_token_s: (b + 1,) more for every token of context, mean over the batch.
        decode_w: (c, b + 1) while it decodes; entry 0 is idle.
        decode_slowdown_ratio: (c, b + 1) factor on a decode step.
        kv_tokens: KV memory.
        block_tokens: of one block of it.
    """

    clocks_mhz: tuple[float, ...]
    prefill_s: Floats
    prefill_w: Floats
    prefill_slowdown_ratio: Floats
    decode_base_s: Floats
    decode_token_s: Floats
    decode_w: Floats
    decode_slowdown_ratio: Floats
    kv_tokens: int
    block_tokens: int

    @property
    def max_batch(self) -> int:
        """Most requests that decode at once."""
        return len(self.decode_base_s) - 1


def instance_response(
    body: InstancePhysics, power: PhasePower, clocks_mhz: Sequence[float], *, max_batch: int,
    context_tokens: tuple[float, float],
) -> InstanceResponse:  # fmt: skip
    """The tables of an instance.

    Args:
        body: step times at the highest clock, and memory.
        power: watts and slowdowns.
        clocks_mhz: the highest clock first.
        max_batch: most requests that decode at once.
        context_tokens: lowest and highest mean context that will occur; a decode step is linear in between.
    """
    step, (low, high), lanes = body.step, context_tokens, body.stages.count
    batches = range(1, max_batch + 1)
    parts = [-(-n // lanes) for n in batches]  # of the batch, in each of the lanes of a pipeline
    at = np.array([[0.0, 0.0], *([step.decode_s(n, low), step.decode_s(n, high)] for n in parts)])
    slope = (at[:, 1] - at[:, 0]) / (high - low)
    return InstanceResponse(
        clocks_mhz=tuple(clocks_mhz),
        prefill_s=np.array([step.prefill_s([(k, 0)]) / lanes for k in TOKEN_KNOTS]),
        prefill_w=np.array([[power.prefill_w(k, f) for k in TOKEN_KNOTS] for f in clocks_mhz]),
        prefill_slowdown_ratio=np.array([power.prefill_slowdown_ratio(f) for f in clocks_mhz]),
        decode_base_s=at[:, 0] - slope * low,
        decode_token_s=slope,
        decode_w=np.array([[power.idle_w(f), *(power.decode_w(n, f) for n in batches)] for f in clocks_mhz]),
        decode_slowdown_ratio=np.array(
            [[1.0, *(power.decode_slowdown_ratio(n, f) for n in batches)] for f in clocks_mhz]
        ),
        kv_tokens=body.kv_tokens,
        block_tokens=body.block_tokens,
    )
