"""Scenarios: the whole question, as one file."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from planner.errors import BadInput
from planner.scenario.availability_section import Availability, AvailabilitySection, number_too
from planner.scenario.class_presets import classes_spelled_out, no_classes, strangers
from planner.scenario.designs import spelled_out
from planner.scenario.energy import EnergySection
from planner.scenario.findings import findings
from planner.scenario.interval import Interval, intervals
from planner.scenario.model_section import Model
from planner.scenario.numbers import Version, Word
from planner.scenario.objectives import Budgets, Headroom, Objective
from planner.scenario.over_time import agreed, followed
from planner.scenario.policy_section import PolicySection
from planner.scenario.power import PowerSection
from planner.scenario.prefix_section import PrefixSection
from planner.scenario.reading import Document, Path_, is_there, override, read_document
from planner.scenario.schedule_section import ScheduleSection
from planner.scenario.section import Section
from planner.scenario.sections import (
    BudgetSection,
    Catalog,
    HeadroomSection,
    Objectives,
    ReferenceSection,
    SolverSection,
    ValidationSection,
    Workload,
    by_name,
    slo_of,
)
from workloads.requests import ALL_REQUESTS, RequestClass
from workloads.slo import Slo

_PLAN_FILE = frozenset({"digests", "content_sha256", "phasewise_version"})
"""Keys that plan files have and scenarios have not."""

SEVERAL = "only check, plan, whatif, frontier, simulate, show, diff and export know several models on one fleet"
"""Said by those that would plan one of them."""


class Scenario(Section):
    """The whole question: what is served, asked, promised, for sale, and allowed."""

    schema_version: Version = Field(1, description="version of this format")
    name: Word = Field(description="what you call it")
    model: Model = Field(description="what is served")
    workload: Workload = Field(description="what is asked")
    slo: Objectives = Field(
        {},
        description="<metric>_p<percentile>_s -> limit, s; or _slowdown for _s -> limit, times as long as alone on the "
        "reference; ttft, tbt, tpot, e2e or stall, all requests",
    )
    slo_by_class: Annotated[dict[Word, Objectives], AfterValidator(by_name)] = Field(
        {}, description="class name -> objectives of that class", validate_default=True
    )
    reference: ReferenceSection = Field(ReferenceSection(), description="what slowdowns are measured against")
    catalog: Catalog = Field(description="what can be bought")
    prefix_cache: PrefixSection = Field(
        PrefixSection(), description="what is found of prompts that begin as others did"
    )
    budgets: BudgetSection = Field(BudgetSection(), description="hard limits on the whole plan")
    power: PowerSection = Field(PowerSection(), description="a row with a breaker, and who gives way near its limit")
    objective: Objective = Field(
        Objective.COST,
        description="what is minimised: cost, power (rated) or machines (of equals the cheapest), energy (expected "
        "watts), carbon; or maximised: throughput",
    )
    energy: EnergySection = Field(EnergySection(), description="what energy costs and emits")
    policy: PolicySection = Field(PolicySection(), description="how requests are served")
    headroom: HeadroomSection = Field(HeadroomSection(), description="largest average loads to plan with at first")
    solver: SolverSection = Field(SolverSection(), description="the optimiser")
    validation: ValidationSection = Field(ValidationSection(), description="how hard the simulator looks")
    availability: Availability = Field(
        AvailabilitySection(), description="share of time in which every objective is met, and what may fail",
        json_schema_extra=number_too,
    )  # fmt: skip
    uncertainty: Annotated[dict[Word, Interval], AfterValidator(by_name)] = Field(
        {}, description="dotted key -> [low, high] it may turn out at; `phasewise whatif --worlds` draws from these"
    )
    schedule: ScheduleSection | None = Field(None, description="plan over epochs; null: one plan for all time")

    @field_validator("slo_by_class")
    @classmethod
    def _classes_exist(cls, value: dict[str, dict[str, float]], info: ValidationInfo) -> dict[str, dict[str, float]]:
        if "workload" in info.data:
            for text in strangers(value, [c.name for c in info.data["workload"].classes]):
                raise ValueError(text)
        if "slo" in info.data and not info.data["slo"] and not any(value.values()):
            limit = "at least one limit on latency, for example slo: {ttft_p99_s: 1.0}"
            raise PydanticCustomError("elsewhere", limit, {"key": "slo"})
        return value

    @field_validator("objective")
    @classmethod
    def _throughput_is_bounded(cls, value: Objective, info: ValidationInfo) -> Objective:
        budgets, catalog = info.data.get("budgets"), info.data.get("catalog")
        if value is Objective.THROUGHPUT and budgets is not None and catalog is not None:
            limits = budgets.model_dump(exclude={"machine_types"})
            everywhere = set(catalog.available) == set(catalog.machines)
            row = info.data.get("power")
            bounded = everywhere or (row is not None and row.row_limit_w is not None)
            if not bounded and all(limit is None for limit in limits.values()):
                raise ValueError(
                    "a budget (cost_usd_per_h, power_w, expected_power_w, rack_units or machines), or "
                    "power.row_limit_w, to go with throughput"
                )
        return value

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Self:
        """Read a scenario file.

        Args:
            path: the YAML file; files it names are looked for beside it, else in the working directory.
            overrides: ``dotted.key=value`` words, the value in YAML; files they name are not looked for beside it.

        Returns:
            A scenario in which every key is known, of the right type and in range.

        Raises:
            BadInput: with every problem that was found, each naming line or key.
        """
        return cls.parse(document_of(path, overrides))

    @classmethod
    def parse(cls, document: Document) -> Self:
        """Check plain data.

        Raises:
            BadInput: with every problem that was found, each naming line or key.
        """
        if "models" in document.data:
            raise BadInput(f"{document.place(('models',))}: models: found several models; expected one: {SEVERAL}")
        found, problems = None, list[str]()
        for spell_out in (spelled_out, classes_spelled_out, agreed):
            document, wrong = spell_out(document)
            problems += wrong
        try:
            found = cls.model_validate(document.data)
        except ValidationError as error:
            problems += findings(error, document, cls)
        problems += [text for text in no_classes(document) if text not in problems]
        problems += cls._impossible_worlds(document, problems)
        if found is None or problems:
            raise BadInput(*problems)
        return found

    @classmethod
    def _impossible_worlds(cls, document: Document, known: Sequence[str]) -> Iterator[str]:
        """Intervals of keys that do not exist, or that cannot take what lies in them, beside what is wrong anyway."""
        sure = document.completed(("uncertainty",), {}, document.place(("uncertainty",)))
        for key, (low, high) in intervals(document.data.get("uncertainty")):
            for value in (low, (low + high) / 2, high):
                word = f"{key}={value:.4g}"
                if new := [text for text in cls._problems(sure, word) if text not in known]:
                    where, reason = document.place(("uncertainty", key)), new[0].removeprefix("--set ")
                    yield f"{where}: uncertainty.{key}: {reason}"
                    break

    @classmethod
    def _problems(cls, document: Document, word: str) -> tuple[str, ...]:
        """What is wrong with a scenario in which one key is changed, what was wrong before in the same words."""
        try:
            cls.parse(override(document, [word]))
        except BadInput as wrong:
            return tuple(text.replace(f" with --set {word}", "") for text in wrong.problems)
        return ()

    def changed(self, overrides: Sequence[str], *, flag: str = "--set") -> Self:
        """The same scenario with ``dotted.key=value`` words applied.

        Args:
            overrides: the words.
            flag: what they were typed behind, for the message where one is wrong.

        Raises:
            BadInput: with every problem that was found, each naming the word.
        """
        document = Document(data=self.model_dump(mode="json"), places={(): self.name})
        return self.parse(followed(document, override(document, overrides, flag=flag)))

    def slos(self) -> tuple[Slo, ...]:
        """Every objective: those of all requests first, then class by class."""
        common = [slo_of(key, limit) for key, limit in self.slo.items()]
        by_class = self.slo_by_class.items()
        return (*common, *(slo_of(key, limit, name) for name, slos in by_class for key, limit in slos.items()))

    def classes(self) -> tuple[RequestClass, ...]:
        """The kinds of request, one that holds everything where none are given."""
        return tuple(c.request_class for c in self.workload.classes) or (ALL_REQUESTS,)

    def budget(self) -> Budgets:
        """The hard limits."""
        return Budgets(**self.budgets.model_dump())

    def headroom_limits(self) -> Headroom:
        """The largest average loads to plan with at first."""
        return Headroom(**self.headroom.model_dump())


def document_of(path: Path | str, overrides: Sequence[str] = ()) -> Document:
    """The data of a scenario file, with ``dotted.key=value`` words applied; see ``Scenario.load``.

    Raises:
        BadInput: it cannot be read, is a plan, or a word is wrong.
    """
    path = Path(path)
    document = read_document(path)
    if document.data.keys() >= _PLAN_FILE:
        raise BadInput(f"{path}: is a plan; expected a scenario (show, simulate, diff and export take plans)")
    return override(_beside(document, path.parent), overrides)


def _beside(document: Document, directory: Path) -> Document:
    """Files named in a scenario file lie beside it; a name with no file beside it is left as it is."""
    models = document.data.get("models")
    entries: list[Path_] = [("models", number) for number in range(len(models))] if isinstance(models, list) else []
    for around in ((), *entries):
        for section, key in (("workload", "trace"), ("catalog", "directory"), ("model", "name")):
            document = _found_beside(document, directory, (*around, section, key))
    return document


def _found_beside(document: Document, directory: Path, path: Path_) -> Document:
    """The document with the name at a path, if that is one of a file beside it, leading there; no name names none."""
    name: Any = document.data
    for step in path:
        known = isinstance(name, Mapping) or (isinstance(name, list) and isinstance(step, int))
        name = (name.get(step) if isinstance(name, Mapping) else name[step]) if known else None
    named = isinstance(name, str) and (path[-2] != "model" or "/" in name or name.endswith(".json"))
    if isinstance(name, str) and name.strip() and named and is_there(directory / name):
        return document.changed(path, (directory / name).as_posix(), document.place(path))
    return document
