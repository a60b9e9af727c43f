"""Instances that come, go or change their clock, as ``Shifting`` has it."""

from planner.simulator.core.instance import wake
from planner.simulator.core.queues import appoint, load, weigh
from planner.simulator.core.state import NOBODY, TURN, World


def turn(w: World) -> None:
    """Let every shift happen whose time has come."""
    c = w.cluster[0]
    while c.shift < c.shifts and w.shifts[c.shift].at_s <= c.now_s:
        _turn(w, c.shift)
        c.shift += 1


def appoint_turn(w: World) -> None:
    """Make the appointment of the next shift, if there is one."""
    c = w.cluster[0]
    if c.shift < c.shifts:
        appoint(w, TURN, w.shifts[c.shift].at_s - c.now_s)


def _turn(w: World, n: int) -> None:
    """One shift."""
    i, opens, body = w.shifts[n].instance, w.shifts[n].opens, w.shifts[n].body
    me = w.instances[i]
    if body != NOBODY:
        me.next_body = body
        wake(w, i)
    if opens == 0 and not me.closed:
        me.closed_load, me.closed = load(w, i), 1
        weigh(w, i, float("inf"))
    elif opens == 1 and me.closed:
        me.closed = 0
        weigh(w, i, me.closed_load)
