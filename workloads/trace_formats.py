"""The trace formats that can be read, by the names of their columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from workloads.errors import WorkloadError

UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Unit of arrival times -> seconds."""

_SHOWN_CHARACTERS = 200

_OTHER_NAMES = (
    (
        "arrival",
        "arrivaltime",
        "arrivaltimestamp",
        "time",
        "timestamp",
        "timestamps",
        "timestampms",
        "ts",
        "t",
        "date",
        "datetime",
        "starttime",
        "startts",
        "requesttime",
        "requesttimestamp",
        "receivedat",
        "createdat",
        "submittime",
    ),
    (
        "inputtokens",
        "inputlength",
        "inputlen",
        "numinputtokens",
        "isl",
        "promptlength",
        "promptlen",
        "numprompttokens",
        "contexttokens",
        "requesttokens",
        "numprefilltokens",
        "prefilltokens",
        "tokensin",
        "intokens",
        "input",
        "prompt",
    ),
    (
        "completiontokens",
        "outputlength",
        "outputlen",
        "numoutputtokens",
        "osl",
        "generatedtokens",
        "responsetokens",
        "numdecodetokens",
        "decodetokens",
        "numcompletiontokens",
        "tokensout",
        "outtokens",
        "output",
        "completion",
    ),
)
"""What other logs call the arrival, the prompt tokens and the output tokens, as ``plain_name`` has it: for hints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFormat:
    """The columns by which a trace format is known.

    Attributes:
        name: what users write.
        columns: those that hold the arrival, the prompt tokens and the output tokens.
        unit: of the arrival column where it holds numbers, as the format's publisher says.
        named: whether the name of the arrival column itself states that unit.
        whole: whether its publisher writes whole numbers of that unit.
        also: other names of the arrival column -> the unit they state.
    """

    name: str
    columns: tuple[str, str, str]
    unit: str
    named: bool = False
    whole: bool = False
    also: Mapping[str, str] = field(default_factory=dict)


SEPARATORS: Mapping[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Between the fields of a CSV file -> its name."""

FORMATS = (
    TraceFormat(name="azure", columns=("TIMESTAMP", "ContextTokens", "GeneratedTokens"), unit="s"),
    TraceFormat(name="mooncake", columns=("timestamp", "input_length", "output_length"), unit="ms", whole=True),
    TraceFormat(name="burstgpt", columns=("Timestamp", "Request tokens", "Response tokens"), unit="s", whole=True),
    TraceFormat(name="vidur", columns=("arrived_at", "num_prefill_tokens", "num_decode_tokens"), unit="s"),
    TraceFormat(name="splitwise-sim", columns=("arrival_timestamp", "prompt_size", "token_size"), unit="s"),
    TraceFormat(
        name="plain", columns=("arrival_s", "prompt_tokens", "output_tokens"), unit="s", named=True,
        also={"arrival_ms": "ms", "arrival_us": "us", "arrival_ns": "ns"},
    ),
)  # fmt: skip


def find_format(found: Sequence[str], path: Path, wanted: str) -> TraceFormat:
    """The format whose columns are all there, its columns spelled and its unit as the file has them.

    Upper and lower case, spaces and punctuation in the name of a column do not matter where no other format fits.

    Raises:
        WorkloadError: the name is unknown, no format fits, or one of its columns is there twice.
    """
    known = {f.name: f for f in FORMATS}
    if wanted not in (*known, "auto"):
        near = get_close_matches(wanted, (*known, "auto"), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise WorkloadError(f"{path}: format '{wanted}' is unknown, expected auto, {', '.join(known)}{hint}")
    candidates = FORMATS if wanted == "auto" else (known[wanted],)
    variants = [variant for each in candidates for variant in _variants(each)]
    spellings = {name: found.index(name) for name in reversed(found)}
    loose = {plain_name(name): found.index(name) for name in reversed(found)}
    for names, spelled in ((spellings, str), (loose, plain_name)):
        for candidate in variants:
            columns = tuple(spelled(name) for name in candidate.columns)
            if not set(columns) <= set(names):
                continue
            for name in columns:
                if len(same := [each for each in found if spelled(each) == name]) > 1:
                    raise WorkloadError(f"{path}: line 1: found the column {', '.join(same)} twice, expected it once")
            arrival, prompt, output = (found[names[name]] for name in columns)
            return replace(candidate, columns=(arrival, prompt, output))
    if str(path).endswith((".yaml", ".yml")):
        raise WorkloadError(f"{path}: found YAML, such as a scenario; expected a trace, as CSV or JSON lines")
    expected = "; ".join(f"{c.name}: {', '.join(c.columns)}" for c in candidates)
    shown = ", ".join(found) or "(none)"
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}… ({len(shown)} characters)"
    hint = _nearest(found, known[wanted] if wanted != "auto" else known["plain"])
    raise WorkloadError(f"{path}: line 1: found the columns {shown}; expected those of {expected}{hint}")


KINDS = ("arrival", "prompt", "output")
"""What a column may hold, in the order of ``TraceFormat.columns``."""

_HOLDS = {"arrival": "arrival times", "prompt": "prompt tokens", "output": "output tokens"}

_UNIT_AT_END = re.compile(r"[_\-. (\[](s|secs?|seconds?|ms|msecs?|millis|us|usecs?|micros|ns|nanos)[)\]]?$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def mapped_format(found: Sequence[str], path: Path, columns: Mapping[str, str]) -> TraceFormat:
    """The format of a file whose columns are named one by one; those that are not go by the names of known formats.

    The unit of arrivals is what the end of the column's name states, such as ``sent_ms``; else seconds, where that is
    plausible.

    Args:
        found: the columns of the file.
        path: the file, for messages.
        columns: arrival, prompt or output -> the column.

    Raises:
        WorkloadError: a column that is named is not there, one that is not named has no known name, or two are the
            same.
    """
    problems, chosen = list[str](), list[str]()
    for place, kind in enumerate(KINDS):
        wanted = columns.get(kind)
        known = [wanted] if wanted else [each.columns[place] for each in FORMATS] + [*FORMATS[-1].also] * (not place)
        there = next((name for name in known if name in found), None) or next(
            (name for each in known for name in found if plain_name(name) == plain_name(each)), None
        )
        if wanted and (other := _names_another(wanted, place)):
            problems.append(
                f"{path}: workload.columns.{kind}: found '{wanted}', a name of {_HOLDS[other]}; expected that of "
                f"{_HOLDS[kind]}"
            )
        elif there is None:
            near = get_close_matches(wanted or "", found, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            named = f"no column '{wanted}'" if wanted else "no column of a known name"
            shown = ", ".join(found)[:_SHOWN_CHARACTERS]
            problems.append(f"{path}: workload.columns.{kind}: found {named}, only {shown}; expected one of them{hint}")
        chosen.append(there or "")
    if not problems and len(set(chosen)) < len(chosen):
        problems.append(f"{path}: workload.columns: found {', '.join(chosen)}; expected three different columns")
    if problems:
        raise WorkloadError(*problems)
    unit = _stated_unit(chosen[0])
    return TraceFormat(name="workload.columns", columns=(chosen[0], chosen[1], chosen[2]), unit=unit or "s",
                       named=bool(unit))  # fmt: skip


def _names_another(column: str, place: int) -> str:
    """The kind that a column's name is known for where that is another than the one at ``place``; empty elsewhere."""
    plain = plain_name(column)
    known = [
        {plain_name(each.columns[at]) for each in FORMATS} | {*_OTHER_NAMES[at]} for at in range(len(KINDS))
    ]  # fmt: skip
    if plain in known[place]:
        return ""
    return next((kind for at, kind in enumerate(KINDS) if plain in known[at]), "")


def _stated_unit(column: str) -> str:
    """The unit that the name of a column ends in; empty where it ends in none."""
    word = _UNIT_AT_END.search(_CAMEL.sub("_", column).lower())
    return {"m": "ms", "u": "us", "n": "ns", "s": "s"}[_shortest(word[1])] if word else ""


def _shortest(unit: str) -> str:
    """The first letter of a unit of time, micro told from milli."""
    return "u" if unit.startswith("micro") else unit[0]


def plain_name(column: str) -> str:
    """The letters and digits of a column's name, in lower case."""
    return "".join(letter for letter in column.lower() if letter.isalnum())


def _nearest(found: Sequence[str], trace_format: TraceFormat) -> str:
    """What columns a file has that may be those of a format under another name, in words; empty where none is near."""
    meant: dict[str, str] = {}
    for column, others in zip(trace_format.columns, _OTHER_NAMES, strict=True):
        plain = {plain_name(name): name for name in found if name not in meant}
        near = get_close_matches(plain_name(column), plain, n=1, cutoff=0.75)
        if other := next((plain[each] for each in (*others, *near) if each in plain), ""):
            meant[other] = column
    also = f", or {', '.join(trace_format.also)}" if trace_format.also else ""
    units = {trace_format.columns[0]: f" ({trace_format.unit}{also})"}
    renamed = [f"'{name}' to {column}{units.get(column, '')}" for name, column in meant.items() if name != column]
    names = {column: name for name, column in meant.items()}
    mapped = ", ".join(f"{kind}: {names.get(c, 'NAME')}" for kind, c in zip(KINDS, trace_format.columns, strict=True))
    told = f"workload.columns={{{mapped}}}"
    return f"; nearest: rename {', '.join(renamed)}, or say {told}" if renamed else f"; or say which are which: {told}"


def _variants(trace_format: TraceFormat) -> list[TraceFormat]:
    """The format with each name that its arrival column may have."""
    _, *tokens = trace_format.columns
    others = [
        TraceFormat(name=trace_format.name, columns=(column, tokens[0], tokens[1]), unit=unit, named=True)
        for column, unit in trace_format.also.items()
    ]
    return [trace_format, *others]


def separator(header: str) -> str:
    """What separates the fields of a CSV file, by its header: a comma, a semicolon, a tab or a bar.

    The one that gives the columns of a known format; else the most frequent, and the comma where there is none.
    """
    known = [{plain_name(name) for name in variant.columns} for each in FORMATS for variant in _variants(each)]
    for between in SEPARATORS:
        names = {plain_name(name) for name in header.split(between)}
        if any(columns <= names for columns in known):
            return between
    return max(SEPARATORS, key=header.count)
