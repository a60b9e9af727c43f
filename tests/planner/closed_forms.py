"""What a long prompt takes in stages, in closed form: the witness of the engine's streams."""

from collections.abc import Sequence

from planner.perf.parallel import longest_share_tokens
from planner.perf.step_time import StepTime
from workloads.models import ModelSpec


def chunk_times_s(
    step: StepTime, prompt_tokens: int, chunk_tokens: int, *, kvp: int = 1, group_tokens: int = 1
) -> list[float]:
    """Seconds of each chunk of a prompt, all stages together, nothing else in the step.

    With KV groups a chunk reads the past that is longest in any of them; its own tokens are computed in all it is in.

    Args:
        step: step time of one stage's tensor-parallel group, whole model.
        prompt_tokens: of the prompt, >= 1.
        chunk_tokens: of each chunk but the last, >= 1.
        kvp: KV groups of the layout.
        group_tokens: tokens at which the next group joins.
    """
    times = []
    for past in range(0, prompt_tokens, chunk_tokens):
        share = longest_share_tokens(past, group_tokens, kvp)
        times.append(step.prefill_s([(min(chunk_tokens, prompt_tokens - past), share)]))
    return times


def pipelined_s(chunk_s: Sequence[float], stages: int, hop_s: float = 0.0) -> float:
    """Seconds until the last chunk of a prompt has left the last of ``stages`` equal stages.

    Chunk i + 1 enters the first stage as soon as chunk i has left it, so equal stages are never out of step and

        TTFT = (Σ t_i + (p - 1) · max t_i) / p + (p - 1) · hop

    Chunks of one size get slower with their past; then the slowest is the last whole one.

    Args:
        chunk_s: whole-model seconds of each chunk, at least one.
        stages: p, >= 1.
        hop_s: seconds from stage to stage, in which neither is busy.

    Source: Medha (arXiv 2409.17264), stream pipeline parallelism; its own code leaves fill and drain out.
    """
    return (sum(chunk_s) + (stages - 1) * max(chunk_s)) / stages + (stages - 1) * hop_s


def hop_s(model: ModelSpec, tokens: int, *, latency_s: float, bandwidth_bytes_per_s: float) -> float:
    """Seconds in which the 16-bit activations of a step's tokens cross from stage to stage."""
    return latency_s + tokens * model.hidden * 2 / bandwidth_bytes_per_s
