"""Flags of engines by release: what each is called, which values it takes, and where that was read.

A manifest holds no flag that is not in ``FLAGS`` for the release that its plan was simulated with. docs/export.md
shows the same table.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One option of an engine's command line.

    Attributes:
        engine: whose; for example ``vllm``.
        name: as it is written.
        sets: what of a plan it carries.
        values: that it takes; empty for numbers, documents and switches.
        since: first release that it is stated for.
        source: where it was read.
    """

    engine: str
    name: str
    sets: str
    values: tuple[str, ...] = ()
    since: str
    source: str


_VLLM_ARGS = "vllm-project/vllm, vllm/engine/arg_utils.py (at 001999d, an older one; else recalled, 2026-11-29)"
_VLLM_CACHE = "vllm-project/vllm, vllm/config/cache.py, CacheDType"
_VLLM_MODELOPT = "vllm-project/vllm, modelopt.md of its docs at 0024350"
_VLLM_DATA = "vllm-project/vllm, data_parallel_deployment.md of its docs (read in public copies, 2026-11-29)"
_VLLM_LIST = "flags of vLLM 0.20.0 and 0.27.1 as listed by Cloudera AI 1.5.5 SP3 and SP4"
_VLLM_SCHEDULER = "vllm-project/vllm, vllm.config.scheduler of its docs for v0.10.2 to v0.13.0, SchedulerPolicy"
_VLLM_NIXL = "ai-dynamo/dynamo, examples/backends/vllm/deploy/v1beta1/disagg.yaml at 14a3b0d"
_SGLANG = "sgl-project/sglang, server_arguments.md of its docs at 004813e"
_SGLANG_ARGS = "sgl-project/sglang, python/sglang/srt/server_args.py (read in public copies, 2026-11-29)"
_SGLANG_RANKS = "sgl-project/sglang, scripts of its tests: --tp-size counts all GPUs, --dp-size the ranks (2026-11-29)"
_SGLANG_DYNAMO = "ai-dynamo/dynamo, examples/backends/sglang/deploy/v1beta1/disagg.yaml at 2ac51dd"
_TRTLLM = "ai-dynamo/dynamo, components/src/dynamo/trtllm/backend_args.py at 0a6a115"


def _flags(engine: str, since: str, *rows: tuple[str, str, str, str]) -> tuple[Flag, ...]:
    """Rows of name, meaning, values with blanks between them, and source."""
    return tuple(
        Flag(engine=engine, since=since, name=name, sets=sets, values=tuple(values.split()), source=source)
        for name, sets, values, source in rows
    )


FLAGS = (
    *_flags(
        "vllm", "0.14",
        ("--tensor-parallel-size", "tp", "", _VLLM_LIST),
        ("--pipeline-parallel-size", "pp", "", _VLLM_LIST),
        ("--data-parallel-size", "dp above 1", "", _VLLM_DATA),
        ("--enable-expert-parallel", "ep above 1", "", _VLLM_ARGS),
        ("--max-model-len", "longest request", "", _VLLM_LIST),
        ("--max-num-batched-tokens", "policy.max_batch_tokens, or the chunk of the pool", "", _VLLM_LIST),
        ("--max-num-seqs", "policy.max_batch_size", "", _VLLM_ARGS),
        ("--enable-chunked-prefill", "prompts beyond the budget are cut", "", _VLLM_LIST),
        ("--no-enable-prefix-caching", "no prefix cache is simulated", "", _VLLM_LIST),
        ("--enable-prefix-caching", "prefix_cache.gib", "", _VLLM_LIST),
        ("--scheduling-policy", "workload.classes[].priority", "fcfs priority", _VLLM_SCHEDULER),
        ("--block-size", "policy.block_tokens, but for latent attention", "1 8 16 32 64 128 256", _VLLM_CACHE),
        ("--gpu-memory-utilization", "policy.kv_memory_frac", "", _VLLM_LIST),
        ("--dtype", "format of unquantised weights", "bfloat16 float16 float32", _VLLM_LIST),
        ("--quantization", "ModelOpt checkpoints; others state their own", "modelopt modelopt_fp4", _VLLM_MODELOPT),
        ("--kv-cache-dtype", "model.kv_dtype", "bfloat16 fp8", _VLLM_CACHE),
        ("--kv-transfer-config", "a split plan: NIXL", "", _VLLM_NIXL),
        ("--speculative-config", "model.draft_tokens", "", _VLLM_ARGS),
    ),
    *_flags(
        "sglang", "0.5",
        ("--tp-size", "tp times dp", "", _SGLANG),
        ("--dp-size", "dp above 1", "", _SGLANG_RANKS),
        ("--enable-dp-attention", "dp above 1", "", _SGLANG_RANKS),
        ("--pp-size", "pp", "", _SGLANG),
        ("--ep-size", "ep", "", _SGLANG_ARGS),
        ("--context-length", "longest request", "", _SGLANG),
        ("--max-prefill-tokens", "policy.max_batch_tokens", "", _SGLANG),
        ("--chunked-prefill-size", "chunk of the pool; -1 computes prompts whole", "", _SGLANG),
        ("--enable-mixed-chunk", "chunks share steps with decodes", "", _SGLANG_ARGS),
        ("--max-running-requests", "policy.max_batch_size times dp", "", _SGLANG),
        ("--disable-radix-cache", "no prefix cache is simulated", "", _SGLANG_ARGS),
        ("--page-size", "policy.block_tokens, but for latent attention", "", _SGLANG),
        ("--mem-fraction-static", "policy.kv_memory_frac", "", _SGLANG),
        ("--dtype", "format of unquantised weights", "bfloat16 float16 float32", _SGLANG),
        ("--quantization", "ModelOpt checkpoints; others state their own", "modelopt_fp8 modelopt_fp4", _SGLANG),
        ("--kv-cache-dtype", "model.kv_dtype", "bfloat16 fp8_e4m3", _SGLANG),
        ("--disaggregation-transfer-backend", "a split plan: NIXL", "nixl", _SGLANG_DYNAMO),
        ("--disaggregation-bootstrap-port", "a split plan", "", _SGLANG_DYNAMO),
        ("--host", "a split plan", "", _SGLANG_DYNAMO),
        ("--speculative-algorithm", "model.draft_tokens", "NEXTN", _SGLANG_RANKS),
        ("--speculative-num-steps", "model.draft_tokens", "", _SGLANG_RANKS),
        ("--speculative-eagle-topk", "model.draft_tokens", "1", _SGLANG_RANKS),
        ("--speculative-num-draft-tokens", "model.draft_tokens and one", "", _SGLANG_RANKS),
    ),
    *_flags(
        "trtllm", "1.0",
        ("--tensor-parallel-size", "tp times dp", "", _TRTLLM),
        ("--pipeline-parallel-size", "pp", "", _TRTLLM),
        ("--enable-attention-dp", "dp above 1: every GPU is a rank", "", _TRTLLM),
        ("--expert-parallel-size", "ep", "", _TRTLLM),
        ("--max-seq-len", "longest request", "", _TRTLLM),
        ("--max-num-tokens", "policy.max_batch_tokens, or the chunk of the pool", "", _TRTLLM),
        ("--max-batch-size", "policy.max_batch_size", "", _TRTLLM),
        ("--served-model-name", "model.prefill_dtype: one name for both checkpoints", "", _TRTLLM),
        ("--kv-block-size", "policy.block_tokens, but for latent attention", "", _TRTLLM),
        ("--free-gpu-memory-fraction", "policy.kv_memory_frac", "", _TRTLLM),
        ("--override-engine-args", "chunks, prefix cache, model.kv_dtype, KV transfer, drafts", "", _TRTLLM),
    ),
)  # fmt: skip

METHODS = {
    "vllm": ("fp8", "fbgemm_fp8", "compressed-tensors", "modelopt", "mxfp4", "awq", "gptq", "bitsandbytes"),
    "sglang": ("fp8", "compressed-tensors", "modelopt", "mxfp4", "awq", "gptq", "bitsandbytes"),
    "trtllm": ("fp8", "compressed-tensors", "modelopt", "mxfp4"),
}
"""``quant_method`` of checkpoints that an engine loads.

Source: workloads.checkpoints and vLLM's own list, QUANTIZATION_METHODS; SGLang's options of ``--quantization`` at
004813e; TensorRT-LLM, tensorrt_llm/_torch/model_config.py, load_hf_quant_config.
"""

DYNAMO_ENGINES = {"vllm": "0.23.0", "sglang": "0.5.14", "trtllm": "1.3.0rc19"}
"""Engines in the images of Dynamo 1.3.0. Source: docs.nvidia.com/dynamo/v1.3.0/resources/release-artifacts."""


def flags_of(engine: str, version: str) -> tuple[Flag, ...]:
    """Flags of a release; none where it is no release of an engine that the table holds."""
    if not re.match(r"\d+\.\d+", version):
        return ()  # a year, for example: a research prototype
    return tuple(flag for flag in FLAGS if flag.engine == engine and _parts(flag.since) <= _parts(version))


def _parts(version: str) -> tuple[int, ...]:
    """The first two numbers of a release."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def known_releases() -> str:
    """Engines and the first release of each that manifests are written for."""
    first = {flag.engine: flag.since for flag in FLAGS}
    return ", ".join(f"{engine} from {since}" for engine, since in first.items())
