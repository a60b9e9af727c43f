"""Measured surfaces as tables: interpolation, and decode-only steps as arithmetic sequences.

The arithmetic is that of ``StepTime``, operation by operation.
"""

from typing import Any

from planner.simulator.core.state import Floats


def piece_of(table: Floats, knots: int, count: int, x: float) -> int:
    """``bisect_right`` - 1 over ``count`` knots that begin at offset ``knots``: the last that ``x`` reaches, or -1."""
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        if x < table[knots + middle]:
            high = middle
        else:
            low = middle + 1
    return low - 1


def line(table: Floats, knots: int, count: int, values: int, stride: int, x: float) -> float:
    """Piecewise-linear interpolation; clamped below the first knot, continued beyond the last."""
    if count == 1 or x <= table[knots]:
        return table[values]
    i = min(piece_of(table, knots, count, x), count - 2)
    low, high = table[values + i * stride], table[values + (i + 1) * stride]
    return low + (high - low) * (x - table[knots + i]) / (table[knots + i + 1] - table[knots + i])


def dense(table: Floats, values: int, count: int, tokens: int) -> float:
    """A column with a value per token count, continued along its last slope."""
    if tokens < count:
        return table[values + tokens]
    last = values + count - 1
    return table[last] + (table[last] - table[last - 1]) * (tokens - (count - 1))


def attend(table: Floats, body: Any, new: int, past: int) -> float:
    """Attention of ``new`` tokens of one request over ``past`` and themselves."""
    row = body.past_n
    if body.new_n == 1 or new <= table[body.new]:
        return line(table, body.past, row, body.prefill_attention, 1, past)
    i = min(piece_of(table, body.new, body.new_n, new), body.new_n - 2)
    low = line(table, body.past, row, body.prefill_attention + i * row, 1, past)
    high = line(table, body.past, row, body.prefill_attention + (i + 1) * row, 1, past)
    return low + (high - low) * (new - table[body.new + i]) / (table[body.new + i + 1] - table[body.new + i])


def decode_attention(table: Floats, body: Any, batch: int, knot: int) -> float:
    """Decode attention at one batch size and one context knot."""
    return line(table, body.batch, body.batch_n, body.decode_attention + knot, body.context_n, batch)


def shared_decode_attention(table: Floats, body: Any, batch: int, context: float) -> float:
    """Decode attention of a batch that shares its step with prefill work, at its mean context."""
    count = body.context_n
    if count == 1 or context <= table[body.context]:
        return decode_attention(table, body, batch, 0)
    i = min(piece_of(table, body.context, count, context), count - 2)
    low, high = decode_attention(table, body, batch, i), decode_attention(table, body, batch, i + 1)
    knots = body.context
    return low + (high - low) * (context - table[knots + i]) / (table[knots + i + 1] - table[knots + i])


def curve(table: Floats, body: Any, batch: int) -> int:
    """Where decode-only step time over mean context stands for one batch size: values, slopes, and a mark."""
    count = body.context_n
    at = body.curves + batch * 2 * count
    if table[at + 2 * count - 1] == 0.0:
        linear = dense(table, body.linear_decode, body.linear_decode_n, batch)
        for k in range(count):
            attention = decode_attention(table, body, batch, k)
            table[at + k] = body.overhead_s + body.decode_ratio * (linear + attention)
        for k in range(count - 1):
            rise = table[at + k + 1] - table[at + k]
            table[at + count + k] = rise / (table[body.context + k + 1] - table[body.context + k])
        table[at + 2 * count - 1] = 1.0
    return at


def segment(table: Floats, body: Any, at: int, piece: int, context: float, steps: int) -> tuple[float, float, int]:
    """The next stretch of decode-only steps: duration of the first, increment per step, number of steps.

    Args:
        table: all surfaces.
        body: physics of the instance.
        at: offset of the curve.
        piece: of the curve.
        context: mean context of the first step.
        steps: at most so many.
    """
    slope = table[at + body.context_n + piece]
    if piece < body.context_n - 2:
        steps = steps_before(table[body.context + piece + 1] - context, steps)
    return step_at(table, body, at, piece, context), slope, steps


def steps_before(room: float, steps: int) -> int:
    """Of so many steps those that begin less than ``room`` steps from here: one at least."""
    if room >= steps:
        return steps
    whole = int(room)
    return max(1, whole + (1 if room > whole else 0))


def step_at(table: Floats, body: Any, at: int, piece: int, context: float) -> float:
    """Seconds of a decode-only step at a mean context within a piece of a curve."""
    return table[at + piece] + table[at + body.context_n + piece] * (context - table[body.context + piece])


def piece_after(table: Floats, body: Any, piece: int, context: float) -> int:
    """The piece of a curve that a context has grown into."""
    while piece < body.context_n - 2 and table[body.context + piece + 1] <= context:
        piece += 1
    return piece
