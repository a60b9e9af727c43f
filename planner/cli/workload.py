"""Verbs on workloads: stats, generate."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.terminal import Json, note, print_view, write
from planner.errors import BadInput
from workloads.counts import plural
from workloads.errors import WorkloadError

if TYPE_CHECKING:
    from workloads.traces import Trace

_SAMPLE = 10_000


class Format(StrEnum):
    """Trace formats that can be read."""

    AUTO = "auto"
    AZURE = "azure"
    MOONCAKE = "mooncake"
    BURSTGPT = "burstgpt"
    VIDUR = "vidur"
    PLAIN = "plain"


class TimeUnit(StrEnum):
    """Units of numeric arrivals."""

    AUTO = "auto"
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWords:
    """How a trace file is to be read."""

    time_unit: Annotated[TimeUnit, typer.Option("--time-unit", help="of numeric arrivals")] = TimeUnit.AUTO
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="KIND=NAME,...", help="arrival=, prompt= and output= columns")
    ] = None
    bytes_per_token: Annotated[
        float | None, typer.Option("--bytes-per-token", min=0.1, help="of conversations without token counts; else 4")
    ] = None
    answer_s_per_token: Annotated[
        float | None,
        typer.Option("--answer-s-per-token", min=1e-6, help="of sessions: what an answer takes; else 0.02"),
    ] = None
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="leave out unreadable rows")] = False

    @property
    def keys(self) -> dict[str, Any]:
        """What was said, by the keys of ``workload``."""
        from planner.scenario.trace_columns import columns_of

        said = {
            "time_unit": None if self.time_unit is TimeUnit.AUTO else str(self.time_unit),
            "columns": None if self.columns is None else columns_of(self.columns),
            "bytes_per_token": self.bytes_per_token, "answer_s_per_token": self.answer_s_per_token,
            "skip_bad_rows": self.skip_bad_rows or None,
        }  # fmt: skip
        return {key: value for key, value in said.items() if value is not None}


class Process(StrEnum):
    """How generated arrivals are spaced."""

    POISSON = "poisson"
    GAMMA = "gamma"
    PROFILE = "profile"


def stats(
    trace: Annotated[str, typer.Argument(help="trace file or built-in workload id", show_default=False)],
    format: Annotated[Format, typer.Option("--format", help="of a trace file")] = Format.AUTO,  # noqa: A002  users' word
    how: TraceWords = TraceWords(),
    json: Json = False,
) -> None:
    """Describe a trace: rate, burstiness, lengths. Of a built-in workload, describe 10,000 requests drawn from it."""
    from planner.files.plan_file import dumps
    from planner.report.traces import stats_view
    from workloads import stats as numbers
    from workloads.builtin import builtin_names, load_builtin
    from workloads.readers import read_trace

    if trace in builtin_names():
        rate_req_per_s = load_builtin(trace).rate_req_per_s
        requests = _draw(trace, rate_req_per_s, _SAMPLE / rate_req_per_s, 1, Process.PROFILE)
    else:
        keys = {**how.keys, "format": str(format)}
        requests = by_option(lambda: read_trace(Path(trace), **keys))
    for remark in requests.notes:
        note(remark)
    found = numbers.stats(requests)
    write(dumps(found)) if json else print_view(stats_view(found))


def generate(
    builtin: Annotated[str, typer.Option("--builtin", help="built-in workload id", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="trace file to write (CSV)", show_default=False)],
    rate: Annotated[float | None, typer.Option("--rate", min=1e-9, help="requests/s; else the observed one")] = None,
    duration: Annotated[float, typer.Option("--duration", min=1e-9, help="seconds of arrivals")] = 600.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="the same seed gives the same trace")] = 1,
    process: Annotated[Process, typer.Option("--process", help="how arrivals are spaced")] = Process.POISSON,
) -> None:
    """Draw a trace from a built-in workload, as a plain CSV file."""
    from workloads.builtin import load_builtin
    from workloads.synthesis import expect_drawable
    from workloads.writers import write_plain_csv

    wanted = rate or load_builtin(builtin).rate_req_per_s
    expect_drawable(wanted * duration, f"{wanted:g} req/s over {duration:g} s", "a lower --rate or --duration")
    trace = _draw(builtin, wanted, duration, seed, process)
    try:
        write_plain_csv(trace, out)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written: {error.strerror}; nothing was written") from None
    note(f"wrote {plural(len(trace), 'request')} to {out}")


def by_option(read: "Callable[[], Trace]") -> "Trace":
    """A trace; its problems name the options of a verb in place of a scenario's keys."""
    try:
        return read()
    except WorkloadError as error:
        raise WorkloadError(*(_renamed(problem) for problem in error.problems)) from None


def _renamed(problem: str) -> str:
    mapped = re.sub(
        r"workload\.columns=\{(.*?)\}",
        lambda said: f"--columns {said[1].replace(': ', '=').replace(', ', ',')}",
        problem,
    )
    keys = "format|time_unit|skip_bad_rows|columns|bytes_per_token|answer_s_per_token"
    return re.sub(rf"workload\.({keys})", lambda key: f"--{key[1].replace('_', '-')}", mapped)


def _draw(name: str, rate_req_per_s: float, duration_s: float, seed: int, process: Process) -> "Trace":
    import numpy as np

    from workloads.builtin import load_builtin
    from workloads.synthesis import synthesize

    return synthesize(
        load_builtin(name),
        rate_req_per_s=rate_req_per_s,
        duration_s=duration_s,
        rng=np.random.default_rng(seed),
        process=process.value,
    )
