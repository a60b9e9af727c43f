"""Points of the public Splitwise simulator against ours under its rules: nine percentiles and the verdict of each.

python benchmarks/splitwise_points.py --points points.csv --traces traces [--reading as-published] [--json]

A row of the points names a design, its machines, a model and a trace, and what the public simulator printed for it; a
trace has its columns: arrival_timestamp, prompt_size, token_size.
"""

import argparse
import csv
import gzip
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.reproduce.designs import Cluster, design
from planner.reproduce.readings import AS_MEASURED, AS_PUBLISHED, Reading, reading
from planner.reproduce.trial import SLOWDOWNS, Bench, alone_with
from planner.scenario.designs import A100, H100, H100_CAPPED
from workloads.traces import Trace, plain_trace

MODELS = {"llama2-70b": "llama-2-70b"}
"""Names that differ from the catalog's."""

NAMES = [f"{metric}_{at}" for metric in ("ttft", "tbt", "e2e") for at in ("p50", "p90", "p99")]
WITHIN = 1e-3
LONGEST_S = 1e6
"""Simulated; the public simulator runs until every request has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What came of one point.

    Attributes:
        name: design, counts and trace.
        errors: relative, of the nine percentiles in seconds and the nine slowdowns.
        same_verdict: whether both say the same of the nine objectives.
        requests: in the trace.
        cpu_s: of the simulation.
    """

    name: str
    errors: tuple[float, ...]
    same_verdict: bool
    requests: int
    cpu_s: float


def trace_of(path: Path) -> Trace:
    """A trace of the public simulator, plain or compressed."""
    packed = path.with_name(f"{path.name}.csv.gz")
    with gzip.open(packed, "rt") if packed.exists() else path.with_name(f"{path.name}.csv").open() as text:
        rows = list(csv.DictReader(text))
    at = np.array([float(row["arrival_timestamp"]) for row in rows])
    sizes = [np.array([int(row[name]) for row in rows]) for name in ("prompt_size", "token_size")]
    return plain_trace(path.name, at, *sizes, duration_s=float(at[-1]))


def point(row: dict[str, str], bench: Bench) -> Point:
    """Serve a point and compare."""
    made = design(row["design"])
    tokens = int(row["n_token"]) if made.token_machine else 0
    cluster = Cluster(design=made, prompt_machines=int(row["n_prompt"]), token_machines=tokens)
    start = time.process_time()
    seconds, slowdowns = bench.measured(cluster, bench.drawn.trace, LONGEST_S)
    cpu_s = time.process_time() - start
    found = [*np.concatenate(list(seconds.values())), *np.concatenate(list(slowdowns.values()))]
    printed = [float(row[prefix + name]) for prefix in ("", "s_") for name in NAMES]
    holds = all(bool(np.all(slowdowns[key] < limits)) for key, limits in SLOWDOWNS.items())
    return Point(
        name=f"{cluster.words}, {row['trace']}",
        errors=tuple(abs(ours / theirs - 1) for ours, theirs in zip(found, printed, strict=True)),
        same_verdict=holds == (row["slo_ok"].strip().lower() == "true"), requests=len(bench.drawn.trace), cpu_s=cpu_s,
    )  # fmt: skip


def points(path: Path, traces: Path, name: str) -> list[Point]:
    """All points of a file under a reading."""
    readings: dict[str, Reading] = {}
    benches: dict[tuple[str, str], Bench] = {}
    found = []
    with path.open() as text:
        rows = list(csv.DictReader(text))
    for row in rows:
        model = MODELS.get(row["model"], row["model"])
        if model not in readings:
            readings[model] = reading(name, model, (A100, H100, H100_CAPPED))
        key = model, row["trace"]
        if key not in benches:
            benches[key] = Bench(readings[model], alone_with(trace_of(traces / row["trace"]), readings[model].alone))
        found.append(point(row, benches[key]))
    return found


def main() -> None:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path, required=True)
    parser.add_argument("--traces", type=Path, required=True)
    parser.add_argument("--reading", choices=(AS_PUBLISHED, AS_MEASURED), default=AS_PUBLISHED)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = points(asked.points, asked.traces, asked.reading)
    served = found[1:] or found  # the first loads the simulator
    nine = [max(p.errors[: len(NAMES)]) for p in found]
    worst = int(np.argmax(nine))
    answer = {
        "n": len(found), "verdicts_equal": sum(p.same_verdict for p in found),
        "within_frac": sum(error <= WITHIN for error in nine) / len(found),
        "worst": nine[worst], "worst_point": found[worst].name,
        "worst_slowdown_error": max(max(p.errors[len(NAMES) :]) for p in found),
        "requests_per_cpu_s": round(sum(p.requests for p in served) / sum(p.cpu_s for p in served)),
    }  # fmt: skip
    if asked.json:
        json.dump(answer, sys.stdout, indent=2)
        print()
        return
    for p in found:
        print(f"{p.name}: {max(p.errors[:9]):.1e}, {'same verdict' if p.same_verdict else 'VERDICT DIFFERS'}")
    print(", ".join(f"{key} {value}" for key, value in answer.items()))


if __name__ == "__main__":
    main()
