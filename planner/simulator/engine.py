"""The cluster at work: arrivals, routing, transfers; one call runs one trace."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import simpy

from planner.perf.instance import InstancePhysics
from planner.plan import Role
from planner.policies.base import Policy, Transfer
from planner.simulator.instance import UNLIMITED, Hooks, Instance
from planner.simulator.kv_link import KvLink
from planner.simulator.meter import Meter
from planner.simulator.records import Ledger, Request, Window
from workloads.traces import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolModel:
    """A pool as the simulator sees it.

    Attributes:
        name: spec name.
        role: phase its instances work on.
        physics: of each instance.
        instances: how many, >= 1.
        speed: relative planned speed of an instance, > 0; queues are compared in units of it.
        classes: indices of the request classes it serves.
    """

    name: str
    role: Role
    physics: InstancePhysics
    instances: int
    speed: float
    classes: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one simulation leaves behind.

    Attributes:
        ledger: rows and histograms.
        meters: pool name -> one meter per instance.
        waiting: requests that still waited for a prefill, a transfer or memory when it was cut off.
        running: requests that were computed or on the link then.
        end_s: simulated time at the end.
        kv_free_blocks: free blocks of each instance at the end.
        kv_total_blocks: blocks of each instance.
    """

    ledger: Ledger
    meters: dict[str, list[Meter]]
    waiting: int
    running: int
    end_s: float
    kv_free_blocks: list[int]
    kv_total_blocks: list[int]


class _Queue:
    """The pending tokens of the instances that take one phase of one class, over their planned speed."""

    __slots__ = ("instances", "loads", "places", "weights")

    def __init__(self, members: list[tuple[Instance, float]]) -> None:
        """Nothing pending."""
        self.instances = [instance for instance, _ in members]
        self.weights = [1.0 / speed for _, speed in members]
        self.loads = [0.0] * len(members)
        self.places = {instance.index: i for i, instance in enumerate(self.instances)}

    def add(self, instance: int, tokens: int) -> None:
        """Note ``tokens`` more (or fewer) pending at an instance, if it is a member."""
        place = self.places.get(instance)
        if place is not None:
            self.loads[place] += tokens * self.weights[place]


class _Cluster:
    """All instances, their links and queues, during one run."""

    def __init__(
        self, pools: Sequence[PoolModel], policy: Policy, trace: Trace, ledger: Ledger, max_run_steps: int
    ) -> None:
        """An idle cluster.

        Args:
            pools: what it is made of.
            policy: how it serves.
            trace: what will arrive.
            ledger: empty books.
            max_run_steps: longest decode run.
        """
        self.env = simpy.Environment()
        self.policy, self.trace, self.ledger = policy, trace, ledger
        self.meters: dict[str, list[Meter]] = {}
        self.instances: list[Instance] = []
        members: list[tuple[PoolModel, Instance]] = []
        hooks = Hooks(
            prefill_started=self._prefill_started, leaves=self._leaves, admitted=self._admitted, finished=self._finished
        )
        machines = 0
        for pool in pools:
            per_machine = pool.physics.instances_per_machine
            for i in range(pool.instances):
                meter = Meter(ledger.window.start_s, ledger.window.end_s, pool.physics.kv_blocks)
                self.meters.setdefault(pool.name, []).append(meter)
                instance = Instance(
                    env=self.env, index=len(self.instances), role=pool.role, physics=pool.physics,
                    machine=machines + i // per_machine, batching=policy.batching, ledger=ledger, meter=meter,
                    hooks=hooks, max_run_steps=max_run_steps,
                )  # fmt: skip
                self.instances.append(instance)
                members.append((pool, instance))
            machines += -(-pool.instances // per_machine)
        self.link = KvLink(machines)
        roles = policy.topology.roles()
        self.queues = [
            {
                role: _Queue([(i, p.speed) for p, i in members if p.role is role and index in p.classes])
                for role in roles
            }
            for index in range(len(trace.classes))
        ]
        self._of_instance = [
            [q for c in self.queues for q in c.values() if i.index in q.places] for i in self.instances
        ]
        self.first_role = roles[0]
        self.flying = 0

    # --- arrivals --------------------------------------------------------------------------------------------------

    def arrivals(self) -> Generator[simpy.Event, None, None]:
        """Let every request of the trace arrive at its time."""
        env, trace, ledger = self.env, self.trace, self.ledger
        slices = ledger.window.slices
        columns = zip(
            trace.arrival_s.tolist(), trace.prompt_tokens.tolist(), trace.output_tokens.tolist(),
            trace.class_index.tolist(), strict=True,
        )  # fmt: skip
        for index, (arrival_s, prompt, output, request_class) in enumerate(columns):
            if arrival_s > env.now:
                yield env.timeout(arrival_s - env.now)
            part = ledger.window.slice_of(index)
            group = request_class * slices + part if part >= 0 else -1
            ledger.arrived += 1
            self._route(Request(index, arrival_s, prompt, output, group), request_class)

    def _route(self, request: Request, request_class: int) -> None:
        """Choose the instances of every phase at arrival and queue the request at the first.

        A class whose requests all end with their first token may have no instances for a second phase.
        """
        chosen = {
            role: queue.instances[self.policy.routing.choose(queue.loads)]
            for role, queue in self.queues[request_class].items()
            if queue.instances
        }
        then = self.policy.topology.next_hop(self.first_role)
        stranded = self.first_role not in chosen or (then and then not in chosen and request.output_tokens > 1)
        if stranded or any(self._too_long(request, instance) for instance in chosen.values()):
            self.ledger.refused += 1
            return
        if then in chosen:
            request.home = chosen[then].index
        for instance in chosen.values():
            self._pend(instance.index, request.prompt_tokens)
        chosen[self.first_role].submit(request)

    @staticmethod
    def _too_long(request: Request, instance: Instance) -> bool:
        """Whether a request alone overflows the memory of an instance."""
        held = request.prompt_tokens + (0 if instance.role is Role.PREFILL else request.output_tokens)
        return instance.memory.blocks(held + 1) > instance.memory.total

    def _pend(self, instance: int, tokens: int) -> None:
        """Change the pending tokens of an instance in every queue it is a member of."""
        for queue in self._of_instance[instance]:
            queue.add(instance, tokens)

    # --- hooks -----------------------------------------------------------------------------------------------------

    def _prefill_started(self, source: Instance, requests: list[Request], prefill_s: float) -> None:
        """Start the layer-wise transfers of a prefill step, where the other side has memory already."""
        if self.policy.topology.next_hop(source.role) is None:
            return
        now = self.env.now
        for request in requests:
            if request.home < 0 or self.policy.topology.transfer(request) is not Transfer.LAYERWISE:
                continue
            target = self.instances[request.home]
            if target.reserve(request):
                begin, end = self.link.layerwise(
                    source.physics, source.machine, target.physics, target.machine,
                    request.prefill_tokens, now, prefill_s,
                )  # fmt: skip
                self.ledger.link_wait_s += max(0.0, begin - now - prefill_s / source.physics.layers)
                request.transfer_end_s = end

    def _leaves(self, source: Instance, request: Request) -> bool:
        """Send a prefilled request on, if the topology says so."""
        if self.policy.topology.next_hop(source.role) is None:
            return False
        self._pend(source.index, -request.prompt_tokens)
        request.sent_by = source.index
        if request.transfer_end_s >= 0:
            self._fly(request, request.transfer_end_s)
        else:
            self.instances[request.home].offer(request)
        return True

    def _admitted(self, request: Request) -> None:
        """Memory is promised: send the KV cache in one piece."""
        source, target = self.instances[request.sent_by], self.instances[request.home]
        begin, end = self.link.serialized(
            source.physics, source.machine, target.physics, target.machine, request.prefill_tokens, self.env.now
        )
        self.ledger.link_wait_s += begin - self.env.now
        self._fly(request, end)

    def _fly(self, request: Request, end_s: float) -> None:
        """Let a KV cache land at ``end_s``."""
        self.flying += 1
        self.ledger.transfers += 1
        self.ledger.transfer_s += end_s - request.last_token_s
        timeout = self.env.timeout(end_s - self.env.now, value=request)
        timeout.callbacks.append(self._landed)

    def _landed(self, event: simpy.Event) -> None:
        """A KV cache has arrived: free the source, wake the target."""
        self.flying -= 1
        request: Request = event.value
        self.instances[request.home].land(request)
        self.instances[request.sent_by].release(request)

    def _finished(self, instance: Instance, request: Request) -> None:
        """A request has its last token."""
        now = self.env.now
        self.ledger.finish(request, now)
        self._pend(instance.index, -request.prompt_tokens)
        if request.home >= 0 and request.home != instance.index:
            self._pend(request.home, -request.prompt_tokens)
            if request.transfer_end_s >= 0:
                self.instances[request.home].cancel(request)


def run(
    pools: Sequence[PoolModel],
    policy: Policy,
    trace: Trace,
    window: Window,
    *,
    cutoff_s: float,
    max_run_steps: int = UNLIMITED,
) -> Run:
    """Serve a trace.

    Args:
        pools: the cluster; a request that needs a role in which no pool serves its class is refused.
        policy: how it serves.
        trace: what arrives.
        window: which arrivals are measured.
        cutoff_s: simulated time at which an overloaded run is cut off.
        max_run_steps: longest run of decode steps taken at once; 1 simulates step by step (same result, slower).

    Returns:
        Rows, histograms, meters and what was left over.
    """
    ledger = Ledger(trace, window)
    cluster = _Cluster(pools, policy, trace, ledger, max_run_steps)
    cluster.env.process(cluster.arrivals())
    cluster.env.run(until=cutoff_s)
    waiting = sum(len(i.waiting) + len(i.landing) for i in cluster.instances)
    return Run(
        ledger=ledger,
        meters=cluster.meters,
        waiting=waiting,
        running=sum(i.computing for i in cluster.instances) + cluster.flying,
        end_s=cluster.env.now,
        kv_free_blocks=[i.memory.free for i in cluster.instances],
        kv_total_blocks=[i.memory.total for i in cluster.instances],
    )
