"""The requests that decode together in a lane: who joins, leaves, stands still, and loses its memory."""

from planner.simulator.core.batching import again, evict, youngest_partial
from planner.simulator.core.ledger import allocate, longest_since
from planner.simulator.core.memory import blocks, residue
from planner.simulator.core.queues import chain, head, push_back, push_due, remove, remove_due
from planner.simulator.core.stages import share_bubbles
from planner.simulator.core.state import NONE, RUNNING, TAIL, WAITING, World


def join(w: World, k: int, slot: int) -> None:
    """Put a request that holds its KV cache into the decoding batch of a lane."""
    add_to_batch(w, k, slot)
    w.residues[residue(w, k, w.requests[slot].prefill, w.lanes[k].steps)] += 1
    if w.cluster[0].stages > 1:
        share_bubbles(w, k, slot, -1.0)


def add_to_batch(w: World, k: int, slot: int) -> None:
    """Put a request into the decoding batch of a lane; its memory is seen to elsewhere."""
    me, r = w.lanes[k], w.requests[slot]
    r.join_step = r.gap_step = me.steps
    push_back(w, k, RUNNING, slot)
    push_due(w, k, me.steps + r.output - r.generated, slot)
    me.context += r.prefill + 1
    me.batch += 1
    if r.group >= 0:
        w.groups[k * w.cluster[0].groups + r.group] += 1


def leave(w: World, k: int, slot: int) -> None:
    """Take a request out of the batch of a lane after the step that ended last, and free its memory."""
    me, r = w.lanes[k], w.requests[slot]
    take_from_batch(w, k, slot)
    w.residues[residue(w, k, r.prefill, r.join_step)] -= 1
    allocate(w, int(me.instance), -blocks(w, int(me.instance), r.prefill + me.steps - r.join_step))
    if w.cluster[0].stages > 1:
        share_bubbles(w, k, slot, 1.0)


def take_from_batch(w: World, k: int, slot: int) -> None:
    """Take a request out of the batch of a lane after the step that ended last, its memory aside."""
    me, r = w.lanes[k], w.requests[slot]
    steps = me.steps - r.join_step
    r.generated += steps
    remove(w, k, RUNNING, slot)
    remove_due(w, k, slot)
    me.context -= r.prefill + 1 + steps
    me.batch -= 1
    _note_longest_gap(w, k, slot)
    if steps and not r.joining:
        r.last_token_s = me.idle_s
    if r.joining:
        r.joining = 0
        me.joiners -= 1
    if r.group >= 0:
        w.groups[k * w.cluster[0].groups + r.group] -= 1


def join_late(w: World, k: int, slot: int) -> None:
    """Let a request join whose last token was made elsewhere or earlier: its first gap is longer than the step."""
    join(w, k, slot)
    w.requests[slot].gap_step += 1
    w.requests[slot].joining = 1
    w.lanes[k].joiners += 1


def answer(w: World, slot: int) -> None:
    """Send the first token of a request as it takes its place in a batch, not as its prompt is computed."""
    r, now_s = w.requests[slot], w.cluster[0].now_s
    if r.generated == 1:
        w.ttft_s[r.index] = now_s + r.lag_s - r.arrival_s
        r.first_token_s = r.last_token_s = now_s


def _note_longest_gap(w: World, k: int, slot: int) -> None:
    """Note the longest step that was a token gap of a request and is not noted yet."""
    r = w.requests[slot]
    if w.lanes[k].steps > r.gap_step:
        r.max_gap_s = max(r.max_gap_s, longest_since(w, k, r.gap_step))


def stall(w: World, k: int) -> None:
    """Let a batch stand still for a step of prompts: the next gap of each begins with the last token it has."""
    me, slot = w.lanes[k], head(w, k, RUNNING)
    while slot != NONE:
        r = w.requests[slot]
        if not r.joining:
            _note_longest_gap(w, k, slot)
            r.last_token_s, r.gap_step, r.joining = me.idle_s, me.steps + 1, 1
            me.joiners += 1
        slot = r.next


UNLIMITED_TIMES = 1 << 30
"""More often than any request loses its memory."""


def _youngest(w: World, k: int, priority: int, times: int) -> int:
    """Who joined the batch of a lane last, of a priority and of those that lost their memory less often than that."""
    slot = w.chains[chain(k, RUNNING) + TAIL]
    while slot != NONE and (w.requests[slot].priority != priority or w.requests[slot].preemptions >= times):
        slot = w.requests[slot].prev
    return int(slot)


def _lowest_priority(w: World, k: int) -> int:
    """The lowest priority of all that hold memory in a lane, or wait at its instance computed in part."""
    slot = w.chains[chain(k, RUNNING) + TAIL]
    lowest = w.requests[slot].priority
    if not w.cluster[0].tiers:
        return int(lowest)
    while slot != NONE:
        lowest = min(lowest, w.requests[slot].priority)
        slot = w.requests[slot].prev
    slot = head(w, int(w.lanes[k].instance), WAITING)
    while slot != NONE:
        if w.requests[slot].held:
            lowest = min(lowest, w.requests[slot].priority)
        slot = w.requests[slot].next
    return int(lowest)


def preempt(w: World, k: int) -> None:
    """Throw out the youngest of the lowest priority that is not to be spared: a prompt in part, else of the batch."""
    c, i = w.cluster[0], int(w.lanes[k].instance)
    priority = _lowest_priority(w, k)
    partial, fair = youngest_partial(w, i, priority)
    slot, youngest = fair, _youngest(w, k, priority, UNLIMITED_TIMES)
    if slot == NONE:
        slot = _youngest(w, k, priority, int(c.max_preemptions))
    if slot == NONE:
        slot = youngest if partial == NONE else partial
    r = w.requests[slot]
    r.preemptions += 1
    w.instances[i].preemptions += 1
    if r.held:
        evict(w, i, slot)
        return
    leave(w, k, slot)
    r.prefill = r.prompt + r.generated
    again(w, i, slot)
