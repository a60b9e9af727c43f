"""A request in the cluster: it arrives, is routed, moves on, ends; or starts over where it was lost."""

from math import inf

from planner.simulator.core.batch import join
from planner.simulator.core.instance import wake
from planner.simulator.core.ledger import allocate, finish, note_gap, queue_tokens
from planner.simulator.core.memory import blocks
from planner.simulator.core.order import moves
from planner.simulator.core.queues import (
    add_pending,
    head,
    length,
    pop_front,
    promised,
    push_back,
    queue_up,
    schedule,
)
from planner.simulator.core.routing import MIXED, choose, serves, shortest, too_long
from planner.simulator.core.state import LANDING, NONE, PARKED, READY, WAITING, World
from planner.simulator.core.transfers import admit_landing, start_transfer

# --- arrival ---------------------------------------------------------------------------------------------------------


def take_row(w: World, index: int) -> int:
    """A row for a request that has just arrived."""
    c = w.cluster[0]
    slot = int(c.free_slot)
    r = w.requests[slot]
    c.free_slot = r.next
    c.in_flight += 1
    r.arrival_s, r.index = c.now_s if c.clients else w.arrival_s[index], index
    r.prompt, r.output = w.prompt_tokens[index], w.output_tokens[index]
    part = NONE
    if c.first <= index < c.last:
        part = (index - c.first) * c.slices // (c.last - c.first)
    r.group = w.class_index[index] * c.slices + part if part >= 0 else NONE
    r.priority = w.priority[w.class_index[index]]
    _reset(w, slot)
    r.first_token_s = r.last_token_s = -1.0
    r.max_gap_s, r.lag_s = 0.0, 0.0
    r.generated = r.preemptions = 0
    r.cached = w.cached_tokens[index] if c.prefix else 0
    return slot


def _reset(w: World, slot: int) -> None:
    """Let a request hold nothing anywhere."""
    r = w.requests[slot]
    r.prefill = r.pending = r.prompt
    r.cached = r.held = r.sent = r.joining = r.borrowed = r.fetched = r.mark = 0
    r.join_step = 0
    r.home = r.sent_by = NONE
    r.transfer_end_s = r.whole_s = r.left_s = -1.0
    r.prompts_s = r.phases_s = r.contexts_s = 0.0


def route(w: World, slot: int) -> None:
    """Choose the instances of every phase and queue the request at the first; refuse it, or let it wait for one."""
    c, r = w.cluster[0], w.requests[slot]
    request_class = int(w.class_index[r.index])
    ends_here = c.then_role == NONE or r.output <= 1
    split = serves(w, request_class, int(c.first_role)) and (ends_here or serves(w, request_class, int(c.then_role)))
    if not split and not serves(w, request_class, MIXED):
        refuse(w, slot)
        return
    first, then = choose(w, request_class, int(r.prompt + r.output))
    if first == NONE:
        push_back(w, int(c.lanes), PARKED, slot)
        return
    if too_long(w, first, int(r.prompt), int(r.output)) or (
        then != NONE and too_long(w, then, int(r.prompt), int(r.output))
    ):
        refuse(w, slot)
        return
    r.sent_by, r.home = first, then
    add_pending(w, first, int(r.prompt))
    if then == first:
        r.borrowed = 1
        w.instances[first].borrowed += 1
    elif then != NONE:
        add_pending(w, then, promised(w, slot))
    submit(w, first, slot)


def submit(w: World, i: int, slot: int) -> None:
    """Queue a request whose prompt is to be computed at an instance."""
    r = w.requests[slot]
    queue_up(w, i, WAITING, slot)
    queue_tokens(w, i, int(r.prefill - r.cached))
    if head(w, i, WAITING) == slot or moves(w, i) or w.bodies[w.instances[i].body].hold_steps:
        wake(w, i)


def refuse(w: World, slot: int) -> None:
    """Turn a request disabled."""
    w.cluster[0].refused += 1
    free_row(w, slot)
    _next_client(w)


def free_row(w: World, slot: int) -> None:
    """Give the row of a request back."""
    c = w.cluster[0]
    w.requests[slot].next = c.free_slot
    c.free_slot = slot
    c.in_flight -= 1


def admit(w: World) -> None:
    """Let the next request arrive now, after what is due now already."""
    c = w.cluster[0]
    c.number += 1
    c.arrival_s, c.arrival_number, c.fired = c.now_s, c.number, 1


def _next_client(w: World) -> None:
    """Let the next request of a closed loop come."""
    c = w.cluster[0]
    if c.asks:
        c.asks = 0
        admit(w)
    else:
        c.places += 1


# --- computed and finished -------------------------------------------------------------------------------------------


def prefilled(w: World, k: int, slot: int, lag_s: float) -> None:
    """A prompt is computed: its token is out; the request ends, leaves, or joins the batch of the lane."""
    r, now_s = w.requests[slot], w.cluster[0].now_s
    i = int(w.lanes[k].instance)
    if r.first_token_s < 0:
        r.first_token_s = now_s
        r.lag_s = lag_s
        w.ttft_s[r.index] = now_s + lag_s - r.arrival_s
    else:
        note_gap(w, slot, now_s - r.last_token_s)
    r.last_token_s = now_s
    r.generated += 1
    if r.generated >= r.output:
        allocate(w, i, -blocks(w, i, int(r.prefill)))
        finished(w, i, slot)
    elif not _leaves(w, i, slot):
        join(w, k, slot)


def finished(w: World, i: int, slot: int) -> None:
    """A request has its last token."""
    r = w.requests[slot]
    _return_borrowed(w, slot)
    add_pending(w, i, -int(r.pending))
    if r.home != NONE and r.home != i:
        add_pending(w, int(r.home), -promised(w, slot))
        if r.transfer_end_s >= 0:
            cancel(w, int(r.home), slot)
    done(w, slot)


def done(w: World, slot: int) -> None:
    """Close the row of a request that holds nothing any more."""
    finish(w, slot)
    _next_client(w)
    free_row(w, slot)


def _return_borrowed(w: World, slot: int) -> None:
    """The phase is done for which an instance of the other one was borrowed."""
    r = w.requests[slot]
    if r.borrowed:
        r.borrowed = 0
        w.instances[r.sent_by].borrowed -= 1


def _leaves(w: World, i: int, slot: int) -> bool:
    """Send a request whose prompt is computed on, if the topology says so."""
    r, c, role = w.requests[slot], w.cluster[0], w.instances[i].role
    if r.borrowed and role != c.first_role:
        _return_borrowed(w, slot)
    if r.home == i or role != c.first_role or c.then_role == NONE:
        if role == MIXED:  # no request waits for a computed prompt; its tokens share their steps
            add_pending(w, i, 1 - int(r.pending))
            r.pending = 1
        return False
    add_pending(w, i, -int(r.prompt))
    r.pending = promised(w, slot)
    if r.home == NONE:
        start_transfer(w, slot, w.cluster[0].now_s)
    elif r.transfer_end_s >= 0:
        start_transfer(w, slot, r.transfer_end_s)
    else:
        queue_up(w, int(r.home), LANDING, slot)
        w.instances[r.home].landing_tokens += r.prompt
        admit_landing(w, int(r.home))
    return True


def landed(w: World, slot: int) -> None:
    """A KV cache has arrived: free the source, wake the target; start over where that was lost meanwhile."""
    r = w.requests[slot]
    home, source, held = int(r.home), int(r.sent_by), int(r.prefill)
    w.cluster[0].in_transfer -= 1
    if r.fetched:
        r.fetched = 0
        submit(w, home, slot)
        return
    if home != NONE:
        w.instances[home].promised -= 1
        push_back(w, home, READY, slot)
        wake(w, home)
    release(w, source, held)
    if home == NONE:
        restart(w, slot)


def release(w: World, i: int, held: int) -> None:
    """Free the memory of a computed prompt whose KV cache has left."""
    allocate(w, i, -blocks(w, i, held))
    wake(w, i)


def cancel(w: World, i: int, slot: int) -> None:
    """Give back the memory promised to a request that ended, or was lost, before its KV cache arrived."""
    w.instances[i].promised -= 1
    allocate(w, i, -blocks(w, i, int(w.requests[slot].prefill)))
    admit_landing(w, i)
    wake(w, i)


# --- lost and found --------------------------------------------------------------------------------------------------


def restart(w: World, slot: int) -> None:
    """Serve a request again that was lost with a machine, from the checkpoint of its prompt where there is one."""
    c, r = w.cluster[0], w.requests[slot]
    c.restarted += 1
    _reset(w, slot)
    if c.checkpoint and r.generated:
        r.prefill, r.cached = r.prompt + r.generated, r.prompt
        resume(w, slot)
        return
    w.ttft_s[r.index] = inf
    r.first_token_s = r.last_token_s = -1.0
    r.max_gap_s, r.lag_s = 0.0, 0.0
    r.generated = r.preemptions = 0
    route(w, slot)


def resume(w: World, slot: int) -> None:
    """Fetch the KV cache of a prompt for the instance that recomputes what came after it.

    The store is not modelled: the cache comes over the instance's own link, without waiting for a port.
    """
    c, r = w.cluster[0], w.requests[slot]
    rehome(w, slot)
    if r.home == NONE:  # then one that does both phases, where there is any
        _settle(w, slot, MIXED)
    if r.home == NONE:
        push_back(w, int(c.lanes), PARKED, slot)
        return
    r.pending = promised(w, slot)
    body = w.bodies[w.instances[r.home].body]
    c.in_transfer += 1
    r.fetched = 1
    schedule(w, ~slot, body.latency_s + body.kv_bytes_per_token * r.prompt / body.bandwidth_bytes_per_s)


def rehome(w: World, slot: int) -> None:
    """Choose another instance to continue a request that is still at the first; none where none is up."""
    c, r = w.cluster[0], w.requests[slot]
    role = int(c.first_role if c.then_role == NONE else c.then_role)
    r.home, r.transfer_end_s, r.sent = NONE, -1.0, 0
    _settle(w, slot, role)


def _settle(w: World, slot: int, role: int) -> None:
    """Let the shortest queue of a role continue a request, if one is up and has memory for it."""
    r = w.requests[slot]
    home = shortest(w, int(w.class_index[r.index]), role)
    if home != NONE and not too_long(w, home, int(r.prompt), int(r.output)):
        r.home = home
        add_pending(w, home, promised(w, slot))


def unpark(w: World) -> None:
    """Instances are back: serve those that found none."""
    row = int(w.cluster[0].lanes)
    for _ in range(length(w, row, PARKED)):
        slot = pop_front(w, row, PARKED)
        if w.requests[slot].generated:
            resume(w, slot)
        else:
            route(w, slot)
