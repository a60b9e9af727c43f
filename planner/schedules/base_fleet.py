"""The base fleet of a question whose machines are few, decided first: in epochs that stand for all."""

from collections.abc import Iterator, Mapping

from planner.formulate import EpochQuestion, beside, epoch_problem, place
from planner.formulate.epoch_typical import typical
from solvers.decomposition import solve_in_turn
from solvers.direct import relax
from solvers.problem import INF

TYPICAL = 16
"""Epochs that stand for all."""

MOST_STEPS = 40
"""Fleets that are tried beside the first."""


def base_fleet(question: EpochQuestion, *, time_limit_s: float, gap_frac: float) -> dict[str, float] | None:
    """Columns of the base fleet -> machines: of whole fleets near that of the relaxation the cheapest that was tried.

    Args:
        question: without a number of machine types, and without layouts that exclude one another.
        time_limit_s: limit of each solve.
        gap_frac: relative gap that is enough.

    Returns:
        None where the first has no answer.
    """
    program = epoch_problem(typical(question, TYPICAL))
    most = {c.name: c.upper for c in program.columns if place(c.name)[1] is None and beside(c.name) is None}
    if (relaxed := relax(program)) is None:
        return None

    def worth(fleet: Mapping[str, float]) -> float:
        found = solve_in_turn(
            program, place, fleet, beside=beside, time_limit_s=time_limit_s, gap_frac=gap_frac, passes=0
        )  # fmt: skip
        return program.objective(found) if found else INF

    best = {name: min(most[name], float(round(relaxed.values[name]))) for name in most}
    tried = {tuple(best.values()): worth(best)}
    value = tried[tuple(best.values())]
    if value == INF:
        return None
    for _ in range(MOST_STEPS):
        other = next((each for each in _near(best, most) if tuple(each.values()) not in tried), None)
        if other is None:
            break
        tried[tuple(other.values())] = each = worth(other)
        best, value = (other, each) if each < value else (best, value)
    return best


def _near(fleet: Mapping[str, float], most: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """Fleets with one machine more or fewer of a type, then those with one in the place of one of another type."""
    more = [name for name in fleet if fleet[name] < most[name]]
    fewer = [name for name in fleet if fleet[name] > 0]
    yield from ({**fleet, name: fleet[name] - 1} for name in fewer)
    yield from ({**fleet, name: fleet[name] + 1} for name in more)
    yield from ({**fleet, name: fleet[name] - 1, other: fleet[other] + 1} for name in fewer for other in more
                if name != other)  # fmt: skip
