"""Steps of an instance through which a long prompt streams (SPP), or whose KV cache is in groups (KVP).

The arithmetic is that of ``StreamTime``: p chunks of a prompt, one behind the other, are one step; a chunk is computed
in every group that holds its request, and a step takes as long as the slowest group.
"""

from typing import Any

from planner.perf.parallel import kv_groups
from planner.simulator.core.state import Floats
from planner.simulator.core.surfaces import curve, piece_after, piece_of, step_at, steps_before


def merge_s(body: Any, groups: int, tokens: int) -> float:
    """Seconds in which the results of so many groups are merged."""
    if groups == 1:
        return 0.0
    sent = (groups - 1) * tokens * body.merge_bytes
    return float(body.merge_layers * (body.merge_latency_s + sent / body.merge_bytes_per_s))


def group_segment(table: Floats, body: Any, batch: int, context: float, steps: int) -> tuple[float, float, int]:
    """The next stretch of decode-only steps of a batch that is spread over stages and groups.

    While the first group fills, a token makes its share longer by one; while a further one does, the longest share
    stands still; when all are full, it grows by one in as many steps as there are groups.

    Returns:
        Duration of the first step, increment per step, number of steps.
    """
    part = -(-batch // body.streams)
    whole = int(context)
    groups = kv_groups(whole + 1 if context > whole else whole, int(body.group_tokens), int(body.groups))
    extra = (body.streams - 1) * (body.hop_latency_s + body.hop_token_s * part) + merge_s(body, groups, part)
    mine = -(-part * groups // body.groups)
    full, span, slower = float(body.groups * body.group_tokens), steps, 1
    if context >= full:
        share, slower = context / body.groups, body.groups
    else:
        span = min(steps, int(groups * body.group_tokens - context) + 1)
        share = context if groups == 1 else float(body.group_tokens)
    at = curve(table, body, mine)
    piece = min(max(piece_of(table, body.context, body.context_n, share), 0), body.context_n - 2)
    piece = piece_after(table, body, piece, share)
    first_s = step_at(table, body, at, piece, share) + extra
    if context < full and groups > 1:
        return first_s, 0.0, span
    slope = table[at + body.context_n + piece]
    if piece < body.context_n - 2:
        span = steps_before((table[body.context + piece + 1] - share) * slower, span)
    return first_s, slope / slower, span
