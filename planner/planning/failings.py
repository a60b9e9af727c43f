"""Whether a candidate held in simulation, its watts included."""

from planner.planning.tighten import excess
from planner.results.evidence import Judgement


def met(judgement: Judgement, drawn_w: float | None) -> bool:
    """Whether nothing was wrong in simulation.

    Args:
        judgement: of a candidate.
        drawn_w: mean watts at the wall that it may draw; None is unlimited.
    """
    return judgement.valid and not excess(judgement, drawn_w)
