"""The loop over all events of a cluster."""

from planner.simulator.core.batch import leave
from planner.simulator.core.batching import computed
from planner.simulator.core.failures import fail_or_repair, schedule_failures
from planner.simulator.core.instance import go_on, start
from planner.simulator.core.memory import decoding, free_blocks, running
from planner.simulator.core.queues import close_taken, length, next_event, pop_front, schedule
from planner.simulator.core.requests import admit, finished, landed, prefilled, route, take_row
from planner.simulator.core.reserved import reserved_landed, reserved_run_ended, route_reserved
from planner.simulator.core.runs import book
from planner.simulator.core.shifts import schedule_shift, turn
from planner.simulator.core.stages import note_bubble
from planner.simulator.core.state import DONE, FULL, LOOK, NONE, PREFILLS, READY, SHIFTED, World
from planner.simulator.core.steps import answer_lag_s
from planner.simulator.core.transfers import admit_landing


def _run_ended(w: World, k: int) -> None:
    """A run of a lane is over: do the books, release requests that are done, begin the next."""
    me, c = w.lanes[k], w.cluster[0]
    i = int(me.instance)
    if w.instances[i].lanes > 1:
        note_bubble(w, k)
    book(w, k)
    if me.prefilling:
        me.prefilling = 0
        lag_s = answer_lag_s(w, k)
        computed(w, k)
        while length(w, k, PREFILLS):
            prefilled(w, k, pop_front(w, k, PREFILLS), lag_s)
    while me.due and w.dues[k * c.due_rows].step <= me.steps:
        slot = int(w.dues[k * c.due_rows].slot)
        leave(w, k, slot)
        finished(w, i, slot)
    admit_landing(w, i)
    if w.instances[i].lanes > 1:
        go_on(w, i)
    elif not me.on:
        start(w, k)


def _look(w: World) -> None:
    """Note what every instance does now, pool by pool; looking changes nothing."""
    c = w.cluster[0]
    for i in range(c.instances):
        me = w.instances[i]
        computing = decoding(w, i) + length(w, i, READY)
        for k in range(me.lane, me.lane + me.lanes):
            computing += length(w, k, PREFILLS)
        at = 4 * (c.looked * c.pools + me.pool)
        w.seen[at] += 1.0 if computing else 0.0
        w.seen[at + 1] += running(w, i)
        w.seen[at + 2] += me.queue_tokens
        w.seen[at + 3] += 1.0 - free_blocks(w, i) / max(1, me.total)
    c.looked += 1


def _schedule_look(w: World) -> None:
    """Schedule the next look, if there is one."""
    c = w.cluster[0]
    if c.looked < c.looks:
        schedule(w, LOOK, max(0.0, (c.looked + 1) * c.look_s - c.now_s))


def _ask(w: World) -> None:
    """Take a client's place for the next request, or wait for one."""
    c = w.cluster[0]
    c.asked = 1
    if c.places:
        c.places -= 1
        admit(w)
    else:
        c.fired, c.asks = 0, 1


def _arrive(w: World) -> bool:
    """Let every request arrive whose time has come; False where there is no row for one."""
    c = w.cluster[0]
    while c.cursor < c.requests:
        at_s = w.arrival_s[c.cursor]
        if not c.fired and not c.asked and at_s > c.now_s:
            c.number += 1
            c.arrival_s, c.arrival_number, c.fired = c.now_s + (at_s - c.now_s), c.number, 1
            return True
        if c.clients and not c.asked:
            _ask(w)
            return True
        if c.free_slot == NONE or (c.reserving and w.requests[c.free_slot].next == NONE):
            c.fired = 1
            return False
        c.fired = c.asked = 0
        c.arrived += 1
        slot = take_row(w, int(c.cursor))
        if c.reserving:
            route_reserved(w, slot)
        else:
            route(w, slot)
        c.cursor += 1
    c.fired = 0
    return True


def _begin(w: World) -> None:
    """Schedule what is known from the start."""
    w.cluster[0].started = 1
    schedule_failures(w)
    schedule_shift(w)
    _schedule_look(w)


def _happen(w: World, what: int) -> None:
    """Let an event happen."""
    c = w.cluster[0]
    if what >= c.lanes:
        go_on(w, what - int(c.lanes))
    elif what >= 0:
        if c.reserving:
            reserved_run_ended(w, what)
        else:
            _run_ended(w, what)
    elif what > SHIFTED:
        if c.reserving:
            reserved_landed(w, ~what)
        else:
            landed(w, ~what)
    elif what == SHIFTED:
        turn(w)
        schedule_shift(w)
    elif what == LOOK:
        _look(w)
        _schedule_look(w)
    else:
        fail_or_repair(w, what)


def replay(w: World) -> int:
    """Serve the trace until it is over, the time is up, or no row is left for a request.

    Returns:
        DONE or FULL; after FULL, called again with more rows, it continues where it stopped.
    """
    c = w.cluster[0]
    if not c.started:
        turn(w)
    while True:
        if c.arriving:
            if not _arrive(w):
                return FULL
            c.arriving = 0
            if not c.started:
                _begin(w)
        close_taken(w)
        arrives = bool(c.fired)
        if c.events and arrives:
            top = w.events[0]
            arrives = c.arrival_s < top.at_s or (c.arrival_s == top.at_s and c.arrival_number < top.number)
        elif not arrives and not c.events:
            return DONE
        at_s = c.arrival_s if arrives else w.events[0].at_s
        if at_s >= c.cutoff_s:
            return DONE
        c.now_s = at_s
        if arrives:
            c.arriving = 1
        else:
            _happen(w, next_event(w))
