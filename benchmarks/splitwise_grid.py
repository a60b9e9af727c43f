"""Splitwise's whole provisioning grid: six designs, both workloads, all five problems, every prompt and token count.

python benchmarks/splitwise_grid.py [--reading as-measured] [--processes 2] --json

Iso-throughput: at 70 requests/s the smallest prompt count that holds is found for every token count, which settles
every point of the published grid (more machines never hurt) and thereby all three problems. Iso-cost and iso-power:
every split of 40 DGX-H100's price and power is tried, at the published steps of 10 requests/s.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from planner.reproduce.designs import SIMULATOR, Cluster
from planner.reproduce.readings import reading
from planner.reproduce.search import Problem, least, measure, weights, within
from planner.reproduce.trial import Bench, draw
from planner.scenario.designs import A100, DESIGNS, H100, H100_CAPPED, Design

WORKLOADS = ("azure-code-2023", "azure-conv-2023")
RATE_REQ_PER_S = 70.0
MOST = {A100: 69, H100: 39, H100_CAPPED: 39}
"""The published grid's largest count of each kind; a baseline goes to twice as many and one."""

RATES_REQ_PER_S = tuple(range(10, 261, 10))
BUDGET_MACHINES = 40
ISO_THROUGHPUT = (Problem.ISO_THROUGHPUT_COST, Problem.ISO_THROUGHPUT_POWER, Problem.ISO_THROUGHPUT_SPACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One design on one workload, at a fixed rate (no problem named) or under a budget."""

    reading: str
    workload: str
    design: Design
    problem: Problem | None


def smallest(bench: Bench, made: Design) -> list[Cluster]:
    """For every token count the cluster with the fewest prompt machines that holds."""
    if made.token_machine is None:
        most = 2 * MOST[made.prompt_machine] + 1
        count = least(lambda p: bench.holds(Cluster(design=made, prompt_machines=p), RATE_REQ_PER_S), 1, most)
        return [Cluster(design=made, prompt_machines=count)] if count else []
    found, top = [], MOST[made.prompt_machine]
    for tokens in range(1, MOST[made.token_machine] + 1):

        def holds(prompts: int, tokens: int = tokens) -> bool:
            return bench.holds(Cluster(design=made, prompt_machines=prompts, token_machines=tokens), RATE_REQ_PER_S)

        if not holds(top):
            continue
        while top > 1 and holds(top - 1):
            top -= 1
        found.append(Cluster(design=made, prompt_machines=top, token_machines=tokens))
    return found


def highest(bench: Bench, cluster: Cluster) -> int:
    """The highest published rate that a cluster holds; 0 where none."""
    low, high = 0, len(RATES_REQ_PER_S)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if bench.holds(cluster, float(RATES_REQ_PER_S[middle])) else (low, middle)
    return RATES_REQ_PER_S[low - 1] if low else 0


def answers(task: Task) -> Iterator[dict[str, object]]:
    """What a task finds: a row per problem."""
    read = reading(task.reading, "bloom-176b", (A100, H100, H100_CAPPED))
    bench = Bench(read, draw(task.workload, read.alone))
    head = {"workload": task.workload, "design": task.design.name}
    if task.problem is None:
        edge = smallest(bench, task.design)
        for problem in ISO_THROUGHPUT:
            each = weights(problem, SIMULATOR)
            best = min(edge, key=lambda c: measure(c, each), default=None)
            yield {**head, "problem": problem, "best": best.words if best else None, "simulations": bench.trials}
        return
    each = weights(task.problem, SIMULATOR)
    budget = BUDGET_MACHINES * each[H100]
    splits = dict.fromkeys(c for p in range(1, 200) if (c := within(task.design, p, each, budget)))
    rates = {c: highest(bench, c) for c in splits}
    best = max(rates, key=lambda c: rates[c])
    yield {
        **head, "problem": task.problem, "best": best.words, "rate_req_per_s": rates[best], "simulations": bench.trials,
    }  # fmt: skip


def rows_of(task: Task) -> list[dict[str, object]]:
    """The rows of a task."""
    return list(answers(task))


def main() -> None:
    """Try everything, print a row per design, workload and problem, and what it took."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--reading", choices=["as-published", "as-measured"], default="as-measured")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    asked = (None, Problem.ISO_COST_THROUGHPUT, Problem.ISO_POWER_THROUGHPUT)
    tasks = [
        Task(reading=chosen.reading, workload=w, design=d, problem=p) for p in asked for w in WORKLOADS for d in DESIGNS
    ]
    start = time.perf_counter()
    with ProcessPoolExecutor(chosen.processes) as pool:
        rows = [row for found in pool.map(rows_of, tasks) for row in found]
    wall_s, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    counted = {
        (r["workload"], r["design"], r["problem"] in ISO_THROUGHPUT or r["problem"]): r["simulations"] for r in rows
    }
    summary = {
        "rows": len(rows), "simulations": sum(int(str(n)) for n in counted.values()), "wall_s": round(wall_s, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
    }  # fmt: skip
    if chosen.json:
        json.dump({"summary": summary, "rows": rows}, sys.stdout)
        print()
        return
    for row in (*rows, summary):
        print("  ".join(str(v) for v in row.values()))


if __name__ == "__main__":
    main()
