"""What a workload is, in words: what was made of a trace, and what a reader should doubt."""

from collections.abc import Sequence

from planner.scenario import Scenario
from workloads.counts import percent, plural
from workloads.growth import Growth
from workloads.synthesis import WorkloadModel
from workloads.traces import Trace

LEAST_REQ_PER_S = 0.01
"""A lower rate is planned for, and drawn, as if it were this: no instance is loaded by more than a thousandth, and a
program with tolerances would let no machine at all carry a request a day."""

REPEATED_FRAC = 0.005
"""Share of prompt tokens that repeat a prefix from which on it is worth a sentence."""


def drawn_words(trace: Trace | None, wanted_req_per_s: float, model: WorkloadModel, process: str) -> tuple[str, ...]:
    """What a reader should doubt of a workload that is drawn; the trace that it was fitted to, if there is one."""
    rare, apart = rare_words(wanted_req_per_s), lengths_apart(model, process)
    return (*read_words(trace), *rare, *burstiness(model, process), *apart)


def rare_words(rate_req_per_s: float) -> tuple[str, ...]:
    """That more is planned for than was asked; nothing where it is not."""
    if rate_req_per_s >= LEAST_REQ_PER_S:
        return ()
    words = f"{rate_req_per_s:.3g} req/s are planned and simulated as {LEAST_REQ_PER_S:g} req/s"
    return (
        f"{words}: fewer requests need no fewer machines; watts of work and prices per token are those of that rate",
    )


def read_words(trace: Trace | None, *, cached: bool = False) -> tuple[str, ...]:
    """What was inferred or repaired in a trace file, and the prefixes in it unless they are served from a cache."""
    if trace is None:
        return ()
    skipped = (f"left out of the trace: {plural(trace.skipped_rows, 'row')}",) if trace.skipped_rows else ()
    share = trace.repeated_frac or 0.0
    reused = f"{percent(share)} of the prompt tokens of {trace.name} repeat a prefix that came before"
    ideal = f"an ideal prefix cache would leave {percent(1 - share)} of the prefill work"
    words = f"{reused}; this plan computes every prompt in full, where {ideal}: prefix_cache.gib keeps some"
    return (*trace.notes, *skipped, *((words,) if share >= REPEATED_FRAC and not cached else ()))


def burstiness(model: WorkloadModel, process: str) -> tuple[str, ...]:
    """A plan that passes Poisson arrivals may fail the bursts it was smoothed from."""
    if process == "poisson" and model.gap_cv > 1.5:
        return (
            f"validated on Poisson arrivals (CV 1), while the gaps observed in {model.name} have a CV of "
            f"{model.gap_cv:.3g}: set workload.arrivals.process to profile, or replay the trace, before buying",
        )
    return ()


def lengths_apart(model: WorkloadModel, process: str) -> tuple[str, ...]:
    """A built-in workload keeps when requests came and how long they were, not which came when."""
    if process == "profile":
        return (
            f"the lengths of {model.name} are drawn apart from the time of arrival, while long prompts come together "
            "in real traces (the peak minute of the 2023 conversation trace: 1.52 times the mean in requests, 1.90 "
            "times in prompt tokens): replay the trace file before buying",
        )
    return ()


def stretched(scenario: Scenario) -> str:
    """What was done to the lengths, in words; empty where nothing was."""
    scales = (("prompts", scenario.workload.prompt_scale), ("outputs", scenario.workload.output_scale))
    return "".join(f", {name} {factor:g} times as long" for name, factor in scales if factor != 1)


def how_grown(factor: float, growth: Growth) -> str:
    """How a trace came to another rate, in words; empty where it is replayed at its own."""
    if factor == 1:
        return ""
    how = "thinned" if factor < 1 else "thickened"
    kept = "its busy minutes kept" if growth == "shared" else "the busy minutes of what was added apart from its own"
    return f" {how} to {factor:g} times its rate ({growth} growth: {kept})"


def resampled(seeds: Sequence[int], factor: float) -> str:
    """What further seeds of a replay are, in words."""
    return f" and {plural(len(seeds) - 1, 'resampling')} of its minutes" if len(seeds) > 1 and factor == 1 else ""
