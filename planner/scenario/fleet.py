"""Several models on one fleet: the question where they share machines, budgets and rows."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeGuard

from pydantic import AfterValidator, Field, ValidationError

from hw_catalog.strict_files import spell
from planner.errors import BadInput, nearest
from planner.scenario import Scenario, document_of
from planner.scenario.availability_section import Availability, AvailabilitySection, number_too
from planner.scenario.energy import EnergySection
from planner.scenario.findings import findings
from planner.scenario.interval import Interval, intervals
from planner.scenario.model_section import Model
from planner.scenario.numbers import Version, Word
from planner.scenario.objectives import Budgets, Objective
from planner.scenario.over_time import followed
from planner.scenario.policy_section import PolicySection
from planner.scenario.power import PowerSection
from planner.scenario.prefix_section import PrefixSection
from planner.scenario.reading import Document, Path_, override, said, steps
from planner.scenario.schedule_section import ScheduleSection, Shape
from planner.scenario.section import Section
from planner.scenario.sections import (
    BudgetSection,
    Catalog,
    FailureSection,
    HeadroomSection,
    Objectives,
    ReferenceSection,
    SolverSection,
    ValidationSection,
    Workload,
    by_name,
)

_FOR_ALL = ("policy", "prefix_cache")
"""Sections of each model that may stand beside ``models``, for all without one of their own."""

OWN = ("model", "workload", "slo", "slo_by_class", *_FOR_ALL)
"""Sections that each model has for itself."""

_FLEETS = ("models", "name", "uncertainty")
"""What is of the question about all alone."""

_ELSEWHERE: Mapping[str, str] = {
    "model": "belongs to each of models",
    "workload": "belongs to each of models",
    "slo": "belongs to each of models",
    "slo_by_class": "belongs to each of models",
}


Uncertainty = Annotated[dict[Word, Interval], AfterValidator(by_name)]


class FleetModel(Section):
    """One of the models that share a fleet."""

    name: Word = Field(description="what you call it, each once; not given: the model's id")
    model: Model = Field(description="what is served")
    workload: Workload = Field(description="what is asked of it")
    slo: Objectives = Field({}, description="objectives of all its requests")
    slo_by_class: Annotated[dict[Word, Objectives], AfterValidator(by_name)] = Field(
        {}, description="class name -> objectives of that class"
    )
    failures: tuple[FailureSection, ...] = Field((), description="machines of its pools that fail in every seed")
    policy: PolicySection = Field(PolicySection(), description="how its requests are served; not given: that of all")
    prefix_cache: PrefixSection = Field(
        PrefixSection(), description="what is found of prompts that begin as others did; not given: that of all"
    )
    load: Shape | None = Field(None, description="of a plan over time, as schedule.load; not given: that of all")


class Fleet(Section):
    """Several models that are served on one fleet: budgets, stock, rows and objective are those of all together."""

    schema_version: Version = Field(1, description="version of this format")
    name: Word = Field(description="what you call it")
    models: tuple[FleetModel, ...] = Field(min_length=1, description="what is served, asked and promised of each")
    reference: ReferenceSection = Field(ReferenceSection(), description="what slowdowns are measured against")
    catalog: Catalog = Field(description="what can be bought; available is shared by all models")
    budgets: BudgetSection = Field(BudgetSection(), description="hard limits on all models together")
    objective: Objective = Field(
        Objective.COST, description="what is minimised; or throughput: the largest factor on the rates of all models"
    )
    energy: EnergySection = Field(EnergySection(), description="what energy costs and emits")
    power: PowerSection = Field(PowerSection(), description="rows, which hold machines of all models")
    headroom: HeadroomSection = Field(HeadroomSection(), description="largest average loads to plan with at first")
    solver: SolverSection = Field(SolverSection(), description="the optimiser")
    validation: ValidationSection = Field(ValidationSection(), description="how hard the simulator looks")
    availability: Availability = Field(
        AvailabilitySection(), description="share of time in which every objective is met, of each model",
        json_schema_extra=number_too,
    )  # fmt: skip
    schedule: ScheduleSection | None = Field(None, description="plan over epochs; null: one plan for all time")
    uncertainty: Uncertainty = Field(
        {}, description="dotted key -> [low, high], as of one model: workload.rate_scale is that of each model, "
        "models.NAME.workload.rate_scale that of one"
    )  # fmt: skip

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Self:
        """Read a scenario file with ``models``.

        Raises:
            BadInput: with every problem that was found, each naming line or key.
        """
        return cls.parse(document_of(path, overrides))

    @classmethod
    def parse(cls, document: Document) -> Self:
        """Check plain data.

        Raises:
            BadInput: with every problem that was found in any model, each naming line or key.
        """
        problems, unsure = [*_misplaced(document), *_unnamed(document)], document.data.get("uncertainty") or {}
        document = document.completed(("uncertainty",), {}, document.place(("uncertainty",)))
        entries = document.data.get("models")
        if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, Mapping) for e in entries):
            words = "a list of models, each with name, model, workload and slo"
            wrong = f"{document.place(('models',))}: models: found {said(entries)}; expected {words}"
            raise BadInput(*dict.fromkeys((*problems, wrong, *_shared_problems(document))))
        names = [_name(entry, number) for number, entry in enumerate(entries)]
        problems += _misnamed(document, names)
        found: list[Scenario] = []
        for number, name in enumerate(names):
            problems += _unknown(document, number)
            try:
                found.append(Scenario.parse(_alone(document, number, name)))
            except BadInput as wrong:
                problems += (_as_written(text, number) for text in wrong.problems)
        if not problems:
            problems += cls._impossible_worlds(document, unsure)
        if problems:
            raise BadInput(*dict.fromkeys(problems))
        moved = (entry.get("load") is not None for entry in entries)
        loads = [s.schedule.load if s.schedule and own else None for s, own in zip(found, moved, strict=True)]
        shared = {key: getattr(found[0], key) for key in cls.model_fields if key not in _FLEETS}
        shared["validation"] = found[0].validation.model_copy(update={"failures": ()})
        if loads[0] is not None:
            shared["schedule"] = Scenario.parse(_alone(document, 0, names[0], moved=False)).schedule
        models = tuple(
            FleetModel(name=s.name, failures=s.validation.failures, load=load, **{key: getattr(s, key) for key in OWN})
            for s, load in zip(found, loads, strict=True)
        )
        return cls(name=document.data["name"], models=models, uncertainty=unsure, **shared)

    @classmethod
    def _impossible_worlds(cls, document: Document, unsure: object) -> Iterator[str]:
        """Intervals that are none, of keys that do not exist, or that cannot take what lies in them."""
        try:
            _Unsure.model_validate({"uncertainty": unsure})
        except ValidationError as error:
            yield from findings(error, document, _Unsure)
        for key, (low, high) in intervals(unsure):
            for value in (low, (low + high) / 2, high):
                words = [f"{each}={value:.4g}" for each in keys_of(key, len(document.data["models"]))]
                try:
                    cls.parse(override(document, words))
                except BadInput as wrong:
                    where, reason = document.place(("uncertainty", key)), wrong.problems[0].removeprefix("--set ")
                    yield f"{where}: uncertainty.{key}: {reason}"
                    break

    def changed(self, overrides: Sequence[str], *, flag: str = "--set") -> Self:
        """The same question with ``dotted.key=value`` words applied, for example ``models.chat.workload.rate_scale=2``.

        Raises:
            BadInput: with every problem that was found, each naming the word.
        """
        if not overrides:
            return self
        document = Document(data=self.model_dump(mode="json"), places={(): self.name})
        return self.parse(followed(document, override(document, overrides, flag=flag)))

    def parts(self) -> dict[str, Scenario]:
        """Each model alone on the whole fleet, by its name, in the order of the question."""
        shared = {key: getattr(self, key) for key in Fleet.model_fields if key not in _FLEETS}
        struck = {each.name: self.validation.model_copy(update={"failures": each.failures}) for each in self.models}
        return {
            each.name: Scenario(
                name=each.name, **{key: getattr(each, key) for key in OWN},
                **{**shared, "validation": struck[each.name], "schedule": self._schedule(each)},
            )
            for each in self.models
        }  # fmt: skip

    def _schedule(self, model: FleetModel) -> ScheduleSection | None:
        """The schedule with the hours of one model."""
        if self.schedule is None or model.load is None:
            return self.schedule
        return self.schedule.model_copy(update={"load": model.load})

    def budget(self) -> Budgets:
        """The hard limits on all models together."""
        return Budgets(**self.budgets.model_dump())


def _name(entry: Mapping[str, Any], number: int) -> str:
    """What a model is called."""
    model = entry.get("model")
    inner = model.get("name") if isinstance(model, Mapping) else model
    name = entry.get("name", inner)
    return name if _is_name(name) else f"models.{number}"


def keys_of(key: str, models: int) -> tuple[str, ...]:
    """The keys of a question about so many models that a key means: one that each model has is that of all of them."""
    if steps(key)[0] not in OWN:
        return (key,)
    return tuple(f"models.{number}.{key}" for number in range(models))


def _misnamed(document: Document, names: Sequence[str]) -> Iterator[str]:
    """Names that several models have, and those that are none."""
    for name in (name for name in dict.fromkeys(names) if names.count(name) > 1):
        yield (
            f"{document.place(('models',))}: models: found the name '{name}' {names.count(name)} times; expected each "
            "once, for example with models[].name"
        )
    for number, entry in enumerate(document.data["models"]):
        if "name" in entry and not _is_name(entry["name"]):
            where = document.place(("models", number, "name"))
            yield f"{where}: models.{number}.name: found {entry['name']!r}; expected a word of one line"


def served_twice(fleet: Fleet) -> tuple[str, ...]:
    """Models that several names ask for, a full sentence each: whole pools of each name cost more than shared ones."""
    names = dict[str, list[str]]()
    for each in fleet.models:
        names.setdefault(each.model.name, []).append(each.name)
    return tuple(
        f"{', '.join(some)} are {model}, each on instances of its own: as workload.classes of one of models they would "
        "share them"
        for model, some in names.items()
        if len(some) > 1
    )


class _Unsure(Section):
    """What may turn out otherwise."""

    uncertainty: Uncertainty = Field(description="dotted key -> [low, high]")


class _Named(Section):
    """What is said of several models before any of them is read."""

    name: Word = Field(description="what you call it")


def _unnamed(document: Document) -> tuple[str, ...]:
    """What is wrong with the name of the whole."""
    try:
        _Named.model_validate({key: value for key, value in document.data.items() if key == "name"})
    except ValidationError as error:
        return findings(error, document, _Named)
    return ()


def _shared_problems(document: Document) -> tuple[str, ...]:
    """What is wrong with the sections that stand beside models, where no model can be read."""
    shared = {key: value for key, value in document.data.items() if key in Fleet.model_fields}
    try:
        Fleet.model_validate({**shared, "models": None})
    except ValidationError as error:
        return tuple(text for text in findings(error, document, Fleet) if ": models: " not in text)
    return ()


def _as_written(problem: str, number: int) -> str:
    """What is wrong with a model under the key that stands in the file: two keys of an entry are moved to be read."""
    around = spell(("models", number))
    for moved, written in (("schedule.load", "load"), ("validation.failures", "failures")):
        problem = problem.replace(f"{around}: {moved}", f"{around}.{written}")
    return problem


def _is_name(name: object) -> TypeGuard[str]:
    """Whether a value is a word of one line."""
    return isinstance(name, str) and bool(name.strip()) and name.isprintable()


def _misplaced(document: Document) -> list[str]:
    """Keys that several models cannot share, and shared ones that are missing."""
    if not document.data.get("models"):
        return []  # which of the two was meant is not known, and the key is told to be wrong
    found = [
        f"{document.place((key,))}: {key}: found beside models; {words}"
        for key, words in _ELSEWHERE.items()
        if document.data.get(key) not in (None, {}, [])
    ]
    found += [
        f"{document.place((key,))}: {key}: unknown key; {nearest(str(key), (*Fleet.model_fields, *_FOR_ALL))}"
        for key in document.data
        if key not in (*Fleet.model_fields, *_FOR_ALL, *_ELSEWHERE)
    ]
    entries = document.data["models"]
    if document.data.get("schedule") is None and isinstance(entries, list | tuple):
        found += [
            f"{document.place(('models', number, 'load'))}: models.{number}.load: found one; expected schedule beside "
            "models, whose epochs it says the load of"
            for number, entry in enumerate(entries)
            if isinstance(entry, Mapping) and entry.get("load") is not None
        ]
    validation = document.data.get("validation")
    if isinstance(validation, Mapping) and validation.get("failures"):
        words = "found some beside models; expected them in models[].failures, of the model whose pools they strike"
        found.append(f"{document.place(('validation', 'failures'))}: validation.failures: {words}")
    return found + [
        f"{document.place(())}: {key}: missing; expected {Fleet.model_fields[key].description}"
        for key in ("name", "catalog")
        if key not in document.data
    ]


def _unknown(document: Document, number: int) -> list[str]:
    """Keys of a model's entry that it does not have."""
    entry = document.data["models"][number]
    return [
        f"{document.place(('models', number, key))}: {spell(('models', number, key))}: "
        + ("found one here; expected it once beside models: all share it" if key in Fleet.model_fields else
           f"unknown key; {nearest(str(key), FleetModel.model_fields)}")
        for key in entry
        if key not in FleetModel.model_fields
    ]  # fmt: skip


def _alone(document: Document, number: int, name: str, *, moved: bool = True) -> Document:
    """A model's entry with the sections that it shares, as a scenario; places say which entry they are in.

    Args:
        document: about all models.
        number: of the entry.
        name: of the model.
        moved: its load follows hours of its own where it has some; else those of all.
    """
    entry = document.data["models"][number]
    every = {*Fleet.model_fields, *_FOR_ALL} - {"uncertainty"}
    shared = {key: value for key, value in document.data.items() if key in every}
    own = {key: value for key, value in entry.items() if key in OWN}
    around: Path_ = ("models", number)
    places = {path: where for path, where in document.places.items() if path[:1] != ("models",)}
    places[()] = f"{document.place(around)}: {spell(around)}"
    for path, where in document.places.items():
        if path[:2] == around and path[2:]:
            places[path[2:]] = f"{where}: {spell(around)}"
    for key in own:
        places.setdefault((key,), places[()])
    for key in (key for key in shared if key not in own):
        places.setdefault((key,), document.place((key,)))
    if "failures" in entry:
        given = shared.get("validation")
        shared["validation"] = {**(given if isinstance(given, Mapping) else {}), "failures": entry["failures"]}
        for path, where in document.places.items():
            if path[:3] == (*around, "failures"):
                places[("validation", *path[2:])] = f"{where}: {spell(around)}"
    given, load = shared.get("schedule"), entry.get("load")
    if moved and load is not None and isinstance(given, Mapping):
        shared["schedule"] = {**given, "load": load}
        places = {path: where for path, where in places.items() if path[:2] != ("schedule", "load")}
        places[("schedule", "load")] = f"{document.place((*around, 'load'))}: {spell(around)}"
    data = {**{key: value for key, value in shared.items() if key not in ("models", "name")}, **own, "name": name}
    return Document(data=data, places=places)
