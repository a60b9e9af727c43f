"""Machines that fail: what is lost with them, and what becomes of the requests.

A request is lost with a machine that holds any of it: where it waits, is computed, decodes, has landed, or where its KV
cache comes from or goes to. One that only was to move there later gets another home.
"""

from planner.simulator.core.batch import leave
from planner.simulator.core.ledger import allocate, queue_tokens
from planner.simulator.core.queues import (
    add_pending,
    cancel_event,
    disable,
    enable,
    head,
    length,
    pop_front,
    promised,
    push_back,
    remove,
    schedule,
)
from planner.simulator.core.requests import cancel, rehome, release, restart, unpark
from planner.simulator.core.runs import advance, spent
from planner.simulator.core.stages import clear_stages
from planner.simulator.core.state import FAILED, LANDING, LOST, NONE, PREFILLS, READY, RUNNING, SHIFTED, WAITING, World
from planner.simulator.core.steps import run_s, started_steps
from planner.simulator.core.transfers import admit_landing

HELD, PROMISED, AWAITED = 1, 2, 4
"""What is to be given back for a lost request: memory at its source, memory at its target; it waited for that."""


def schedule_failures(w: World) -> None:
    """Schedule all failures."""
    for n in range(w.cluster[0].failures):
        schedule(w, FAILED - 2 * n, w.failures[n].at_s)


def fail_or_repair(w: World, what: int) -> None:
    """Let a machine fail, or come back."""
    n = (FAILED - what) // 2
    failure = w.failures[n]
    if (FAILED - what) % 2 == 0:
        _fail_machine(w, int(failure.machine))
        if failure.repair_s >= 0.0:
            schedule(w, what - 1, failure.repair_s)
        return
    for i in range(w.cluster[0].instances):
        if _stands_on(w, i, int(failure.machine)):
            enable(w, i)
    unpark(w)


def _stands_on(w: World, i: int, machine: int) -> bool:
    """Whether any part of an instance is on a machine."""
    me = w.instances[i]
    return bool(me.machine <= machine < me.machine + me.machines)


def _fail_machine(w: World, machine: int) -> None:
    """Lose everything on a machine.

    The books are put right everywhere before any instance is woken: one that wakes acts on them.
    """
    count = int(w.cluster[0].instances)
    for i in range(count):
        me = w.instances[i]
        me.gone = 1 if _stands_on(w, i, machine) else 0
        if me.gone:
            disable(w, i)
            me.pending, me.borrowed = 0, 0
    for i in range(count):
        if w.instances[i].gone:
            _lose_landing(w, i)
            _fail(w, i)
    _lose_transfers(w)
    for i in range(count):
        if not w.instances[i].gone:
            _lose_awaited(w, i)
    _give_back(w)
    for i in range(count):
        w.instances[i].gone = 0
    _restart_all(w)


def _up(w: World, i: int) -> bool:
    """Whether there is such an instance and it is not among those that fail."""
    return bool(i != NONE and not w.instances[i].gone)


def _lose(w: World, slot: int, mark: int) -> None:
    """Put a request among the lost, which is in no queue any more."""
    r = w.requests[slot]
    r.mark = mark
    push_back(w, int(w.cluster[0].lanes), LOST, slot)


def _lose_landing(w: World, i: int) -> None:
    """Lose the requests that asked a failed instance for memory; their sources still hold them."""
    while length(w, i, LANDING):
        slot = pop_front(w, i, LANDING)
        _lose(w, slot, HELD if _up(w, int(w.requests[slot].sent_by)) else 0)


def _lose_held(w: World, row: int, kind: int) -> None:
    """Lose the requests of a queue of a failed instance, those with memory promised elsewhere so marked."""
    while length(w, row, kind):
        slot = pop_front(w, row, kind)
        r = w.requests[slot]
        _lose(w, slot, PROMISED if _up(w, int(r.home)) and r.transfer_end_s >= 0 else 0)


def _fail(w: World, i: int) -> None:
    """Lose everything on one instance, the steps that are whole by now booked."""
    me = w.instances[i]
    _lose_held(w, i, WAITING)
    _lose_held(w, i, READY)
    for k in range(me.lane, me.lane + me.lanes):
        _stop(w, k)
        _lose_held(w, k, PREFILLS)
        while head(w, k, RUNNING) != NONE:
            slot = head(w, k, RUNNING)
            leave(w, k, slot)
            _lose(w, slot, 0)
    if me.lanes > 1:
        clear_stages(w, i)
    queue_tokens(w, i, -int(me.queue_tokens))
    me.partial = me.owed = me.promised = 0
    me.landing_tokens = me.prefill_tokens = 0
    allocate(w, i, int(me.free - me.total))


def _stop(w: World, k: int) -> None:
    """Stop the run of a lane."""
    me = w.lanes[k]
    if not me.on:
        return
    spent(w, k)
    me.idle_s = me.run_start_s
    done = 0 if me.prefilling else started_steps(w, k) - 1
    if done > 0:
        me.idle_s += run_s(w, k, done)
        advance(w, k, done)
    me.on = me.prefilling = 0
    if me.place != NONE:
        cancel_event(w, int(me.place))
        me.place = NONE


def _lose_transfers(w: World) -> None:
    """Lose the KV caches on the link from or to a failed instance, in the order in which they left."""
    found = _first_lost_transfer(w)
    while found != NONE:
        slot = ~int(w.events[found].what)
        home, source = int(w.requests[slot].home), int(w.requests[slot].sent_by)
        w.cluster[0].in_transfer -= 1
        _lose(w, slot, PROMISED if _up(w, home) else HELD if _up(w, source) else 0)
        cancel_event(w, found)
        found = _first_lost_transfer(w)


def _first_lost_transfer(w: World) -> int:
    """Position of the event of the earliest such transfer; NONE where there is none."""
    found = NONE
    for at in range(w.cluster[0].events):
        what = int(w.events[at].what)
        if what >= 0 or what <= SHIFTED or (found != NONE and w.events[at].number > w.events[found].number):
            continue
        home, source = int(w.requests[~what].home), int(w.requests[~what].sent_by)
        if (home != NONE and not _up(w, home)) or (source != NONE and not _up(w, source)):
            found = at
    return found


def _lose_awaited(w: World, i: int) -> None:
    """Lose the requests that wait at an instance for a KV cache that is gone; rehome those with only a lost future."""
    me, slot = w.instances[i], head(w, i, LANDING)
    while slot != NONE:
        r = w.requests[slot]
        after = r.next
        if not _up(w, int(r.sent_by)):
            remove(w, i, LANDING, slot)
            me.landing_tokens -= r.prompt
            _lose(w, slot, AWAITED)
        slot = after
    for k in range(me.lane, me.lane + me.lanes):
        _rehome_all(w, k, PREFILLS)
    _rehome_all(w, i, WAITING)


def _rehome_all(w: World, row: int, kind: int) -> None:
    """Find another home for requests of a queue that were to move to a failed instance."""
    slot = head(w, row, kind)
    while slot != NONE:
        r = w.requests[slot]
        if r.home != NONE and not _up(w, int(r.home)):
            rehome(w, slot)
        slot = r.next


def _give_back(w: World) -> None:
    """Give back what the lost requests held or were promised on instances that are up, and let them go on."""
    row = int(w.cluster[0].lanes)
    slot = head(w, row, LOST)
    while slot != NONE:
        r = w.requests[slot]
        if _up(w, int(r.home)):
            add_pending(w, int(r.home), -promised(w, slot))
        slot = r.next
    for mark in (HELD, PROMISED, AWAITED):
        slot = head(w, row, LOST)
        while slot != NONE:
            r = w.requests[slot]
            if r.mark == mark and mark == HELD:
                release(w, int(r.sent_by), int(r.prefill))
            elif r.mark == mark and mark == PROMISED:
                cancel(w, int(r.home), slot)
            elif r.mark == mark:  # those behind it may fit
                admit_landing(w, int(r.home))
            slot = r.next


def _restart_all(w: World) -> None:
    """Serve the lost requests again, the first of the trace first."""
    row = int(w.cluster[0].lanes)
    while length(w, row, LOST):
        first = slot = head(w, row, LOST)
        while slot != NONE:
            if w.requests[slot].index < w.requests[first].index:
                first = slot
            slot = w.requests[slot].next
        remove(w, row, LOST, first)
        restart(w, first)
