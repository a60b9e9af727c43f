"""The planner's answers to Splitwise's five provisioning problems against every cluster that would be better.

python benchmarks/splitwise_planner.py [--reading as-measured] [--workload WORKLOAD] [--out answers.jsonl] [--json]

For each problem, design and workload a scenario is planned. Then every cluster of the design that is more than 1 %
better and not below the proven bound is served, the best first: on two of the draws that plans are validated on, and,
unless it misses on both, under the whole test of the planner, with its intervals and its longer look. One that holds is
better than the answer. Answers are kept in a file, one a line, so that an interrupted run goes on where it was.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan
from planner.planning.tighten import cluster
from planner.reproduce.designs import Cluster, design
from planner.reproduce.lab import CODING, CONVERSATION
from planner.reproduce.readings import AS_MEASURED, AS_PUBLISHED, Reading
from planner.reproduce.search import Problem
from planner.reproduce.trial import Bench, alone_with
from planner.resolve.case import Case, open_case
from planner.results.evidence import NoPlan
from planner.scenario import Scenario

EXAMPLES = Path(__file__).parents[1] / "planner" / "examples"
DESIGNS = ("Splitwise-AA", "Splitwise-HH", "Splitwise-HA", "Splitwise-HHcap")
SCREENS = 2
"""Draws on which a cluster is tried before it is judged."""

TOLERANCE = 0.01
DURATION_S = 120.0
OBJECTIVES = {
    Problem.ISO_THROUGHPUT_COST: ("iso-throughput", "cost"), Problem.ISO_THROUGHPUT_POWER: ("iso-throughput", "power"),
    Problem.ISO_THROUGHPUT_SPACE: ("iso-throughput", "machines"),
    Problem.ISO_COST_THROUGHPUT: ("iso-cost", "throughput"),
    Problem.ISO_POWER_THROUGHPUT: ("iso-power", "throughput"),
}  # fmt: skip


def scenario(problem: Problem, name: str, workload: str, reading: str) -> Scenario:
    """The example of a problem, for a design and a workload."""
    example, objective = OBJECTIVES[problem]
    changes = [f"catalog.design={name.lower()}", f"workload.trace={workload}", f"objective={objective}"]
    if reading == AS_MEASURED:
        changes += ["model.reading=as-measured", "policy.name=splitwise"]
    return Scenario.load(EXAMPLES / f"splitwise-{example}.yaml", changes)


class Field:
    """Every cluster of a design in one question, and the test."""

    def __init__(self, case: Case, name: str) -> None:
        """Machines, their weights, and nothing served yet."""
        assert case.reference is not None, "every objective is a slowdown"
        made, physics = design(name), case.physics
        self.case, self.name = case, name
        self.options = {o.spec.role.value: o for o in case.options}
        both = {made.prompt_machine: "prefill", made.token_machine or made.prompt_machine: "decode"}
        self.reading = Reading(
            name="scenario", model=case.model.name,
            physics={m: physics[f"{role}/{m}/tp8"] for m, role in both.items()},
            alone=case.reference, split=case.policy, colocated=case.policy,
        )  # fmt: skip
        self._loop, self.judged = PlanningLoop(case, lambda *_: None), 0
        self._benches: dict[tuple[int, float], Bench] = {}

    def holds(self, one: Cluster, rate_req_per_s: float) -> bool:
        """Whether the planner's own test calls it a plan."""
        seeds = self.case.asked.seeds[:SCREENS]
        if not any(self._bench(seed, rate_req_per_s).holds(one, 1.0) for seed in seeds):
            return False
        scale = rate_req_per_s / self.case.asked.rate_req_per_s
        rates = {c.request_class.name: c.rate_req_per_s * scale for c in self.case.asked.demand.classes}
        counts = {"prefill": one.prompt_machines, "decode": one.token_machines}
        machines = {self.options[role].spec.name: n for role, n in counts.items()}
        made = cluster(self.case.policy.name, machines, rates, self._loop.options)
        if isinstance(made, str):
            return False
        made = replace(made, rate_scale=scale)
        self.judged += 1
        return self._loop.holds(made, self._loop.judged(made))

    def _bench(self, seed: int, rate_req_per_s: float) -> Bench:
        key = seed, round(rate_req_per_s, 6)
        if key not in self._benches:
            scale = rate_req_per_s / self.case.asked.rate_req_per_s
            trace = self.case.asked.draw(seed, scale, 1.0)
            per_gap = self.case.scenario.model.reading == AS_MEASURED
            bench = Bench(self.reading, alone_with(trace, self.reading.alone), duration_s=DURATION_S, per_gap=per_gap)
            self._benches[key] = bench
        return self._benches[key]

    def weight(self, cluster: Cluster, unit: str) -> float:
        """Dollars, watts or machines."""
        counts = {"prefill": cluster.prompt_machines, "decode": cluster.token_machines}
        each = {"cost": "price_usd_per_h", "power": "rated_w"}.get(unit)
        return sum(n * (getattr(self.options[role], each) if each else 1.0) for role, n in counts.items())


def _cheaper(field: Field, value: float, bound: float, unit: str) -> Iterator[Cluster]:
    """Clusters more than 1 % below a value and not below what is proven, the cheapest first."""
    made, found = design(field.name), list[tuple[float, int, int]]()
    for p in range(1, 160):
        for t in range(1, 160):
            one = Cluster(design=made, prompt_machines=p, token_machines=t)
            if bound * (1 - 1e-9) <= field.weight(one, unit) < value * (1 - TOLERANCE):
                found.append((field.weight(one, unit), p, t))
    for _, p, t in sorted(found):
        yield Cluster(design=made, prompt_machines=p, token_machines=t)


def _splits(field: Field, unit: str, budget: float) -> Iterator[Cluster]:
    """Every split of a budget."""
    for p in range(1, 160):
        one = Cluster(design=design(field.name), prompt_machines=p, token_machines=1)
        left = budget - field.weight(one, unit)
        step = field.weight(Cluster(design=one.design, prompt_machines=0, token_machines=1), unit)
        if left >= 0:
            yield Cluster(design=one.design, prompt_machines=p, token_machines=1 + int(left / step + 1e-9))


def answer(problem: Problem, name: str, workload: str, reading: str) -> dict[str, object]:
    """One row: the plan, its bound, and the best cluster beyond it."""
    asked = scenario(problem, name, workload, reading)
    row: dict[str, object] = {"reading": reading, "problem": problem.value, "design": name, "workload": workload}
    start = time.process_time()
    found = plan(asked, progress=lambda *_: None, with_margin=False)
    row["plan_cpu_s"] = round(time.process_time() - start, 1)
    if isinstance(found, NoPlan):
        return {**row, "plan": found.reason, "worse_frac": None}
    counts = {p.spec.role.value: p.machines for p in found.candidate.pools}
    mine = Cluster(design=design(name), prompt_machines=counts["prefill"], token_machines=counts["decode"])
    field, bound = Field(case=open_case(asked, asked.policy.name), name=name), found.certificate.bound
    start, tried = time.process_time(), 0
    unit, rate = OBJECTIVES[problem][1], asked.workload.rate_req_per_s or 0.0
    if unit == "throughput":
        value = rate * found.candidate.rate_scale
        money = asked.budgets.cost_usd_per_h
        others = _splits(field, "cost" if money else "power", money or asked.budgets.power_w or 0.0)
        rate = value * (1 + TOLERANCE)
    else:
        value = field.weight(mine, unit)
        others = _cheaper(field, value, bound or 0.0, unit)
    better = None
    for one in others:
        tried += 1
        if field.holds(one, rate):
            better = one
            break
    worth = field.weight(better, unit) if better and unit != "throughput" else None
    return {
        **row, "plan": mine.words.split()[-1], "value": value, "bound": bound,
        "tried": tried, "judged": field.judged,
        "better": better.words.split()[-1] if better else None,
        "worse_frac": 0.0 if better is None else (value / worth - 1 if worth else TOLERANCE),
        "grid_cpu_s": round(time.process_time() - start, 1),
    }  # fmt: skip


def main() -> None:
    """Ask everything that is not answered yet, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reading", choices=(AS_PUBLISHED, AS_MEASURED), default=AS_MEASURED)
    parser.add_argument("--workload", choices=(CODING, CONVERSATION), help="both if not said")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    kept = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out and asked.out.exists() else []
    known = {(r["reading"], r["problem"], r["design"], r["workload"]): r for r in kept}
    for workload in [asked.workload] if asked.workload else (CODING, CONVERSATION):
        for name in DESIGNS:
            for problem in Problem:
                key = asked.reading, problem.value, name, workload
                row = known.get(key)
                if row is None:
                    row = answer(problem, name, workload, asked.reading)
                    if asked.out:
                        with asked.out.open("a") as file:
                            file.write(json.dumps(row) + "\n")
                print(json.dumps(row) if asked.json else "  ".join(str(v) for v in row.values()), flush=True)


if __name__ == "__main__":
    main()
