"""Load that moves: rates per class and epoch, from a weekly template or from the bins of a trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.requests import RequestClass
from workloads.traces import Trace

Floats = NDArray[np.float64]

HOUR_S = 3600.0
DAY_HOURS = 24
WEEK_HOURS = 168

_SHAPES: Mapping[str, tuple[float, float, float]] = {
    "conversation": (1.7, 3.3, 0.75),
    "coding": (2.8, 34.6, 0.3),
}
"""Name -> highest over mean rate, highest over lowest rate, level of a weekend day against a working day.

The first two are published of a week of Azure's services (DynamoLLM, second-hand); the curve between them, and the
weekend, are ours: derived, not observed.
"""

SHAPES = tuple(_SHAPES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Load:
    """What is asked, class by class and epoch by epoch.

    Attributes:
        epoch_s: length of an epoch, > 0.
        mean_req_per_s: class name -> (epochs,) mean rate in each epoch.
        peak_req_per_s: class name -> (epochs,) rate in the busiest part of each epoch, >= the mean.
    """

    epoch_s: float
    mean_req_per_s: Mapping[str, Floats]
    peak_req_per_s: Mapping[str, Floats]

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return len(next(iter(self.mean_req_per_s.values())))

    @property
    def duration_s(self) -> float:
        """What all epochs cover together."""
        return self.epochs * self.epoch_s

    def peaks_at(self, epoch: int) -> dict[str, float]:
        """Requests per second of each class at an epoch's peak."""
        return {name: float(rates[epoch]) for name, rates in self.peak_req_per_s.items()}


def template(shape: str) -> Floats:
    """A week of hours as factors on the mean rate, Monday first; the mean is 1.

    hour(h, day) = low + (level(day) · bump(h))^k · (high - low), bump a raised cosine about 14:00 local time, k chosen
    so that the mean is 1.

    Raises:
        WorkloadError: there is no shape of that name.
    """
    if shape not in _SHAPES:
        raise WorkloadError(f"load: there is no shape '{shape}', expected one of {', '.join(SHAPES)}")
    peak_to_mean, peak_to_valley, weekend = _SHAPES[shape]
    hours = np.arange(WEEK_HOURS)
    level = np.where(hours // DAY_HOURS < 5, 1.0, weekend)
    bump = level * (1 + np.cos((hours % DAY_HOURS - 14) * 2 * np.pi / DAY_HOURS)) / 2
    low, high = peak_to_mean / peak_to_valley, peak_to_mean
    least, most = 0.05, 20.0
    for _ in range(60):  # the mean falls as the exponent grows
        k = (least + most) / 2
        mean = float(np.mean(low + (high - low) * bump**k))
        least, most = (k, most) if mean > 1 else (least, k)
    return np.asarray(low + (high - low) * bump**k, float)


def from_factors(mean_req_per_s: Mapping[str, float], factors: Sequence[float] | Floats, *, epoch_s: float) -> Load:
    """Load whose classes all follow the same hours.

    Args:
        mean_req_per_s: class name -> rate that a factor of 1 stands for.
        factors: one per hour, as many as there are hours, >= 0.
        epoch_s: length of an epoch, such that whole epochs fill the hours.

    Raises:
        WorkloadError: there is no factor, one is negative or not a number, or epochs do not fill the hours.
    """
    hours = np.asarray(factors, float)
    if not len(hours) or not np.isfinite(hours).all() or (hours < 0).any():
        raise WorkloadError(
            f"load: found {len(hours)} hourly factors from {hours.min(initial=0):g} to {hours.max(initial=0):g}, "
            "expected at least one, and numbers >= 0"
        )
    mean, peak = _regrouped(hours, HOUR_S, epoch_s)
    return Load(
        epoch_s=epoch_s,
        mean_req_per_s={name: rate * mean for name, rate in mean_req_per_s.items()},
        peak_req_per_s={name: rate * peak for name, rate in mean_req_per_s.items()},
    )


def binned(trace: Trace, *, epoch_s: float, epochs: int | None = None, fine_s: float = 300.0) -> Load:
    """The load of a trace; the busiest part of an epoch is its busiest ``fine_s``.

    Args:
        trace: requests with their classes.
        epoch_s: length of an epoch.
        epochs: how many; None: as many as the trace needs.
        fine_s: resolution at which the peak inside an epoch is looked for.

    Raises:
        WorkloadError: the epochs do not cover the trace.
    """
    needed = ceil(trace.duration_s / epoch_s - 1e-9)
    count = needed if epochs is None else epochs
    if count < needed:
        raise WorkloadError(
            f"load: {count} epochs of {epoch_s:g} s cover {count * epoch_s:g} s, {trace.name} lasts "
            f"{trace.duration_s:g} s; expected at least {needed} epochs"
        )
    parts = max(1, round(epoch_s / min(fine_s, epoch_s)))
    width_s = epoch_s / parts
    edges = np.arange(count * parts + 1) * width_s
    mean, peak = {}, {}
    for index, request_class in enumerate(trace.classes):
        arrivals = np.histogram(trace.arrival_s[trace.class_index == index], edges)[0] / width_s
        table = arrivals.reshape(count, parts)
        mean[request_class.name], peak[request_class.name] = table.mean(axis=1), table.max(axis=1)
    return Load(epoch_s=epoch_s, mean_req_per_s=mean, peak_req_per_s=peak)


def hedged(load: Load, *, forecast_sigma_frac: float, confidence_frac: float) -> Load:
    """The load to provide for when forecasts err: every peak raised to the quantile asked for.

    peak' = peak · (1 + max(0, z(confidence)) · sigma)

    Args:
        load: the forecast.
        forecast_sigma_frac: standard deviation of the forecast's relative error, >= 0.
        confidence_frac: share of epochs that the raised peak covers, in (0, 1).
    """
    factor = 1 + max(0.0, NormalDist().inv_cdf(confidence_frac)) * forecast_sigma_frac
    raised = {name: values * factor for name, values in load.peak_req_per_s.items()}
    return Load(epoch_s=load.epoch_s, mean_req_per_s=load.mean_req_per_s, peak_req_per_s=raised)


def nine_classes() -> tuple[RequestClass, ...]:
    """Nine classes, prompt × output in short, medium and long, as DynamoLLM is remembered to have them.

    Prompts up to 255, 1023 and beyond; outputs up to 99, 349 and beyond. Recalled, not checked against the paper.
    """
    prompts = (("S", 0, 255), ("M", 256, 1023), ("L", 1024, None))
    outputs = (("S", 0, 99), ("M", 100, 349), ("L", 350, None))
    return tuple(
        RequestClass(
            name=p + o, prompt_min_tokens=p_min, prompt_max_tokens=p_max, output_min_tokens=o_min,
            output_max_tokens=o_max,
        )
        for p, p_min, p_max in prompts
        for o, o_min, o_max in outputs
    )  # fmt: skip


def _regrouped(values: Floats, width_s: float, epoch_s: float) -> tuple[Floats, Floats]:
    """Mean and peak per epoch of values that each hold for ``width_s``.

    An epoch that lies across several values has their mean by time and the largest of them.
    """
    whole_s = len(values) * width_s
    count = round(whole_s / epoch_s)
    if not count or abs(count * epoch_s - whole_s) > 1e-6 * whole_s:
        raise WorkloadError(
            f"load: found epochs of {epoch_s:g} s, which do not fill {len(values)} hours; expected a length that "
            f"divides {whole_s:g} s, nearest {whole_s / max(1, count):g}"
        )
    edges = np.arange(count + 1) * (len(values) / count)
    total = np.interp(edges, np.arange(len(values) + 1), np.concatenate([[0.0], np.cumsum(values)]))
    first, last = np.floor(edges[:-1] + 1e-9).astype(int), np.ceil(edges[1:] - 1e-9).astype(int)
    mean = np.diff(total) * (count / len(values))
    peak = np.array([values[i:j].max() for i, j in zip(first, last, strict=True)])
    return np.minimum(mean, peak), peak
