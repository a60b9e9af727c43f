"""Hours of a day, a week or a month, nine classes, some machine types: CPU seconds and proven gap of plans over time.

    python -m benchmarks.schedules [--json] [--types 8,16,40] [--epochs 24,168,744] [--precisions 3] [--rate 600]
        [--seed 0]

Options are made of simple numbers (speed grows and price per speed falls a little from type to type; three layouts at
four clocks in each precision, the lower ones faster where prompts are short), so that the size is that of the question
and nothing is left out by a catalog. Every row is a process of its own, so that its memory is its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np

from planner.formulate import EpochQuestion, few, thinned
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.schedule import EpochOption, FleetType, Tariff
from planner.scenario.objectives import Aim, Transitions
from planner.schedules.programs import Limits, programmed
from workloads.load import Load, from_factors, nine_classes, template

CLOCKS_MHZ = (800, 1200, 1600, 1980)
WAYS = (2, 4, 8)
PRECISIONS = ((1.0, 1.0), (1.5, 1.2), (1.9, 1.1))
"""How much faster each is with the shortest and with the longest prompts."""


def _option(
    machine: str, speed: float, tp: int, clock: int, precision: int, work_s: Mapping[str, float]
) -> EpochOption:  # fmt: skip
    """A layout at a clock in a precision; the program knows the last by its name only, so a cap stands for it."""
    each = (clock / 1980) ** 0.5 * tp**0.85 * speed / 8 * 1.7
    short, long = PRECISIONS[precision]
    faster = dict(zip(work_s, np.repeat(np.linspace(short, long, 3), 3), strict=True))
    request_j = {
        n: (clock / 1980) ** 0.7 * s * 300 * (1 + tp * 0.05) / speed**0.3 / faster[n] ** 0.5 for n, s in work_s.items()
    }
    spec = InstanceSpec(
        role=Role.MIXED, machine=machine, layout=Layout(tp=tp), clock_mhz=clock, cap_w=precision or None
    )  # fmt: skip
    capacity = {n: each / s * faster[n] for n, s in work_s.items()}
    return EpochOption(spec=spec, gpus=tp, capacity_req_per_s=capacity, request_j=request_j)


def question(rate_req_per_s: float, epochs: int, types: int, precisions: int = 1, seed: int = 0) -> EpochQuestion:
    """The question of the benchmark; prices and shares of classes are drawn by the seed."""
    rng = np.random.default_rng(seed)
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
                options += [_option(f"m{place_}", speed, tp, clock, at, work_s) for at in range(precisions)]
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


def planned(rate_req_per_s: float, epochs: int, types: int, precisions: int, seed: int) -> dict[str, object]:
    """One row of the table."""
    asked = question(rate_req_per_s, epochs, types, precisions, seed)
    begin = time.process_time()
    some = few(asked)
    kinds, found = time.process_time(), programmed(asked, Limits(time_limit_s=30.0, gap_frac=0.01))
    schedule, ended = found.schedule(), found.solution.termination
    assert schedule is not None, "every question of the benchmark has an answer"
    powered = [sum(epoch.machines.values()) for epoch in schedule.epochs]
    return {
        "types": types, "epochs": epochs, "precisions": precisions, "rate_req_per_s": rate_req_per_s, "seed": seed,
        "pairs": sum(len(option.capacity_req_per_s) for option in asked.options),
        "pairs_kept": sum(len(option.capacity_req_per_s) for option in found.question.options),
        "machines_least": min(powered), "machines_most": max(powered), "value": ended.objective, "bound": ended.bound,
        "gap_frac": ended.gap_frac, "bound_by": ended.detail, "kinds_cpu_s": round(kinds - begin, 2) if some else 0.0,
        "cpu_s": round(time.process_time() - kinds, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


def main() -> None:
    """Print a line a row, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=float, default=600.0, help="mean req/s of all classes")
    parser.add_argument("--epochs", default="24,168,744", help="hours, with commas between them")
    parser.add_argument("--types", default="8,16,40", help="machine types, likewise")
    parser.add_argument("--precisions", type=int, default=3, choices=range(1, len(PRECISIONS) + 1))
    parser.add_argument("--seed", type=int, default=0, help="of prices and of shares of classes")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(planned(asked.rate, int(asked.epochs), int(asked.types), asked.precisions, asked.seed)))
        return
    rows = []
    for types in asked.types.split(","):
        for epochs in asked.epochs.split(","):
            command = [
                sys.executable, __file__, "--one", "--types", types, "--epochs", epochs,
                "--precisions", str(asked.precisions), "--rate", str(asked.rate), "--seed", str(asked.seed),
            ]  # fmt: skip
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            if not asked.json:
                print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if asked.json:
        print(json.dumps({"load_average": round(os.getloadavg()[0], 1), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
