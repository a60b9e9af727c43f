"""Why there is no schedule: the fewest budgets to raise for the busiest epoch, proven by least work or estimated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.formulate import EPOCH_BUDGET_FAMILIES, EpochQuestion, epoch_problem
from planner.formulate.epoch_question import of_type
from planner.resolve.epoch_options import ANY, epoch_options
from planner.results.schedule import FleetType, scoped
from planner.results.timetable import Timetable
from planner.scenario.sections import HeadroomSection
from planner.schedules.joint import joined
from planner.schedules.question import Opened, alone, question_of
from solvers.allocation import Reason, Solution
from solvers.elastic import NotProven, StillInfeasible, smallest_raise
from solvers.problem import Problem, Row
from solvers.solve import solve
from workloads.counts import from_to, rounded_up

Solver = Callable[[Problem], Solution]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A limit that the busiest epoch passes.

    Attributes:
        key: of the scenario.
        given: its value.
        least: that it must be at least; of budgets beside the others of the refusal.
        parts: what each of several models takes of it at least, a full sentence; empty of one model.
        instead: raising it is enough in place of the one before: of machines one type stands in for another.
        beside: it has to be raised together with the one before.
    """

    key: str
    given: float
    least: float
    parts: str = ""
    instead: bool = False
    beside: bool = False

    @property
    def words(self) -> str:
        """A full sentence."""
        joined = "or " * self.instead or "and " * self.beside
        given, least = from_to(self.given, self.least)
        return f"{joined}raise {self.key} from {given} to at least {least}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no schedule was found.

    Attributes:
        proven: no batching serves the busiest epoch within the budgets, by the least work of its requests.
        raises: budgets and stock, with what they must be at least.
        more: what else there is to say, full sentences.
    """

    proven: bool
    raises: tuple[Raised, ...]
    more: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Full sentences: what to raise, what each model takes of it, and the rest."""
        parts = (each.parts for each in self.raises)
        return (*(each.words for each in self.raises), *filter(None, parts), *self.more)


def refused(found: Timetable, asked: Opened, enough: Callable[[Refusal], Refusal] | None = None) -> Timetable:
    """No schedule, with what the budgets lack where the solver proved that its program has none.

    Args:
        found: the answer.
        asked: its question.
        enough: finds how much of what is lacking is enough; None leaves it at what is lacking at least.
    """
    if found.termination.reason is not Reason.INFEASIBLE:
        return found
    why = refusal(asked)
    why = enough(why) if enough else why
    return replace(found, lacking=why.lines, proven=why.proven)


def refusal(asked: Opened, *, proven_alone: bool = False) -> Refusal:
    """What of the budgets and the stock the busiest epoch alone passes; its moves and other epochs are not looked at.

    Args:
        asked: the question.
        proven_alone: say nothing of what is only estimated.
    """
    # What requests draw is a fit, not a bound: watts are left to the estimate.
    bounded = tuple(family for family in EPOCH_BUDGET_FAMILIES if family != "epoch_watts")
    lacking, none = _lacking(_full(asked, least=True), bounded)
    if lacking or none or proven_alone:
        return Refusal(proven=bool(lacking or none), raises=lacking, more=none)
    estimated, none = _lacking(_full(asked, least=False), tuple(EPOCH_BUDGET_FAMILIES))
    doubt = "not proven: no schedule fits by estimated capacities; by the least work of requests one might"
    return Refusal(proven=False, raises=estimated, more=(*none, doubt))


def estimated(asked: Opened) -> tuple[Raised, ...]:
    """The same by estimated capacities, watts included."""
    return _lacking(_full(asked, least=False), tuple(EPOCH_BUDGET_FAMILIES))[0]


def _full(asked: Opened, *, least: bool) -> Opened:
    """The question with instances filled to the brim, or with the least work that its requests can take."""
    if asked.parts:
        return joined({name: _full(part, least=least) for name, part in asked.parts.items()})
    bare = asked.case.scenario.model_copy(update={"headroom": HeadroomSection(mixed_frac=1.0, kv_frac=1.0)})
    case = replace(asked.case, scenario=bare)
    return replace(asked, case=case, options=epoch_options(replace(case, options=case.least) if least else case))


def _lacking(asked: Opened, families: Sequence[str]) -> tuple[tuple[Raised, ...], tuple[str, ...]]:
    """What keeps the busiest epoch from these options, and a sentence where nothing helps; nothing where they serve."""
    question, limits = _busiest(asked), asked.case.scenario.solver

    def solver(part: Problem) -> Solution:
        return solve(part, backend=limits.backend, time_limit_s=limits.time_limit_s)

    try:
        found = smallest_raise(_program(question, families), families=families, solve=solver)
    except StillInfeasible:
        stock = tuple(_of_stock(asked, question, solver))
        return (stock, ()) if stock else _of_stock_and_budgets(question, families, solver)
    except NotProven:
        return (), ()
    keys = {each.row: f"budgets.{EPOCH_BUDGET_FAMILIES[each.family]}" for each in found}
    return tuple(
        Raised(
            key=keys[each.row], given=each.limit, least=each.needed, beside=at > 0,
            parts=_of_each(asked, each.row, keys[each.row], solver),
        )
        for at, each in enumerate(found)
    ), ()  # fmt: skip


def _program(question: EpochQuestion, families: Sequence[str]) -> Problem:
    """The program of an epoch with budgets of these families alone.

    No option serves more than is asked for: a raise is bounded only where every column of its row is.
    """
    program, most = epoch_problem(question), sum(float(rates[0]) for rates in question.load.peak_req_per_s.values())
    columns = tuple(
        replace(column, upper=min(column.upper, most)) if column.name.startswith("rate[") else column
        for column in program.columns
    )
    rows = (row for row in program.rows if row.family not in EPOCH_BUDGET_FAMILIES or row.family in families)
    return replace(program, columns=columns, rows=tuple(rows))


def _of_stock_and_budgets(
    question: EpochQuestion, families: Sequence[str], solver: Solver
) -> tuple[tuple[Raised, ...], tuple[str, ...]]:  # fmt: skip
    """Stock of several types, or of types and budgets, that have to be raised together."""
    limited = {f"stock[{kind.machine}]": kind for kind in question.fleet if kind.available < ANY}
    program = _program(replace(question, fleet=tuple(_free(kind) for kind in question.fleet)), families)
    stock = (
        Row(name=name, family=STOCK, terms=((of_type("on", kind.machine, 0), 1.0),), upper=float(kind.available))
        for name, kind in limited.items()
    )
    try:
        found = smallest_raise(
            replace(program, rows=(*program.rows, *stock)), families=(*families, STOCK), solve=solver
        )  # fmt: skip
    except StillInfeasible:
        return (), (NO_BUDGET,)
    except NotProven:
        return (), ()
    keys = {name: f"catalog.available.{kind.machine}" for name, kind in limited.items()}
    return tuple(
        Raised(
            key=keys.get(each.row) or f"budgets.{EPOCH_BUDGET_FAMILIES[each.family]}", given=each.limit,
            least=round(each.needed) if each.row in keys else each.needed, beside=at > 0,
        )
        for at, each in enumerate(found)
    ), ()  # fmt: skip


def _free(kind: FleetType) -> FleetType:
    """A machine type of which there are as many as are wanted."""
    return replace(kind, available=ANY, most_top_machines=ANY if kind.most_top_machines else 0)


STOCK = "epoch_stock"
"""Family of the rows that hold how many machines of a type there are, where these are to be raised."""

NO_BUDGET = "no budget helps: catalog.available or schedule.base_machines leave too few machines"


def _of_each(asked: Opened, row: str, key: str, solver: Solver) -> str:
    """What each of several models takes at least of a budget in the busiest epoch; empty of one model."""
    question = _busiest(asked)
    taken = dict[str, float]()
    for name in asked.parts:
        program = epoch_problem(_of_model(question, name))
        limit = next((each for each in program.rows if each.name == row), None)
        taken[name] = _fewest(program, dict(limit.terms), without=row, solver=solver) or 0.0 if limit else 0.0
    each = ", ".join(f"{name} {rounded_up(value):g}" for name, value in taken.items())
    return f"{key}: at least {each} in the busiest epoch" if taken else ""


def _of_stock(asked: Opened, question: EpochQuestion, solver: Solver) -> Iterator[Raised]:
    """How many machines of each type, with the others as they are, are enough for the busiest epoch: cheapest first."""
    found = list[tuple[float, Raised]]()
    for kind in (each for each in question.fleet if each.available < ANY):
        more = replace(question, fleet=tuple(_free(each) if each is kind else each for each in question.fleet))
        on = {of_type("on", kind.machine, 0): 1.0}
        fewest = _fewest(epoch_problem(more), on, without="", solver=solver)
        if fewest is None:
            continue
        key, programs = f"catalog.available.{kind.machine}", {n: epoch_problem(_of_model(more, n)) for n in asked.parts}
        each = {name: _fewest(program, on, without="", solver=solver) for name, program in programs.items()}
        told = ", ".join(f"{name} {round(count or 0)}" for name, count in each.items())
        parts = f"{key}: at least {told} in the busiest epoch, were each alone on the fleet" if told else ""
        raised = Raised(key=key, given=kind.available, least=round(fewest), parts=parts)
        found.append(((raised.least - raised.given) * kind.base_usd_per_h, raised))
    for at, (_, raised) in enumerate(sorted(found, key=lambda each: each[0])):
        yield replace(raised, instead=at > 0)


def _of_model(question: EpochQuestion, name: str) -> EpochQuestion:
    """The part of a question about one of several models, alone on the fleet of all."""
    prefix, load = scoped(name, ""), question.load
    mine = {kind for kind in load.peak_req_per_s if kind.startswith(prefix)}
    return replace(
        question, options=tuple(option for option in question.options if option.model == name),
        load=replace(
            load, mean_req_per_s={kind: rates for kind, rates in load.mean_req_per_s.items() if kind in mine},
            peak_req_per_s={kind: rates for kind, rates in load.peak_req_per_s.items() if kind in mine},
        ),
    )  # fmt: skip


def _fewest(program: Problem, counted: Mapping[str, float], *, without: str, solver: Solver) -> float | None:
    """The least of a sum of columns in a program without a row; None where it has no allocation."""
    columns = tuple(replace(each, objective=counted.get(each.name, 0.0)) for each in program.columns)
    rows = tuple(row for row in program.rows if row.name != without)
    return solver(replace(program, columns=columns, rows=rows)).termination.objective


def _busiest(asked: Opened) -> EpochQuestion:
    """The epoch of the highest rate as a question of its own."""
    peaks = question_of(asked).load.peak_req_per_s
    return alone(asked, int(np.argmax(np.sum(list(peaks.values()), axis=0))))
