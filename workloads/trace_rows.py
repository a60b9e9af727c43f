"""Rows of a trace file as numbers, whichever of the shapes it has: CSV, JSON by line, a JSON list."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workloads.conversations import is_conversation
from workloads.counts import json_whole
from workloads.errors import WorkloadError
from workloads.labels import label_column as column_of
from workloads.labels import label_text
from workloads.sessions import ANSWER_S_PER_TOKEN, are_sessions, flat, sessions_at, sessions_words
from workloads.trace_files import trace_bytes
from workloads.trace_formats import TraceFormat, find_format, mapped_format, separator

if TYPE_CHECKING:  # slow to import, and needed only once a file is read
    import pandas as pd

ZONE = re.compile(r"(?:[zZ]|[+-]\d\d(?::?\d\d)?)$")
DATE = re.compile(r"^\s*\d{4}-?\d\d-?\d\d")
_PACKED = {
    b"PK\x03\x04": "a zip file", b"\x28\xb5\x2f\xfd": "a zstd file",
    b"PAR1": "a Parquet file", b"\xff\xfe": "text in UTF-16", b"\xfe\xff": "text in UTF-16",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a trace file is to be read.

    Attributes:
        format: name of one of ``workloads.trace_formats.FORMATS``, or ``auto``.
        label_column: that tells classes apart; ``auto``: label or tier; None reads no labels.
        columns: arrival, prompt or output -> the column that holds it; what is not named goes by the formats' names.
        time_unit: of numeric arrivals, or ``auto``.
        answer_s_per_token: what an answer takes before its session goes on, s for each token.
    """

    format: str = "auto"
    label_column: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    time_unit: str = "auto"
    answer_s_per_token: float | None = None

    def form_of(self, found: Sequence[str], path: Path) -> TraceFormat:
        """The format of a file with these columns.

        Raises:
            WorkloadError: no format fits, or a column that is named is not there.
        """
        if not self.columns:
            return find_format(found, path, self.format)
        if self.format != "auto":
            raise WorkloadError(
                f"{path}: found workload.columns beside workload.format {self.format}; expected one of the two"
            )
        return mapped_format(found, path, self.columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """A file of JSON objects.

    Attributes:
        items: the objects; an empty one where there is none.
        text: (n,) as written.
        first_line: line of the file that holds the first, from 1; 0 where they are no lines.
    """

    items: Sequence[Mapping[str, Any]]
    text: Sequence[str]
    first_line: int

    @property
    def conversations(self) -> bool:
        """Whether they list messages and no lengths."""
        return is_conversation(next((item for item in self.items if item), {}))


def content_of(path: Path) -> Objects | list[str]:
    """The JSON objects of a file, or the lines of one that holds none.

    Raises:
        WorkloadError: there is no such file, it is empty, packed in a way that is not read, or cut off.
    """
    read = trace_bytes(path)
    if packed := next((name for start, name in _PACKED.items() if read.startswith(start)), ""):
        raise WorkloadError(f"{path}: found {packed}; expected text in UTF-8: CSV with a header, or JSON")
    text = re.sub("\r\n?", "\n", read.decode("utf-8-sig", errors="replace")).rstrip()
    if not text:
        raise WorkloadError(f"{path}: the file is empty, expected a header or JSON objects, and requests")
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text, object_pairs_hook=_once, parse_int=json_whole)
        except (ValueError, RecursionError) as error:
            words = str(error)[:80]
            raise WorkloadError(f"{path}: no valid JSON list: {words}; is the file cut off?") from error
        objects = [item if isinstance(item, dict) else {} for item in items]
        return Objects(items=objects, text=[str(item)[:80] for item in items], first_line=0)
    lines = text.split("\n")
    if lines[0].startswith("{"):
        _expect_rows(lines[0], text, path)
        return Objects(items=[_json_object(line) for line in lines], text=lines, first_line=1)
    return lines


def rows_of(content: Objects | list[str], path: Path, wanted: Wanted) -> tuple[Rows, tuple[str, ...]]:
    """The requests of a file, and what was made of them, full sentences.

    Raises:
        WorkloadError: its columns are those of no format, or no column has a name that was given.
    """
    if not isinstance(content, Objects):
        _expect_no_answers(path, wanted)
        return _csv_rows(content, path, wanted), ()
    items, source = flat(content.items)
    first_line = content.first_line if len(items) == len(content.items) else 0
    found = Objects(items=items, text=[content.text[at] for at in source], first_line=first_line)
    if not are_sessions(items):
        _expect_no_answers(path, wanted)
        return _json_rows(found, path, wanted), ()
    if not any(item.get("timestamp") is not None for item in items):
        raise WorkloadError(
            f"{path}: found turns with a delay after the answer before, and no timestamp of any session's first turn; "
            "expected the timestamp of each, or workload.lengths with workload.rate_req_per_s"
        )
    unit = "ms" if wanted.time_unit == "auto" else wanted.time_unit
    took = ANSWER_S_PER_TOKEN if wanted.answer_s_per_token is None else wanted.answer_s_per_token
    turns = sessions_at(items, unit=unit, answer_s_per_token=took)
    words = f"{path.name}: {sessions_words(items, wanted.answer_s_per_token)}"
    rows = _json_rows(replace(found, items=turns), path, wanted)
    return replace(rows, form=f"{rows.form}, after sound turns of its session"), (words,)


def _expect_no_answers(path: Path, wanted: Wanted) -> None:
    """Raises WorkloadError where it is said what an answer takes, and no turn waits for one."""
    if wanted.answer_s_per_token is not None:
        raise WorkloadError(
            f"{path}: found workload.answer_s_per_token; expected none for this file: no turn comes a delay after the "
            "answer before"
        )


def _expect_rows(line: str, text: str, path: Path) -> None:
    """See that JSON objects stand on a line each: raises WorkloadError where the whole file is one object."""
    if not _json_object(line) and (whole := _json_object(text)):
        keys = ", ".join(whole)[:80]
        raise WorkloadError(f"{path}: found one JSON object ({keys}); expected one per request: a list, or a line each")


def _csv_rows(lines: Sequence[str], path: Path, wanted: Wanted) -> Rows:
    import pandas as pd

    between = separator(lines[0])
    header = [name.strip().strip('"').strip() for name in lines[0].split(between)]
    if all(_is_number(name) for name in header if name):
        raise WorkloadError(f"{path}: line 1: found numbers ('{lines[0][:80]}'); expected a header that names columns")
    trace_format, labelled = wanted.form_of(header, path), column_of(header, wanted.label_column, path)
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
    return Rows(
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


def _json_rows(content: Objects, path: Path, wanted: Wanted) -> Rows:
    import pandas as pd

    dotted = [name for name in wanted.columns.values() if "." in name]
    objects = [_with_inner(item, dotted) for item in content.items] if dotted else content.items
    first = next((o for o in objects if o), {})
    names, hashed = list(first), any("hash_ids" in o for o in objects)
    trace_format, labelled = wanted.form_of(names, path), column_of(names, wanted.label_column, path)
    read = [pd.Series([_scalar(o.get(name)) for o in objects], dtype=object) for name in trace_format.columns]
    dated, columns = _numbers(read, path)
    prompt = trace_format.columns[1]
    return Rows(
        first_line=content.first_line,
        text=content.text,
        form="a whole JSON object, each key once"
        + (", hash_ids a list of whole numbers, no more than the prompt has tokens" if hashed else ""),
        unreadable=np.fromiter((not o or not _sound_hashes(o, o.get(prompt)) for o in objects), np.bool_, len(objects)),
        form_of=trace_format,
        dated=dated,
        columns=columns,
        hash_ids=[_hashes(o) for o in objects] if hashed else (),
        labels=[label_text(o.get(labelled)) for o in objects] if labelled else (),
    )


def _with_inner(item: Mapping[str, Any], dotted: Sequence[str]) -> Mapping[str, Any]:
    """An object with what lies inside it under dotted names, such as ``usage.prompt_tokens``."""
    inner = dict[str, Any]()
    for name in dotted:
        value: Any = item
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        inner |= {name: value} if value is not None else {}
    return {**item, **inner} if item else item


def _hashes(found: Mapping[str, Any]) -> Sequence[int] | None:
    """The hashes of a prompt's blocks; None where they are no whole numbers."""
    ids = found.get("hash_ids")
    if isinstance(ids, range):
        return ids
    return ids if isinstance(ids, list) and all(type(each) is int for each in ids) else None


def _sound_hashes(found: Mapping[str, Any], prompt: object) -> bool:
    """Whether the blocks of a prompt, where they are given, are whole numbers and no more than its tokens."""
    if found.get("hash_ids") is None:
        return True
    ids = _hashes(found)
    return ids is not None and not (isinstance(prompt, int) and len(ids) > max(prompt, 0))


def _json_object(line: str) -> Mapping[str, Any]:
    """The object on a line, an empty one where there is none."""
    try:
        value = json.loads(line, object_pairs_hook=_once, parse_int=json_whole)
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
        text[~np.isfinite(times)].str.match(DATE).mean() > np.isfinite(times).mean()
    )
    if dated:
        zoned = text.str.contains(ZONE.pattern, regex=True) & text.str.match(DATE)
        naive = text.str.match(DATE) & ~zoned
        if zoned.any() and naive.any():
            zoned_row, naive_row = int(np.argmax(zoned)), int(np.argmax(naive))
            raise WorkloadError(
                f"{path}: found dates with a time zone ('{text.iloc[zoned_row][:40]}') and without "
                f"('{text.iloc[naive_row][:40]}'); expected all of one kind"
            )
        date = pd.to_datetime(text.where(text.str.match(DATE)), format="ISO8601", utc=True, errors="coerce")
        times = np.asarray((date - date.min()).dt.total_seconds(), np.float64)
    return dated, np.stack([times, *(_floats(column) for column in tokens)])


def _floats(column: "pd.Series[Any]") -> NDArray[np.float64]:
    import pandas as pd

    if column.dtype == np.bool_:  # a column of True and False holds no numbers
        return np.full(len(column), np.nan)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
