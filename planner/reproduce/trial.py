"""Trials: whether a cluster holds the paper's nine objectives at a rate."""

from dataclasses import dataclass, replace
from math import floor

import numpy as np
from numpy.typing import NDArray

from planner.perf.layout import Role
from planner.perf.reference import Reference
from planner.reproduce.designs import Cluster
from planner.reproduce.readings import Reading
from planner.simulator.books import window
from planner.simulator.pools import Events, PoolModel, Run, Stops
from planner.simulator.serve import serve
from workloads.marginals import load_marginals
from workloads.traces import Trace, plain_trace

Floats = NDArray[np.float64]

QUANTILES = (0.5, 0.9, 0.99)
SLOWDOWNS = {"ttft": (2.0, 3.0, 6.0), "tbt": (1.25, 1.5, 5.0), "e2e": (1.25, 1.5, 5.0)}
"""Strict upper limits at P50, P90 and P99 against the same request alone on a DGX-A100. Source: Splitwise, §V-C."""

DURATION_S = 120.0
LOOKS_FRAC = (0.04, 0.08, 0.15, 0.25, 0.4, 0.55, 0.7, 0.85)
"""Shares of a trace after which a trial ends that is lost already."""

MOST_REQUESTS = 60_000
NEVER = 1e9
"""Stands for the slowdown of a request that was refused or did not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one trace says of a cluster.

    Attributes:
        holds: whether all nine objectives hold.
        unused: prompt and token machines that the same cluster could lack without any difference to any request.
    """

    holds: bool
    unused: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draw:
    """Requests that every trial of a workload shares, so that two trials differ by what was changed alone.

    Attributes:
        trace: the requests; those that are drawn arrive at one per second.
        ttft_s: (n,) of each request alone.
        tbt_s: (n,) likewise.
        e2e_s: (n,) likewise.
    """

    trace: Trace
    ttft_s: Floats
    tbt_s: Floats
    e2e_s: Floats


def draw(workload: str, alone: Reference, *, seed: int = 1, requests: int = MOST_REQUESTS) -> Draw:
    """Poisson arrivals at one request per second with the lengths of the service's trace, each drawn on its own.

    Source: splitwise-sim's generate_trace.py draws rows of the public trace with replacement, once for the prompts and
    once for the outputs, and sets no seed: the published draws cannot be had again.

    Args:
        workload: built-in id.
        alone: the reference.
        seed: the same seed gives the same requests.
        requests: how many.
    """
    arrivals, prompts, outputs = np.random.default_rng(seed).spawn(3)
    lengths = load_marginals(workload)
    prompt, output = lengths.prompts.sample(requests, prompts), lengths.outputs.sample(requests, outputs)
    at = np.cumsum(arrivals.exponential(1.0, requests))
    return alone_with(plain_trace(workload, at, prompt, output, duration_s=float(at[-1])), alone)


def alone_with(trace: Trace, alone: Reference) -> Draw:
    """The requests of a trace, and how long each takes alone."""
    prompts, outputs = trace.prompt_tokens, trace.output_tokens
    return Draw(
        trace=trace,
        ttft_s=alone.each_ttft_s(prompts),
        tbt_s=alone.each_tbt_s(prompts),
        e2e_s=alone.each_e2e_s(prompts, outputs),
    )


def at_rate(drawn: Draw, rate_req_per_s: float, duration_s: float) -> Trace:
    """The first requests of a draw, arriving at a rate."""
    arrival_s = drawn.trace.arrival_s / rate_req_per_s
    n = int(np.searchsorted(arrival_s, duration_s))
    base = drawn.trace
    return replace(
        base, arrival_s=arrival_s[:n], prompt_tokens=base.prompt_tokens[:n], output_tokens=base.output_tokens[:n],
        class_index=base.class_index[:n], duration_s=duration_s,
    )  # fmt: skip


def _spare(n: int) -> list[int]:
    """How many of n requests beyond a limit surely lift each quantile to it."""
    return [n - floor(q * (n - 1)) for q in QUANTILES]


def unused(cluster: Cluster, run: Run) -> tuple[int, int]:
    """Prompt and token machines that served nothing and changed nothing, where neither phase helped the other out.

    Under both rules a phase goes to the first instance of least load, and an idle instance never fails a test that it
    is chosen by. One that no request was sent to was thus never the choice, and without it every choice is the same.
    Where a phase helped the other out, a choice may have been made and dropped: nothing is said then.
    """
    p, n = cluster.prompt_machines, cluster.machines
    first, then = run.ledger.served_by.T
    if run.borrowed or run.ledger.finished < len(first):
        return 0, 0
    if cluster.token_machines and (first.max(initial=0) >= p or then.min(initial=p) < p):
        return 0, 0
    busy = np.zeros(n, bool)
    busy[first] = busy[then] = True
    return int(p - busy[:p].sum()), int(n - p - busy[p:].sum())


class Bench:
    """Trials of one reading on one workload; what was tried once is remembered."""

    def __init__(self, reading: Reading, drawn: Draw, *, duration_s: float = DURATION_S, per_gap: bool = False) -> None:
        """Nothing tried yet.

        Args:
            reading: how the published data are read.
            drawn: what is served.
            duration_s: of a trial; the paper's if not said.
            per_gap: TBT of a request is its decoding time over its gaps, not as published over its tokens.
        """
        self.reading, self.drawn, self.duration_s, self._per_gap = reading, drawn, duration_s, per_gap
        self.trials = 0
        self._tried: dict[tuple[Cluster, float], Trial] = {}

    def holds(self, cluster: Cluster, rate_req_per_s: float) -> bool:
        """Whether all nine objectives hold on a trace."""
        return self.tried(cluster, rate_req_per_s).holds

    def tried(self, cluster: Cluster, rate_req_per_s: float) -> Trial:
        """What a trace of a rate says of a cluster."""
        key = (cluster, rate_req_per_s)
        found = self._tried.get(key)
        if found is None:
            found = self._tried[key] = self._try(cluster, rate_req_per_s)
        return found

    def _try(self, cluster: Cluster, rate_req_per_s: float) -> Trial:
        """One run, which ends where it is lost."""
        trace = at_rate(self.drawn, rate_req_per_s, self.duration_s)
        lost = list[float]()

        def over(ttft_s: Floats, e2e_s: Floats, now_s: float) -> bool:
            if self._lost(trace, ttft_s, e2e_s, now_s):
                lost.append(now_s)
            return bool(lost)

        stops = Stops(at_s=[frac * self.duration_s for frac in LOOKS_FRAC], over=over)
        run = self.serve(cluster, trace, cutoff_s=self._end_s(self.duration_s), stops=stops)
        return Trial(holds=not lost and self._all_hold(trace, run), unused=(0, 0) if lost else unused(cluster, run))

    def _lost(self, trace: Trace, ttft_s: Floats, e2e_s: Floats, now_s: float) -> bool:
        """Whether so many requests are beyond a limit by then that nothing later can save its percentile.

        A request that has not ended has waited at least until now; one that has not arrived counts as nothing.
        """
        n, here = len(trace), slice(int(np.searchsorted(trace.arrival_s, now_s)))
        waited = now_s - trace.arrival_s[here]
        ttft, e2e = np.minimum(ttft_s[here], waited), np.minimum(e2e_s[here], waited)
        found = self._slowdowns(ttft, e2e, (e2e - ttft) / self._counted(trace)[here])
        spare = _spare(n)
        return any(
            int(np.count_nonzero(found[key] >= limit)) >= many
            for key, limits in SLOWDOWNS.items()
            for limit, many in zip(limits, spare, strict=True)
        )

    def _all_hold(self, trace: Trace, run: Run) -> bool:
        """Whether all nine slowdowns stay below their limits; a quantile is worked out only where counts leave it open.

        numpy's quantile lies between the values at floor(q(n-1)) and at the ceiling of it.
        """
        found, n = self._slowdowns(*self._times(trace, run)), len(trace)
        for key, limits in SLOWDOWNS.items():
            for q, limit, many in zip(QUANTILES, limits, _spare(n), strict=True):
                beyond = int(np.count_nonzero(found[key] >= limit))
                if beyond >= many or (beyond == many - 1 and np.quantile(found[key], q) >= limit):
                    return False
        return True

    def _times(self, trace: Trace, run: Run) -> tuple[Floats, Floats, Floats]:
        """TTFT, E2E and TBT of every request, seconds."""
        ttft, e2e = (np.minimum(column, NEVER) for column in (run.ledger.ttft_s, run.ledger.e2e_s))
        return ttft, e2e, np.where(e2e >= NEVER, NEVER, (e2e - ttft) / self._counted(trace))

    @staticmethod
    def _end_s(duration_s: float) -> float:
        """When a trial that does not end is cut off."""
        return 2 * duration_s + 60.0

    def _counted(self, trace: Trace) -> Floats:
        """What the decoding time of each request is divided by."""
        return np.maximum(trace.output_tokens - self._per_gap, 1).astype(np.float64)

    def _slowdowns(self, ttft_s: Floats, e2e_s: Floats, tbt_s: Floats) -> dict[str, Floats]:
        """Times of the first requests over what they take alone."""
        alone = self.drawn
        n = len(ttft_s)
        return {"ttft": ttft_s / alone.ttft_s[:n], "tbt": tbt_s / alone.tbt_s[:n], "e2e": e2e_s / alone.e2e_s[:n]}

    def slowdowns(self, cluster: Cluster, rate_req_per_s: float, duration_s: float = DURATION_S) -> dict[str, Floats]:
        """P50, P90 and P99 of the slowdown of TTFT, TBT and E2E.

        TBT of a request is (E2E - TTFT) / tokens, as published; its first token is counted in the denominator, which
        makes short outputs look faster than they are.
        """
        _, ratios = self.measured(cluster, at_rate(self.drawn, rate_req_per_s, duration_s), self._end_s(duration_s))
        return ratios

    def measured(self, cluster: Cluster, trace: Trace, cutoff_s: float) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """P50, P90 and P99 of TTFT, TBT and E2E, in seconds and as slowdowns.

        Args:
            cluster: what serves.
            trace: the first requests of the draw, at any times.
            cutoff_s: simulated time at which it ends.
        """
        ttft, e2e, tbt = self._times(trace, self.serve(cluster, trace, cutoff_s=cutoff_s))
        seconds = {"ttft": ttft, "tbt": tbt, "e2e": e2e}
        return (
            {key: np.quantile(values, QUANTILES) for key, values in seconds.items()},
            {key: np.quantile(values, QUANTILES) for key, values in self._slowdowns(ttft, e2e, tbt).items()},
        )

    def serve(self, cluster: Cluster, trace: Trace, *, cutoff_s: float, stops: Stops | None = None) -> Run:
        """One simulation."""
        self.trials += 1
        split = cluster.design.token_machine is not None
        policy = self.reading.split if split else self.reading.colocated
        measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
        return serve(self._pools(cluster), policy, trace, measured, cutoff_s=cutoff_s, beside=Events(stops=stops))

    def _pools(self, cluster: Cluster) -> list[PoolModel]:
        """The pools of a cluster."""
        made = cluster.design
        if made.token_machine is None:
            return [self._pool(Role.MIXED, made.prompt_machine, cluster.prompt_machines)]
        return [
            self._pool(Role.PREFILL, made.prompt_machine, cluster.prompt_machines),
            self._pool(Role.DECODE, made.token_machine, cluster.token_machines),
        ]

    def _pool(self, role: Role, machine: str, machines: int) -> PoolModel:
        physics = self.reading.physics[machine]
        return PoolModel(
            name=f"{role}/{machine}", role=role, physics=physics, speed=1.0, classes=frozenset({0}),
            instances=machines * physics.instances_per_machine,
        )  # fmt: skip
