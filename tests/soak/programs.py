"""Five solvers on integer programs in unsuitable units: what each says, against what is so."""

import time
from collections.abc import Callable
from dataclasses import replace

from solvers.allocation import Reason, Solution, Termination
from solvers.direct import solve_direct
from solvers.exhaustive import solve_exhaustive
from solvers.mathopt import witness
from solvers.problem import Problem, Sense
from solvers.scaling import equilibrated
from solvers.solve import Backend, solve
from tests.soak.exact import exact
from tests.soak.scales import Scaled, scaled
from tests.soak.tally import Failure, Tally

CLOSE_FRAC = 1e-4
"""By how much objectives may differ: rows are held to 1e-6 of their largest term, and objectives multiply that."""

AT_ONCE = 40
"""Problems for one process of the witness."""

TIME_S = 20.0


def _direct(problem: Problem) -> Termination:
    """HiGHS with no modelling layer between; it takes minima."""
    sign = 1.0 if problem.sense is Sense.MIN else -1.0
    columns = tuple(replace(column, objective=sign * column.objective) for column in problem.columns)
    found = solve_direct(replace(problem, sense=Sense.MIN, columns=columns), time_limit_s=TIME_S, gap_frac=1e-6)
    if found is None:
        return Termination(reason=Reason.NO_SOLUTION_FOUND)
    return Termination(reason=Reason.OPTIMAL, objective=problem.objective(found.values))


def _exhaustive(problem: Problem) -> Termination:
    return solve_exhaustive(problem).termination


def _by(backend: Backend) -> Callable[[Problem], Termination]:
    return lambda problem: solve(problem, backend=backend, time_limit_s=TIME_S).termination


SOLVERS: dict[str, Callable[[Problem], Termination]] = {
    "highs": _by(Backend.HIGHS), "highs-direct": _direct, "cbc": _by(Backend.CBC), "exhaustive": _exhaustive,
}  # fmt: skip


def wrong(truth: Termination, said: Termination, unit: float) -> str:
    """What a solver said that is not so; empty where it agrees, or says that it found nothing.

    Args:
        truth: what is so.
        said: by the solver.
        unit: how much of what was said one of the truth is.
    """
    if said.reason in (Reason.ERROR, Reason.NO_SOLUTION_FOUND, Reason.FEASIBLE):
        return ""
    if said.reason is not truth.reason:
        return f"said {said.reason}, is {truth.reason}"
    if truth.objective is None:
        return ""
    assert said.objective is not None
    value = said.objective / unit
    if abs(value - truth.objective) > CLOSE_FRAC * max(1.0, abs(truth.objective)):
        return f"said optimal {value:.9g}, is {truth.objective:.9g}"
    return ""


def tried(first: int, seconds: float, most: int) -> dict[str, Tally]:
    """Problems from a seed on, until the time is over: solver -> what became of them."""
    tallies = {name: Tally() for name in (*SOLVERS, "mathopt")}
    end_s = time.monotonic() + seconds
    for start in range(first, first + most, AT_ONCE):
        if time.monotonic() > end_s:
            break
        cases = [scaled(seed) for seed in range(start, min(start + AT_ONCE, first + most))]
        truths = [exact(case.plain) for case in cases]
        for name, by in SOLVERS.items():
            for case, truth in zip(cases, truths, strict=True):
                _count(tallies[name], name, case, truth, by(case.problem))
        for case, truth, said in zip(cases, truths, _witness(cases), strict=True):
            _count(tallies["mathopt"], "mathopt", case, truth, said)
    return tallies


def _witness(cases: list[Scaled]) -> list[Termination]:
    """SCIP, many problems in one process; where it says that there is nothing, as `solve` tells its callers."""
    units = [equilibrated(case.problem) for case in cases]
    found = witness([each.problem for each in units], time_limit_s=TIME_S, gap_frac=1e-6)
    return [_heard(*each) for each in zip(cases, units, found, strict=True)]


def _heard(case: Scaled, unit: "object", found: Solution) -> Termination:
    said = found.termination
    if said.reason in (Reason.INFEASIBLE, Reason.UNBOUNDED, Reason.ERROR):
        return solve(case.problem, backend=Backend.MATHOPT, time_limit_s=TIME_S).termination
    if said.objective is None:
        return said
    return replace(said, objective=said.objective * unit.objective)  # type: ignore[attr-defined]


def _count(tally: Tally, name: str, case: Scaled, truth: Termination, said: Termination) -> None:
    what = wrong(truth, said, case.objective)
    silent = said.reason in (Reason.ERROR, Reason.NO_SOLUTION_FOUND) and truth.reason is Reason.OPTIMAL
    tally.ends["wrong" if what else "no answer" if silent else "agrees"] += 1
    if what:
        command = f"tests.soak.programs: SOLVERS[{name!r}](scaled({case.seed}).problem)"
        tally.failures.append(Failure(of=name, seed=case.seed, command=command, what=f"{what}: {said}", data=""))
