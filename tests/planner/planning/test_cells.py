"""Plans of fleets in cells."""

from dataclasses import replace

import pytest

from planner.planning.choices import Depth
from planner.planning.load_margin import unsure_of_load
from planner.planning.plan import picture, plan, simulate
from planner.report.plans import plan_page
from planner.report.screen import facts
from planner.results.choice import Standing
from planner.results.evidence import Margin, NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan
from tests.planner.small import small
from workloads.counts import percent

CELLS = ("policy.cells=3", "policy.name=splitwise", "workload.rate_req_per_s=240")


def _silent(_words: str, _done: float) -> None: ...


@pytest.fixture(scope="module")
def found() -> ValidatedPlan:
    """A plan in three cells."""
    answer = plan(small(*CELLS), progress=_silent, with_margin=False)
    assert isinstance(answer, ValidatedPlan), answer
    return answer


def test_a_plan_is_so_many_times_a_cell(found: ValidatedPlan) -> None:
    """Machines, instances and totals are those of all cells; evidence is that of the whole fleet."""
    assert found.candidate.cells == 3
    for pool in found.candidate.pools:
        assert pool.machines % 3 == pool.instances % 3 == 0
    assert found.candidate.totals.machines == sum(pool.machines for pool in found.candidate.pools)
    assert found.objective_value == pytest.approx(found.candidate.totals.cost_usd_per_h)
    assert found.judgement.valid
    assert found.judgement.arrived == pytest.approx(240 * found.judgement.horizon_s, rel=0.05)
    assert found.judgement.pooled is not None
    assert found.judgement.pooled.fleet_cells == 3


def test_bound_of_a_fleet_in_cells_is_that_of_any_fleet(found: ValidatedPlan) -> None:
    """What is proven holds for one pool too: it is no multiple of what a cell needs."""
    alone = plan(small(*CELLS, "policy.cells=1"), progress=_silent, with_margin=False)
    assert isinstance(alone, ValidatedPlan)
    bound = found.certificate.bound
    assert bound is not None
    assert bound == pytest.approx(alone.certificate.bound)
    assert bound <= alone.objective_value <= found.objective_value * (1 + 1e-9)


def test_the_simulator_says_the_same_of_a_plan_read_back(found: ValidatedPlan) -> None:
    """``simulate`` serves a plan in its cells; one instance more in one cell is a plan with unequal cells."""
    assert simulate(small(*CELLS), found.candidate, progress=_silent) == found.judgement
    uneven = _uneven(found.candidate)
    said = simulate(small(*CELLS), uneven, progress=_silent)
    assert said.arrived == found.judgement.arrived
    assert said.pools != found.judgement.pools


def _uneven(candidate: CandidatePlan) -> CandidatePlan:
    """One instance more in the first cell."""
    pool, *others = candidate.pools
    more = replace(pool, instances=pool.instances + 1, machines=pool.machines + 1)
    return replace(candidate, pools=(more, *others))


def test_no_equal_cells_within_a_budget_prove_nothing(found: ValidatedPlan) -> None:
    """A budget that the cells asked for cannot keep is not called impossible, and no single pool is sold instead."""
    machines = found.candidate.totals.machines - 1
    answer = plan(small(*CELLS, f"budgets.machines={machines}"), progress=_silent, with_margin=False)
    assert isinstance(answer, NoPlan)
    assert answer.reason == "not validated"
    assert "3 equal cells are no plan" in answer.explanation[0]
    assert "set policy.cells to 1" in answer.explanation[0]


def test_one_pool_of_many_requests_is_not_planned_to_be_compared_with(
    found: ValidatedPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program says what one pool takes at the loads of the plan, where simulating it would take as long as that."""
    monkeypatch.setattr("planner.planning.cells.MOST_COMPARED", 0)
    told = plan(small(*CELLS), progress=_silent, with_margin=False)
    assert isinstance(told, ValidatedPlan)
    assert told.divided is not None
    assert told.divided.standing is Standing.BOUND
    assert told.divided.objective_value <= told.objective_value * (1 + 1e-9)
    assert told.candidate == found.candidate


def test_what_dividing_costs_is_stated(found: ValidatedPlan) -> None:
    """Beside the plan in cells stands the one pool of the same precision and policy, and how much less it takes."""
    alone = plan(small(*CELLS, "policy.cells=1"), progress=_silent, with_margin=False)
    assert isinstance(alone, ValidatedPlan)
    assert found.divided is not None
    assert found.divided.standing is Standing.VALIDATED
    assert found.divided.objective_value == pytest.approx(alone.objective_value)
    assert found.divided.more_frac == pytest.approx(found.objective_value / alone.objective_value - 1)
    assert alone.divided is None
    told = dict(facts(found))["Cells"]
    assert f"{percent(found.divided.more_frac)} more than one pool" in told
    bound = replace(found.divided, standing=Standing.BOUND, more_frac=-0.25)
    assert "25 % less" in dict(facts(replace(found, divided=bound)))["Cells"]


def test_a_plan_without_room_for_more_load_is_sold_with_a_warning() -> None:
    """No load margin is a doubt that stands first; some margin, or none looked for, is none."""
    none = Margin(holds_ratio=1.0, misses_ratio=1.02, fails=("ttft_p99_s missed",))
    (words,) = unsure_of_load(none)
    assert words.startswith("no load margin: at 1.02 times the load ttft_p99_s missed")
    assert not unsure_of_load(replace(none, holds_ratio=1.1, misses_ratio=1.2))
    assert not unsure_of_load(None)


def test_reports_say_how_many_cells(found: ValidatedPlan) -> None:
    """The first screen names the cells, the evidence what dividing costs; a picture is of one cell."""
    question = small(*CELLS)
    page = plan_page(found, question, picture(question, found.candidate, progress=_silent))
    each = found.candidate.totals.machines // 3
    assert f"3 cells of {each} machines" in page.about
    told = " ".join(line for s in page.sections for b in s.blocks for line in getattr(b, "lines", ()))
    assert "as one pool" in told


def test_alternatives_of_a_fleet_are_priced_in_as_many_cells() -> None:
    """A row of the table that was not searched comes to so many times a cell's optimum, and is called a bound."""
    question = small(*CELLS, "policy.name=[splitwise, colocated]")
    found = plan(question, progress=_silent, with_margin=False, depth=Depth.SHORT)
    assert isinstance(found, ValidatedPlan)
    assert found.candidate.cells == 3
    chosen, *others = sorted(found.choices, key=lambda row: row.standing is not Standing.CHOSEN)
    assert chosen.machines == found.candidate.totals.machines
    assert others
    for row in others:
        assert row.standing is Standing.BOUND
        assert row.machines % 3 == 0


@pytest.mark.parametrize("rate", [240, 1200])
def test_smaller_fleets_beside_it_count_machines_of_the_fleet_and_of_a_cell(rate: int) -> None:
    """What a smaller fleet misses is told with its machines in all cells, and those of each cell beside."""
    words = ("policy.cells=2", f"workload.rate_req_per_s={rate}", "catalog.machines=[dgx-a100]")
    found = plan(small(*words), progress=_silent, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    for each in found.certificate.neighbours:
        assert each.machines == found.candidate.totals.machines - 2
        inside = f"{each.machines // 2} in each of 2 cells" if each.machines else "in any of 2 cells"
        assert each.pool.endswith(f", {inside}")
    assert found.certificate.neighbours
