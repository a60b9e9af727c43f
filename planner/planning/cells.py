"""Fleets in cells: one cell is planned, all of them are bought, and the whole fleet is simulated once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from planner.planning.alternatives import tradeoffs
from planner.planning.grow import grown
from planner.planning.load_margin import margin
from planner.planning.loop import PlanningLoop
from planner.planning.one import told_worth, worth
from planner.planning.plausibility import peak_shares
from planner.planning.refusals import raise_words
from planner.planning.search import Contender, Foreseen, Searched, key_of, search, with_bound
from planner.planning.tighten import totals_of
from planner.resolve.case import Case
from planner.resolve.cells import MOST_POOLED, cell_case, cells_of
from planner.results.cells import Divided
from planner.results.choice import Standing
from planner.results.evidence import Judgement, Neighbour, NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Objective

Progress = Callable[[str, float], None]

MOST_STEPS = 4
"""Times that the cells of a fleet which does not hold as a whole are made larger."""

MOST_IN_A_CELL = 5
"""Times the size of its cells, up to which larger ones are tried where no plan of equal cells was found."""

MOST_COMPARED = 1_000_000
"""Requests of a seed up to which one pool is planned to be compared with; of twice as many it took 40 % of all time."""


def searched_in_cells(
    cases: Sequence[Case], progress: Progress, *, with_margin: bool, drawn_w: float | None,
    foreseen: Foreseen | None = None,
) -> Searched:  # fmt: skip
    """The best plan of equal cells; of one pool where the fleet is small, or is not to be divided."""
    cells = cells_of(cases)
    if cells == 1:
        return search(cases, progress, with_margin=with_margin, drawn_w=drawn_w, foreseen=foreseen)
    parts, drawn = [cell_case(case, cells) for case in cases], None if drawn_w is None else drawn_w / cells
    found = search(parts, progress, with_margin=False, drawn_w=drawn, foreseen=foreseen, cells=cells)
    if isinstance(found.answer, NoPlan):
        return _undivided(cases, found, cells, progress, with_margin=with_margin, drawn_w=drawn_w)
    fleet = [Contender(loop=PlanningLoop(case, progress, drawn_w)) for case in cases]
    whole = next(c for c in fleet if c.key == key_of(found.answer))
    for contender in fleet:
        if contender.loop.serves:
            contender.loop.prove()
    whole.answer = _verified(found, found.answer, whole.loop, cells, with_margin=with_margin)
    if isinstance(whole.answer, ValidatedPlan):
        whole.answer = replace(with_bound(whole.answer, fleet), divided=_divided(whole.answer, whole.loop))
    return Searched(answer=whole.answer, contenders=tuple(fleet))


def _divided(plan: ValidatedPlan, whole: PlanningLoop) -> Divided | None:
    """What one pool would take: planned where a question without cells is, and takes little; else by the program."""
    if plan.candidate.totals.machines <= MOST_POOLED and whole.case.asked.requests <= MOST_COMPARED:
        answer = search([whole.case], whole.progress, with_margin=False, drawn_w=whole.drawn_w).answer
        if isinstance(answer, NoPlan):
            return None
        pool, standing = answer.candidate, Standing.VALIDATED
        value, cells = answer.objective_value, plan.objective_value
    else:
        solution = whole.canonical(whole.problem(plan.candidate.headroom))
        if solution.allocation is None:
            return None
        pool, standing = whole.lifted(solution, plan.candidate.headroom), Standing.BOUND
        value, cells = abs(worth(whole, pool)), abs(worth(whole, plan.candidate))  # both as planned
    more = (cells - value) / max(1e-9, value)
    most = whole.case.scenario.objective is Objective.THROUGHPUT
    return Divided(
        objective_value=value, machines=pool.totals.machines, standing=standing, more_frac=-more if most else more
    )  # fmt: skip


def _undivided(
    cases: Sequence[Case], found: Searched, cells: int, progress: Progress, *, with_margin: bool,
    drawn_w: float | None,
) -> Searched:  # fmt: skip
    """What is said where no equal cells are a plan: nothing of a fleet that need not be divided is proven by that."""
    assert isinstance(found.answer, NoPlan)
    loops = [PlanningLoop(case, progress, drawn_w) for case in cases]
    for loop in loops:
        if loop.serves:
            loop.prove()
    by_choice = cases[0].scenario.policy.cells is not None  # who asks for cells is sold no single pool
    if all(not loop.serves or loop.proven_infeasible for loop in loops) or (cells <= MOST_IN_A_CELL and not by_choice):
        return search(cases, progress, with_margin=with_margin, drawn_w=drawn_w)
    market, raised = (
        {f"availability[{name}]": most for name, most in cases[0].available.items()},
        found.answer.raises.items(),
    )
    words = (
        f"{cells} equal cells are no plan, each with its share of requests, budgets and machines on the market; one "
        "pool was not tried: set policy.cells to 1",
        *(line for line in found.answer.explanation if not line.startswith("raise ")),
        *raise_words({name: (market.get(name, low * cells), high * cells) for name, (low, high) in raised}),
    )
    answer = replace(found.answer, reason="not validated", explanation=words, raises={})
    return replace(found, answer=answer)


def _verified(
    found: Searched, plan: ValidatedPlan, whole: PlanningLoop, cells: int, *, with_margin: bool
) -> ValidatedPlan | NoPlan:
    """A plan of one cell as one of all, once the whole fleet has served; with larger cells where it did not hold."""
    loop = found.loop_of(plan)
    cell, steps = plan.candidate, list(plan.rounds)
    smaller = tuple(_fewer(each, cells) for each in plan.certificate.neighbours)
    for step in range(MOST_STEPS + 1):
        fleet = of_cells(cell, cells, loop)
        judgement = whole.judged(fleet)
        whole.note("whole fleet", fleet, judgement)
        if whole.holds(fleet, judgement) and whole.within_budgets(fleet):
            return _fleet_plan(plan, cell, judgement, whole, loop, smaller, with_margin=with_margin)
        smaller = (_not_enough(fleet, judgement, whole),)
        more = grown(loop, cell, judgement, step)
        if more is None:
            break
        cell = more
    words = f"{cells} cells that hold one by one do not as a whole fleet: " + "; ".join(smaller[0].fails)
    return NoPlan(
        reason="not validated", explanation=(words,), raises={},
        rounds=(*(replace(r, candidate=of_cells(r.candidate, cells, loop)) for r in steps), *whole.rounds),
        excuses=plan.excuses, judgement=judgement,
    )  # fmt: skip


def _fleet_plan(
    plan: ValidatedPlan, cell: CandidatePlan, judgement: Judgement, whole: PlanningLoop, loop: PlanningLoop,
    smaller: tuple[Neighbour, ...], *, with_margin: bool,
) -> ValidatedPlan:  # fmt: skip
    """The plan of a cell, told of the whole fleet."""
    fleet = whole.rounds[-1].candidate
    cells = fleet.cells
    rounds = (*(replace(r, candidate=of_cells(r.candidate, cells, loop)) for r in plan.rounds), *whole.rounds)
    return replace(
        plan, candidate=fleet, objective_value=abs(told_worth(whole, (fleet, judgement))),
        judgement=judgement, rounds=rounds,
        certificate=replace(plan.certificate, neighbours=smaller), alternatives=tradeoffs(whole, fleet),
        peaks=peak_shares(whole.case, fleet, judgement),
        margin=margin(loop, cell) if with_margin else None,
    )  # fmt: skip


def _fewer(neighbour: Neighbour, cells: int) -> Neighbour:
    """A neighbour of a cell, as one of the fleet: all cells are changed alike, and machines are those of the fleet."""
    each = f"{neighbour.machines} in each of {cells} cells" if neighbour.machines else f"in any of {cells} cells"
    return replace(neighbour, pool=f"{neighbour.pool}, {each}", machines=neighbour.machines * cells)


def _not_enough(fleet: CandidatePlan, judgement: Judgement, whole: PlanningLoop) -> Neighbour:
    """A fleet that does not hold, though each of its cells does alone."""
    fails = whole.fails(fleet, judgement) or ("a budget is exceeded",)
    return Neighbour(pool="smaller cells", machines=fleet.totals.machines, judgement=judgement, fails=fails)


def of_cells(cell: CandidatePlan, cells: int, loop: PlanningLoop) -> CandidatePlan:
    """So many times the machines of a cell, for as many times its rates."""
    pools = tuple(
        replace(
            pool, machines=pool.machines * cells, instances=pool.instances * cells,
            rate_req_per_s={name: rate * cells for name, rate in pool.rate_req_per_s.items()},
        )
        for pool in cell.pools
    )  # fmt: skip
    return replace(cell, pools=pools, totals=totals_of(pools, loop.options), cells=cells)
