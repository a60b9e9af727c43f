"""Integer programs through PuLP: HiGHS in process, CBC as the spare.

PuLP builds the model; its status is not believed, for it says "Optimal" after a time limit (measured with 3.3.2).
HiGHS is asked itself; of CBC, ``sol_status`` is read.

Measured on small random programs against exhaustive search (12,000 for HiGHS 1.15.1, 2,000 for CBC 2.10.3): where
the objective is unbounded, both may say infeasible (``solve`` asks again); CBC twice said optimal, columns open below.
"""

from collections.abc import Mapping
from time import monotonic

import highspy
import pulp

from solvers import work
from solvers.allocation import Limit, Reason, Solution, answered, empty_handed
from solvers.problem import INF, Column, Problem, Row, Sense

_SEED = 1

_LIMITS = {
    highspy.HighsModelStatus.kInterrupt: Limit.WORK, highspy.HighsModelStatus.kTimeLimit: Limit.TIME,
}  # fmt: skip


def solve_highs(problem: Problem, *, time_limit_s: float, gap_frac: float) -> Solution:
    """Solve with HiGHS: one thread and a fixed seed, so that the same problem has the same answer.

    Args:
        problem: what to solve.
        time_limit_s: limit, > 0, as the steps that it stands for; in wall seconds the last resort.
        gap_frac: relative gap at which an allocation counts as optimal.

    Returns:
        The solution, with HiGHS's own status and dual bound. UNBOUNDED and INFEASIBLE may each mean the other where
        the objective is open-ended.
    """
    model, variables = _model(problem)
    solver = pulp.HiGHS(
        msg=False,
        threads=1,
        gapRel=gap_frac,
        gapAbs=1e-9,
        random_seed=_SEED,
        # Rows hold counts times capacities: at the default 1e-6 a "whole" count may be short by a visible load. At 1e-9
        # HiGHS 1.15.1 has called a wrong optimum proven (tests/solvers/test_solve.py keeps the problem).
        mip_feasibility_tolerance=1e-7,
    )
    solver.createAndConfigureSolver(model)
    solver.buildSolverModel(model)
    with work.limited(model.solverModel, problem, time_limit_s):
        solver.callSolver(model)
    return _highs_answer(problem, model.solverModel, variables)


def _highs_answer(problem: Problem, highs: highspy.Highs, variables: Mapping[str, pulp.LpVariable]) -> Solution:
    said, status, info = highs.getModelStatus(), highspy.HighsModelStatus, highs.getInfo()
    backend, detail = "highs", highs.modelStatusToString(said)
    if said == status.kInterrupt:
        detail = work.OUT_OF_WORK
    if said == status.kInfeasible:
        return empty_handed(Reason.INFEASIBLE, backend=backend, detail=detail)
    if said in (status.kUnbounded, status.kUnboundedOrInfeasible):
        return empty_handed(Reason.UNBOUNDED, backend=backend, detail=detail)
    if said not in (*_LIMITS, status.kOptimal, status.kIterationLimit, status.kSolutionLimit):
        return empty_handed(Reason.ERROR, backend=backend, detail=detail)
    proven = said == status.kOptimal
    limit = Limit.NONE if proven else _LIMITS.get(said, Limit.OTHER)
    if info.primal_solution_status != int(highspy.SolutionStatus.kSolutionStatusFeasible):
        reason = Reason.ERROR if proven else Reason.NO_SOLUTION_FOUND
        return empty_handed(reason, limit=limit, backend=backend, detail=detail)
    sign = -1.0 if problem.sense is Sense.MAX else 1.0  # PuLP hands HiGHS the negated objective of a maximum
    linear = not any(column.integer for column in problem.columns)
    bound = info.objective_function_value if linear and proven else info.mip_dual_bound if not linear else INF
    found = highs.getSolution().col_value
    return answered(
        problem,
        {name: found[variable.index] for name, variable in variables.items()},
        reason=Reason.OPTIMAL if proven else Reason.FEASIBLE,
        limit=limit,
        bound=sign * bound,
        backend=backend,
        detail=detail,
    )


def solve_cbc(problem: Problem, *, time_limit_s: float, gap_frac: float) -> Solution:
    """Solve with the CBC that PuLP ships.

    Args:
        problem: what to solve.
        time_limit_s: limit, > 0, as the nodes that it stands for; in wall seconds the last resort.
        gap_frac: relative gap at which an allocation counts as optimal.

    Returns:
        The solution. CBC's solution file tells no bound: an optimal answer is bounded by its gap tolerance, any other
        by nothing. UNBOUNDED and INFEASIBLE may each mean the other where the objective is open-ended.
    """
    model, variables = _model(problem)
    options = [f"randomSeed {_SEED}", f"randomCbcSeed {_SEED}"]
    solver = pulp.COIN_CMD(
        path=pulp.PULP_CBC_CMD.pulp_cbc_path, msg=False, threads=1, timeLimit=work.last_resort_s(time_limit_s),
        maxNodes=work.most_steps(problem, time_limit_s), gapRel=gap_frac, gapAbs=1e-9, options=options,
    )  # fmt: skip
    began_s = monotonic()
    try:
        solver.actualSolve(model)
    except pulp.PulpSolverError as error:
        return empty_handed(Reason.ERROR, backend="cbc", detail=str(error))
    stopped = Limit.TIME if monotonic() - began_s >= work.last_resort_s(time_limit_s) else Limit.WORK
    return _cbc_answer(problem, model, variables, gap_frac, stopped)


def _cbc_answer(
    problem: Problem, model: pulp.LpProblem, variables: Mapping[str, pulp.LpVariable], gap_frac: float, stopped: Limit
) -> Solution:
    backend = "cbc"
    detail = pulp.LpSolution[model.sol_status]
    if model.status == pulp.LpStatusInfeasible:  # sol_status does not know CBC's "integer infeasible"
        return empty_handed(Reason.INFEASIBLE, backend=backend, detail=detail)
    if model.sol_status == pulp.LpSolutionUnbounded:
        return empty_handed(Reason.UNBOUNDED, backend=backend, detail=detail)
    if model.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return empty_handed(Reason.NO_SOLUTION_FOUND, limit=stopped, backend=backend, detail=detail)
    proven = model.sol_status == pulp.LpSolutionOptimal
    values = {name: variable.varValue for name, variable in variables.items()}
    slack = gap_frac * abs(problem.objective(values)) * (-1.0 if problem.sense is Sense.MIN else 1.0)
    return answered(
        problem,
        values,
        reason=Reason.OPTIMAL if proven else Reason.FEASIBLE,
        limit=Limit.NONE if proven else stopped,
        bound=problem.objective(values) + slack if proven else None,
        backend=backend,
        detail=detail,
    )


def _model(problem: Problem) -> tuple[pulp.LpProblem, dict[str, pulp.LpVariable]]:
    """The PuLP model, and its variable for each column name; names within it are safe in every file format."""
    model = pulp.LpProblem("problem", pulp.LpMaximize if problem.sense is Sense.MAX else pulp.LpMinimize)
    variables = {column.name: _variable(model, index, column) for index, column in enumerate(problem.columns)}
    model.setObjective(pulp.LpAffineExpression([(variables[c.name], c.objective) for c in problem.columns]))
    for index, row in enumerate(problem.rows):
        _add_row(model, index, row, variables)
    return model, variables


def _variable(model: pulp.LpProblem, index: int, column: Column) -> pulp.LpVariable:
    return model.add_variable(
        f"x{index:06d}",
        lowBound=None if column.lower == -INF else column.lower,
        upBound=None if column.upper == INF else column.upper,
        cat=pulp.LpInteger if column.integer else pulp.LpContinuous,
    )


def _add_row(model: pulp.LpProblem, index: int, row: Row, variables: Mapping[str, pulp.LpVariable]) -> None:
    activity = pulp.LpAffineExpression([(variables[name], coefficient) for name, coefficient in row.terms])
    if row.lower == row.upper:
        model.addConstraint(activity == row.lower, f"r{index:06d}e")
        return
    if row.lower > -INF:
        model.addConstraint(activity >= row.lower, f"r{index:06d}l")
    if row.upper < INF:
        model.addConstraint(activity <= row.upper, f"r{index:06d}u")
