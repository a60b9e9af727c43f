"""How long steps take, in the arithmetic of ``StepTime``, operation by operation."""

from typing import Any

from planner.perf.stretches import steps_in_stretch, stretch_s
from planner.simulator.core.groups import group_segment
from planner.simulator.core.state import Floats, World
from planner.simulator.core.surfaces import (
    curve,
    dense,
    piece_after,
    piece_of,
    segment,
    shared_decode_attention,
)


def begin_decodes(w: World, k: int) -> None:
    """Fix the curve, the piece and the mean context at which a run of decode-only steps of a lane begins."""
    me = w.lanes[k]
    body = w.bodies[me.body]
    part = -(-me.batch // body.streams)
    me.curve = curve(w.tables, body, part)
    me.link_s = hops_s(body, part) if body.streams > 1 else 0.0
    me.run_context = me.context / me.batch
    me.piece = first_piece(w.tables, body, me.run_context)


def first_piece(table: Floats, body: Any, context: float) -> int:
    """The piece of a curve that a mean context is in."""
    return min(max(piece_of(table, body.context, body.context_n, context), 0), body.context_n - 2)


def answer_lag_s(w: World, k: int) -> float:
    """How much later than its step a first token is seen: steps are scheduled ahead of what they find waiting."""
    me = w.lanes[k]
    body = w.bodies[me.body]
    if me.batch == 0 or body.lag_steps == 0.0:
        return float(body.request_s)
    return float(body.request_s + body.lag_steps * decode_s(w, k, me.context / me.batch))


def decode_s(w: World, k: int, context: float) -> float:
    """Seconds of a decode-only step of the batch of a lane, all pipeline stages together, at a mean context."""
    me = w.lanes[k]
    body = w.bodies[me.body]
    if body.groups > 1:
        step_s, _, _ = group_segment(w.tables, body, me.batch, context, 1)
        return step_s
    part = -(-me.batch // body.streams)
    step_s, _, _ = segment(
        w.tables, body, curve(w.tables, body, part), first_piece(w.tables, body, context), context, 1
    )
    return step_s + hops_s(body, part)


def hops_s(body: Any, tokens: int) -> float:
    """Seconds that a batch of ``tokens`` is on the links between the stages of a pipeline; none where there is one."""
    return float((body.stages * body.streams - 1) * (body.hop_latency_s + body.hop_token_s * tokens))


def stretch(w: World, k: int, piece: int, context: float, steps: int) -> tuple[float, float, int]:
    """The next stretch of the run of a lane: duration of its first step, increment per step, number of steps."""
    me = w.lanes[k]
    body = w.bodies[me.body]
    if body.groups > 1:
        return group_segment(w.tables, body, me.batch, context, steps)
    a, d, n = segment(w.tables, body, me.curve, piece, context, steps)
    return a + me.link_s, d, n


def run_s(w: World, k: int, steps: int) -> float:
    """Seconds of the first ``steps`` steps of a run of decodes."""
    me = w.lanes[k]
    body = w.bodies[me.body]
    piece, context, total = me.piece, me.run_context, 0.0
    while steps > 0:
        a, d, n = stretch(w, k, piece, context, steps)
        total += stretch_s(a, d, n)
        context += n
        steps -= n
        piece = piece_after(w.tables, body, piece, context)
    return total


def started_steps(w: World, k: int) -> int:
    """Steps of the run of a lane in progress that have started by now."""
    return started_by(w, k, w.cluster[0].now_s)


def started_by(w: World, k: int, at_s: float) -> int:
    """Steps of the run of a lane that have started before a moment after its beginning: one at least."""
    me = w.lanes[k]
    if me.run_steps == 1 or me.prefilling or not me.decode:
        return 1
    body = w.bodies[me.body]
    piece, context, steps, done = me.piece, me.run_context, me.run_steps, 0
    left = at_s - me.run_start_s
    while steps > 0:
        a, d, n = stretch(w, k, piece, context, steps)
        total = stretch_s(a, d, n)
        if left <= total:
            return done + steps_in_stretch(a, d, n, left)
        left -= total
        done += n
        context += n
        steps -= n
        piece = piece_after(w.tables, body, piece, context)
    return done


def step_s(w: World, b: int, tokens: int, attention: float, batch: int, context: float) -> float:
    """Seconds of a step that computes prompts and advances a batch by one token, ways between stages aside.

    Args:
        w: the world.
        b: body whose surfaces are read.
        tokens: new tokens of the prompts.
        attention: seconds of their attention.
        batch: decodes beside them.
        context: KV tokens of those, on average.
    """
    body = w.bodies[b]
    ratio = body.prefill_ratio
    if batch:
        attention += shared_decode_attention(w.tables, body, batch, context) + body.mixed_s
        ratio *= body.mixed_ratio
    linear = dense(w.tables, body.linear_prefill, body.linear_prefill_n, tokens + -(-batch // body.ranks))
    return float(body.overhead_s + ratio * (linear + attention))
