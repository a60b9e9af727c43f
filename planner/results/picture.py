"""The nouns of a picture: what a plan is made of, and how it served one trace, moment by moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """One pool as it is bought.

    Attributes:
        pool: spec name.
        gpu: GPU model of its machines.
        machine_gpus: GPUs in one machine.
        price_usd_per_h: of one machine.
        rated_w: of one machine.
        rack_units: of one machine.
        link: name of the link between its machines.
        link_bytes_per_s: of that link.
    """

    pool: str
    gpu: str
    machine_gpus: int
    price_usd_per_h: float
    rated_w: float
    rack_units: float
    link: str
    link_bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSeries:
    """One pool over time: one value per moment, the mean over its instances.

    Attributes:
        pool: spec name.
        busy_frac: share of its instances that are in a step.
        batch_mean: requests that decode on an instance or are about to.
        queue_tokens: prompt tokens that wait on an instance for their prefill.
        kv_frac: share of KV memory in use.
        power_w: what all its machines together draw at the wall; inf where nothing was measured; empty where nothing
            is known of its GPUs' watts.
    """

    pool: str
    busy_frac: tuple[float, ...]
    batch_mean: tuple[float, ...]
    queue_tokens: tuple[float, ...]
    kv_frac: tuple[float, ...]
    power_w: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCurve:
    """The distribution of one metric over the measured requests (TBT: over their token gaps).

    Attributes:
        metric: ``ttft``, ``tbt``, ``tpot`` or ``e2e``.
        share_frac: shares of all observations, ascending.
        latency_s: the smallest value that each share does not exceed; inf where requests never finished.
    """

    metric: str
    share_frac: tuple[float, ...]
    latency_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """How a plan served the first trace of its workload.

    Attributes:
        words: what was served, for people.
        start_s: where the measured window begins.
        end_s: where it ends.
        moments_s: times of the series, ascending, at most 300 of them.
        prompt_tokens_per_s: of the requests that arrived up to each moment since the one before.
        output_tokens_per_s: that those requests ask for.
        pools: one series per pool.
        curves: one distribution per metric.
        bought: one entry per pool.
        kv_bytes_per_token: what moves from a prefill to a decode instance per prompt token.
    """

    words: str
    start_s: float
    end_s: float
    moments_s: tuple[float, ...]
    prompt_tokens_per_s: tuple[float, ...]
    output_tokens_per_s: tuple[float, ...]
    pools: tuple[PoolSeries, ...]
    curves: tuple[LatencyCurve, ...]
    bought: tuple[Bought, ...]
    kv_bytes_per_token: float
