"""What a trace looks like, in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from workloads.traces import Trace

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthStats:
    """One length of all requests, in tokens."""

    p1_tokens: float
    p10_tokens: float
    p50_tokens: float
    p90_tokens: float
    p99_tokens: float
    mean_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStats:
    """A trace in numbers; ``dataclasses.asdict`` gives plain JSON data.

    Attributes:
        name: of the trace.
        requests: how many.
        skipped_rows: rows of the file that were left out.
        timed: whether it says when requests arrive; where not, all rates are 0 and so is the window.
        duration_s: observed window.
        rate_req_per_s: mean arrival rate.
        gap_cv: coefficient of variation of the gaps between arrivals; 1 is Poisson, 0 is a beat.
        peak_minute_ratio: requests in the busiest minute over the mean minute's; an incomplete minute counts.
        prompt: prompt lengths.
        output: output lengths.
        correlation: of prompt and output tokens (Pearson), -1..1; 0 where either is constant.
        prompt_tokens_per_s: mean rate of prompt tokens.
        output_tokens_per_s: mean rate of output tokens.
        class_frac: class name -> share of the requests.
    """

    name: str
    requests: int
    skipped_rows: int
    timed: bool
    duration_s: float
    rate_req_per_s: float
    gap_cv: float
    peak_minute_ratio: float
    prompt: LengthStats
    output: LengthStats
    correlation: float
    prompt_tokens_per_s: float
    output_tokens_per_s: float
    class_frac: Mapping[str, float]


def stats(trace: Trace) -> TraceStats:
    """What a trace of at least one request looks like."""
    minutes = np.bincount((trace.arrival_s / _MINUTE_S).astype(np.int64), minlength=ceil(trace.duration_s / _MINUTE_S))
    varies = np.ptp(trace.prompt_tokens) > 0 and np.ptp(trace.output_tokens) > 0
    per_s = 1 / trace.duration_s if trace.timed else 0.0
    shares = np.bincount(trace.class_index, minlength=len(trace.classes)) / len(trace)
    return TraceStats(
        name=trace.name,
        requests=len(trace),
        skipped_rows=trace.skipped_rows,
        timed=trace.timed,
        duration_s=trace.duration_s if trace.timed else 0.0,
        rate_req_per_s=len(trace) * per_s,
        gap_cv=gap_cv(trace.arrival_s),
        peak_minute_ratio=float(minutes.max() / minutes.mean()),
        prompt=_length_stats(trace.prompt_tokens),
        output=_length_stats(trace.output_tokens),
        correlation=float(np.corrcoef(trace.prompt_tokens, trace.output_tokens)[0, 1]) if varies else 0.0,
        prompt_tokens_per_s=float(trace.prompt_tokens.sum() * per_s),
        output_tokens_per_s=float(trace.output_tokens.sum() * per_s),
        class_frac={c.name: float(share) for c, share in zip(trace.classes, shares, strict=True)},
    )


def gap_cv(arrival_s: NDArray[np.float64]) -> float:
    """Coefficient of variation of the gaps between arrivals, 0 where there are none that differ."""
    gap_s = np.diff(arrival_s)
    return float(gap_s.std() / gap_s.mean()) if len(gap_s) > 1 and gap_s.max() > 0 else 0.0


def _length_stats(tokens: NDArray[np.int64]) -> LengthStats:
    p1, p10, p50, p90, p99 = np.percentile(tokens, (1, 10, 50, 90, 99)).tolist()
    return LengthStats(
        p1_tokens=p1, p10_tokens=p10, p50_tokens=p50, p90_tokens=p90, p99_tokens=p99, mean_tokens=float(tokens.mean())
    )
