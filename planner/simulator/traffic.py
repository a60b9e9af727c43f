"""What a candidate is judged on: the traces it serves, and how what was seen is weighed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workloads.traces import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The traces that a candidate is judged on.

    Attributes:
        draw: seed -> trace.
        seeds: consecutive, at least one. As many again, twice, are simulated where an objective seems to hold but
            its interval still straddles the limit.
        workload: the traces in words.
        exact: the only trace is the workload itself, so that its percentiles have no sampling error.
        aligned: the seeds are thickenings of one trace, so that only chance tells one from another at any time.
        longer: seed -> a trace of the same workload over a longer time. Where all is well, the first seed is served
            once more so: a queue that grows slowly hides in a short window.
        lengthen: (seed, times) -> a trace of the same workload over so many times the window. Where objectives hold in
            a window shorter than ``SEVERAL`` times what 99 of 100 requests take, it is asked for one that is not.
    """

    draw: Callable[[int], Trace]
    seeds: Sequence[int]
    workload: str
    exact: bool
    aligned: bool = False
    longer: Callable[[int], Trace] | None = None
    lengthen: Callable[[int, float], Trace] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How what was seen is weighed.

    Attributes:
        warmup_frac: share of the arrival time before measuring begins.
        cooldown_frac: share of the arrival time after measuring ends.
        confidence_frac: of the intervals.
        early: stop after the first seed if that alone is a clear miss.
        stepwise: the reference serves, step by step, instead of the core.
        brief: enough to go on looking, not to answer: the first seed where that tells, and no longer look.
        patient: what is too close to call is served with more seeds while these are few requests, wherever in its
            interval the limit lies.
    """

    warmup_frac: float
    cooldown_frac: float
    confidence_frac: float
    early: bool = False
    stepwise: bool = False
    brief: bool = False
    patient: bool = False
