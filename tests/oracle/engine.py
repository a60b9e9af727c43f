"""The cluster at work: arrivals, routing, transfers; one call runs one trace."""

from collections import deque
from collections.abc import Generator, Sequence
from math import inf

import simpy

from planner.perf.layout import Role
from planner.policies.base import Policy, Recovery, Transfer
from planner.simulator.books import Meter, Window, seconds
from planner.simulator.pools import UNLIMITED, Failure, PoolModel, Run, Shift
from tests.oracle.failures import Outages
from tests.oracle.hooks import Hooks
from tests.oracle.instance import Instance
from tests.oracle.kv_link import KvLink
from tests.oracle.records import Ledger, Request
from tests.oracle.router import Member, Router
from tests.oracle.shifts import Shifting
from tests.oracle.watch import Watch
from workloads.traces import Trace


class _Cluster:
    """All instances, their links and their router, during one run."""

    def __init__(
        self, pools: Sequence[PoolModel], policy: Policy, trace: Trace, ledger: Ledger, max_run_steps: int,
        clients: int | None,
    ) -> None:  # fmt: skip
        """An idle cluster.

        Args:
            pools: what it is made of.
            policy: how it serves.
            trace: what will arrive.
            ledger: empty books.
            max_run_steps: longest decode run.
            clients: requests in flight at most; None lets them come as the trace says.
        """
        self.env = simpy.Environment()
        self._places = None if clients is None else simpy.Container(self.env, capacity=clients, init=clients)
        self.policy, self.trace, self.ledger = policy, trace, ledger
        self.meters: dict[str, list[Meter]] = {}
        self.instances: list[Instance] = []
        members: list[Member] = []
        hooks = Hooks(
            prefill_started=self._prefill_started, leaves=self._leaves, admitted=self._admitted, finished=self._finished
        )
        machines = 0
        for pool in pools:
            per_machine, spanned = pool.physics.instances_per_machine, pool.physics.machines_per_instance
            batching = policy.batching.at(pool.chunk_tokens, pool.physics.step)
            order = policy.order.at(pool.chunk_tokens, pool.physics.step)
            meters = self.meters.setdefault(pool.name, [])
            above_j = meters[0].above_j if meters else [0.0] * seconds(*ledger.window.span_s)
            for i in range(pool.instances):
                meters.append(Meter(*ledger.window.span_s, pool.physics.kv_blocks, above_j=above_j))
                instance = Instance(
                    env=self.env, index=len(self.instances), role=pool.role, physics=pool.physics,
                    machine=machines + i // per_machine * spanned, batching=batching, ledger=ledger, meter=meters[-1],
                    hooks=hooks, max_run_steps=max_run_steps, order=order,
                )  # fmt: skip
                self.instances.append(instance)
                members.append(Member(instance=instance, speed=pool.speed, classes=pool.classes))
            machines += pool.machines
        self.link = KvLink(machines)
        self.router = Router(members, policy, len(trace.classes))
        self.flights: dict[int, Request] = {}
        self.parked: deque[Request] = deque()

    # --- arrivals --------------------------------------------------------------------------------------------------

    def arrivals(self) -> Generator[simpy.Event, None, None]:
        """Let every request of the trace arrive at its time."""
        env, trace, ledger = self.env, self.trace, self.ledger
        slices = ledger.window.slices
        due_s = [self.policy.order.limit_s(c.name) for c in trace.classes]
        cached = [0] * len(trace) if trace.cached_tokens is None else trace.cached_tokens.tolist()
        columns = zip(
            trace.arrival_s.tolist(), trace.prompt_tokens.tolist(), trace.output_tokens.tolist(),
            trace.class_index.tolist(), cached, strict=True,
        )  # fmt: skip
        for index, (arrival_s, prompt, output, request_class, held) in enumerate(columns):
            if arrival_s > env.now:
                yield env.timeout(arrival_s - env.now)
            if self._places:
                yield self._places.get(1)
            part = ledger.window.slice_of(index)
            group = request_class * slices + part if part >= 0 else -1
            ledger.arrived += 1
            request = Request(index, env.now if self._places else arrival_s, prompt, output, group)
            request.cached_tokens, request.due_s = held, request.arrival_s + due_s[request_class]
            self._route(request)

    def _route(self, request: Request) -> None:
        """Choose the instances of every phase and queue the request at the first."""
        request_class, router = int(self.trace.class_index[request.index]), self.router
        if not router.serves(request, request_class):
            self._refuse()
            return
        chosen = router.choose(request, request_class)
        if not chosen:
            self.parked.append(request)
            return
        if any(self._too_long(request, instance) for instance in chosen.values()):
            self._refuse()
            return
        first = chosen[router.first]
        then = chosen.get(router.then) if router.then else None
        request.sent_by = first.index
        router.pend(first.index, request.prompt_tokens)
        if then:
            request.home = then.index
            if then is first:
                router.welcome(request)
            else:
                router.pend(then.index, request.prompt_tokens)
        first.submit(request)

    def _refuse(self) -> None:
        """Turn a request away."""
        self.ledger.refused += 1
        self._next_client()

    def _next_client(self) -> None:
        """Let the next request of a closed loop come."""
        if self._places:
            self._places.put(1)

    @staticmethod
    def _too_long(request: Request, instance: Instance) -> bool:
        """Whether a request alone overflows the memory of an instance."""
        held = request.prompt_tokens + (0 if instance.role is Role.PREFILL else request.output_tokens)
        return instance.memory.blocks(held + 1) > instance.memory.total

    # --- failures --------------------------------------------------------------------------------------------------

    def outages(self) -> Outages:
        """Failures, as they befall this cluster."""
        return Outages(
            env=self.env, instances=self.instances, router=self.router, flights=self.flights, rehome=self._rehome,
            restart=self._restart, repaired=self.unpark,
        )  # fmt: skip

    def _rehome(self, request: Request) -> None:
        """Choose another instance to continue a request that is still at the first; none where none is up."""
        home = self.router.resume(int(self.trace.class_index[request.index]))
        request.home, request.transfer_end_s, request.sent_tokens = -1, -1.0, 0
        if home and not self._too_long(request, home):
            request.home = home.index
            self.router.pend(home.index, request.prompt_tokens)

    def _restart(self, request: Request) -> None:
        """Serve a request again that was lost with a machine, from its checkpoint where there is one."""
        self.ledger.restarted += 1
        if self.policy.recovery is Recovery.CHECKPOINT and request.generated:
            self._resume(request.resumed())
        else:
            self.ledger.ttft_s[request.index] = inf
            self._route(request.again())

    def _resume(self, request: Request) -> None:
        """Fetch the KV cache of a prompt for the instance that recomputes what came after it.

        The store is not modelled: the cache comes over the instance's own link, without waiting for a port.
        """
        self._rehome(request)
        if request.home < 0:
            self.parked.append(request)
            return
        body = self.instances[request.home].physics
        fetch_s = (
            body.link.latency_s + body.kv_bytes_per_token * request.prompt_tokens / body.link.bandwidth_bytes_per_s
        )
        self.flights[request.index] = request
        timeout = self.env.timeout(fetch_s, value=request)
        timeout.callbacks.append(self._fetched)

    def _fetched(self, event: simpy.Event) -> None:
        """A checkpoint has arrived, unless it was lost again."""
        request: Request = event.value
        if self.flights.get(request.index) is request:
            del self.flights[request.index]
            self.instances[request.home].submit(request)

    def unpark(self) -> None:
        """Instances are back: serve those that found none."""
        parked = list(self.parked)
        self.parked.clear()
        for request in parked:
            self._resume(request) if request.generated else self._route(request)

    # --- hooks -----------------------------------------------------------------------------------------------------

    def _prefill_started(self, source: Instance, requests: list[Request], prefill_s: float) -> None:
        """Send layer by layer what a prefill step computes, where the other side has memory for the whole cache.

        A prompt in chunks so travels chunk by chunk; what was computed before there was memory follows with the next.
        """
        if self.policy.topology.next_hop(source.role) is None:
            return
        now = self.env.now
        for request in requests:
            if request.home in (-1, source.index) or self.policy.topology.transfer(request) is not Transfer.LAYERWISE:
                continue
            target, unsent = self.instances[request.home], request.held_tokens - request.sent_tokens
            if unsent > 0 and (request.transfer_end_s >= 0 or target.reserve(request)):
                begin, end = self.link.layerwise(
                    source.physics, source.machine, target.physics, target.machine, unsent, now, prefill_s
                )
                self.ledger.link_wait_s += max(0.0, begin - now - prefill_s / source.physics.layers)
                request.transfer_end_s = max(request.transfer_end_s, end)
                request.sent_tokens = request.held_tokens

    def _leaves(self, source: Instance, request: Request) -> bool:
        """Send a prefilled request on, if the topology says so."""
        if request.guest and source.role is not self.router.first:
            self.router.farewell(request)
        if request.home == source.index or self.policy.topology.next_hop(source.role) is None:
            if source.role is Role.MIXED:  # a computed prompt keeps nobody waiting; its tokens share their steps
                self.router.pend(source.index, 1 - request.pending_tokens)
                request.pending_tokens = 1
            return False
        self.router.pend(source.index, -request.prompt_tokens)
        if request.home < 0:
            self._fly(request, self.env.now)
        elif request.transfer_end_s >= 0:
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
        self.flights[request.index] = request
        self.ledger.transfers += 1
        self.ledger.transfer_s += end_s - request.last_token_s
        timeout = self.env.timeout(end_s - self.env.now, value=request)
        timeout.callbacks.append(self._landed)

    def _landed(self, event: simpy.Event) -> None:
        """A KV cache has arrived, unless it was lost on the way: free the source, wake the target."""
        request: Request = event.value
        if self.flights.get(request.index) is not request:
            return
        del self.flights[request.index]
        held = request.prefill_tokens  # the target may throw it out again at once, and then it asks for more
        if request.home >= 0:
            self.instances[request.home].land(request)
        self.instances[request.sent_by].release(held)
        if request.home < 0:
            self._restart(request)

    def _finished(self, instance: Instance, request: Request) -> None:
        """A request has its last token."""
        now = self.env.now
        self.ledger.finish(request, now)
        self._next_client()
        self.router.farewell(request)
        self.router.pend(instance.index, -request.pending_tokens)
        if request.home >= 0 and request.home != instance.index:
            self.router.pend(request.home, -request.prompt_tokens)
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
    failures: Sequence[Failure] = (),
    shifts: Sequence[Shift] = (),
    watch: Watch | None = None,
    clients: int | None = None,
) -> Run:
    """Serve a trace.

    Args:
        pools: the cluster; a request that needs a role in which no pool serves its class is refused.
        policy: how it serves.
        trace: what arrives.
        window: which arrivals are measured.
        cutoff_s: simulated time at which an overloaded run is cut off.
        max_run_steps: longest run of decode steps taken at once; 1 simulates step by step (same result, slower).
        failures: machines that fail meanwhile.
        shifts: instances that come, go or change their clock meanwhile.
        watch: somebody who looks on.
        clients: closed loop: as many requests in flight at most, the next one sent when one ends; the arrival times of
            the trace are then the earliest ones. None is an open loop.

    Returns:
        Rows, histograms, meters and what was left over.
    """
    ledger = Ledger(trace, window)
    cluster = _Cluster(pools, policy, trace, ledger, max_run_steps, clients)
    cluster.env.process(cluster.arrivals())
    for failure in failures:
        cluster.env.process(cluster.outages().happen(failure))
    Shifting(
        env=cluster.env, instances=cluster.instances, router=cluster.router, opened=cluster.unpark
    ).begin(shifts)  # fmt: skip
    if watch:
        cluster.env.process(watch.looking(cluster.env, cluster.instances))
    cluster.env.run(until=cutoff_s)
    waiting = sum(len(i.waiting) + len(i.landing) for i in cluster.instances)
    return Run(
        ledger=ledger.books(),
        meters=cluster.meters,
        waiting=waiting + len(cluster.parked),
        running=sum(i.computing for i in cluster.instances) + len(cluster.flights),
        end_s=cluster.env.now,
        kv_free_blocks=[i.memory.free for i in cluster.instances],
        kv_total_blocks=[i.memory.total for i in cluster.instances],
        lent=cluster.router.lent,
    )
