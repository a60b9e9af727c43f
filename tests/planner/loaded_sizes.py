"""Loaded sizes and KV-token counts from public logs; docs/memory.md prints them beside ours.

Rows marked ``used`` chose a constant of ``hw_catalog.engine_memory`` or ``workloads.formats``; the others chose none.
"""

from dataclasses import dataclass

from hw_catalog.engine_memory import engine_memory
from planner.perf.kv import EngineSettings, kv_tokens
from planner.perf.layout import Layout
from workloads.models import ModelSpec, load_model, model_from_config

GIB = 2**30
GPU_BYTES = {"H100": 81559 * 2**20, "H200": 143771 * 2**20, "B200": 183359 * 2**20}

_LLM_D = "llm-d-planner, accuracy/accuracy_report.md"
_QWEN3_8B = {
    "model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936,
    "max_position_embeddings": 40960,
}  # fmt: skip
_DEEPSEEK_V2_LITE = {
    "model_type": "deepseek_v2", "num_hidden_layers": 27, "hidden_size": 2048, "num_attention_heads": 16,
    "vocab_size": 102400, "max_position_embeddings": 163840, "kv_lora_rank": 512, "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128, "v_head_dim": 128, "intermediate_size": 10944, "moe_intermediate_size": 1408,
    "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One number of a public log."""

    what: str
    model: str | dict[str, object]
    dtype: str
    tp: int
    public: float
    source: str
    pp: int = 1
    gpu: str = "H100"
    engine: str = "vllm"
    version: str = "0.19.0"
    frac: float = 0.95
    kv_dtype: str = "bf16"
    step_tokens: int = 8192
    requests: int = 1024
    used: bool = False

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return load_model(self.model) if isinstance(self.model, str) else model_from_config(self.model, "config")

    @property
    def ours(self) -> float:
        """Our number: GiB of weights on a GPU, or KV tokens of the instance."""
        if self.what == "weights, GiB a GPU":
            return self.spec.gpu_weight_bytes(self.dtype, self.tp, self.pp) / GIB
        return kv_tokens(
            self.spec, engine_memory(self.engine, self.version),
            EngineSettings(
                memory_frac=self.frac, max_batch_tokens=self.step_tokens, max_batch_size=self.requests
            ),
            hbm_bytes=GPU_BYTES[self.gpu], layout=Layout(tp=self.tp, pp=self.pp), dtype=self.dtype,
            kv_dtype=self.kv_dtype,
        )  # fmt: skip


def _weights(
    model: str | dict[str, object], dtype: str, tp: int, gib: float, source: str, *, used: bool = False
) -> Row:
    return Row("weights, GiB a GPU", model, dtype, tp, gib, source, used=used)


ROWS = (
    _weights("llama-3.1-8b", "bf16", 1, 14.99, _LLM_D),
    _weights("llama-3.1-8b", "bf16", 4, 3.77, _LLM_D),
    _weights("llama-3.1-8b", "fp8", 1, 8.49, _LLM_D),
    _weights("qwen2.5-7b", "bf16", 1, 14.25, _LLM_D),
    _weights("qwen3-14b", "bf16", 1, 27.52, _LLM_D),
    _weights(_QWEN3_8B, "bf16", 1, 15.27, _LLM_D),
    _weights(_DEEPSEEK_V2_LITE, "bf16", 8, 3.97, "vLLM log, DeepSeek-Coder-V2-Lite on eight A100 (public repository)"),
    _weights("llama-3.1-405b", "fp8", 8, 57.752, "vllm-project/vllm issue 6746"),
    _weights("gpt-oss-120b", "fp4", 1, 64.38, "vllm-project/vllm issue 33155", used=True),
    _weights("deepseek-v3", "fp8", 8, 79.41, "HabanaAI/vllm-fork issue 809"),
    _weights("deepseek-v3", "fp4", 4, 94.50, "SGLang log, DeepSeek-R1-FP4 on four B200 (sgl-project/sglang)"),
    Row("KV tokens", "llama-3.1-8b", "bf16", 1, 476_016, _LLM_D, used=True),
    Row("KV tokens", "llama-3.1-8b", "bf16", 1, 952_032, _LLM_D, kv_dtype="fp8"),
    Row("KV tokens", "llama-3.1-8b", "fp32", 1, 175_296, _LLM_D, kv_dtype="fp32"),
    Row("KV tokens", "qwen2.5-7b", "bf16", 1, 1_096_000, _LLM_D, used=True),
    Row("KV tokens", "qwen2.5-7b", "bf16", 1, 2_192_000, _LLM_D, kv_dtype="fp8"),
    Row("KV tokens", "qwen3-14b", "bf16", 1, 274_842, f"{_LLM_D}: 33.55 requests of 8,192", used=True,
        version="0.15.0"),
    Row("KV tokens", "qwen3-14b", "bf16", 1, 297_124, f"{_LLM_D}: 36.27 requests of 8,192", version="0.17.0"),
    Row("KV tokens", "qwen3-14b", "bf16", 1, 296_387, f"{_LLM_D}: 36.18 requests of 8,192", version="0.18.0"),
    Row("KV tokens", "qwen3-235b-a22b", "fp8", 4, 367_404, "vllm-project/vllm issue 21348", engine="sglang",
        version="0.4", frac=0.93),
    Row("KV tokens", "deepseek-v3", "fp8", 8, 561_122, "count under vLLM's defaults, quoted at second hand", gpu="H200",
        frac=0.9, version="0.24.0", step_tokens=2048, requests=256, used=True),
    Row("KV tokens", "qwen3-235b-a22b", "fp8", 4, 178_880, "vllm-project/vllm issue 21348", version="0.9.0", frac=0.9),
)  # fmt: skip


FAR = {
    ("weights, GiB a GPU", 3.97): "an old release, which kept more copies of latent projections",
    ("KV tokens", 178_880): "profiled together with a KV connector; ours is on the safe side",
}
"""Rows that we miss by more than 5 %, and why."""


def table() -> str:
    """The list in docs/memory.md: rows that chose a constant are marked, sources are numbered below it."""
    sources = tuple(dict.fromkeys(row.source for row in ROWS))
    lines = []
    for row in ROWS:
        name = row.model if isinstance(row.model, str) else NAMES[str(row.model["num_hidden_layers"])]
        counted = row.what == "KV tokens"
        formats = f"{row.dtype}, {row.kv_dtype} KV, {row.engine} {row.version}" if counted else row.dtype
        digits = 2 if row.public < 1000 else 0
        lines.append(
            f"- {name} {formats}, {row.tp}x{row.gpu}: {row.public:,.{digits}f}, {row.ours:,.{digits}f} "
            f"{'tokens' if counted else 'GiB'} ({row.ours / row.public - 1:+.1%}{'*' if row.used else ''}) "
            f"[{sources.index(row.source) + 1}]"
        )
    return "\n".join([*lines, "", *(f"{number}. {source}" for number, source in enumerate(sources, 1))])


NAMES = {"36": "Qwen3-8B", "27": "DeepSeek-V2-Lite"}

if __name__ == "__main__":
    print(table())  # noqa: T201
