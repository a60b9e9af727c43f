"""A scenario with everything it names read in: what can be bought, what it can carry, what is asked of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from pathlib import Path

from hw_catalog.engines import EngineTiming, load_engines, timing_of
from hw_catalog.load import Catalog, load_catalog, nearest
from hw_catalog.machines import Machine
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.capacity.envelope import Option, option
from planner.capacity.least_work import at_least
from planner.errors import BadInput
from planner.perf.instance import GpuLimits, InstancePhysics, Streaming, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.perf.reference import Reference
from planner.policies.base import Policy
from planner.policies.presets import policy
from planner.resolve import long_context as long
from planner.resolve.clocks_caps import Knob, knobs_of, power_budget_problems
from planner.resolve.dominance import undominated
from planner.resolve.over_time import schedule_problems
from planner.resolve.precision import plan_dtype
from planner.resolve.reference import open_reference
from planner.resolve.row_checks import row_problems
from planner.resolve.slo_limits import tightest_gap_s, ttft_limits_s
from planner.resolve.unit_slips import slips, watt_slips
from planner.resolve.weights import check_named
from planner.resolve.workload import Asked, asked
from planner.results.evidence import Excuse
from planner.scenario import Scenario
from workloads.demand import Demand
from workloads.models import ModelSpec, load_model
from workloads.slo import Slo, Unit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Everything a planner needs, under one policy.

    Attributes:
        scenario: the question.
        model: what is served.
        policy: how.
        slos: the objectives.
        reference: what slowdowns are measured against; None where no objective is one.
        asked: the workload.
        options: what the optimiser may buy, ordered by name.
        least: the same options with the least work that their requests can take, which bounds are proven with.
        excuses: what it may not, and why.
        physics: spec name -> physics of that instance, offered or not.
        profiles: spec name -> the measured surfaces behind it.
        available: machine type -> how many can be had; unnamed types are unlimited.
        dtype: number format of the weights, the same on every machine.
        slips: numbers of the question that look like a slip of the unit, full sentences.
    """

    scenario: Scenario
    model: ModelSpec
    policy: Policy
    slos: tuple[Slo, ...]
    reference: Reference | None
    asked: Asked
    options: tuple[Option, ...]
    least: tuple[Option, ...]
    excuses: tuple[Excuse, ...]
    physics: Mapping[str, InstancePhysics]
    profiles: Mapping[str, KernelProfile]
    available: Mapping[str, int]
    dtype: str
    slips: tuple[str, ...] = ()

    @property
    def precision_words(self) -> str:
        """What the model is served in, and which of that the scenario left to the model."""
        section = self.scenario.model
        own = " (its own)" if section.dtype is None else ""
        return f"{self.dtype} weights{own}, {section.kv_dtype} KV cache, {section.profile_set}"

    @property
    def reference_words(self) -> str:
        """The instance a request is alone on; empty where no objective is a slowdown."""
        if self.reference is None:
            return ""
        profile = self.reference.step.profile
        return f"{self.scenario.reference.machine} tp{profile.tp} ({profile.dtype}, {profile.profile_set})"


def open_case(scenario: Scenario, policy_name: str) -> Case:
    """Read everything ``scenario`` names and build its options under a policy.

    Raises:
        BadInput: a name that is nowhere to be found; all of them at once.
        CatalogError: catalog files are broken.
        WorkloadError: the trace or the model is broken.
    """
    directory = Path(scenario.catalog.directory) if scenario.catalog.directory else None
    catalog = load_catalog(directory)
    machines = machines_of(scenario, catalog)
    knobs_by_machine = _checked_knobs(scenario, machines)
    model = load_model(scenario.model.name, directory=directory)
    profiles = load_profiles(directory, model=model.name, profile_set=scenario.model.profile_set)
    engines = load_engines(directory)
    reference = open_reference(scenario, catalog, profiles, engines)
    _check_stages(scenario, model)
    wanted = asked(scenario)
    rules = policy(policy_name, scenario.policy, gap_s=tightest_gap_s(scenario), ttft_limits_s=ttft_limits_s(scenario))
    long.check_knobs(scenario, model, machines, wanted.demand, policy_name)
    gpus = {machine.gpu.profile_gpu for machine in machines}
    dtype = plan_dtype(scenario.model.dtype, model, profiles, gpus, scenario.model.kv_dtype)
    check_named(scenario.model.checkpoint, model.name, dtype)
    offers = _Offers(scenario, model, rules, wanted, reference, engines, dtype)
    for machine in machines:
        offers.add(machine, profiles, knobs_by_machine[machine.name])
    return Case(
        scenario=scenario, model=model, policy=rules, slos=scenario.slos(), reference=reference,
        asked=wanted, options=tuple(sorted(offers.options, key=lambda o: o.spec.name)), least=tuple(offers.least),
        excuses=tuple(offers.excuses),
        physics=offers.physics, profiles=offers.profiles, available=_available(scenario, machines),
        dtype=dtype, slips=slips(scenario, machines, wanted.demand),
    )  # fmt: skip


def _checked_knobs(scenario: Scenario, machines: tuple[Machine, ...]) -> dict[str, tuple[Knob, ...]]:
    """Clocks and caps to try on each machine type.

    Raises:
        BadInput: with everything that its rows, its schedule, its budgets and its clocks ask of machines in vain.
    """
    budgets, offered = scenario.budgets, scenario.catalog
    problems = [
        *row_problems(scenario.power, machines, offered.pp), *schedule_problems(scenario, machines),
        *power_budget_problems(machines, power_w=budgets.power_w, expected_power_w=budgets.expected_power_w),
    ]  # fmt: skip
    clocks_mhz = scenario.schedule.clocks_mhz if scenario.schedule else ()
    try:
        found = knobs_of(machines, offered.clocks_mhz, offered.caps_w, clocks_mhz)
    except BadInput as wrong:
        problems += wrong.problems
    if problems:
        raise BadInput(*problems, *watt_slips(scenario, machines))
    return found


class _Offers:
    """What the machines of a scenario offer, collected machine by machine."""

    def __init__(
        self, scenario: Scenario, model: ModelSpec, rules: Policy, wanted: Asked, reference: Reference | None,
        engines: Mapping[str, EngineTiming], dtype: str,
    ) -> None:  # fmt: skip
        """Nothing offered yet; ``dtype`` is that of the weights on every machine."""
        self._scenario, self._model, self._policy, self._asked = scenario, model, rules, wanted
        self._reference, self._engines, self._dtype = reference, engines, dtype
        self.options: list[Option] = []
        self.least: list[Option] = []
        self.excuses: list[Excuse] = []
        self.physics: dict[str, InstancePhysics] = {}
        self.profiles: dict[str, KernelProfile] = {}

    def add(self, machine: Machine, profiles: Iterable[KernelProfile], tried: Iterable[Knob]) -> None:
        """Every layout, role, clock and cap of a machine, as an option or with an excuse."""
        layouts, missing = layouts_of(self._scenario, machine, profiles, self._dtype)
        self.excuses += missing
        if self._policy.streams:
            layouts, missing = long.layouts(self._scenario, machine, layouts)
            self.excuses += missing
        for (layout, profile), (clock, cap) in product(layouts, tried):
            whole = self._physics(machine, layout, profile, (clock, cap), None)
            for role in self._policy.topology.roles():
                offered: list[Option] = []
                for chunk in self._chunks(role, whole):
                    body = self._physics(machine, layout, profile, (clock, cap), chunk)
                    spec = InstanceSpec(
                        role=role, machine=machine.name, layout=layout, chunk_tokens=chunk, clock_mhz=clock, cap_w=cap
                    )
                    self.physics[spec.name], self.profiles[spec.name] = replace(body, step=whole.step), profile
                    offered += self._offer(spec, machine, self.physics[spec.name])
                kept, refused = undominated(offered)
                self.options += kept
                demand, rules = self._asked.demand, self._policy
                self.least += [at_least(o, self.physics[o.spec.name], rules, demand) for o in kept]
                self.excuses += refused

    def _physics(
        self, machine: Machine, layout: Layout, profile: KernelProfile, knob: Knob, chunk_tokens: int | None
    ) -> InstancePhysics:
        """One replica; its activations are sized for its longest step."""
        knobs, streaming = self._scenario.policy, None
        if self._policy.streams:
            streaming = Streaming(group_tokens=long.group_tokens(self._scenario, layout, self._asked.demand))
        return instance_physics(
            self._model, machine, layout, profile,
            EngineSettings(
                memory_frac=knobs.kv_memory_frac, max_batch_tokens=chunk_tokens or knobs.max_batch_tokens,
                max_batch_size=knobs.max_batch_size, block_tokens=knobs.block_tokens,
            ),
            limits=GpuLimits(clock_mhz=knob[0], cap_w=knob[1]), timing=timing_of(self._engines, profile),
            streaming=streaming,
        )  # fmt: skip

    def _chunks(self, role: Role, body: InstancePhysics) -> tuple[int | None, ...]:
        """Chunk sizes of a role: all for the optimiser to choose from where the role lives on prompts.

        A decode instance computes few prompts, so their cost says nothing: it takes the largest chunk whose step keeps
        every objective on token gaps, or the smallest.
        """
        sizes = tuple(sorted(set(self._scenario.policy.chunk_tokens)))
        if role not in self._policy.cuts:
            return (None,)
        if self._policy.streams:  # chunks adapt to the batch, up to the largest size
            return sizes[-1:]
        if role is not Role.DECODE:
            return sizes
        gaps_s = [s.limit for s in self._scenario.slos() if s.metric.bounds_gaps and s.unit is Unit.SECONDS]
        short = [c for c in sizes if body.step.prefill_s([(c, 0)]) <= min(gaps_s, default=inf)]
        return (max(short, default=sizes[0]),)

    def _offer(self, spec: InstanceSpec, machine: Machine, body: InstancePhysics) -> list[Option]:
        """One layout in one role: an option or none."""
        price = machine.price(self._scenario.catalog.channel)
        allowed = self._scenario.catalog.roles.get(machine.name, (spec.role,))
        if spec.role not in allowed:
            words = f"catalog.roles keeps {machine.name} for {', '.join(allowed)}"
            self.excuses.append(Excuse(option=spec.name, reason=words, bottleneck="catalog"))
            return []
        if price is None:
            self.excuses.append(_unsold(spec, machine, self._scenario.catalog.channel))
            return []
        usd_per_h = price.usd_per_h * self._scenario.catalog.price_scale.get(machine.name, 1.0)
        wanted = self._demand(spec, machine)
        if not wanted.classes:
            return []
        offered, refused = option(
            spec, machine, usd_per_h, body, self._policy, wanted, self._scenario.slos(), self._reference
        )
        self.excuses += refused
        return [replace(offered, carbon_g_per_j=self._scenario.energy.carbon_g_per_j)] if offered else []

    def _demand(self, spec: InstanceSpec, machine: Machine) -> Demand:
        """The classes that an instance may be asked to serve: all, or those it is for and fast enough for."""
        demand = self._asked.demand
        if not self._policy.streams:
            return demand
        kept = []
        for part in long.served(self._scenario, spec.layout, demand).classes:
            excuse = long.out_of_reach(
                spec.name, spec.layout, self._model, machine, self.profiles[spec.name], part, self._scenario.slos()
            )
            if excuse:
                self.excuses.append(excuse)
            else:
                kept.append(part)
        return Demand(classes=tuple(kept))


def machines_of(scenario: Scenario, catalog: Catalog) -> tuple[Machine, ...]:
    """The machine types of the scenario, in its order.

    Raises:
        BadInput: naming every one the catalog does not have, or that has no link for what the policy moves.
    """
    unknown = [name for name in scenario.catalog.machines if name not in catalog.machines]
    if unknown:
        raise BadInput(
            *(f"catalog.machines: no machine '{name}'; {nearest(name, catalog.machines)}" for name in unknown)
        )
    machines = tuple(catalog.machines[name] for name in dict.fromkeys(scenario.catalog.machines))
    lonely = [machine.name for machine in machines if not machine.inter_link.exists]
    if lonely and scenario.policy.recovery == "checkpoint":
        words = f"found checkpoint; expected restart, since {', '.join(lonely)} has no link to fetch one"
        raise BadInput(f"policy.recovery: {words}")
    return machines


def _available(scenario: Scenario, machines: Iterable[Machine]) -> dict[str, int]:
    """How many of each limited machine type can be had: the scenario's word before the catalog's."""
    limits = {m.name: m.available for m in machines if m.available is not None}
    return {**limits, **scenario.catalog.available}


def layouts_of(
    scenario: Scenario, machine: Machine, profiles: Iterable[KernelProfile], dtype: str
) -> tuple[list[tuple[Layout, KernelProfile]], list[Excuse]]:
    """Layouts of a machine that have a profile of weights in ``dtype``, and excuses for those that have none."""
    mine = [p for p in profiles if p.gpu == machine.gpu.profile_gpu and p.kv_dtype == scenario.model.kv_dtype]
    found: list[tuple[Layout, KernelProfile]] = []
    excuses: list[Excuse] = []
    for tp in sorted(set(scenario.catalog.tp)):
        name = f"*/{machine.name}/tp{tp}"
        if machine.gpus % tp:
            excuses.append(
                Excuse(
                    option=name,
                    reason=f"{tp} GPUs do not divide a machine of {machine.gpus}",
                    bottleneck="catalog",
                )
            )
            continue
        fitting = [p for p in mine if p.tp == tp and p.dtype == dtype]
        if not fitting:
            have = ", ".join(sorted({f"{p.dtype} tp{p.tp}" for p in mine})) or "none"
            reason = (
                f"no {dtype} kernel profile of {scenario.model.name} on {machine.gpu.profile_gpu} at tp{tp} "
                f"with a {scenario.model.kv_dtype} KV cache in {scenario.model.profile_set}; there are: {have}"
            )
            excuses.append(Excuse(option=name, reason=reason, bottleneck="profile"))
        for pp in sorted(set(scenario.catalog.pp)):
            gpus = tp * pp
            if gpus % machine.gpus and machine.gpus % gpus:
                words = f"{gpus} GPUs neither divide a machine of {machine.gpus} nor fill whole ones"
                excuses.append(Excuse(option=f"*/{machine.name}/tp{tp}pp{pp}", reason=words, bottleneck="catalog"))
            elif gpus > machine.gpus and not machine.inter_link.exists:
                words = f"its stages would span machines, which have no link to each other ({machine.inter_link.name})"
                excuses.append(Excuse(option=f"*/{machine.name}/tp{tp}pp{pp}", reason=words, bottleneck="link"))
            else:
                found += [(Layout(tp=tp, pp=pp, ep=p.ep), p) for p in fitting]
    return found, excuses


def _check_stages(scenario: Scenario, model: ModelSpec) -> None:
    """Every stage holds as many layers as any other.

    Raises:
        BadInput: naming every number of stages that does not divide the model's layers.
    """
    uneven = [pp for pp in sorted(set(scenario.catalog.pp)) if model.layers % pp]
    divisors = [str(n) for n in range(1, min(model.layers, 64) + 1) if model.layers % n == 0]
    if uneven:
        raise BadInput(
            *(
                f"catalog.pp: {pp} stages do not divide the {model.layers} layers of {model.name}; expected one of "
                f"{', '.join(divisors)}"
                for pp in uneven
            )
        )


def _unsold(spec: InstanceSpec, machine: Machine, channel: str) -> Excuse:
    """No price, no option."""
    sold = ", ".join(p.channel for p in machine.prices) or "none"
    reason = f"{machine.name} has no {channel} price; channels with a price: {sold}"
    return Excuse(option=spec.name, reason=reason, bottleneck="price")
