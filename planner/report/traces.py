"""Traces in a few numbers."""

from rich.console import Group, RenderableType
from rich.text import Text

from planner.report.rich import listed
from planner.report.words import rate
from workloads.counts import number, percent, plural
from workloads.stats import TraceStats


def stats_view(stats: TraceStats) -> RenderableType:
    """The numbers of a trace as text."""
    rows = []
    for name, s, rate_tokens_per_s in (
        ("prompt", stats.prompt, stats.prompt_tokens_per_s),
        ("output", stats.output, stats.output_tokens_per_s),
    ):
        values = (s.mean_tokens, s.p1_tokens, s.p10_tokens, s.p50_tokens, s.p90_tokens, s.p99_tokens, rate_tokens_per_s)
        rows.append((name, *(number(round(value)) for value in values)))
    made = listed(("tokens", "#mean", "?#p1", "?#p10", "#p50", "#p90", "#p99", "#per second"), rows)
    skipped = f", {plural(stats.skipped_rows, 'row')} left out" if stats.skipped_rows else ""
    shares = ", ".join(f"{percent(share)} {name}" for name, share in stats.class_frac.items())
    times = (
        f"{plural(stats.requests, 'request')} in {number(stats.duration_s)} s{skipped}: "
        f"{rate(stats.rate_req_per_s)}; the busiest minute has {stats.peak_minute_ratio:.2f} times the mean.",
        f"Gaps between arrivals vary by {stats.gap_cv:.2f} (Poisson: 1). Classes: {shares}.",
    )
    untimed = (f"{plural(stats.requests, 'request')}{skipped}, without arrival times. Classes: {shares}.",)
    return Group(
        Text(stats.name, style="bold"),
        *(Text(line) for line in (times if stats.timed else untimed)),
        Text(f"Prompt and output lengths correlate by {stats.correlation:.2f}."),
        Text(),
        made,
    )
