"""Laws of readings: bursts of prefill inside a second are in percentiles and peak, and the mean is kept."""

import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.perf.power import Watts
from planner.results.use import PowerUse
from planner.simulator.books import Meter
from planner.simulator.watts import power_use, together


class Flat:
    """An instance that idles at 100 W, with plugs that lose nothing."""

    idle_w = standby_w = 100.0
    wall_ratio = 1.0
    limit_w = 400.0

    def terms(self, _batches: int) -> None:
        """Not asked."""

    def decode_w(self, _batch: int, _context_tokens: float) -> float:
        """Not asked."""
        return 0.0

    def prefill_w(self, _prompts: object, _batch: int = 0, _context_tokens: int = 0) -> float:
        """Not asked."""
        return 0.0


def pool(count: int, prefill_s: float, seconds: int, decode_w: float = 100.0, burst_w: float = 300.0) -> list[Meter]:
    """Instances that compute prompts for a share of every second, and decode in the rest."""
    above_j = [count * (prefill_s * burst_w + (1 - prefill_s) * decode_w)] * seconds + [0.0]
    return [
        Meter(
            start_s=0.0, end_s=float(seconds), kv_blocks=1, busy_s=float(seconds), prefill_s=prefill_s * seconds,
            prefill_j=prefill_s * seconds * burst_w, decode_j=(1 - prefill_s) * seconds * decode_w, above_j=above_j,
        )
        for _ in range(count)
    ]  # fmt: skip


@given(count=st.integers(1, 200), prefill_s=st.floats(0.0, 1.0))
def test_readings_lie_between_decode_and_burst_and_keep_the_mean(count: int, prefill_s: float) -> None:
    """No reading is above all instances in a burst, none of the percentiles is out of order, and the mean is exact."""
    use = power_use(Flat(), [pool(count, prefill_s, 300)])
    assert use is not None
    mean_w = count * (100 + prefill_s * 300 + (1 - prefill_s) * 100)
    assert use.mean_w == pytest.approx(mean_w)
    assert count * 200 - 1e-6 <= use.p50_w <= use.p95_w <= use.p99_w <= use.peak_w <= count * 400 + 1e-6


def test_a_burst_inside_a_second_is_seen_on_one_instance_and_averages_out_on_many() -> None:
    """A tenth of prefill is far above the mean at the peak of one GPU, and hardly at that of four hundred."""
    one, many = (power_use(Flat(), [pool(count, 0.1, 600)]) for count in (1, 400))
    assert one is not None
    assert many is not None
    assert one.peak_w == pytest.approx(400.0, rel=0.01)
    assert many.peak_w < 1.06 * many.mean_w
    assert power_use(Flat(), [pool(1, 0.1, 600)]) == one


@given(count=st.integers(1, 20), stages=st.integers(1, 16), prefill_s=st.floats(0.01, 1.0))
def test_stages_of_a_pipeline_burst_one_by_one(count: int, stages: int, prefill_s: float) -> None:
    """An instance whose stages compute prompts at once draws what so many instances of one stage do above idle."""
    apart, piped = pool(count * stages, prefill_s, 200), pool(count, prefill_s, 200)
    for meter in piped:  # what its stages note together
        meter.prefill_s, meter.prefill_j, meter.decode_j = (
            stages * each for each in (meter.prefill_s, meter.prefill_j, meter.decode_j)
        )
        meter.above_j = apart[0].above_j
    one, other = power_use(Flat(), [apart]), power_use(Flat(), [piped], stages)
    assert one is not None
    assert other is not None
    idle_w = 100 * count * (stages - 1)
    assert other.peak_w == pytest.approx(one.peak_w - idle_w)
    assert other.p50_w == pytest.approx(one.p50_w - idle_w)
    assert other.mean_w == pytest.approx(one.mean_w - idle_w)
    assert other.mean_w <= other.peak_w * (1 + 1e-9)


def test_a_second_of_more_than_the_mean_burst_is_read_as_it_was() -> None:
    """Where prompts of some seconds draw more than those of others, the highest reading is that of the hardest."""
    meters = pool(1, 1.0, 4)
    meters[0].above_j[:] = [200.0, 200.0, 200.0, 600.0, 0.0]
    use = power_use(Flat(), [meters])
    assert use is not None
    assert use.peak_w == pytest.approx(100.0 + 600.0)


def test_without_prefill_a_reading_is_the_second() -> None:
    """Where nothing but decodes ran, every reading is the mean of its second."""
    meters = pool(3, 0.0, 4)
    meters[0].above_j[:] = [300.0, 300.0, 600.0, 300.0, 0.0]
    use = power_use(Flat(), [meters])
    assert use is not None
    assert use.p50_w == pytest.approx(600.0)
    assert use.peak_w == pytest.approx(900.0)
    assert np.isfinite(use.p99_w)


@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    prefill_s=st.floats(0.0, 1.0),
    seconds=st.integers(1, 9),
)
def test_what_is_read_later_is_what_is_read_at_once(counts: list[int], prefill_s: float, seconds: int) -> None:
    """A copy of a process sends what is not read yet: read there, it is equal, field by field, and equally hashed."""
    pools: list[tuple[Watts, list[list[Meter]], int]] = [
        (Flat(), [pool(count, prefill_s, seconds)], count) for count in counts
    ]
    here, sent = together(pools), pickle.loads(pickle.dumps(together(pools)))
    assert here is not None
    assert sent == here == PowerUse(**asdict(here))
    assert PowerUse(**asdict(here)) == sent
    assert hash(sent) == hash(here) == hash(pickle.loads(pickle.dumps(here)))
    assert sent != replace(PowerUse(**asdict(here)), p99_w=-1.0)
    with pytest.raises(AttributeError, match="p98_w"):
        sent.p98_w  # noqa: B018  there is no such reading
