"""Readers: from the trace files people have to requests in columns."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.traces import Trace, plain_trace

if TYPE_CHECKING:  # slow to import, and needed only once a file is read
    import pandas as pd

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFormat:
    """The columns by which a published trace format is known.

    Attributes:
        name: what users write.
        columns: those that hold the arrival, the prompt tokens and the output tokens.
        tick_s: seconds per unit of the arrival column; None where it holds ISO 8601 dates.
    """

    name: str
    columns: tuple[str, str, str]
    tick_s: float | None


FORMATS = (
    TraceFormat(name="azure", columns=("TIMESTAMP", "ContextTokens", "GeneratedTokens"), tick_s=None),
    TraceFormat(name="mooncake", columns=("timestamp", "input_length", "output_length"), tick_s=1e-3),
    TraceFormat(name="burstgpt", columns=("Timestamp", "Request tokens", "Response tokens"), tick_s=1.0),
    TraceFormat(name="plain", columns=("arrival_s", "prompt_tokens", "output_tokens"), tick_s=1.0),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The rows of a file as numbers, NaN where unreadable.

    Attributes:
        first_line: line of the file that holds the first row, from 1.
        text: (n,) the rows as written.
        form: what each row should be.
        unreadable: (n,) rows that are not.
        names: what the file calls the columns.
        columns: (3, n) arrival in seconds, prompt tokens, output tokens.
    """

    first_line: int
    text: Sequence[str]
    form: str
    unreadable: NDArray[np.bool_]
    names: tuple[str, str, str]
    columns: NDArray[np.float64]


def read_trace(path: Path, *, format: str = "auto", skip_bad_rows: bool = False) -> Trace:  # noqa: A002 - users' word
    """Read a trace file: CSV with a header, or one JSON object per line.

    Args:
        path: the file.
        format: ``azure``, ``mooncake``, ``burstgpt`` or ``plain``; ``auto`` goes by the names of the columns.
        skip_bad_rows: leave out rows that cannot be used (and count them) instead of refusing the file: unreadable
            rows, token counts that are no whole number >= 1, and rows that arrive before an earlier row.

    Returns:
        The requests, the first at 0 s. The observed window is taken to end one mean gap after the last arrival, so
        that n requests span n gaps; it is 1 s where all arrive at once.

    Raises:
        WorkloadError: the file is missing, of no known format, or holds no request; or rows are bad, which are named by
            line, the first ten of them.
    """
    lines = _lines(path)
    read = _json_rows if lines[0].startswith("{") else _csv_rows
    rows = read(lines, path, format)
    bad = _bad(rows)
    if bad.any() and not skip_bad_rows:
        raise WorkloadError(*_findings(rows, bad, path))
    arrival_s, prompt, output = rows.columns[:, ~bad]
    if not len(arrival_s):
        raise WorkloadError(f"{path}: found no usable request in {len(lines)} lines, expected at least one")
    arrival_s = arrival_s - arrival_s[0]
    gaps = len(arrival_s) - 1
    return plain_trace(
        path.name,
        arrival_s,
        prompt.astype(np.int64),
        output.astype(np.int64),
        duration_s=float(arrival_s[-1] * (gaps + 1) / gaps) if gaps and arrival_s[-1] > 0 else 1.0,
        skipped_rows=int(bad.sum()),
    )


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace").rstrip()
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be read: {error.strerror}; expected a trace file") from error
    if not text:
        raise WorkloadError(f"{path}: the file is empty, expected a header or JSON objects, and requests")
    return text.split("\n")


def _csv_rows(lines: Sequence[str], path: Path, wanted: str) -> _Rows:
    import pandas as pd

    header = [name.strip() for name in lines[0].split(",")]
    trace_format = _format(header, path, wanted)
    frame = pd.read_csv(
        StringIO("\n".join((",".join(header), *lines[1:]))),
        usecols=list(trace_format.columns),
        index_col=False,
        skip_blank_lines=False,  # row i stays line i + 2
        quoting=csv.QUOTE_NONE,  # a stray quote spoils its own row, not the rest of the file
        low_memory=False,
    )
    fields = np.fromiter((line.count(",") for line in lines[1:]), np.int64, len(lines) - 1) + 1
    columns = [frame[name] for name in trace_format.columns]
    return _Rows(
        first_line=2,
        text=lines[1:],
        form=f"{len(header)} fields",
        unreadable=fields != len(header),
        names=trace_format.columns,
        columns=_numbers(columns, trace_format),
    )


def _json_rows(lines: Sequence[str], path: Path, wanted: str) -> _Rows:
    import pandas as pd

    objects = [_json_object(line) for line in lines]
    trace_format = _format(list(next((o for o in objects if o), {})), path, wanted)
    columns = [pd.Series([_scalar(o.get(name)) for o in objects], dtype=object) for name in trace_format.columns]
    unreadable = np.fromiter((not o for o in objects), np.bool_, len(objects))
    return _Rows(
        first_line=1,
        text=lines,
        form="a whole JSON object",
        unreadable=unreadable,
        names=trace_format.columns,
        columns=_numbers(columns, trace_format),
    )


def _json_object(line: str) -> Mapping[str, Any]:
    """The object on a line, an empty one where there is none."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _scalar(value: object) -> object:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _format(found: Sequence[str], path: Path, wanted: str) -> TraceFormat:
    """The format whose columns are all there."""
    known = {f.name: f for f in FORMATS}
    if wanted not in (*known, "auto"):
        near = get_close_matches(wanted, (*known, "auto"), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise WorkloadError(f"{path}: format '{wanted}' is unknown, expected auto, {', '.join(known)}{hint}")
    candidates = FORMATS if wanted == "auto" else (known[wanted],)
    for candidate in candidates:
        if set(candidate.columns) <= set(found):
            return candidate
    expected = "; ".join(f"{c.name}: {', '.join(c.columns)}" for c in candidates)
    raise WorkloadError(
        f"{path}: line 1: found the columns {', '.join(found) or '(none)'}; expected those of {expected}"
    )


def _numbers(columns: Sequence["pd.Series[Any]"], trace_format: TraceFormat) -> NDArray[np.float64]:
    import pandas as pd

    arrival, *tokens = columns
    if trace_format.tick_s is None:
        time = pd.to_datetime(arrival.astype(str), format="ISO8601", utc=True, errors="coerce")
        arrival_s = (time - time.min()).dt.total_seconds().to_numpy(dtype=np.float64)
    else:
        arrival_s = _floats(arrival) * trace_format.tick_s
    return np.stack([arrival_s, *(_floats(column) for column in tokens)])


def _floats(column: "pd.Series[Any]") -> NDArray[np.float64]:
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _bad(rows: _Rows) -> NDArray[np.bool_]:
    """Which rows cannot be used, (n,)."""
    arrival_s, *tokens = rows.columns
    bad: NDArray[np.bool_] = rows.unreadable | ~np.isfinite(arrival_s)
    for column in tokens:
        bad = bad | ~_whole(column)
    return bad | _late(rows)


def _late(rows: _Rows) -> NDArray[np.bool_]:
    """Which rows arrive before an earlier row, (n,)."""
    arrival_s = rows.columns[0]
    known_s = np.where(rows.unreadable | ~np.isfinite(arrival_s), -np.inf, arrival_s)
    late: NDArray[np.bool_] = known_s < np.maximum.accumulate(known_s)
    return late & (known_s > -np.inf)


def _whole(tokens: NDArray[np.float64]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (tokens >= 1) & (tokens < 2**53) & (tokens == np.floor(tokens))
    return whole


def _findings(rows: _Rows, bad: NDArray[np.bool_], path: Path) -> list[str]:
    """A sentence for each of the first bad rows, and the number of the others."""
    index, late = np.flatnonzero(bad), _late(rows)
    findings = [
        f"{path}: line {rows.first_line + row}: found '{rows.text[row][:80]}'; {_reason(rows, row, late=late[row])}"
        for row in index[:_SHOWN]
    ]
    if len(index) > _SHOWN:
        findings.append(f"{path}: and {len(index) - _SHOWN} more of {len(bad)} rows; skip_bad_rows leaves them out")
    return findings


def _reason(rows: _Rows, row: int, *, late: bool) -> str:
    """What is wrong with one row."""
    if rows.unreadable[row]:
        return f"expected {rows.form}"
    arrival, *lengths = zip(rows.names, rows.columns[:, row], strict=True)
    reasons = [] if np.isfinite(arrival[1]) else [f"{arrival[0]} to be a time"]
    reasons += [f"{name} to be a whole number >= 1" for name, tokens in lengths if not _whole(tokens)]
    reasons += [f"{arrival[0]} to be no earlier than in the rows before"] if late else []
    return "expected " + " and ".join(reasons)
