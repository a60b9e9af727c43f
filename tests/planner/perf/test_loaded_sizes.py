"""Memory as engines report it."""

from pathlib import Path

import pytest

from hw_catalog.engine_memory import Share, engine_memory
from planner.perf.kv import EngineSettings, activation_bytes, kv_tokens
from planner.perf.layout import Layout
from tests.planner.loaded_sizes import FAR, GPU_BYTES, ROWS, Row, table
from workloads.models import load_model

DOCUMENT = Path(__file__).parents[3] / "docs" / "memory.md"


@pytest.mark.parametrize("row", [r for r in ROWS if (r.what, r.public) not in FAR], ids=lambda r: f"{r.public:g}")
def test_sizes_agree_with_public_logs(row: Row) -> None:
    """Weights and KV tokens are within 5 % of what engines logged; those further off are named in the table."""
    assert row.ours == pytest.approx(row.public, rel=0.05)


def test_most_rows_chose_no_constant() -> None:
    """At least fifteen rows agree within 5 %, most of them held out."""
    near = [r for r in ROWS if abs(r.ours / r.public - 1) <= 0.05]
    assert len(near) >= 15
    assert sum(not r.used for r in near) >= 12


def test_the_document_prints_the_table() -> None:
    """The table of docs/memory.md is what `python -m tests.planner.loaded_sizes` prints."""
    assert table() in DOCUMENT.read_text(encoding="utf-8")


def test_a_release_keeps_what_it_kept() -> None:
    """The newest entry that a release has reached holds for it; unknown engines are sized like the newest vLLM."""
    old, new = engine_memory("vllm", "0.16.0"), engine_memory("vllm", "0.19.1")
    assert old.sampler_bytes > new.sampler_bytes
    assert engine_memory("vllm", "0.24.0").graph_bytes > new.graph_bytes
    assert engine_memory("nanogpt", "2023") == engine_memory("vllm", "0.99")
    assert engine_memory("sglang", "0.5.10").share is Share.STATIC


def test_no_gpu_holds_more_gpt_oss_than_was_seen() -> None:
    """On one H100 at 0.9 of its memory gpt-oss-120b leaves at most the 78,384 tokens seen in public logs."""
    tokens = kv_tokens(
        load_model("gpt-oss-120b"), engine_memory("vllm", "0.24.0"),
        EngineSettings(memory_frac=0.9, max_batch_tokens=2048), hbm_bytes=GPU_BYTES["H100"], layout=Layout(tp=1),
        dtype="fp4", kv_dtype="bf16",
    )  # fmt: skip
    assert 40_000 < tokens <= 78_384


def test_a_static_share_leaves_activations_outside() -> None:
    """SGLang's share holds weights and KV alone: as long as the rest of memory holds them, activations cost nothing."""
    engine = engine_memory("sglang", "0.5")
    least, more = (engine.kv_bytes(80e9, 0.9, 20e9, working, 2) for working in (0.0, 5e9))
    assert least == more
    assert engine.kv_bytes(80e9, 0.9, 20e9, 20e9, 2) < least


def test_a_free_share_is_of_what_is_left() -> None:
    """Of the memory that weights and activations leave, TensorRT-LLM gives its share to KV."""
    engine = engine_memory("trtllm", "1.0")
    whole, part = (engine.kv_bytes(80e9, frac, 20e9, 1e9, 1) for frac in (1.0, 0.5))
    assert part == pytest.approx(whole / 2)


def test_more_requests_or_tokens_need_more_room() -> None:
    """Activations grow with the tokens of a step and the requests sampled together, and are divided by GPUs."""
    model, engine = load_model("llama-3.1-8b"), engine_memory("vllm", "0.24.0")

    def held(tokens: int, requests: int, tp: int = 1) -> float:
        settings = EngineSettings(memory_frac=0.9, max_batch_tokens=tokens, max_batch_size=requests)
        return activation_bytes(model, engine, Layout(tp=tp), settings, dtype="bf16")

    assert held(8192, 1024) == held(2048, 1024) > held(8192, 64) > held(2048, 64)
    assert held(65536, 64, tp=4) < held(65536, 64)
