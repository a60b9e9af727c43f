"""A question from a few words instead of a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from planner.errors import BadInput
from planner.scenario import Scenario
from planner.scenario.reading import Document, override
from planner.scenario.trace_columns import columns_of
from workloads.counts import whole_number

PROMPT_SPREAD, OUTPUT_SPREAD = 4.0, 3.5
"""95th percentile over median where only a median is given: assumed to be as in the Azure conversation trace of 2023
(measured there, n = 19,366; the code trace of the same day has 5.0 and 6.9)."""

ONE = ("1", "1.0")
"""Medians of which nothing is assumed: one token is all that a classifier answers."""

_HEAD = """\
# Written by `phasewise plan --save`. Every key: docs/scenario.md.
# A trace of yours (workload.trace) says more than lengths.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What is asked, as typed.

    Attributes:
        model: id, or a config.json.
        rate_req_per_s: requests/s; None keeps a trace's own.
        trace: a trace file or a built-in workload; then no lengths.
        prompt: tokens of a prompt: the median, or MEDIAN:P95.
        output: tokens of an answer, likewise.
        ttft_s: limit on the 99th percentile of the time to first token, s.
        tpot_s: limit on the 99th percentile of the time per output token of a request, s.
        e2e_s: limit on the 99th percentile of the time to the last token, s.
        machines: types to choose from, separated by commas.
        columns: of the trace, as ``columns_of`` reads them; they ask nothing by themselves.
    """

    model: str | None = None
    rate_req_per_s: float | None = None
    trace: str | None = None
    prompt: str | None = None
    output: str | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    machines: str | None = None
    columns: str | None = None

    @property
    def given(self) -> bool:
        """Whether anything is asked."""
        return any(getattr(self, name) is not None for name in self.__slots__ if name != "columns")


_EXAMPLE = Flags(
    model="llama-3.1-70b", rate_req_per_s=40, prompt="1000", output="200", ttft_s=1, machines="dgx-h100,hgx-h200"
)
"""Stands for words that lack, while those that were typed are looked at."""


_KEYS: Mapping[str, tuple[str, ...]] = {
    "model": ("model", "name"), "rate_req_per_s": ("workload", "rate_req_per_s"), "trace": ("workload", "trace"),
    "prompt": ("workload", "lengths", "prompt"), "output": ("workload", "lengths", "output"),
    "ttft_s": ("slo", "ttft_p99_s"), "tpot_s": ("slo", "tpot_p99_s"), "e2e_s": ("slo", "e2e_p99_s"),
    "machines": ("catalog", "machines"), "columns": ("workload", "columns"),
}  # fmt: skip
"""Words -> the keys that they stand for."""

_LIMITS = {"ttft_s", "tpot_s", "e2e_s"}


def question(flags: Flags, sets: Sequence[str] = ()) -> Document:
    """The scenario that the words stand for; every key knows the word it came from.

    Args:
        flags: the words.
        sets: ``dotted.key=value`` words on top.

    Raises:
        BadInput: words are missing, contradict each other, or are wrong; all of them are named at once.
    """
    wrong = _unreadable(flags)
    problems = [*_missing(flags, sets), *wrong.values()]
    if problems:
        raise BadInput(*problems, *_also(flags, wrong, sets))
    return override(_document(flags), sets)


def named(flags: Flags, sets: Sequence[str]) -> Mapping[str, Any]:
    """What words that ask nothing yet say of models, machines and traces, as plain data."""
    alone = replace(flags, prompt=None, output=None, columns=None)
    try:
        return override(_document(alone), sets).data
    except BadInput:
        return _document(alone).data


def _also(flags: Flags, wrong: Mapping[str, str], sets: Sequence[str]) -> tuple[str, ...]:
    """What a scenario of the other words is refused for, so that no fault waits behind another."""
    stand_in = {name: getattr(_EXAMPLE, name) for name in wrong}
    if flags.trace is None and not _is_set(_KEYS["trace"], sets):
        names = ("prompt", "output", "rate_req_per_s")
        stand_in |= {name: getattr(_EXAMPLE, name) for name in names if getattr(flags, name) is None}
    else:
        stand_in |= {"prompt": None, "output": None}
    stand_in |= {name: getattr(_EXAMPLE, name) for name in ("model", "machines") if getattr(flags, name) is None}
    if (flags.ttft_s, flags.tpot_s, flags.e2e_s) == (None, None, None):
        stand_in["ttft_s"] = _EXAMPLE.ttft_s
    whole = replace(flags, **stand_in)
    typed = {f"--{name.partition('_')[0]} {value}" for name, value in stand_in.items() if value is not None}
    try:
        Scenario.parse(override(_document(whole), sets))
    except BadInput as error:
        return tuple(each for each in error.problems if each.startswith("--") and each.partition(":")[0] not in typed)
    return ()


def _unreadable(flags: Flags) -> dict[str, str]:
    """Words that stand for no lengths or columns -> why."""
    found = {}
    for name, ratio in (("prompt", PROMPT_SPREAD), ("output", OUTPUT_SPREAD)):
        word = getattr(flags, name)
        try:
            _length(word, ratio) if word is not None else None
        except ValueError:
            found[name] = f"--{name} {word}: expected tokens: the median, or MEDIAN:P95, for example 1000:4000"
    try:
        columns_of(flags.columns) if flags.columns is not None else None
    except BadInput as error:
        found["columns"] = "\n  ".join(error.problems)
    return found


def _document(flags: Flags) -> Document:
    """Words that can be read, as a scenario."""
    spread = (("prompt", flags.prompt, PROMPT_SPREAD), ("output", flags.output, OUTPUT_SPREAD))
    lengths = {name: _length(word, ratio) for name, word, ratio in spread if word is not None}
    columns = columns_of(flags.columns) if flags.columns is not None else None
    slo = {
        f"{key}_p99_s": limit for key in ("ttft", "tpot", "e2e") if (limit := getattr(flags, f"{key}_s")) is not None
    }
    workload = {
        "trace": flags.trace,
        "columns": columns,
        "lengths": lengths or None,
        "rate_req_per_s": flags.rate_req_per_s,
    }
    names = [word.strip() for word in (flags.machines or "").split(",") if word.strip()]
    data: dict[str, Any] = {
        "schema_version": 1,
        "name": Path(str(flags.model or "scenario").removesuffix(".json")).name,
        "model": {"name": flags.model},
        "workload": {key: value for key, value in workload.items() if value is not None},
        "slo": slo,
        "catalog": {"machines": names},
    }
    return Document(data=data, places={(): "flags", **_places(flags)})


def _missing(flags: Flags, sets: Sequence[str]) -> list[str]:
    """What has to be there as well, as a word or as a ``--set``."""
    found = []
    has = {name for name in _KEYS if getattr(flags, name) is not None or _is_set(_KEYS[name], sets)}
    if "model" not in has:
        found.append("--model: missing; expected a model, for example llama-3.1-70b (`phasewise models` lists them)")
    lacking = [f"--{name.partition('_')[0]}" for name in ("rate_req_per_s", "prompt", "output") if name not in has]
    if "trace" not in has and lacking:
        found.append(f"{', '.join(lacking)}: missing; expected requests/s and tokens, or --trace")
    if flags.trace is not None and (flags.prompt, flags.output) != (None, None):
        found.append("--prompt, --output: found beside --trace, which has lengths of its own; expected one of the two")
    if flags.columns is not None and "trace" not in has:
        found.append("--columns: found without --trace; expected the trace file whose columns they are")
    if not has & _LIMITS and not _is_set(("slo",), sets):
        found.append("--ttft, --tpot, --e2e: missing; expected at least one limit in seconds")
    if "machines" not in has:
        found.append("--machines: missing; expected types, for example dgx-h100,hgx-h200 (`phasewise machines`)")
    return found


def _is_set(path: tuple[str, ...], sets: Sequence[str]) -> bool:
    """Whether a ``--set`` gives a key, one within it, or the section that it stands in."""
    keys = (tuple(word.partition("=")[0].split(".")) for word in sets)
    return any(key[: len(path)] == path or path[: len(key)] == key for key in keys)


def _length(word: str, ratio: float) -> dict[str, float]:
    """Median and 95th percentile; a single token is all there is of it."""
    median, colon, p95 = word.partition(":")
    middle = _number(median)
    ratio = 1.0 if word in ONE else ratio
    return {"median_tokens": middle, "p95_tokens": _number(p95) if colon else _number(f"{middle * ratio:g}")}


def _number(word: str) -> float:
    """A number, whole where it was typed so."""
    return float(word) if (whole := whole_number(word)) is None else whole


def _places(flags: Flags) -> dict[tuple[str | int, ...], str]:
    """Where every key came from."""
    given = ((name, path, getattr(flags, name)) for name, path in _KEYS.items())
    return {path: f"--{name.partition('_')[0]} {value}" for name, path, value in given if value is not None}


def assumed(flags: Flags) -> tuple[str, ...]:
    """What was not asked and had to be assumed, a sentence each."""
    spread = (("prompt", "prompts", PROMPT_SPREAD), ("output", "answers", OUTPUT_SPREAD))
    single = [
        (what, ratio) for name, what, ratio in spread
        if (word := getattr(flags, name)) and ":" not in word and word not in ONE
    ]  # fmt: skip
    return tuple(
        f"the 95th percentile of {what} is assumed to be {ratio:g} times the median, as in azure-conv-2023"
        for what, ratio in single
    )


def scenario_text(flags: Flags, sets: Sequence[str] = ()) -> str:
    """The scenario as a file to go on with, ``--set`` words included; what was assumed stands above it."""
    notes = "".join(f"# {words[0].upper()}{words[1:]}.\n" for words in assumed(flags))
    return _HEAD + notes + yaml.safe_dump(dict(question(flags, sets).data), sort_keys=False, allow_unicode=True)
