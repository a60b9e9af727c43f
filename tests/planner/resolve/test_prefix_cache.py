"""A prefix cache in a scenario: work, memory and words follow what is found; what cannot be is refused."""

import json
from pathlib import Path

import pytest

from planner.errors import BadInput
from planner.files.workers import deployment
from planner.perf.layout import Role
from planner.perf.prefixes import caches_of, found
from planner.resolve.case import Case, open_case
from planner.resolve.inputs import read_inputs
from planner.resolve.prefix_cache import prefix_words
from planner.resolve.warnings import doubts
from planner.scenario import Scenario
from planner.scenario.reading import Document, override
from tests.planner import plans
from tests.planner.files.test_manifests import MODEL, candidate, pool, served
from tests.planner.files.test_rank_manifests import RELEASES
from tests.planner.resolve.test_rank_layouts import ASKED
from workloads.prefixes import IDEAL

TOKENS = 2048


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of conversations of two turns: of the second, three of four blocks were in the first."""
    path = tmp_path_factory.mktemp("traces") / "turns.jsonl"
    rows = []
    for talk in range(60):
        own = [1000 + 10 * talk + n for n in range(4)]
        for turn, blocks in enumerate((own[:3], own)):
            rows.append({"timestamp": 1000 * (2 * talk + turn), "input_length": 512 * len(blocks), "output_length": 40,
                         "hash_ids": blocks})  # fmt: skip
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def question(*words: str, trace: Path | None = None) -> Scenario:
    """A dense model with phases apart, drawn or replayed."""
    workload = {"trace": str(trace)} if trace else ASKED["workload"]
    data = {**ASKED, "model": {"name": "llama-3.1-70b"}, "workload": workload, "catalog": {"machines": ["hgx-h200"]}}
    return Scenario.parse(override(Document(data=data, places={}), ["catalog.tp=[4]", *words]))


def split(*words: str, trace: Path | None = None) -> Case:
    """The same, resolved."""
    return open_case(question(*words, trace=trace), "splitwise")


def prefill_s(case: Case) -> float:
    """Work of a prompt."""
    (option,) = [o for o in case.options if o.spec.role is Role.PREFILL]
    return option.envelopes["all"].prefill_s


def test_nothing_is_kept_unless_it_is_asked_for(hashed: Path) -> None:
    """Without the key prompts are computed in full, and the answer says what a cache would save."""
    case = split(trace=hashed)
    assert all(body.prefix_tokens == 0 for body in case.physics.values())
    assert any("an ideal prefix cache would leave" in words for words in case.asked.doubts)
    trace = case.asked.draw(1, 1.0, 1.0)
    assert found([(body, 1) for body in case.physics.values()], trace) is trace


def test_what_is_found_is_not_computed(hashed: Path) -> None:
    """Three blocks of four of every second prompt: 43 % of the tokens are found, and as much work is spared."""
    without, ideal = split(trace=hashed), split("prefix_cache.gib=ideal", trace=hashed)
    trace = ideal.asked.draw(1, 1.0, 1.0)
    body = ideal.physics["prefill/hgx-h200/tp4"]
    told = found([(body, 3)], trace)
    assert told.cached_tokens is not None
    assert told.cached_tokens.sum() / trace.prompt_tokens.sum() == pytest.approx(3 / 7, abs=0.01)
    assert prefill_s(ideal) < 0.75 * prefill_s(without)
    assert not any("computes every prompt" in words for words in ideal.asked.doubts)


def test_instances_give_memory_for_what_they_keep() -> None:
    """An instance that computes prompts gives the cache's share, one that only decodes none; an ideal one is free."""
    words = ("prefix_cache.hit_frac=0.5",)
    plain, some, ideal = split(), split("prefix_cache.gib=40", *words), split("prefix_cache.gib=ideal", *words)
    name = "prefill/hgx-h200/tp4"
    given = plain.physics[name].kv_tokens - some.physics[name].kv_tokens
    assert given == pytest.approx(40 * 2**30 / plain.physics[name].kv_bytes_per_token, abs=32)
    assert some.physics[name].prefix_tokens == pytest.approx(given, abs=32)
    assert some.physics["decode/hgx-h200/tp4"].kv_blocks == plain.physics["decode/hgx-h200/tp4"].kv_blocks
    assert ideal.physics[name].kv_blocks == plain.physics[name].kv_blocks
    assert caches_of([(some.physics[name], 3)]) == (some.physics[name].prefix_tokens,) * 3
    assert caches_of([(ideal.physics[name], 3)]) == IDEAL


def test_a_stated_rate_holds_for_every_prompt() -> None:
    """A rate of a half leaves half of each prompt; turns leave the last of them; none of it is more than all."""
    case = split("prefix_cache.gib=ideal", "prefix_cache.hit_frac=0.5")
    trace = case.asked.draw(1, 1.0, 1.0)
    assert trace.cached_tokens is not None
    assert (trace.cached_tokens == trace.prompt_tokens // 2).all()
    whole = split("prefix_cache.gib=ideal", "prefix_cache.hit_frac=1").asked.draw(1, 1.0, 1.0)
    assert whole.cached_tokens is not None
    assert (whole.cached_tokens == whole.prompt_tokens - 1).all()
    turns = split("prefix_cache.gib=ideal", "prefix_cache.turns=4").asked.draw(1, 1.0, 1.0)
    assert turns.cached_tokens is not None
    shares = turns.cached_tokens / turns.prompt_tokens
    assert 0.4 < shares.mean() < 0.54  # the mean of 0, 1/2, 2/3 and 3/4 is 0.48
    assert prefill_s(case) < 0.7 * prefill_s(split())


def test_a_tier_on_the_host_keeps_more_and_takes_time(hashed: Path) -> None:
    """The host's memory adds room and takes none of the GPUs'; loading is paid as tokens computed meanwhile."""
    near, far = (
        split("prefix_cache.gib=1", trace=hashed),
        split("prefix_cache.gib=1", "prefix_cache.host_gib=9", trace=hashed),
    )
    one, both = (case.physics["prefill/hgx-h200/tp4"] for case in (near, far))
    assert both.prefix_tokens == pytest.approx(10 * one.prefix_tokens)
    assert both.kv_blocks == one.kv_blocks
    assert 0 < both.prefix_load_frac < 0.1
    trace = far.asked.draw(1, 1.0, 1.0)
    hits = [found([(body, 1)], trace).cached_tokens for body in (both, one)]
    assert hits[0] is not None
    assert hits[1] is not None
    assert 0.9 * hits[1].sum() < hits[0].sum() < hits[1].sum()  # all of it fits one GiB here


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["prefix_cache.gib=2000", "prefix_cache.hit_frac=0.5"], r"prefix_cache\.gib: found 2000; expected at most 1,"),
        (
            ["prefix_cache.gib=2", "prefix_cache.host_gib=1e12", "prefix_cache.hit_frac=0.5"],
            r"prefix_cache\.host_gib: found 1e\+12; expected at most 2,048",
        ),
        (["prefix_cache.gib=10", "prefix_cache.hit_frac=1.5"], r"prefix_cache\.hit_frac: found 1\.5"),
        (["prefix_cache.gib=10", "prefix_cache.hit_frac=-0.5"], r"prefix_cache\.hit_frac: found -0\.5"),
        (["prefix_cache.gib=10"], r"prefix_cache: found no hash_ids"),
        (["prefix_cache.gib=0"], r"prefix_cache\.gib: .*GiB above 0"),
        (["prefix_cache.gib=all"], r"prefix_cache\.gib: .*ideal"),
        (["prefix_cache.hit_frac=0.5"], r"prefix_cache.*expected gib beside"),
        (["prefix_cache.gib=9", "prefix_cache.hit_frac=0.5", "prefix_cache.turns=3"], r"one of hit_frac and turns"),
        (["prefix_cache.gib=9", "prefix_cache.hit_frac=0.5", "policy.name=splitwise-sim"], r"beside policy\.name"),
    ],
)
def test_caches_that_cannot_be_are_named(words: list[str], named: str) -> None:
    """``check`` names the key: larger than memory, rates outside 0 to 1, nothing to tell what is found."""
    with pytest.raises(BadInput, match=named):
        read_inputs(question(*words))


def test_a_cache_that_leaves_no_room_is_an_excuse() -> None:
    """A layout whose memory goes to the cache is refused in words, others stay."""
    case = split("prefix_cache.gib=500", "prefix_cache.hit_frac=0.5", "catalog.tp=[4,8]")
    assert {o.spec.layout.tp for o in case.options if o.spec.role is Role.PREFILL} == {8}
    assert any(e.option == "prefill/hgx-h200/tp4" and e.bottleneck == "memory" for e in case.excuses)


@pytest.mark.parametrize(
    ("engine", "on", "off"),
    [("vllm", "--enable-prefix-caching", "--no-enable-prefix-caching"), ("sglang", "", "--disable-radix-cache"),
     ("trtllm", '"enable_block_reuse": true', '"enable_block_reuse": false')],
)  # fmt: skip
def test_manifests_turn_the_cache_on_where_prompts_are_computed(engine: str, on: str, off: str) -> None:
    """Prefill workers keep prefixes, decode workers do not; a tier on the host is told, no flag holds it."""
    plan = candidate(pool(Role.PREFILL, 1, 1, tp=8), pool(Role.DECODE, 1, 1, tp=8))
    ways = served(plan, engine=engine, engine_version=RELEASES[engine])
    asked = plans.scenario().changed(["prefix_cache.gib=10", "prefix_cache.hit_frac=0.5", "prefix_cache.host_gib=90"])
    made = deployment(plan, asked, model=MODEL, served=ways)
    keeps, forgets = (" ".join(worker.arguments) for worker in made.workers)
    assert on in keeps.replace("--no-enable", "")
    assert off not in keeps
    assert off in forgets
    assert any("offloading connector" in words for words in made.differences)


@pytest.mark.parametrize(("gib", "least"), [("1e-3", True), ("40", False)])
def test_loads_planned_with_an_ideal_cache_are_told_as_the_least(hashed: Path, gib: str, least: bool) -> None:
    """The program must not refuse what a cache might carry; where one finds less, its loads are said to be lower."""
    case = split(f"prefix_cache.gib={gib}", trace=hashed)
    body = case.physics["prefill/hgx-h200/tp4"]
    (words,) = prefix_words(case.scenario.prefix_cache, case.asked.draw(1, 1.0, 1.0), [(body, 1)])
    assert ("at least so much" in words) == least


@pytest.mark.slow
def test_plans_say_what_is_found(hashed: Path) -> None:
    """A plan with a cache says its hit rate beside that of an ideal one."""
    from planner.planning.plan import plan
    from planner.results.evidence import ValidatedPlan

    case = split("prefix_cache.gib=1", trace=hashed)
    answer = plan(question("prefix_cache.gib=1", "policy.name=splitwise", trace=hashed), progress=lambda *_: None)
    assert isinstance(answer, ValidatedPlan)
    assert any("prefix cache: 4" in words and "(an ideal cache: 4" in words for words in doubts(case, answer.candidate))
