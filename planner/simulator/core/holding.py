"""Prompts that could be computed and are not yet: steps are planned ahead, or attention ranks wait for each other."""

from planner.policies.dealing import enough_prompts
from planner.simulator.core.queues import head, length
from planner.simulator.core.state import NONE, WAITING, World


def missed(w: World, k: int, slot: int) -> bool:
    """Whether a request came after the step that a lane begins now was planned: beside the one before it."""
    me = w.lanes[k]
    if w.bodies[me.body].ahead_steps == 0 or me.batch == 0:
        return False
    return bool(me.idle_s == w.cluster[0].now_s and w.requests[slot].arrival_s >= me.last_start_s)


def holds(w: World, k: int) -> bool:
    """Whether the ranks of a lane hold prompts back until every one has one: they do while all decode."""
    body = w.bodies[w.lanes[k].body]
    return bool(body.hold_steps and w.lanes[k].batch >= body.ranks)


def patience(w: World, k: int) -> int:
    """Decode steps of a lane that come before the prompts that wait at its instance; 0: they may go at once."""
    me = w.lanes[k]
    i, body = int(me.instance), w.bodies[me.body]
    slot = head(w, i, WAITING)
    if slot == NONE or me.batch == 0:
        return 0
    if holds(w, k) and length(w, i, WAITING) < enough_prompts(body.ranks):
        waited = (me.steps - me.held_step) % body.hold_steps  # the engine's counter runs while no prompt waits, too
        if waited or me.steps == me.held_step:
            return int(body.hold_steps - waited)
    return 1 if missed(w, k, slot) else 0
