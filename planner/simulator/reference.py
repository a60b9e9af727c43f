"""The reference: a cluster served step by step, to compare the simulator with that judges plans.

Every arrival, step, transfer and outage is a SimPy process, every token is booked by itself; no instance is metered.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import simpy

from planner.perf.layout import Role
from planner.policies.base import Policy, Recovery, Transfer
from planner.simulator.books import GAP_BINS, Books, Window, bin_edges_s
from planner.simulator.pools import NOTHING, UNLIMITED, Events, Failure, PoolModel, Run, Shift, names_of
from planner.simulator.reference_instance import Instance, Request
from workloads.traces import Trace

REFERENCE = "reference, step by step"  # what served a run, in words


def serve(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float,
    beside: Events = NOTHING,
) -> Run:  # fmt: skip
    """Serve a trace: arguments and result are those of ``serve.serve``, but for meters and the pipelines' bubbles."""
    cluster = Cluster(pools, policy, trace, window, beside)
    cluster.env.run(until=cutoff_s)
    return cluster.left()


class Cluster:
    """All instances, the links between their machines, and what becomes of each request."""

    instance_kind = Instance

    def __init__(self, pools: Sequence[PoolModel], policy: Policy, trace: Trace, span: Window, beside: Events) -> None:
        self.env, self.window = simpy.Environment(), span
        self._clients = simpy.Container(self.env, beside.clients, beside.clients) if beside.clients else None
        self._pools, self._policy, self._trace = pools, policy, trace
        self._topology, self._roles = policy.topology, policy.topology.roles()
        self.instances, machines = list[Instance](), 0
        for pool in pools:
            body, rules = pool.physics, policy.of(pool.beside)
            for number in range(pool.instances):
                place = machines + number // body.instances_per_machine * body.machines_per_instance
                self.instances.append(self.instance_kind(self, len(self.instances), pool, rules, place))
            machines += pool.machines
        self._out_s, self._in_s = [0.0] * machines, [0.0] * machines  # when the ports of a machine are free again
        self._requests, self._parked = list[Request](), list[Request]()
        self._flying = dict[simpy.Event, Request]()  # by what ends the flight
        self._gaps, self._bins = np.zeros((span.slices * len(trace.classes), GAP_BINS), np.int64), bin_edges_s()[:-1]
        self._sum: dict[str, Any] = dict.fromkeys(("refused", "restarted", "transfers", "transfer_s", "link_wait_s"), 0)
        self.env.process(self._turns([shift for shift in beside.shifts if shift.at_s <= 0]))
        self.env.process(self._arrivals())
        for failure in beside.failures:
            self.env.process(self._outage(failure))
        self.env.process(self._turns(sorted((s for s in beside.shifts if s.at_s > 0), key=lambda s: s.at_s)))

    def left(self) -> Run:
        """The books, closed, and what was not served to its end."""
        size, ended = len(self._trace), [request for request in self._requests if request.ended]
        ttft_s, e2e_s, max_gap_s = np.full(size, np.inf), np.full(size, np.inf), np.zeros(size)
        served_by = np.full((size, 2), -1, np.int32)
        for one in self._requests:
            seen_s = [token_s + one.lag_s - one.arrival_s for token_s in one.tokens_s]
            ttft_s[one.index] = seen_s[0] if seen_s else np.inf
            if one.ended:
                e2e_s[one.index], max_gap_s[one.index] = seen_s[-1], max(np.diff(one.tokens_s), default=0.0)
                decoder = (one.home or one.sent_by) if one.output_tokens > 1 else None
                served_by[one.index] = [by.index if by else -1 for by in (one.sent_by, decoder)]
        books = Books(
            window=self.window, ttft_s=ttft_s, e2e_s=e2e_s, max_gap_s=max_gap_s, served_by=served_by, gaps=self._gaps,
            arrived=len(self._requests), finished=len(ended), output_tokens=sum(one.output_tokens for one in ended),
            **self._sum,
        )  # fmt: skip
        borrowed = sum(any(request.borrowed for request in i.pending) for i in self.instances)
        return Run(
            ledger=books, meters={}, instances=names_of(self._pools), end_s=self.env.now, engine=REFERENCE,
            waiting=sum(len(i.waiting) + len(i.landing) for i in self.instances) + len(self._parked), borrowed=borrowed,
            running=sum(len([*i.computing(), *i.landed, *i.decoding()]) for i in self.instances) + len(self._flying),
            kv_free_blocks=[i.free for i in self.instances], kv_total_blocks=[i.body.kv_blocks for i in self.instances],
        )  # fmt: skip

    def _arrivals(self) -> Iterator[simpy.Event]:
        """Requests come at their times, in a closed loop not before a client is free."""
        trace, order = self._trace, self._policy.order
        for index, arrival_s in enumerate(trace.arrival_s.tolist()):
            if arrival_s > self.env.now:
                yield self.env.timeout(arrival_s - self.env.now)
            if self._clients:
                yield self._clients.get(1)
            came_s, kind = self.env.now if self._clients else arrival_s, int(trace.class_index[index])
            name, prompt_tokens = trace.classes[kind].name, int(trace.prompt_tokens[index])
            request = Request(
                index=index, kind=kind, priority=order.priority(name), arrival_s=came_s,
                due_s=came_s + order.limit_s(name), prompt_tokens=prompt_tokens, prefill_tokens=prompt_tokens,
                output_tokens=int(trace.output_tokens[index]),
                cached_tokens=0 if trace.cached_tokens is None else int(trace.cached_tokens[index]),
            )  # fmt: skip
            self._requests.append(request)
            self._route(request)

    def _route(self, request: Request) -> None:
        """Send it to one instance for every phase, or one for both; where a phase is down it waits."""
        chosen = self._chosen(request)
        if request.tokens_s:
            self._resume(request)
        elif chosen is None or not all(i.fits(request, i.role is not Role.PREFILL) for i in chosen):
            self._sum["refused"] += 1
            self.ends(request)
        elif chosen:
            first = request.sent_by = chosen[0]
            if len(chosen) > 1:
                home = request.home = chosen[-1]
                request.borrowed = home is first
                home.pending[request] = request.prompt_tokens + home.foreseen_tokens
            first.pending[request] = request.prompt_tokens
            first.submit(request)
        else:
            self._parked.append(request)

    def _chosen(self, request: Request) -> list[Instance] | None:
        """One for every phase, or one for both; none where a phase is down, None where the plan has none for it."""
        mixed, chosen = self._members(Role.MIXED, request), list[Instance]()
        needed = self._roles if request.output_tokens > 1 else self._roles[:1]
        if not mixed and not all(self._members(role, request) for role in needed):
            return None
        best = self._shortest([*self._members(self._roles[0], request), *mixed])
        if best in mixed:
            return [best]
        for role in self._roles:
            own = self._shortest(members := self._members(role, request))
            if members and (helper := self._helper(role, request, own)):
                return [helper, helper]
            if members and not own:
                return [both] if (both := self._shortest(mixed)) else []
            chosen += [own] if own else []
        return chosen

    def _members(self, role: Role, request: Request) -> list[Instance]:
        return [i for i in self.instances if i.role is role and request.kind in i.pool.classes]

    def _shortest(self, members: list[Instance]) -> Instance | None:
        """The shortest queue of those that are up: pending tokens over planned speed."""
        able = [i for i in members if not i.down and not i.closed]
        loads = [sum(i.pending.values()) * (1 / i.pool.speed) for i in able]
        return able[self._policy.routing.choose(loads)] if able else None

    def _helper(self, role: Role, request: Request, own: Instance | None) -> Instance | None:
        """Under pressure one that is borrowed already, else another, itself under none unless all others are down."""
        others = [i for other in self._roles if other is not role for i in self._members(other, request)]
        for used in (True, False) if self._pressed(role, own) else ():
            best = self._shortest([i for i in others if any(r.borrowed for r in i.pending) is used and i.fits(request)])
            if best and (not own or not any(self._pressed(one, best) for one in self._roles)):
                return best
        return None

    def _pressed(self, role: Role, instance: Instance | None) -> bool:
        """Whether more prompt tokens wait for a phase than may, to be computed or for memory; or none is up."""
        waiting = UNLIMITED
        if instance and role is self._roles[0]:
            waiting = sum(r.prefill_tokens - r.cached_tokens for r in (*instance.waiting, *instance.computing()))
        elif instance:
            waiting = sum(r.prompt_tokens for r in instance.landing)
        return self._policy.borrowing.borrows(role, waiting)

    def computes(self, source: Instance, requests: list[Request], seconds: float) -> None:
        """Of a KV cache that travels layer by layer a step sends what it computes, if its home has memory for it."""
        now, body = self.env.now, source.body
        for request in requests if self._topology.next_hop(source.role) else ():
            home, unsent_tokens = request.home, request.held_tokens - request.sent_tokens
            if not home or home is source or self._topology.transfer(request) is not Transfer.LAYERWISE:
                continue
            if unsent_tokens > 0 and (request.lands_s is not None or home.promises(request, at_once=True)):
                begin_s, busy_s = self._ports(source, home, unsent_tokens, now + seconds / body.layers)
                last_byte_s = max(begin_s + busy_s, now + seconds + busy_s / body.layers)
                request.lands_s = max(request.lands_s or 0.0, last_byte_s + body.link.latency_s + body.link.sync_s)
                request.sent_tokens = request.held_tokens

    def token(self, source: Instance, request: Request, lag_s: float) -> bool:
        """A prompt is computed and its token out; whether it stays to decode: else it ends, or moves to its home."""
        request.lag_s = request.lag_s if request.tokens_s else lag_s
        self.out(request)
        last_hop = self._topology.next_hop(source.role) is None
        request.borrowed = request.borrowed and not last_hop
        if request.ended:
            self.ends(request, source)
        elif last_hop or request.home is source:
            if source.role is Role.MIXED:
                source.pending[request] = 1
            return True
        else:
            del source.pending[request]
            if request.home and request.lands_s is None:
                request.home.admit_landing(request)
            else:
                self._send(request, request.lands_s or self.env.now)
        return False

    def out(self, request: Request) -> None:
        """A token is out, so long after the one before it."""
        part = self.window.slice_of(request.index)
        if request.tokens_s and part >= 0:
            place = np.searchsorted(self._bins, self.env.now - request.tokens_s[-1], side="right")
            self._gaps[request.kind * self.window.slices + part, place] += 1
        request.tokens_s.append(self.env.now)
        request.ended = len(request.tokens_s) >= request.output_tokens

    def ends(self, request: Request, source: Instance | None = None) -> None:
        """A request has its last token, or is refused; its home no longer awaits a cache, and a client is free."""
        if self._clients:
            self._clients.put(1)
        if source:
            source.drop(request)
        if request.home and request.home is not source:
            request.home.give_up(request)

    def travels(self, request: Request, source: Instance, home: Instance) -> None:
        """A KV cache moves in one piece."""
        begin_s, busy_s = self._ports(source, home, request.prefill_tokens, self.env.now)
        self._send(request, begin_s + source.body.link.latency_s + busy_s)

    def _ports(self, source: Instance, target: Instance, tokens: int, ready_s: float) -> tuple[float, float]:
        """When both ports are free for a KV cache, first come, first served, and for how long it holds them."""
        slower = min(source.body.link.bandwidth_bytes_per_s, target.body.link.bandwidth_bytes_per_s)
        begin_s, busy_s = ready_s, source.body.kv_bytes_per_token * tokens / slower
        if source.body.link_queues:
            begin_s = max(ready_s, self._out_s[source.machine], self._in_s[target.machine])
            self._out_s[source.machine] = self._in_s[target.machine] = begin_s + busy_s
        self._sum["link_wait_s"] += begin_s - ready_s
        return begin_s, busy_s

    def _send(self, request: Request, lands_s: float) -> None:
        self._sum["transfers"] += 1
        self._sum["transfer_s"] += lands_s - request.tokens_s[-1]
        self.env.process(self._flight(request, lands_s - self.env.now))

    def _flight(self, request: Request, seconds: float) -> Iterator[simpy.Event]:
        """A KV cache comes from an instance, or from where prompts are kept; its home may be gone for good."""
        ends = self.env.timeout(seconds)
        self._flying[ends] = request
        yield ends
        if not self._flying.pop(ends, None):  # a machine failed
            return
        if request.home:
            request.home.submit(request)
        if request.sent_by:
            request.sent_by.give_up(request)
        if not request.home:
            self._restart(request)

    def _turns(self, shifts: list[Shift]) -> Iterator[simpy.Event]:
        """Instances take requests or no longer, or go on at another clock."""
        for shift in shifts:
            if shift.at_s > self.env.now:
                yield self.env.timeout(shift.at_s - self.env.now)
            instance = self.instances[shift.instance]
            if shift.physics is not None:
                instance.change(shift.physics)
            instance.closed = instance.closed if shift.opens is None else not shift.opens
            if shift.opens:
                self._unpark()

    def _outage(self, failure: Failure) -> Iterator[simpy.Event]:
        """A machine fails, and may come back empty."""
        yield self.env.timeout(failure.at_s)
        dead = [i for i in self.instances if 0 <= failure.machine - i.machine < i.body.machines_per_instance]
        for instance in dead:
            instance.down += 1
        for request in sorted(self._lost(dead), key=lambda request: request.index):
            self._restart(request)
        if failure.repair_s is not None:
            yield self.env.timeout(failure.repair_s)
            for instance in dead:
                instance.down -= 1
            self._unpark()

    def _lost(self, dead: list[Instance]) -> list[Request]:
        """Who is on these machines, comes from or goes there; who only was to go there later gets another home."""
        up = [i for i in self.instances if i not in dead]
        lost = [request for i in dead for request in i.fail()]
        lost += [request for request in self._flying.values() if request.sent_by in dead or request.home in dead]
        self._flying = {ends: request for ends, request in self._flying.items() if request not in lost}
        awaited = [(i, request) for i in up for request in i.landing if request.sent_by in dead]
        lost += [request for _, request in awaited]
        for instance in up:
            instance.landing = [request for request in instance.landing if request not in lost]
            for request in (*instance.computing(), *instance.waiting):
                if request.home in dead:
                    self._rehome(request, self._roles[-1])
        for request in sorted(lost, key=lambda one: one.sent_by not in up):  # sources first: they may send to a home
            for instance in up:
                instance.give_up(request)
        for instance, _ in awaited:
            instance.admit_landing()
        return lost

    def _restart(self, request: Request) -> None:
        """From the start, or with the KV of its prompt, which was kept elsewhere once it was computed."""
        self._sum["restarted"] += 1
        request.sent_by, request.home, request.lands_s, request.borrowed = None, None, None, False
        request.held_tokens = request.sent_tokens = 0
        kept = self._policy.recovery is Recovery.CHECKPOINT and bool(request.tokens_s)
        request.tokens_s, request.preemptions = (request.tokens_s, request.preemptions) if kept else ([], 0)
        request.cached_tokens = request.prompt_tokens if kept else 0
        request.prefill_tokens = request.prompt_tokens + len(request.tokens_s)
        self._route(request)

    def _resume(self, request: Request) -> None:
        """Fetch the KV of its prompt; the store and its ports are not modelled."""
        self._rehome(request, self._roles[-1], Role.MIXED)
        if home := request.home:
            link, sent_bytes = home.body.link, home.body.kv_bytes_per_token * request.prompt_tokens
            self.env.process(self._flight(request, link.latency_s + sent_bytes / link.bandwidth_bytes_per_s))
        else:
            self._parked.append(request)

    def _rehome(self, request: Request, *roles: Role) -> None:
        """The shortest queue of the first role that has one up, with memory for it, is to decode it."""
        request.home, request.lands_s, request.sent_tokens = None, None, 0
        for role in roles:
            if (home := self._shortest(self._members(role, request))) and home.fits(request) and not request.home:
                request.home = home
                home.pending[request] = request.prompt_tokens + home.foreseen_tokens

    def _unpark(self) -> None:
        parked, self._parked = self._parked, []
        for request in parked:
            self._route(request)
