"""What pools did in the measured window: busy time, memory, watts, pipeline bubbles."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerUse:
    """What a pool, or a plan, drew at the wall in the measured window, all instances at once.

    The percentiles and the peak are what a meter that is read once a second shows: bursts of prefill inside a second
    are in them.

    Attributes:
        mean_w: over all seconds of all seeds.
        p50_w: median reading.
        p95_w: of 20 readings, 19 show no more.
        p99_w: of 100 readings, 99 show no more.
        peak_w: highest reading.
        standby_w: of the mean, what the machines draw without work.
        prefill_w: of the mean, what steps that carry prefill work add.
        decode_w: of the mean, what decode-only steps add.
    """

    mean_w: float
    p50_w: float
    p95_w: float
    p99_w: float
    peak_w: float
    standby_w: float
    prefill_w: float
    decode_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BubbleUse:
    """How much of the measured window the stages of a pool's pipelines stood idle between batches, by kind.

    Source: SARATHI, arXiv 2308.16369, its three kinds of pipeline bubbles.

    Attributes:
        prompts_frac: a batch and the one ahead carry prompts, of different length (PB1).
        phases_frac: one of them carries prompts, the other decodes only (PB2).
        contexts_frac: both decode only, at different contexts or batches (PB3).
        unfilled_frac: no bubble: batches were in flight, but there was none to send after them.
    """

    prompts_frac: float
    phases_frac: float
    contexts_frac: float
    unfilled_frac: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """How busy one pool was in the measured window, mean over its instances and seeds.

    Attributes:
        pool: spec name.
        busy_frac: share of time in a step.
        kv_peak_frac: largest share of KV blocks in use on any instance.
        kv_mean_frac: time average.
        batch_mean: mean decoding requests in a step that decodes.
        queue_mean_tokens: time average of prompt tokens waiting at an instance.
        preemptions: requests thrown out of KV memory and recomputed.
        decode_tokens_per_s: output tokens of decode steps, of one instance.
        power: what it drew; None where nothing is known of its GPUs' watts.
        bubbles: idle shares of its pipeline's stages; None where there is no pipeline.
    """

    pool: str
    busy_frac: float
    kv_peak_frac: float
    kv_mean_frac: float
    batch_mean: float
    queue_mean_tokens: float
    preemptions: int
    decode_tokens_per_s: float = 0.0
    power: PowerUse | None = None
    bubbles: BubbleUse | None = None
