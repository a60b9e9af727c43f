"""The workload of a scenario: traces to simulate, demand to plan for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from planner.errors import BadInput
from planner.scenario import Scenario
from planner.scenario.reading import is_there
from planner.scenario.sections import Lengths, LongLengths, ValidationSection
from workloads.arrivals import resample_blocks
from workloads.builtin import builtin_names, load_builtin
from workloads.demand import Demand, demand
from workloads.growth import Growth, grown
from workloads.lengths import Independent, TwoPopulations, lognormal
from workloads.readers import read_trace
from workloads.synthesis import WorkloadModel, fit_workload, synthesize
from workloads.traces import Trace, classify, scale_lengths

DEMAND_REQUESTS = 4000
"""Requests drawn to describe the demand of a synthetic workload (about 1 % standard error of the mean lengths)."""

DEMAND_SEED = 0
"""Apart from every validation seed, so that a plan is not fitted to the traces that judge it."""

BLOCK_S = 60.0
"""Length of the blocks a resampled replay is made of: bursts within a minute stay whole."""

SAME_RATE = 1e-9
"""Relative difference of two rates below which a trace is replayed as it is."""

SYNTHETIC_SEEDS = 3

SHORTEST_S, ENOUGH_REQUESTS = 120.0, 1000
"""Arrival window of a seed where none is given: so many seconds, and enough requests in three seeds to bound a P99."""

LEAST_REQ_PER_S, LEAST_CLASS_REQ_PER_S = 0.01, 1e-3
"""Rates below these are planned for as if they were these, and drawn as the first: no instance is loaded by more than
some thousandths either way, and a program with tolerances would let no machine at all carry a request a day."""

SHORTEST_REPLAY_S = 1.0
"""A shorter replay is over before an answer is: every cluster looks idle to it."""

REPEATED_FRAC = 0.005
"""Share of prompt tokens that repeat a prefix from which on it is worth a sentence."""

LONGER = 4.0
"""Times the window over which a plan that holds is looked at again: random queues grow with the root of the time."""

GROWN_SEEDS = 2
"""Thickenings of a trace behind every verdict: each is as long as the trace, and they differ by what was added."""

SMOOTH_RATIO = 20.0
"""Independent growth beyond which busy minutes have averaged out, so that a part of a trace's time tells the whole."""

SMOOTH_S, SMOOTH_REQUESTS = 300.0, 100_000
"""Arrival window of a seed then."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What a scenario asks of a cluster.

    Attributes:
        words: the workload in words, for people.
        rate_req_per_s: mean rate at scale 1.
        demand: per class, at scale 1.
        seeds: the validation seeds.
        draw: (seed, factor on the rate, factor on the window) -> trace.
        growth: whether what is added to a replayed trace shares its busy minutes; None where no trace is replayed.
        growth_ratio: the rate at scale 1 over that of the replayed trace; 1 where none is.
        whole: all of a trace is replayed.
        source: where the workload comes from.
        doubts: what a reader should know about the workload, full sentences.
    """

    words: str
    rate_req_per_s: float
    demand: Demand
    seeds: tuple[int, ...]
    draw: Callable[[int, float, float], Trace]
    growth: Growth | None
    growth_ratio: float
    whole: bool
    source: str
    doubts: tuple[str, ...]

    def exact_at(self, rate_scale: float) -> bool:
        """Whether the one given trace is replayed as it is, so that its percentiles have no sampling error."""
        return self.whole and len(self.seeds) == 1 and not self.grown_at(rate_scale)

    def grown_at(self, rate_scale: float) -> bool:
        """Whether a replayed trace is thickened or thinned to this rate."""
        return self.growth is not None and abs(self.growth_ratio * rate_scale - 1) > SAME_RATE

    def aligned_at(self, rate_scale: float) -> bool:
        """Whether all seeds are thickenings of the same minutes, so that they differ by chance alone at any time."""
        return self.growth == "shared" and self.grown_at(rate_scale)

    def unmeasured_at(self, rate_scale: float, validation: ValidationSection) -> tuple[float, float]:
        """Shares of a window before and after what is measured at this rate.

        None where a whole trace is replayed in its own minutes: the busiest of them may be the first or the last, and
        each is part of the question. What arrives at a cluster that is still empty is the smaller error.
        """
        if self.whole and (self.exact_at(rate_scale) or self.aligned_at(rate_scale)):
            return 0.0, 0.0
        return validation.warmup_frac, validation.cooldown_frac

    def seeds_at(self, rate_scale: float) -> tuple[int, ...]:
        """The validation seeds at this rate: a trace that is grown is never a single one."""
        if len(self.seeds) > 1 or not self.grown_at(rate_scale):
            return self.seeds
        return tuple(range(self.seeds[0], self.seeds[0] + GROWN_SEEDS))

    def drawing(self, rate_scale: float, times: float = 1.0) -> Callable[[int], Trace]:
        """What draws the trace of a seed at this rate, over ``times`` the window."""
        return lambda seed: self.draw(seed, rate_scale, times)

    def longer(self, rate_scale: float) -> Callable[[int], Trace] | None:
        """What draws traces of the same workload over a time ``LONGER`` as long; None where there is no more of it."""
        finite = self.growth is not None and (self.aligned_at(rate_scale) or not self.grown_at(rate_scale))
        return None if finite else self.drawing(rate_scale, LONGER)

    def traces(self, rate_scale: float, seeds: Sequence[int] | None = None) -> list[Trace]:
        """One trace per validation seed, the rate times ``rate_scale``."""
        return [self.draw(seed, rate_scale, 1.0) for seed in (self.seeds if seeds is None else seeds)]


def asked(scenario: Scenario) -> Asked:
    """The workload of a scenario.

    Raises:
        BadInput: the trace is neither a built-in id nor a file, or its rows all arrive at once and no rate is given.
        WorkloadError: the trace file is broken; names the lines.
    """
    workload = scenario.workload
    if workload.trace is None:
        return _synthetic(scenario, _from_lengths(scenario), None)
    if workload.trace in builtin_names():
        return _synthetic(scenario, load_builtin(workload.trace), None)
    path = Path(workload.trace)
    if not is_there(path):
        names = ", ".join(builtin_names())
        raise BadInput(f"workload.trace: no file '{workload.trace}', and no built-in workload of that name ({names})")
    trace = read_trace(path, format=workload.format, skip_bad_rows=workload.skip_bad_rows, time_unit=workload.time_unit)
    replayed = workload.arrivals.process in (None, "replay", "profile")
    if len(trace) > 1 and not trace.arrival_s[-1] > 0 and (replayed or workload.rate_req_per_s is None):
        raise BadInput(
            f"workload.trace: all {len(trace):,} rows of {trace.name} arrive at the same time, which gives no rate; "
            "expected the time of each, or workload.arrivals.process poisson and workload.rate_req_per_s"
        )
    if replayed:
        return _replay(scenario, trace)
    return _synthetic(scenario, fit_workload(trace), trace)


def _from_lengths(scenario: Scenario) -> WorkloadModel:
    """A workload described by length distributions alone."""
    workload = scenario.workload
    lengths = workload.lengths
    if lengths is None or workload.rate_req_per_s is None:
        raise BadInput("workload: needs a trace, or lengths and rate_req_per_s")
    return WorkloadModel(
        name=scenario.name,
        source="lengths given in the scenario",
        rate_req_per_s=workload.rate_req_per_s,
        gap_cv=1.0,
        lengths=_usual_and_long(lengths),
        profile=None,
    )


def _usual_and_long(lengths: Lengths) -> Independent | TwoPopulations:
    """Distributions of one population, or of two."""

    def independent(part: Lengths | LongLengths) -> Independent:
        return Independent(
            prompt=lognormal(median_tokens=part.prompt.median_tokens, p95_tokens=part.prompt.p95_tokens),
            output=lognormal(median_tokens=part.output.median_tokens, p95_tokens=part.output.p95_tokens),
        )

    if lengths.long is None:
        return independent(lengths)
    return TwoPopulations(
        first=independent(lengths), second=independent(lengths.long), second_frac=lengths.long.share_frac
    )


def _synthetic(scenario: Scenario, model: WorkloadModel, trace: Trace | None) -> Asked:
    """Arrivals drawn from a process, lengths from a distribution."""
    workload, validation = scenario.workload, scenario.validation
    wanted = (workload.rate_req_per_s or model.rate_req_per_s) * workload.rate_scale
    rate = max(wanted, LEAST_REQ_PER_S)
    process = workload.arrivals.process or "poisson"
    if process == "replay":
        raise BadInput(f"workload.arrivals.process: replay needs a trace file, not the built-in '{workload.trace}'")

    def draw(seed: int, factor: float, times: float) -> Trace:
        window_s = workload.duration_s or max(SHORTEST_S, ENOUGH_REQUESTS / (rate * factor))
        if validation.requests is not None:
            window_s = min(window_s, validation.requests / (rate * factor))
        return drawn_for(seed, factor, window_s * times)

    def drawn_for(seed: int, factor: float, window_s: float) -> Trace:
        drawn = synthesize(
            model, rate_req_per_s=rate * factor, duration_s=window_s, rng=np.random.default_rng(seed), process=process,
            cv=workload.arrivals.cv, peak_to_mean_ratio=workload.arrivals.peak_to_mean_ratio or 1.0,
            period_s=workload.arrivals.period_s or 86400.0,
        )  # fmt: skip
        return classify(scale_lengths(drawn, workload.prompt_scale, workload.output_scale), scenario.classes())

    first = validation.first_seed
    seeds = tuple(range(first, first + (validation.seeds or SYNTHETIC_SEEDS)))
    sample = [drawn_for(DEMAND_SEED, 1.0, DEMAND_REQUESTS / rate), *(_longest(draw(seed, 1.0, 1.0)) for seed in seeds)]
    return Asked(
        words=f"{process} arrivals at {rate:g} req/s with the lengths of {model.name}{_stretched(scenario)}",
        rate_req_per_s=rate,
        demand=_carried(_at_rate(sample, rate)),
        seeds=seeds,
        draw=draw,
        growth=None,
        growth_ratio=1.0,
        whole=False,
        source=model.source,
        doubts=(
            *_read_words(trace),
            *_rare_words(wanted),
            *_burstiness(model, process),
            *_lengths_apart(model, process),
        ),
    )


def _carried(found: Demand) -> Demand:
    """The demand with rates so low that no machine would carry them raised to what one carries in passing."""
    classes = (replace(c, rate_req_per_s=max(c.rate_req_per_s, LEAST_CLASS_REQ_PER_S)) for c in found.classes)
    return replace(found, classes=tuple(classes))


def _rare_words(rate_req_per_s: float) -> tuple[str, ...]:
    """That more is planned for than was asked; nothing where it is not."""
    if rate_req_per_s >= LEAST_REQ_PER_S:
        return ()
    words = f"{rate_req_per_s:.3g} req/s are planned and simulated as {LEAST_REQ_PER_S:g} req/s"
    return (
        f"{words}: fewer requests need no fewer machines; watts of work and prices per token are those of that rate",
    )


def _read_words(trace: Trace | None) -> tuple[str, ...]:
    """What was inferred or repaired in a trace file, and the prefixes in it that are not served from a cache."""
    if trace is None:
        return ()
    skipped = (f"{trace.skipped_rows} rows of the trace were left out",) if trace.skipped_rows else ()
    share = trace.repeated_frac or 0.0
    reused = f"{share:.0%} of the prompt tokens of {trace.name} repeat a prefix that came before (hash_ids)"
    ideal = f"an ideal prefix cache would leave {1 - share:.0%} of the prefill work"
    words = f"{reused}; this plan computes every prompt in full, where {ideal}"
    return (*trace.notes, *skipped, *((words,) if share >= REPEATED_FRAC else ()))


def _stretched(scenario: Scenario) -> str:
    """What was done to the lengths, in words; empty where nothing was."""
    scales = (("prompts", scenario.workload.prompt_scale), ("outputs", scenario.workload.output_scale))
    return "".join(f", {name} {factor:g} times as long" for name, factor in scales if factor != 1)


def _at_rate(traces: Sequence[Trace], rate: float) -> Demand:
    """The demand of drawn requests, at the rate that was asked for rather than the one that was drawn."""
    prompt, output, index = (
        np.concatenate([getattr(t, column) for t in traces])
        for column in ("prompt_tokens", "output_tokens", "class_index")
    )
    arrival = np.arange(len(prompt)) / rate
    joined = replace(
        traces[0], arrival_s=arrival, prompt_tokens=prompt, output_tokens=output, class_index=index,
        duration_s=len(prompt) / rate,
    )  # fmt: skip
    return demand(joined)


def _longest(trace: Trace) -> Trace:
    """The longest prompt and the longest request of a trace: what its validation will need memory for."""
    rows = np.unique([np.argmax(trace.prompt_tokens), np.argmax(trace.prompt_tokens + trace.output_tokens)])
    return replace(
        trace, arrival_s=trace.arrival_s[rows], prompt_tokens=trace.prompt_tokens[rows],
        output_tokens=trace.output_tokens[rows], class_index=trace.class_index[rows],
    )  # fmt: skip


def _burstiness(model: WorkloadModel, process: str) -> tuple[str, ...]:
    """A plan that passes Poisson arrivals may fail the bursts it was smoothed from."""
    if process == "poisson" and model.gap_cv > 1.5:
        return (
            f"validated on Poisson arrivals (CV 1), while the gaps observed in {model.name} have a CV of "
            f"{model.gap_cv:.3g}: set workload.arrivals.process to profile, or replay the trace, before buying",
        )
    return ()


def _lengths_apart(model: WorkloadModel, process: str) -> tuple[str, ...]:
    """A built-in workload keeps when requests came and how long they were, not which came when."""
    if process == "profile":
        return (
            f"the lengths of {model.name} are drawn apart from the time of arrival, while long prompts come together "
            "in real traces (the peak minute of the 2023 conversation trace: 1.52 times the mean in requests, 1.90 "
            "times in prompt tokens): replay the trace file before buying",
        )
    return ()


def _replay(scenario: Scenario, trace: Trace) -> Asked:
    """A trace as it is (seed 1) and traces made of its blocks (further seeds); at another rate, thickenings of it."""
    workload, validation = scenario.workload, scenario.validation
    scaled_lengths = scale_lengths(trace, workload.prompt_scale, workload.output_scale)
    base = classify(scaled_lengths, scenario.classes())
    to_rate = (workload.rate_req_per_s or base.rate_req_per_s) / base.rate_req_per_s * workload.rate_scale
    wanted = len(base) if validation.requests is None else ceil(validation.requests / to_rate)
    whole = wanted >= len(base)
    base = base if whole else _head(base, wanted)
    if len(base) > 1 and base.duration_s < SHORTEST_REPLAY_S:
        raise BadInput(
            f"workload.trace: found {len(base):,} requests in a replay of {base.duration_s:.3g} s; expected at least "
            f"{SHORTEST_REPLAY_S:g} s, for less says nothing of a steady load: is workload.time_unit right?"
        )
    factor = 1.0 if abs(to_rate - 1) <= SAME_RATE else to_rate
    first, growth = validation.first_seed, workload.growth
    seeds = tuple(range(first, first + (validation.seeds or (GROWN_SEEDS if factor != 1 else 1))))

    def draw(seed: int, scale: float, times: float) -> Trace:
        times_rate = factor * scale
        if abs(times_rate - 1) > SAME_RATE:
            window_s = base.duration_s if growth == "shared" else _smooth_s(base, times_rate)
            return grown(base, times_rate, seed, growth=growth, window_s=(0.0, window_s * times))
        if seed != first:
            block_s, window_s = min(BLOCK_S, base.duration_s), base.duration_s * times
            return resample_blocks(base, np.random.default_rng(seed), block_s, duration_s=window_s)
        return base if times == 1 else grown(base, 1.0, seed, window_s=(0.0, base.duration_s * times))

    part = "all" if whole else "the first"
    return Asked(
        words=f"replay of {part} {len(base)} requests of {Path(trace.name).name}{_how_grown(factor, growth)}"
        f"{_stretched(scenario)}{_resampled(seeds, factor)}",
        rate_req_per_s=base.rate_req_per_s * factor,
        demand=_carried(demand(replace(base, duration_s=base.duration_s / factor))),
        seeds=seeds,
        draw=draw,
        growth=growth,
        growth_ratio=factor,
        whole=whole,
        source=f"trace file {Path(trace.name).name}",
        doubts=_read_words(trace),
    )


def _smooth_s(base: Trace, factor: float) -> float:
    """The arrival window of independent growth: the whole trace, or a part where busy minutes have averaged out."""
    if factor < SMOOTH_RATIO:
        return base.duration_s
    return min(base.duration_s, max(SMOOTH_S, SMOOTH_REQUESTS / (base.rate_req_per_s * factor)))


def _how_grown(factor: float, growth: Growth) -> str:
    """How a trace came to another rate, in words; empty where it is replayed at its own."""
    if factor == 1:
        return ""
    how = "thinned" if factor < 1 else "thickened"
    kept = "its busy minutes kept" if growth == "shared" else "the busy minutes of what was added apart from its own"
    return f" {how} to {factor:g} times its rate ({growth} growth: {kept})"


def _resampled(seeds: Sequence[int], factor: float) -> str:
    """What further seeds of a replay are, in words."""
    return f" and {len(seeds) - 1} resamplings of its minutes" if len(seeds) > 1 and factor == 1 else ""


def _head(trace: Trace, requests: int) -> Trace:
    """The first ``requests`` of a trace."""
    return replace(
        trace,
        arrival_s=trace.arrival_s[:requests],
        prompt_tokens=trace.prompt_tokens[:requests],
        output_tokens=trace.output_tokens[:requests],
        class_index=trace.class_index[:requests],
        duration_s=float(trace.arrival_s[requests]) or trace.duration_s,
    )
