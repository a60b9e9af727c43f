"""One instance at work: its lanes begin steps, and runs of decode-only steps end where work arrives."""

from planner.simulator.core.batch import answer, join_late, preempt, stall
from planner.simulator.core.batching import fitting, take
from planner.simulator.core.holding import patience
from planner.simulator.core.memory import free_blocks, growth, running, steps_that_fit
from planner.simulator.core.order import arrange, moves, partial_first
from planner.simulator.core.queues import by_tier, head, length, pop_front, schedule
from planner.simulator.core.runs import end_after
from planner.simulator.core.stages import enter, entrance_free_s
from planner.simulator.core.state import NONE, PREFILLS, READY, WAITING, World
from planner.simulator.core.steps import begin_decodes, decode_s, hops_s, run_s, started_steps, step_s
from planner.simulator.core.streams import drain_s, stream_s
from planner.simulator.core.transfers import admit_landing, send_while_computed
from planner.simulator.core.watts import note_prefill


def wake(w: World, i: int) -> None:
    """Look for work now if idle; else end a run of decodes at the coming step boundary."""
    k = int(w.instances[i].lane)
    me = w.lanes[k]
    if w.instances[i].lanes > 1:
        go_on(w, i)
    elif not me.on:
        start(w, k)
    elif not me.prefilling:
        steps = started_steps(w, k)
        if steps < me.run_steps:
            end_after(w, k, steps)


def go_on(w: World, i: int) -> None:
    """Let idle lanes of a pipeline begin, the longest idle first, whenever the first stage is free."""
    me, c = w.instances[i], w.cluster[0]
    since_s, tried = -1.0, NONE
    for _ in range(me.lanes):
        found = NONE
        for k in range(me.lane, me.lane + me.lanes):
            idle_s = w.lanes[k].idle_s
            later = idle_s > since_s or (idle_s == since_s and k > tried)
            if not w.lanes[k].on and later and (found == NONE or idle_s < w.lanes[found].idle_s):
                found = k
        if found == NONE or c.now_s < entrance_free_s(w, i):
            return
        since_s, tried = w.lanes[found].idle_s, found
        start(w, found)
        if w.lanes[found].on:
            schedule(w, c.lanes + i, entrance_free_s(w, i) - c.now_s)


def start(w: World, k: int) -> None:
    """Begin the next step or run of a lane, if there is any."""
    me = w.lanes[k]
    i = int(me.instance)
    me.body = w.instances[i].body
    _join_landed(w, k)
    preempted = False
    while me.batch and growth(w, k, 1) > free_blocks(w, i):
        preempt(w, k)
        preempted = True
    prefills, moved = 0, False
    held_back = patience(w, k)
    if not held_back and head(w, i, WAITING) != NONE:
        free = free_blocks(w, i) - (growth(w, k, 1) if me.batch else 0)
        if w.instances[i].order:
            arrange(w, i)
        prefills = fitting(w, k, free)
        moved = prefills == 0 and (w.instances[i].order or w.cluster[0].tiers) and partial_first(w, i)
        if moved:
            prefills = fitting(w, k, free)
    if prefills:
        _start_prefill(w, k, prefills)
    elif me.batch:
        _start_decodes(w, k, held_back)
    if moved and w.cluster[0].tiers:  # those that went first because they hold memory stand in their place again
        by_tier(w, i, WAITING)
    if preempted:
        admit_landing(w, i)


def _join_landed(w: World, k: int) -> None:
    """Let requests whose KV cache has arrived join the batch of a lane, up to its share of all."""
    me = w.lanes[k]
    i = int(me.instance)
    if length(w, i, READY) == 0:
        return
    share = -(-running(w, i) // w.instances[i].lanes)
    while length(w, i, READY) and me.batch < share:
        slot = pop_front(w, i, READY)
        if w.cluster[0].answers_late:
            answer(w, slot)
        join_late(w, k, slot)


def _start_prefill(w: World, k: int, count: int) -> None:
    """Begin a step that computes the first ``count`` waiting prompts, or chunks of them.

    The batch gains a token in it, or stands still where prompts go before decodes.
    """
    me, c = w.lanes[k], w.cluster[0]
    tokens, attention, ends = take(w, k, count)
    me.decode = 1 if me.batch and not (w.instances[me.instance].alone and w.instances[me.instance].chunk) else 0
    me.on, me.prefilling, me.run_steps = 1, 1, 1
    me.run_start_s = me.busy_from_s = c.now_s
    me.held_step = me.steps + me.decode
    if me.batch and not me.decode:
        stall(w, k)
    batch = me.batch if me.decode else 0
    context, body = me.context if batch else 0, w.bodies[me.body]
    whole_s = step_s(w, me.body, tokens, attention, batch, context / batch if batch else 0.0)
    note_prefill(w, k, tokens * body.ranks, whole_s)
    me.run_step_s = whole_s
    if body.streams > 1 or body.groups > 1:
        first = head(w, k, PREFILLS)
        me.run_step_s = stream_s(w, me.body, batch, context, first, count, False)
        if ends:
            me.run_step_s += drain_s(w, me.body, batch, context, first, count)
    delay_s = me.run_step_s
    if body.stages > 1:
        delay_s = enter(w, k, whole_s + hops_s(body, tokens + batch), tokens + batch, True)
    schedule(w, k, delay_s)
    send_while_computed(w, k, delay_s)


def _start_decodes(w: World, k: int, held_back: int) -> None:
    """Begin a run of decode-only steps, as long as no request ends, memory lasts and prompts are held back."""
    me, c = w.lanes[k], w.cluster[0]
    i = int(me.instance)
    me.on, me.prefilling, me.decode = 1, 0, 1
    me.run_start_s = me.busy_from_s = c.now_s
    begin_decodes(w, k)
    if w.instances[i].lanes > 1:
        me.run_steps = 1
        schedule(w, k, enter(w, k, decode_s(w, k, me.run_context), me.batch, False))
        return
    most = 1 if moves(w, i) else c.max_run_steps  # which prompt is first may change with every step
    most = min(most, held_back) if held_back else most
    most = min(most, w.dues[k * c.due_rows].step - me.steps)
    me.run_steps = steps_that_fit(w, k, w.instances[i].free, most)
    schedule(w, k, run_s(w, k, me.run_steps))
