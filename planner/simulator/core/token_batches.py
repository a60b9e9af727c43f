"""Steps that hold so many requests and so many tokens, and leave the others out: Splitwise's public simulator.

A prompt counts with its tokens, a decode with one. Who was in a step and finds no room in the next is left out of it:
it keeps its memory and queues again. Memory for all output tokens is taken when a decode first joins a step.

The queue of an instance is kept in the order of how often each was left out and of arrival, as those stood when it was
queued (see ``waiting``). That decides who is helped against starvation, so it is kept as it is.

Source: Mutinifni/splitwise-sim (MIT), SplitwiseInstance; rules restated.
"""

from planner.simulator.core.batch import add_to_batch, take_from_batch
from planner.simulator.core.ledger import allocate, queue_tokens
from planner.simulator.core.memory import blocks
from planner.simulator.core.queues import head, length, push_back, schedule
from planner.simulator.core.reserved_routing import return_if_idle
from planner.simulator.core.runs import end_after
from planner.simulator.core.state import NONE, PREFILLS, RUNNING, WAITING, World
from planner.simulator.core.steps import begin_decodes, run_s, started_steps, step_s
from planner.simulator.core.surfaces import attend
from planner.simulator.core.waiting import (
    BLOCKED,
    CHOSEN,
    ENDLESS,
    FRESH,
    LEFT_OUT,
    OTHERS,
    PROMPTS,
    changed,
    first_of,
    is_prompt,
    next_to_look_at,
    queue,
    take_out,
    times_left_out,
)
from planner.simulator.core.watts import note_prefill

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


# --- who is in a step ------------------------------------------------------------------------------------------------


def _full(w: World, slot: int) -> bool:
    """Whether the next step has no room for a task, memory aside; it has for the first one."""
    c = w.cluster[0]
    beyond = c.chosen_tokens + w.requests[slot].chunk > c.max_batch_tokens
    return bool(c.chosen == c.max_batch_size or (c.chosen and beyond))


def _choose(w: World, slot: int) -> bool:
    """Take a task that queues into the next step, if it fits; the first one always does, memory aside."""
    c, r = w.cluster[0], w.requests[slot]
    if _full(w, slot):
        return False
    needed = w.waits[slot].needs
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
    changed(w, slot)
    return True


def _choose_starved(w: World, k: int) -> None:
    """Take those at the head of the queue that were left out too often; who finds no memory is passed over."""
    c, i = w.cluster[0], int(w.lanes[k].instance)
    slot = head(w, i, WAITING)
    while slot != NONE and times_left_out(w, i, slot) >= c.max_preemptions and not _full(w, slot):
        chosen = _choose(w, slot)
        slot = int(w.requests[slot].next)
        if slot != NONE and not chosen:
            room = c.max_batch_tokens - c.chosen_tokens if c.chosen else ENDLESS
            slot = next_to_look_at(w, i, slot, int(room), int(c.chosen_free))


def _choose_all(w: World, k: int, kind: int) -> None:
    """Take those of a kind in their order until one does not fit."""
    i = int(w.lanes[k].instance)
    slot = first_of(w, i, kind)
    while slot != NONE and _choose(w, slot):
        slot = first_of(w, i, kind)


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
        take_out(w, i, slot)
        r.mark = r.sent
        if r.mark != LEFT_OUT:
            allocate(w, i, int(w.waits[slot].needs))
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


def start_step(w: World, k: int) -> None:
    """Begin the next step, or run of decode-only steps, of an idle instance; one without requests is returned."""
    me, c = w.lanes[k], w.cluster[0]
    i = int(me.instance)
    me.body = w.instances[i].body
    _leave_out(w, k, _select(w, k))
    tokens, attention = _start_chosen(w, k)
    w.instances[i].left_out += 1  # who queues was left out of this step
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
