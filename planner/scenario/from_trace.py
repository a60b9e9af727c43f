"""A scenario to start from, made for a trace."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workloads.stats import LengthStats, TraceStats

_TEXT = """\
{times}# Prompts   {prompt}
# Outputs   {output}
# Change what is marked; every key: docs/scenario.md. Then: phasewise plan {path}
schema_version: 1
name: {name}

model:
  name: llama-3.1-70b            # <- your model; `phasewise models` lists them

workload:
  trace: {trace}
{keys}
slo:                             # <- your limits in seconds, on these percentiles
  ttft_p99_s: 1.0                # arrival to first token: waiting and prefill
  tbt_p99_s: 0.1                 # every gap between tokens

catalog:
  machines: [dgx-h100, hgx-h200] # <- what you can buy; `phasewise machines` lists them

objective: cost                  # or power, machines, energy, carbon, throughput (with a budget)
"""


_TIMED = """\
# Made for {name}: {requests:,} requests in {duration_s:,.0f} s.
# Rate      {rate_req_per_s:.4g} req/s; the busiest minute has {peak_minute_ratio:.2f} times the mean
# Gaps      vary by {gap_cv:.2f} (Poisson: 1)
"""
_OWN_RATE = """\
  # rate_req_per_s: {rate_req_per_s:.4g}         # the trace's own; another one thickens it
  # growth: shared               # how it thickens: its minutes stay, or average out (independent)
"""
_NO_TIMES = """\
# Made for {name}: {requests:,} answers of conversations, without arrival times; lengths are estimated from their text.
"""
_NO_RATE = """\
  rate_req_per_s: 1              # <- yours: the file does not say; requests come one by one (Poisson)
"""


def scenario_for(trace: Path, seen: TraceStats, *, path: Path, keys: Mapping[str, Any] | None = None) -> str:
    """A scenario file that replays a trace, with the trace's figures as comments.

    Args:
        trace: the file.
        seen: what it looks like.
        path: where the scenario will lie; the trace is named from its directory.
        keys: of ``workload``, which had to be stated to read the file.
    """
    stated = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in (keys or {}).items())
    there, here = trace.resolve(), path.parent.resolve()
    named = there.relative_to(here) if there.is_relative_to(here) else there
    times, rate = (_TIMED, _OWN_RATE) if seen.timed else (_NO_TIMES, _NO_RATE)
    figures = asdict(seen)
    return _TEXT.format(
        times=times.format(**figures), prompt=_lengths(seen.prompt), output=_lengths(seen.output),
        name=trace.name.partition(".")[0], path=path, trace=f'"{named}"', keys=rate.format(**figures) + stated,
    )  # fmt: skip


def _lengths(seen: LengthStats) -> str:
    return (
        f"mean {seen.mean_tokens:,.0f} tokens; half below {seen.p50_tokens:,.0f}, 90 % below {seen.p90_tokens:,.0f}, "
        f"99 % below {seen.p99_tokens:,.0f}"
    )
