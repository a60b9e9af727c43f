"""Plans to files and back: the same plan is always the same bytes."""

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from planner import __version__
from planner.errors import BadInput
from planner.results.evidence import NoPlan, ValidatedPlan, Verdict
from planner.results.plan import Objective
from planner.scenario import Scenario
from planner.scenario.findings import findings
from planner.scenario.reading import Document

SCHEMA_VERSION = 1
_DIGITS = 9
_BOUNDLESS = ("measured", "low", "high")


class Kept(BaseModel):
    """What every file of a plan says besides the plan: all that is needed to check it or make it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(description="version of this format")
    phasewise_version: str = Field(description="what wrote the file")
    validated: Literal[True] = Field(description="only validated plans are written")
    digests: dict[str, str] = Field(description="what was read (scenario, catalog, trace) -> SHA-256, hex")
    scenario: Scenario = Field(description="the question, with every default spelled out")


class PlanFile(Kept):
    """A validated plan with everything needed to check it or make it again. Infinite numbers are written as null."""

    plan: ValidatedPlan = Field(description="the answer and its evidence")


def plain(value: object) -> Any:  # noqa: ANN401  JSON has no narrower type
    """Data classes, models and numbers as JSON data.

    Floats keep 9 significant digits, so that the last bits of a sum do not change a file; infinities become None.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")  # what the user wrote is kept digit by digit
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str) or not isinstance(value, Sequence):
        return _stable(value) if isinstance(value, float) else value
    return [plain(item) for item in value]


def dumps(value: object) -> str:
    """JSON text with sorted keys, ending in a newline."""
    return json.dumps(plain(value), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def plan_text(scenario: Scenario, plan: ValidatedPlan, digests: Mapping[str, str]) -> str:
    """The content of ``plan.json``: same arguments, same text."""
    head = {"schema_version": SCHEMA_VERSION, "phasewise_version": __version__, "validated": True}
    return dumps({**head, "digests": digests, "scenario": scenario, "plan": plan})


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


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that no reader ever sees half of it.

    Raises:
        BadInput: the directory cannot be written to; what was there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}; nothing was written") from None
    finally:
        temporary.unlink(missing_ok=True)


def loaded(path: Path) -> dict[str, Any]:
    """The data of a file that ``plan --out`` wrote, of whatever kind of plan.

    Raises:
        BadInput: it cannot be read, is cut off, or of another version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_hook=_boundless)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}; expected a plan.json") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not UTF-8 text; expected a plan.json") from None
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}:{error.lineno}: no valid JSON: {error.msg}; is the file cut off?") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path}: found {type(data).__name__}; expected a plan.json")
    if data.get("schema_version") != SCHEMA_VERSION:
        found = data.get("schema_version", "none")
        raise BadInput(
            f"{path}: schema_version: found {found}; expected {SCHEMA_VERSION}: plan again with this version"
        )
    return data


def read_plan(path: Path) -> PlanFile:
    """Read ``plan.json``.

    Raises:
        BadInput: it is cut off, of another version, has unknown or missing keys, or contradicts itself.
    """
    data = loaded(path)
    if "timetable" in data:
        raise BadInput(
            f"{path}: found a plan over time; expected the plan of one load (`show`, `simulate`, `diff` with another "
            "of its kind and `export --format csv` read this one)"
        )
    if data.get("validated") is not True:
        raise BadInput(f"{path}: validated: found {data.get('validated')!r}; expected true: this is no validated plan")
    try:
        file = PlanFile.model_validate(data)
    except ValidationError as error:
        document = Document(data=data, places={(): str(path)})
        raise BadInput(*findings(error, document, PlanFile)) from None
    contradictions = tuple(f"{path}: {text}" for text in _contradictions(file))
    if contradictions:
        raise BadInput(*contradictions)
    return file


def schemas(**others: type[BaseModel]) -> dict[str, Any]:
    """JSON Schemas of the files people exchange: ``scenario``, ``plan``, and others by name."""
    kinds: dict[str, type[BaseModel]] = {"plan": PlanFile, **others}
    found = {name: kind.model_json_schema() for name, kind in kinds.items()}
    number = {"anyOf": [{"type": "number"}, {"type": "null"}], "description": "null: too many never finished"}
    for schema in found.values():
        for key in _BOUNDLESS:
            schema["$defs"]["Evidence"]["properties"][key] = number
        if "Judgement" in schema["$defs"]:
            schema["$defs"]["Judgement"]["properties"]["latency_s"]["additionalProperties"] = number
    return {**found, "scenario": Scenario.model_json_schema()}


def _contradictions(file: PlanFile) -> Iterator[str]:
    """What a hand that edits one number forgets to edit elsewhere."""
    plan, candidate, totals = file.plan, file.plan.candidate, file.plan.candidate.totals
    machines = sum(pool.machines for pool in candidate.pools)
    if machines != totals.machines:
        yield f"plan.candidate.totals.machines: found {totals.machines}; expected {machines}, the sum over the pools"
    used = sum(pool.instances * pool.spec.layout.gpus for pool in candidate.pools)
    if used > totals.gpus:
        yield f"plan.candidate.totals.gpus: found {totals.gpus}; expected at least {used}, what the instances use"
    if plan.objective != file.scenario.objective:
        yield f"plan.objective: found {plan.objective}; expected the scenario's {file.scenario.objective}"
    value = {
        Objective.COST: totals.cost_usd_per_h,
        Objective.POWER: totals.power_w,
        Objective.MACHINES: float(totals.machines),
    }.get(file.scenario.objective, plan.objective_value)
    if not math.isclose(value, plan.objective_value, rel_tol=1e-6):
        yield f"plan.objective_value: found {plan.objective_value:g}; expected {value:g}, as in the totals"
    for key, limit in plain(file.scenario.budget()).items():
        needed = getattr(totals, key, 0)
        if limit is not None and needed > limit * (1 + 1e-6):
            yield f"plan.candidate.totals.{key}: found {needed:g}; expected at most the budget of {limit:g}"
    asked = {slo.name: f"{slo.limit:.{_DIGITS}g} {slo.unit}" for slo in file.scenario.slos()}
    shown = {evidence.slo: f"{evidence.limit:.{_DIGITS}g} {evidence.unit}" for evidence in plan.judgement.evidence}
    if asked != shown:
        yield f"plan.judgement.evidence: found {shown}; expected one entry per objective of the scenario, {asked}"
    for evidence in plan.judgement.evidence:
        if evidence.verdict is Verdict.MET and not evidence.high <= evidence.limit:
            yield f"plan.judgement.evidence: {evidence.slo}: met, though {evidence.high:g} > {evidence.limit:g}"
    if not plan.judgement.valid:
        yield "plan.judgement: found an objective that is not met, or requests left behind; a validated plan has none"


def _stable(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if not math.isinf(value) else None


def _boundless(found: dict[str, Any]) -> dict[str, Any]:
    unbound = {key: math.inf if value is None and key in _BOUNDLESS else value for key, value in found.items()}
    if isinstance(latency_s := found.get("latency_s"), dict):
        unbound["latency_s"] = {key: math.inf if value is None else value for key, value in latency_s.items()}
    return unbound
