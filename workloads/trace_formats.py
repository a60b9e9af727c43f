"""The trace formats that can be read, by the names of their columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from workloads.errors import WorkloadError

UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Unit of arrival times -> seconds."""

_SHOWN_CHARACTERS = 200


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


FORMATS = (
    TraceFormat(name="azure", columns=("TIMESTAMP", "ContextTokens", "GeneratedTokens"), unit="s"),
    TraceFormat(name="mooncake", columns=("timestamp", "input_length", "output_length"), unit="ms", whole=True),
    TraceFormat(name="burstgpt", columns=("Timestamp", "Request tokens", "Response tokens"), unit="s", whole=True),
    TraceFormat(name="vidur", columns=("arrived_at", "num_prefill_tokens", "num_decode_tokens"), unit="s"),
    TraceFormat(
        name="plain", columns=("arrival_s", "prompt_tokens", "output_tokens"), unit="s", named=True,
        also={"arrival_ms": "ms", "arrival_us": "us", "arrival_ns": "ns"},
    ),
)  # fmt: skip


def find_format(found: Sequence[str], path: Path, wanted: str) -> TraceFormat:
    """The format whose columns are all there, its arrival column and unit as the file has them.

    Raises:
        WorkloadError: the name is unknown, no format fits, or one of its columns is there twice.
    """
    known = {f.name: f for f in FORMATS}
    if wanted not in (*known, "auto"):
        near = get_close_matches(wanted, (*known, "auto"), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise WorkloadError(f"{path}: format '{wanted}' is unknown, expected auto, {', '.join(known)}{hint}")
    candidates = FORMATS if wanted == "auto" else (known[wanted],)
    for candidate in (variant for each in candidates for variant in _variants(each)):
        if set(candidate.columns) <= set(found):
            twice = [name for name in candidate.columns if list(found).count(name) > 1]
            if twice:
                raise WorkloadError(f"{path}: line 1: found the column {', '.join(twice)} twice, expected it once")
            return candidate
    expected = "; ".join(f"{c.name}: {', '.join(c.columns)}" for c in candidates)
    shown = ", ".join(found) or "(none)"
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}… ({len(shown)} characters)"
    raise WorkloadError(f"{path}: line 1: found the columns {shown}; expected those of {expected}")


def _variants(trace_format: TraceFormat) -> list[TraceFormat]:
    """The format with each name that its arrival column may have."""
    _, *tokens = trace_format.columns
    others = [
        TraceFormat(name=trace_format.name, columns=(column, tokens[0], tokens[1]), unit=unit, named=True)
        for column, unit in trace_format.also.items()
    ]
    return [trace_format, *others]
