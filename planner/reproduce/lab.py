"""The laboratory: one reading, its workloads, and what was measured once."""

from collections.abc import Callable

import numpy as np

from planner.reproduce.designs import SIMULATOR, Cluster
from planner.reproduce.readings import Reading
from planner.reproduce.search import Problem, Provision, provision, throughput
from planner.reproduce.trial import Bench, Draw, at_rate, draw
from planner.scenario.designs import Design

CODING, CONVERSATION = "azure-code-2023", "azure-conv-2023"

BATCH_REQ_PER_S = 180.0
BATCH_S = 600.0
BATCH_COUNTED_S = (60.0, 540.0)
"""Batch jobs: the load and length of the published notebook, and when the requests end that it counts."""

LONG_S = 600.0
LONG_REQUESTS = 120_000
"""Of the traces of ten minutes by which the setback on another workload was measured."""

SEEDS = tuple(range(1, 9))
SEED_REQUESTS = 12_000
"""More than arrive in two minutes at 70 requests/s."""


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
        self._drawn: Draw | None = None

    def bench(self, workload: str) -> Bench:
        """The trials of a workload."""
        found = self._benches.get(workload)
        if found is None:
            found = self._benches[workload] = Bench(self.reading, draw(workload, self.reading.alone))
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

    def sustained_req_per_s(self, cluster: Cluster) -> float:
        """Highest rate of conversation at which a cluster holds the nine objectives for ten minutes."""
        self._tell(f"{self.reading.name}: {cluster.words}, ten minutes of {CONVERSATION}")
        return throughput(Bench(self.reading, self._long(), duration_s=LONG_S), cluster)

    def over_seeds(self, problem: Problem, made: Design, amount: float) -> list[Provision | None]:
        """The best cluster of a design for coding, once for each of eight draws of requests."""
        found = []
        for seed in SEEDS:
            self._tell(f"{self.reading.name}: {made.name}, {CODING}, draw {seed} of {len(SEEDS)}")
            bench = Bench(self.reading, draw(CODING, self.reading.alone, seed=seed, requests=SEED_REQUESTS))
            found.append(provision(problem, made, bench, SIMULATOR, amount))
        return found

    def batch_req_per_s(self, cluster: Cluster) -> float:
        """Requests that a cluster ends per second at a load beyond what it serves, without latency limits."""
        self._tell(f"{self.reading.name}: batch jobs on {cluster.words}")
        drawn = self._long()
        trace = at_rate(drawn, BATCH_REQ_PER_S, BATCH_S)
        ledger = Bench(self.reading, drawn).serve(cluster, trace, cutoff_s=BATCH_S).ledger
        ended_s, (begin_s, end_s) = trace.arrival_s + ledger.e2e_s, BATCH_COUNTED_S
        return int(np.sum((ended_s > begin_s) & (ended_s <= end_s))) / (end_s - begin_s)

    def _long(self) -> Draw:
        """Requests of conversation for ten minutes, drawn once."""
        if self._drawn is None:
            self._drawn = draw(CONVERSATION, self.reading.alone, requests=LONG_REQUESTS)
        return self._drawn
