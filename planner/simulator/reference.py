"""The reference: a cluster served step by step, to hold the simulator that plans are judged by against.

Every step of every instance is a SimPy process, every token is booked by itself. It reads the numbers of a policy, and
applies the rules of ``docs/simulator.md`` and ``docs/policies.md`` on its own; step times and watts come from ``perf``.
"""

from collections.abc import Generator, Sequence
from math import inf
from typing import Any

import numpy as np
import simpy

from planner.perf.layout import Role
from planner.policies.base import Policy, Recovery
from planner.policies.lending import MixedPool
from planner.policies.routing import ShortestQueue
from planner.policies.topology import PhaseSplit
from planner.simulator.books import GAP_BINS, Books, Meter, Window, bin_edges_s
from planner.simulator.pools import Failure, PoolModel, Run, Shift
from planner.simulator.reference_instance import Instance
from planner.simulator.reference_rules import Ports, Request
from workloads.traces import Trace

REFERENCE = "reference, step by step"
"""What served a run, in words."""

COUNTED = ("arrived", "finished", "refused", "restarted", "transfers", "output_tokens")
"""What a run counts."""


def serve(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float,
    failures: Sequence[Failure] = (), shifts: Sequence[Shift] = (), clients: int | None = None,
) -> Run:  # fmt: skip
    """Serve a trace: arguments and result are those of ``serve.serve``, but for the pipelines' bubbles."""
    cluster = _Cluster(pools, policy, trace, window, clients)
    cluster.env.process(cluster.arrivals())
    for failure in failures:
        cluster.env.process(cluster.outage(failure))
    for shift in (shift for shift in shifts if shift.at_s <= 0):
        cluster.turn(shift)
    cluster.env.process(cluster.turns([shift for shift in shifts if shift.at_s > 0]))
    cluster.env.run(until=cutoff_s)
    return cluster.left()


class _Cluster:
    """All instances, the links between their machines, and who is sent where."""

    def __init__(
        self, pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, clients: int | None
    ) -> None:
        """Idle."""
        if not isinstance(policy.routing, ShortestQueue):
            raise TypeError("routing: the reference knows the shortest queue; simulate with the default engine")
        self.env = simpy.Environment()
        self._clients = simpy.Container(self.env, clients, clients) if clients else None
        self._policy, self._trace, self._window = policy, trace, window
        self._roles = policy.topology.roles()
        self._limits = policy.lending.threshold_tokens if isinstance(policy.lending, MixedPool) else {}
        self.instances, self._pools, self._meters = list[Instance](), list[PoolModel](), dict[str, list[Meter]]()
        machines = 0
        for pool in pools:
            self._add(pool, machines)
            machines += pool.machines
        count, requests = len(self.instances), len(trace)
        self._pending, self._borrowed, self._down = [0] * count, [0] * count, [0] * count
        self._closed, self._ports = set[int](), Ports(machines)
        self._flying, self._parked = dict[int, Request](), list[Request]()
        self.ttft_s, self._e2e_s, self._max_gap_s = [inf] * requests, [inf] * requests, [0.0] * requests
        self._served_by = [(-1, -1)] * requests
        self.gaps_s: list[list[float]] = [[] for _ in range(window.slices * len(trace.classes))]
        self._count: dict[str, Any] = dict.fromkeys(
            ("arrived", "finished", "refused", "restarted", "transfers", "output_tokens"), 0
        )
        self._transfer_s = self._link_wait_s = 0.0

    def _add(self, pool: PoolModel, machines: int) -> None:
        """The instances of a pool, machine by machine."""
        meters = self._meters.setdefault(pool.name, [])
        span_s = self._window.end_s - self._window.start_s
        above_j = meters[0].above_j if meters else [0.0] * (int(max(0.0, span_s)) + 1)
        for number in range(pool.instances):
            meter = Meter(self._window.start_s, self._window.end_s, pool.physics.kv_blocks, above_j=above_j)
            place = machines + number // pool.physics.instances_per_machine * pool.physics.machines_per_instance
            self.instances.append(Instance(self, len(self.instances), pool, self._policy, place, meter))
            self._pools.append(pool)
            meters.append(meter)

    def arrivals(self) -> Generator[simpy.Event, None, None]:
        """Requests come at their times, in a closed loop not before a client is free."""
        trace = self._trace
        cached = np.zeros(len(trace), int) if trace.cached_tokens is None else trace.cached_tokens
        for index, arrival_s in enumerate(trace.arrival_s.tolist()):
            if arrival_s > self.env.now:
                yield self.env.timeout(arrival_s - self.env.now)
            if self._clients:
                yield self._clients.get(1)
            came_s, kind = self.env.now if self._clients else arrival_s, int(trace.class_index[index])
            part = self._window.slice_of(index)
            self._count["arrived"] += 1
            self._route(
                Request(
                    index=index, kind=kind, arrival_s=came_s, prompt_tokens=int(trace.prompt_tokens[index]),
                    output_tokens=int(trace.output_tokens[index]), computed_tokens=int(cached[index]),
                    group=kind * self._window.slices + part if part >= 0 else -1,
                    due_s=came_s + self._policy.order.limit_s(trace.classes[kind].name),
                )
            )  # fmt: skip

    def _route(self, request: Request) -> None:
        """One instance for every phase, or one for both; none where a phase is down, never where none was planned."""
        needed = self._roles if request.output_tokens > 1 else self._roles[:1]
        if not all(self._members(role, request) for role in needed):
            self._done("refused")
        elif not (chosen := self._chosen(request)):
            self._parked.append(request)
        elif any(not self._fits(request, i, request.output_tokens * (i.role is not Role.PREFILL)) for i in chosen):
            self._done("refused")
        else:
            first, request.sent_by = chosen[0], chosen[0].index
            self._pending[first.index] += request.prompt_tokens
            if len(chosen) > 1:
                request.home, request.borrowed = chosen[-1].index, chosen[-1] is first
                self._borrowed[first.index] += request.borrowed
                self._pending[request.home] += 0 if request.borrowed else request.prompt_tokens
            first.submit(request)

    def _done(self, how: str) -> None:
        """A request is finished or refused; a client is free."""
        self._count[how] += 1
        if self._clients:
            self._clients.put(1)

    def _members(self, role: Role, request: Request) -> list[Instance]:
        """Instances of a role that serve the class of a request."""
        return [i for i in self.instances if i.role is role and request.kind in self._pools[i.index].classes]

    def _chosen(self, request: Request) -> list[Instance]:
        """The shortest queue of every phase; where that is under pressure, an instance of the other phase for both."""
        chosen = list[Instance]()
        for role in self._roles:
            members = self._members(role, request)
            own = self._shortest(members)
            if members and self._pressed(role, own):
                helper = self._helper(role, request, at_any_cost=own is None)
                if helper:
                    return [helper, helper]
            if members and not own:
                return []
            chosen += [own] if own else []
        return chosen

    def _helper(self, role: Role, request: Request, *, at_any_cost: bool) -> Instance | None:
        """One that is borrowed already, else one that is not, under no pressure itself where there is a choice."""
        others = [i for other in self._roles if other is not role for i in self._members(other, request)]
        for borrowed in (True, False):
            some = [i for i in others if bool(self._borrowed[i.index]) is borrowed]
            best = self._shortest([i for i in some if self._fits(request, i, request.output_tokens)])
            if best and (at_any_cost or not any(self._pressed(one, best) for one in self._roles)):
                return best
        return None

    def _pressed(self, role: Role, instance: Instance | None) -> bool:
        """Whether more prompt tokens wait for a phase than may: to be computed, or for memory."""
        if role not in self._limits or instance is None:
            return role in self._limits
        landing = sum(request.prompt_tokens for request in instance.landing)
        return (instance.uncomputed_tokens() if role is self._roles[0] else landing) > self._limits[role]

    def _shortest(self, members: list[Instance]) -> Instance | None:
        """Least pending tokens over planned speed, the first of equals, of those that are up."""
        able = [i for i in members if not self._down[i.index] and i.index not in self._closed]
        return min(able, key=lambda i: self._pending[i.index] * (1 / self._pools[i.index].speed), default=None)

    @staticmethod
    def _fits(request: Request, instance: Instance, output_tokens: int) -> bool:
        """Whether a request alone fits the memory of an instance."""
        return request.prompt_tokens + output_tokens + 1 <= instance.body.kv_tokens

    def computes(self, source: Instance, requests: list[Request], seconds: float) -> None:
        """Of a KV cache that travels layer by layer a step sends what it computes, if its home has memory for it."""
        topology = self._policy.topology
        if source.role is not self._roles[0] or not isinstance(topology, PhaseSplit):
            return
        for request in requests:
            long = request.prompt_tokens >= topology.layerwise_from_tokens
            layerwise = topology.mode == "layerwise" or (topology.mode == "auto" and long)
            unsent = request.held_tokens - request.sent_tokens
            if not layerwise or request.home in (-1, source.index) or unsent <= 0:
                continue
            target = self.instances[request.home]
            if request.lands_s is None and not target.reserve(request):
                continue
            body, now = source.body, self.env.now
            ready_s = now + seconds / body.layers
            begin_s, busy_s = self._ports.book(body, source.machine, target.body, target.machine, unsent, ready_s)
            self._link_wait_s += begin_s - ready_s
            last_byte_s = max(begin_s + busy_s, now + seconds + busy_s / body.layers)
            lands_s = last_byte_s + body.link.latency_s + body.link.sync_s
            request.lands_s, request.sent_tokens = max(request.lands_s or 0.0, lands_s), request.held_tokens

    def moves_on(self, source: Instance, request: Request) -> bool:
        """A computed prompt stays where it is, or its KV cache moves to its home once there is memory."""
        if source.role is not self._roles[0]:
            self._borrowed[request.sent_by] -= request.borrowed
            request.borrowed = False
        if request.home == source.index or source.role is not self._roles[0] or len(self._roles) == 1:
            if source.role is Role.MIXED:
                self._pending[source.index] += 1 - request.pending_tokens
                request.pending_tokens = 1
            return False
        self._pending[source.index] -= request.prompt_tokens
        if request.home < 0:
            self.env.process(self._flight(request, self.env.now))
        elif request.lands_s is not None:
            self.env.process(self._flight(request, request.lands_s))
        else:
            self.instances[request.home].offer(request)
        return True

    def travels(self, request: Request) -> None:
        """A KV cache moves in one piece."""
        source, target = self.instances[request.sent_by], self.instances[request.home]
        begin_s, busy_s = self._ports.book(
            source.body, source.machine, target.body, target.machine, request.prefill_tokens, self.env.now
        )
        self._link_wait_s += begin_s - self.env.now
        self.env.process(self._flight(request, begin_s + source.body.link.latency_s + busy_s))

    def ends(self, source: Instance, request: Request) -> None:
        """A request has its last token; a cache in transfer to its home is no longer awaited there."""
        index = request.index
        self._done("finished")
        self._count["output_tokens"] += request.output_tokens
        self._e2e_s[index] = self.env.now + request.lag_s - request.arrival_s
        self._max_gap_s[index] = request.max_gap_s
        decoder = request.home if request.home >= 0 else request.sent_by
        self._served_by[index] = request.sent_by, decoder if request.output_tokens > 1 else -1
        self._borrowed[request.sent_by] -= request.borrowed
        self._pending[source.index] -= request.pending_tokens
        if request.home not in (-1, source.index):
            self._pending[request.home] -= request.prompt_tokens
            if request.lands_s is not None:
                self.instances[request.home].cancel(request)

    def _flight(self, request: Request, lands_s: float) -> Generator[simpy.Event, None, None]:
        """A KV cache lands, unless a machine fails; then its source has its memory back."""
        self._flying[request.index] = request
        self._count["transfers"] += 1
        self._transfer_s += lands_s - request.last_token_s
        yield self.env.timeout(lands_s - self.env.now)
        if self._flying.get(request.index) is not request:
            return
        del self._flying[request.index]
        tokens = request.prefill_tokens
        if request.home >= 0:
            self.instances[request.home].land(request)
        self.instances[request.sent_by].release(tokens)
        if request.home < 0:
            self._restart(request)

    def outage(self, failure: Failure) -> Generator[simpy.Event, None, None]:
        """A machine fails, and may come back empty."""
        yield self.env.timeout(failure.at_s)
        spans = [(i, i.machine, i.machine + i.body.machines_per_instance) for i in self.instances]
        dead = [i for i, begin, end in spans if begin <= failure.machine < end]
        self._lose(dead)
        if failure.repair_s is not None:
            yield self.env.timeout(failure.repair_s)
            for instance in dead:
                self._down[instance.index] -= 1
            self._unpark()

    def _lose(self, dead: list[Instance]) -> None:
        """All that is on machines that fail is lost, and all that comes from there or goes there; the rest is told."""
        gone = {i.index for i in dead}
        for index in gone:
            self._down[index] += 1
            self._pending[index] = self._borrowed[index] = 0
        landing = [request for i in dead for request in i.landing]
        lost = [*landing, *(request for i in dead for request in i.fail())]
        flying = [request for request in self._flying.values() if gone & {request.home, request.sent_by}]
        for request in flying:
            del self._flying[request.index]
        bereft = self._bereft(gone)
        awaited = [r for r in lost if r.home not in {-1, *gone} and r.lands_s is not None]
        awaited += [r for r in flying if r.home not in gone]
        held = [r for r in landing if r.sent_by not in gone]
        held += [r for r in flying if r.home in gone and r.sent_by not in {-1, *gone}]
        lost += [*flying, *bereft]
        for request in lost:
            if request.home not in {-1, *gone}:
                self._pending[request.home] -= request.prompt_tokens
        for request in held:
            self.instances[request.sent_by].release(request.prefill_tokens)
        for request in awaited:
            self.instances[request.home].cancel(request)
        for request in bereft:
            self.instances[request.home].admit_landing()
        for request in sorted(lost, key=lambda request: request.index):
            self._restart(request)

    def _bereft(self, gone: set[int]) -> list[Request]:
        """Requests that wait elsewhere for a KV cache that is lost; those whose home is lost get another."""
        found = list[Request]()
        for instance in (i for i in self.instances if i.index not in gone):
            found += [request for request in instance.landing if request.sent_by in gone]
            instance.landing = [request for request in instance.landing if request.sent_by not in gone]
            for request in [*instance.computing(), *instance.waiting]:
                if request.home in gone:
                    self._rehome(request)
        return found

    def _rehome(self, request: Request) -> None:
        """Another instance is to decode it, if one is up."""
        home = self._shortest(self._members(self._roles[-1], request))
        request.home, request.lands_s, request.sent_tokens = -1, None, 0
        if home and self._fits(request, home, request.output_tokens):
            request.home = home.index
            self._pending[home.index] += request.prompt_tokens

    def _restart(self, request: Request) -> None:
        """From the start, or with the KV of its prompt, which was kept elsewhere once it was computed."""
        self._count["restarted"] += 1
        again = Request(
            request.index, request.kind, request.arrival_s, request.prompt_tokens, request.output_tokens, request.group,
            request.due_s,
        )  # fmt: skip
        if self._policy.recovery is not Recovery.CHECKPOINT or not request.generated_tokens:
            self.ttft_s[request.index] = inf
            self._route(again)
            return
        again.prefill_tokens = request.prompt_tokens + request.generated_tokens
        again.computed_tokens = request.prompt_tokens
        for name in ("generated_tokens", "preemptions", "first_token_s", "last_token_s", "max_gap_s", "lag_s"):
            setattr(again, name, getattr(request, name))
        self._resume(again)

    def _resume(self, request: Request) -> None:
        """Fetch the KV of its prompt; the store and its ports are not modelled."""
        self._rehome(request)
        if request.home < 0:
            self._parked.append(request)
            return
        self._flying[request.index] = request
        self.env.process(self._fetch(request))

    def _fetch(self, request: Request) -> Generator[simpy.Event, None, None]:
        """The KV of its prompt comes, unless a machine fails."""
        body = self.instances[request.home].body
        yield self.env.timeout(
            body.link.latency_s + body.kv_bytes_per_token * request.prompt_tokens / body.link.bandwidth_bytes_per_s
        )
        if self._flying.get(request.index) is request:
            del self._flying[request.index]
            self.instances[request.home].submit(request)

    def _unpark(self) -> None:
        """Those that found a phase down try again."""
        parked, self._parked = self._parked, []
        for request in parked:
            (self._resume if request.generated_tokens else self._route)(request)

    def turns(self, shifts: list[Shift]) -> Generator[simpy.Event, None, None]:
        """Shifts, in their order."""
        for shift in sorted(shifts, key=lambda shift: shift.at_s):
            if shift.at_s > self.env.now:
                yield self.env.timeout(shift.at_s - self.env.now)
            self.turn(shift)

    def turn(self, shift: Shift) -> None:
        """An instance takes requests or no longer, or goes on at another clock."""
        if shift.physics is not None:
            self.instances[shift.instance].change(shift.physics)
        if shift.opens is False:
            self._closed.add(shift.instance)
        elif shift.opens:
            self._closed.discard(shift.instance)
            self._unpark()

    def left(self) -> Run:
        """The books, closed."""
        edges_s = bin_edges_s()
        places = [np.minimum(np.searchsorted(edges_s, gaps_s, side="right"), GAP_BINS - 1) for gaps_s in self.gaps_s]
        books = Books(
            window=self._window, ttft_s=np.array(self.ttft_s), e2e_s=np.array(self._e2e_s),
            max_gap_s=np.array(self._max_gap_s), served_by=np.array(self._served_by, np.int32),
            gaps=np.array([np.bincount(where.astype(int), minlength=GAP_BINS) for where in places], np.int64),
            transfer_s=self._transfer_s, link_wait_s=self._link_wait_s, **self._count,
        )  # fmt: skip
        running = sum(len(i.computing()) + len(i.landed) + len(i.decoding()) for i in self.instances)
        return Run(
            ledger=books, meters=self._meters, end_s=self.env.now, engine=REFERENCE,
            waiting=sum(len(i.waiting) + len(i.landing) for i in self.instances) + len(self._parked),
            running=running + len(self._flying), lent=sum(count > 0 for count in self._borrowed),
            kv_free_blocks=[i.free for i in self.instances],
            kv_total_blocks=[i.meter.kv_blocks for i in self.instances],
        )  # fmt: skip
