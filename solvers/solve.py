"""The door to every backend: one problem in, one honest solution out."""

from dataclasses import replace
from enum import StrEnum

from solvers.allocation import Reason, Solution
from solvers.exhaustive import solve_exhaustive
from solvers.ilp import solve_cbc, solve_highs
from solvers.mathopt import solve_mathopt
from solvers.problem import Problem
from solvers.quiet import quiet


class Backend(StrEnum):
    """Who solves."""

    HIGHS = "highs"
    """HiGHS through PuLP; where it errs, CBC answers instead and the detail says so."""
    CBC = "cbc"
    """CBC through PuLP."""
    MATHOPT = "mathopt"
    """SCIP through OR-Tools MathOpt: the independent witness."""
    EXHAUSTIVE = "exhaustive"
    """Every point of a small box: the oracle of the tests. Takes no limits."""


def solve(
    problem: Problem, *, backend: Backend | str = Backend.HIGHS, time_limit_s: float = 60.0, gap_frac: float = 1e-6
) -> Solution:
    """Solve a problem.

    Args:
        problem: what to solve.
        backend: who solves it.
        time_limit_s: wall-clock limit, > 0.
        gap_frac: relative gap at which an allocation counts as optimal, >= 0.

    Returns:
        The solution. Its allocation, if any, holds whole numbers where they are asked for and was checked against every
        row; OPTIMAL, INFEASIBLE and UNBOUNDED are proven, whatever stopped the backend.

    Raises:
        ValueError: the limits are out of range, the backend is unknown, or the problem is too large for EXHAUSTIVE.
    """
    if not time_limit_s > 0 or not gap_frac >= 0:
        raise ValueError(f"time_limit_s is {time_limit_s}, gap_frac is {gap_frac}; expected > 0 and >= 0")
    backend = Backend(backend)
    solution = _ask(problem, backend, time_limit_s, gap_frac)
    if backend is Backend.HIGHS and solution.termination.reason is Reason.ERROR:
        spare = _ask(problem, Backend.CBC, time_limit_s, gap_frac)
        detail = f"{spare.termination.detail}; highs failed before: {solution.termination.detail}"
        return replace(spare, termination=replace(spare.termination, detail=detail))
    return solution


def _ask(problem: Problem, backend: Backend, time_limit_s: float, gap_frac: float) -> Solution:
    solution = _run(problem, backend, time_limit_s, gap_frac)
    # "Unbounded" of a relaxation does not say that any allocation exists, and presolve was seen to call the unbounded
    # infeasible (CBC 2.10.3, HiGHS 1.15.1). Whether rows can be met is a question that has no objective.
    said = solution.termination.reason
    if not (said is Reason.UNBOUNDED or (said is Reason.INFEASIBLE and problem.open_ended)):
        return solution
    exists = _run(problem.without_objective(), backend, time_limit_s, gap_frac).termination
    reason = {Reason.OPTIMAL: Reason.UNBOUNDED, Reason.FEASIBLE: Reason.UNBOUNDED}.get(exists.reason, exists.reason)
    detail = f"{solution.termination.detail}; without its objective: {exists.detail}"
    return replace(solution, termination=replace(exists, reason=reason, objective=None, bound=None, detail=detail))


def _run(problem: Problem, backend: Backend, time_limit_s: float, gap_frac: float) -> Solution:
    with quiet():
        match backend:
            case Backend.HIGHS:
                return solve_highs(problem, time_limit_s=time_limit_s, gap_frac=gap_frac)
            case Backend.CBC:
                return solve_cbc(problem, time_limit_s=time_limit_s, gap_frac=gap_frac)
            case Backend.MATHOPT:
                return solve_mathopt(problem, time_limit_s=time_limit_s, gap_frac=gap_frac)
            case Backend.EXHAUSTIVE:
                return solve_exhaustive(problem)
