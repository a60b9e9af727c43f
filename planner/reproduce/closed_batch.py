"""A closed batch: requests that are all there at the start, in micro-batches that follow each other through stages.

Every micro-batch has its own slots. In each of its iterations it computes at most one prompt, whole or a chunk of it,
and advances its decoding requests by one token; it may begin the next only when the last has left the last stage.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from planner.perf.step_time import StepTime
from planner.perf.stretches import run_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a closed batch is served.

    Attributes:
        step: whole-model step time of the tensor-parallel group of one stage.
        max_batch_size: requests of one micro-batch.
        tile_tokens: tokens of an iteration that carries a chunk: the chunk is what the decodes leave of them; None
            computes prompts whole.
        pp: pipeline stages, and micro-batches in flight.
        hybrid_s: what an iteration with prompt and decodes takes beyond its parts.
        hop_s: seconds a token's activations take from stage to stage.
    """

    step: StepTime
    max_batch_size: int
    tile_tokens: int | None
    pp: int = 1
    hybrid_s: float = 0.0
    hop_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What became of a closed batch.

    Attributes:
        end_s: when its last request ended.
        bubble_s: of each request that ended, in the order they did: seconds that a stage, on average, stood idle before
            the iterations it took part in.
    """

    end_s: float
    bubble_s: Sequence[float]


@dataclass(slots=True)
class _MicroBatch:
    """Slots of one micro-batch: a prompt in the making, and decodes by the iteration in which they end."""

    running: list[tuple[int, int, float]] = field(default_factory=list)
    prompt_tokens: int = 0
    output_tokens: int = 0
    done_tokens: int = 0
    born_idle_s: float = 0.0
    context_tokens: int = 0
    steps: int = 0
    idle_s: float = 0.0
    free_s: float = 0.0


def serve(requests: Iterable[tuple[int, int]], how: Serving) -> Served:
    """Serve (prompt, output) tokens, first come, first served.

    Args:
        requests: at least one; outputs >= 1.
        how: slots, chunks and stages.
    """
    queue, bubbles = deque(requests), list[float]()
    batches = [_MicroBatch() for _ in range(how.pp)]
    stage_free_s = [0.0] * how.pp
    at, idle_rounds = 0, 0
    while idle_rounds < how.pp:
        batch = batches[at % how.pp]
        at += 1
        whole_s, tokens = _iterate(batch, queue, how)
        if not tokens:
            idle_rounds += 1
            continue
        idle_rounds = 0
        batch.idle_s += _pass(batch, stage_free_s, whole_s, tokens * how.hop_s)
        _settle(batch, bubbles)
    return Served(end_s=max(b.free_s for b in batches), bubble_s=tuple(bubbles))


def _pass(batch: _MicroBatch, stage_free_s: list[float], whole_s: float, hop_s: float) -> float:
    """Send an iteration through the stages; returns the idle seconds it found, per stage."""
    part_s, at_s, idle_s = whole_s / len(stage_free_s), batch.free_s, 0.0
    for stage, free_s in enumerate(stage_free_s):
        if at_s > free_s:
            idle_s += at_s - free_s
            free_s = at_s
        stage_free_s[stage] = free_s + part_s
        at_s = free_s + part_s + hop_s
    batch.free_s = at_s - hop_s
    return idle_s / len(stage_free_s)


def _iterate(batch: _MicroBatch, queue: deque[tuple[int, int]], how: Serving) -> tuple[float, int]:
    """Compose the next iteration of a micro-batch: its whole-model seconds and its tokens, none where it is empty."""
    if not batch.prompt_tokens and queue and len(batch.running) < how.max_batch_size:
        (batch.prompt_tokens, batch.output_tokens), batch.done_tokens = queue.popleft(), 0
        batch.born_idle_s = batch.idle_s
    decodes = len(batch.running)
    if not batch.prompt_tokens:
        return (how.step.decode_s(decodes, batch.context_tokens / decodes), decodes) if decodes else (0.0, 0)
    left = batch.prompt_tokens - batch.done_tokens
    new = left if how.tile_tokens is None else min(left, how.tile_tokens - decodes)
    seconds = how.step.prefill_s([(new, batch.done_tokens)], decodes, batch.context_tokens)
    batch.done_tokens += new
    return seconds + (how.hybrid_s if decodes else 0.0), new + decodes


def _settle(batch: _MicroBatch, bubbles: list[float]) -> None:
    """Count the tokens of an iteration: requests end, a finished prompt starts to decode."""
    batch.steps += 1
    batch.context_tokens += len(batch.running)
    while batch.running and batch.running[0][0] <= batch.steps:
        _, context_tokens, born_idle_s = heappop(batch.running)
        batch.context_tokens -= context_tokens
        bubbles.append(batch.idle_s - born_idle_s)
    if not batch.prompt_tokens or batch.done_tokens < batch.prompt_tokens:
        return
    prompt, output = batch.prompt_tokens, batch.output_tokens
    batch.prompt_tokens = 0
    if output == 1:
        bubbles.append(batch.idle_s - batch.born_idle_s)
        return
    heappush(batch.running, (batch.steps + output - 1, prompt + output, batch.born_idle_s))
    batch.context_tokens += prompt + 1


def batch_by_batch_s(step: StepTime, requests: int, prompt_tokens: int, output_tokens: int, slots: int) -> float:
    """Seconds of equal requests served as SARATHI's baseline does: a batch is prefilled, then decoded to its end.

    Args:
        step: step time.
        requests: a multiple of ``slots``.
        prompt_tokens: of each.
        output_tokens: of each, >= 1.
        slots: requests of a batch.
    """
    prefill_s = step.prefill_s([(prompt_tokens, 0)] * slots)
    decode_s = run_s(step.decode_segments(slots, prompt_tokens + 1, output_tokens - 1)) if output_tokens > 1 else 0.0
    return requests / slots * (prefill_s + decode_s)
