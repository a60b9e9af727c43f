"""Questions as notebooks put them: a scenario, a file, or a few words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from planner.errors import BadInput
from planner.resolve.questions import question_of
from planner.scenario import Scenario, document_of
from planner.scenario.flags import Flags, question
from planner.scenario.fleet import Fleet


class Words(TypedDict, total=False):
    """A question without a file, as the options of ``phasewise plan`` put it.

    Attributes:
        model: id, or a config.json.
        rate: requests/s.
        trace: a trace file or a built-in workload, in place of lengths.
        prompt: tokens of a prompt: the median, or ``"MEDIAN:P95"``.
        output: tokens of an answer, likewise.
        ttft: limit on the 99th percentile of the time to first token, s.
        tpot: limit on the 99th percentile of the time per output token, s.
        e2e: limit on the 99th percentile of the time to last token, s.
        machines: types to choose from.
    """

    model: str
    rate: float
    trace: str | Path
    prompt: float | str
    output: float | str
    ttft: float
    tpot: float
    e2e: float
    machines: str | Sequence[str]


_NAMES = {"rate": "rate_req_per_s", "ttft": "ttft_s", "tpot": "tpot_s", "e2e": "e2e_s"}


def asked(scenario: Scenario | Fleet | Path | str | None, words: Words) -> Scenario | Fleet:
    """The question.

    Args:
        scenario: one that was made, or the path of one; None where words ask.
        words: instead.

    Raises:
        BadInput: both or neither were given, or what was is wrong.
    """
    unknown = set(words) - set(Words.__annotations__)
    if unknown:
        raise BadInput(*(f"plan: {name}: is no word; expected {', '.join(Words.__annotations__)}" for name in unknown))
    if scenario is not None and words:
        raise BadInput(
            f"plan: found a scenario and {', '.join(words)}; expected one of them (Scenario.changed changes)"
        )
    if isinstance(scenario, Scenario | Fleet):
        return scenario
    if scenario is not None:
        return question_of(document_of(Path(scenario), ()))
    given: dict[str, Any] = {_NAMES.get(name, name): _word(name, value) for name, value in words.items()}
    return question_of(question(Flags(**given)))


def _word(name: str, value: object) -> object:
    """A value as it would be typed: lists with commas; lengths and paths as text."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Sequence):
        return ",".join(map(str, value))
    return f"{value:g}" if name in ("prompt", "output") else value
