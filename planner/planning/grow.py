"""Growing a plan that the whole trace says is too small."""

from planner.planning.loop import PlanningLoop
from planner.planning.tighten import smaller, to_blame
from planner.results.evidence import Judgement, Verdict
from planner.results.plan import CandidatePlan

STEP_FRAC = 0.02
"""Share of its machines that a pool to blame gets more, at least one; each further step doubles it."""

MOST_STEPS = 4

Held = tuple[CandidatePlan, Judgement]


def grow(loop: PlanningLoop, candidate: CandidatePlan) -> Held | None:
    """The candidate with as many more machines in the pools to blame as it takes to hold; None where that is too many.

    Args:
        loop: that judges by whole traces.
        candidate: nearly large enough.
    """
    for step in range(MOST_STEPS + 1):
        judgement = loop.judged(candidate, brief=True)
        loop.note("whole trace", candidate, judgement)
        if loop.holds(candidate, judgement):
            return candidate, judgement
        more = grown(loop, candidate, judgement, step)
        if more is None or not loop.within_budgets(more):
            return None
        candidate = more
    return None


def grown(loop: PlanningLoop, candidate: CandidatePlan, judgement: Judgement, step: int) -> CandidatePlan | None:
    """More machines in the largest pool of every role to blame; None where nothing says which it is.

    Of what only a longer window misses the same roles are to blame; of a backlog alone, the busiest pool.

    Args:
        loop: of its options.
        candidate: that does not hold.
        judgement: which says what is late.
        step: from 0, how often it was made larger before.
    """
    frac = STEP_FRAC * 2**step
    late = [e for e in judgement.evidence if e.verdict is not Verdict.MET and not e.few]
    missed = late or [e for e in judgement.evidence if e.key in judgement.longer_missed]
    roles = dict.fromkeys(role for e in missed for role in to_blame(e, candidate, judgement))
    if not roles and not judgement.steady:
        busiest = max(judgement.pools, key=lambda p: p.busy_frac).pool
        roles = dict.fromkeys(p.spec.role for p in candidate.pools if p.spec.name == busiest)
    found: CandidatePlan | None = candidate if roles else None
    for role in roles:
        pool = max((p for p in candidate.pools if p.spec.role is role), key=lambda p: (p.machines, p.spec.name))
        more = max(1, round(frac * pool.machines / loop.options[pool.spec.name].machines_per_instance))
        found = found and smaller(found, pool.spec.name, -more, loop.options)
    return found
