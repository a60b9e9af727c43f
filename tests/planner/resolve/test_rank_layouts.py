"""Layouts of attention ranks and experts in a scenario: what is offered, where it stands, what is refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.errors import BadInput
from planner.perf.layout import Role
from planner.policies.base import Occupancy
from planner.policies.batching import Continuous
from planner.policies.cuts import Prompt
from planner.resolve.case import Case, open_case
from planner.resolve.inputs import read_inputs
from planner.resolve.rank_ways import spans
from planner.scenario import Scenario
from planner.scenario.reading import Document, override
from tests.planner.simulator.test_clusters import ranked
from tests.planner.toy import toy_profile

CATALOG = load_catalog()


ASKED: dict[str, Any] = {
    "name": "asked",
    "model": {"name": "deepseek-v3", "dtype": "fp8", "kv_dtype": "fp8", "engine": "trtllm"},
    "workload": {
        "rate_req_per_s": 10,
        "lengths": {
            "prompt": {"median_tokens": 1000, "p95_tokens": 2000}, "output": {"median_tokens": 100, "p95_tokens": 200}
        },
    },
    "slo": {"ttft_p99_s": 5.0, "tpot_p90_s": 0.1},
    "catalog": {"machines": ["gb200-tray"]},
}  # fmt: skip


def question(*words: str) -> Scenario:
    """DeepSeek-V3 on NVL72 trays under TensorRT-LLM, both formats 8-bit."""
    return Scenario.parse(override(Document(data=ASKED, places={}), words))


def split(*words: str) -> Case:
    """The same with phases apart."""
    return open_case(question(*words), "splitwise")


def layouts(case: Case, role: Role = Role.DECODE) -> set[str]:
    """Names of the layouts on offer in a role."""
    return {o.spec.layout.name for o in case.options if o.spec.role is role}


def test_measured_layouts_are_offered_by_default() -> None:
    """A mixture of experts is offered every measured layout: ranks, whole experts, and both over several trays."""
    case = split()
    assert {"tp8", "tp8ep8", "tp1dp8ep8", "tp1dp16ep16", "tp1dp32ep32"} <= layouts(case)
    spanning = {o.spec.layout.name: o.machines_per_instance for o in case.options}
    assert spanning["tp1dp32ep32"] == 8  # trays of four GPUs
    assert case.physics["decode/gb200-tray/tp1dp32ep32"].ranks == 32


def test_lists_narrow_what_is_tried() -> None:
    """``catalog.dp`` and ``catalog.ep`` name the numbers to try; 1 and 1 leaves tensor parallelism."""
    assert layouts(split("catalog.dp=[32]")) == {"tp1dp32ep32"}
    assert layouts(split("catalog.dp=[1]", "catalog.ep=[1]")) == {"tp4", "tp8"}
    assert layouts(split("catalog.ep=[8]")) == {"tp8ep8", "tp1dp8ep8"}


def test_layouts_are_timed_as_measured_clusters_were() -> None:
    """A plan reads a layout with the factors that measured runs of it gave, an entry of the user's own before them."""
    case = split()
    inputs = read_inputs(question())
    profile = case.profiles["decode/gb200-tray/tp1dp8ep8"]
    measured, plain = inputs.timings.of(profile, Role.DECODE), inputs.timings.engines[profile.profile_set]
    assert measured is not plain
    assert case.physics["decode/gb200-tray/tp1dp8ep8"].request_s == measured.request_s > 0


@pytest.mark.parametrize(
    ("machine", "dp", "fits"),
    [("gb200-tray", 16, True), ("gb200-tray", 72, True), ("gb200-tray", 76, False), ("gb200-tray", 6, False),
     ("dgx-h100", 16, True), ("dgx-h100", 12, False), ("gb200-nvl72", 32, False)],
)  # fmt: skip
def test_instances_span_machines_of_a_link_domain(machine: str, dp: int, fits: bool) -> None:
    """A layout wider than a machine fills whole ones, at most those of its rack; boards of eight were joined, too."""
    assert spans(CATALOG.machines[machine], replace(toy_profile(), dp=dp)) is fits


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["catalog.dp=[96]"], r"catalog\.dp: found 96, which takes 96 GPUs; expected at most 72"),
        (["catalog.ep=[96]"], r"catalog\.ep: found 96, which takes 96 GPUs; expected at most 72"),
        (["catalog.dp=[8]", "catalog.tp=[1]", "catalog.ep=[3]"], r"catalog\.ep: found 3; expected a divisor"),
        (["catalog.ep=[3]"], r"catalog\.ep: found 3; expected 1 or 2 or 4 or 8 or 16"),
        (["catalog.dp=[1,5]"], r"catalog\.dp: found 5; expected 1 or 2 or 4 or 8"),
        (["catalog.dp=[0]"], r"catalog\.dp: .*whole numbers"),
        (["catalog.ep=[]"], r"catalog\.ep: .*whole numbers"),
        (["catalog.dp=all"], r"catalog\.dp: .*auto"),
    ],
)
def test_layouts_that_do_not_divide_or_leave_the_domain_are_named(words: list[str], found: str) -> None:
    """``check`` names the key, what was found and what was expected."""
    with pytest.raises(BadInput, match=found):
        read_inputs(question(*words))


@pytest.mark.parametrize("key", ["dp", "ep"])
def test_a_dense_model_has_no_ranks(key: str) -> None:
    """Attention ranks and expert parallelism of a model without experts are refused by name."""
    words = ["model.name=llama-3.1-70b", "model.dtype=bf16", "model.kv_dtype=bf16", "model.engine=vllm"]
    with pytest.raises(BadInput, match=rf"catalog\.{key}: found 8; expected 1: llama-3\.1-70b has no experts"):
        read_inputs(question(*words, f"catalog.{key}=[1, 8]"))


def test_a_policy_that_cuts_prompts_offers_no_ranks() -> None:
    """How engines cut the prompts of ranks is not simulated: such options are excused, not guessed."""
    case = open_case(question("catalog.tp=[1, 8]"), "sarathi")
    assert not [o for o in case.options if o.spec.layout.dp > 1]
    assert any("attention ranks is not simulated" in e.reason for e in case.excuses)


def test_a_rank_holds_the_longest_request_itself() -> None:
    """KV memory is split over ranks: a request that fits the instance and no rank of it is not served there."""
    case = split()
    body = case.physics["decode/gb200-tray/tp1dp8ep8"]
    longest = body.kv_tokens // body.ranks
    words = [f"workload.lengths.prompt={{median_tokens: {longest}, p95_tokens: {longest}}}"]
    assert "tp1dp8ep8" not in layouts(split(*words, "policy.longer_context=true"))


def fullest_tokens(prompts: list[int], ranks: int) -> int:
    """Prompt tokens of the fullest rank where prompts are dealt in rounds, each of which counts with its longest."""
    return sum(max(prompts[first : first + ranks]) for first in range(0, len(prompts), ranks))


@settings(deadline=None)
@given(
    prompts=st.lists(st.integers(1, 1500), min_size=1, max_size=40), ranks=st.integers(1, 9), most=st.integers(1, 4000)
)
def test_a_step_keeps_every_rank_within_the_budget(prompts: list[int], ranks: int, most: int) -> None:
    """A step takes a prompt for each rank, and more only while the fullest rank keeps the budget."""
    rules = Continuous(max_batch_tokens=most).at(None, ranked(ranks, 5000).step)
    idle = Occupancy(0, 0, 0, 1_000_000)
    taken = len(rules.next_step([Prompt(p, p) for p in prompts], idle).chunk_tokens)
    assert taken >= min(ranks, len(prompts))
    assert taken <= ranks or fullest_tokens(prompts[:taken], ranks) <= most
    assert taken == len(prompts) or fullest_tokens(prompts[: taken + 1], ranks) > most
