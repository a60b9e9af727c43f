"""Load that moves: templates, bins of a trace, forecasts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import WorkloadError
from workloads.load import SHAPES, binned, from_factors, hedged, nine_classes, template
from workloads.requests import check_classes
from workloads.traces import plain_trace


@pytest.mark.parametrize(("shape", "to_mean", "to_valley"), [("conversation", 1.7, 3.3), ("coding", 2.8, 34.6)])
def test_a_shape_has_its_published_peaks(shape: str, to_mean: float, to_valley: float) -> None:
    """A week of hours has mean 1, and the peak over mean and over valley that are published of it."""
    week = template(shape)
    assert len(week) == 168
    assert week.mean() == pytest.approx(1.0)
    assert week.max() == pytest.approx(to_mean)
    assert week.max() / week.min() == pytest.approx(to_valley)


def test_an_unknown_shape_is_refused_with_those_there_are() -> None:
    """The refusal names every shape."""
    with pytest.raises(WorkloadError, match=", ".join(SHAPES)):
        template("weekend")


@given(st.lists(st.floats(0, 10), min_size=24, max_size=24), st.sampled_from([900.0, 3600.0, 7200.0, 14400.0]))
def test_no_epoch_length_changes_what_is_asked(factors: list[float], epoch_s: float) -> None:
    """Requests over the day are the same in epochs of any length, and no epoch's peak lies below its mean."""
    load = from_factors({"all": 2.0}, factors, epoch_s=epoch_s)
    assert load.mean_req_per_s["all"].sum() * epoch_s == pytest.approx(2.0 * sum(factors) * 3600)
    assert (load.peak_req_per_s["all"] >= load.mean_req_per_s["all"] - 1e-9).all()
    assert load.duration_s == pytest.approx(86400)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.integers(1, 60))
def test_hours_of_any_number_are_cut_into_epochs_of_any_length(factors: list[float], epochs: int) -> None:
    """Requests are the same in any number of epochs; a peak is a factor of an hour that the epoch touches."""
    whole_s = 3600.0 * len(factors)
    load = from_factors({"all": 2.0}, factors, epoch_s=whole_s / epochs)
    assert load.epochs == epochs
    assert load.mean_req_per_s["all"].sum() * load.epoch_s == pytest.approx(2.0 * sum(factors) * 3600)
    assert (load.peak_req_per_s["all"] >= load.mean_req_per_s["all"] - 1e-9).all()
    assert set(load.peak_req_per_s["all"]) <= {2.0 * factor for factor in factors}
    assert load.peak_req_per_s["all"].max() == 2.0 * max(factors)


@pytest.mark.parametrize("factors", [[], [-1.0] + [1.0] * 23, [float("nan")] * 24])
def test_hours_that_are_no_factors_are_refused(factors: list[float]) -> None:
    """At least one number, none negative; anything else is named and refused."""
    with pytest.raises(WorkloadError, match="expected at least one, and numbers >= 0"):
        from_factors({"all": 1.0}, factors, epoch_s=3600.0)


def test_epochs_that_do_not_fill_the_hours_are_refused() -> None:
    """Whole epochs fill the hours; a length that leaves a part is refused with the nearest that does not."""
    with pytest.raises(WorkloadError, match="do not fill 24 hours; expected a length that divides 86400 s, nearest"):
        from_factors({"all": 1.0}, [1.0] * 24, epoch_s=5000.0)


def test_epochs_cover_the_trace_or_are_refused() -> None:
    """Every request of a trace lies in an epoch; epochs that end before it does are refused, with the number needed."""
    rng = np.random.default_rng(1)
    arrivals = np.sort(rng.uniform(0, 7000, 500))
    trace = plain_trace("t", arrivals, np.full(500, 10), np.full(500, 10), duration_s=7000.0)
    load = binned(trace, epoch_s=1800.0)
    assert load.epochs == 4
    assert load.mean_req_per_s["all"].sum() * 1800 == pytest.approx(500)
    assert (load.peak_req_per_s["all"] >= load.mean_req_per_s["all"]).all()
    with pytest.raises(WorkloadError, match="expected at least 4 epochs"):
        binned(trace, epoch_s=1800.0, epochs=3)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 0.99))
def test_a_worse_forecast_never_asks_for_less(one: float, other: float, confidence: float) -> None:
    """What is provided for grows with the forecast's error, and is the forecast where there is none."""
    load = from_factors({"all": 1.0}, template("coding"), epoch_s=3600.0)
    small, large = (
        hedged(load, forecast_sigma_frac=sigma, confidence_frac=confidence).peak_req_per_s["all"]
        for sigma in sorted((one, other))
    )
    assert (small <= large + 1e-12).all()
    same = hedged(load, forecast_sigma_frac=0.0, confidence_frac=confidence)
    assert (same.peak_req_per_s["all"] == load.peak_req_per_s["all"]).all()


def test_nine_classes_hold_every_request_once() -> None:
    """The nine classes do not overlap, and between them hold every length."""
    classes = nine_classes()
    check_classes(classes)
    assert len(classes) == 9
    prompts, outputs = np.meshgrid(np.array([1, 255, 256, 1023, 1024, 10**6]), np.array([1, 99, 100, 349, 350, 10**5]))
    held = sum(c.holds(prompts.ravel(), outputs.ravel()).astype(int) for c in classes)
    assert (held == 1).all()
