"""What engines keep of a GPU's memory beside weights and KV cache, by engine and release.

docs/memory.md sets the sizes that follow beside public logs and says which of those were used here.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from hw_catalog.provenance import Kind, Provenance

GIB = 2**30

DRIVER_BYTES = 0.46 * GIB
"""Of the memory a GPU is listed with, what no program sees: an H100 listed with 81,559 MiB leaves 79.19 GiB."""


class Share(StrEnum):
    """What the share of memory that an engine is given holds.

    ``all``: weights, activations, graphs and KV cache (vLLM, ``--gpu-memory-utilization``).
    ``static``: weights and KV cache; activations and graphs need the rest (SGLang, ``--mem-fraction-static``).
    ``free``: the KV cache, of what everything else leaves (TensorRT-LLM, ``free_gpu_memory_fraction``).
    """

    ALL = "all"
    STATIC = "static"
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """Memory of one engine beside weights and KV cache.

    Attributes:
        share: what its share of memory holds.
        solo_bytes: libraries and context of a GPU that serves alone.
        group_bytes: the same with the buffers of collective communication.
        graph_bytes: CUDA graphs, where its share has to hold them.
        sampler_bytes: that sampling takes at its peak for each request and entry of the vocabulary.
        latent_multiple_bytes: what it rounds a token's compressed KV in a layer up to.
        provenance: where these were read.
    """

    share: Share
    solo_bytes: float
    group_bytes: float
    graph_bytes: float
    sampler_bytes: float
    latent_multiple_bytes: int = 1
    provenance: Provenance

    def kv_bytes(self, hbm_bytes: float, frac: float, weight_bytes: float, activation_bytes: float, gpus: int) -> float:
        """Bytes one GPU has for KV cache; below 0 where the rest does not fit.

        Args:
            hbm_bytes: of the GPU, as listed.
            frac: the share of memory that the engine is given.
            weight_bytes: on this GPU.
            activation_bytes: of the largest step.
            gpus: that hold one replica together.
        """
        seen = hbm_bytes - DRIVER_BYTES
        context = self.solo_bytes if gpus == 1 else self.group_bytes
        working = activation_bytes + self.graph_bytes
        if self.share is Share.FREE:
            return frac * (seen - weight_bytes - context - working)
        if self.share is Share.STATIC:
            return frac * seen - weight_bytes - context - max(0.0, working - (1 - frac) * seen)
        return frac * seen - weight_bytes - context - working


_LLM_D = "llm-d-incubation/llm-d-planner, accuracy/accuracy_report.md"

_VLLM = EngineMemory(
    share=Share.ALL, solo_bytes=0.25 * GIB, group_bytes=2.12 * GIB, graph_bytes=0.0, sampler_bytes=14.1,
    latent_multiple_bytes=256,
    provenance=Provenance(
        kind=Kind.DERIVED, source=f"{_LLM_D}: vLLM 0.17 to 0.19 on H100", date="2026-11-28",
        note="sampling from Llama-3.1-8B and Qwen2.5-7B at 1,024 requests; non-torch 0.25 GiB alone, 2.06 to 2.17 "
        "GiB in a group; latents rounded as by VLLM_CUDA_MEM_ALIGN_KV_CACHE, assumed of newer releases too",
    ),
)  # fmt: skip
_VLLM_BEFORE = replace(
    _VLLM, solo_bytes=0.13 * GIB, sampler_bytes=37.2,
    provenance=Provenance(
        kind=Kind.DERIVED, source=f"{_LLM_D}: vLLM 0.15 and 0.16 on H100", date="2026-11-28",
        note="activations of 5.64 GiB at a vocabulary of 151,936 and 4.8 GiB at 128,256, with 1,024 requests",
    ),
)  # fmt: skip
_VLLM_GRAPHS = replace(
    _VLLM, graph_bytes=1.03 * GIB,
    provenance=Provenance(
        kind=Kind.DERIVED, source=f"{_LLM_D}: vLLM 0.19 on H100, pools of CUDA graphs of 0.51 to 1.85 GiB",
        date="2026-11-28", note="that releases from 0.21 on take graphs out of their share is assumed",
    ),
)  # fmt: skip
_SGLANG = replace(
    _VLLM_GRAPHS, share=Share.STATIC, latent_multiple_bytes=1,
    provenance=Provenance(
        kind=Kind.TRANSFERRED, source=f"{_LLM_D}: vLLM", date="2026-11-28",
        note="activations and graphs lie outside the static share; their sizes are vLLM's",
    ),
)  # fmt: skip
_TRTLLM = replace(
    _SGLANG, share=Share.FREE,
    provenance=Provenance(
        kind=Kind.TRANSFERRED, source=f"{_LLM_D}: vLLM", date="2026-11-28",
        note="its share is of the memory that weights and activations leave; their sizes are vLLM's",
    ),
)  # fmt: skip

RELEASES = (
    ("vllm", (0,), _VLLM_BEFORE), ("vllm", (0, 17), _VLLM), ("vllm", (0, 21), _VLLM_GRAPHS),
    ("sglang", (0,), _SGLANG), ("trtllm", (0,), _TRTLLM),
)  # fmt: skip
"""Engine, the first release it holds for, and what that keeps."""


def engine_memory(engine: str, version: str) -> EngineMemory:
    """What a release of an engine keeps; engines without measurements keep what the newest vLLM does.

    Args:
        engine: for example ``vllm``.
        version: for example ``0.24.0``.
    """
    held = [memory for name, since, memory in RELEASES if name == engine and since <= _parts(version)]
    return held[-1] if held else _VLLM_GRAPHS


def _parts(version: str) -> tuple[int, ...]:
    """The leading numbers of a release."""
    found: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found)
