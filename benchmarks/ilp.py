"""How fast the integer programs are solved: published GPU mixes, and random ones of 8 machine types and 16 buckets.

python benchmarks/ilp.py --cases FILE --json

Every case of the file is solved twice, in whole slices and with continuous routing, and held against its stated
optimum. CPU seconds are of building and solving together.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from solvers.allocation import Reason
from solvers.problem import Column, Problem, Row, Sense
from solvers.solve import solve

TOLERANCE = 1e-5
"""Optima are stated with six digits."""


def program(case: dict[str, Any], *, slices: int | None) -> Problem:
    """Cheapest GPUs for a distribution of request sizes; every bucket's rate is spread over types.

    Args:
        case: as in the file of cases.
        slices: whole parts that a bucket is cut into; None routes continuously.
    """
    gpus, whole = case["gpu_info"], 1 if slices is None else slices
    buckets = {
        (i, j): weight * case["total_request_rate"]
        for i, row in enumerate(case["workload_distribution"])
        for j, weight in enumerate(row)
        if weight
    }
    shares = [(b, g) for b in buckets for g in gpus if gpus[g]["tputs"][b[0]][b[1]]]
    rows = []
    for b in buckets:
        terms = tuple((f"share{b}{g}", 1.0) for c, g in shares if c == b)
        rows.append(Row(name=f"all{b}", family="demand", terms=terms, lower=whole, upper=whole))
    for g in gpus:
        work = [(f"share{b}{g}", buckets[b] / whole / gpus[g]["tputs"][b[0]][b[1]]) for b, h in shares if h == g]
        rows.append(Row(name=f"load {g}", family="load", terms=(*work, (f"gpus {g}", -1.0)), upper=0.0))
    counts = (Column(name=f"gpus {g}", integer=True, objective=gpus[g]["cost"]) for g in gpus)
    parts = (Column(name=f"share{b}{g}", upper=whole, integer=slices is not None) for b, g in shares)
    return Problem(name=case["name"], sense=Sense.MIN, columns=(*counts, *parts), rows=tuple(rows))


def random_case(seed: int, types: int = 8, buckets: int = 16) -> dict[str, Any]:
    """Machine types that are the better the dearer they are, give or take, and buckets of unequal weight."""
    rng = np.random.default_rng(seed)
    size, weight = rng.uniform(0.2, 5.0, buckets), rng.dirichlet(np.ones(buckets))
    gpus = {}
    for number in range(types):
        speed = rng.uniform(1.0, 10.0)
        gpus[f"type{number}"] = {
            "cost": float(speed ** rng.uniform(0.8, 1.2)),
            "tputs": [(speed / size * rng.uniform(0.7, 1.3, buckets)).tolist()],
        }
    return {
        "name": f"random {seed}", "gpu_info": gpus, "workload_distribution": [weight.tolist()],
        "total_request_rate": float(rng.uniform(20, 200)),
    }  # fmt: skip


def solved(case: dict[str, Any], slices: int | None, expected: float | None) -> dict[str, object]:
    """One solve."""
    before = time.process_time()
    found = solve(program(case, slices=slices), time_limit_s=20.0).termination
    cpu_s = time.process_time() - before
    right = found.reason is Reason.OPTIMAL and found.objective is not None
    if right and expected is not None and found.objective is not None:
        right = abs(found.objective - expected) <= TOLERANCE * abs(expected)
    return {
        "case": case["name"], "routing": "continuous" if slices is None else f"{slices} slices",
        "objective": found.objective, "expected": expected, "right": right, "cpu_s": round(cpu_s, 4),
    }  # fmt: skip


def main() -> None:
    """Solve everything, print a row each and a summary."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=Path, help="file of published cases")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    rows = [solved(random_case(seed), None, None) for seed in range(10)]
    for case in json.loads(chosen.cases.read_text(encoding="utf-8"))["cases"] if chosen.cases else []:
        rows.append(solved(case, case["slice_factor"], case["expected_optimum"]["cost"]))
        rows.append(solved(case, None, case["expected_fractional_routing_optimum"]["cost"]))
    seconds = sorted(float(str(r["cpu_s"])) for r in rows[:10])
    summary = {
        "published": len(rows) - 10, "right": sum(bool(r["right"]) for r in rows[10:]),
        "slowest_published_cpu_s": max((float(str(r["cpu_s"])) for r in rows[10:]), default=0.0),
        "random_8x16_median_cpu_s": seconds[5], "random_8x16_slowest_cpu_s": seconds[-1],
    }  # fmt: skip
    if chosen.json:
        json.dump({"summary": summary, "rows": rows}, sys.stdout)
        print()
        return
    for row in (*rows, summary):
        print("  ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
