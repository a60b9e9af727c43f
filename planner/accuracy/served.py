"""How the servers behind published tables were started: what their rows do not say, and their scripts do.

InferenceX: launch scripts ``benchmarks/*_{docker,slurm}.sh`` of SemiAnalysisAI/InferenceX (stored history of late 2025
to 2026). NVIDIA's gap-analysis runs: generator rules ``generator/rule_plugin/*.rule`` and templates of
ai-dynamo/aiconfigurator, and its client ``eval/benchmarks/genai_perf_runner.py``. Read 2026-11-21.
"""

import re
from dataclasses import dataclass

from planner.policies.batching import ChunkForm

STEP_TOKENS = 8192
"""Most tokens of a step where the source does not say: today's default of the three engines on these GPUs. Assumed."""
CONNECTIONS = 100
"""Requests that a client keeps open: by Little's law 99 to 110 were in flight in each of five runs of vLLM 0.11 with
more clients (512), as from a pool of aiohttp's default size; in runs of 0.15 all 128 were. Inferred."""
_DENSE_70B = "llama-3.1-70b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a row says of a run that its server's settings depend on.

    Attributes:
        source: who published it, as the table says.
        engine: for example ``vllm``.
        version: of the engine; empty where the table gives none.
        model: catalog id.
        gpu: catalog id.
        dtype: of the weights.
        tp: tensor-parallel GPUs.
        prompt_tokens: nominal length of a prompt.
        output_tokens: nominal length of an answer.
        clients: requests in flight.
    """

    source: str
    engine: str
    version: str
    model: str
    gpu: str
    dtype: str
    tp: int
    prompt_tokens: int
    output_tokens: int
    clients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How an engine was set.

    Attributes:
        step_tokens: most tokens in one step.
        form: how prompts are cut and mixed with decodes; None computes them whole.
        kv_dtype: of the KV cache.
        mode: one of ``hw_catalog.engines.MODES``, where the engine ran so.
        wait_steps: steps a prompt waits for others, so that prompts are computed together.
        max_batch_size: requests it serves at once; None where that is no limit.
    """

    step_tokens: int = STEP_TOKENS
    form: ChunkForm | None = ChunkForm.STALL_FREE
    kv_dtype: str = "bf16"
    mode: str = ""
    wait_steps: float = 0.0
    max_batch_size: int | None = None


def server_of(asked: Asked) -> Server:
    """The settings of the server behind a row."""
    if "InferenceX" in asked.source:
        return _inferencex(asked)
    if "gap-analysis" in asked.source:
        return _gap_analysis(asked)
    mode = "serial" if asked.engine == "vllm" and _before(asked.version, 0, 14) else ""
    return Server(form=_default_form(asked.engine), kv_dtype=_checkpoint_kv(asked), mode=mode)


def _inferencex(asked: Asked) -> Server:
    """Benchmarks by SemiAnalysis: prefix caches off, schedules ahead, KV cache in fp8 where the script says so."""
    blackwell = asked.gpu in ("b200-sxm", "gb200")
    dense = asked.model == _DENSE_70B
    if asked.engine == "trtllm":
        same = asked.prompt_tokens == asked.output_tokens == 1024 and asked.tp < 8
        most = 20000 if not dense else 16384 if blackwell and asked.dtype == "fp8" else 10240
        return Server(
            step_tokens=most, form=None, kv_dtype="fp8" if dense or blackwell else "bf16",
            wait_steps=20.0 if dense and same else 0.0,  # batch_wait_timeout_iters
        )  # fmt: skip
    kv_dtype = "fp8" if asked.engine == "vllm" and (dense or blackwell) else "bf16"
    mode = "eager" if asked.engine == "vllm" and dense and blackwell else ""  # cudagraph_mode: FULL_DECODE_ONLY
    pooled = asked.engine == "vllm" and (not asked.version or _before(asked.version, 0, 12))
    return Server(
        form=_default_form(asked.engine), kv_dtype=kv_dtype, mode=mode,
        max_batch_size=CONNECTIONS if pooled and asked.clients > CONNECTIONS else None,
    )  # fmt: skip


def _gap_analysis(asked: Asked) -> Server:
    """Runs by NVIDIA: a step holds the batch and one prompt.

    Its rules allow 1,500 tokens more; vLLM's and TensorRT-LLM's runs are as if no second prompt joined, and in those of
    Llama-3.1-8B under TensorRT-LLM one client waits for a place. Both inferred, alike from even and odd rows.
    """
    form = {"trtllm": None, "sglang": ChunkForm.STALL_FREE}.get(asked.engine, ChunkForm.STALL_FREE)
    if asked.engine == "sglang" and _before(asked.version, 0, 5, 3):
        form = ChunkForm.PREFILL_FIRST  # its template misspells the option that mixes, so the default holds
    serial = {"vllm": _before(asked.version, 0, 14), "trtllm": _before(asked.version, 1, 1)}.get(asked.engine, False)
    waits = asked.engine == "trtllm" and asked.model == "llama-3.1-8b"
    return Server(
        step_tokens=asked.prompt_tokens + asked.clients + (1500 if asked.engine == "sglang" else 0), form=form,
        kv_dtype=_checkpoint_kv(asked), mode="serial" if serial else "",
        max_batch_size=max(1, asked.clients - 1) if waits else None,
    )  # fmt: skip


def _default_form(engine: str) -> ChunkForm | None:
    """How an engine cuts and mixes unless told otherwise."""
    return {"sglang": ChunkForm.PREFILL_FIRST, "trtllm": None}.get(engine, ChunkForm.STALL_FREE)


def _checkpoint_kv(asked: Asked) -> str:
    """TensorRT-LLM takes fp8 from the quantized checkpoints, the others bf16. Assumed."""
    quantized = asked.dtype in ("fp8", "fp4") and not asked.model.startswith("gpt-oss")
    return "fp8" if quantized and asked.engine == "trtllm" else "bf16"


def _before(version: str, *bound: int) -> bool:
    """Whether a release is older; False where it is not known."""
    found = tuple(int(part) for part in re.findall(r"[0-9]{1,9}", version)[:3])
    return bool(found) and found < bound
