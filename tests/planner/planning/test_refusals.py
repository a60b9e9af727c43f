"""What a refusal says first: how near the options come, what would help, and nothing twice."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from planner.planning.plan import plan
from planner.planning.refusals import of_several, raise_words, raised, unserved
from planner.report.plans import no_plan_page
from planner.report.words import raised as raised_words
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
        (str(n), "bf16", replace(NONE, explanation=tuple(lines), excuses=(_missed(near[n]),)))
        for n, lines in enumerate(said)
    ]
    found = [line.split(": ", 1) for line in of_several([*answers, ("", "bf16", NONE)]).explanation]
    assert [line for _, line in found] == list(dict.fromkeys(line for _, line in found))
    whole = {(who, line) for names, line in found for who in names.split(", ")}
    assert whole == {(str(n), line) for n, lines in enumerate(said) for line in lines}
    first = min(range(len(said)), key=lambda n: near[n])
    assert str(first) in found[0][0].split(", ")


@given(
    said=st.lists(
        st.tuples(st.sampled_from("ps"), st.sampled_from("xyz"), LINES), min_size=2, unique_by=lambda a: a[:2]
    )
)
def test_a_line_names_those_who_say_it_or_those_who_do_not(said: list[tuple[str, str, list[str]]]) -> None:
    """Of several precisions a line that all share names none, and one that most share names the few that do not."""
    every = {(policy, variant) for policy, variant, _ in said}
    answers = [(p, v, replace(NONE, explanation=tuple(lines))) for p, v, lines in said]
    assume(len({variant for _, variant in every}) > 1)
    for line in of_several(answers).explanation:
        own = next(words for _, _, lines in said for words in lines if line.endswith(words))
        names, saying = line.removesuffix(own), {(p, v) for p, v, lines in said if own in lines}
        shown = set()
        for part in filter(None, names.removeprefix("all but ").removesuffix(": ").split("; ")):
            variant, policies = part.removesuffix(")").split(" (")
            shown |= {(policy, variant) for policy in policies.split(", ")}
        assert len(shown) <= len(every) / 2
        assert (every - shown if names.startswith("all but ") or not names else shown) == saying


@given(
    told=st.lists(
        st.tuples(
            st.sampled_from(("infeasible", "not validated", "no plan in time")),
            st.dictionaries(st.sampled_from("abc"), st.floats(1, 9)),
        ),
        min_size=1,
    )
)
def test_the_raise_of_several_is_the_least_of_any(told: list[tuple[str, dict[str, float]]]) -> None:
    """What one precision needs is enough for the question, however final its refusal is beside the others'."""
    answers = [
        (str(n), "", replace(NONE, reason=reason, raises={name: (2.0, 2.0 * share) for name, share in each.items()}))
        for n, (reason, each) in enumerate(told)
    ]
    found = of_several(answers)
    assert raised(found.raises) == min(raised(answer.raises) for _, _, answer in answers)
    if all(answer.reason == "infeasible" for _, _, answer in answers):
        assert found.reason == "infeasible"


@given(
    row=st.sampled_from(("cost", "power", "expected_power", "rack_units", "availability[dgx-h100]")),
    limit=st.floats(0.01, 1e7), more_frac=st.floats(1e-5, 2.0),
)  # fmt: skip
def test_a_raise_reads_as_one_and_is_enough(row: str, limit: float, more_frac: float) -> None:
    """What is needed never reads like the limit it is beyond, nor as less than it is, in the table and in the words."""
    needed = limit * (1 + more_frac)
    told = raised_words(row, limit, needed)
    low, high = (_read(words) for words in told)
    assert low < high
    if row in ("cost", "power", "expected_power"):
        assert high >= needed * (1 - 1e-9)
    said = raise_words({row: (limit, needed)})[0].split(" from ")[1].split(" to at least ")
    assert float(said[0]) < float(said[1])
    assert float(said[1]) >= needed * (1 - 1e-9)


def test_a_budget_as_the_plan_prints_it_is_told_apart_from_what_is_needed() -> None:
    """$16.7928 is printed as $16.79: a reader who sets that must not read that 16.79 is needed."""
    assert raised_words("cost", 16.79, 16.7928) == ("$16.79/h", "$16.80/h")
    assert raised_words("cost", 20.398, 20.3984) == ("$20.398/h", "$20.3984/h")
    assert raised_words("power", 12999.0, 13000.0) == ("12999 W", "13000 W")
    assert raise_words({"power": (1.5e6, 1.53e6)}) == ["raise budgets.power_w from 1500000 to at least 1530000"]


def _read(words: str) -> float:
    """The number that is read: of dollars, watts, or a count."""
    return float(words.strip("$").removesuffix("/h").split(" ")[0].replace(",", "")) * (1e3 if "kW" in words else 1)


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
