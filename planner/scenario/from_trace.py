"""A scenario to start from, made for a trace."""

from pathlib import Path

from workloads.stats import LengthStats, TraceStats

_TEXT = """\
# Made for {file}: {requests:,} requests in {duration_s:,.0f} s.
# Rate      {rate_req_per_s:.4g} req/s; the busiest minute has {peak_minute_ratio:.2f} times the mean
# Gaps      vary by {gap_cv:.2f} (Poisson: 1)
# Prompts   {prompt}
# Outputs   {output}
# Change what is marked; every key: docs/scenario.md. Then: phasewise plan {name}.yaml
schema_version: 1
name: {name}

model:
  name: llama-3.1-70b            # <- your model; `phasewise models` lists them

workload:
  trace: {trace}
  # rate_req_per_s: {rate_req_per_s:.4g}         # the trace's own; another one thickens it
  # growth: shared               # how it thickens: its minutes stay, or average out (independent)
{unit}
slo:                             # <- your limits in seconds, on these percentiles
  ttft_p99_s: 1.0                # arrival to first token: waiting and prefill
  tbt_p99_s: 0.1                 # every gap between tokens

catalog:
  machines: [dgx-h100, hgx-h200] # <- what you can buy; `phasewise machines` lists them

objective: cost                  # or power, machines, energy, carbon, throughput (with a budget)
"""


def scenario_for(trace: Path, seen: TraceStats, *, directory: Path, time_unit: str | None = None) -> str:
    """A scenario file that replays a trace, with the trace's figures as comments.

    Args:
        trace: the file.
        seen: what it looks like.
        directory: where the scenario will lie; the trace is named from there.
        time_unit: of its arrivals, where it had to be stated.
    """
    unit = f"  time_unit: {time_unit}\n" if time_unit else ""
    there, here = trace.resolve(), directory.resolve()
    named = there.relative_to(here) if there.is_relative_to(here) else there
    return _TEXT.format(
        file=trace.name, requests=seen.requests, duration_s=seen.duration_s, rate_req_per_s=seen.rate_req_per_s,
        peak_minute_ratio=seen.peak_minute_ratio, gap_cv=seen.gap_cv, prompt=_lengths(seen.prompt),
        output=_lengths(seen.output), name=trace.name.partition(".")[0], trace=f'"{named}"', unit=unit,
    )  # fmt: skip


def _lengths(seen: LengthStats) -> str:
    return (
        f"mean {seen.mean_tokens:,.0f} tokens; half below {seen.p50_tokens:,.0f}, 90 % below {seen.p90_tokens:,.0f}, "
        f"99 % below {seen.p99_tokens:,.0f}"
    )
