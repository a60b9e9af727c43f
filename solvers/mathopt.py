"""OR-Tools MathOpt with SCIP, in a process of its own: a witness that shares no code with HiGHS or CBC.

The wheels of ortools (9.15) and highspy (1.15) each bring a ``libhighs.so.1``; whichever is loaded second fails with
undefined symbols. So ortools lives in a child process, which also turns a crash of its native code into an answer.
"""

import importlib.util
import os
import pickle
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from solvers import work
from solvers.allocation import Limit, Reason, Solution, answered, empty_handed
from solvers.problem import Problem, Sense

if TYPE_CHECKING:
    from ortools.math_opt.python import mathopt

_BACKEND = "mathopt/gscip"
_GRACE_S = 60.0
"""What the child may take beyond the time limit: importing ortools, building the model."""


def installed() -> bool:
    """Whether OR-Tools is there to be asked; it is the extra ``phasewise[mathopt]``."""
    return importlib.util.find_spec("ortools") is not None


def solve_mathopt(problem: Problem, *, time_limit_s: float, gap_frac: float) -> Solution:
    """Solve with SCIP through MathOpt.

    Args:
        problem: what to solve.
        time_limit_s: limit, > 0, as the nodes that it stands for; in wall seconds the last resort. Starting the child
            adds about a second.
        gap_frac: relative gap at which an allocation counts as optimal.

    Returns:
        The solution, with SCIP's status and dual bound. UNBOUNDED may also mean infeasible. Whatever goes wrong in
        the child is reason ERROR.
    """
    return witness([problem], time_limit_s=time_limit_s, gap_frac=gap_frac)[0]


def witness(problems: list[Problem], *, time_limit_s: float, gap_frac: float) -> list[Solution]:
    """Solve several problems in one child process; arguments and returns as for ``solve_mathopt``, each problem."""
    command = [sys.executable, "-m", "solvers.mathopt"]
    try:
        child = subprocess.run(  # noqa: S603  this module, in this interpreter
            command,
            input=pickle.dumps((problems, time_limit_s, gap_frac)),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            timeout=len(problems) * work.last_resort_s(time_limit_s) + _GRACE_S,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        return [_broken(str(error), Limit.TIME)] * len(problems)
    except (subprocess.CalledProcessError, OSError) as error:
        words = getattr(error, "stderr", b"").decode(errors="replace").strip().splitlines()
        return [_broken(words[-1] if words else str(error))] * len(problems)
    try:
        solutions: list[Solution] = pickle.loads(child.stdout)  # noqa: S301  written by our own child
    except (pickle.UnpicklingError, EOFError) as error:
        return [_broken(f"the child's answer cannot be read: {error}")] * len(problems)
    return solutions


def _broken(detail: str, limit: Limit = Limit.NONE) -> Solution:
    return empty_handed(Reason.ERROR, limit=limit, backend=_BACKEND, detail=detail)


def _solve_here(problem: Problem, time_limit_s: float, gap_frac: float) -> Solution:
    """Solve in this process, which must not have loaded highspy."""
    from ortools.math_opt.python import mathopt

    parameters = mathopt.SolveParameters(
        time_limit=timedelta(seconds=work.last_resort_s(time_limit_s)),
        node_limit=work.most_steps(problem, time_limit_s),
        relative_gap_tolerance=gap_frac,
        absolute_gap_tolerance=1e-9,
        threads=1,
        random_seed=1,
    )
    try:
        model, variables = _model(problem)
        result = mathopt.solve(model, mathopt.SolverType.GSCIP, params=parameters)
    except Exception as error:
        # MathOpt's error path is weak: a refused model raises AttributeError from its own status conversion.
        return _broken(f"{type(error).__name__}: {error}")
    return _answer(problem, result, variables, _BACKEND)


def _model(problem: Problem) -> tuple["mathopt.Model", list["mathopt.Variable"]]:
    from ortools.math_opt.python import mathopt

    model = mathopt.Model(name="problem")
    variables = [
        model.add_variable(lb=column.lower, ub=column.upper, is_integer=column.integer, name=f"x{index}")
        for index, column in enumerate(problem.columns)
    ]
    by_name = {column.name: variable for column, variable in zip(problem.columns, variables, strict=True)}
    for index, row in enumerate(problem.rows):
        constraint = model.add_linear_constraint(lb=row.lower, ub=row.upper, name=f"r{index}")
        for name, coefficient in row.terms:
            constraint.set_coefficient(by_name[name], coefficient)
    model.objective.is_maximize = problem.sense is Sense.MAX
    for column, variable in zip(problem.columns, variables, strict=True):
        model.objective.set_linear_coefficient(variable, column.objective)
    return model, variables


def _answer(
    problem: Problem, result: "mathopt.SolveResult", variables: list["mathopt.Variable"], backend: str
) -> Solution:
    said = result.termination
    detail = f"{said.reason.name.lower()} {said.detail}".strip()
    limits = {"TIME": Limit.TIME, "NODE": Limit.WORK}
    stopped = Limit.NONE if said.limit is None else limits.get(said.limit.name, Limit.OTHER)
    reasons = {
        "OPTIMAL": Reason.OPTIMAL,
        "FEASIBLE": Reason.FEASIBLE,
        "INFEASIBLE": Reason.INFEASIBLE,
        "UNBOUNDED": Reason.UNBOUNDED,
        "INFEASIBLE_OR_UNBOUNDED": Reason.UNBOUNDED,
        "NO_SOLUTION_FOUND": Reason.NO_SOLUTION_FOUND,
    }
    reason = reasons.get(said.reason.name, Reason.ERROR)
    if reason not in (Reason.OPTIMAL, Reason.FEASIBLE):
        return empty_handed(reason, limit=stopped, backend=backend, detail=detail)
    found = result.variable_values()
    return answered(
        problem,
        {column.name: found[variable] for column, variable in zip(problem.columns, variables, strict=True)},
        reason=reason,
        limit=stopped,
        bound=said.objective_bounds.dual_bound,
        backend=backend,
        detail=detail,
    )


def _main() -> None:
    """The child: problems in on stdin, solutions out on stdout, which the solver's own prints must not touch."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    problems, time_limit_s, gap_frac = pickle.load(sys.stdin.buffer)  # noqa: S301  written by our own parent
    with answer:
        pickle.dump([_solve_here(problem, time_limit_s, gap_frac) for problem in problems], answer)


if __name__ == "__main__":
    _main()
