"""Every whole-number point of a small box, tried in turn: slow, short, and hard to get wrong."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import highspy

from solvers.allocation import Allocation, Reason, Solution, answered, empty_handed, violations
from solvers.problem import Problem, Sense
from solvers.scaling import equilibrated

_BACKEND = "exhaustive"


def solve_exhaustive(problem: Problem, *, max_points: int = 20_000) -> Solution:
    """Solve by trying every combination of the integer columns, the best continuous rest found as a linear program.

    Args:
        problem: what to solve; every integer column needs both bounds.
        max_points: the largest box that is tried.

    Returns:
        The solution; of equally good points the first in the order of the columns.

    Raises:
        ValueError: an integer column is unbounded, or the box holds more than ``max_points`` points.
    """
    integers = [column for column in problem.columns if column.integer]
    if unbounded := [c.name for c in integers if not (math.isfinite(c.lower) and math.isfinite(c.upper))]:
        raise ValueError(f"integer column {unbounded[0]!r} is unbounded; exhaustive search needs both bounds")
    ranges = [range(math.ceil(column.lower), math.floor(column.upper) + 1) for column in integers]
    if (points := math.prod(len(values) for values in ranges)) > max_points:
        raise ValueError(f"{points} whole-number points exceed the limit of {max_points} of exhaustive search")
    units = equilibrated(problem)
    found = _best(units.problem, [column.name for column in integers], ranges)
    said = found.termination
    if found.allocation is None or said.objective is None:
        return found
    values = units.original(found.allocation.values)
    objective = problem.objective(values)
    return Solution(
        termination=replace(said, objective=objective, bound=objective), allocation=Allocation(values=values)
    )  # fmt: skip


def _best(problem: Problem, integers: Sequence[str], ranges: Sequence[range]) -> Solution:
    """The best of all points, in units that suit the solver: its tolerances are absolute."""
    best: Solution | None = None
    rest = None
    if len(integers) < len(problem.columns):
        rest = _relaxation(problem), _relaxation(problem.without_objective())
    for point in itertools.product(*ranges):
        values = {name: float(value) for name, value in zip(integers, point, strict=True)}
        found = _pure(problem, values) if rest is None else _completed(problem, values, rest)
        if found.termination.reason in (Reason.UNBOUNDED, Reason.ERROR):
            return found
        if found.allocation is not None and (best is None or _better(problem, found.allocation, best.allocation)):
            best = found
    return best or empty_handed(Reason.INFEASIBLE, backend=_BACKEND, detail="no point fits")


def _pure(problem: Problem, values: Mapping[str, float]) -> Solution:
    for violation in violations(problem, values, raw=values):
        return empty_handed(Reason.INFEASIBLE, backend=_BACKEND, detail=violation)
    bound = problem.objective(values)
    return answered(problem, values, reason=Reason.OPTIMAL, bound=bound, backend=_BACKEND)


def _relaxation(problem: Problem) -> highspy.Highs:
    """The problem without whole numbers, in a solver whose bounds can be moved."""
    index = {column.name: i for i, column in enumerate(problem.columns)}
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    sign = -1.0 if problem.sense is Sense.MAX else 1.0
    for column in problem.columns:
        highs.addCol(sign * column.objective, column.lower, column.upper, 0, [], [])
    for row in problem.rows:
        indices = [index[name] for name, _ in row.terms]
        highs.addRow(row.lower, row.upper, len(indices), indices, [coefficient for _, coefficient in row.terms])
    return highs


def _completed(problem: Problem, values: Mapping[str, float], rest: tuple[highspy.Highs, highspy.Highs]) -> Solution:
    """The best continuous columns for the whole numbers of ``values``; ``rest`` is with and without the objective."""
    status = highspy.HighsModelStatus
    said = _run(problem, values, rest[0])
    if said != status.kOptimal:  # whatever was said: only a question without an objective tells why
        exists = _run(problem, values, rest[1])
        said = {status.kOptimal: status.kUnbounded, status.kInfeasible: status.kInfeasible}.get(exists, said)
    detail = rest[0].modelStatusToString(said)
    if said != status.kOptimal:
        reasons = {status.kInfeasible: Reason.INFEASIBLE, status.kUnbounded: Reason.UNBOUNDED}
        return empty_handed(reasons.get(said, Reason.ERROR), backend=_BACKEND, detail=detail)
    found = dict(zip([column.name for column in problem.columns], rest[0].getSolution().col_value, strict=True))
    bound = problem.objective(found)
    return answered(problem, found, reason=Reason.OPTIMAL, bound=bound, backend=_BACKEND, detail=detail)


def _run(problem: Problem, values: Mapping[str, float], highs: highspy.Highs) -> highspy.HighsModelStatus:
    for index, column in enumerate(problem.columns):
        if column.integer:
            highs.changeColBounds(index, values[column.name], values[column.name])
    highs.clearSolver()
    highs.run()
    said: highspy.HighsModelStatus = highs.getModelStatus()
    return said


def _better(problem: Problem, new: Allocation, old: Allocation | None) -> bool:
    if old is None:
        return True
    gain = problem.objective(new.values) - problem.objective(old.values)
    return gain > 0 if problem.sense is Sense.MAX else gain < 0
