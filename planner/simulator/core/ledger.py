"""The books: what is written down of requests, token gaps, memory and queues."""

from math import log

from planner.simulator.core.queues import chain
from planner.simulator.core.state import HEAD, NONE, RUNNING, World
from planner.simulator.core.steps import stretch
from planner.simulator.core.surfaces import piece_after


def overlap_s(w: World, begin_s: float, end_s: float) -> float:
    """Seconds of an interval inside the measured window."""
    c = w.cluster[0]
    return float(max(0.0, min(end_s, c.window_end_s) - max(begin_s, c.window_start_s)))


def queue_tokens(w: World, i: int, tokens: int) -> None:
    """Note ``tokens`` more (or fewer) waiting for their prefill."""
    me, now = w.instances[i], w.cluster[0].now_s
    me.queue_token_s += me.queue_tokens * overlap_s(w, me.queue_seen_s, now)
    me.queue_seen_s = now
    me.queue_tokens += tokens


def allocate(w: World, i: int, blocks: int) -> None:
    """Change the allocated blocks and integrate their number over the window."""
    me, now = w.instances[i], w.cluster[0].now_s
    me.kv_block_s += (me.total - me.free) * overlap_s(w, me.kv_seen_s, now)
    me.kv_seen_s = now
    me.free -= blocks
    me.kv_peak = max(me.kv_peak, me.total - me.free)


def gap_bin(w: World, gap_s: float) -> int:
    """The bin that holds a gap."""
    c = w.cluster[0]
    if gap_s < w.edges_s[0]:
        return 0
    return _bin_from(w, gap_s, int(min(int((log(gap_s) - c.gap_log_min) * c.gap_inv), c.gap_bins - 1)))


def _bin_from(w: World, gap_s: float, place: int) -> int:
    """The bin that holds a gap, looked for from another on; gaps beyond all edges are in the last."""
    last = w.cluster[0].gap_bins - 1
    while place < last and gap_s >= w.edges_s[place]:
        place += 1
    while place and gap_s < w.edges_s[place - 1]:
        place -= 1
    return place


def note_gap(w: World, slot: int, gap_s: float) -> None:
    """Note one gap of one request that differs from its neighbours' in the batch."""
    r = w.requests[slot]
    r.max_gap_s = max(r.max_gap_s, gap_s)
    if r.group >= 0:
        w.histogram[r.group * w.cluster[0].gap_bins + gap_bin(w, gap_s)] += 1


def _count(w: World, k: int, place: int, steps: int) -> None:
    """Every measured request of the batch sees ``steps`` steps in one bin."""
    c = w.cluster[0]
    for group in range(c.groups):
        requests = w.groups[k * c.groups + group]
        if requests:
            w.histogram[group * c.gap_bins + place] += requests * steps


def _stretch(w: World, k: int, first_s: float, slope_s: float, steps: int) -> None:
    """Note an arithmetic sequence of steps, bin by bin where it crosses bins."""
    here = gap_bin(w, first_s)
    if steps == 1 or slope_s == 0.0 or here == _bin_from(w, first_s + slope_s * (steps - 1), here):
        _count(w, k, here, steps)
        return
    at = 0
    while at < steps:
        here = _bin_from(w, first_s + slope_s * at, here)
        edge = w.edges_s[here] if slope_s > 0 else w.edges_s[max(0, here - 1)]
        until = min(steps, max(at + 1, int((edge - first_s) / slope_s) + 1))
        _count(w, k, here, until - at)
        at = until


def _newcomers(w: World, k: int, end_s: float, step_s: float) -> None:
    """Note the first step of those that joined last: their gap began with their last token elsewhere."""
    me, c = w.lanes[k], w.cluster[0]
    slot, left = w.chains[chain(k, RUNNING) + 1], me.joiners
    while left:
        r = w.requests[slot]
        if r.joining:
            note_gap(w, slot, end_s - r.last_token_s)
            if r.group >= 0:
                w.groups[k * c.groups + r.group] -= 1
            left -= 1
        slot = r.prev
    _count(w, k, gap_bin(w, step_s), 1)
    slot = w.chains[chain(k, RUNNING) + 1]
    while me.joiners:
        r = w.requests[slot]
        if r.joining:
            r.joining = 0
            if r.group >= 0:
                w.groups[k * c.groups + r.group] += 1
            me.joiners -= 1
        slot = r.prev


def note_stretch(w: World, k: int, a: float, d: float, n: int) -> None:
    """Note every token gap of a stretch of the run that ends now; the first step of a run may have newcomers."""
    me = w.lanes[k]
    if me.joiners:
        _newcomers(w, k, me.run_start_s + a, a)
        a, n = a + d, n - 1
    if n:
        _stretch(w, k, a, d, n)


def note_run(w: World, k: int) -> float:
    """Note every token gap of the run of decodes that ends now.

    Returns:
        Seconds of its longest step.
    """
    me = w.lanes[k]
    body = w.bodies[me.body]
    piece, context, steps, longest = me.piece, me.run_context, me.run_steps, 0.0
    while steps > 0:
        a, d, n = stretch(w, k, piece, context, steps)
        note_stretch(w, k, a, d, n)
        longest = max(longest, a, a + d * (n - 1))
        if me.run_steps > 1:
            me.last_start_s = me.idle_s - (a + d * (n - 1))
        context += n
        steps -= n
        piece = piece_after(w.tables, body, piece, context)
    return longest


def _after(w: World, base: int, count: int, step: int) -> int:
    """Where the runs begin that ended after step number ``step``."""
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        if step < w.gaps[base + middle].step:
            high = middle
        else:
            low = middle + 1
    return low


def _forget(w: World, k: int) -> None:
    """Keep only the runs that the requests of the batch will ask for: the first after the gap each counts from."""
    me, base, kept = w.lanes[k], k * w.cluster[0].stack_rows, 0
    slot = w.chains[chain(k, RUNNING) + HEAD]
    while slot != NONE:
        at = _after(w, base, me.stack, w.requests[slot].gap_step)
        if at < me.stack:
            run = w.gaps[base + at]
            run.longest_s = -abs(run.longest_s)  # marked
        slot = w.requests[slot].next
    for at in range(me.stack):
        run = w.gaps[base + at]
        if run.longest_s <= 0.0:
            to = w.gaps[base + kept]
            to.step, to.longest_s = run.step, -run.longest_s
            kept += 1
    me.stack = kept


def note_longest(w: World, k: int, longest_s: float) -> None:
    """Note a run of steps that ended with the current step number."""
    me, rows = w.lanes[k], w.cluster[0].stack_rows
    base = k * rows
    while me.stack and w.gaps[base + me.stack - 1].longest_s <= longest_s:
        me.stack -= 1
    if me.stack == rows:
        _forget(w, k)
    w.gaps[base + me.stack].longest_s = longest_s
    w.gaps[base + me.stack].step = me.steps
    me.stack += 1


def longest_since(w: World, k: int, step: int) -> float:
    """Seconds of the longest step after step number ``step``, of which there is at least one."""
    base = k * w.cluster[0].stack_rows
    return float(w.gaps[base + _after(w, base, w.lanes[k].stack, step)].longest_s)


def finish(w: World, slot: int) -> None:
    """Close the row of a request that has its last token."""
    r, c = w.requests[slot], w.cluster[0]
    c.finished += 1
    w.e2e_s[r.index] = c.now_s + r.lag_s - r.arrival_s
    w.max_gap_s[r.index] = r.max_gap_s
    w.served_by[2 * r.index] = r.sent_by
    if r.output > 1:
        w.served_by[2 * r.index + 1] = r.sent_by if r.home == NONE else r.home
    c.output_tokens += r.output
    if c.stages > 1:
        w.bubbles[3 * r.index] = r.prompts_s
        w.bubbles[3 * r.index + 1] = r.phases_s
        w.bubbles[3 * r.index + 2] = r.contexts_s
