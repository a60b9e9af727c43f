"""Steps that hold so many requests and so many tokens, and leave the others out: Splitwise's public simulator.

A prompt counts with its tokens, a decode with one. Who was in a step and finds no room in the next is left out of it:
it keeps its memory and queues again. Memory for all output tokens is taken when a decode first joins a step.

The queue of an instance is kept in the order of how often each was left out and of arrival, as those stood when it was
queued: each place is found by halving, though the numbers of those who wait have grown since. That decides who is
helped against starvation, so it is kept as it is.

Source: Mutinifni/splitwise-sim (MIT), SplitwiseInstance; rules restated.
"""

from planner.simulator.core.batch import add_to_batch, take_from_batch
from planner.simulator.core.ledger import allocate, queue_tokens
from planner.simulator.core.memory import blocks
from planner.simulator.core.queues import head, insert_before, length, push_back, remove, schedule
from planner.simulator.core.reserved_routing import return_if_idle
from planner.simulator.core.runs import end_after
from planner.simulator.core.state import NONE, PREFILLS, RUNNING, WAITING, World
from planner.simulator.core.steps import begin_decodes, run_s, started_steps, step_s
from planner.simulator.core.surfaces import attend
from planner.simulator.core.watts import note_prefill

FRESH, LEFT_OUT, TWIN, CHOSEN = range(4)
"""``mark`` of those who queue: new here; left out of a step; the decode of a prompt that is not computed yet; chosen
for the next step. The row of a request is its prompt's, then its decode's; only where both are to run at one instance
does the decode queue from the start, in a row of its own."""


def is_prompt(w: World, slot: int) -> bool:
    """Whether a row stands for a prompt that is not computed yet."""
    r = w.requests[slot]
    return bool(r.generated == 0 and r.mark != TWIN)


# --- who comes when --------------------------------------------------------------------------------------------------


def arrive(w: World, i: int, slot: int) -> None:
    """Queue a prompt, or a decode, and begin a step or end a run of decodes for it."""
    c, r, k = w.cluster[0], w.requests[slot], int(w.instances[i].lane)
    queue(w, i, slot)
    if is_prompt(w, slot):
        queue_tokens(w, i, int(r.prompt))
    me = w.lanes[k]
    beside = me.batch + length(w, k, PREFILLS) < c.max_batch_size and me.taken + r.chunk <= c.max_batch_tokens
    if not me.on:
        _start_if(w, k, slot)
    elif beside or (is_prompt(w, slot) and r.chunk <= c.max_batch_tokens):
        _pause(w, k)


def freed(w: World, i: int) -> None:
    """Go on where memory was freed: a KV cache has left."""
    c, k = w.cluster[0], int(w.instances[i].lane)
    me, first = w.lanes[k], head(w, i, WAITING)
    if first == NONE:
        return
    if not me.on:
        _start_if(w, k, first)
    elif me.batch + length(w, k, PREFILLS) < c.max_batch_size and me.taken < c.max_batch_tokens:
        _pause(w, k)


def _start_if(w: World, k: int, slot: int) -> None:
    """Begin a step of an idle instance if there is memory for a task."""
    i = int(w.lanes[k].instance)
    if blocks(w, i, int(w.requests[slot].held)) <= w.instances[i].free:
        start_step(w, k)


def _pause(w: World, k: int) -> None:
    """End a run of decodes at the coming step boundary."""
    me = w.lanes[k]
    if not me.prefilling:
        steps = started_steps(w, k)
        if steps < me.run_steps:
            end_after(w, k, steps)


def queue(w: World, i: int, slot: int) -> None:
    """Queue a task behind those that were left out less often, or as often and arrived before it."""
    r, low, high = w.requests[slot], 0, length(w, i, WAITING)
    at, place = head(w, i, WAITING), 0
    while low < high:
        middle = (low + high) >> 1
        while place < middle:
            at, place = int(w.requests[at].next), place + 1
        while place > middle:
            at, place = int(w.requests[at].prev), place - 1
        q = w.requests[at]
        if r.preemptions < q.preemptions or (r.preemptions == q.preemptions and r.arrival_s < q.arrival_s):
            high = middle
        else:
            low = middle + 1
    while at != NONE and place < low:
        at, place = int(w.requests[at].next), place + 1
    while place > low:
        at, place = int(w.requests[at].prev), place - 1
    insert_before(w, i, WAITING, slot, at)


# --- who is in a step ------------------------------------------------------------------------------------------------


def _full(w: World, slot: int) -> bool:
    """Whether the next step has no room for a task, memory aside; it has for the first one."""
    c = w.cluster[0]
    beyond = c.chosen_tokens + w.requests[slot].chunk > c.max_batch_tokens
    return bool(c.chosen == c.max_batch_size or (c.chosen and beyond))


def _choose(w: World, k: int, slot: int) -> bool:
    """Take a task that queues into the next step, if it fits; the first one always does, memory aside."""
    c, r, i = w.cluster[0], w.requests[slot], int(w.lanes[k].instance)
    if _full(w, slot):
        return False
    needed = 0 if r.mark == LEFT_OUT else blocks(w, i, int(r.held))
    if needed > c.chosen_free:
        return False
    if c.chosen_first == NONE:
        c.chosen_first = slot
    else:
        w.requests[c.chosen_last].follower = slot
    c.chosen_last, r.follower, r.sent = slot, NONE, r.mark
    r.mark = CHOSEN
    c.chosen += 1
    c.chosen_tokens += r.chunk
    c.chosen_free -= needed
    return True


def _choose_starved(w: World, k: int) -> None:
    """Take those at the head of the queue that were left out too often; who finds no memory is passed over."""
    c, slot = w.cluster[0], head(w, int(w.lanes[k].instance), WAITING)
    while slot != NONE and w.requests[slot].preemptions >= c.max_preemptions:
        if _full(w, slot):
            return
        _choose(w, k, slot)
        slot = int(w.requests[slot].next)


PROMPTS, BLOCKED, OTHERS = range(3)


def _first(w: World, i: int, kind: int) -> int:
    """The first of a kind that is not chosen yet: by arrival, those left out by when they were."""
    found, slot = NONE, head(w, i, WAITING)
    while slot != NONE:
        r = w.requests[slot]
        asked = r.mark == LEFT_OUT if kind == BLOCKED else (kind == OTHERS or r.generated == 0)
        if asked and r.mark != CHOSEN and r.mark != TWIN:
            if found == NONE:
                found = slot
            elif kind == BLOCKED:
                found = slot if r.rank < w.requests[found].rank else found
            elif r.index < w.requests[found].index:
                found = slot
        slot = int(r.next)
    return found


def _choose_all(w: World, k: int, kind: int) -> None:
    """Take those of a kind in their order until one does not fit."""
    i = int(w.lanes[k].instance)
    slot = _first(w, i, kind)
    while slot != NONE and _choose(w, k, slot):
        slot = _first(w, i, kind)


def _select(w: World, k: int) -> int:
    """Choose the next step: those left out too often, prompts, those left out, those running, all others.

    Returns:
        How many of those running stay, from the first.
    """
    c, me = w.cluster[0], w.lanes[k]
    c.chosen, c.chosen_tokens, c.chosen_first, c.chosen_last = 0, 0, NONE, NONE
    c.chosen_free = w.instances[me.instance].free
    _choose_starved(w, k)
    _choose_all(w, k, PROMPTS)
    _choose_all(w, k, BLOCKED)
    stay = max(0, min(int(me.batch), int(c.max_batch_size - c.chosen), int(c.max_batch_tokens - c.chosen_tokens)))
    c.chosen += stay
    c.chosen_tokens += stay
    _choose_all(w, k, OTHERS)
    return stay


def _leave_out(w: World, k: int, stay: int) -> None:
    """Let those of the batch behind the first ``stay`` queue again; they keep their memory."""
    me, slot = w.lanes[k], head(w, k, RUNNING)
    for _ in range(stay):
        slot = int(w.requests[slot].next)
    for _ in range(me.batch - stay):
        r = w.requests[slot]
        after = int(r.next)
        take_from_batch(w, k, slot)
        w.cluster[0].turns += 1
        r.mark, r.rank = LEFT_OUT, float(w.cluster[0].turns)
        w.instances[me.instance].preemptions += 1
        queue(w, int(me.instance), slot)
        slot = after


def _start_chosen(w: World, k: int) -> tuple[int, float]:
    """Move those chosen from the queue into the step, with their memory.

    Returns:
        Tokens of the prompts among them, and the seconds of their attention.
    """
    i, slot, tokens, attention = int(w.lanes[k].instance), int(w.cluster[0].chosen_first), 0, 0.0
    while slot != NONE:
        r = w.requests[slot]
        after = int(r.follower)
        remove(w, i, WAITING, slot)
        r.mark = r.sent
        if r.mark != LEFT_OUT:
            allocate(w, i, blocks(w, i, int(r.held)))
        if is_prompt(w, slot):
            push_back(w, k, PREFILLS, slot)
            queue_tokens(w, i, -int(r.prompt))
            tokens += r.chunk
            attention += attend(w.tables, w.bodies[w.lanes[k].body], r.chunk, 0)
        else:
            r.mark, r.prefill = FRESH, r.prompt + r.generated - 1
            add_to_batch(w, k, slot)
            r.gap_step += 1
            r.joining = 1
            w.lanes[k].joiners += 1
        slot = after
    return tokens, attention


def _wait_once_more(w: World, i: int) -> None:
    """Count one step more that those who queue were left out of."""
    slot = head(w, i, WAITING)
    while slot != NONE:
        r = w.requests[slot]
        r.preemptions += 0 if r.mark == TWIN else 1
        slot = int(r.next)


def start_step(w: World, k: int) -> None:
    """Begin the next step, or run of decode-only steps, of an idle instance; one without requests is returned."""
    me, c = w.lanes[k], w.cluster[0]
    i = int(me.instance)
    me.body = w.instances[i].body
    _leave_out(w, k, _select(w, k))
    tokens, attention = _start_chosen(w, k)
    _wait_once_more(w, i)
    me.taken = c.chosen_tokens
    prompts = length(w, k, PREFILLS)
    if not prompts and not me.batch:
        if head(w, i, WAITING) == NONE:
            return_if_idle(w, i)
        return
    me.on, me.run_start_s, me.busy_from_s = 1, c.now_s, c.now_s
    me.decode, me.prefilling = 1 if me.batch else 0, 1 if prompts else 0
    if prompts:
        mean = me.context / me.batch if me.batch else 0.0
        me.run_steps = 1
        me.run_step_s = step_s(w, me.body, tokens, attention, me.batch, mean)
        note_prefill(w, k, tokens, me.run_step_s)
        schedule(w, k, me.run_step_s)
        return
    begin_decodes(w, k)
    me.run_steps = w.dues[k * c.due_rows].step - me.steps
    schedule(w, k, run_s(w, k, me.run_steps))
