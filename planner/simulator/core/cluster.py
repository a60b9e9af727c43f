"""Arrivals, routing, lending and the event loop, as the event engine's cluster and router have them."""

from planner.simulator.core.batching import computed
from planner.simulator.core.instance import (
    admit_landing,
    book,
    fly,
    join,
    leave,
    start,
    wake,
)
from planner.simulator.core.ledger import allocate, finish, note_gap, queue_tokens
from planner.simulator.core.memory import blocks
from planner.simulator.core.queues import (
    least_loaded,
    length,
    load,
    next_event,
    pend,
    pop_front,
    push_back,
)
from planner.simulator.core.shifts import appoint_turn, turn
from planner.simulator.core.state import DONE, FULL, LANDING, NOBODY, PREFILLS, READY, TURN, WAITING, World
from planner.simulator.core.steps import answer_lag_s

PREFILL, DECODE, MIXED = range(3)

# --- a request on its way --------------------------------------------------------------------------------------------


def _free(w: World, slot: int) -> None:
    """Give the row of a request back."""
    c = w.cluster[0]
    w.requests[slot].next = c.free_slot
    c.free_slot = slot
    c.in_flight -= 1


def _cancel(w: World, i: int, slot: int) -> None:
    """Give back the memory promised to a request that ended before its KV cache arrived."""
    w.instances[i].promised -= 1
    allocate(w, i, -blocks(w, i, w.requests[slot].prefill))
    admit_landing(w, i)
    wake(w, i)


def _finished(w: World, i: int, slot: int) -> None:
    """A request has its last token."""
    r = w.requests[slot]
    finish(w, slot)
    _next_client(w)
    _farewell(w, slot)
    pend(w, i, -r.pending)
    if r.home != NOBODY and r.home != i:
        pend(w, r.home, -r.prompt)
        if r.transfer_end_s >= 0:
            _cancel(w, r.home, slot)
    _free(w, slot)


def _leaves(w: World, i: int, slot: int) -> bool:
    """Send a prefilled request on, if the topology says so."""
    r, c, role = w.requests[slot], w.cluster[0], w.instances[i].role
    if r.guest and role != c.first_role:
        _farewell(w, slot)
    if r.home == i or role != c.first_role or c.then_role == NOBODY:
        if role == MIXED:
            pend(w, i, 1 - r.pending)
            r.pending = 1
        return False
    pend(w, i, -r.prompt)
    if r.transfer_end_s >= 0:
        fly(w, slot, r.transfer_end_s)
    else:
        push_back(w, r.home, LANDING, slot)
        w.instances[r.home].landing_tokens += r.prompt
        admit_landing(w, r.home)
    return True


def _prefilled(w: World, i: int, slot: int, lag_s: float) -> None:
    """A prefill is done: its token is out; the request ends, leaves, or joins the batch."""
    r, now = w.requests[slot], w.cluster[0].now_s
    if r.first_token_s < 0:
        r.first_token_s = now
        r.lag_s = lag_s
        w.ttft_s[r.index] = now + lag_s - r.arrival_s
    else:
        note_gap(w, slot, now - r.last_token_s)
    r.last_token_s = now
    r.generated += 1
    if r.generated >= r.output:
        allocate(w, i, -blocks(w, i, r.prefill))
        _finished(w, i, slot)
    elif not _leaves(w, i, slot):
        join(w, i, slot)


def _run_ended(w: World, i: int) -> None:
    """A run of instance ``i`` is over: do the books, let go of everyone who is done, begin the next."""
    me, c = w.instances[i], w.cluster[0]
    book(w, i)
    if me.prefilling:
        me.prefilling, me.prefill_tokens = 0, 0
        lag_s = answer_lag_s(w, i)
        computed(w, i)
        while length(w, i, PREFILLS):
            _prefilled(w, i, pop_front(w, i, PREFILLS), lag_s)
    while me.due and w.dues[i * c.due_rows].step <= me.steps:
        slot = w.dues[i * c.due_rows].slot
        leave(w, i, slot)
        _finished(w, i, slot)
    admit_landing(w, i)
    if not me.on:
        start(w, i)


def _landed(w: World, slot: int) -> None:
    """A KV cache has arrived: free the source, wake the target."""
    home, source, held = w.requests[slot].home, w.requests[slot].sent_by, w.requests[slot].prefill
    w.cluster[0].flights -= 1
    w.instances[home].promised -= 1
    push_back(w, home, READY, slot)
    wake(w, home)
    allocate(w, source, -blocks(w, source, held))
    wake(w, source)


# --- routing ---------------------------------------------------------------------------------------------------------


def _shortest(w: World, request_class: int, role: int) -> int:
    """The instance with the least load among those that take a phase of a class, the first of equals; or NOBODY."""
    found, least = NOBODY, 0.0
    for p in range(w.cluster[0].pools):
        if w.pools[p].role == role and w.serves[request_class * w.cluster[0].pools + p]:
            i = least_loaded(w, p)
            if found == NOBODY or load(w, i) < least:
                found, least = i, load(w, i)
    return found


def _borrows(w: World, role: int, i: int) -> bool:
    """Whether a phase whose least loaded instance is ``i`` looks for help."""
    me, c = w.instances[i], w.cluster[0]
    waiting = me.queue_tokens + me.prefill_tokens if role == c.first_role else me.landing_tokens
    return bool(waiting > (c.prefill_threshold if role == PREFILL else c.decode_threshold))


def _lender(w: World, request_class: int, role: int, prompt: int, output: int) -> int:
    """Who helps out: of the other phase's instances one that is lent already, else one that is not; or NOBODY."""
    c = w.cluster[0]
    other = c.then_role if role == c.first_role else c.first_role
    for lent in (True, False):
        found = NOBODY
        for p in range(w.cluster[0].pools):
            if w.pools[p].role != other or not w.serves[request_class * w.cluster[0].pools + p]:
                continue
            for i in range(w.pools[p].first, w.pools[p].first + w.pools[p].instances):
                fits = blocks(w, i, prompt + output + 1) <= w.instances[i].total
                if fits and (w.instances[i].guests > 0) == lent and (found == NOBODY or load(w, i) < load(w, found)):
                    found = i
        if found != NOBODY and not _borrows(w, c.first_role, found) and not _borrows(w, c.then_role, found):
            return found
    return NOBODY


def _farewell(w: World, slot: int) -> None:
    """The work that a guest was taken for is done."""
    r = w.requests[slot]
    if r.guest:
        r.guest = 0
        w.instances[r.sent_by].guests -= 1


def _choose(w: World, request_class: int, prompt: int, output: int) -> tuple[int, int]:
    """The instances of both phases, chosen at arrival; one and the same where a phase borrows, NOBODY where none."""
    c = w.cluster[0]
    first = _shortest(w, request_class, c.first_role)
    then = NOBODY
    if c.lending and c.then_role != NOBODY and _borrows(w, c.first_role, first):
        lender = _lender(w, request_class, c.first_role, prompt, output)
        if lender != NOBODY:
            return lender, lender
    if c.then_role != NOBODY:
        then = _shortest(w, request_class, c.then_role)
        if c.lending and then != NOBODY and _borrows(w, c.then_role, then):
            lender = _lender(w, request_class, c.then_role, prompt, output)
            if lender != NOBODY:
                return lender, lender
    return first, then


def _too_long(w: World, i: int, prompt: int, output: int) -> bool:
    """Whether a request alone overflows the memory of an instance."""
    held = prompt + (0 if w.instances[i].role == PREFILL else output)
    return bool(blocks(w, i, held + 1) > w.instances[i].total)


def _route(w: World, index: int) -> None:
    """Choose the instances of every phase and queue the request at the first; or refuse it."""
    c, prompt, output = w.cluster[0], w.prompt_tokens[index], w.output_tokens[index]
    request_class = w.class_index[index]
    c.arrived += 1
    c.refused += 1
    c.places += 1
    if _shortest(w, request_class, c.first_role) == NOBODY:
        return
    if c.then_role != NOBODY and output > 1 and _shortest(w, request_class, c.then_role) == NOBODY:
        return
    first, then = _choose(w, request_class, prompt, output)
    if _too_long(w, first, prompt, output) or (then != NOBODY and _too_long(w, then, prompt, output)):
        return
    c.refused -= 1
    c.places -= 1
    slot = _seat(w, index)
    r = w.requests[slot]
    r.sent_by, r.home = first, then
    pend(w, first, prompt)
    if then == first:
        r.guest = 1
        w.instances[first].guests += 1
    elif then != NOBODY:
        pend(w, then, prompt)
    push_back(w, first, WAITING, slot)
    queue_tokens(w, first, prompt - r.cached)
    if length(w, first, WAITING) == 1:
        wake(w, first)


def _seat(w: World, index: int) -> int:
    """A row for a request that has just arrived."""
    c = w.cluster[0]
    slot = c.free_slot
    r = w.requests[slot]
    c.free_slot = r.next
    c.in_flight += 1
    r.arrival_s, r.index = c.now_s if c.clients else w.arrival_s[index], index
    r.prompt = r.prefill = r.pending = w.prompt_tokens[index]
    r.output = w.output_tokens[index]
    r.first_token_s = r.last_token_s = r.transfer_end_s = -1.0
    r.max_gap_s, r.lag_s = 0.0, 0.0
    r.generated = r.preemptions = r.joining = r.guest = r.join_step = r.held = r.sent = 0
    r.cached = w.cached_tokens[index] if c.prefix else 0
    part = NOBODY
    if c.first <= index < c.last:
        part = (index - c.first) * c.slices // (c.last - c.first)
    r.group = w.class_index[index] * c.slices + part if part >= 0 else NOBODY
    return int(slot)


# --- the loop --------------------------------------------------------------------------------------------------------


def _ask(w: World) -> None:
    """Take a client's place for the next request, or wait for one."""
    c = w.cluster[0]
    c.asked = 1
    if c.places:
        c.places -= 1
        _admit(w)
    else:
        c.fired, c.asks = 0, 1


def _admit(w: World) -> None:
    """Let the next request arrive now, after what is due now already."""
    c = w.cluster[0]
    c.number += 1
    c.arrival_s, c.arrival_number, c.fired = c.now_s, c.number, 1


def _next_client(w: World) -> None:
    """Let the next request of a closed loop come."""
    c = w.cluster[0]
    if c.asks:
        c.asks = 0
        _admit(w)
    else:
        c.places += 1


def _arrive(w: World) -> bool:
    """Let every request arrive whose time has come; False where there is no row for one."""
    c = w.cluster[0]
    while c.cursor < w.cluster[0].requests:
        at_s = w.arrival_s[c.cursor]
        if not c.fired and not c.asked and at_s > c.now_s:
            c.number += 1
            c.arrival_s, c.arrival_number, c.fired = c.now_s + (at_s - c.now_s), c.number, 1
            return True
        if c.clients and not c.asked:
            _ask(w)
            return True
        if c.free_slot == NOBODY:
            c.fired = 1
            return False
        c.fired = c.asked = 0
        _route(w, c.cursor)
        c.cursor += 1
    c.fired = 0
    return True


def replay(w: World) -> int:
    """Serve the trace until it is over, the time is up, or no row is left for a request.

    Returns:
        DONE or FULL; after FULL, called again with more rows, it continues where it stopped.
    """
    c = w.cluster[0]
    if not c.turning:
        turn(w)
    while True:
        if c.arriving:
            if not _arrive(w):
                return FULL
            c.arriving = 0
            if not c.turning:
                c.turning = 1
                appoint_turn(w)
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
            continue
        what = next_event(w)
        if what >= 0:
            _run_ended(w, what)
        elif what == TURN:
            turn(w)
            appoint_turn(w)
        else:
            _landed(w, ~what)
