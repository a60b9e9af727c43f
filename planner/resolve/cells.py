"""Fleets in cells: how many there are, and what one of them is asked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from threading import Lock

from planner.capacity.envelope import Option
from planner.errors import BadInput
from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.resolve.cell_rules import undivided
from planner.resolve.drawing import Draw
from planner.resolve.kept import kept
from planner.resolve.workload import Asked
from planner.scenario.objectives import Objective
from workloads.demand import Demand
from workloads.split import share
from workloads.synthesis import expect_drawable
from workloads.traces import Trace

CELL_MACHINES = 64
"""Machines of a cell: a whole machine is 1.6 % of it, and queues of so many are nearly those of more."""

MOST_POOLED = 96
"""Machines up to which a fleet is one pool."""

FEWEST_MACHINES = 4.0
"""Machines that a cell has at least for each phase of each class, or it is made larger."""

_DIVIDED = ("cost_usd_per_h", "power_w", "expected_power_w", "rack_units", "machines")


def cells_of(cases: Sequence[Case]) -> int:
    """Cells of the fleet that answers a question, 1 for one pool.

    As many as the scenario says; else as many as its machines suggest, by the work of its requests alone.

    Args:
        cases: the question in every precision and policy that it leaves open, at least one.

    Raises:
        WorkloadError: one of them would have more requests than one simulation serves.
    """
    scenario, wanted = cases[0].scenario, cases[0].asked
    cells = scenario.policy.cells or (
        1 if undivided(scenario) else min((_suggested(case) for case in cases), default=1)
    )
    rate, count = wanted.rate_req_per_s / cells, wanted.requests / (cells if wanted.draw_cell else 1)
    expect_drawable(count, f"{rate:g} req/s over {count / max(rate, 1e-9):g} s", "a lower workload.rate_req_per_s")
    return cells


def _suggested(case: Case) -> int:
    """Cells that the machines of a case suggest."""
    needed = list(_machines(case))
    if not needed or sum(needed) <= MOST_POOLED:
        return 1
    return max(1, min(ceil(sum(needed) / CELL_MACHINES), int(min(needed) / FEWEST_MACHINES)))


def _machines(case: Case) -> Iterator[float]:
    """Machines that each phase of each class would take, on the options with the best objective for it."""
    limits = case.scenario.headroom_limits()
    for part in case.asked.demand.classes:
        name, work = part.request_class.name, dict[Role, float]()
        for role in Role:
            able = [o for o in case.options if o.spec.role is role and name in o.envelopes]
            each = {o.spec.name: part.rate_req_per_s * _work(o, name) / limits.of(role) for o in able}
            if able:
                best = min(able, key=lambda o: each[o.spec.name] * _price(o, case.scenario.objective))
                work[role] = each[best.spec.name]
        split = [work[role] for role in (Role.PREFILL, Role.DECODE) if role in work]
        both = [work[Role.MIXED]] if Role.MIXED in work else []
        yield from split if len(split) > 1 and (not both or sum(split) < both[0]) else both


def _work(option: Option, name: str) -> float:
    """Seconds of a machine that a request takes."""
    envelope = option.envelopes[name]
    return (envelope.prefill_s + envelope.decode_s) * option.machines_per_instance / option.instances_per_machine


def _price(option: Option, objective: Objective) -> float:
    """What a machine adds to an objective."""
    return {
        Objective.POWER: option.rated_w, Objective.ENERGY: option.rated_w, Objective.CARBON: option.rated_w,
        Objective.MACHINES: 1.0,
    }.get(objective, option.price_usd_per_h)  # fmt: skip


def cell_case(case: Case, cells: int) -> Case:
    """What one of so many equal cells is asked: its share of the requests, of the budgets and of the market."""
    if cells == 1:
        return case
    scenario = case.scenario
    limits = {key: value for key in _DIVIDED if (value := getattr(scenario.budgets, key)) is not None}
    less = {key: value // cells if key == "machines" else value / cells for key, value in limits.items()}
    return replace(
        case, asked=cell_asked(case.asked, cells), looks={}, outages={},
        available={name: count // cells for name, count in case.available.items()},
        scenario=scenario.model_copy(update={"budgets": scenario.budgets.model_copy(update=less)}),
    )  # fmt: skip


def cell_asked(whole: Asked, cells: int) -> Asked:
    """The requests that are sent to one cell.

    A trace that is replayed is divided, so that each cell keeps its minutes: bursts are shared by all cells.
    """
    demand = Demand(
        classes=tuple(replace(c, rate_req_per_s=c.rate_req_per_s / cells) for c in whole.demand.classes)
    )  # fmt: skip
    return replace(
        whole, words=f"{whole.words}, one of {cells} equal cells", rate_req_per_s=whole.rate_req_per_s / cells,
        demand=demand, draw=kept(cell_draws(whole, cells)(0)), requests=whole.requests / cells, divided=True,
        draw_cell=None,
    )  # fmt: skip


def cell_draws(whole: Asked, cells: int) -> Callable[[int], Draw]:
    """Cell -> what draws its requests; with one seed, each request of the fleet is in exactly one cell."""
    if whole.draw_cell is not None:
        return partial(whole.draw_cell, cells)
    last, alone = _Last(whole.draw), whole.growth is not None and len(whole.seeds) == 1

    def draw(cell: int, seed: int, factor: float, times: float) -> Trace:
        same = alone and not whole.grown_at(factor)  # one trace as it is: only the router's chance tells seeds apart
        return share(last.draw(whole.seeds[0] if same else seed, factor, times), cells, cell, seed)

    return lambda cell: partial(draw, cell)


class _Last:
    """A trace of all cells, kept while each of them takes its share."""

    def __init__(self, draw: Draw) -> None:
        """Nothing drawn yet."""
        self._draw, self._lock = draw, Lock()
        self._key: tuple[int, float, float] | None = None
        self._trace: Trace | None = None

    def draw(self, seed: int, factor: float, times: float) -> Trace:
        """The trace, drawn once however many ask for it."""
        with self._lock:
            if self._trace is None or self._key != (seed, factor, times):
                self._trace, self._key = self._draw(seed, factor, times), (seed, factor, times)
            return self._trace


def instances_of_cells(instances: int, cells: int) -> list[int]:
    """How many instances of a pool each cell has: as near to equal as whole ones are, the first cells one more.

    Raises:
        BadInput: some cell would have none.
    """
    if instances < cells:
        raise BadInput(
            f"plan.candidate.cells: found {cells}, {instances} instances of a pool; expected one in each cell"
        )
    return [instances // cells + (cell < instances % cells) for cell in range(cells)]
