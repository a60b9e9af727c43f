"""One backend asked, in units that suit it, and asked again where what it says is known to mean two things."""

from dataclasses import replace
from enum import StrEnum

from solvers.allocation import Reason, Solution, answered
from solvers.exhaustive import solve_exhaustive
from solvers.ilp import solve_cbc, solve_highs
from solvers.mathopt import solve_mathopt
from solvers.problem import Problem
from solvers.quiet import quiet
from solvers.scaling import equilibrated


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


def ask(problem: Problem, backend: Backend, *, time_limit_s: float, gap_frac: float) -> Solution:
    """What a backend says; arguments and returns as of ``solve``, INFEASIBLE with no second opinion."""
    solution = _scaled(problem, backend, time_limit_s, gap_frac)
    # "Unbounded" of a relaxation does not say that any allocation exists, and presolve was seen to call the unbounded
    # infeasible (CBC 2.10.3, HiGHS 1.15.1). Whether rows can be met is a question that has no objective.
    said = solution.termination.reason
    if not (said is Reason.UNBOUNDED or (said is Reason.INFEASIBLE and problem.open_ended)):
        return solution
    exists = _scaled(problem.without_objective(), backend, time_limit_s, gap_frac).termination
    reason = {Reason.OPTIMAL: Reason.UNBOUNDED, Reason.FEASIBLE: Reason.UNBOUNDED}.get(exists.reason, exists.reason)
    detail = f"{solution.termination.detail}; without its objective: {exists.detail}"
    return replace(solution, termination=replace(exists, reason=reason, objective=None, bound=None, detail=detail))


def _scaled(problem: Problem, backend: Backend, time_limit_s: float, gap_frac: float) -> Solution:
    """The answer in units of the solver's, told in those of the problem, whose rows it has to meet."""
    if backend is Backend.EXHAUSTIVE:
        with quiet():
            return solve_exhaustive(problem)
    scaled = equilibrated(problem)
    with quiet():
        found = _run(scaled.problem, backend, time_limit_s, gap_frac)
    if found.allocation is None:
        return found
    said = found.termination
    return answered(
        problem,
        scaled.original(found.allocation.values),
        reason=said.reason,
        limit=said.limit,
        bound=None if said.bound is None else said.bound * scaled.objective,
        backend=said.backend,
        detail=said.detail,
    )


def _run(problem: Problem, backend: Backend, time_limit_s: float, gap_frac: float) -> Solution:
    match backend:
        case Backend.CBC:
            return solve_cbc(problem, time_limit_s=time_limit_s, gap_frac=gap_frac)
        case Backend.MATHOPT:
            return solve_mathopt(problem, time_limit_s=time_limit_s, gap_frac=gap_frac)
        case _:
            return solve_highs(problem, time_limit_s=time_limit_s, gap_frac=gap_frac)
