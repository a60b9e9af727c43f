"""Third pass: what every machine type offers in every role, as options or with an excuse."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.capacity.envelope import Option, option
from planner.capacity.least_work import at_least
from planner.perf.instance import InstancePhysics
from planner.perf.layout import InstanceSpec, Role
from planner.policies.base import Policy
from planner.resolve import long_context as long
from planner.resolve.dominance import undominated
from planner.resolve.inputs import Inputs
from planner.resolve.layouts import Replica, Stand, chunked
from planner.resolve.prefix_cache import keeping
from planner.resolve.prices import price_of
from planner.results.evidence import Excuse
from workloads.demand import Demand
from workloads.slo import Unit


class Offers:
    """What the machines of a scenario offer under a policy.

    Attributes:
        options: what may be bought.
        least: the same with the least work that their requests can take, and what an estimate alone keeps out.
        excuses: what may not, and why.
        physics: spec name -> physics of that instance, offered or not.
        profiles: spec name -> the measured surfaces behind it.
        beside: names of those that are for long contexts, beside instances under other rules.
    """

    def __init__(self, inputs: Inputs) -> None:
        """Nothing offered yet."""
        self._inputs = inputs
        self._demand, self._slos = inputs.asked.demand, inputs.scenario.slos()
        self.options: list[Option] = []
        self.least: list[Option] = []
        self.excuses: list[Excuse] = []
        self.physics: dict[str, InstancePhysics] = {}
        self.profiles: dict[str, KernelProfile] = {}
        self.beside: set[str] = set()

    def add(self, stand: Stand) -> None:
        """Every replica of a machine type in every role."""
        self.excuses += stand.excuses
        for replica in stand.replicas:
            for role in filter(replica.serves, replica.rules.topology.roles()):
                self._add(replica, role)

    def _add(self, replica: Replica, role: Role) -> None:
        """One replica in one role, at every chunk size that is worth offering."""
        if replica.layout.dp > 1 and role in replica.rules.cuts:
            name = InstanceSpec(role=role, machine=replica.machine.name, layout=replica.layout).name
            words = f"{replica.rules.name} cuts prompts, and how engines cut those of attention ranks is not simulated"
            self.excuses.append(Excuse(option=name, reason=words, bottleneck="policy"))
            return
        offered: list[Option] = []
        for chunk in self._chunks(replica.rules, role, replica.physics):
            spec = InstanceSpec(
                role=role, machine=replica.machine.name, layout=replica.layout, chunk_tokens=chunk,
                clock_mhz=replica.limits.clock_mhz, cap_w=replica.limits.cap_w,
            )  # fmt: skip
            body = chunked(self._inputs, replica, chunk)
            body = keeping(body, self._inputs.scenario.prefix_cache, self._inputs.model, replica.layout, role)
            self.physics[spec.name], self.profiles[spec.name] = body, replica.profile
            self.beside |= {spec.name} if replica.beside else set()
            offered += self._offer(spec, replica, body)
        kept, refused = undominated(offered, self._late(offered))
        self.options += kept
        self.least += [at_least(o, self.physics[o.spec.name], replica.rules, self._demand) for o in kept]
        self.least += self._beaten([o for o in offered if o not in kept], offered, replica.rules)
        self.excuses += refused

    def _beaten(self, beaten: Sequence[Option], offered: Sequence[Option], rules: Policy) -> list[Option]:
        """The least work of chunk sizes that are worse by estimate alone: no bound may do without them.

        One stands for all: with the largest chunk it may take every step that the others take, with the most memory it
        holds what they hold.
        """
        if not beaten:
            return []
        largest = max(offered, key=lambda o: o.spec.chunk_tokens or 0)
        roomy = max(offered, key=lambda o: o.kv_tokens)
        most = replace(largest, kv_tokens=roomy.kv_tokens)
        return [replace(at_least(most, self.physics[roomy.spec.name], rules, self._demand), spec=beaten[-1].spec)]

    def _chunks(self, rules: Policy, role: Role, body: InstancePhysics) -> tuple[int | None, ...]:
        """Chunk sizes of a role: all for the optimiser to choose from where the role lives on prompts.

        A decode instance computes few prompts, so their cost says nothing: it takes the largest chunk whose step keeps
        every objective on token gaps, or the smallest.
        """
        sizes = tuple(sorted(set(self._inputs.scenario.policy.chunk_tokens)))
        if role not in rules.cuts:
            return (None,)
        if rules.streams:  # chunks adapt to the batch, up to the largest size
            return sizes[-1:]
        if role is not Role.DECODE:
            return sizes
        short = [c for c in sizes if body.step.prefill_s([(c, 0)]) <= self._gap_s]
        return (max(short, default=sizes[0]),)

    @property
    def _gap_s(self) -> float:
        """The tightest objective on token gaps; inf without any."""
        return min((s.limit for s in self._slos if s.metric.bounds_gaps and s.unit is Unit.SECONDS), default=inf)

    def _late(self, offered: Sequence[Option]) -> frozenset[str]:
        """Names of those whose step is longer than a token may take where a chunk fills it."""
        steps = {o.spec.name: (self.physics[o.spec.name].step, o.spec.chunk_tokens) for o in offered}
        return frozenset(
            n for n, (step, chunk) in steps.items() if chunk and step.prefill_s([(chunk, 0)]) > self._gap_s
        )

    def _offer(self, spec: InstanceSpec, replica: Replica, body: InstancePhysics) -> list[Option]:
        """One layout in one role: an option or none."""
        bought, machine = self._inputs.scenario.catalog, replica.machine
        price = price_of(self._inputs.scenario, machine)
        allowed = bought.roles.get(machine.name, (spec.role,))
        if spec.role not in allowed:
            words = f"catalog.roles keeps {machine.name} for {', '.join(allowed)}"
            self.excuses.append(Excuse(option=spec.name, reason=words, bottleneck="roles"))
            return []
        if price is None:
            self.excuses.append(_unsold(spec, machine, bought.channel))
            return []
        wanted = self._wanted(spec, replica)
        if not wanted.classes:
            return []
        reference = self._inputs.reference
        offered, refused = option(spec, machine, price.usd_per_h, body, replica.rules, wanted, self._slos, reference)
        self.excuses += refused
        carbon_g_per_j = self._inputs.scenario.energy.carbon_g_per_j
        return [replace(offered, carbon_g_per_j=carbon_g_per_j)] if offered else []

    def _wanted(self, spec: InstanceSpec, replica: Replica) -> Demand:
        """The classes that an instance may be asked to serve: all, or those it is for and fast enough for."""
        if not replica.rules.streams:
            return self._demand
        kept, section = [], self._inputs.scenario.policy
        for part in long.served(section, spec.layout, self._demand, beside=replica.beside).classes:
            excuse = long.out_of_reach(
                spec.name, spec.layout, self._inputs.model, replica.machine, self.profiles[spec.name], part, self._slos
            )
            if excuse:
                self.excuses.append(excuse)
            else:
                kept.append(part)
        return Demand(classes=tuple(kept))


def _unsold(spec: InstanceSpec, machine: Machine, channel: str) -> Excuse:
    """No price, no option."""
    sold = ", ".join(p.channel for p in machine.prices)
    ways = f"catalog.channel {sold}, or yours in" if sold else "yours in"
    reason = f"{machine.name} has no {channel} price; expected {ways} catalog.price_usd_per_h"
    return Excuse(option=spec.name, reason=reason, bottleneck="price")
