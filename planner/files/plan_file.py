"""Plans to files and back: the same plan is always the same bytes."""

import dataclasses
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from hw_catalog.strict_files import MAX_JSON_BYTES, Unreadable, json_document, read_text
from planner import __version__
from planner.errors import BadInput
from planner.files.faults import impossible, plan_faults, study_faults
from planner.files.seals import WHOLE, bound, digest, unlike
from planner.files.writing import write_whole
from planner.results.evidence import Evidence, NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan
from planner.scenario import SEVERAL, Scenario
from planner.scenario.digest import digest_of
from planner.scenario.findings import findings
from planner.scenario.reading import Document
from workloads.slo import Unit

SCHEMA_VERSION = 1
_DIGITS = 9
_NUMBERS = ("int_type", "float_type", "bool_type")
_BOUNDLESS = ("measured", "low", "high")

EDITED = "unvalidated (edited since it was simulated)"
"""What a plan is whose file, or some part of it, is not as it was written after the simulation."""


class Written(BaseModel):
    """What every file of a plan says besides the question and the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # a plan that is written needs no reader

    schema_version: Literal[1] = Field(description="version of this format")
    phasewise_version: str = Field(description="what wrote the file")
    validated: Literal[True] = Field(description="only validated plans are written")
    digests: dict[str, str] = Field(description="what was read (scenario, catalog, trace) -> SHA-256, hex")
    content_sha256: str = Field("", description="SHA-256 of all else in the file, hex; tells a plan edited since")
    evidence_sha256: dict[str, str] = Field(
        default_factory=dict, description="part of the evidence -> SHA-256 of it with question and machines, 16 digits"
    )
    _differences: tuple[str, ...] = PrivateAttr(default=())
    _standing: str = PrivateAttr(default="")
    _sealed: bool = PrivateAttr(default=True)

    @property
    def sealed(self) -> bool:
        """The file has the digest of all that it says: it claims to be as it was written."""
        return self._sealed

    @property
    def edited(self) -> bool:
        """The file is not as it was written after the simulation: nothing is known of what it says now."""
        return bool(self._standing)

    @property
    def standing(self) -> str:
        """What such a plan is; empty where it is as it was simulated."""
        return self._standing

    @property
    def differences(self) -> tuple[str, ...]:
        """What is not as it was simulated, a sentence each."""
        return self._differences

    def doubted(self, standing: str, differences: Sequence[str]) -> Self:
        """The same file, not as it was simulated."""
        self._standing, self._differences = self._standing or standing, (*self._differences, *differences)
        return self

    @classmethod
    def of(cls, data: Mapping[str, Any], path: Path) -> Self:
        """The file that plain data describes, with what in it is not as it was simulated.

        Raises:
            BadInput: with every value that is missing, unknown, of the wrong kind or out of range.
        """
        problems = [f"{path}: {problem}" for problem in impossible(data)]
        try:
            file = cls.model_validate(_boundless(data))
        except ValidationError as error:
            document = Document(data=data, places={(): str(path)})
            told = {tuple(map(str, detail["loc"])) for detail in error.errors(include_url=False)}
            problems += [f"{path}: {problem}" for problem in _taken_for(cls, data, told)]
            raise BadInput(*findings(error, document, cls), *problems, *_of_another(data, path)) from None
        problems += [f"{path}: {problem}" for problem in _misread(data, plain(file), "")]
        if problems:
            raise BadInput(*problems, *_of_another(data, path))
        found, file._sealed = tuple(unlike(data)), data.get(WHOLE) == digest(data)
        return file.doubted(EDITED, found) if found or not file.sealed else file


def _of_another(data: Mapping[str, Any], path: Path) -> list[str]:
    """What to do with a file that another version wrote and this one cannot read."""
    version = data.get("phasewise_version")
    if version == __version__ or not isinstance(version, str):
        return []
    return [f"{path}: phasewise {version[:20]!r} wrote this; expected {__version__}: plan again with this version"]


class Kept(Written):
    """The same with a question about one model: all that is needed to check the plan or make it again."""

    scenario: Scenario = Field(description="the question, with every default spelled out")


WrittenKind = TypeVar("WrittenKind", bound=Written)


class PlanFile(Kept):
    """A validated plan with everything needed to check it or make it again. Infinite numbers are written as null."""

    plan: ValidatedPlan = Field(description="the answer and its evidence")


def exact(number: float) -> float | str:
    """A float bit for bit; infinities as words, which readers of JSON data take for them."""
    return number if math.isfinite(number) else str(number)


def plain(value: object, number: Callable[[float], object] | None = None) -> Any:  # noqa: ANN401  JSON has no narrower type
    """Data classes, models and numbers as JSON data.

    Floats keep 9 significant digits, so that the last bits of a sum do not change a file; infinities become None.

    Args:
        value: any of these.
        number: how floats are kept where it is otherwise.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")  # what the user wrote is kept digit by digit
    if isinstance(value, Evidence):
        return plain(value.flat(), number)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), number) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item, number) for key, item in value.items()}
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (number or _stable)(value) if isinstance(value, float) else value
    return [plain(item, number) for item in value]


def dumps(value: object) -> str:
    """JSON text with sorted keys, ending in a newline."""
    return _text(plain(value))


def _text(data: object) -> str:
    """Plain data as files have them."""
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def sealed(content: Mapping[str, object]) -> str:
    """JSON text of a file with the digest of all that it says."""
    return _sealed(plain(content))


def _sealed(data: Mapping[str, Any]) -> str:
    """The same of plain data."""
    return _text({**data, WHOLE: digest(data)})


def bound_text(content: Mapping[str, object]) -> str:
    """The same with every part of the evidence bound to the question and the machines that it was simulated for."""
    return _sealed(bound(plain(content)))


def plan_text(scenario: Scenario, plan: ValidatedPlan, digests: Mapping[str, str]) -> str:
    """The content of ``plan.json``: same arguments, same text."""
    head = {"schema_version": SCHEMA_VERSION, "phasewise_version": __version__, "validated": True}
    return bound_text({**head, "digests": digests, "scenario": scenario, "plan": plan})


def edited_text(file: PlanFile, now: CandidatePlan, moved: Sequence[str]) -> str:
    """What is known of a plan that was edited since it was simulated, as JSON that no verb takes for a plan.

    Args:
        file: as it was read.
        now: its plan with the figures that it has now.
        moved: the figures of the file that are others, a line each.
    """
    head = {"schema_version": SCHEMA_VERSION, "phasewise_version": __version__, "validated": False, "edited": True}
    return dumps({**head, "scenario": file.scenario, "candidate": now, "disagreements": moved})


def no_plan_text(scenario: Scenario, no_plan: NoPlan, digests: Mapping[str, str]) -> str:
    """The honest other answer as JSON; never written where a plan was asked for."""
    head = {"schema_version": SCHEMA_VERSION, "phasewise_version": __version__, "validated": False}
    return dumps({**head, "digests": digests, "scenario": scenario, "no_plan": no_plan})


def write_plan(path: Path, scenario: Scenario, plan: ValidatedPlan, digests: Mapping[str, str]) -> None:
    """Write ``plan.json`` whole or not at all.

    Raises:
        BadInput: the directory cannot be written to; what was there before is untouched.
    """
    write_whole(path, plan_text(scenario, plan, digests))


def holds_plan(path: Path) -> bool:
    """Whether a file is to be read as one that ``plan --out`` wrote: by its suffix, else by what it says."""
    if path.suffix == ".json":
        return True
    try:
        text = read_text(path, "a plan.json", limit_bytes=MAX_JSON_BYTES)
    except Unreadable:
        return False
    return text.startswith("{") and '"content_sha256": ' in text


def loaded(path: Path) -> dict[str, Any]:
    """The data of a file that ``plan --out`` wrote, of whatever kind of plan.

    Raises:
        BadInput: it cannot be read, is cut off, has a key twice or a number without end, or is of another version.
    """
    try:
        text = read_text(path, "a plan.json", limit_bytes=MAX_JSON_BYTES)
        if not text.lstrip().startswith("{"):
            raise BadInput(f"{path}: is no plan; expected a plan.json: `phasewise plan SCENARIO --out plan.json`")
        data = json_document(text, str(path), "a plan.json")
    except Unreadable as error:
        raise BadInput(*error.problems) from None
    if not isinstance(data, dict):
        raise BadInput(f"{path}: found {type(data).__name__}; expected a plan.json")
    if type(data.get("schema_version")) is not int or data["schema_version"] != SCHEMA_VERSION:
        found = data.get("schema_version", "none")
        if "plan" not in data and "fleet" not in data and "timetable" not in data:
            raise BadInput(f"{path}: is no plan; expected a plan.json: `phasewise plan SCENARIO --out plan.json`")
        raise BadInput(
            f"{path}: schema_version: found {found}; expected {SCHEMA_VERSION}: plan again with this version"
        )
    return data


def read_plan(path: Path, *, edited_too: bool = False) -> PlanFile:
    """Read ``plan.json``.

    Args:
        path: the file.
        edited_too: read it even where it was edited since it was simulated; ``edited`` of the answer says so.

    Raises:
        BadInput: it is cut off, of another version, has unknown or missing keys, contradicts itself, or was edited.
    """
    data = loaded(path)
    if "fleet" in data:
        raise BadInput(f"{path}: found the plans of several models; expected that of one: {SEVERAL}")
    if "timetable" in data:
        raise BadInput(
            f"{path}: found a plan over time; expected the plan of one load (`show`, `simulate`, `diff` with another "
            "of its kind and `export --format csv` read this one)"
        )
    expect_validated(data, path)
    file = PlanFile.of(data, path)
    expect_sound(file, path, contradictions(file), edited_too=edited_too)
    return file


def read_kind(
    path: Path,
    key: str,
    form: type[WrittenKind],
    contradictions: Callable[[WrittenKind], Iterable[str]],
    *,
    edited_too: bool,
) -> WrittenKind | None:
    """A file of plans of one kind; None where it is of another.

    Args:
        path: the file.
        key: that only this kind has.
        form: of the kind.
        contradictions: what in it cannot be true, a sentence each.
        edited_too: read it even where it was edited since it was simulated.

    Raises:
        BadInput: it cannot be read, or holds plans that are cut off, of another version, contradictory, or edited.
    """
    data = loaded(path)
    if key not in data:
        return None
    expect_validated(data, path)
    file = form.of(data, path)
    expect_sound(file, path, contradictions(file), edited_too=edited_too)
    return file


def expect_validated(data: Mapping[str, Any], path: Path) -> None:
    """Refuse a file that does not even claim to hold a validated plan.

    Raises:
        BadInput: it does not.
    """
    if data.get("validated") is not True:
        raise BadInput(f"{path}: validated: found {data.get('validated')!r}; expected true: this is no validated plan")


def expect_sound(file: Written, path: Path, contradictions: Iterable[str], *, edited_too: bool) -> None:
    """Refuse a plan that contradicts itself, or that no simulation has seen as it is now.

    Raises:
        BadInput: it does, every contradiction a sentence; or it was edited, and that is not allowed here.
    """
    if found := tuple(f"{path}: {text}" for text in contradictions):
        raise BadInput(*found)
    if file.edited and not edited_too:
        raise BadInput(
            f"{path}: {file.standing}; expected the file as `plan --out` wrote it (`simulate` says what this one does)",
            *(f"{path}: {text}" for text in file.differences),
        )


def _misread(written: object, read: object, path: str) -> Iterator[str]:
    """Values that were taken for something else: ``true`` or "3" for a number, 2.5 for a count."""
    if isinstance(written, Mapping) and isinstance(read, Mapping):
        for key in written.keys() & read.keys():
            yield from _misread(written[key], read[key], f"{path}.{key}" if path else key)
    elif isinstance(written, list) and isinstance(read, list):
        for place, (left, right) in enumerate(zip(written, read, strict=False)):
            yield from _misread(left, right, f"{path}.{place}")
    elif isinstance(written, bool) is not isinstance(read, bool) or isinstance(written, str) is not isinstance(
        read, str
    ):
        yield f"{path}: found {written!r}; expected {'true or false' if isinstance(read, bool) else 'a number'}"


def _taken_for(kind: type[BaseModel], data: Mapping[str, Any], told: Collection[tuple[str, ...]]) -> Iterator[str]:
    """The same of a file that cannot be read for other reasons, which are told."""
    try:
        kind.model_validate_json(json.dumps(_boundless(data)), strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place, found = tuple(map(str, detail["loc"])), detail["input"]
            if detail["type"] in _NUMBERS and isinstance(found, bool | str) and place not in told:
                yield f"{'.'.join(place)}: found {found!r}; expected a number"


def schemas(**others: type[BaseModel]) -> dict[str, Any]:
    """JSON Schemas of the files people exchange: ``scenario``, ``plan``, and others by name."""
    kinds: dict[str, type[BaseModel]] = {"plan": PlanFile, **others}
    found = {name: kind.model_json_schema() for name, kind in kinds.items()}
    number = {"anyOf": [{"type": "number"}, {"type": "null"}], "description": "null: too many never finished"}
    for schema in found.values():
        evidence = schema["$defs"]["Evidence"]
        evidence["properties"] |= {
            **dict.fromkeys(_BOUNDLESS, number), "slo": {"type": "string", "description": "for example ttft_p99_s"},
            "unit": {"enum": [unit.value for unit in Unit]}, "limit": {"type": "number"},
        }  # fmt: skip
        evidence["required"] = list(evidence["properties"])
        if "Judgement" in schema["$defs"]:
            schema["$defs"]["Judgement"]["properties"]["latency_s"]["additionalProperties"] = number
    return {**found, "scenario": Scenario.model_json_schema()}


def contradictions(file: PlanFile) -> Iterator[str]:
    """What a hand that edits one number forgets to edit elsewhere."""
    yield from plan_faults(file.scenario, file.plan)
    yield from other_question(file)
    if file.sealed:
        yield from study_faults(file.scenario, file.plan)


def other_question(file: Kept) -> Iterator[str]:
    """A question that is not the one which the plan was made for, in a file that does not say that it was edited."""
    told, now = file.digests.get("scenario"), digest_of(file.scenario)
    if file.sealed and told is not None and told != now:
        yield f"scenario: found another than the plan was made for (digests.scenario {told[:12]}; expected {now[:12]})"


def _stable(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if not math.isinf(value) else None


def _boundless(found: Any) -> Any:  # noqa: ANN401  JSON has no narrower type
    """JSON data with null read as infinity where files write infinity as null."""
    if isinstance(found, list):
        return [_boundless(item) for item in found]
    if not isinstance(found, dict):
        return found
    unbound = {
        key: math.inf if value is None and key in _BOUNDLESS else _boundless(value) for key, value in found.items()
    }
    if isinstance(latency_s := found.get("latency_s"), dict):
        unbound["latency_s"] = {key: math.inf if value is None else value for key, value in latency_s.items()}
    return unbound
