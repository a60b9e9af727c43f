"""Instances that come, go or change their clock while a trace is served."""

from planner.simulator.core.instance import wake
from planner.simulator.core.order import forget_work
from planner.simulator.core.queues import disable, enable, schedule
from planner.simulator.core.requests import unpark
from planner.simulator.core.state import NONE, SHIFTED, World


def turn(w: World) -> None:
    """Let every shift happen whose time has come."""
    c = w.cluster[0]
    while c.shift < c.shifts and w.shifts[c.shift].at_s <= c.now_s:
        _turn(w, int(c.shift))
        c.shift += 1


def schedule_shift(w: World) -> None:
    """Schedule the next shift, if there is one."""
    c = w.cluster[0]
    if c.shift < c.shifts:
        schedule(w, SHIFTED, w.shifts[c.shift].at_s - c.now_s)


def _turn(w: World, n: int) -> None:
    """One shift."""
    i, opens, body = int(w.shifts[n].instance), w.shifts[n].opens, w.shifts[n].body
    me = w.instances[i]
    if body != NONE:
        me.body = body
        if me.order:
            forget_work(w, i)
        wake(w, i)
    if opens == 0 and not me.closed:
        me.closed = 1
        disable(w, i)
    elif opens == 1:
        if me.closed:
            me.closed = 0
            enable(w, i)
        unpark(w)
