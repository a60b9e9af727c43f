"""Readers: from the trace files people have to requests in columns."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrival_times import Clock, clock_of, outliers
from workloads.errors import WorkloadError
from workloads.labels import label_column as column_of
from workloads.labels import label_text
from workloads.prefixes import prefixes_of, repeated_frac
from workloads.trace_files import trace_bytes
from workloads.trace_formats import UNITS, TraceFormat, find_format, separator
from workloads.traces import Trace, plain_trace

if TYPE_CHECKING:  # slow to import, and needed only once a file is read
    import pandas as pd

_SHOWN = 10
_ZONE = re.compile(r"(?:[zZ]|[+-]\d\d(?::?\d\d)?)$")
_DATE = re.compile(r"^\s*\d{4}-?\d\d-?\d\d")
_PACKED = {
    b"PK\x03\x04": "a zip file", b"\x28\xb5\x2f\xfd": "a zstd file",
    b"PAR1": "a Parquet file", b"\xff\xfe": "text in UTF-16", b"\xfe\xff": "text in UTF-16",
}  # fmt: skip
_HOUR_S, _HALF_HOUR_S = 3600.0, 1800.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The rows of a file as numbers, NaN where unreadable.

    Attributes:
        first_line: line of the file that holds the first row, from 1; 0 where rows are no lines.
        text: (n,) the rows as written.
        form: what each row should be.
        unreadable: (n,) rows that are not.
        form_of: the format they are in.
        dated: the arrivals are dates: seconds since the first.
        columns: (3, n) arrival, prompt tokens, output tokens.
        hash_ids: (n,) hashes of the blocks of each prompt; empty where the format has none.
        labels: (n,) what class each is of; empty where that was not asked.
    """

    first_line: int
    text: Sequence[str]
    form: str
    unreadable: NDArray[np.bool_]
    form_of: TraceFormat
    dated: bool
    columns: NDArray[np.float64]
    hash_ids: Sequence[Sequence[int] | None] = ()
    labels: Sequence[str] = ()

    def place(self, row: int) -> str:
        """Where a row stands in its file."""
        return f"line {self.first_line + row}" if self.first_line else f"item {row}"


def read_trace(
    path: Path,
    *,
    format: str = "auto",  # noqa: A002 - users' word
    skip_bad_rows: bool = False,
    time_unit: str = "auto",
    label_column: str | None = None,
) -> Trace:
    """Read a trace file: CSV with a header, one JSON object per line, or a JSON list of objects.

    Rows need not be in order of arrival: they are sorted, and the trace's notes say so.

    Args:
        path: the file.
        format: name of one of ``workloads.trace_formats.FORMATS``; ``auto`` goes by the names of the columns.
        skip_bad_rows: leave out rows that cannot be used (and count them) instead of refusing the file: unreadable
            rows, token counts that are no whole number >= 1, and rows dated far from all others.
        time_unit: ``s``, ``ms``, ``us`` or ``ns`` of numeric arrivals; ``auto``: as the name of the column or the
            format says, where that is plausible.
        label_column: that tells classes apart; ``auto``: label or tier; None reads no labels.

    Returns:
        The requests, the first at 0 s. The observed window is taken to end one mean gap after the last arrival, so
        that n requests span n gaps; it is 1 s where all arrive at once.

    Raises:
        WorkloadError: the file is missing, of no known format, or holds no request; rows are bad, which are named by
            line, the first ten of them; or the unit of the arrivals has to be stated.
    """
    if time_unit not in (*UNITS, "auto"):
        raise WorkloadError(f"{path}: time_unit '{time_unit}' is unknown, expected auto, {', '.join(UNITS)}")
    rows = _rows(path, format, label_column)
    bad = _bad(rows)
    if bad.any() and not skip_bad_rows:
        raise WorkloadError(*_findings(rows, bad, path))
    used = np.flatnonzero(~bad)
    if not len(used):
        raise WorkloadError(f"{path}: found no usable request in {len(rows.text)} rows, expected at least one")
    far = outliers(rows.columns[0, used])
    notes = _far_words(rows, used[far], path, skip=skip_bad_rows)
    used = used[~far]
    notes += _order_words(rows, used, path)
    used = used[np.argsort(rows.columns[0, used], kind="stable")]
    arrival, prompt, output = rows.columns[:, used]
    clock = _clock(rows, arrival, prompt + output, time_unit, path)
    notes += [f"{path.name}: {clock.reason}"] if clock.reason else []
    arrival_s = (arrival - arrival[0]) * clock.tick_s
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


def _rows(path: Path, wanted: str, label: str | None) -> _Rows:
    """The rows of a file in whichever of the three shapes it has."""
    read = trace_bytes(path)
    if packed := next((name for start, name in _PACKED.items() if read.startswith(start)), ""):
        raise WorkloadError(f"{path}: found {packed}; expected text in UTF-8: CSV with a header, or JSON")
    text = re.sub("\r\n?", "\n", read.decode("utf-8-sig", errors="replace")).rstrip()
    if not text:
        raise WorkloadError(f"{path}: the file is empty, expected a header or JSON objects, and requests")
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            words = str(error)[:80]
            raise WorkloadError(f"{path}: no valid JSON list: {words}; is the file cut off?") from error
        objects = [item if isinstance(item, dict) else {} for item in items]
        return _json_rows(objects, [str(item)[:80] for item in items], path, (wanted, label), first_line=0)
    lines = text.split("\n")
    if lines[0].startswith("{"):
        _expect_rows(lines[0], text, path)
        return _json_rows([_json_object(line) for line in lines], lines, path, (wanted, label), first_line=1)
    return _csv_rows(lines, path, wanted, label)


def _expect_rows(line: str, text: str, path: Path) -> None:
    """See that JSON objects stand on a line each: raises WorkloadError where the whole file is one object."""
    if not _json_object(line) and (whole := _json_object(text)):
        keys = ", ".join(whole)[:80]
        raise WorkloadError(f"{path}: found one JSON object ({keys}); expected one per request: a list, or a line each")


def _clock(rows: _Rows, arrival: NDArray[np.float64], tokens: NDArray[np.float64], stated: str, path: Path) -> Clock:
    """The unit of sorted arrivals."""
    if not rows.dated:
        return clock_of(arrival, tokens, rows.form_of, stated=stated, where=str(path))
    if stated != "auto":
        column = rows.form_of.columns[0]
        raise WorkloadError(f"{path}: {column} holds dates; expected no workload.time_unit beside them, found {stated}")
    return Clock(unit="s")


def _far_words(rows: _Rows, far: NDArray[np.int64], path: Path, *, skip: bool) -> list[str]:
    """That rows dated far from all others are left out; or a refusal that names them."""
    if not len(far):
        return []
    shown = [f"{rows.place(row)}: '{rows.text[row][:80]}'" for row in far[:_SHOWN]]
    more = [f"and {len(far) - _SHOWN} more"] if len(far) > _SHOWN else []
    span = f"more than ten times as far from all other rows as those span: {'; '.join((*shown, *more))}"
    if skip:
        return [f"{path.name}: {len(far)} rows were left out, dated {span}"]
    raise WorkloadError(
        f"{path}: {len(far)} rows are dated {span}; expected a time near the others; workload.skip_bad_rows leaves "
        "them out"
    )


def _order_words(rows: _Rows, used: NDArray[np.int64], path: Path) -> list[str]:
    """That rows were out of order and are sorted; or a refusal where local time was set back by an hour."""
    arrival = rows.columns[0, used]
    latest = np.maximum.accumulate(arrival)
    late = np.flatnonzero(arrival < latest)
    if not len(late):
        return []
    back = np.flatnonzero(np.diff(arrival) < 0)
    step_s = float(arrival[back[0]] - arrival[back[0] + 1])
    if rows.dated and len(back) == 1 and _HALF_HOUR_S < step_s <= _HOUR_S and not _ZONE.search(_date(rows, used[0])):
        raise WorkloadError(
            f"{path}: {rows.place(int(used[back[0] + 1]))}: the clock goes back by {step_s:.0f} s once, in dates "
            "without a time zone: local time at the end of daylight saving? Expected dates with their zone, such as "
            "2024-10-27T02:00:00+01:00"
        )
    return [f"{path.name}: {len(late):,} of {len(used):,} rows came after one that arrived later; all were sorted"]


def _date(rows: _Rows, row: int) -> str:
    """The first field of a row that looks like a date."""
    fields = re.split(r"[,\"]", rows.text[row])
    return next((f.strip() for f in fields if _DATE.match(f)), "")


def _csv_rows(lines: Sequence[str], path: Path, wanted: str, label: str | None) -> _Rows:
    import pandas as pd

    between = separator(lines[0])
    header = [name.strip().strip('"').strip() for name in lines[0].split(between)]
    if all(_is_number(name) for name in header if name):
        raise WorkloadError(f"{path}: line 1: found numbers ('{lines[0][:80]}'); expected a header that names columns")
    trace_format, labelled = find_format(header, path, wanted), column_of(header, label, path)
    before = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
    exact: dict[str, Any] = {"float_precision": "round_trip"} if before else {}  # later ones always read as written
    frame: pd.DataFrame = pd.read_csv(
        StringIO("\n".join((between.join(header), *lines[1:]))),
        sep=between,
        usecols=[*trace_format.columns, *([labelled] if labelled else [])],
        dtype={labelled: str} if labelled else None,
        index_col=False,
        skip_blank_lines=False,  # row i stays line i + 2
        quoting=csv.QUOTE_NONE,  # a stray quote spoils its own row, not the rest of the file
        low_memory=False,
        **exact,
    )
    fields = np.fromiter((line.count(between) for line in lines[1:]), np.int64, len(lines) - 1) + 1
    arrival, *tokens = (_unquoted(frame[name]) for name in trace_format.columns)
    dated, columns = _numbers([_pointed(arrival) if between != "," else arrival, *tokens], path)
    return _Rows(
        first_line=2,
        text=lines[1:],
        form=f"{len(header)} fields",
        unreadable=fields != len(header),
        form_of=trace_format,
        dated=dated,
        columns=columns,
        labels=[label_text(each) for each in frame[labelled].fillna("")] if labelled else (),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unquoted(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column of text without the quotes around its fields."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.astype(str).str.strip().str.replace(r'^"(.*)"$', r"\1", regex=True)


def _pointed(times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Times with a decimal comma, with a point; as they are where the comma may stand between thousands."""
    text = times.astype(str)
    parts = text[text.str.match(r"^[+-]?\d+,\d+$")].str.lstrip("+-").str.split(",")
    if not (parts.str[0] == "0").any() and (parts.str[1].str.len() == 3).all():
        return times
    return text.str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)


def _json_rows(
    objects: Sequence[Mapping[str, Any]],
    text: Sequence[str],
    path: Path,
    wanted: tuple[str, str | None],
    *,
    first_line: int,
) -> _Rows:
    import pandas as pd

    first = next((o for o in objects if o), {})
    if "conversations" in first:
        raise WorkloadError(
            f"{path}: found conversations (ShareGPT), which have neither arrival times nor token counts; expected a "
            "trace of requests, or workload.lengths with workload.rate_req_per_s"
        )
    if any("delay" in o and "timestamp" not in o for o in objects):
        raise WorkloadError(
            f"{path}: found turns with a delay after the answer before (AIPerf sessions), which arrive when that "
            "answer ends; expected the timestamp of every request"
        )
    trace_format, labelled = find_format(list(first), path, wanted[0]), column_of(list(first), wanted[1], path)
    read = [pd.Series([_scalar(o.get(name)) for o in objects], dtype=object) for name in trace_format.columns]
    dated, columns = _numbers(read, path)
    return _Rows(
        first_line=first_line,
        text=text,
        form="a whole JSON object, each key once",
        unreadable=np.fromiter((not o for o in objects), np.bool_, len(objects)),
        form_of=trace_format,
        dated=dated,
        columns=columns,
        hash_ids=[_hashes(o) for o in objects] if "hash_ids" in first else (),
        labels=[label_text(o.get(labelled)) for o in objects] if labelled else (),
    )


def _hashes(found: Mapping[str, Any]) -> list[int] | None:
    """The hashes of a prompt's blocks; None where they are no whole numbers."""
    ids = found.get("hash_ids")
    return ids if isinstance(ids, list) and all(type(each) is int for each in ids) else None


def _json_object(line: str) -> Mapping[str, Any]:
    """The object on a line, an empty one where there is none."""
    try:
        value = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; an empty one where a key is there twice."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _scalar(value: object) -> object:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _numbers(columns: Sequence["pd.Series[Any]"], path: Path) -> tuple[bool, NDArray[np.float64]]:
    """Whether the arrivals are dates, and the three columns as numbers."""
    import pandas as pd

    arrival, *tokens = columns
    times: NDArray[np.float64] = _floats(arrival)
    text = arrival.astype(str)
    dated = not np.isfinite(times).any() or bool(
        text[~np.isfinite(times)].str.match(_DATE).mean() > np.isfinite(times).mean()
    )
    if dated:
        zoned = text.str.contains(_ZONE.pattern, regex=True) & text.str.match(_DATE)
        naive = text.str.match(_DATE) & ~zoned
        if zoned.any() and naive.any():
            zoned_row, naive_row = int(np.argmax(zoned)), int(np.argmax(naive))
            raise WorkloadError(
                f"{path}: found dates with a time zone ('{text.iloc[zoned_row][:40]}') and without "
                f"('{text.iloc[naive_row][:40]}'); expected all of one kind"
            )
        date = pd.to_datetime(text.where(text.str.match(_DATE)), format="ISO8601", utc=True, errors="coerce")
        times = np.asarray((date - date.min()).dt.total_seconds(), np.float64)
    return dated, np.stack([times, *(_floats(column) for column in tokens)])


def _floats(column: "pd.Series[Any]") -> NDArray[np.float64]:
    import pandas as pd

    if column.dtype == np.bool_:  # a column of True and False holds no numbers
        return np.full(len(column), np.nan)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _bad(rows: _Rows) -> NDArray[np.bool_]:
    """Which rows cannot be used, (n,); each is judged by itself."""
    arrival, *tokens = rows.columns
    bad: NDArray[np.bool_] = rows.unreadable | ~np.isfinite(arrival)
    for column in tokens:
        bad = bad | ~_whole(column)
    return bad


def _whole(tokens: NDArray[np.float64]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (tokens >= 1) & (tokens < 2**53) & (tokens == np.floor(tokens))
    return whole


def _findings(rows: _Rows, bad: NDArray[np.bool_], path: Path) -> list[str]:
    """A sentence for each of the first bad rows, and the number of the others."""
    index = np.flatnonzero(bad)
    findings = [
        f"{path}: {rows.place(row)}: found '{rows.text[row][:80]}'; {_reason(rows, row)}" for row in index[:_SHOWN]
    ]
    if len(index) > _SHOWN:
        findings.append(
            f"{path}: and {len(index) - _SHOWN} more of {len(bad)} rows; workload.skip_bad_rows leaves them out"
        )
    return findings


def _reason(rows: _Rows, row: int) -> str:
    """What is wrong with one row."""
    if rows.unreadable[row]:
        return f"expected {rows.form}"
    arrival, *lengths = zip(rows.form_of.columns, rows.columns[:, row], strict=True)
    reasons = [] if np.isfinite(arrival[1]) else [f"{arrival[0]} to be a time"]
    reasons += [f"{name} to be a whole number >= 1" for name, tokens in lengths if not _whole(tokens)]
    return "expected " + " and ".join(reasons)
