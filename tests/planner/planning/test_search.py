"""The search over precision, engine and policy, and the table of what else there was."""

from dataclasses import replace
from itertools import pairwise

import pytest

from planner.planning.choices import MOST_ROWS, Depth
from planner.planning.loop import PlanningLoop
from planner.planning.one import First
from planner.planning.plan import plan, simulation
from planner.planning.search import Contender, Searched, key_of, overtaken, search
from planner.report.choices import best_others
from planner.report.plans import plan_page
from planner.resolve.case import open_case
from planner.results.choice import Choice, Standing
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario import Scenario
from planner.scenario.objectives import Objective
from planner.scenario.policy_section import SPLIT
from tests.planner.small import small

FREE = (
    "policy.name=auto",
    "model.dtype=any",
    "model.kv_dtype=any",
    "catalog.machines=[dgx-h100]",
    "workload.rate_req_per_s=400",
)
BUDGET = ("objective=throughput", "budgets.cost_usd_per_h=45")


def _silent(_words: str, _done: float) -> None: ...


def _planned(scenario: Scenario, depth: Depth = Depth.NONE) -> ValidatedPlan:
    answer = plan(scenario, progress=_silent, with_margin=False, depth=depth)
    assert isinstance(answer, ValidatedPlan)
    return answer


@pytest.mark.parametrize("goal", [(), BUDGET])
def test_more_freedom_costs_no_more_than_the_stated_gap(goal: tuple[str, ...]) -> None:
    """Whatever one precision or policy alone can do, the search over all does within its gap; its bound holds."""
    free = _planned(small(*FREE, *goal))
    sign = -1 if free.objective == Objective.THROUGHPUT else 1
    for fixed in ("policy.name=colocated", "policy.name=splitwise", "model.dtype=null", "model.engine=vllm"):
        alone = plan(small(*FREE, *goal, fixed), progress=_silent, with_margin=False)
        if isinstance(alone, NoPlan):
            continue
        assert free.certificate.bound is not None
        assert free.certificate.gap_frac is not None
        assert sign * free.certificate.bound <= sign * alone.objective_value * (1 + sign * 1e-6)
        lost = sign * (free.objective_value - alone.objective_value) / free.objective_value
        assert lost <= free.certificate.gap_frac + 1e-6


def test_a_certificate_says_among_what_it_holds() -> None:
    """With several precisions or policies the plan names each of them; with one of each the verdict already does."""
    free = _planned(small(*FREE))
    assert any("sarathi" in words for words in free.certificate.among)
    assert free.candidate.variant is not None
    assert any(words.startswith(free.candidate.variant.words) for words in free.certificate.among)
    assert _planned(small("model.engine=vllm")).certificate.among == ()


def test_a_plan_is_simulated_in_the_precision_it_was_made_for() -> None:
    """The plan of an open question has the same evidence when it is simulated again."""
    scenario = small(*FREE)
    found = _planned(scenario)
    again = simulation(scenario, found.candidate, progress=_silent).judgement
    assert again.evidence == found.judgement.evidence


def test_rows_of_the_table_say_what_speaks_for_them() -> None:
    """The plan is a row; what the question keeps out is marked; with every row simulated none is a bound alone."""
    scenario = small("model.dtype=bf16", "catalog.machines=[dgx-h100]", "workload.rate_req_per_s=400")
    short, full = (_planned(scenario, depth).choices for depth in (Depth.SHORT, Depth.FULL))
    for rows in (short, full):
        (chosen,) = (row for row in rows if row.standing is Standing.CHOSEN)
        assert chosen.allowed
        assert all(one.objective_value <= other.objective_value for one, other in pairwise(rows))
        assert any(row.variant.dtype == "fp8" and not row.allowed for row in rows)
        assert all(row.bound is None or row.bound <= row.objective_value * (1 + 1e-6) for row in rows)
    assert len(full) > len(short)
    assert any(row.standing is Standing.BOUND for row in short)
    assert all(row.standing is not Standing.BOUND for row in full)
    assert {row.policy for row in full} == {"colocated", "sarathi", "splitwise"}
    chosen = next(row for row in short if row.standing is Standing.CHOSEN)
    own = [row.policy in SPLIT for row in short if row.variant == chosen.variant]
    assert sorted(own) == [False, True]  # split and not split are always compared, and no third policy is priced


def test_money_of_prompts_and_outputs_adds_up_to_the_machines() -> None:
    """All simulated prompt and output tokens, at their prices, cost what the machines do, though few meet every limit.

    The tokens of the requests that the simulator served are not those of the planned rates. Objectives are percentiles
    of all: at a limit that half of all gaps keep, most requests have one gap beyond it.
    """
    scenario = small(
        "catalog.machines=[dgx-h100]", "workload.rate_req_per_s=400", "slo={ttft_p99_s: 1, tbt_p50_s: 0.006}"
    )
    found = _planned(scenario, Depth.SHORT)
    seen = found.judgement
    assert seen.attainment_frac < 0.9
    assert seen.prompt_tokens_per_s is not None
    assert seen.good_prompt_tokens_per_s is not None
    assert seen.good_prompt_tokens_per_s < seen.prompt_tokens_per_s
    (row,) = (row for row in found.choices if row.standing is Standing.CHOSEN)
    assert row.usd_per_million_prompt_tokens is not None
    assert row.usd_per_million_output_tokens is not None
    total = (
        (
            row.usd_per_million_prompt_tokens * seen.prompt_tokens_per_s
            + row.usd_per_million_output_tokens * seen.output_tokens_per_s
        )
        * 3600
        / 1e6
    )
    assert total == pytest.approx(row.cost_usd_per_h)


def test_a_buyer_reads_what_another_precision_would_cost() -> None:
    """The first screen names the best row that the question keeps out, with its price and whether it was simulated."""
    scenario = small("model.dtype=bf16", "catalog.machines=[dgx-h100]", "workload.rate_req_per_s=400")
    found = _planned(scenario, Depth.SHORT)
    kept_out = [row for row in found.choices if not row.allowed]
    row: Choice = next((row for row in kept_out if row.simulated), kept_out[0])
    said = dict(plan_page(found, scenario).facts)["Alternatives"]
    assert said == best_others(found)[0]
    own = next(each for each in found.choices if each.standing is Standing.CHOSEN)
    assert (row.variant.dtype if row.variant.dtype != own.variant.dtype else row.policy) in said
    assert ("not simulated" if row.standing is Standing.BOUND else str(row.standing)) in said
    assert any("fp8 weights" in line for line in best_others(found))


def test_nothing_is_said_to_be_saved_by_what_was_not_simulated() -> None:
    """Few rows that the question keeps out are simulated; the line on one that was not names no percentage."""
    found = _planned(
        small("model.dtype=bf16", "catalog.machines=[dgx-h100]", "workload.rate_req_per_s=400"), Depth.SHORT
    )
    assert sum(row.simulated for row in found.choices if not row.allowed) <= MOST_ROWS
    for standing, percent in ((Standing.BOUND, False), (Standing.REFUSED, False), (Standing.VALIDATED, True)):
        rows = tuple(row if row.allowed else replace(row, standing=standing) for row in found.choices)
        assert ("%" in best_others(replace(found, choices=rows))[0]) == percent


def test_a_better_plan_that_is_allowed_becomes_the_answer() -> None:
    """What a table finds later and the question allows takes the answer's place; what is worse does not."""
    scenario = small(*FREE)
    cases = [open_case(scenario, name) for name in ("colocated", "sarathi", "splitwise")]
    searched = search(cases, _silent, with_margin=False, drawn_w=None)
    best = searched.answer
    assert isinstance(best, ValidatedPlan)
    assert overtaken(searched, best, with_margin=False) is None
    (chosen,) = (c for c in searched.contenders if c.answer is best or c.key == key_of(best))
    dearer = replace(best, objective_value=best.objective_value * 2, candidate=replace(best.candidate, policy="other"))
    later = [Contender(loop=chosen.loop, start=First(held=(best.candidate, best.judgement), searched=True))]
    renamed = replace(chosen.loop.case, policy=replace(chosen.loop.case.policy, name="other"))
    other = Contender(loop=PlanningLoop(renamed, _silent), answer=dearer)
    found = overtaken(Searched(answer=dearer, contenders=(other, *later)), dearer, with_margin=False)
    assert found is not None
    assert isinstance(found.answer, ValidatedPlan)
    assert found.answer.objective_value <= best.objective_value * (1 + 1e-9)
