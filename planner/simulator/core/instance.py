"""The state machine of one instance, as ``Instance``, ``KvMemory``, ``KvLink`` and ``Continuous`` have it."""

from planner.simulator.core.batching import again, evict, fitting, take, youngest_begun
from planner.simulator.core.ledger import (
    allocate,
    longest_since,
    note_longest,
    note_run,
    note_stretch,
    overlap_s,
)
from planner.simulator.core.memory import admits, blocks, free_blocks, growth, residue, running, steps_that_fit
from planner.simulator.core.queues import (
    appoint,
    chain,
    head,
    length,
    pop_front,
    push_back,
    push_due,
    remove,
    remove_due,
)
from planner.simulator.core.state import (
    AUTO,
    LANDING,
    LAYERWISE,
    NOBODY,
    PREFILLS,
    READY,
    RUNNING,
    TAIL,
    WAITING,
    World,
)
from planner.simulator.core.steps import begin_decodes, begun, prefill_step_s, run_s
from planner.simulator.core.watts import note_prefill, spend

# --- transfers -------------------------------------------------------------------------------------------------------


def _port(w: World, i: int, j: int, ready_s: float, busy_s: float) -> float:
    """When both ports are free; they are taken from then on, unless the link is assumed to have no queues."""
    if not w.bodies[w.instances[i].body].link_queues:
        return ready_s
    out, into = w.instances[i].machine, w.instances[j].machine
    begin = max(ready_s, w.egress_s[out], w.ingress_s[into])
    w.egress_s[out] = w.ingress_s[into] = begin + busy_s
    return begin


def _busy_s(w: World, i: int, j: int, tokens: int) -> float:
    """Seconds the bytes of a KV cache take at the slower of two ports."""
    source, target = w.bodies[w.instances[i].body], w.bodies[w.instances[j].body]
    slower = min(source.bandwidth_bytes_per_s, target.bandwidth_bytes_per_s)
    return float(source.kv_bytes_per_token * tokens / slower)


def _layerwise(w: World, i: int, slot: int, prefill_s: float) -> None:
    """Send what of a KV cache is not sent yet, the last of it while this step computes it."""
    r, c, body = w.requests[slot], w.cluster[0], w.bodies[w.instances[i].body]
    busy = _busy_s(w, i, r.home, r.held - r.sent)
    begin = _port(w, i, r.home, c.now_s + prefill_s / body.layers, busy)
    last_byte = max(begin + busy, c.now_s + prefill_s + busy / body.layers)
    c.link_wait_s += max(0.0, begin - c.now_s - prefill_s / body.layers)
    r.transfer_end_s = max(r.transfer_end_s, last_byte + body.latency_s + body.sync_s)
    r.sent = r.held


def fly(w: World, slot: int, end_s: float) -> None:
    """Let a KV cache land at ``end_s``."""
    c = w.cluster[0]
    c.flights += 1
    c.transfers += 1
    c.transfer_s += end_s - w.requests[slot].last_token_s
    appoint(w, ~slot, end_s - c.now_s)


def _promise(w: World, i: int, slot: int) -> None:
    """Take memory for a KV cache that will arrive; a run in progress may have to stop earlier for it."""
    me = w.instances[i]
    me.promised += 1
    allocate(w, i, blocks(w, i, w.requests[slot].prefill))
    if me.on and me.decode and not me.prefilling:
        fits = steps_that_fit(w, i)
        if fits < me.run_steps:
            _end_after(w, i, max(fits, begun(w, i)))


def admit_landing(w: World, i: int) -> None:
    """Give memory to waiting KV caches, first come, first served, and let them travel."""
    slot = head(w, i, LANDING)
    while slot != NOBODY and admits(w, slot, running(w, i), free_blocks(w, i)):
        r, c = w.requests[slot], w.cluster[0]
        remove(w, i, LANDING, slot)
        w.instances[i].landing_tokens -= r.prompt
        _promise(w, i, slot)
        body = w.bodies[w.instances[r.sent_by].body]
        busy = _busy_s(w, r.sent_by, i, r.prefill)
        begin = _port(w, r.sent_by, i, c.now_s, busy)
        c.link_wait_s += begin - c.now_s
        fly(w, slot, begin + body.latency_s + busy)
        slot = head(w, i, LANDING)


def _welcome(w: World, i: int, slot: int) -> bool:
    """Whether memory is promised to a KV cache here, or can be now; then it is."""
    if w.requests[slot].transfer_end_s >= 0:
        return True
    if length(w, i, LANDING) or not admits(w, slot, running(w, i), free_blocks(w, i)):
        return False
    _promise(w, i, slot)
    return True


def _send_while_computed(w: World, i: int, prefill_s: float) -> None:
    """Start the layer-wise transfers of a prefill step, where the other side has memory already."""
    c = w.cluster[0]
    if w.instances[i].role != c.first_role or c.then_role == NOBODY or c.transfer < LAYERWISE:
        return
    slot = head(w, i, PREFILLS)
    while slot != NOBODY:
        r = w.requests[slot]
        overlaps = c.transfer != AUTO or r.prompt >= c.layerwise_from
        if overlaps and r.home != NOBODY and r.home != i and r.held > r.sent and _welcome(w, int(r.home), slot):
            _layerwise(w, i, slot, prefill_s)
        slot = r.next


# --- steps -----------------------------------------------------------------------------------------------------------


def _end_after(w: World, i: int, steps: int) -> None:
    """End a run of decodes after ``steps``."""
    me = w.instances[i]
    me.run_steps = steps
    appoint(w, i, max(0.0, me.run_start_s + run_s(w, i, steps) - w.cluster[0].now_s))


def wake(w: World, i: int) -> None:
    """Look for work now if idle; else end a run of decodes at the coming step boundary."""
    me = w.instances[i]
    if not me.on:
        start(w, i)
    elif not me.prefilling:
        steps = begun(w, i)
        if steps < me.run_steps:
            _end_after(w, i, steps)


def start(w: World, i: int) -> None:
    """Begin the next step or run."""
    me = w.instances[i]
    me.body = me.next_body
    while length(w, i, READY):
        slot = pop_front(w, i, READY)
        join(w, i, slot)
        w.requests[slot].joining = 1
        me.joiners += 1
    preempted = False
    while me.batch and growth(w, i, 1) > me.free:
        _preempt(w, i)
        preempted = True
    prefills = 0
    if head(w, i, WAITING) != NOBODY:
        prefills = fitting(w, i, me.free - (growth(w, i, 1) if me.batch else 0))
    if prefills:
        _start_prefill(w, i, prefills)
    elif me.batch:
        _start_decodes(w, i)
    if preempted:
        admit_landing(w, i)


def _start_prefill(w: World, i: int, count: int) -> None:
    """Begin a step that computes the first ``count`` waiting prompts, or chunks of them, beside the batch's tokens."""
    me = w.instances[i]
    tokens, attention = take(w, i, count)
    me.prefill_tokens = tokens
    me.run_step_s = prefill_step_s(w, i, me.body, tokens, attention)
    note_prefill(w, i, tokens)
    me.run_start_s, me.run_steps = w.cluster[0].now_s, 1
    me.on, me.prefilling, me.decode = 1, 1, 1 if me.batch else 0
    appoint(w, i, me.run_step_s)
    _send_while_computed(w, i, me.run_step_s)


def _start_decodes(w: World, i: int) -> None:
    """Begin a run of decode-only steps, as long as nobody ends and memory lasts."""
    me, c = w.instances[i], w.cluster[0]
    steps = min(w.dues[i * c.due_rows].step - me.steps, steps_that_fit(w, i), c.max_run_steps)
    me.run_start_s, me.run_steps = c.now_s, steps
    me.on, me.prefilling, me.decode = 1, 0, 1
    begin_decodes(w, i)
    appoint(w, i, run_s(w, i, steps))


def book(w: World, i: int) -> None:
    """Do the books of the run that has ended: busy time, and of its decodes gaps, contexts, memory growth."""
    me, c = w.instances[i], w.cluster[0]
    within_s = overlap_s(w, me.run_start_s, c.now_s)
    me.busy_s += within_s
    spend(w, i)
    me.on = 0
    if not me.decode:
        return
    taken = growth(w, i, me.run_steps)
    me.kv_block_s += taken / 2 * within_s
    allocate(w, i, taken)
    if me.prefilling:
        note_stretch(w, i, me.run_step_s, 0.0, 1)
        longest = me.run_step_s
    else:
        longest = note_run(w, i)
    me.steps += me.run_steps
    me.context += me.batch * me.run_steps
    if c.window_start_s <= c.now_s <= c.window_end_s:
        me.decode_steps += me.run_steps
        me.decode_tokens += me.run_steps * me.batch
    note_longest(w, i, longest)


# --- the batch -------------------------------------------------------------------------------------------------------


def join(w: World, i: int, slot: int) -> None:
    """Put a request that holds its KV cache into the decoding batch."""
    me, r, c = w.instances[i], w.requests[slot], w.cluster[0]
    r.join_step = me.steps
    push_back(w, i, RUNNING, slot)
    push_due(w, i, me.steps + r.output - r.generated, slot)
    me.context += r.prefill + 1
    me.batch += 1
    w.residues[residue(w, i, r.prefill, me.steps)] += 1
    if r.group >= 0:
        w.groups[i * c.groups + r.group] += 1


def leave(w: World, i: int, slot: int) -> None:
    """Take a request out of the decoding batch after the step that has just ended, and free its memory."""
    me, r, c = w.instances[i], w.requests[slot], w.cluster[0]
    steps = me.steps - r.join_step
    r.generated += steps
    remove(w, i, RUNNING, slot)
    remove_due(w, i, slot)
    me.context -= r.prefill + 1 + steps
    me.batch -= 1
    w.residues[residue(w, i, r.prefill, r.join_step)] -= 1
    allocate(w, i, -blocks(w, i, r.prefill + steps))
    if steps:
        r.max_gap_s = max(r.max_gap_s, longest_since(w, i, r.join_step))
        r.last_token_s = c.now_s
    if r.group >= 0:
        w.groups[i * c.groups + r.group] -= 1


def _preempt(w: World, i: int) -> None:
    """Throw the youngest out of memory that is not to be spared: a prompt in part, else one of the batch."""
    c, youngest = w.cluster[0], w.chains[chain(i, RUNNING) + TAIL]
    begun, fair = youngest_begun(w, i)
    slot = fair
    if slot == NOBODY:
        slot = youngest
        while slot != NOBODY and w.requests[slot].preemptions >= c.max_preemptions:
            slot = w.requests[slot].prev
    if slot == NOBODY:
        slot = youngest if begun == NOBODY else begun
    r = w.requests[slot]
    r.preemptions += 1
    w.instances[i].preemptions += 1
    if r.held:
        evict(w, i, slot)
        return
    leave(w, i, slot)
    if r.joining:
        r.joining = 0
        w.instances[i].joiners -= 1
    r.prefill = r.prompt + r.generated
    again(w, i, slot)
