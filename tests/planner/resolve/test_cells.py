"""What one cell of a fleet is asked, and when a fleet is divided."""

import numpy as np
import pytest

from planner.errors import BadInput
from planner.planning.plan import check
from planner.resolve.case import open_case
from planner.resolve.cells import cell_asked, cell_case, cell_draws, cells_of, instances_of_cells
from planner.resolve.workload import asked
from tests.planner.small import small


def test_a_cell_has_its_share_of_requests_budgets_and_market() -> None:
    """Everything that is limited for the whole fleet is divided; whole machines are rounded down."""
    question = small("budgets.machines=11", "budgets.cost_usd_per_h=90", "catalog.available={dgx-h100: 7}")
    whole = open_case(question, "splitwise")
    cell = cell_case(whole, 4)
    assert cell.scenario.budgets.machines == 2
    assert cell.scenario.budgets.cost_usd_per_h == 22.5
    assert cell.scenario.budgets.machine_types == whole.scenario.budgets.machine_types
    assert cell.available == {"dgx-h100": 1}
    rates = [sum(c.rate_req_per_s for c in case.asked.demand.classes) for case in (whole, cell)]
    assert rates[1] == pytest.approx(rates[0] / 4)
    assert cell_case(whole, 1) is whole


@pytest.mark.parametrize("process", ["poisson", "diurnal", "gamma"])
def test_the_cells_of_a_fleet_are_sent_what_the_fleet_is(process: str) -> None:
    """Rates of all cells add up to that of the fleet, and the spread of their gaps follows from the process."""
    more = {
        "gamma": ["workload.arrivals={process: gamma, cv: 3}"],
        "diurnal": ["workload.arrivals={process: diurnal, peak_to_mean_ratio: 1.5, period_s: 5}"],
    }
    words = (*more.get(process, []), "workload.rate_req_per_s=200")
    wanted = asked(small(*words))
    sent = [cell_draws(wanted, 4)(cell)(1, 1.0, 1.0) for cell in range(4)]
    assert sum(map(len, sent)) == pytest.approx(wanted.requests, rel=0.4 if process == "gamma" else 0.15), (
        "gamma: 3 times the error of counts"
    )
    if process == "gamma":  # one draw, divided: bursts are shared, and each request is in one cell
        whole = wanted.draw(1, 1.0, 1.0)
        np.testing.assert_array_equal(np.sort(np.concatenate([t.arrival_s for t in sent])), whole.arrival_s)


def test_more_seeds_of_a_cell_are_other_draws() -> None:
    """A drawn cell has other requests under another seed."""
    draw = cell_asked(asked(small("workload.arrivals={process: gamma, cv: 3}", "validation.seeds=1")), 3).draw
    assert not np.array_equal(draw(1, 1.0, 1.0).prompt_tokens[:50], draw(2, 1.0, 1.0).prompt_tokens[:50])


def test_small_fleets_are_one_pool_and_large_ones_are_divided() -> None:
    """Up to some hundred machines there is one pool; a rate a thousand times as high is divided; 1 says one pool."""
    few, many = small(), small("workload.rate_req_per_s=400000")
    assert cells_of([open_case(few, "splitwise")]) == 1
    assert cells_of([open_case(many, "splitwise")]) > 8
    alone = small("workload.rate_req_per_s=20000", "policy.cells=1")
    assert cells_of([open_case(alone, "splitwise")]) == 1


@pytest.mark.parametrize(
    "beside", ["availability.target_frac=0.99", "power.row_limit_w=40000", "policy.name=splitwise-sim"]
)
def test_what_cells_are_not_known_with_is_refused(beside: str) -> None:
    """A question that asks for cells beside something that is not simulated in cells is refused, by check too."""
    with pytest.raises(BadInput, match=r"policy\.cells: found 2"):
        check(small("policy.cells=2", beside))


def test_instances_are_spread_over_cells_as_evenly_as_they_go() -> None:
    """A plan that was edited to one instance fewer has cells that differ by one; each has one at least."""
    assert instances_of_cells(11, 3) == [4, 4, 3]
    with pytest.raises(BadInput, match="found 3, 2 instances of a pool"):
        instances_of_cells(2, 3)
