"""What a refusal says first: how near the options come, what would help, and nothing twice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.planning.plan import plan
from planner.planning.refusals import of_all, raised, unserved
from planner.report.plans import no_plan_page
from planner.resolve.case import open_case
from planner.results.evidence import Excuse, NoPlan
from planner.scenario import Scenario
from tests.planner.small import small

NONE = NoPlan(reason="infeasible", explanation=(), raises={}, rounds=(), excuses=(), judgement=None)
LINES = st.lists(st.sampled_from(("no option", "a: slow", "b: slow", "c: small")), min_size=1, unique=True)


def _refused(scenario: Scenario) -> NoPlan:
    answer = plan(scenario, progress=lambda _words, _done: None, with_margin=False)
    assert isinstance(answer, NoPlan)
    return answer


def test_the_nearest_option_is_named_first() -> None:
    """Of options that miss a limit the one that misses it by least comes right after the verdict."""
    lines = unserved(
        open_case(small("slo.ttft_p90_s=0.001", "slo.tbt_p90_s=null", "catalog.tp=[1,2,4,8]"), "colocated")
    )
    assert lines[0] == "no option can serve all"
    missed = [line for line in lines if " on an idle instance" in line]
    took = [float(line.split("ttft_p90_s is ")[1].split(" s ")[0]) for line in missed]
    assert len(took) > 2
    assert took == sorted(took)
    assert lines[1] == missed[0]


def test_a_limit_on_tokens_is_said_beside_what_a_token_takes() -> None:
    """An option that no batch saves says which objective allows how much."""
    lines = unserved(open_case(small("slo.tbt_p90_s=0.0001"), "colocated"))
    assert any("alone, a token takes" in line and "tbt_p90_s allows 0.0001 s" in line for line in lines)


def test_options_of_one_reason_are_told_in_one_line() -> None:
    """What is equally true of every chunk size is said once, with how many options it is true of."""
    refused = ("policy.name=sarathi", "model.name=llama-3.1-70b", "catalog.tp=[2]", "catalog.machines=[dgx-a100]")
    lines = unserved(
        open_case(small(*refused, "workload.lengths.prompt={median_tokens: 90000, p95_tokens: 100000}"), "sarathi")
    )
    assert len(lines) == len(set(lines))
    assert any(" more: its " in line and "KV memory" in line for line in lines)


@given(said=st.lists(LINES, min_size=1, max_size=4), near=st.lists(st.floats(1, 9), min_size=4, max_size=4))
def test_several_refusals_say_everything_once_the_nearest_first(said: list[list[str]], near: list[float]) -> None:
    """No line of any policy is lost or said twice, each names all who say it, and the nearest policy begins."""
    answers = [
        (str(n), replace(NONE, explanation=tuple(lines), excuses=(_missed(near[n]),))) for n, lines in enumerate(said)
    ]
    found = [line.split(": ", 1) for line in of_all(answers)]
    assert [line for _, line in found] == list(dict.fromkeys(line for _, line in found))
    whole = {(who, line) for names, line in found for who in names.split(", ")}
    assert whole == {(str(n), line) for n, lines in enumerate(said) for line in lines}
    first = min(range(len(said)), key=lambda n: near[n])
    assert str(first) in found[0][0].split(", ")


def _missed(over_ratio: float) -> Excuse:
    return Excuse(option="a", reason="slow", bottleneck="latency", over_ratio=over_ratio)


def test_a_first_look_counts_the_reasons_that_it_leaves_out() -> None:
    """A refusal of dozens of options fits a screen, and says how many more reasons there are."""
    scenario = small("policy.name=auto", "catalog.tp=[1,2,4,8]", "slo.ttft_p90_s=0.001", "model.engine=any")
    answer = _refused(scenario)
    page = no_plan_page(answer, scenario)
    text = "\n".join(str(block) for block in page.screen(100))
    left = len(answer.explanation) - 1 - 8
    assert left > 0
    assert f"{left} more reasons: --verbose" in text


@given(raises=st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(1, 9)), min_size=2, max_size=4))
def test_of_several_raises_the_least_is_asked_for(raises: list[dict[str, float]]) -> None:
    """Fewer budgets come before more, of as many the smaller share, and a refusal that names none comes last."""
    found = [{name: (2.0, 2.0 * share) for name, share in each.items()} for each in raises]
    best = min(found, key=raised)
    some = [each for each in found if each]
    assert (not best) == (not some)
    assert all(len(best) <= len(each) for each in some)
    assert all(sum(n for _, n in best.values()) <= sum(n for _, n in e.values()) for e in some if len(e) == len(best))


def test_the_headline_asks_for_no_more_than_the_cheapest_policy() -> None:
    """Where every policy needs more than the budget, the least of what they need is what is asked for."""
    answer = _refused(small("policy.name=[colocated, splitwise]", "budgets.cost_usd_per_h=1"))
    needs = [float(line.rsplit(" ", 1)[1]) for line in answer.explanation if "raise budgets.cost_usd_per_h" in line]
    assert len(needs) == 2
    assert answer.raises["cost"][1] == pytest.approx(min(needs), rel=1e-4)
