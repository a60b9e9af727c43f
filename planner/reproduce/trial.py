"""Trials: whether a cluster holds the paper's nine objectives at a rate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.perf.layout import Role
from planner.perf.reference import Reference
from planner.reproduce.designs import Cluster
from planner.reproduce.readings import Reading
from planner.simulator.books import window
from planner.simulator.pools import PoolModel, Run
from planner.simulator.serve import serve
from workloads.builtin import load_builtin
from workloads.traces import Trace, plain_trace

Floats = NDArray[np.float64]

QUANTILES = (0.5, 0.9, 0.99)
SLOWDOWNS = {"ttft": (2.0, 3.0, 6.0), "tbt": (1.25, 1.5, 5.0), "e2e": (1.25, 1.5, 5.0)}
"""Strict upper limits at P50, P90 and P99 against the same request alone on a DGX-A100. Source: Splitwise, §V-C."""

DURATION_S = 120.0
LOOKS_FRAC = (0.08, 0.3)
"""Shares of a trace after which a trial ends that is lost already."""

MOST_REQUESTS = 60_000
NEVER = 1e9
"""Stands for the slowdown of a request that was refused or did not end."""


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
    """Poisson arrivals at one request per second with prompts and outputs drawn independently of each other.

    Source: Splitwise's trace generator draws both lengths from the service's marginals and forgets which went together.

    Args:
        workload: built-in id.
        alone: the reference.
        seed: the same seed gives the same requests.
        requests: how many.
    """
    arrivals, prompts, outputs = np.random.default_rng(seed).spawn(3)
    lengths = load_builtin(workload).lengths
    prompt, _ = lengths.sample(requests, prompts)
    _, output = lengths.sample(requests, outputs)
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
        self._held: dict[tuple[Cluster, float], bool] = {}

    def holds(self, cluster: Cluster, rate_req_per_s: float, *, likely: bool = False) -> bool:
        """Whether all nine objectives hold on a trace.

        Args:
            cluster: what serves.
            rate_req_per_s: of the trace.
            likely: whether it probably holds, so that no shorter look is worth its time.
        """
        key = (cluster, rate_req_per_s)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = self._try(cluster, rate_req_per_s, () if likely else LOOKS_FRAC)
        return found

    def _try(self, cluster: Cluster, rate_req_per_s: float, looks_frac: Sequence[float]) -> bool:
        """A part of the trace, then more of it, and if it is not lost by then the whole."""
        trace = at_rate(self.drawn, rate_req_per_s, self.duration_s)
        if any(self._lost(cluster, trace, frac * self.duration_s) for frac in looks_frac):
            return False
        return self.worst_ratio(cluster, rate_req_per_s, self.duration_s) < 1.0

    def _lost(self, cluster: Cluster, trace: Trace, cutoff_s: float) -> bool:
        """Whether so many requests are beyond a limit by then that nothing later can save its percentile.

        A request that has not ended has waited at least until now; one that has not arrived counts as nothing.
        """
        ledger, n = self.serve(cluster, trace, cutoff_s=cutoff_s).ledger, len(trace)
        waited = np.maximum(cutoff_s - trace.arrival_s, 0.0)
        ttft, e2e = np.minimum(ledger.ttft_s, waited), np.minimum(ledger.e2e_s, waited)
        found = self._slowdowns(ttft, e2e, (e2e - ttft) / self._counted(trace))
        # numpy's quantile lies between the values at floor(q(n-1)) and above it
        spare = n - np.floor(np.array(QUANTILES) * (n - 1))
        return any(
            bool(np.any((values[:, None] >= np.array(limits)).sum(axis=0) >= spare))
            for values, limits in ((found[key], limits) for key, limits in SLOWDOWNS.items())
        )

    def _counted(self, trace: Trace) -> Floats:
        """What the decoding time of each request is divided by."""
        return np.maximum(trace.output_tokens - self._per_gap, 1).astype(np.float64)

    def _slowdowns(self, ttft_s: Floats, e2e_s: Floats, tbt_s: Floats) -> dict[str, Floats]:
        """Times of the first requests over what they take alone."""
        alone = self.drawn
        n = len(ttft_s)
        return {"ttft": ttft_s / alone.ttft_s[:n], "tbt": tbt_s / alone.tbt_s[:n], "e2e": e2e_s / alone.e2e_s[:n]}

    def worst_ratio(self, cluster: Cluster, rate_req_per_s: float, duration_s: float) -> float:
        """The largest of the nine slowdowns over their limits; below 1 all hold."""
        found = self.slowdowns(cluster, rate_req_per_s, duration_s)
        return max(float(np.max(np.array(found[key]) / limits)) for key, limits in SLOWDOWNS.items())

    def slowdowns(self, cluster: Cluster, rate_req_per_s: float, duration_s: float = DURATION_S) -> dict[str, Floats]:
        """P50, P90 and P99 of the slowdown of TTFT, TBT and E2E.

        TBT of a request is (E2E - TTFT) / tokens, as published; its first token is counted in the denominator, which
        makes short outputs look faster than they are.
        """
        _, ratios = self.measured(cluster, at_rate(self.drawn, rate_req_per_s, duration_s), 2 * duration_s + 60.0)
        return ratios

    def measured(self, cluster: Cluster, trace: Trace, cutoff_s: float) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """P50, P90 and P99 of TTFT, TBT and E2E, in seconds and as slowdowns.

        Args:
            cluster: what serves.
            trace: the first requests of the draw, at any times.
            cutoff_s: simulated time at which it ends.
        """
        ledger = self.serve(cluster, trace, cutoff_s=cutoff_s).ledger
        ttft, e2e = (np.minimum(column, NEVER) for column in (ledger.ttft_s, ledger.e2e_s))
        tbt = np.where(e2e >= NEVER, NEVER, (e2e - ttft) / self._counted(trace))
        seconds = {"ttft": ttft, "tbt": tbt, "e2e": e2e}
        return (
            {key: np.quantile(values, QUANTILES) for key, values in seconds.items()},
            {key: np.quantile(values, QUANTILES) for key, values in self._slowdowns(ttft, e2e, tbt).items()},
        )

    def serve(self, cluster: Cluster, trace: Trace, *, cutoff_s: float) -> Run:
        """One simulation."""
        self.trials += 1
        split = cluster.design.token_machine is not None
        policy = self.reading.split if split else self.reading.colocated
        measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
        return serve(self._pools(cluster), policy, trace, measured, cutoff_s=cutoff_s)

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
