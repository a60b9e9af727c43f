"""A hand-made picture of the hand-made plan."""

from math import sin

from planner.results.picture import Bought, LatencyCurve, Picture, PoolSeries
from tests.planner.plans import DECODE, PREFILL

MOMENTS = 40


def _wave(mean: float, swing: float) -> tuple[float, ...]:
    return tuple(mean + swing * sin(i / 3) for i in range(MOMENTS))


def picture() -> Picture:
    """Two pools over two minutes."""
    shares = (*(i / 100 for i in range(1, 100)), 0.995, 0.999, 1.0)
    return Picture(
        words="poisson arrivals, lengths of azure-conv-2023, seed 1",
        start_s=12.0,
        end_s=114.0,
        moments_s=tuple(3.0 * (i + 1) for i in range(MOMENTS)),
        prompt_tokens_per_s=_wave(20_000, 6_000),
        output_tokens_per_s=_wave(4_200, 900),
        pools=tuple(
            PoolSeries(
                pool=spec.name, busy_frac=_wave(0.7, 0.2), batch_mean=_wave(batch, batch / 3),
                queue_tokens=_wave(queue, queue / 2), kv_frac=_wave(0.4, 0.1),
            )
            for spec, batch, queue in ((DECODE, 37.0, 0.0), (PREFILL, 0.0, 512.0))
        ),
        curves=tuple(
            LatencyCurve(
                metric=metric, share_frac=shares, latency_s=tuple(base * (1 + share**8 * 3) for share in shares)
            )
            for metric, base in (("ttft", 0.15), ("tbt", 0.03), ("tpot", 0.031), ("e2e", 6.0))
        ),
        bought=tuple(
            Bought(
                pool=spec.name, gpu=gpu, machine_gpus=8, price_usd_per_h=price, rated_w=rated, rack_units=8.0,
                link="infiniband-3200", link_bytes_per_s=4e11,
            )
            for spec, gpu, price, rated in ((DECODE, "a100-sxm", 20.0, 6500.0), (PREFILL, "h100-sxm", 66.0, 10200.0))
        ),
        kv_bytes_per_token=327_680.0,
    )  # fmt: skip
