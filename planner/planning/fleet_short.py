"""Why plans of several models do not fit what they share: the limits that bind, and the nearest values that do not.

Every value that is named was planned with: with it all models have validated plans, with a step less none were found.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from planner.formulate import BUDGETS
from planner.planning.fleet_limits import ROWS, at_limits, limits_of, taken, together, whole
from planner.planning.fleet_question import FleetInputs
from planner.planning.overloads import FUZZ_FRAC
from planner.planning.refusals import limit_key
from planner.results.fleet import FleetPlan, NoFleetPlan
from planner.results.shortfall import Shortfall
from workloads.counts import rounded_up

Planned = Callable[[FleetInputs], FleetPlan | NoFleetPlan]
"""Plans a fleet at the rates that are asked, without saying why there are no plans."""

STEP_FRAC = 0.005
"""Share of money, watts and space by which a value is a step less."""

MOST_TRIED = 6
"""Values of one limit that are planned with; between the last two of them nothing is known."""


_MORE_STEPS = (0, 1, 3, 8)
"""How many steps beyond what plans were found to take of a limit it is tried at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What validated plans of all models take of a limit, together and each."""

    value: float
    least: Mapping[str, float]


class Short:
    """One question that has no plans of all models."""

    def __init__(self, question: FleetInputs, planned: Planned, none: NoFleetPlan) -> None:
        """Nothing tried yet.

        Args:
            question: with limits that the models share.
            planned: makes plans of the same question at other limits.
            none: the refusal; rows that its plans take are where the search for fewer begins.
        """
        self._question, self._planned, self._none = question, planned, none
        self._given = limits_of(question)

    def found(self) -> tuple[Shortfall, ...]:
        """The limits that bind: each enough by itself, the smallest raise first, or all to be raised; empty: none."""
        if needed := self._none.answer.raises.get(ROWS):
            return tuple(filter(None, [self._nearest(ROWS, {}, needed[1], alone=True)]))
        free = self._with(dict.fromkeys(self._given, inf))
        if free is None:
            return ()
        used = {row: together(row, each, free) for row, each in taken(free, self._question).items()}
        over = [row for row, limit in self._given.items() if row != ROWS and used[row] > limit * (1 + FUZZ_FRAC)]
        if not over:
            return ()
        other = [row for row in self._given if row not in (*over, ROWS)]  # one limit may be met by more of another
        single = [row for row in (*over, *other) if over == [row] or self._with({row: inf}) is not None]
        if single:
            each = filter(None, (self._nearest(row, {}, inf, alone=True) for row in single))
            return tuple(sorted(each, key=lambda short: short.admits / max(1.0, short.given)))
        return self._all_of(over)

    def _all_of(self, over: list[str]) -> tuple[Shortfall, ...]:
        """Limits that have to be raised together, each to its nearest value beside those of the others."""
        for row in list(over):  # those without which there are plans too
            rest = [other for other in over if other != row]
            if len(over) > 2 and self._with(dict.fromkeys(rest, inf)) is not None:
                over = rest
        values, found = dict.fromkeys(over, inf), list[Shortfall]()
        for row in over:
            near = self._nearest(row, values, inf, alone=False)
            if near is None:
                return ()
            values[row] = near.admits
            found.append(near)
        return tuple(found)

    def _nearest(self, row: str, others: Mapping[str, float], first: float, *, alone: bool) -> Shortfall | None:
        """The least value of a limit with which there are plans, the others as named or as asked; None: none found."""
        least = self._least(row, others) if first == inf else None
        start = first if least is None else least.value
        held, high = self._first(row, start, others)
        if held is None:
            return None
        low, left = self._given[row], MOST_TRIED
        value = high - _step(row, high)  # the last of several values is most likely one less than enough
        while left and high - low > _step(row, high) * (1 + FUZZ_FRAC):
            tried = self._at(row, max(low, value), others)
            if tried is None:
                low = max(low, value)
            else:
                held, high = tried, value
            value, left = _between(row, low, high), left - 1
        each = held.least if least is None or _of_stock(row) else least.least
        return Shortfall(
            row=row, key=limit_key(row), given=self._given[row], least=dict(each), admits=high, refused=low,
            alone=alone,
        )  # fmt: skip

    def _first(self, row: str, start: float, others: Mapping[str, float]) -> tuple[_Held | None, float]:
        """Plans at a value that is likely enough, or at a few beyond it; and that value."""
        for steps in _MORE_STEPS if start < inf else ():
            value = _printed(row, start + steps * _step(row, start))
            if held := self._at(row, value, others):
                return held, value
        return None, start

    def _least(self, row: str, others: Mapping[str, float]) -> _Held | None:
        """Plans that this limit does not bound, for the least of it where that is an objective."""
        question = at_limits(self._question, {**others, row: inf})
        if row in BUDGETS and row != "machine_types":
            question = question.toward(BUDGETS[row].objective)
        found = self._planned(question)
        return None if isinstance(found, NoFleetPlan) else self._held(row, found)

    def _at(self, row: str, value: float, others: Mapping[str, float]) -> _Held | None:
        """Plans with a value of a limit."""
        found = self._with({**others, row: _printed(row, value)})
        return None if found is None else self._held(row, found)

    def _with(self, limits: Mapping[str, float]) -> FleetPlan | None:
        """Plans with other values of limits; None where none were found."""
        found = self._planned(at_limits(self._question, limits))
        return None if isinstance(found, NoFleetPlan) else found

    def _held(self, row: str, found: FleetPlan) -> _Held:
        each = taken(found, self._question)[row]
        return _Held(value=together(row, each, found), least=each)


def _of_stock(row: str) -> bool:
    """Whether a limit is how many machines of a type there are: of these one may stand in for another."""
    return row.startswith("availability[")


def _printed(row: str, value: float) -> float:
    """A value as it is read: what is read has to be enough."""
    return float(round(value)) if whole(row) else rounded_up(value)


def _step(row: str, value: float) -> float:
    """What is a step less of a limit."""
    return 1.0 if whole(row) else STEP_FRAC * value


def _between(row: str, low: float, high: float) -> float:
    """A value between two; the middle one."""
    middle = (low + high) / 2
    return float(int(middle)) if whole(row) else middle
