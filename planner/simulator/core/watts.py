"""What steps draw, as ``InstancePower`` says it (see ``WattTerms``), and where it is written down."""

from math import sqrt
from typing import Any

from hw_catalog.power import PER_SHARE, SHARE_KNOTS
from planner.simulator.core.queues import head
from planner.simulator.core.state import NONE, PREFILLS, Floats, World
from planner.simulator.core.steps import first_piece, step_s
from planner.simulator.core.surfaces import attend, curve, piece_after, step_at


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


def note_prefill(w: World, k: int, tokens: int, whole_s: float) -> None:
    """Fix the watts of the step of prompts that a lane begins.

    Args:
        w: the world.
        k: lane.
        tokens: new tokens of the prompts in all.
        whole_s: seconds of the step, ways between stages aside.
    """
    me, pairs, prompts, attention = w.lanes[k], 0.0, 0, 0.0
    body = w.bodies[me.body]
    if not body.gpus:
        return
    slot = head(w, k, PREFILLS)
    while slot != NONE:
        r = w.requests[slot]
        pairs += r.chunk * (r.cached + r.chunk * 0.5)
        prompts += 1
        if body.full_clock != me.body:
            attention += attend(w.tables, w.bodies[body.full_clock], r.chunk, r.cached)
        slot = r.next
    batch = me.batch if me.decode else 0
    context = float(me.context) if batch else 0.0
    if body.full_clock != me.body:
        whole_s = step_s(w, body.full_clock, tokens, attention, batch, me.context / batch if batch else 0.0)
    me.above_w = _above_w(
        w.tables,
        body,
        float(tokens + batch * body.verified),
        pairs + context * body.verified,
        context,
        float(prompts + batch),
        1.0,
        whole_s,
    )


def _decode_above_w(w: World, k: int) -> float:
    """Watts above idle of the run of decodes of a lane that ends now, at its mean context."""
    me = w.lanes[k]
    body = w.bodies[me.body]
    mean = me.run_context + (me.run_steps - 1) * 0.5
    full, part = w.bodies[body.full_clock], -(-me.batch // body.watt_parts)
    if body.full_clock == me.body:
        whole_s = step_at(w.tables, body, me.curve, piece_after(w.tables, body, me.piece, mean), mean)
    else:
        whole_s = step_at(w.tables, full, curve(w.tables, full, part), first_piece(w.tables, full, mean), mean)
    context = mean * part
    correction = w.tables[body.correction_ratio + me.batch]
    tokens, pairs = float(part * body.verified), context * body.verified
    above_w = _above_w(w.tables, body, tokens, pairs, context, float(part), correction, whole_s)
    if me.batch < body.watt_parts:
        return above_w * me.batch / body.watt_parts  # the other stages wait
    return above_w


def spend(w: World, k: int) -> None:
    """Note the joules of the run of a lane that ends now: in a pipeline, stage by stage."""
    me, now_s = w.lanes[k], w.cluster[0].now_s
    if not w.bodies[me.body].gpus:
        return
    above_w = me.above_w if me.prefilling else _decode_above_w(w, k)
    stages = w.instances[me.instance].lanes
    if stages == 1:
        _spend(w, k, me.run_start_s, now_s, above_w)
        return
    for stage in range(stages):
        end_s = w.stages[me.ends + stage]
        _spend(w, k, end_s - me.stage_s, min(end_s, now_s), above_w / stages)


def _spend(w: World, k: int, begin_s: float, end_s: float, above_w: float) -> None:
    """Note watts above idle over an interval, as far as it lies in the window, second by second."""
    i, c = w.lanes[k].instance, w.cluster[0]
    me, start_s = w.instances[i], c.window_start_s
    begin, end = max(begin_s, start_s) - start_s, min(end_s, c.window_end_s) - start_s
    if end <= begin:
        return
    if w.lanes[k].prefilling:
        me.prefill_j += above_w * (end - begin)
        me.prefill_s += end - begin
    else:
        me.decode_j += above_w * (end - begin)
    first = w.pools[me.pool].seconds
    cell, last = first + int(begin), first + int(end)
    while cell < last:
        edge = float(cell + 1 - first)
        w.above_j[cell] += above_w * (edge - begin)
        begin, cell = edge, cell + 1
    w.above_j[last] += above_w * (end - begin)
