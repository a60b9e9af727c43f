"""The workload of a scenario: traces to simulate, demand to plan for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np

from planner.errors import BadInput
from planner.executor.here import Threads
from planner.resolve.cell_rules import undivided
from planner.resolve.drawing import FEWER, INDEPENDENT, Draw, Drawing
from planner.resolve.drawn_demand import at_rate, longest
from planner.resolve.kept import kept
from planner.resolve.prefix_cache import at_best, demand_from, served_from
from planner.resolve.questions import unknown_traces
from planner.resolve.stated_lengths import end_of, end_words, within
from planner.resolve.tiers import empty_tiers, label_problems, tier_words, wanted_labels
from planner.resolve.workload_words import LEAST_REQ_PER_S, drawn_words, how_grown, read_words, resampled, stretched
from planner.scenario import Scenario
from planner.scenario.sections import Lengths, LongLengths, ValidationSection
from workloads.arrivals import resample_blocks
from workloads.builtin import builtin_names, load_builtin
from workloads.counts import plural
from workloads.demand import Demand, demand
from workloads.growth import Growth, grown
from workloads.lengths import Independent, TwoPopulations, lognormal
from workloads.readers import read_trace
from workloads.synthesis import WorkloadModel, expect_drawable, fit_workload
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

LEAST_CLASS_REQ_PER_S = 1e-3
"""A lower rate of a class is planned for as if it were this, as ``LEAST_REQ_PER_S`` of all."""

SHORTEST_REPLAY_S = 1.0
"""A shorter replay is over before an answer is: every cluster looks idle to it."""

LONGER = 4.0
"""Times the window over which a plan that holds is looked at again: random queues grow with the root of the time."""

GROWN_SEEDS = 2
"""Thickenings of a trace behind every verdict: each is as long as the trace, and they differ by what was added."""

SMOOTH_RATIO = 20.0
"""Independent growth beyond which busy minutes have averaged out, so that a part of a trace's time tells the whole."""

SMOOTH_S, SMOOTH_REQUESTS = 300.0, 100_000
"""Arrival window of a seed then."""


MOST_IN_CELLS = 4e8
"""Requests of a fleet whose cells are drawn one by one: serving them takes a quarter of an hour."""

MOST_LOOKED_AT = 400_000
"""Requests of a seed among which its longest is looked for before machines are chosen."""


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
        requests: expected in the trace of one seed at scale 1.
        draw_cell: (cells, cell) -> what draws the requests of one cell, where those of the others need not be known.
        divided: it is the share of one cell of a fleet, which is never a trace as it is.
    """

    words: str
    rate_req_per_s: float
    demand: Demand
    seeds: tuple[int, ...]
    draw: Draw
    growth: Growth | None
    growth_ratio: float
    whole: bool
    source: str
    doubts: tuple[str, ...]
    requests: float = 0.0
    draw_cell: Callable[[int, int], Draw] | None = None
    divided: bool = False

    def specimen(self) -> Trace:
        """The first trace, or so much of one that is drawn as tells it from others."""
        parts = ceil(self.requests / MOST_LOOKED_AT) if self.draw_cell else 1
        drawn = self.draw_cell(parts, 0) if self.draw_cell and parts > 1 else self.draw
        return drawn(self.seeds[0], 1.0, 1.0)

    def exact_at(self, rate_scale: float) -> bool:
        """Whether the one given trace is replayed as it is, so that its percentiles have no sampling error."""
        return self.whole and len(self.seeds) == 1 and not self.grown_at(rate_scale)

    def grown_at(self, rate_scale: float) -> bool:
        """Whether a replayed trace is thickened or thinned to this rate, or shared among cells."""
        if self.growth is not None and self.divided and len(self.seeds) == 1:
            return True
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


def asked(scenario: Scenario, context_tokens: int | None = None) -> Asked:
    """The workload of a scenario; lengths that it states end at a context.

    Raises:
        BadInput: the trace is neither a built-in id nor a file, or its rows all arrive at once and no rate is given.
        WorkloadError: the trace file is broken; names the lines.
    """
    found = _asked(scenario, context_tokens)
    if empty := empty_tiers(scenario, found.demand):
        raise BadInput(*empty)
    section, by_cell = scenario.prefix_cache, found.draw_cell

    def keeping(draw: Draw) -> Draw:
        return lambda seed, factor, times: served_from(section, draw(seed, factor, times))

    return replace(
        found, words=f"{found.words}{tier_words(scenario)}", draw=kept(keeping(found.draw)),
        demand=demand_from(section, found.demand),
        draw_cell=by_cell and (lambda cells, cell: keeping(by_cell(cells, cell))),
    )  # fmt: skip


def _asked(scenario: Scenario, context_tokens: int | None) -> Asked:
    """The workload as it is drawn or replayed, whether or not every class has requests."""
    workload = scenario.workload
    replayed = workload.arrivals.process in (None, "replay", "profile")
    drawn = workload.trace is None or workload.trace in builtin_names() or not replayed
    if drawn and (wrong := label_problems(scenario, None)):
        raise BadInput(*wrong)
    if workload.columns.named and (workload.trace is None or workload.trace in builtin_names()):
        raise BadInput(
            f"workload.columns: found {', '.join(workload.columns.named.values())}, but no trace file is read; "
            "expected workload.trace to name one"
        )
    if workload.trace is None:
        return _synthetic(scenario, _from_lengths(scenario), None, context_tokens)
    if workload.trace in builtin_names():
        return _synthetic(scenario, load_builtin(workload.trace), None)
    path = Path(workload.trace)
    if missing := [*unknown_traces(workload.trace)]:
        raise BadInput(*missing)
    trace = read_trace(
        path, format=workload.format, skip_bad_rows=workload.skip_bad_rows, time_unit=workload.time_unit,
        label_column=wanted_labels(scenario), columns=workload.columns.named, bytes_per_token=workload.bytes_per_token,
        answer_s_per_token=workload.answer_s_per_token,
    )  # fmt: skip
    if not trace.timed:
        return _synthetic(scenario, fit_workload(trace, source=untimed_source(scenario, trace)), trace)
    if not drawn and (wrong := label_problems(scenario, trace)):
        raise BadInput(*wrong)
    if len(trace) > 1 and not trace.arrival_s[-1] > 0 and (replayed or workload.rate_req_per_s is None):
        raise BadInput(
            f"workload.trace: all {len(trace):,} rows of {trace.name} arrive at the same time, which gives no rate; "
            "expected the time of each, or workload.arrivals.process poisson and workload.rate_req_per_s"
        )
    if replayed:
        return _replay(scenario, trace)
    return _synthetic(scenario, fit_workload(trace), trace)


def untimed_source(scenario: Scenario, trace: Trace) -> str:
    """Where the lengths of a file without arrival times come from, in words.

    Raises:
        BadInput: no rate is given, or a process that needs arrivals of the file's own.
    """
    workload, process = scenario.workload, scenario.workload.arrivals.process
    if wrong := label_problems(scenario, None):
        raise BadInput(*wrong)
    if workload.rate_req_per_s is None:
        raise BadInput(
            f"workload.rate_req_per_s: missing; expected requests/s, for {trace.name} has conversations without "
            "arrival times"
        )
    if process in ("replay", "profile") or (process == "gamma" and workload.arrivals.cv is None):
        raise BadInput(
            f"workload.arrivals.process: found {process}; expected poisson, diurnal, or gamma with cv, for "
            f"{trace.name} has no arrival times"
        )
    return f"lengths of the conversations in {trace.name}"


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


def _synthetic(
    scenario: Scenario, model: WorkloadModel, trace: Trace | None, context_tokens: int | None = None
) -> Asked:
    """Arrivals drawn from a process, lengths from a distribution."""
    workload, validation = scenario.workload, scenario.validation
    wanted = (workload.rate_req_per_s or model.rate_req_per_s) * workload.rate_scale
    rate = max(wanted, LEAST_REQ_PER_S)
    process = workload.arrivals.process or "poisson"
    if process == "replay":
        raise BadInput(f"workload.arrivals.process: replay needs a trace file, not the built-in '{workload.trace}'")
    drawing = Drawing(scenario=scenario, model=model, process=process, rate_req_per_s=rate)
    first, window_s = validation.first_seed, drawing.window_s(1.0)
    divisible = process in INDEPENDENT and scenario.policy.cells != 1 and not undivided(scenario)
    if not divisible or rate * window_s > MOST_IN_CELLS:
        expect_drawable(rate * window_s, f"{rate:g} req/s over {window_s:g} s", FEWER)
    seeds = tuple(range(first, first + (validation.seeds or SYNTHETIC_SEEDS)))
    stated = [(drawing.over(DEMAND_SEED, 1.0, DEMAND_REQUESTS / rate, of), share) for of, share in _populations(model)]
    kinds = [kind for kind, _ in stated]
    end = end_of(kinds, context_tokens)
    sample = [(within(kind, end), share) for kind, share in stated]
    few_s, draw = min(window_s, MOST_LOOKED_AT / rate), kept(drawing.whole(end))
    # what is looked at for the longest request is what the simulator serves, unless it is too much
    some: Draw = draw if few_s == window_s else lambda seed, *_: within(drawing.over(seed, 1.0, few_s), end)
    ends = Threads().map(lambda seed: (longest(some(seed, 1.0, 1.0)), 0.0), seeds)
    return Asked(
        words=f"{process} arrivals at {rate:g} req/s with the lengths of {model.name}{stretched(scenario)}",
        rate_req_per_s=rate,
        demand=_carried(at_rate([*sample, *ends], rate)),
        seeds=seeds,
        draw=draw,
        growth=None,
        growth_ratio=1.0,
        whole=False,
        source=model.source,
        doubts=(*drawn_words(trace, wanted, model, process), *end_words(kinds, [t for t, _ in ends], end)),
        requests=rate * window_s,
        draw_cell=partial(drawing.cell, end) if process in INDEPENDENT else None,
    )


def _carried(found: Demand) -> Demand:
    """The demand with rates so low that no machine would carry them raised to what one carries in passing."""
    classes = (replace(c, rate_req_per_s=max(c.rate_req_per_s, LEAST_CLASS_REQ_PER_S)) for c in found.classes)
    return replace(found, classes=tuple(classes))


def _populations(model: WorkloadModel) -> list[tuple[WorkloadModel, float]]:
    """Each kind of request by itself with its share, which few draws of a rare kind would get wrong."""
    lengths = model.lengths
    if not isinstance(lengths, TwoPopulations):
        return [(model, 1.0)]
    kinds = ((lengths.first, 1 - lengths.second_frac), (lengths.second, lengths.second_frac))
    return [(replace(model, lengths=kind), share) for kind, share in kinds if share > 0]


def _replay(scenario: Scenario, trace: Trace) -> Asked:
    """A trace as it is (seed 1) and traces made of its blocks (further seeds); at another rate, thickenings of it."""
    workload, validation = scenario.workload, scenario.validation
    scaled_lengths = scale_lengths(trace, workload.prompt_scale, workload.output_scale)
    base = classify(scaled_lengths, scenario.classes())
    to_rate = (workload.rate_req_per_s or base.rate_req_per_s) / base.rate_req_per_s * workload.rate_scale
    wanted = len(base) if validation.requests is None else ceil(validation.requests / to_rate)
    whole = wanted >= len(base)
    base = base if whole else _head(base, wanted)
    factor = 1.0 if abs(to_rate - 1) <= SAME_RATE else to_rate
    first, growth = validation.first_seed, workload.growth
    _expect_replayable(base, factor, growth)
    seeds = tuple(range(first, first + (validation.seeds or (GROWN_SEEDS if factor != 1 else 1))))

    def draw(seed: int, scale: float, times: float) -> Trace:
        times_rate = factor * scale
        if abs(times_rate - 1) > SAME_RATE:
            window_s = (0.0, _window_s(base, times_rate, growth) * times)
            return grown(base, times_rate, seed, growth=growth, window_s=window_s)
        if seed != first:
            block_s = min(BLOCK_S, base.duration_s)
            return resample_blocks(base, np.random.default_rng(seed), block_s, duration_s=base.duration_s * times)
        return base if times == 1 else grown(base, 1.0, seed, window_s=(0.0, base.duration_s * times))

    return Asked(
        words=f"replay of {'all' if whole else 'the first'} {plural(len(base), 'request')} of "
        f"{Path(trace.name).name}{how_grown(factor, growth)}"
        f"{stretched(scenario)}{resampled(seeds, factor)}",
        rate_req_per_s=base.rate_req_per_s * factor,
        demand=_carried(demand(replace(at_best(scenario.prefix_cache, base), duration_s=base.duration_s / factor))),
        seeds=seeds,
        draw=draw,
        growth=growth,
        growth_ratio=factor,
        whole=whole,
        source=f"trace file {Path(trace.name).name}",
        doubts=read_words(trace, cached=scenario.prefix_cache.gib is not None),
        requests=len(base) * factor * _window_s(base, factor, growth) / base.duration_s,
    )


def _expect_replayable(base: Trace, factor: float, growth: Growth) -> None:
    """See that a replay at a factor on its rate is long enough to say something, and short enough to be served."""
    if len(base) > 1 and base.duration_s < SHORTEST_REPLAY_S:
        raise BadInput(
            f"workload.trace: a replay of {base.duration_s:.3g} s; expected at least {SHORTEST_REPLAY_S:g} s, for less "
            "says nothing of a steady load: is workload.time_unit right?"
        )
    window_s = _window_s(base, factor, growth)
    requests = len(base) * factor * window_s / base.duration_s
    expect_drawable(requests, f"{base.rate_req_per_s * factor:g} req/s over {window_s:g} s", FEWER)


def _window_s(base: Trace, factor: float, growth: Growth) -> float:
    """The arrival window: the whole trace, or of independent growth a part where busy minutes have averaged out."""
    if growth == "shared" or factor < SMOOTH_RATIO:
        return base.duration_s
    return min(base.duration_s, max(SMOOTH_S, SMOOTH_REQUESTS / (base.rate_req_per_s * factor)))


def _head(trace: Trace, requests: int) -> Trace:
    """The first ``requests`` of a trace."""
    return replace(
        trace,
        arrival_s=trace.arrival_s[:requests],
        prompt_tokens=trace.prompt_tokens[:requests],
        output_tokens=trace.output_tokens[:requests],
        class_index=trace.class_index[:requests],
        prefixes=trace.prefixes and trace.prefixes.picked(np.arange(requests)),
        duration_s=float(trace.arrival_s[requests]) or trace.duration_s,
    )
