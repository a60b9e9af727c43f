"""HiGHS without a modelling layer between: for many small problems, and for the duals of one large relaxation."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import highspy
import numpy as np

from solvers import work
from solvers.problem import INF, Problem, Sense
from solvers.quiet import quiet
from solvers.scaling import equilibrated

_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """What HiGHS found.

    Attributes:
        values: of every column, whole where that was asked.
        bound: proven bound on the objective of the problem as it was solved.
        duals: row name -> change of the objective per unit of the row's bound; empty with whole columns.
        reduced: column name -> reduced cost; empty with whole columns.
        nodes: of the tree that was searched; 0 without whole columns.
        backend: its name.
        by_clock: the clock ended it, so that the answer may be another under another load.
    """

    values: Mapping[str, float]
    bound: float
    duals: Mapping[str, float]
    reduced: Mapping[str, float]
    backend: str
    nodes: int = 0
    by_clock: bool = False


_SMALL: Mapping[str, object] = {
    "mip_heuristic_run_rins": False, "mip_heuristic_run_rens": False, "mip_heuristic_run_root_reduced_cost": False,
}  # fmt: skip
"""Searches inside the search cost a block of a few hundred columns more than they find: 2.4 times its time."""


def solve_direct(
    problem: Problem, *, time_limit_s: float, gap_frac: float, small: bool = False, most_nodes: int | None = None
) -> Direct | None:  # fmt: skip
    """Solve a minimum with HiGHS, one thread, fixed seed; None where it has nothing in hand.

    Args:
        problem: what to solve.
        time_limit_s: limit of the solve, as the steps that it stands for.
        gap_frac: relative gap that is enough.
        small: one of many, of a few hundred columns: without the solver's own searches inside the search.
        most_nodes: of its tree, a limit that is the same under any load; None is none.
    """
    nodes = {} if most_nodes is None else {"mip_max_nodes": most_nodes}
    return _run(
        problem, {**(_SMALL if small else {}), **nodes}, time_limit_s=time_limit_s, gap_frac=gap_frac, whole=True
    )


def relax(problem: Problem, *, time_limit_s: float = 600.0) -> Direct | None:
    """Solve the linear relaxation of a minimum; None where it has no optimum."""
    return _run(problem, {}, time_limit_s=time_limit_s, gap_frac=0.0, whole=False)


def _run(
    problem: Problem, options: Mapping[str, object], *, time_limit_s: float, gap_frac: float, whole: bool
) -> Direct | None:
    if problem.sense is not Sense.MIN:
        raise ValueError("expected a minimum")
    scaled = equilibrated(problem)
    with quiet():
        found = _ask(scaled.problem, {"mip_rel_gap": gap_frac, **options}, time_limit_s, whole)
    if found is None:
        return None
    return Direct(
        values=scaled.original(found.values),
        bound=found.bound * scaled.objective,
        duals={name: dual * scaled.rows[name] * scaled.objective for name, dual in found.duals.items()},
        reduced={name: cost * scaled.objective / scaled.units[name] for name, cost in found.reduced.items()},
        backend=found.backend,
        nodes=found.nodes,
        by_clock=found.by_clock,
    )


def _ask(problem: Problem, options: Mapping[str, object], time_limit_s: float, whole: bool) -> Direct | None:
    highs = highspy.Highs()
    for option, value in (
        ("output_flag", False), ("threads", 1), ("random_seed", _SEED), ("mip_abs_gap", 1e-9),
        ("mip_feasibility_tolerance", 1e-7), *options.items(),
    ):  # fmt: skip
        highs.setOptionValue(option, value)
    highs.passModel(matrix(problem, whole=whole))
    with work.limited(highs, problem, time_limit_s):
        highs.run()
    info, status = highs.getInfo(), highs.getModelStatus()
    if info.primal_solution_status != int(highspy.SolutionStatus.kSolutionStatusFeasible):
        return None
    integers = whole and any(column.integer for column in problem.columns)
    if not integers and status != highspy.HighsModelStatus.kOptimal:
        return None
    found = highs.getSolution()
    values = {
        column.name: float(round(value)) if column.integer and whole else min(max(value, column.lower), column.upper)
        for column, value in zip(problem.columns, found.col_value, strict=True)
    }
    duals = {} if integers else {row.name: dual for row, dual in zip(problem.rows, found.row_dual, strict=True)}
    reduced = {} if integers else {c.name: cost for c, cost in zip(problem.columns, found.col_dual, strict=True)}
    bound = info.mip_dual_bound if integers else info.objective_function_value
    nodes = max(0, int(info.mip_node_count)) if integers else 0
    return Direct(
        values=values, bound=bound, duals=duals, reduced=reduced, backend="highs", nodes=nodes,
        by_clock=status == highspy.HighsModelStatus.kTimeLimit,
    )  # fmt: skip


def matrix(problem: Problem, *, whole: bool) -> highspy.HighsLp:
    """The problem in HiGHS's own arrays, row by row."""
    place = {column.name: index for index, column in enumerate(problem.columns)}
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(problem.columns), len(problem.rows)
    lp.col_cost_ = np.array([c.objective for c in problem.columns], float)
    lp.col_lower_ = np.array([_open(c.lower) for c in problem.columns], float)
    lp.col_upper_ = np.array([_open(c.upper) for c in problem.columns], float)
    lp.row_lower_ = np.array([_open(r.lower) for r in problem.rows], float)
    lp.row_upper_ = np.array([_open(r.upper) for r in problem.rows], float)
    counts = [len(row.terms) for row in problem.rows]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    terms = list(chain.from_iterable(row.terms for row in problem.rows))
    lp.a_matrix_.index_ = np.array([place[name] for name, _ in terms], np.int32)
    lp.a_matrix_.value_ = np.array([coefficient for _, coefficient in terms], float)
    kind = highspy.HighsVarType
    if whole:
        lp.integrality_ = [kind.kInteger if c.integer else kind.kContinuous for c in problem.columns]
    return lp


def _open(value: float) -> float:
    """Infinity as HiGHS has it."""
    return value if abs(value) != INF else (highspy.kHighsInf if value > 0 else -highspy.kHighsInf)
