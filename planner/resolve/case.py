"""A scenario resolved: what can be bought, what it can carry, what is asked of it, under one policy."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from hw_catalog.profiles import KernelProfile
from planner.capacity.envelope import Option
from planner.capacity.least_joules import shared
from planner.capacity.least_work import borrows
from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.perf.reference import Reference
from planner.policies.base import Policy
from planner.policies.presets import policy
from planner.resolve import long_context as long
from planner.resolve.inputs import Inputs, inputs_of
from planner.resolve.layouts import stands
from planner.resolve.offers import Offers
from planner.resolve.pairs import Pair, apart
from planner.resolve.slo_limits import tightest_gap_s, ttft_limits_s
from planner.resolve.workload import Asked
from planner.results.availability import Outage
from planner.results.evidence import Excuse, Judgement
from planner.results.plan import CandidatePlan
from planner.results.precision import Variant
from planner.scenario import Scenario
from workloads.models import ModelSpec
from workloads.slo import Slo


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
        least: the options with the least work that their requests can take, which bounds are proven with; also those
            that others beat by estimate alone.
        excuses: what it may not, and why.
        physics: spec name -> physics of that instance, offered or not.
        profiles: spec name -> the measured surfaces behind it.
        available: machine type -> how many can be had; unnamed types are unlimited.
        variant: precision and engine, the same on every machine.
        own: whether the scenario leaves the format of the weights to the model.
        apart: pairs of a prefill and a decode layout between which no KV can travel, and why not.
        laid_out: ``set/gpu`` whose layouts are timed as measured clusters were.
        slips: numbers that look like a slip of the unit, and keys that change nothing here, full sentences.
        beside: names of the instances that are for long contexts, under the policy's rules for these.
        looks: what simulations said of candidates: they ask neither for budgets nor for stock.
        outages: what failures did to them, likewise, and what was seen right after.
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
    variant: Variant
    own: bool
    apart: tuple[tuple[Pair, str], ...] = ()
    laid_out: Collection[str] = frozenset()
    slips: tuple[str, ...] = ()
    beside: frozenset[str] = frozenset()
    looks: dict[object, Judgement] = field(default_factory=dict, repr=False)
    outages: dict[object, tuple[Outage, Judgement]] = field(default_factory=dict, repr=False)

    @property
    def precision_words(self) -> str:
        """What the model is served in, and which of that the scenario left to the model."""
        own = " (its own)" if self.own else ""
        return f"{self.variant.weights} weights{own}, {self.variant.kv_dtype} KV cache, {self.variant.profile_set}"

    @property
    def dtype(self) -> str:
        """Number format of the weights."""
        return self.variant.dtype

    @property
    def reference_words(self) -> str:
        """The instance a request is alone on; empty where no objective is a slowdown."""
        if self.reference is None:
            return ""
        profile = self.reference.step.profile
        return f"{self.scenario.reference.machine} tp{profile.tp} ({profile.dtype}, {profile.profile_set})"


def open_case(question: Scenario | Inputs, policy_name: str, variant: Variant | None = None) -> Case:
    """Resolve a question under a policy in three passes: what it names, the physics of it, what that offers.

    Args:
        question: the scenario, or what was read of it.
        policy_name: of the policy.
        variant: precision and engine, allowed or not; None is what the scenario names first.

    Raises:
        BadInput, CatalogError, WorkloadError: see ``inputs.read_inputs``; or the policy has no use for what it asks.
    """
    asked = inputs_of(question)
    variant = variant or asked.variants[0]
    inputs, key = asked.within(variant), (policy_name, variant)
    before, case = asked.opened.get(key, (None, None))
    if before is None or not before.opens_alike(inputs):
        case = _opened(inputs, policy_name, variant, own=asked.scenario.model.dtype is None)
        asked.opened[key] = inputs, case
    assert isinstance(case, Case), "nothing else is opened"
    return replace(case, scenario=inputs.scenario, available=inputs.available, slips=inputs.slips)


def _opened(inputs: Inputs, policy_name: str, variant: Variant, *, own: bool) -> Case:
    """A question in one precision and engine, resolved."""
    scenario, slos = inputs.scenario, inputs.scenario.slos()
    demand = inputs.asked.demand
    if unused := long.unused_groups(scenario.catalog, scenario.policy, policy_name, demand):
        raise BadInput(*unused)
    rules = policy(
        policy_name, scenario.policy, gap_s=tightest_gap_s(slos), ttft_limits_s=ttft_limits_s(slos),
        output_tokens=demand.mean_output_tokens,
        long=long.beside(scenario.catalog, scenario.policy, policy_name, demand),
        priorities={kind.name: kind.priority for kind in scenario.classes()},
    )  # fmt: skip
    offers = Offers(inputs)
    for stand in stands(inputs, rules):
        offers.add(stand)
    options = tuple(sorted(offers.options, key=lambda o: o.spec.name))
    return Case(
        scenario=scenario, model=inputs.model, policy=rules, slos=slos, reference=inputs.reference,
        asked=inputs.asked, options=options,
        least=shared(offers.least) if borrows(rules) else tuple(offers.least),
        excuses=tuple(offers.excuses), physics=offers.physics, profiles=offers.profiles,
        available=inputs.available, variant=variant, own=own,
        apart=apart(options, inputs.model, offers.profiles), laid_out=inputs.timings.laid_out, slips=inputs.slips,
        beside=frozenset(offers.beside),
    )  # fmt: skip


def case_of(question: Scenario | Inputs, candidate: CandidatePlan) -> Case:
    """A question as a plan answers it: under its policy and, where the question still allows it, in its precision.

    Clocks that are tried where joules count stay on offer where they do not: a plan keeps its own when it is asked
    without its limit of watts.

    Raises:
        BadInput, CatalogError, WorkloadError: as ``open_case``.
    """
    inputs = inputs_of(question).with_clocks_of(candidate)
    return open_case(inputs, candidate.policy, candidate.variant if candidate.variant in inputs.variants else None)
