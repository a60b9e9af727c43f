"""Workloads as statistics: fitted from a trace, or written down, and drawn from again."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from workloads.arrivals import ArrivalProfile, Floats, diurnal, fit_profile, gamma, poisson, positive_cv, profiled
from workloads.errors import WorkloadError
from workloads.lengths import Independent, JointQuantiles, TwoPopulations, fit_lengths
from workloads.traces import Trace, plain_trace

Process = Literal["poisson", "gamma", "diurnal", "profile"]

MOST_REQUESTS = 2e7
"""Requests in one trace: serving them takes some minutes and gigabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadModel:
    """What is known of a workload without its requests.

    Attributes:
        name: built-in id, or what the user calls it.
        source: where the numbers come from, with licence and changes where they are the work of others.
        rate_req_per_s: mean arrival rate that was observed or is assumed, > 0.
        gap_cv: coefficient of variation of the gaps between arrivals; 1 is Poisson.
        lengths: joint distribution of prompt and output tokens.
        profile: how the rate moves with time; None where nothing was observed.
    """

    name: str
    source: str
    rate_req_per_s: float
    gap_cv: float
    lengths: JointQuantiles | Independent | TwoPopulations
    profile: ArrivalProfile | None


def fit_workload(trace: Trace, *, name: str | None = None, source: str = "") -> WorkloadModel:
    """The statistics of a trace from which traces like it can be drawn.

    Args:
        trace: at least one request.
        name: id of the result; that of the trace where None.
        source: where the trace comes from.
    """
    return WorkloadModel(
        name=name or trace.name,
        source=source or trace.name,
        rate_req_per_s=round(trace.rate_req_per_s, 4),
        gap_cv=positive_cv(trace.arrival_s) if trace.timed else 1.0,
        lengths=fit_lengths(trace),
        profile=fit_profile(trace) if trace.timed else None,
    )


def synthesize(
    model: WorkloadModel,
    *,
    rate_req_per_s: float,
    duration_s: float,
    rng: np.random.Generator,
    process: Process = "poisson",
    cv: float | None = None,
    peak_to_mean_ratio: float = 1.0,
    period_s: float = 86400.0,
) -> Trace:
    """A trace drawn from a workload.

    Lengths and arrivals come from separate streams of ``rng``: with the same seed, the i-th request has the same
    lengths at every rate and under every process, so that what differs between two runs is what was changed.

    Args:
        model: the workload.
        rate_req_per_s: mean arrival rate, > 0.
        duration_s: arrival window, > 0.
        rng: source of randomness; the same state gives the same trace.
        process: how arrivals are spaced; ``profile`` follows what was observed, bursts included.
        cv: coefficient of variation of the gaps under ``gamma``; the observed one where None.
        peak_to_mean_ratio: swing of the rate under ``diurnal``, 1..2.
        period_s: from peak to peak under ``diurnal``.

    Raises:
        WorkloadError: a number is out of range, the process needs what is not there, or no request came.
    """
    arrival_rng, length_rng = rng.spawn(2)
    window = (rate_req_per_s, duration_s, arrival_rng)
    arrival_s = _arrivals(model, process, window, model.gap_cv if cv is None else cv, peak_to_mean_ratio, period_s)
    if not len(arrival_s):
        raise WorkloadError(
            f"{model.name}: no request came in {duration_s:g} s, expected a longer window or a higher rate"
        )
    prompt_tokens, output_tokens = model.lengths.sample(len(arrival_s), length_rng)
    return plain_trace(model.name, arrival_s, prompt_tokens, output_tokens, duration_s=duration_s)


def _arrivals(
    model: WorkloadModel,
    process: Process,
    window: tuple[float, float, np.random.Generator],
    cv: float,
    peak_to_mean_ratio: float,
    period_s: float,
) -> Floats:
    match process:
        case "poisson":
            return poisson(*window)
        case "gamma":
            return gamma(*window, cv=cv)
        case "diurnal":
            return diurnal(*window, peak_to_mean_ratio=peak_to_mean_ratio, period_s=period_s)
        case "profile" if model.profile is not None:
            return profiled(*window, profile=model.profile)
        case "profile":
            raise WorkloadError(
                f"{model.name}: process 'profile' needs observed arrivals, found none; expected another"
            )
    raise WorkloadError(f"process '{process}' is unknown, expected one of {', '.join(get_args(Process))}")


def expect_drawable(requests: float, asked: str, fewer: str) -> None:
    """See that the requests of one trace fit into memory and can be served in minutes.

    Args:
        requests: expected.
        asked: the rate and the window, in words.
        fewer: the keys that lead to fewer requests, in words.

    Raises:
        WorkloadError: there are more than ``MOST_REQUESTS``.
    """
    if requests > MOST_REQUESTS:
        raise WorkloadError(
            f"found {asked}, which are {requests:,.3g} requests in one trace; expected at most {MOST_REQUESTS:g}: "
            f"{fewer}"
        )
