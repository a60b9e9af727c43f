"""Rules of what can be deployed: weights, longest request, flags by engine release, KV transfer."""

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.engine_flags import FLAGS, flags_of
from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import load_profiles
from planner.errors import BadInput
from planner.files.engine_arguments import Instance, arguments, problems
from planner.files.workers import deployment
from planner.perf.deploying import (
    ROUNDED_TOKENS,
    context_tokens,
    known_weights,
    load_limits,
    pool_limits,
    transfer_limits,
)
from planner.perf.layout import Layout, Role
from planner.planning.plan import check, plan
from planner.resolve.case import open_case
from planner.resolve.weights import check_named
from planner.results.evidence import ValidatedPlan
from planner.results.precision import Served
from tests.planner.small import small
from workloads.models import alike, known_models, load_model

DOCS = Path(__file__).parents[3] / "docs" / "export.md"


@cache
def _ways() -> tuple[tuple[str, Served], ...]:
    """Every packaged model in every precision on every engine release that its kernels were measured with."""
    found: dict[tuple[str, Served], None] = {}
    for name in known_models():
        model = load_model(name)
        try:
            profiles = load_profiles(None, model=name)
        except CatalogError:  # no kernels of it ship
            continue
        for p in profiles:
            weights = known_weights(model, p.dtype, None)
            way = Served(
                pool="one", dtype=p.dtype, kv_dtype=p.kv_dtype, engine=p.engine, engine_version=p.engine_version,
                checkpoint=weights.repository if weights else "", stored=weights.stored.name if weights else "",
                method=weights.method if weights else "", scaled_kv=(weights.kv_dtype or "") if weights else "",
                longest_tokens=2000, context_tokens=2048,
            )  # fmt: skip
            found[name, way] = None
    return tuple(found)


def _instance(way: Served, layout: Layout, role: Role = Role.MIXED, *, cuts: bool = True) -> Instance:
    return Instance(
        role=role, layout=layout, served=way, step_tokens=512, cuts_prompts=cuts, requests=64, block_tokens=16,
        memory_frac=0.9,
    )  # fmt: skip


def _pairs(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Flags with their values, empty for switches."""
    for place, word in enumerate(words):
        if word.startswith("--"):
            after = words[place + 1] if place + 1 < len(words) else ""
            yield word, "" if after.startswith("--") else after


def test_every_model_is_started_or_refused() -> None:
    """Every packaged model, precision and engine has flags that its release knows, or a refusal with a key to set."""
    started, refused = set(), set()
    layouts = (Layout(tp=1), Layout(tp=4, pp=2), Layout(tp=8, ep=8))
    for (name, way), layout, role, cuts in product(_ways(), layouts, Role, (True, False)):
        at = _instance(way, layout, role, cuts=cuts)
        if found := problems(at):
            assert all(" model." in words for words in found), found
            refused.add((name, way.dtype, way.engine))
            continue
        started.add((name, way.dtype, way.engine))
        known = {flag.name: flag.values for flag in flags_of(way.engine, way.engine_version)}
        for flag, value in _pairs(arguments(at)):
            assert flag in known
            assert not known[flag] or value in known[flag], (flag, value)
    assert len(started) > 30  # so that the law is about something
    assert {engine for *_, engine in started} == {"vllm", "sglang", "trtllm"}
    assert {("gpt-3-175b", "bf16", "vllm"), ("codellama-34b", "fp8", "vllm")} <= refused


def test_weights_have_the_precision_of_the_plan() -> None:
    """No known checkpoint of a model stands for another number format, whatever the plan asks for."""
    for name, dtype in product(known_models(), ("bf16", "fp16", "fp8", "fp4", "int8", "int4")):
        found = known_weights(load_model(name), dtype, None)
        assert found is None or (found.repository and alike(found.dtype, dtype))


def test_formats_are_told_as_each_engine_says_them() -> None:
    """ModelOpt checkpoints name their method, others say it themselves; no format of the plan is taken for a method."""
    methods = {
        (name, way.engine): dict(_pairs(arguments(_instance(way, Layout(tp=2))))).get("--quantization")
        for name, way in _ways()
        if way.dtype == "fp4" and not problems(_instance(way, Layout(tp=2)))
    }
    assert methods["llama-3.1-70b", "vllm"] == "modelopt_fp4"
    assert methods["gpt-oss-120b", "vllm"] is None
    assert "fp4" not in methods.values()


def test_kv_in_the_format_of_the_plan() -> None:
    """A checkpoint that brings scales for an 8-bit KV cache does not change the format that was planned with."""
    way = next(w for name, w in _ways() if (name, w.dtype, w.kv_dtype, w.engine) == ("llama-3.1-70b", "fp4", "bf16",
                                                                                   "vllm"))  # fmt: skip
    assert dict(_pairs(arguments(_instance(way, Layout(tp=2)))))["--kv-cache-dtype"] == "bfloat16"
    other = next(w for name, w in _ways() if (name, w.dtype, w.kv_dtype, w.engine) == ("llama-3.1-70b", "fp4", "bf16",
                                                                                     "trtllm"))  # fmt: skip
    assert any("set model.kv_dtype=fp8" in words for words in problems(_instance(other, Layout(tp=2))))


def test_overrides_are_json() -> None:
    """What TensorRT-LLM has no flag for is one JSON document, which its wrapper reads."""
    way = next(w for _, w in _ways() if w.engine == "trtllm" and not problems(_instance(w, Layout(tp=2))))
    found = json.loads(dict(_pairs(arguments(_instance(way, Layout(tp=2), Role.PREFILL))))["--override-engine-args"])
    assert found["kv_cache_config"]["enable_block_reuse"] is False
    assert found["cache_transceiver_config"] == {"backend": "DEFAULT"}
    assert found["disable_overlap_scheduler"] is True


def test_releases_that_are_none_have_no_flags() -> None:
    """The year of a paper is no release, and neither is one older than the table."""
    assert not flags_of("vllm", "2023")
    assert not flags_of("vllm", "0.9.2")
    assert flags_of("vllm", "0.14.0")
    assert not flags_of("nanogpt-xformers", "2023")


def test_the_page_holds_the_table() -> None:
    """docs/export.md lists every flag under its engine, with what it carries, the values it may have and its source."""
    page = DOCS.read_text(encoding="utf-8")
    sources = dict(re.findall(r"^(\d+)\. (.+)$", page.partition("\nSources:\n\n")[2], re.MULTILINE))
    for flag in FLAGS:
        part = page.partition(f"**{flag.engine}**, since {flag.since} [")[2].partition("]:\n\n")
        values = ", ".join(f"`{value}`" for value in flag.values)
        told = f"- `{flag.name}`: {flag.sets}" + (f" ({values})" if values else "")
        lines = [line for line in part[2].partition("\n\n")[0].splitlines() if line.startswith(told)]
        assert [sources.get(line.removeprefix(told).strip(" []") or part[0]) for line in lines] == [flag.source]


@given(
    longest=st.integers(1, 200_000),
    part=st.floats(0.01, 1),
    spare=st.integers(0, 300_000),
    most=st.integers(1, 200_000),
)
def test_longest_request_is_taken_and_fits(longest: int, part: float, spare: int, most: int) -> None:
    """An engine takes what its pool holds, up to the model's maximum, and is never asked for more than its memory."""
    needed = max(1, int(longest * part))
    held = needed + spare
    found = context_tokens(longest, needed, held, most)
    assert min(needed, most) <= found <= min(held, most)
    if held >= longest + ROUNDED_TOKENS and most >= longest + ROUNDED_TOKENS:
        assert longest <= found < longest + ROUNDED_TOKENS


@pytest.mark.parametrize(
    ("engine", "model", "prefill", "decode", "expected"),
    [
        ("vllm", "llama-3.1-70b", Layout(tp=4), Layout(tp=4), ()),
        ("vllm", "llama-3.1-70b", Layout(tp=2), Layout(tp=8), ()),
        ("vllm", "llama-3.1-70b", Layout(tp=8), Layout(tp=2), (False,)),
        ("vllm", "deepseek-v3", Layout(tp=8), Layout(tp=4), ()),  # latent KV is the same on every GPU
        ("vllm", "qwen3-235b-a22b", Layout(tp=8), Layout(tp=4), (True,)),  # 4 KV heads
        ("vllm", "qwen3-235b-a22b", Layout(tp=4), Layout(tp=8), (True,)),
        ("vllm", "qwen3-235b-a22b", Layout(tp=8), Layout(tp=8), ()),
        ("vllm", "llama-3.1-70b", Layout(tp=6), Layout(tp=4), (True, False)),
        ("vllm", "llama-3.1-70b", Layout(tp=4, pp=2), Layout(tp=4), (True,)),
        ("sglang", "qwen3-32b", Layout(tp=2), Layout(tp=1), (False,)),
        ("sglang", "qwen3-32b", Layout(tp=2), Layout(tp=2), ()),
        ("trtllm", "qwen3-32b", Layout(tp=2), Layout(tp=1), ()),
    ],
)
def test_kv_travels_where_the_engine_moves_it(
    engine: str, model: str, prefill: Layout, decode: Layout, expected: tuple[bool, ...]
) -> None:
    """NIXL's limits: no stages, sizes that divide, no copied heads if sizes differ; prefill above decode is told."""
    assert tuple(limit.refused for limit in transfer_limits(engine, load_model(model), prefill, decode)) == expected


@pytest.mark.parametrize(("layout", "loads"), [(Layout(tp=4), True), (Layout(tp=8), False), (Layout(tp=8, ep=8), True)])
def test_blocks_of_scales_stay_whole(layout: Layout, loads: bool) -> None:
    """Qwen3-235B's 8-bit experts of width 1,536 load on 4 GPUs and not on 8, unless experts stay whole."""
    model = load_model("qwen3-235b-a22b")
    assert loads is not bool([*load_limits(model, model.checkpoint("fp8"), layout)])
    assert not pool_limits(model, None, "vllm", [(Role.MIXED, layout)])


@pytest.mark.parametrize("named", ["Qwen/Qwen3-32B", "Qwen/Qwen3-14B-FP8", "qwen3-32b", "/data/weights", "a/b/c"])
def test_weights_known_to_be_others_are_refused(named: str) -> None:
    """A repository of another model or precision, or no repository, is named with its key."""
    with pytest.raises(BadInput, match=r"model\.checkpoint"):
        check_named(named, "qwen3-32b", ["fp8"])
    check_named("Qwen/Qwen3-32B-FP8", "qwen3-32b", ["fp8"])
    check_named("example/own-fp8", "qwen3-32b", ["fp8"])


def test_check_and_plan_say_what_keeps_from_deploying() -> None:
    """Pairs of layouts over which KV does not travel, and weights that nobody is known to have published."""
    split = small("policy.name=splitwise", "catalog.tp=[4, 8]", "catalog.machines=[dgx-h100]")
    told = [words for words in check(split).warnings if "27274" in words]
    assert told == [words for words in told if words.startswith("prefill tp8 to decode tp4: ")]
    assert len(told) == 1
    unknown = small("model.name=codellama-34b", "model.dtype=fp8", "catalog.machines=[dgx-h100]")
    assert any("no public checkpoint of codellama-34b in fp8" in words for words in check(unknown).warnings)
    with pytest.raises(BadInput, match=r"model\.checkpoint"):
        open_case(small("model.checkpoint=Qwen/Qwen3-32B"), "colocated")


def test_a_plan_knows_its_weights_and_longest_request() -> None:
    """What is exported names the checkpoint and a longest request that holds the workload's."""
    scenario = small("catalog.machines=[dgx-h100]")
    found = plan(scenario, progress=lambda _words, _done: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    made = deployment(found, scenario, model=load_model("llama-3.1-8b"))
    asked = open_case(scenario, "colocated").asked.demand.classes
    longest = max(int((c.prompt_tokens + c.output_tokens).max()) for c in asked)
    flags = dict(_pairs(made.workers[0].arguments))
    assert made.model == "meta-llama/Llama-3.1-8B-Instruct"
    assert longest <= int(flags["--max-model-len"]) < longest + ROUNDED_TOKENS


def test_tiers_are_served_by_priority_or_refused() -> None:
    """A plan with tiers starts vLLM with its priority scheduler; no flag of another engine is known to do the same."""
    classes = "workload.classes=[{name: a, share_frac: 0.5, priority: 1}, {name: b}]"
    for engine in ("vllm", "sglang"):
        question = small(classes, f"model.engine={engine}")
        made = plan(question, progress=lambda *_: None, with_margin=False)
        assert isinstance(made, ValidatedPlan)
        if engine == "sglang":
            with pytest.raises(BadInput, match=r"set model\.engine to vllm"):
                deployment(made, question, model=load_model("llama-3.1-8b"))
            continue
        ready = deployment(made, question, model=load_model("llama-3.1-8b"))
        assert ("--scheduling-policy", "priority") in set(_pairs(ready.workers[0].arguments))
        assert any("priority of each request" in words for words in ready.differences)
