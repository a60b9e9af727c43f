"""The door to every backend: one problem in, one honest solution out."""

from dataclasses import replace

from solvers.allocation import TOLERANCE, Reason, Solution, Termination
from solvers.ask import Backend, ask
from solvers.problem import Problem, Sense

__all__ = ["Backend", "solve"]

_SECOND = {Backend.HIGHS: Backend.CBC, Backend.CBC: Backend.HIGHS, Backend.MATHOPT: Backend.HIGHS}
"""Who gives a second opinion: one that shares no code with the first."""

_SECOND_S = 10.0
"""What a second opinion may take at most."""


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
        row; OPTIMAL, INFEASIBLE and UNBOUNDED are proven, whatever stopped the backend. INFEASIBLE is believed where
        another backend finds nothing either, OPTIMAL of CBC where HiGHS finds nothing better.

    Raises:
        ValueError: the limits are out of range, the backend is unknown, or the problem is too large for EXHAUSTIVE.
    """
    if not time_limit_s > 0 or not gap_frac >= 0:
        raise ValueError(f"time_limit_s is {time_limit_s}, gap_frac is {gap_frac}; expected > 0 and >= 0")
    backend = Backend(backend)
    solution = ask(problem, backend, time_limit_s=time_limit_s, gap_frac=gap_frac)
    if backend is Backend.HIGHS and solution.termination.reason is Reason.ERROR:
        spare = ask(problem, Backend.CBC, time_limit_s=time_limit_s, gap_frac=gap_frac)
        detail = f"{spare.termination.detail}; highs failed before: {solution.termination.detail}"
        return replace(spare, termination=replace(spare.termination, detail=detail))
    said = solution.termination.reason
    # CBC 2.10.3 was seen to call an allocation the best that was not (1 of 1,500 small random programs).
    if backend in _SECOND and (said is Reason.INFEASIBLE or (said is Reason.OPTIMAL and backend is Backend.CBC)):
        return _doubted(problem, solution, _SECOND[backend], min(time_limit_s, _SECOND_S), gap_frac)
    return solution


def _doubted(problem: Problem, first: Solution, other: Backend, time_limit_s: float, gap_frac: float) -> Solution:
    """A claim that there is nothing, or nothing better; or what another backend has found nevertheless."""
    second = ask(problem, other, time_limit_s=time_limit_s, gap_frac=gap_frac)
    if not _better(problem, second.termination, first.termination, gap_frac):
        return first
    detail = f"{second.termination.detail}; {first.termination.backend} had said: {first.termination.detail}"
    return replace(second, termination=replace(second.termination, detail=detail))


def _better(problem: Problem, second: Termination, first: Termination, gap_frac: float) -> bool:
    """Whether an answer beats another by more than solvers are asked to tell apart."""
    if second.objective is None or first.objective is None:
        return second.objective is not None
    gain = (second.objective - first.objective) * (1.0 if problem.sense is Sense.MAX else -1.0)
    return gain > max(gap_frac, TOLERANCE) * 2 * abs(first.objective)
