"""Arguments of vLLM, SGLang and TensorRT-LLM that make an instance what was simulated."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hw_catalog.engine_flags import METHODS, flags_of, known_releases
from planner.perf.layout import Layout, Role
from planner.results.precision import Served

NIXL = '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'
_PLAIN = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_BOOTSTRAP_PORT = "12345"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance as it was simulated, in no engine's words.

    Attributes:
        role: phase it works on.
        layout: of its GPUs.
        served: checkpoint, formats, engine, longest request.
        step_tokens: most tokens of a step that carries prefill work.
        cuts_prompts: whether prompts beyond that were cut; else they were computed whole.
        requests: most requests of a step, of each attention rank.
        block_tokens: of one KV block; None leaves it to the engine, as kernels of latent attention need.
        memory_frac: share of GPU memory that the engine may use.
        nodes: machines that one instance spans.
        keeps_prefixes: whether prompts are served from a prefix cache.
        by_priority: whether requests of a higher priority go first.
        draft_tokens: that the model's own prediction layers draft in a step; 0: none.
        evicts: whether it is to take memory block by block where it would set aside whole answers of its own accord.
        served_as: name that clients ask for, where phases have weights of their own; empty: that of its checkpoint.
    """

    role: Role
    layout: Layout
    served: Served
    step_tokens: int
    cuts_prompts: bool
    requests: int
    block_tokens: int | None
    memory_frac: float
    nodes: int = 1
    keeps_prefixes: bool = False
    by_priority: bool = False
    draft_tokens: int = 0
    evicts: bool = False
    served_as: str = ""


def arguments(instance: Instance) -> tuple[str, ...]:
    """Flags and values in order, without the model.

    Only for an instance that ``problems`` finds nothing against.
    """
    return tuple(_ENGINES[instance.served.engine](instance))


def problems(instance: Instance) -> tuple[str, ...]:
    """Why no flags of the engine make it what was simulated, each with the key to set."""
    served, found = instance.served, []
    engine = f"{served.engine} {served.engine_version}"
    if served.engine not in _ENGINES or not flags_of(served.engine, served.engine_version):
        return (
            f"engine: found {engine}, which manifests cannot start; expected one of {known_releases()}: plan with "
            "another model.profile_set",
        )
    if instance.layout.kvp > 1:
        found.append("kvp: no engine flag shares the KV cache of a request over replicas")
    if not served.context_tokens:
        found.append("longest request: found none in the plan; expected a plan of this version: plan again")
    elif served.longest_tokens > served.context_tokens:
        found.append(
            f"longest request: found {served.longest_tokens:,} tokens; expected at most {served.context_tokens:,}, "
            "what the model was made for: manifests scale no positions"
        )
    if not served.checkpoint:
        found.append(
            f"weights: no checkpoint of the model in {served.dtype} is known; set model.checkpoint to its repository "
            "(owner/name) and plan again"
        )
    if served.method and served.method not in METHODS[served.engine]:
        found.append(
            f"weights: {served.checkpoint} is stored as {served.method}; {served.engine} loads "
            f"{', '.join(METHODS[served.engine])}: set model.checkpoint to another and plan again"
        )
    if instance.by_priority and served.engine != "vllm":
        found.append(
            f"priorities: found tiers of workload.classes; no flag of {served.engine} is known to serve by them as "
            "simulated: set model.engine to vllm and plan again"
        )
    return (*found, *_rank_problems(instance), *_kv_problems(served))


def _rank_problems(instance: Instance) -> tuple[str, ...]:
    """Layouts of attention ranks and experts that the engine has no flags for."""
    engine, layout = instance.served.engine, instance.layout
    found = []
    if engine == "vllm" and layout.ep not in (1, layout.tp * layout.dp):
        found.append(
            f"layout: found {layout.ep} expert-parallel ways on {layout.tp * layout.dp} GPUs; vLLM spreads experts "
            "over all of them or over none: set catalog.ep"
        )
    if engine == "vllm" and layout.dp > 1 and instance.nodes > 1:
        found.append(
            f"layout: found {layout.dp} attention ranks on {instance.nodes} machines; vLLM needs an address and a "
            "first rank on each of them, which these manifests do not hold: set catalog.dp or model.engine"
        )
    if engine == "trtllm" and layout.dp > 1 and layout.tp > 1:
        found.append(
            f"layout: found {layout.dp} attention ranks of {layout.tp} GPUs; TensorRT-LLM makes every GPU a rank: set "
            "catalog.tp=[1]"
        )
    return tuple(found)


def _kv_problems(served: Served) -> tuple[str, ...]:
    """Formats of the KV cache that the engine cannot be told."""
    known = _KV[served.engine]
    if served.kv_dtype not in known:
        return (f"KV cache: found {served.kv_dtype}; expected one of {', '.join(known)} with {served.engine}: "
                "set model.kv_dtype",)  # fmt: skip
    if known[served.kv_dtype] == "auto" and served.scaled_kv:
        return (
            f"KV cache: {served.checkpoint} brings {served.scaled_kv} scales, and {served.engine} then stores KV so; "
            f"the plan has {served.kv_dtype}: set model.kv_dtype={served.scaled_kv} and plan again",
        )
    return ()


def difference(instance: Instance) -> str:
    """What the engine does otherwise than the simulation, in a sentence; empty where nothing is known."""
    served = instance.served
    if instance.cuts_prompts or served.engine == "sglang" or served.longest_tokens <= instance.step_tokens:
        return ""
    return (
        f"prompts beyond {instance.step_tokens:,} tokens are cut by {served.engine} and were simulated whole; a policy "
        "with chunks (sarathi, policy.chunked_prefill) simulates what it does"
    )


_KV: Mapping[str, Mapping[str, str]] = {
    "vllm": {"bf16": "bfloat16", "fp8": "fp8"},
    "sglang": {"bf16": "bfloat16", "fp8": "fp8_e4m3"},
    "trtllm": {"bf16": "auto", "fp8": "fp8"},
}
"""What a format of the KV cache is called. TensorRT-LLM knows auto, fp8 and nvfp4; auto is what the checkpoint says.

Source: hw_catalog.engine_flags; TensorRT-LLM, tensorrt_llm/_torch/pyexecutor/model_loader.py, _VALID_KV_CACHE_DTYPES.
"""


def _vllm(at: Instance) -> list[str]:
    """Of ``vllm serve`` and ``dynamo.vllm``."""
    served, layout = at.served, at.layout
    flags = ["--tensor-parallel-size", str(layout.tp)]
    flags += ["--pipeline-parallel-size", str(layout.pp)] if layout.pp > 1 else []
    flags += ["--data-parallel-size", str(layout.dp)] if layout.dp > 1 else []
    flags += ["--enable-expert-parallel"] if layout.ep > 1 else []
    flags += ["--max-model-len", str(served.context_tokens)]
    flags += ["--max-num-batched-tokens", str(at.step_tokens), "--max-num-seqs", str(at.requests)]
    flags += [
        "--enable-chunked-prefill",
        "--enable-prefix-caching" if at.keeps_prefixes else "--no-enable-prefix-caching",
    ]
    flags += ["--scheduling-policy", "priority"] if at.by_priority else []
    flags += ["--block-size", str(at.block_tokens)] if at.block_tokens else []
    flags += ["--gpu-memory-utilization", f"{at.memory_frac:g}"]
    flags += _weights(served, {"fp8": "modelopt", "fp4": "modelopt_fp4"})
    flags += ["--kv-cache-dtype", _KV["vllm"][served.kv_dtype]]
    if at.draft_tokens:
        flags += ["--speculative-config", _json({"method": "mtp", "num_speculative_tokens": at.draft_tokens})]
    return flags + (["--kv-transfer-config", NIXL] if at.role is not Role.MIXED else [])


def _sglang(at: Instance) -> list[str]:
    """Of ``sglang.launch_server`` and ``dynamo.sglang``."""
    served, layout = at.served, at.layout
    flags = ["--tp-size", str(layout.tp * layout.dp)]
    flags += ["--dp-size", str(layout.dp), "--enable-dp-attention"] if layout.dp > 1 else []
    flags += ["--pp-size", str(layout.pp)] if layout.pp > 1 else []
    flags += ["--ep-size", str(layout.ep)] if layout.ep > 1 else []
    flags += ["--context-length", str(served.context_tokens), "--max-prefill-tokens", str(at.step_tokens)]
    flags += ["--chunked-prefill-size", str(at.step_tokens if at.cuts_prompts else -1)]
    flags += ["--enable-mixed-chunk"] if at.cuts_prompts and at.role is Role.MIXED else []
    flags += ["--max-running-requests", str(at.requests * layout.dp)]  # shared by the ranks
    flags += [] if at.keeps_prefixes else ["--disable-radix-cache"]
    flags += ["--page-size", str(at.block_tokens)] if at.block_tokens else []
    flags += ["--mem-fraction-static", f"{at.memory_frac:g}"]
    flags += _weights(served, {"fp8": "modelopt_fp8", "fp4": "modelopt_fp4"})
    flags += ["--kv-cache-dtype", _KV["sglang"][served.kv_dtype]]
    if at.draft_tokens:
        flags += ["--speculative-algorithm", "NEXTN", "--speculative-num-steps", str(at.draft_tokens)]
        flags += ["--speculative-eagle-topk", "1", "--speculative-num-draft-tokens", str(at.draft_tokens + 1)]
    if at.role is Role.MIXED:
        return flags
    flags += ["--disaggregation-transfer-backend", "nixl", "--disaggregation-bootstrap-port", _BOOTSTRAP_PORT]
    return [*flags, "--host", "0.0.0.0"]  # noqa: S104  of a pod, as in the stack's example


def _trtllm(at: Instance) -> list[str]:
    """Of ``dynamo.trtllm``; what it has no flag for goes into its overrides.

    Source of their keys: NVIDIA/TensorRT-LLM, tensorrt_llm/llmapi/llm_args.py (TorchLlmArgs), read in a copy of shortly
    before 1.3, in which ``num_nextn_predict_layers`` sets ``max_draft_len``.
    """
    served, layout = at.served, at.layout
    flags = ["--tensor-parallel-size", str(layout.tp * layout.dp)]
    flags += ["--pipeline-parallel-size", str(layout.pp)] if layout.pp > 1 else []
    flags += ["--enable-attention-dp"] if layout.dp > 1 else []
    flags += ["--expert-parallel-size", str(layout.ep)] if layout.ep > 1 else []
    flags += ["--max-seq-len", str(served.context_tokens), "--max-num-tokens", str(at.step_tokens)]
    flags += ["--max-batch-size", str(at.requests)]
    flags += ["--served-model-name", at.served_as] if at.served_as else []
    flags += ["--kv-block-size", str(at.block_tokens)] if at.block_tokens else []
    flags += ["--free-gpu-memory-fraction", f"{at.memory_frac:g}"]
    cache: dict[str, object] = {
        "enable_block_reuse": at.keeps_prefixes, "free_gpu_memory_fraction": at.memory_frac,
        "dtype": _KV["trtllm"][served.kv_dtype],
    }  # fmt: skip
    if at.block_tokens:
        cache["tokens_per_block"] = at.block_tokens
    more: dict[str, object] = {"enable_chunked_prefill": True, "kv_cache_config": cache}
    if at.draft_tokens:
        drafts = {"num_nextn_predict_layers": at.draft_tokens, "max_draft_len": at.draft_tokens}  # the first is going
        more["speculative_config"] = {"decoding_type": "MTP", **drafts}
    if at.evicts:
        more["scheduler_config"] = {"capacity_scheduler_policy": "MAX_UTILIZATION"}
    if at.role is not Role.MIXED:
        more["cache_transceiver_config"] = {"backend": "DEFAULT"}
    if at.role is Role.PREFILL:  # a prefill worker has no overlap scheduler, as in the stack's example
        more["disable_overlap_scheduler"] = True
    return [*flags, "--override-engine-args", _json(more)]


def _json(options: Mapping[str, object]) -> str:
    """Options as an argument."""
    return json.dumps(options, sort_keys=True)


def _weights(served: Served, modelopt: Mapping[str, str]) -> list[str]:
    """The format of the weights, where the checkpoint's own config.json does not say it to the engine."""
    if served.dtype in _PLAIN:
        return ["--dtype", _PLAIN[served.dtype]]
    return ["--quantization", modelopt[served.dtype]] if served.method == "modelopt" else []


_ENGINES: Mapping[str, Callable[[Instance], list[str]]] = {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm}
