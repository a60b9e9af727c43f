"""Hours of a week or a month, nine classes, some machine types: CPU seconds and proven gap of the plan over time.

    python benchmarks/schedule.py [--json] [--rate 600] [--epochs 168] [--types 8]

Options are made of simple numbers (speed grows and price per speed falls a little from type to type; three layouts at
four clocks each), so that the size is that of the question and nothing is left out by a catalog.
"""

import argparse
import json
import resource
import time
from collections.abc import Mapping

import numpy as np

from planner.formulate import EpochQuestion, epoch_problem, later_aims, lift_schedule, place, thinned
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.schedule import EpochOption, FleetType, Tariff
from planner.scenario.objectives import Aim, Transitions
from solvers.allocation import Solution
from solvers.decomposition import solve_decomposed
from solvers.lexicographic import lexicographic
from solvers.problem import Problem
from workloads.load import Load, from_factors, nine_classes, template

CLOCKS_MHZ = (800, 1200, 1600, 1980)
WAYS = (2, 4, 8)


def question(rate_req_per_s: float, epochs: int, types: int) -> EpochQuestion:
    """The question of the benchmark."""
    rng = np.random.default_rng(0)
    names = [c.name for c in nine_classes()]
    work_s = {name: 0.02 * (1 + 2 * (i // 3)) * (1 + 1.5 * (i % 3)) for i, name in enumerate(names)}
    fleet, options = [], []
    for place_, speed in enumerate(0.5 + 0.25 * np.arange(types)):
        price = 8 * speed**0.9 * (1 + 0.1 * rng.random())
        fleet.append(
            FleetType(machine=f"m{place_}", gpus=8, idle_w=1500 + 300.0 * place_, base_usd_per_h=price,
                      top_usd_per_h=1.8 * price, most_base_machines=100, available=300, most_top_machines=300)
        )  # fmt: skip
        for tp in WAYS:
            for clock in CLOCKS_MHZ:
                each = (clock / 1980) ** 0.5 * tp**0.85 * speed / 8 * 1.7
                request_j = {
                    n: (clock / 1980) ** 0.7 * s * 300 * (1 + tp * 0.05) / speed**0.3 for n, s in work_s.items()
                }
                spec = InstanceSpec(role=Role.MIXED, machine=f"m{place_}", layout=Layout(tp=tp), clock_mhz=clock)
                capacity = {n: each / s for n, s in work_s.items()}
                options.append(EpochOption(spec=spec, gpus=tp, capacity_req_per_s=capacity, request_j=request_j))
    share = rng.dirichlet(np.ones(len(names)))
    week = from_factors(
        {n: rate_req_per_s * share[i] for i, n in enumerate(names)}, template("conversation"), epoch_s=3600.0
    )
    load = Load(
        epoch_s=3600.0,
        mean_req_per_s={n: np.resize(v, epochs) for n, v in week.mean_req_per_s.items()},
        peak_req_per_s={n: np.resize(v, epochs) * 1.05 for n, v in week.peak_req_per_s.items()},
    )
    return EpochQuestion(
        options=thinned(tuple(options), tuple(names)), fleet=tuple(fleet), load=load,
        transitions=Transitions(min_up_epochs=2),
        tariff=Tariff(usd_per_kwh=0.1, carbon_g_per_kwh=(300.0,) * epochs, pue_ratio=1.2), aims=(Aim.COST, Aim.ENERGY),
    )  # fmt: skip


def main() -> None:
    """Print one line, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=float, default=600.0, help="mean req/s of all classes")
    parser.add_argument("--epochs", type=int, default=168)
    parser.add_argument("--types", type=int, default=8, help="machine types")
    arguments = parser.parse_args()
    begin = time.process_time()
    asked = question(arguments.rate, arguments.epochs, arguments.types)
    problem = epoch_problem(asked)
    built = time.process_time()
    ends, before = list[float](), list[float]()

    def solver(part: Problem, start: Mapping[str, float]) -> Solution:
        if start:
            before.append(part.objective(start))
        found = solve_decomposed(part, place, time_limit_s=10.0 if start else 600.0, gap_frac=0.01, start=start)
        ends.append(time.process_time())
        return found

    solution, (later,) = lexicographic(problem, later_aims(asked), solver, gap_frac=0.01)
    assert solution.allocation is not None
    schedule = lift_schedule(asked, solution.allocation.values, solution.termination, method="decomposed")
    powered = [sum(epoch.machines.values()) for epoch in schedule.epochs]
    found = {
        "epochs": asked.load.epochs, "classes": len(asked.load.peak_req_per_s), "machine_types": len(asked.fleet),
        "options": len(asked.options), "columns": len(problem.columns), "rows": len(problem.rows),
        "machines_least": min(powered), "machines_most": max(powered), "value": solution.termination.objective,
        "bound": solution.termination.bound, "gap_frac": solution.termination.gap_frac,
        "bound_by": solution.termination.detail, "build_cpu_s": built - begin, "solve_cpu_s": ends[0] - built,
        "second_aim_before": before[0], "second_aim": later.termination.objective,
        "second_gap_frac": later.termination.gap_frac,
        "second_cpu_s": ends[1] - ends[0],
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip
    print(json.dumps(found, indent=2) if arguments.json else "  ".join(f"{k} {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
