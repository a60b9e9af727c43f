"""Several objectives in their order: each is minimised among what keeps those before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from solvers.allocation import Solution
from solvers.problem import Problem, Row, Sense

Solver = Callable[[Problem, Mapping[str, float]], Solution]
"""Solves a minimum from an allocation that is known to keep its rows; empty where none is."""

KEPT_FRAC = 1e-6
"""By which an objective may rise beyond its ceiling: what rounding needs, and nothing more."""


def lexicographic(
    problem: Problem, later: Sequence[Mapping[str, float]], solver: Solver, *, gap_frac: float = 0.0
) -> tuple[Solution, tuple[Solution, ...]]:
    """Solve a minimum, then each later objective with what was found so far as ceilings.

    Args:
        problem: the first objective, and all rows.
        later: column name -> coefficient, one mapping per further objective; a column that is not named counts nothing.
        solver: solves one of them.
        gap_frac: relative gap to the proven bound within which allocations count as equally good.

    Returns:
        The last solution that has an allocation, and those of the later objectives, each as it ended. A later solve
        that finds no plan in its time limit leaves the allocation before it standing.

    Raises:
        ValueError: the problem is a maximum.
    """
    if problem.sense is not Sense.MIN:
        raise ValueError("expected a minimum")
    best = solver(problem, {})
    ended: list[Solution] = []
    for number, coefficients in enumerate(later):
        if best.allocation is None:
            break
        last = ended[-1] if ended else best
        problem = _next(problem, best.allocation.values, last.termination.bound, coefficients, number, gap_frac)
        found = solver(problem, best.allocation.values)
        ended.append(found)
        if found.allocation is not None:
            best = replace(best, allocation=found.allocation)
    return best, tuple(ended)


def _next(
    problem: Problem, values: Mapping[str, float], bound: float | None, coefficients: Mapping[str, float], number: int,
    gap_frac: float,
) -> Problem:  # fmt: skip
    """The problem of the next objective: that of the last one is a row now."""
    terms = tuple((column.name, column.objective) for column in problem.columns if column.objective)
    value = problem.objective(values)
    equal = value if bound is None or bound <= 0 else max(value, bound / (1 - gap_frac))
    rows = problem.rows
    if terms:
        ceiling = equal + KEPT_FRAC * max(1.0, abs(equal))
        rows = (*rows, Row(name=f"kept[{number}]", family="kept", terms=terms, upper=ceiling))
    columns = tuple(replace(column, objective=coefficients.get(column.name, 0.0)) for column in problem.columns)
    return replace(problem, name=f"{problem.name}, then", columns=columns, rows=rows)
