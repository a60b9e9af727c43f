"""First pass: everything a scenario names, read in once, and refused all at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hw_catalog.domains import load_power_delivery
from hw_catalog.errors import CatalogError
from hw_catalog.load import Catalog, load_catalog
from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.errors import BadInput
from planner.perf.instance import GpuLimits
from planner.perf.reference import Reference
from planner.policies.presets import NAMES
from planner.resolve import long_context as long
from planner.resolve.admission import admission_problems
from planner.resolve.availability import availability_problems
from planner.resolve.cell_rules import cell_problems
from planner.resolve.clocks_caps import knobs_of, power_budget_problems
from planner.resolve.drafts import draft_problems
from planner.resolve.over_time import schedule_problems
from planner.resolve.phase_formats import phases_apart
from planner.resolve.prefix_cache import prefix_problems
from planner.resolve.public_rules import public_rule_problems, published_reading, published_reading_problems
from planner.resolve.questions import unknown_machines
from planner.resolve.rank_ways import way_problems
from planner.resolve.reference import open_reference
from planner.resolve.row_checks import row_problems
from planner.resolve.slo_limits import gap_problems
from planner.resolve.timings import Timings, timings_of
from planner.resolve.unit_slips import slips, watt_slips
from planner.resolve.unread import unread
from planner.resolve.variants import Measured, measured_profiles, others, variants_of
from planner.resolve.weights import check_named
from planner.resolve.workload import Asked, asked
from planner.results.plan import CandidatePlan
from planner.results.precision import Variant
from planner.scenario import Scenario
from planner.scenario.choices import listed
from planner.scenario.objectives import Objective
from planner.scenario.sections import Catalog as CatalogSection
from solvers.mathopt import installed
from workloads.errors import WorkloadError
from workloads.models import ModelSpec, load_model

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """What a scenario names, as it was read; whatever is made of the scenario is made of this.

    Attributes:
        scenario: the question.
        machines: types that may be bought, in the scenario's order.
        limits: machine type -> clocks and caps it is tried at.
        model: what is served.
        profiles: every kernel profile of the model.
        timings: what the kernel tables leave out.
        variants: precisions and engines that the scenario allows; all machines of a plan are served in one of them.
        others: precisions and engines that were measured and that it does not allow.
        reference: what slowdowns are measured against; None where no objective is one.
        asked: the workload.
        opened: what it came to by policy, precision and engine, with the question as it was: another objective, other
            budgets and stock change nothing of it.
    """

    scenario: Scenario
    machines: tuple[Machine, ...]
    limits: Mapping[str, tuple[GpuLimits, ...]]
    model: ModelSpec
    profiles: tuple[KernelProfile, ...]
    timings: Timings
    variants: tuple[Variant, ...]
    others: tuple[Variant, ...]
    reference: Reference | None
    asked: Asked
    opened: dict[tuple[str, Variant], tuple["Inputs", Any]] = field(default_factory=dict, repr=False)

    def opens_alike(self, other: "Inputs") -> bool:
        """Whether another question is the same but for its objective, its budgets and its stock."""
        same = ("machines", "limits", "model", "profiles", "timings", "reference", "asked")
        asked = other.scenario
        catalog = self.scenario.catalog.model_copy(update={"available": asked.catalog.available})
        limited = self.scenario.model_copy(
            update={"objective": asked.objective, "budgets": asked.budgets, "catalog": catalog}
        )  # fmt: skip
        return all(getattr(self, name) is getattr(other, name) for name in same) and limited == other.scenario

    def within(self, variant: Variant) -> "Inputs":
        """The same question about one precision and engine; the weights it names hold in the first precision alone."""
        served = self.scenario.model
        named = served.checkpoint if variant.dtype == self.variants[0].dtype else None
        pinned = served.model_copy(update={
            "profile_set": variant.profile_set, "dtype": variant.dtype, "kv_dtype": variant.kv_dtype,
            "prefill_dtype": variant.prefill_dtype or None, "checkpoint": named, "engine": "auto",
        })  # fmt: skip
        scenario = self.scenario.model_copy(update={"model": pinned})
        return replace(self, scenario=scenario, variants=(variant,), others=())

    def for_objective(self, objective: Objective) -> "Inputs":
        """The same question for another objective; its clocks and caps are others where only one asks for joules."""
        scenario = self.scenario.model_copy(update={"objective": objective})
        limits = _limits(scenario, self.machines)
        return replace(self, scenario=scenario, limits=self.limits if limits == self.limits else limits)

    def with_clocks_of(self, candidate: CandidatePlan) -> "Inputs":
        """The same question, with the clocks that a plan runs at and that it would try by itself if joules counted."""
        runs = {(p.spec.machine, GpuLimits(clock_mhz=p.spec.clock_mhz, cap_w=p.spec.cap_w)) for p in candidate.pools}
        if all(knob in self.limits.get(machine, ()) for machine, knob in runs):
            return self
        thrifty = _limits(self.scenario, self.machines, thrifty=True)
        more = {machine: thrifty[machine] for machine, knob in runs if knob in thrifty.get(machine, ())}
        return replace(self, limits={**self.limits, **more})

    @property
    def available(self) -> dict[str, int]:
        """How many of each limited machine type can be had: the scenario's word before the catalog's."""
        limits = {m.name: m.available for m in self.machines if m.available is not None}
        return {**limits, **self.scenario.catalog.available}

    @property
    def slips(self) -> tuple[str, ...]:
        """Numbers that look like a slip of the unit, and keys that change nothing here; full sentences."""
        return (*slips(self.scenario, self.machines, self.asked.demand), *unread(self.scenario, self.asked))


def scenario_of(question: Scenario | Inputs) -> Scenario:
    """The scenario of a question, whether or not it was read."""
    return question.scenario if isinstance(question, Inputs) else question


def inputs_of(question: Scenario | Inputs) -> Inputs:
    """What a question names; what was read already is not read again."""
    return question if isinstance(question, Inputs) else read_inputs(question)


def read_inputs(scenario: Scenario) -> Inputs:
    """Read everything ``scenario`` names.

    Raises:
        BadInput, CatalogError, WorkloadError: names that are nowhere to be found, files that are broken, numbers that
            contradict what was read; all of them at once.
    """
    offered, served, wrong = scenario.catalog, scenario.model, _Refusals()
    directory = Path(offered.directory) if offered.directory else None
    catalog = wrong.unless(load_catalog, directory)
    model = wrong.unless(load_model, served.name, directory=directory)
    context = model.max_context_tokens if model and not scenario.policy.longer_context else None
    wanted = wrong.unless(asked, scenario, context)
    machines = wrong.unless(machines_of, scenario.catalog, catalog) if catalog else None
    wrong.note((*_solver_problems(scenario), *(_machine_problems(scenario, machines) if machines else ())))
    limits = wrong.unless(_limits, scenario, machines) if machines else None
    reference: Reference | None = None
    measured: Measured | None = None
    variants: tuple[Variant, ...] | None = None
    gpus = {machine.gpu.profile_gpu for machine in machines or ()}
    if model:
        measured = wrong.unless(measured_profiles, served, model, directory)
        wrong.note(_layout_problems(scenario, model, machines or (), measured.profiles if measured else ()))
        if measured and machines:
            variants = wrong.unless(_variants, scenario, model, measured, gpus)
    timed = (measured.of, measured.laid_out) if measured else (served.name, ())
    timings = wrong.unless(timings_of, directory, *timed)
    if model and catalog and measured and timings:
        reference = wrong.unless(open_reference, scenario, model, catalog, measured, timings)
    if model and variants:
        wrong.unless(check_named, served.checkpoint, model.name, [variant.dtype for variant in variants])
    if model and machines and wanted:
        wrong.note(_load_problems(scenario, model, machines, wanted))
    wrong.stop(watt_slips(scenario, machines or ()))
    assert timings
    assert model
    assert wanted
    assert machines
    assert limits
    assert measured
    assert variants
    besides = () if published_reading(scenario) else others(variants, measured.profiles, measured.sets, gpus)
    return Inputs(
        scenario=scenario, machines=machines, limits=limits, model=model, profiles=measured.profiles, timings=timings,
        variants=variants, others=besides, reference=reference, asked=wanted,
    )  # fmt: skip


def _variants(scenario: Scenario, model: ModelSpec, measured: Measured, gpus: set[str]) -> tuple[Variant, ...]:
    """What the scenario allows, prefill workers in formats of their own among it."""
    found = variants_of(scenario.model, model, measured.profiles, measured.sets, gpus)
    sets = {variant.profile_set for variant in found}
    if unable := admission_problems(scenario.policy, {p.engine for p in measured.profiles if p.profile_set in sets}):
        raise BadInput(*unable)
    return found if scenario.model.prefill_dtype is None else phases_apart(scenario, found, measured.profiles, gpus)


class _Refusals:
    """What is wrong with a question, collected so that it is told at once."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._errors: list[BadInput | CatalogError | WorkloadError] = []

    def unless(self, read: Callable[P, T], *args: P.args, **more: P.kwargs) -> T | None:
        """What ``read`` returns, or None where it refuses."""
        try:
            return read(*args, **more)
        except (BadInput, CatalogError, WorkloadError) as error:
            self._errors.append(error)
            return None

    def note(self, problems: tuple[str, ...]) -> None:
        """Problems that were found without an error."""
        if problems:
            self._errors.append(BadInput(*problems))

    def stop(self, hints: Iterator[str] | tuple[str, ...]) -> None:
        """End here if anything was refused, with hints at what may have been meant.

        Raises:
            BadInput, CatalogError, WorkloadError: the only one, or all of them as bad input.
        """
        if not self._errors:
            return
        found = dict.fromkeys(problem for error in self._errors for problem in (*error.problems,))
        more = [hint for hint in hints if isinstance(self._errors[0], BadInput)]
        if len(self._errors) == 1 and not more:
            raise self._errors[0]
        raise BadInput(*found, *more)


def machines_of(offered: CatalogSection, catalog: Catalog) -> tuple[Machine, ...]:
    """The machine types of the scenario, in its order.

    Raises:
        BadInput: naming every one the catalog does not have.
    """
    if unknown := [*unknown_machines(offered.machines, catalog.machines)]:
        raise BadInput(*unknown)
    return tuple(catalog.machines[name] for name in dict.fromkeys(offered.machines))


def _solver_problems(scenario: Scenario) -> tuple[str, ...]:
    """That the solver is not installed."""
    if scenario.solver.backend != "mathopt" or installed():
        return ()
    extra = "pip install 'phasewise[mathopt]'"
    return (f"solver.backend: mathopt needs OR-Tools, which is not here; expected {extra}, or highs or cbc",)


def _machine_problems(scenario: Scenario, machines: tuple[Machine, ...]) -> tuple[str, ...]:
    """Everything that rows, schedule, budgets and recovery ask of machines in vain."""
    budgets, row = scenario.budgets, scenario.power
    found: list[str] = []
    lonely = [machine.name for machine in machines if not machine.inter_link.exists]
    if lonely and scenario.policy.recovery == "checkpoint":
        words = f"found checkpoint; expected restart, since {', '.join(lonely)} has no link to fetch one"
        found.append(f"policy.recovery: {words}")
    if row.row_limit_w is not None:
        found += row_problems(row, machines, load_power_delivery().controls.brake_mhz)
    found += availability_problems(scenario)
    found += schedule_problems(scenario, machines)
    found += cell_problems(scenario)
    found += public_rule_problems(scenario)
    found += published_reading_problems(scenario, machines)
    found += power_budget_problems(machines, power_w=budgets.power_w, expected_power_w=budgets.expected_power_w)
    return tuple(found)


def _limits(
    scenario: Scenario, machines: tuple[Machine, ...], *, thrifty: bool | None = None
) -> dict[str, tuple[GpuLimits, ...]]:
    """Clocks and caps to try on each machine type; ``thrifty`` None: as far as joules count."""
    offered, over_time = scenario.catalog, scenario.schedule
    found = knobs_of(
        machines, offered.clocks_mhz, offered.caps_w, over_time.clocks_mhz if over_time else (),
        thrifty=_counts_joules(scenario) if thrifty is None else thrifty,
    )  # fmt: skip
    return {name: tuple(GpuLimits(clock_mhz=clock, cap_w=cap) for clock, cap in tried) for name, tried in found.items()}


def _counts_joules(scenario: Scenario) -> bool:
    """Whether joules are asked for or limited: what fits a limit of watts must not depend on the objective."""
    over_time = scenario.schedule
    first = over_time.objectives[0].value if over_time and over_time.objectives else scenario.objective.value
    limited = scenario.budgets.expected_power_w is not None or scenario.power.row_limit_w is not None
    return limited or first in (Objective.ENERGY.value, Objective.CARBON.value)


def _load_problems(
    scenario: Scenario, model: ModelSpec, machines: tuple[Machine, ...], wanted: Asked
) -> tuple[str, ...]:
    """Contexts that no layout holds, and prefix caches that nothing fills or holds."""
    hashed = wanted.draw(wanted.seeds[0], 1.0, 1.0).prefixes is not None if scenario.prefix_cache.gib else False
    found = long.problems(scenario.catalog, model, machines, wanted.demand, scenario.policy)
    found += gap_problems(scenario.slos(), wanted.demand)
    return (*found, *prefix_problems(scenario, machines, hashed=hashed))


def _layout_problems(
    scenario: Scenario, model: ModelSpec, machines: tuple[Machine, ...], profiles: tuple[KernelProfile, ...]
) -> tuple[str, ...]:
    """Stages, ranks, expert ways and drafts that go with no layout of the model."""
    offered = scenario.catalog
    ways = (*stage_problems(offered.pp, model), *way_problems(offered, model, machines, profiles))
    return (*ways, *draft_problems(scenario, model))


def stage_problems(stages: tuple[int, ...], model: ModelSpec) -> tuple[str, ...]:
    """Numbers of stages that do not divide the model's layers: every stage holds as many as any other."""
    divisors = ", ".join(str(n) for n in range(1, min(model.layers, 64) + 1) if model.layers % n == 0)
    return tuple(
        f"catalog.pp: {pp} stages do not divide the {model.layers} layers of {model.name}; expected one of {divisors}"
        for pp in sorted(set(stages))
        if model.layers % pp
    )


def policies_of(scenario: Scenario) -> tuple[str, ...]:
    """The policies that a plan is made under, to take the best."""
    return NAMES if scenario.policy.name == "auto" else listed(scenario.policy.name)
