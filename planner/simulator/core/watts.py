"""What steps draw, as ``InstancePower`` says it (see ``WattTerms``), and where it is written down."""

from math import sqrt
from typing import Any

from hw_catalog.power import PER_SHARE, SHARE_KNOTS
from planner.simulator.core.queues import head
from planner.simulator.core.state import NOBODY, PREFILLS, Floats, World
from planner.simulator.core.steps import attend, curve, piece_after, piece_of, prefill_step_s, step_at


def _above_w(
    tables: Floats,
    body: Any,
    tokens: float,
    pairs: float,
    context: float,
    outputs: float,
    correction: float,
    step_s: float,
) -> float:
    """Watts above idle of an instance in a step that takes ``step_s`` at full clock."""
    flops, read = body.token_flops * tokens + body.pair_flops * pairs, body.weight_bytes + body.kv_bytes * context
    if body.hit_ratio > 0.0:
        touched = 1.0 - (1.0 - body.hit_ratio) ** tokens
        flops += body.expert_flops * touched * max(tokens * body.hit_ratio / touched, body.tile_tokens)
        read += body.expert_bytes * touched
    per_s = 1.0 / step_s
    above = body.base_w + body.compute_w * sqrt(flops * per_s) + body.bandwidth_w * read * per_s
    above = correction * (above + body.output_w * sqrt(outputs * per_s))
    at = min(above / body.room_w * PER_SHARE, SHARE_KNOTS - 1.0)
    low = min(int(at), SHARE_KNOTS - 2)
    before, after = tables[body.clocked_ratio + low], tables[body.clocked_ratio + low + 1]
    above = min(body.room_w, above)
    other = min(above, body.memory_w * sqrt(read * per_s))
    clocked = before + (after - before) * (at - low)
    return float(body.gpus * min(body.most_w, other + (above - other) * clocked))


def note_prefill(w: World, i: int, tokens: int) -> None:
    """Fix the watts of the step of prompts that begins: of ``tokens`` new tokens in all."""
    me, pairs, prompts, attention = w.instances[i], 0.0, 0, 0.0
    body = w.bodies[me.body]
    if not body.gpus:
        return
    slot = head(w, i, PREFILLS)
    while slot != NOBODY:
        r = w.requests[slot]
        pairs += r.chunk * (r.cached + r.chunk * 0.5)
        prompts += 1
        if body.full_clock != me.body:
            attention += attend(w.tables, w.bodies[body.full_clock], r.chunk, r.cached)
        slot = r.next
    step_s = me.run_step_s
    if body.full_clock != me.body:
        step_s = prefill_step_s(w, i, body.full_clock, tokens, attention)
    context = float(me.context)
    me.above_w = _above_w(
        w.tables, body, float(tokens + me.batch), pairs + context, context, float(prompts + me.batch), 1.0, step_s
    )


def _decode_above_w(w: World, i: int) -> float:
    """Watts above idle of the run of decodes that ends now, at its mean context."""
    me = w.instances[i]
    body = w.bodies[me.body]
    mean = me.run_context + (me.run_steps - 1) * 0.5
    if body.full_clock == me.body:
        step_s = step_at(w.tables, body, me.curve, piece_after(w.tables, body, me.piece, mean), mean)
    else:
        full = w.bodies[body.full_clock]
        piece = min(max(piece_of(w.tables, full.context, full.context_n, mean), 0), full.context_n - 2)
        step_s = step_at(w.tables, full, curve(w.tables, full, me.batch), piece, mean)
    context = mean * me.batch
    correction = w.tables[body.correction_ratio + me.batch]
    return _above_w(w.tables, body, float(me.batch), context, context, float(me.batch), correction, step_s)


def spend(w: World, i: int) -> None:
    """Note the joules of the run that ends now, as far as it lies in the window, second by second."""
    me, c = w.instances[i], w.cluster[0]
    start_s = c.window_start_s
    begin, end = max(me.run_start_s, start_s) - start_s, min(c.now_s, c.window_end_s) - start_s
    if end <= begin or not w.bodies[me.body].gpus:
        return
    if me.prefilling:
        above_w = me.above_w
        me.prefill_j += above_w * (end - begin)
        me.prefill_s += end - begin
    else:
        above_w = _decode_above_w(w, i)
        me.decode_j += above_w * (end - begin)
    cell, last = w.pools[me.pool].seconds + int(begin), w.pools[me.pool].seconds + int(end)
    while cell < last:
        edge = float(cell + 1 - w.pools[me.pool].seconds)
        w.above_j[cell] += above_w * (edge - begin)
        begin, cell = edge, cell + 1
    w.above_j[last] += above_w * (end - begin)
