"""A request whose memory is reserved for the whole of it: the rules of Splitwise's public simulator.

A KV cache travels when its prompt is computed, beside all others on the link; it waits for memory where it is to land,
and asks again after a second.

Source: Mutinifni/splitwise-sim (MIT), executor, flows and links; rules restated.
"""

from planner.perf.transfer import serialized_end_s
from planner.simulator.core.batch import take_from_batch
from planner.simulator.core.ledger import allocate
from planner.simulator.core.memory import blocks
from planner.simulator.core.queues import add_pending, length, pop_front, schedule
from planner.simulator.core.requests import done, free_row, refuse, take_row
from planner.simulator.core.reserved_routing import choose_reserved
from planner.simulator.core.routing import serves, too_long
from planner.simulator.core.runs import book
from planner.simulator.core.state import NONE, PREFILLS, World
from planner.simulator.core.steps import answer_lag_s
from planner.simulator.core.token_batches import arrive, freed, start_step
from planner.simulator.core.transfers import wire_s_of
from planner.simulator.core.waiting import FRESH, TWIN, computed_twin

RETRY_S = 1.0


def route_reserved(w: World, slot: int) -> None:
    """Choose the instances of both phases and queue the prompt, and a decode that stays with it."""
    c, r = w.cluster[0], w.requests[slot]
    request_class, roles = int(w.class_index[r.index]), (int(c.first_role), int(c.then_role))
    if not serves(w, request_class, roles[0]) or (roles[1] != NONE and not serves(w, request_class, roles[1])):
        refuse(w, slot)
        return
    first, then = choose_reserved(w, slot)
    r.sent_by, r.home, r.mark, r.chunk, r.held = first, then, FRESH, r.prompt, r.prompt + 1
    if too_long(w, first, int(r.prompt), int(r.output)) or too_long(w, then, int(r.prompt), int(r.output)):
        add_pending(w, first, -int(r.prompt))
        _forget_source(w, slot)
        _forget(w, slot)
        refuse(w, slot)
        return
    arrive(w, first, slot)
    if first == then and r.output > 1:
        arrive(w, first, _twin(w, slot))


def _forget(w: World, slot: int) -> None:
    """Give back what a request was promised where it is decoded."""
    r = w.requests[slot]
    w.instances[r.home].reserved -= r.prompt + r.output
    add_pending(w, int(r.home), -1)


def _forget_source(w: World, slot: int) -> None:
    """Give back what a request was promised where its prompt is computed, if it is decoded elsewhere."""
    r = w.requests[slot]
    if r.sent_by != r.home:
        w.instances[r.sent_by].reserved -= r.prompt + 1


def _twin(w: World, slot: int) -> int:
    """A row for the decode of a prompt that waits at the same instance; the prompt knows it."""
    r = w.requests[slot]
    other = take_row(w, int(r.index))
    it = w.requests[other]
    it.sent_by, it.home, r.twin = r.sent_by, r.home, other
    _decode_of(w, other)
    it.mark = TWIN
    return other


def _decode_of(w: World, slot: int) -> None:
    """Let a row stand for the decode of its request."""
    r = w.requests[slot]
    r.mark, r.chunk, r.held, r.preemptions = FRESH, 1, r.output - 1, 0


def reserved_run_ended(w: World, k: int) -> None:
    """A step or a run of decodes is over: do the books, release requests that are done, begin the next."""
    me, c = w.lanes[k], w.cluster[0]
    i = int(me.instance)
    book(w, k)
    if me.prefilling:
        me.prefilling = 0
        lag_s = answer_lag_s(w, k)
        while length(w, k, PREFILLS):
            _computed(w, i, pop_front(w, k, PREFILLS), lag_s)
    while me.due and w.dues[k * c.due_rows].step <= me.steps:
        slot = int(w.dues[k * c.due_rows].slot)
        take_from_batch(w, k, slot)
        _ended(w, i, slot)
    start_step(w, k)


def _computed(w: World, i: int, slot: int, lag_s: float) -> None:
    """A prompt is computed: its token is out; its decode queues here, or its KV cache travels."""
    r, now_s = w.requests[slot], w.cluster[0].now_s
    r.first_token_s = r.last_token_s = now_s
    r.lag_s, r.generated = lag_s, 1
    w.ttft_s[r.index] = now_s + lag_s - r.arrival_s
    add_pending(w, i, -int(r.prompt))
    if r.output <= 1:
        _forget_source(w, slot)
        _ended(w, i, slot)
    elif r.home == i:
        other = w.requests[r.twin]
        other.first_token_s, other.last_token_s, other.lag_s = r.first_token_s, r.last_token_s, r.lag_s
        other.generated = 1
        computed_twin(w, i, int(r.twin))
        free_row(w, slot)
    else:
        _send(w, slot)


def _ended(w: World, i: int, slot: int) -> None:
    """A request has its last token: its memory is free."""
    r = w.requests[slot]
    held = blocks(w, i, int(r.prompt + 1))
    if r.output > 1:
        held += blocks(w, i, int(r.output - 1))
    allocate(w, i, -held)
    _forget(w, slot)
    done(w, slot)


def _send(w: World, slot: int) -> None:
    """Let a KV cache travel if there is memory for it; else ask again later."""
    r, c = w.requests[slot], w.cluster[0]
    i, j = int(r.sent_by), int(r.home)
    tokens = blocks(w, j, int(r.prompt + 1))
    c.in_transfer += 1
    r.fetched = 1 if tokens > w.instances[j].free else 0
    if r.fetched:
        schedule(w, ~slot, RETRY_S)
        return
    allocate(w, j, tokens)
    latency_s = float(w.bodies[w.instances[i].body].latency_s)
    end_s = serialized_end_s(c.now_s, wire_s_of(w, i, j, int(r.prompt)), latency_s)
    c.transfers += 1
    c.transfer_s += end_s - r.last_token_s
    schedule(w, ~slot, end_s - c.now_s)


def reserved_landed(w: World, slot: int) -> None:
    """A KV cache has arrived, or asks for memory again."""
    r = w.requests[slot]
    w.cluster[0].in_transfer -= 1
    if r.fetched:
        _send(w, slot)
        return
    i = int(r.sent_by)
    allocate(w, i, -blocks(w, i, int(r.prompt + 1)))
    _forget_source(w, slot)
    _decode_of(w, slot)
    arrive(w, int(r.home), slot)
    freed(w, i)
