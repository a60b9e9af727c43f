"""Readers: from the trace files people have to requests in columns."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.arrival_times import Clock, clock_of, outliers
from workloads.conversations import conversation_trace
from workloads.counts import plural
from workloads.errors import WorkloadError
from workloads.prefixes import prefixes_of, repeated_frac
from workloads.trace_formats import UNITS
from workloads.trace_rows import DATE, ZONE, Objects, Rows, Wanted, content_of, rows_of
from workloads.traces import MOST_TOKENS, Trace, plain_trace

_SHOWN = 10
MOST_TIME = 4e18
"""Nanoseconds from 1970 to the year 2096: no clock says more, in whatever unit."""
_HOUR_S, _HALF_HOUR_S = 3600.0, 1800.0

YEAR_S = 365.25 * 86400
LONGEST_S = 10 * YEAR_S
"""From the first request to the last: no log of a service is as long."""


def read_trace(
    path: Path,
    *,
    format: str = "auto",  # noqa: A002 - users' word
    skip_bad_rows: bool = False,
    time_unit: str = "auto",
    label_column: str | None = None,
    columns: Mapping[str, str] | None = None,
    bytes_per_token: float | None = None,
    answer_s_per_token: float | None = None,
) -> Trace:
    """Read a trace file: CSV with a header, one JSON object per line, or a JSON list of objects; packed by gzip or not.

    Rows need not be in order of arrival: they are sorted, and the trace's notes say so. Turns of sessions arrive when
    the answer before them has ended (``workloads.sessions``); conversations of text have lengths that are estimated,
    and no arrival times (``workloads.conversations``).

    Args:
        path: the file.
        format: name of one of ``workloads.trace_formats.FORMATS``; ``auto`` goes by the names of the columns.
        skip_bad_rows: leave out rows that cannot be used (and count them) instead of refusing the file: unreadable
            rows, token counts that are no whole number >= 1, and rows dated far from all others.
        time_unit: ``s``, ``ms``, ``us`` or ``ns`` of numeric arrivals; ``auto``: as the name of the column or the
            format says, where that is plausible.
        label_column: that tells classes apart; ``auto``: label or tier; None reads no labels.
        columns: arrival, prompt or output -> the column that holds it, whatever its name; of JSON objects inside
            objects with dots between.
        bytes_per_token: of the text of conversations, in UTF-8; None: assumed.
        answer_s_per_token: how long an answer takes before its session goes on, s a token; None: assumed.

    Returns:
        The requests, the first at 0 s. The observed window is taken to end one mean gap after the last arrival, so
        that n requests span n gaps; it is 1 s where all arrive at once.

    Raises:
        WorkloadError: the file is missing, of no known format, or holds no request; rows are bad, which are named by
            line, the first ten of them; or the unit of the arrivals has to be stated.
    """
    if time_unit not in (*UNITS, "auto"):
        raise WorkloadError(f"{path}: time_unit '{time_unit}' is unknown, expected auto, {', '.join(UNITS)}")
    content = content_of(path)
    if isinstance(content, Objects) and content.conversations:
        said = {"format": format, "time_unit": time_unit, "columns": columns, "answer_s_per_token": answer_s_per_token}
        _expect_unsaid(path, said, "conversations have text, and no columns or times")
        return conversation_trace(content.items, path, bytes_per_token, skip_bad_rows=skip_bad_rows)
    _expect_unsaid(path, {"bytes_per_token": bytes_per_token}, "its requests have token counts")
    wanted = Wanted(
        format=format, label_column=label_column, columns=columns or {}, time_unit=time_unit,
        answer_s_per_token=answer_s_per_token,
    )  # fmt: skip
    rows, made = rows_of(content, path, wanted)
    return _trace(rows, made, path, time_unit, skip_bad_rows=skip_bad_rows)


def _expect_unsaid(path: Path, said: Mapping[str, object], why: str) -> None:
    """Raises WorkloadError where keys say something that a file of this kind has no use for."""
    given = [f"workload.{key}" for key, value in said.items() if value not in (None, "auto", {})]
    if given:
        raise WorkloadError(f"{path}: found {', '.join(given)}; expected none for this file: {why}")


def _trace(rows: Rows, made: tuple[str, ...], path: Path, time_unit: str, *, skip_bad_rows: bool) -> Trace:
    """The usable rows of a file, in order; ``made`` is what was made of them so far."""
    bad = _bad(rows)
    if bad.any() and not skip_bad_rows:
        raise WorkloadError(*_findings(rows, bad, path))
    used = np.flatnonzero(~bad)
    if not len(used):
        raise WorkloadError(f"{path}: found no usable request in {len(rows.text):,} rows, expected at least one")
    far = outliers(rows.columns[0, used])
    notes = [*made, *_far_words(rows, used[far], path, skip=skip_bad_rows)]
    used = used[~far]
    notes += _order_words(rows, used, path)
    used = used[np.argsort(rows.columns[0, used], kind="stable")]
    arrival, prompt, output = rows.columns[:, used]
    clock = _clock(rows, arrival, prompt + output, time_unit, path)
    notes += [f"{path.name}: {clock.reason}"] if clock.reason else []
    arrival_s = (arrival - arrival[0]) * clock.tick_s
    if arrival_s[-1] > LONGEST_S:
        raise WorkloadError(
            f"{path}: its requests span {arrival_s[-1] / YEAR_S:,.3g} years; expected less than "
            f"{LONGEST_S / YEAR_S:g}: is a row dated wrong, or is workload.time_unit another?"
        )
    gaps = len(arrival_s) - 1
    trace = plain_trace(
        path.name,
        arrival_s,
        prompt.astype(np.int64),
        output.astype(np.int64),
        duration_s=float(arrival_s[-1] * (gaps + 1) / gaps) if gaps and arrival_s[-1] > 0 else 1.0,
        skipped_rows=len(rows.text) - len(used),
    )
    hashes = [rows.hash_ids[row] for row in used.tolist()] if rows.hash_ids else []
    labels = np.array([rows.labels[row] for row in used.tolist()], str) if rows.labels else None
    prefixes = prefixes_of(hashes)
    share = repeated_frac(prefixes, trace.prompt_tokens)
    return replace(trace, labels=labels, notes=tuple(notes), repeated_frac=share, prefixes=prefixes)


def _clock(rows: Rows, arrival: NDArray[np.float64], tokens: NDArray[np.float64], stated: str, path: Path) -> Clock:
    """The unit of sorted arrivals."""
    if not rows.dated:
        return clock_of(arrival, tokens, rows.form_of, stated=stated, where=str(path))
    if stated != "auto":
        column = rows.form_of.columns[0]
        raise WorkloadError(f"{path}: {column} holds dates; expected no workload.time_unit beside them, found {stated}")
    return Clock(unit="s")


def _far_words(rows: Rows, far: NDArray[np.int64], path: Path, *, skip: bool) -> list[str]:
    """That rows dated far from all others are left out; or a refusal that names them."""
    if not len(far):
        return []
    shown = [f"{rows.place(row)}: '{rows.text[row][:80]}'" for row in far[:_SHOWN]]
    more = [f"and {len(far) - _SHOWN} more"] if len(far) > _SHOWN else []
    span = f"more than ten times as far from all other rows as those span: {'; '.join((*shown, *more))}"
    if skip:
        return [f"{path.name}: left out: {plural(len(far), 'row')} dated {span}"]
    raise WorkloadError(
        f"{path}: found {plural(len(far), 'row')} dated {span}; expected a time near the others; "
        "workload.skip_bad_rows leaves them out"
    )


def _order_words(rows: Rows, used: NDArray[np.int64], path: Path) -> list[str]:
    """That rows were out of order and are sorted; or a refusal where local time was set back by an hour."""
    arrival = rows.columns[0, used]
    latest = np.maximum.accumulate(arrival)
    late = np.flatnonzero(arrival < latest)
    if not len(late):
        return []
    back = np.flatnonzero(np.diff(arrival) < 0)
    step_s = float(arrival[back[0]] - arrival[back[0] + 1])
    if rows.dated and len(back) == 1 and _HALF_HOUR_S < step_s <= _HOUR_S and not ZONE.search(_date(rows, used[0])):
        raise WorkloadError(
            f"{path}: {rows.place(int(used[back[0] + 1]))}: the clock goes back by {step_s:.0f} s once, in dates "
            "without a time zone: local time at the end of daylight saving? Expected dates with their zone, such as "
            "2024-10-27T02:00:00+01:00"
        )
    return [f"{path.name}: {len(late):,} of {len(used):,} rows came after one that arrived later; all were sorted"]


def _date(rows: Rows, row: int) -> str:
    """The first field of a row that looks like a date."""
    fields = re.split(r"[,\"]", rows.text[row])
    return next((f.strip() for f in fields if DATE.match(f)), "")


def _bad(rows: Rows) -> NDArray[np.bool_]:
    """Which rows cannot be used, (n,); each is judged by itself."""
    arrival, *tokens = rows.columns
    bad: NDArray[np.bool_] = rows.unreadable | ~_time(arrival)
    for column in tokens:
        bad = bad | ~_whole(column)
    return bad


def _whole(tokens: NDArray[np.float64]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (tokens >= 1) & (tokens <= MOST_TOKENS) & (tokens == np.floor(tokens))
    return whole


def _time(arrival: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Times count from a start, or from 1970; -1 is what programs write where they know none."""
    time: NDArray[np.bool_] = (arrival >= 0) & (arrival <= MOST_TIME)
    return time


def _findings(rows: Rows, bad: NDArray[np.bool_], path: Path) -> list[str]:
    """A sentence for each of the first bad rows, and the number of the others."""
    index = np.flatnonzero(bad)
    findings = [
        f"{path}: {rows.place(row)}: found '{rows.text[row][:80]}'; {_reason(rows, row)}" for row in index[:_SHOWN]
    ]
    if len(index) > _SHOWN:
        findings.append(
            f"{path}: and {len(index) - _SHOWN} more of {len(bad):,} rows; workload.skip_bad_rows leaves them out"
        )
    elif len(index) < len(bad):  # else nothing would be left to read
        findings[-1] += f"; workload.skip_bad_rows leaves {'it' if len(index) == 1 else 'such rows'} out"
    return findings


def _reason(rows: Rows, row: int) -> str:
    """What is wrong with one row."""
    if rows.unreadable[row]:
        return f"expected {rows.form}"
    arrival, *lengths = zip(rows.form_of.columns, rows.columns[:, row], strict=True)
    reasons = [] if _time(arrival[1]) else [f"{arrival[0]} to be a time{' from 0 on' * bool(arrival[1] < 0)}"]
    reasons += [
        f"{name} to be a whole number >= 1" + (f" and at most {MOST_TOKENS:,}" if tokens > MOST_TOKENS else "")
        for name, tokens in lengths
        if not _whole(tokens)
    ]
    return "expected " + " and ".join(reasons)
