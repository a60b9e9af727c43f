"""Steps that compute prompts at an instance of stages and KV groups, in the arithmetic of ``StreamTime``.

The prompts of a step are the first ``count`` of a queue from request ``slot`` on, of each its ``chunk``. Each enters
the stages as p chunks; the step takes the time of the middle ones, and what waits for the last waits until it has
passed the other stages.
"""

from typing import Any

from planner.perf.parallel import kv_groups, longest_share_tokens
from planner.simulator.core.groups import merge_s
from planner.simulator.core.state import World
from planner.simulator.core.steps import hops_s, step_s
from planner.simulator.core.surfaces import attend


def stream_s(w: World, b: int, batch: int, context: int, slot: int, count: int, last: bool) -> float:
    """Whole-model seconds of one of the p batches in flight, and its way: the middle chunks, or the last ones.

    Args:
        w: the world.
        b: body.
        batch: decodes of the step.
        context: KV tokens of those.
        slot: first prompt.
        count: prompts from there.
        last: the last chunks instead of the middle ones.
    """
    body = w.bodies[b]
    part, mean = -(-batch // body.streams), context // max(1, batch)
    spread = _groups(body, mean) if batch else 0
    own = -(-part * spread // body.groups)
    slowest = 0.0
    for group in range(body.groups):
        tokens, attention, at, each = 0, 0.0, 0, slot
        for _ in range(count):
            size, before = _size(w, b, each, batch, last), _before(w, b, each, last)
            held = _groups(body, before + size)
            if (group - at) % body.groups < held:
                tokens += size
                attention += attend(w.tables, body, size, _share(body, before))
            at += held
            each = w.requests[each].next
        if tokens:
            slowest = max(slowest, step_s(w, b, tokens, attention, own, _share(body, mean)))
    return slowest + _between_s(w, b, batch, spread, slot, count, last)


def _between_s(w: World, b: int, batch: int, spread: int, slot: int, count: int, last: bool) -> float:
    """Seconds on the links between stages, and of merging what the groups computed."""
    body = w.bodies[b]
    part = -(-batch // body.streams)
    most, total, merged, each = spread, part, part if spread > 1 else 0, slot
    for _ in range(count):
        size = _size(w, b, each, batch, last)
        held = _groups(body, _before(w, b, each, last) + size)
        most, total = max(most, held), total + size
        merged += size if held > 1 else 0
        each = w.requests[each].next
    return hops_s(body, total) + (merge_s(body, most, merged) if merged else 0.0)


def _groups(body: Any, context: int) -> int:
    """KV groups that hold a context."""
    return kv_groups(context, int(body.group_tokens), int(body.groups))


def _share(body: Any, context: int) -> int:
    """Tokens of a context that one group reads."""
    return longest_share_tokens(context, int(body.group_tokens), int(body.groups)) if body.groups > 1 else context


def _size(w: World, b: int, slot: int, batch: int, last: bool) -> int:
    """Tokens of a chunk; a short last one waits for the whole ones before it, unless decodes keep those small too."""
    body, r = w.bodies[b], w.requests[slot]
    size = -(-r.chunk // body.streams)
    if last and batch == 0:
        size = max(size, min(r.cached, body.step_tokens // body.streams))
    return int(size)


def _before(w: World, b: int, slot: int, last: bool) -> int:
    """Tokens before a chunk."""
    p, r = w.bodies[b].streams, w.requests[slot]
    return int(r.cached + (p - 1) * r.chunk // (p if last else 2 * p))


def drain_s(w: World, b: int, batch: int, context: int, slot: int, count: int) -> float:
    """Seconds from the end of a step until its last chunks have passed the other stages."""
    p = w.bodies[b].streams
    return (p - 1) / p * stream_s(w, b, batch, context, slot, count, True) if p > 1 else 0.0


def beside_tokens(w: World, b: int, slot: int, count: int, past: int) -> int:
    """Tokens of ``count`` prompts in the groups that one more with so long a past would be computed in."""
    body, most = w.bodies[b], 0
    at, each = 0, slot
    for _ in range(count):
        at += _groups(body, w.requests[each].cached + w.requests[each].chunk)
        each = w.requests[each].next
    for group in range(at, at + _groups(body, past + 1)):
        tokens, begin, each = 0, 0, slot
        for _ in range(count):
            held = _groups(body, w.requests[each].cached + w.requests[each].chunk)
            if (group - begin) % body.groups < held:
                tokens += w.requests[each].chunk
            begin += held
            each = w.requests[each].next
        most = max(most, tokens)
    return int(most)


def alone_s(w: World, b: int, new: int, past: int) -> float:
    """Seconds of a step that computes ``new`` tokens of one prompt after ``past`` and nothing else."""
    body = w.bodies[b]
    size = -(-new // body.streams)
    before = past + (body.streams - 1) * new // (2 * body.streams)
    held = _groups(body, before + size) if body.groups > 1 else 1
    attention = attend(w.tables, body, size, _share(body, before))
    return step_s(w, b, size, attention, 0, 0.0) + hops_s(body, size) + merge_s(body, held, size)
