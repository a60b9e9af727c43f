"""Manifests of attention ranks, experts and formats: in each engine's own words, or refused by name."""

from dataclasses import replace

import pytest
import yaml

from planner.errors import BadInput
from planner.files.stacks import dynamo, llm_d
from planner.files.workers import deployment
from planner.perf.layout import Role
from tests.planner import plans
from tests.planner.files.test_manifests import MODEL, candidate, deployed, pool, served

RELEASES = {"vllm": "0.24.0", "sglang": "0.5.14", "trtllm": "1.3.0rc20"}


def words(engine: str, *, machines: int = 1, **layout: int) -> str:
    """Arguments of the prefill workers of a plan."""
    plan = candidate(pool(Role.PREFILL, machines, 1, **layout), pool(Role.DECODE, 1, 1, tp=8))
    return " ".join(deployed(plan, engine=engine, engine_version=RELEASES[engine]).workers[0].arguments)


def test_every_engine_counts_ranks_in_its_own_way() -> None:
    """Engines count ranks beside tensor parallelism (vLLM), or all GPUs and their use (SGLang, TensorRT-LLM)."""
    vllm = words("vllm", tp=1, dp=8, ep=8)
    assert "--tensor-parallel-size 1 --data-parallel-size 8 --enable-expert-parallel" in vllm
    assert "--max-num-seqs 256" in vllm  # of each rank
    sglang = words("sglang", tp=2, dp=4, ep=8)
    assert "--tp-size 8 --dp-size 4 --enable-dp-attention --ep-size 8" in sglang
    assert "--max-running-requests 1024" in sglang  # of all ranks
    trtllm = words("trtllm", tp=1, dp=8, ep=8)
    assert "--tensor-parallel-size 8 --enable-attention-dp --expert-parallel-size 8" in trtllm
    assert "--max-batch-size 256" in trtllm  # of each rank


@pytest.mark.parametrize("engine", RELEASES)
def test_one_rank_needs_no_word(engine: str) -> None:
    """Tensor parallelism alone is started as before."""
    assert "dp" not in words(engine, tp=8).replace("--disaggregation", "")
    assert "data-parallel" not in words(engine, tp=8)


@pytest.mark.parametrize(
    ("engine", "machines", "layout", "found"),
    [
        ("vllm", 1, {"tp": 8, "ep": 4}, "found 4 expert-parallel ways on 8 GPUs"),
        ("vllm", 2, {"tp": 1, "dp": 16, "ep": 16}, "found 16 attention ranks on 2 machines"),
        ("trtllm", 1, {"tp": 2, "dp": 4, "ep": 8}, "found 4 attention ranks of 2 GPUs"),
    ],
)
def test_layouts_without_words_are_refused(engine: str, machines: int, layout: dict[str, int], found: str) -> None:
    """What an engine's flags cannot say is refused by name, with the key that helps."""
    with pytest.raises(BadInput, match=rf"prefill/dgx-h100/.*layout: {found}.*set catalog"):
        words(engine, machines=machines, **layout)


def test_stacks_take_ranks_or_refuse_them() -> None:
    """Dynamo starts an instance over several machines; the values of llm-d hold no ranks, which it says."""
    plan = candidate(pool(Role.PREFILL, 2, 1, tp=1, dp=16, ep=16), pool(Role.DECODE, 1, 1, tp=8))
    assert "nodeCount: 2" in dynamo(deployed(plan, engine="sglang", engine_version=RELEASES["sglang"]))
    ranked = candidate(pool(Role.PREFILL, 1, 1, tp=1, dp=8, ep=8), pool(Role.DECODE, 1, 1, tp=8))
    with pytest.raises(BadInput, match="llm-d: found attention ranks in prefill"):
        llm_d(deployed(ranked))


def test_phases_start_weights_of_their_own() -> None:
    """Under TensorRT-LLM each phase loads its checkpoint, and both answer to one name; vLLM is refused two of them."""
    plan = candidate(pool(Role.PREFILL, 1, 1, tp=8), pool(Role.DECODE, 1, 1, tp=8))
    formats = {"prefill": "fp8", "decode": "bf16"}

    def exported(engine: str) -> str:
        ways = [
            replace(way, dtype=dtype, checkpoint=MODEL.checkpoint(dtype).repository)
            for way in served(plan, engine=engine, engine_version=RELEASES[engine])
            for dtype in [formats[way.pool.partition("/")[0]]]
        ]
        return dynamo(deployment(plan, plans.scenario(), model=MODEL, served=ways))

    text = exported("trtllm")
    _, *workers = yaml.safe_load(text)["spec"]["components"]
    told = [each["podTemplate"]["spec"]["containers"][0]["args"] for each in workers]
    wanted = [MODEL.checkpoint(formats[role]).repository for role in ("prefill", "decode")]
    assert [args[args.index("--model-path") + 1] for args in told] == wanted
    assert {args[args.index("--served-model-name") + 1] for args in told} == {wanted[1]}
    assert f"Weights: {wanted[0]} (prefill), {wanted[1]} (decode)." in text
    with pytest.raises(BadInput, match=r"checkpoint: found .* and .* in one plan; expected the same in every pool"):
        exported("vllm")


def test_an_engine_is_told_to_take_memory_as_it_goes() -> None:
    """TensorRT-LLM keeps its own admission unless the plan was simulated without it; others have no word for it."""
    plan = candidate(pool(Role.MIXED, 1, 1, tp=8))
    for engine, admission, said in (("trtllm", "auto", 0), ("trtllm", "as-needed", 1), ("vllm", "as-needed", 0)):
        asked = plans.scenario().changed([f"policy.kv_admission={admission}"])
        ways = served(plan, engine=engine, engine_version=RELEASES[engine])
        told = " ".join(deployment(plan, asked, model=MODEL, served=ways).workers[0].arguments)
        assert told.count('"capacity_scheduler_policy": "MAX_UTILIZATION"') == said
