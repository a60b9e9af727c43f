"""The reference: a cluster served step by step, to compare the simulator with that judges plans.

Every step of every instance is a SimPy process, every token is booked by itself. It reads the numbers of a policy, and
applies the rules of ``docs/simulator.md`` and ``docs/policies.md`` on its own; only step times come from ``perf``. It
tells when every request is served and by which instance, and meters no instance.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from math import inf, isinf
from typing import Any

import numpy as np
import simpy

from planner.perf.layout import Role
from planner.policies.base import Policy, Recovery, Transfer
from planner.simulator.books import GAP_BINS, Books, Window, bin_edges_s
from planner.simulator.pools import NOTHING, Events, Failure, PoolModel, Run, Shift, names_of
from planner.simulator.reference_instance import Instance, Request
from planner.simulator.reference_routing import Router
from workloads.traces import Trace

COUNTED = ("arrived", "finished", "refused", "restarted", "transfers", "output_tokens")
REFERENCE = "reference, step by step"
"""What served a run, in words."""

Process = Generator[simpy.Event, None, None]


def serve(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float,
    beside: Events = NOTHING,
) -> Run:  # fmt: skip
    """Serve a trace: arguments and result are those of ``serve.serve``, but for meters and the pipelines' bubbles."""
    return Cluster(pools, policy, trace, window, beside.clients).serve(cutoff_s, beside)


class Cluster:
    """All instances, the links between their machines, and who is sent where."""

    instance_kind = Instance

    def __init__(
        self, pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, clients: int | None
    ) -> None:
        """Idle."""
        self.env = simpy.Environment()
        self._clients = simpy.Container(self.env, clients, clients) if clients else None
        self._pools, self._policy, self._trace, self.window = pools, policy, trace, window
        self._roles = policy.topology.roles()
        self.instances, machines, requests = list[Instance](), 0, len(trace)
        for pool in pools:
            for number in range(pool.instances):
                place = machines + number // pool.physics.instances_per_machine * pool.physics.machines_per_instance
                self.instances.append(
                    self.instance_kind(self, len(self.instances), pool, policy.of(pool.beside), place)
                )
            machines += pool.machines
        self._router = Router(self.instances, self._roles, policy.borrowing)
        self._out_s, self._in_s = [0.0] * machines, [0.0] * machines
        self._flying, self._parked = dict[int, Request](), list[Request]()
        self._ttft_s, self._e2e_s, self._max_gap_s = [inf] * requests, [inf] * requests, [0.0] * requests
        self._served_by = [(-1, -1)] * requests
        self._gaps_s: list[list[float]] = [[] for _ in range(window.slices * len(trace.classes))]
        self._count: dict[str, Any] = dict.fromkeys(COUNTED, 0)
        self._transfer_s = self._link_wait_s = 0.0

    def serve(self, cutoff_s: float, beside: Events) -> Run:
        """Serve the trace; shifts of time 0 hold from the start."""
        self.env.process(self._turns([shift for shift in beside.shifts if shift.at_s <= 0]))
        self.env.process(self._arrivals())
        for failure in beside.failures:
            self.env.process(self._outage(failure))
        self.env.process(self._turns(sorted((s for s in beside.shifts if s.at_s > 0), key=lambda s: s.at_s)))
        self.env.run(until=cutoff_s)
        return self.left()

    def _arrivals(self) -> Process:
        """Requests come at their times, in a closed loop not before a client is free."""
        trace, slices = self._trace, self.window.slices
        cached = np.zeros(len(trace), int) if trace.cached_tokens is None else trace.cached_tokens
        for index, arrival_s in enumerate(trace.arrival_s.tolist()):
            if arrival_s > self.env.now:
                yield self.env.timeout(arrival_s - self.env.now)
            if self._clients:
                yield self._clients.get(1)
            came_s, kind = self.env.now if self._clients else arrival_s, int(trace.class_index[index])
            part, prompt_tokens = self.window.slice_of(index), int(trace.prompt_tokens[index])
            self._count["arrived"] += 1
            self._route(
                Request(
                    index=index, kind=kind, arrival_s=came_s, prompt_tokens=prompt_tokens,
                    output_tokens=int(trace.output_tokens[index]), cached_tokens=int(cached[index]),
                    group=kind * slices + part if part >= 0 else -1, prefill_tokens=prompt_tokens,
                    due_s=came_s + self._policy.order.limit_s(trace.classes[kind].name), pending_tokens=prompt_tokens,
                    priority=self._policy.order.priority(trace.classes[kind].name),
                )
            )  # fmt: skip

    def _route(self, request: Request) -> None:
        """One instance for every phase, or one for both; none where a phase is down, never where none was planned."""
        if not self._router.serves(request):
            self._done("refused")
        elif not (chosen := self._router.chosen(request)):
            self._parked.append(request)
        elif any(
            not self._router.fits(request, i, request.output_tokens * (i.role is not Role.PREFILL)) for i in chosen
        ):
            self._done("refused")
        else:
            first = request.sent_by = chosen[0]
            first.pending += request.prompt_tokens
            if len(chosen) > 1:
                home = request.home = chosen[-1]
                request.borrowed = home is first
                first.borrowed += request.borrowed
                home.pending += 0 if request.borrowed else request.prompt_tokens + home.foreseen_tokens
            first.submit(request)

    def _done(self, how: str) -> None:
        """A request is finished or refused; a client is free."""
        self._count[how] += 1
        if self._clients:
            self._clients.put(1)

    def _ports(self, source: Instance, target: Instance, tokens: int, ready_s: float) -> tuple[float, float]:
        """When both ports are free for a KV cache, first come, first served, and for how long it holds them."""
        slower = min(source.body.link.bandwidth_bytes_per_s, target.body.link.bandwidth_bytes_per_s)
        begin_s, busy_s = ready_s, source.body.kv_bytes_per_token * tokens / slower
        if source.body.link_queues:
            begin_s = max(ready_s, self._out_s[source.machine], self._in_s[target.machine])
            self._out_s[source.machine] = self._in_s[target.machine] = begin_s + busy_s
        self._link_wait_s += begin_s - ready_s
        return begin_s, busy_s

    def computes(self, source: Instance, requests: list[Request], seconds: float) -> None:
        """Of a KV cache that travels layer by layer a step sends what it computes, if its home has memory for it."""
        now, body = self.env.now, source.body
        for request in requests if source.role is self._roles[0] else ():
            home, unsent = request.home, request.held_tokens - request.sent_tokens
            serialized = self._policy.topology.transfer(request) is Transfer.SERIALIZED
            if serialized or home is None or home is source or unsent <= 0:
                continue
            if request.lands_s is not None or home.promises(request, at_once=True):
                begin_s, busy_s = self._ports(source, home, unsent, now + seconds / body.layers)
                last_byte_s = max(begin_s + busy_s, now + seconds + busy_s / body.layers)
                lands_s = last_byte_s + body.link.latency_s + body.link.sync_s
                request.lands_s, request.sent_tokens = max(request.lands_s or 0.0, lands_s), request.held_tokens

    def travels(self, request: Request) -> None:
        """A KV cache moves in one piece."""
        if request.sent_by and request.home:
            begin_s, busy_s = self._ports(request.sent_by, request.home, request.prefill_tokens, self.env.now)
            self._send(request, begin_s + request.sent_by.body.link.latency_s + busy_s)

    def gap(self, request: Request) -> None:
        """A token comes so long after the one before it."""
        gap_s = self.env.now - request.last_token_s
        request.last_token_s, request.max_gap_s = self.env.now, max(request.max_gap_s, gap_s)
        if request.group >= 0:
            self._gaps_s[request.group].append(gap_s)

    def token(self, source: Instance, request: Request, lag_s: float) -> bool:
        """A prompt is computed and its token out; whether it stays to decode: else it ends, or moves to its home."""
        if isinf(self._ttft_s[request.index]):
            request.lag_s, self._ttft_s[request.index] = lag_s, self.env.now + lag_s - request.arrival_s
        else:
            self.gap(request)
        request.last_token_s = self.env.now
        request.generated_tokens += 1
        if request.generated_tokens >= request.output_tokens:
            self.ends(source, request)
            return False
        first_phase = source.role is self._roles[0]
        if not first_phase and request.borrowed:
            source.borrowed, request.borrowed = source.borrowed - 1, False
        if request.home is source or not first_phase or len(self._roles) == 1:
            if source.role is Role.MIXED:
                source.pending, request.pending_tokens = source.pending + 1 - request.pending_tokens, 1
            return True
        source.pending -= request.prompt_tokens
        request.pending_tokens = request.prompt_tokens + source.foreseen_tokens
        if request.home and request.lands_s is None:
            request.home.await_memory(request)
        else:
            self._send(request, request.lands_s or self.env.now)
        return False

    def ends(self, source: Instance, request: Request) -> None:
        """A request has its last token; a cache in transfer to its home is no longer awaited there."""
        index, home, first = request.index, request.home, request.sent_by
        source.hold(request, 0)
        self._done("finished")
        self._count["output_tokens"] += request.output_tokens
        self._e2e_s[index] = self.env.now + request.lag_s - request.arrival_s
        self._max_gap_s[index] = request.max_gap_s
        decoder = (home or first) if request.output_tokens > 1 else None
        self._served_by[index] = first.index if first else -1, decoder.index if decoder else -1
        if request.borrowed and first:
            first.borrowed -= 1
        source.pending -= request.pending_tokens
        if home and home is not source:
            home.pending -= request.prompt_tokens + home.foreseen_tokens
            if request.lands_s is not None:
                home.cancel(request)

    def _send(self, request: Request, lands_s: float) -> None:
        """A KV cache leaves."""
        self._count["transfers"] += 1
        self._transfer_s += lands_s - request.last_token_s
        self.env.process(self._flight(request, lands_s - self.env.now, self._land))

    def _flight(self, request: Request, seconds: float, land: Callable[[Request], None]) -> Process:
        """A KV cache is on a link, unless a machine fails."""
        self._flying[request.index] = request
        yield self.env.timeout(seconds)
        if self._flying.get(request.index) is request:
            del self._flying[request.index]
            land(request)

    def _land(self, request: Request) -> None:
        """A KV cache has come; its source has its memory back."""
        tokens = request.prefill_tokens
        if request.home:
            request.home.land(request)
        if request.sent_by:
            request.sent_by.release(tokens)
        if not request.home:
            self._restart(request)

    def _outage(self, failure: Failure) -> Process:
        """A machine fails, and may come back empty."""
        yield self.env.timeout(failure.at_s)
        dead = [i for i in self.instances if 0 <= failure.machine - i.machine < i.body.machines_per_instance]
        self._lose(dead)
        if failure.repair_s is not None:
            yield self.env.timeout(failure.repair_s)
            for instance in dead:
                instance.down -= 1
            self._unpark()

    def _lose(self, dead: list[Instance]) -> None:
        """All that is on machines that fail is lost, and all that comes from there or goes there; the rest is told."""
        for i in dead:
            i.down, i.pending, i.borrowed = i.down + 1, 0, 0
        landing = [request for i in dead for request in i.landing]
        lost = [*landing, *(request for i in dead for request in i.fail())]
        flying = [request for request in self._flying.values() if request.home in dead or request.sent_by in dead]
        for request in flying:
            del self._flying[request.index]
        bereft = self._bereft(dead)
        held = [r for r in landing if r.sent_by not in dead] + [r for r in flying if r.home in dead]
        awaited = [r for r in lost if r.lands_s is not None] + [r for r in flying if r.home not in dead]
        lost += [*flying, *bereft]
        for request in lost:
            if request.home and request.home not in dead:
                request.home.pending -= request.prompt_tokens + request.home.foreseen_tokens
        for request in held:
            if request.sent_by and request.sent_by not in dead:
                request.sent_by.release(request.prefill_tokens)
        for request in awaited:
            if request.home and request.home not in dead:
                request.home.cancel(request)
        for request in bereft:
            if request.home:
                request.home.admit_landing()
        for request in sorted(lost, key=lambda request: request.index):
            self._restart(request)

    def _bereft(self, dead: list[Instance]) -> list[Request]:
        """Requests that wait elsewhere for a KV cache that is lost; those whose home is lost get another."""
        found = list[Request]()
        for instance in (i for i in self.instances if i not in dead):
            found += [request for request in instance.landing if request.sent_by in dead]
            instance.landing = [request for request in instance.landing if request.sent_by not in dead]
            for request in [one for one in (*instance.computing(), *instance.waiting) if one.home in dead]:
                self._rehome(request)
        return found

    def _rehome(self, request: Request) -> None:
        """Another instance is to decode it, if one is up."""
        request.home, request.lands_s, request.sent_tokens = None, None, 0
        self._settle(request, self._roles[-1])

    def _settle(self, request: Request, role: Role) -> None:
        """The shortest queue of a role, if it has memory for the request."""
        home = self._router.shortest(self._router.members(role, request))
        if home and self._router.fits(request, home, request.output_tokens):
            request.home = home
            home.pending += request.prompt_tokens + home.foreseen_tokens

    def _restart(self, request: Request) -> None:
        """From the start, or with the KV of its prompt, which was kept elsewhere once it was computed."""
        self._count["restarted"] += 1
        prompt = request.prompt_tokens
        again = replace(
            request, pending_tokens=prompt, held_tokens=0, sent_by=None, home=None, sent_tokens=0, lands_s=None,
            borrowed=False, cached_tokens=prompt, prefill_tokens=prompt + request.generated_tokens,
        )  # fmt: skip
        if self._policy.recovery is Recovery.CHECKPOINT and request.generated_tokens:
            self._resume(again)
            return
        self._ttft_s[request.index] = inf
        new = replace(again, cached_tokens=0, prefill_tokens=prompt, generated_tokens=0, preemptions=0, max_gap_s=0.0)
        self._route(new)

    def _resume(self, request: Request) -> None:
        """Fetch the KV of its prompt; the store and its ports are not modelled."""
        self._rehome(request)
        if not request.home:  # then one that does both phases
            self._settle(request, Role.MIXED)
        if home := request.home:
            request.pending_tokens = request.prompt_tokens + home.foreseen_tokens
            link, sent_bytes = home.body.link, home.body.kv_bytes_per_token * request.prompt_tokens
            seconds = link.latency_s + sent_bytes / link.bandwidth_bytes_per_s
            self.env.process(self._flight(request, seconds, home.submit))
        else:
            self._parked.append(request)

    def _unpark(self) -> None:
        """Those that found a phase down try again."""
        parked, self._parked = self._parked, []
        for request in parked:
            (self._resume if request.generated_tokens else self._route)(request)

    def _turns(self, shifts: list[Shift]) -> Process:
        """Instances take requests or no longer, or go on at another clock."""
        for shift in shifts:
            if shift.at_s > self.env.now:
                yield self.env.timeout(shift.at_s - self.env.now)
            instance = self.instances[shift.instance]
            if shift.physics is not None:
                instance.change(shift.physics)
            if shift.opens is not None:
                instance.closed = not shift.opens
            if shift.opens:
                self._unpark()

    def left(self) -> Run:
        """The books, closed."""
        places = [np.searchsorted(bin_edges_s()[:-1], gaps_s, side="right") for gaps_s in self._gaps_s]
        books = Books(
            window=self.window, ttft_s=np.array(self._ttft_s), e2e_s=np.array(self._e2e_s),
            max_gap_s=np.array(self._max_gap_s), served_by=np.array(self._served_by, np.int32),
            gaps=np.array([np.bincount(where, minlength=GAP_BINS) for where in places], np.int64),
            transfer_s=self._transfer_s, link_wait_s=self._link_wait_s, **self._count,
        )  # fmt: skip
        running = sum(len(i.computing()) + len(i.landed) + len(i.decoding()) for i in self.instances)
        return Run(
            ledger=books, meters={}, instances=names_of(self._pools), end_s=self.env.now, engine=REFERENCE,
            waiting=sum(len(i.waiting) + len(i.landing) for i in self.instances) + len(self._parked),
            running=running + len(self._flying), borrowed=sum(i.borrowed > 0 for i in self.instances),
            kv_free_blocks=[i.free for i in self.instances],
            kv_total_blocks=[i.pool.physics.kv_blocks for i in self.instances],
        )  # fmt: skip
