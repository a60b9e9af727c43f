"""The laboratory: one reading, its workloads, and what was measured once."""

from collections.abc import Callable

import numpy as np

from planner.reproduce.designs import SIMULATOR, Cluster
from planner.reproduce.readings import Reading
from planner.reproduce.search import Problem, provision, throughput
from planner.reproduce.trial import Bench, at_rate
from planner.scenario.designs import Design

CODING, CONVERSATION = "azure-code-2023", "azure-conv-2023"

OVERLOAD_REQ_PER_S_PER_MACHINE = 8.0
"""Far beyond what any machine of 2023 serves, so that batch jobs never run out."""

BATCH_MACHINES = 10
BATCH_S = 120.0
SETTLED_S = 60.0


class Lab:
    """Measures clusters under one reading; nothing is measured twice."""

    def __init__(self, reading: Reading, tell: Callable[[str], None]) -> None:
        """Nothing measured yet.

        Args:
            reading: how the published data are read.
            tell: takes a word on what is being measured.
        """
        self.reading = reading
        self._tell = tell
        self._benches: dict[str, Bench] = {}
        self._rates: dict[tuple[str, Cluster], float] = {}

    def bench(self, workload: str) -> Bench:
        """The trials of a workload."""
        found = self._benches.get(workload)
        if found is None:
            found = self._benches[workload] = Bench(self.reading, workload)
        return found

    def rate_req_per_s(self, workload: str, cluster: Cluster) -> float:
        """Highest rate at which a cluster holds the nine objectives."""
        key = (workload, cluster)
        if key not in self._rates:
            self._tell(f"{self.reading.name}: {cluster.words}, {workload}")
            self._rates[key] = throughput(self.bench(workload), cluster)
        return self._rates[key]

    def fastest(self, problem: Problem, published: Cluster) -> Cluster:
        """The split that holds the highest conversation rate for what a published cluster costs or draws."""
        self._tell(f"{self.reading.name}: best split of {published.design.name}, {CONVERSATION}")
        budget = published.usd_per_h if problem is Problem.ISO_COST_THROUGHPUT else published.power_w
        found = provision(
            problem, published.design, self.bench(CONVERSATION), SIMULATOR, budget(SIMULATOR),
            start=published.prompt_machines,
        )  # fmt: skip
        if found is None:
            return published
        self._rates[CONVERSATION, found.cluster] = found.rate_req_per_s
        return found.cluster

    def batch_req_per_s(self, workload: str, made: Design) -> float:
        """Requests that ten machines end per second when work never runs out and nobody looks at latency; best split.

        Counted in the second of two minutes, when batches have filled.
        """
        self._tell(f"{self.reading.name}: batch jobs on {made.name}, {workload}")
        split = made.token_machine is not None
        counts = [(p, BATCH_MACHINES - p) for p in range(1, BATCH_MACHINES)] if split else [(BATCH_MACHINES, 0)]
        clusters = [Cluster(design=made, prompt_machines=p, token_machines=t) for p, t in counts]
        return max(self._ended(workload, c) for c in clusters) / (BATCH_S - SETTLED_S)

    def _ended(self, workload: str, cluster: Cluster) -> int:
        """Requests that ended in the settled stretch of an overloaded run."""
        bench = self.bench(workload)
        trace = at_rate(bench.drawn, OVERLOAD_REQ_PER_S_PER_MACHINE * cluster.machines, BATCH_S)
        ledger = bench.serve(cluster, trace, cutoff_s=BATCH_S).ledger
        ended_s = trace.arrival_s + ledger.e2e_s
        return int(np.sum((ended_s > SETTLED_S) & (ended_s <= BATCH_S)))
