"""The table of alternatives: what other precisions, engines and policies would come to, simulated or not."""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from functools import partial
from math import inf

from planner.executor import cores
from planner.executor.copies import Copies, able
from planner.planning.figures import figures
from planner.planning.loop import PlanningLoop
from planner.planning.one import First, worth
from planner.planning.rows import Planned, Priced, Row, other_row
from planner.planning.search import Contender, Key, key_of, signed
from planner.policies.presets import NAMES
from planner.resolve.inputs import Inputs
from planner.results.choice import Choice, Standing
from planner.results.evidence import ValidatedPlan
from planner.scenario.policy_section import SPLIT

MOST_REQUESTS = {"short": 1_500_000, "full": 12_000_000}
"""Requests that rows of a table may have simulated: some seconds, or under a minute. Counted in requests, the same
question has the same table on every machine."""


COUNTERPART = {"splitwise": "sarathi", "colocated": "splitwise", "sarathi": "splitwise"}
"""The policy that a short table prices beside a plan's: of those that do not split, the one that engines start with."""

MOST_ROWS = 3
"""Rows of a short table that are simulated."""


class Depth(StrEnum):
    """How much a table of alternatives tells."""

    NONE = "none"
    """The plan itself, its money divided between prompts and outputs."""
    SHORT = "short"
    """What was searched, the plan's precision split or not, the other way round than the plan is, and every other
    precision and engine under the plan's policy; the best of these simulated."""
    FULL = "full"
    """Every precision, engine and policy, all of them simulated as far as some ten seconds go."""


class Table:
    """The rows of a question; those that it does not allow are opened and priced by copies while it is answered.

    The copies are those of the planning thread, which gives up what it does not fetch.
    """

    def __init__(self, inputs: Inputs, depth: Depth) -> None:
        """Nothing priced yet.

        Args:
            inputs: the question.
            depth: what to look at besides what it allows, and what of it to simulate.
        """
        self._inputs, self._depth = inputs, depth
        self._others: dict[tuple[Key, int], Row] = {}
        self._prices, self._plans = Copies[Priced | None](), Copies[Planned]()
        self._foreseen: tuple[Contender, list[Row]] | None = None

    def expect(self, allowed: Collection[Key], chosen: Contender, cells: int) -> None:
        """Start to price what will be told beside an answer.

        Args:
            allowed: what the question allows.
            chosen: what the answer is of, as far as can be said.
            cells: of the answer.
        """
        rows = [self._other(key, cells) for key in _other_keys(self._inputs, allowed, chosen.key, self._depth)]
        for row in rows:
            self._prices.start((row.key, cells), partial(_price, row))
        if rows and able() and _few(chosen.loop.case.asked.requests * len(chosen.loop.case.asked.seeds), cells):
            self._foreseen = chosen, rows

    def advance(self) -> None:
        """Start to plan the most promising rows once all are priced, if they promise more than what is held by then."""
        if self._foreseen is None or not all(self._prices.told((row.key, row.cells)) for row in self._foreseen[1]):
            return
        (chosen, rows), self._foreseen = self._foreseen, None
        for row in rows:
            row.priced = self._prices.fetch((row.key, row.cells), partial(_price, row))
        held = min((worth(chosen.loop, r.candidate) for r in chosen.loop.rounds if r.judgement.valid), default=-inf)
        likely = sorted((row for row in rows if _possible(row) and row.promise < held), key=lambda row: row.promise)
        for row in likely[:MOST_ROWS]:
            self._plans.start(row.key, row.planned)

    def told(self, searched: Sequence[Contender], best: ValidatedPlan) -> tuple[Choice, ...]:
        """The plan and everything else that was or might have been allowed, the best first.

        Args:
            searched: what the question allows.
            best: the answer.

        Returns:
            One row a precision, engine and policy; those that cannot serve the workload are left out.
        """
        if self._depth is Depth.NONE:
            own = next(contender.loop for contender in searched if contender.key == key_of(best))
            return (figures(own, best.candidate, best.judgement, Standing.CHOSEN, allowed=True),)
        cells, allowed = best.candidate.cells, {contender.key for contender in searched}
        mine = {contender.key: contender for contender in searched}
        rows = [Row(key, partial(mine.get, key), allowed=True, cells=cells) for key in mine]
        rows = [row for row in rows if row.contender and (isinstance(row.contender.start, First) or _possible(row))]
        keys = tuple(_other_keys(self._inputs, allowed, key_of(best), self._depth))
        for key in keys:
            self._prices.start((key, cells), partial(_price, self._other(key, cells)))
        for key in keys:
            row = self._other(key, cells)
            row.priced = self._prices.fetch((key, cells), partial(_price, row))
            rows += [row] if _possible(row) else []
        found = self._planned(rows, mine, best)
        told = [row.told(best, found.get(row.key)) for row in rows]
        return tuple(sorted(told, key=lambda row: _order(searched[0].loop, row)))

    def _other(self, key: Key, cells: int) -> Row:
        """A row that the question does not allow, the same whenever it is asked for."""
        return self._others.setdefault((key, cells), other_row(self._inputs, key, cells))

    def _planned(
        self, rows: Sequence[Row], mine: dict[Key, Contender], best: ValidatedPlan
    ) -> dict[Key, Planned]:  # fmt: skip
        """What was found of rows that plans are looked for of, or confirmed."""
        likely = list(self._likely(rows, mine, best))
        started = [row for row in rows if row.key in mine and _started(mine[row.key]) and row.key != key_of(best)]
        for row in started:
            self._plans.start(row.key, row.planned)
        found, left = dict[Key, Planned](), MOST_REQUESTS.get(self._depth, 0)
        for place, row in enumerate(likely):
            if left <= 0:
                break
            for later in likely[place : place + cores()]:
                self._plans.start(later.key, later.planned)
            found[row.key] = self._fetched(row, mine)
            left -= found[row.key].requests
        for row in likely:
            self._plans.drop(row.key)
        return found | {row.key: self._fetched(row, mine) for row in started}

    def _fetched(self, row: Row, mine: dict[Key, Contender]) -> Planned:
        """What was found of a row; a contender of the question learns it."""
        found = row.found or self._plans.fetch(row.key, row.planned)
        row.found = found
        if row.key in mine:
            mine[row.key].start = found.start
            mine[row.key].loop.learn(found.learned)
        return found

    def _likely(self, rows: Sequence[Row], mine: dict[Key, Contender], best: ValidatedPlan) -> Iterator[Row]:
        """Rows that plans are looked for of, the most promising first: all, or a few not allowed that may be better."""
        if best.candidate.cells > 1:  # looked for cell by cell; a row that is not would be simulated as one pool
            return
        fresh = sorted((r for r in rows if r.key not in mine or mine[r.key].start is None), key=lambda r: r.promise)
        if self._depth is Depth.FULL:
            yield from fresh
        elif _few(best.judgement.arrived, best.candidate.cells):
            held = worth(next(iter(mine.values())).loop, best.candidate)  # as planned, as rows promise
            yield from [row for row in fresh if not row.allowed and row.promise < held][:MOST_ROWS]


def _few(requests: float, cells: int) -> bool:
    """Whether an answer took so few requests, in one pool, that rows of a short table are simulated beside it."""
    return cells == 1 and requests <= MOST_REQUESTS[Depth.SHORT] // 10


def _price(row: Row) -> Priced | None:
    return row.priced


def _possible(row: Row) -> bool:
    """Whether the program has a plan of a row at the load limits."""
    return row.priced is not None and row.priced.row is not None


def _started(contender: Contender) -> bool:
    """Whether a first plan is known, and neither searched around nor confirmed."""
    return isinstance(contender.start, First) and not isinstance(contender.answer, ValidatedPlan)


def _order(loop: PlanningLoop, row: Choice) -> tuple[object, ...]:
    variant = row.variant
    return signed(loop, row.objective_value), variant.profile_set, variant.dtype, variant.kv_dtype, row.policy


def _other_keys(inputs: Inputs, allowed: Collection[Key], chosen: Key, depth: Depth) -> Iterator[Key]:
    """Precisions, engines and policies that the question does not allow.

    Of a short table the plan's own precision has one policy more, that splits phases where the plan does not; none
    where the question allows one.
    """
    served, policy = chosen
    every, other = tuple(dict.fromkeys((policy, *NAMES))) if policy in NAMES else (policy,), COUNTERPART.get(policy)
    compared = any((name in SPLIT) != (policy in SPLIT) for variant, name in allowed if variant == served)
    beside = (policy,) if other is None or compared else (policy, other)
    for variant in (*inputs.variants, *inputs.others) if depth is not Depth.NONE else ():
        for name in every if depth is Depth.FULL else beside if variant == served else (policy,):
            if (variant, name) not in allowed:
                yield variant, name
