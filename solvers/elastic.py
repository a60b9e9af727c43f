"""What to do about an infeasible problem: the fewest limits to raise, and by how much."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from solvers.allocation import Reason, Solution, Termination
from solvers.problem import INF, Column, Problem, Row, Sense

_FAMILY = "elastic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """One limit that must be raised.

    Attributes:
        row: name of the row whose upper limit it is.
        family: the row's family.
        limit: what it is.
        needed: what it must be at least, given that the other raises of the set are made too; > ``limit``.
    """

    row: str
    family: str
    limit: float
    needed: float


class NoRaise(Exception):  # noqa: N818  an answer, not an error
    """No set of raises can be named; ``termination`` says how the solve that looked for it ended."""

    def __init__(self, message: str, termination: Termination) -> None:
        """Keep the evidence."""
        self.termination = termination
        super().__init__(message)


class StillInfeasible(NoRaise):
    """Proven: even with every one of these limits lifted there is no allocation."""


class NotProven(NoRaise):
    """The search for the smallest set was stopped, or broke, before it was proven smallest."""


def smallest_raise(
    problem: Problem, *, families: Sequence[str], solve: Callable[[Problem], Solution]
) -> tuple[Raise, ...]:
    """The fewest upper limits of the named families to raise so that the problem becomes feasible.

    Each limit gets a slack column and a 0/1 column that pays for using it. The first solve minimises how many are used,
    the second, with that number fixed, the sum of the raises, each relative to its limit (to 1 for a limit below 1). Of
    sets that are equal in both, the one whose units cost least in a minimised objective is told.

    Args:
        problem: usually an infeasible one; its objective decides only between equal sets.
        families: whose rows may be relaxed.
        solve: answers a problem, for example ``solvers.solve.solve``.

    Returns:
        The raises, in row order; empty where the problem is feasible as it stands.

    Raises:
        StillInfeasible: raising these limits does not help.
        NotProven: a solve was stopped or broke.
        ValueError: a limit's raise cannot be bounded because a column in its row is unbounded.
    """
    limits = [row for row in problem.rows if row.family in families and row.upper < INF]
    relaxed = _relaxed(problem, limits)
    fewest = _optimal(_minimising(relaxed, {_raised(row): 1.0 for row in limits}), solve)
    count = round(sum(fewest[_raised(row)] for row in limits))
    if count == 0:
        return ()
    counted = Row(name="raises", family=_FAMILY, terms=tuple((_raised(row), 1.0) for row in limits), upper=count)
    kept = replace(relaxed, rows=(*relaxed.rows, counted))
    least = _optimal(_minimising(kept, {_slack(row): 1.0 for row in limits}), solve)
    if count < len(limits):
        least = _cheapest(kept, limits, least, {row.name: _unit_price(row, problem) for row in limits}, solve)
    return tuple(
        Raise(row=row.name, family=row.family, limit=row.upper, needed=row.activity(least))
        for row in limits
        if least[_raised(row)] and row.activity(least) > row.upper
    )


def _cheapest(
    kept: Problem, limits: list[Row], least: Mapping[str, float], prices: Mapping[str, float],
    solve: Callable[[Problem], Solution],
) -> Mapping[str, float]:  # fmt: skip
    """The allocation of the least sum of raises whose raised units cost least; ``least`` where none is found.

    Args:
        kept: the relaxed problem with the number of raises fixed.
        limits: rows that may be raised.
        least: an allocation of the least sum.
        prices: row -> what a unit more of its limit costs.
        solve: as ``smallest_raise``.
    """
    if len(set(prices.values())) < 2:
        return least
    total = sum(least[_slack(row)] for row in limits)
    terms = tuple((_slack(row), 1.0) for row in limits)
    summed = Row(name="raised sum", family=_FAMILY, terms=terms, upper=total + 1e-9 * max(1.0, total))
    paid = {_slack(row): prices[row.name] * _size(row) for row in limits}
    try:
        return _optimal(_minimising(replace(kept, rows=(*kept.rows, summed)), paid), solve)
    except NoRaise:
        return least


def _unit_price(row: Row, problem: Problem) -> float:
    """The least of a minimised objective that a unit more of a row's limit takes; 0 where nothing is told of it."""
    costs = {column.name: column.objective for column in problem.columns}
    told = [costs[name] / coefficient for name, coefficient in row.terms if coefficient > 0]
    return max(0.0, min(told, default=0.0)) if problem.sense is Sense.MIN else 0.0


def _relaxed(problem: Problem, limits: list[Row]) -> Problem:
    """The problem with a slack and a 0/1 column per limit, minimising nothing yet.

    activity(r) - size(r)·slack[r] <= limit(r) and slack[r] <= most(r)·raised[r], so slack[r] is the relative raise.
    """
    columns = {column.name: replace(column, objective=0.0) for column in problem.columns}
    rows = {row.name: row for row in problem.rows}
    for row in limits:
        most = max(0.0, _largest_activity(row, columns) - row.upper) / _size(row)
        rows[row.name] = replace(row, lower=-INF, terms=(*row.terms, (_slack(row), -_size(row))))
        if row.lower > -INF:
            rows[f"floor {row.name}"] = replace(row, name=f"floor {row.name}", upper=INF)
        columns[_slack(row)] = Column(name=_slack(row), upper=most)
        columns[_raised(row)] = Column(name=_raised(row), upper=1.0, integer=True)
        terms = ((_slack(row), 1.0), (_raised(row), -most)) if most else ((_raised(row), 1.0),)
        rows[f"{_FAMILY} {row.name}"] = Row(name=f"{_FAMILY} {row.name}", family=_FAMILY, terms=terms, upper=0.0)
    return Problem(name=problem.name, sense=Sense.MIN, columns=tuple(columns.values()), rows=tuple(rows.values()))


def _largest_activity(row: Row, columns: Mapping[str, Column]) -> float:
    """What the row reaches with every column at its costlier bound: no raise need be larger."""
    largest = 0.0
    for name, coefficient in row.terms:
        bound = columns[name].upper if coefficient > 0 else columns[name].lower
        if coefficient and abs(bound) == INF:
            raise ValueError(f"the raise of row {row.name!r} has no bound because column {name!r} has none")
        largest += coefficient * bound if coefficient else 0.0
    return largest


def _size(row: Row) -> float:
    return max(1.0, abs(row.upper))


def _slack(row: Row) -> str:
    return f"slack {row.name}"


def _raised(row: Row) -> str:
    return f"raised {row.name}"


def _minimising(problem: Problem, objective: Mapping[str, float]) -> Problem:
    return replace(problem, columns=tuple(replace(c, objective=objective.get(c.name, 0.0)) for c in problem.columns))


def _optimal(problem: Problem, solve: Callable[[Problem], Solution]) -> Mapping[str, float]:
    solution = solve(problem)
    termination = solution.termination
    if termination.reason is Reason.INFEASIBLE:
        raise StillInfeasible("no allocation exists even without these limits", termination)
    if termination.reason is not Reason.OPTIMAL or solution.allocation is None:
        raise NotProven(f"the search for the limits to raise ended as {termination.reason}", termination)
    return solution.allocation.values
