"""Rows of the table of alternatives: each is opened, priced and planned by itself, be it in a copy of this process."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

from planner.errors import BadInput
from planner.planning.cells import of_cells
from planner.planning.figures import figures
from planner.planning.headroom import NO_HEADROOM
from planner.planning.in_rows import prepared
from planner.planning.learned import Learned
from planner.planning.loop import PlanningLoop
from planner.planning.one import First, confirmed, worth
from planner.planning.refusals import unstruck
from planner.planning.search import Contender, Key, find_start, key_of
from planner.planning.whole_question import held_whole
from planner.resolve.case import open_case
from planner.resolve.cells import cell_case
from planner.resolve.inputs import Inputs
from planner.results.choice import Choice, Standing
from planner.results.evidence import NoPlan, ValidatedPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A row by the program alone.

    Attributes:
        worth: of the optimum with every resource full, to be minimised: the load limits are guesses.
        row: of the optimum at the load limits of the scenario, in as many cells as the plan; None without any.
    """

    worth: float
    row: Choice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A row that plans were looked for of.

    Attributes:
        row: of the plan that holds; None where none does.
        requests: that were simulated for its first plan.
        start: the first plan, or why there is none.
        learned: by the loop that planned it.
    """

    row: Choice | None
    requests: int
    start: First | NoPlan
    learned: Learned


class Row:
    """A precision, engine and policy of the table.

    Attributes:
        key: precision and engine, and the policy.
        allowed: whether the question allows it.
        cells: of the plan that it stands beside.
        found: what a search for a plan of it found, where one was made.
    """

    def __init__(self, key: Key, opened: Callable[[], Contender | None], *, allowed: bool, cells: int) -> None:
        """Nothing opened yet; ``opened`` gives the contender, None where the workload cannot be asked of it."""
        self.key, self.allowed, self.cells, self._opened = key, allowed, cells, opened
        self.found: Planned | None = None

    @cached_property
    def contender(self) -> Contender | None:
        """What is planned; None where it cannot serve the workload."""
        found = self._opened()
        return found if found is not None and found.loop.serves else None

    @cached_property
    def loop(self) -> PlanningLoop:
        """Of the contender, where there is one."""
        assert self.contender is not None, "asked of rows that serve the workload"
        return self.contender.loop

    @cached_property
    def priced(self) -> Priced | None:
        """What the program says; None where it cannot serve the workload. A copy may have asked it."""
        if self.contender is None:
            return None
        self.loop.prove()
        return Priced(worth=self._promised(self.contender), row=self._by_program())

    @property
    def promise(self) -> float:
        """Of a row that was priced."""
        return inf if self.priced is None else self.priced.worth

    def _promised(self, contender: Contender) -> float:
        if contender.optimum is not None:
            return contender.full
        solution = self.loop.solve(self.loop.problem(NO_HEADROOM))  # of equal optima any: only its worth is asked for
        return inf if solution.allocation is None else worth(self.loop, self.loop.lifted(solution, NO_HEADROOM))

    def _by_program(self) -> Choice | None:
        whole = self.loop
        loop = whole if self.cells == 1 else PlanningLoop(cell_case(whole.case, self.cells), silent)
        headroom = loop.case.scenario.headroom_limits()
        solution = loop.canonical(loop.problem(headroom))
        if solution.allocation is None:
            return None
        found = loop.lifted(solution, headroom)
        optimum = found if self.cells == 1 else of_cells(found, self.cells, loop)
        return figures(whole, optimum, None, Standing.BOUND, allowed=self.allowed)

    def planned(self) -> Planned:
        """Look for a plan, and confirm it."""
        assert self.contender is not None, "asked of rows that serve the workload"
        find_start(self.contender)
        start, requests = self.contender.start, self.loop.simulated_requests
        assert start is not None
        held = confirmed(self.loop, start) if isinstance(start, First) else None
        row = figures(self.loop, *held_whole(self.loop, *held), allowed=self.allowed) if held else None
        return Planned(row=row, requests=requests, start=start, learned=self.loop.learned)

    def told(self, best: ValidatedPlan, planned: Planned | None) -> Choice:
        """The plan of it where it has one, else the program's optimum."""
        answer = self.contender.answer if self.allowed and self.contender else None
        if self.key == key_of(best):
            self.loop.prove()
            return figures(self.loop, best.candidate, best.judgement, Standing.CHOSEN, allowed=self.allowed)
        if isinstance(answer, ValidatedPlan):
            injected = answer.availability is not None  # into those that may have been the answer
            whole = held_whole(self.loop, answer.candidate, answer.judgement, injected=injected)
            return figures(self.loop, *whole, allowed=self.allowed)
        if planned and planned.row:
            return planned.row
        by_program = self.priced and self.priced.row
        if by_program:
            refused = planned or (self.allowed and self.contender and self.contender.start)
            return replace(by_program, standing=Standing.REFUSED) if refused else by_program
        assert planned is not None, "rows without an optimum and a first plan were left out"
        assert isinstance(planned.start, First), "likewise"
        return figures(self.loop, planned.start.held[0], None, Standing.REFUSED, allowed=self.allowed)


def other_row(inputs: Inputs, key: Key, cells: int) -> Row:
    """A row that the question does not allow."""

    def opened() -> Contender | None:
        variant, name = key
        try:
            case = open_case(inputs, name, variant)
        except BadInput:  # for example KV groups, which one policy alone has
            return None
        return None if unstruck(case) else Contender(loop=PlanningLoop(prepared(case), silent))

    return Row(key, opened, allowed=False, cells=cells)


def silent(_words: str, _done_frac: float) -> None:
    """Nothing is told: a row takes a moment."""
