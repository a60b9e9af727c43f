"""Plans without the options that stay late, where the loop that may use them found none.

Load limits are those of a role, so all options of it are given less together. An option that misses an objective
however little it is given, and costs least, would keep out those that meet it.
"""

from collections.abc import Collection

from planner.planning.loop import PlanningLoop
from planner.planning.shrink import Held
from planner.planning.tighten import to_blame
from planner.results.evidence import NoPlan, Round, Verdict
from planner.results.failings import incurable
from planner.results.plan import Pool

MOST_REQUESTS = 20_000_000
"""Requests after which no further options are left out: some 20 CPU-seconds of simulation."""


def without_late(loop: PlanningLoop, refusal: NoPlan) -> Held | NoPlan:
    """A plan of the options that are left when those go that missed an objective to the end.

    First the very options go, then, should others of their kind be as late, all that those machines have in that role.

    Args:
        loop: that ended with nothing.
        refusal: how.

    Returns:
        A plan that holds, the rounds of which are written down in ``loop``; else the refusal.
    """
    start, left, tried = loop.simulated_requests, loop, refusal
    gone: set[tuple[str, str]] = set()
    while late := stays_late(tried):
        kinds = {(str(pool.spec.role), pool.spec.machine) for pool in late}
        again, names = kinds & gone, {pool.spec.name for pool in late}
        gone |= kinds
        kept = [
            name for name, option in left.options.items()
            if name not in names and (str(option.spec.role), option.spec.machine) not in again
        ]  # fmt: skip
        left = left.among(kept)
        if not left.serves or loop.simulated_requests - start > MOST_REQUESTS:
            break
        found = left.propose_and_tighten()
        if not isinstance(found, NoPlan):
            loop.rounds += left.rounds
            return found
        tried = found
    return refusal


def stays_late(refusal: NoPlan) -> Collection[Pool]:
    """The pools that are to blame for what the last candidate missed; none where fewer requests are no help."""
    if refusal.reason != "not validated" or not refusal.rounds or incurable(refusal.rounds[-1].judgement):
        return ()
    return _blamed(refusal.rounds[-1])


def _blamed(turn: Round) -> list[Pool]:
    missed = [found for found in turn.judgement.evidence if found.verdict is not Verdict.MET and not found.few]
    roles = {role for found in missed for role in to_blame(found, turn.candidate, turn.judgement)}
    return [pool for pool in turn.candidate.pools if pool.spec.role in roles]
