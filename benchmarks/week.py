"""An hour of pools as flows beside the same hour request by request: batches, and how long requests wait.

    python benchmarks/week.py [--json] [--rate-frac 0.5] [--hours 1]

Each class of DynamoLLM's set-up gets a TP8 instance at the highest clock and Poisson arrivals at a share of what
saturates it; the event simulation serves the requests, the operating points only know the rate.
"""

import argparse
import json
import time

import numpy as np

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import instance_physics
from planner.perf.operating import operating
from planner.plan import Layout, Role
from planner.policies.presets import policy
from planner.reproduce.dynamollm_lab import MACHINE, MAX_BATCH, MODEL, SAMPLE
from planner.simulator.engine import PoolModel, run
from planner.simulator.records import window
from workloads.builtin import load_builtin
from workloads.load import nine_classes
from workloads.models import load_model
from workloads.traces import plain_trace


def rows(rate_frac: float, hours: float, clock_mhz: int = 1980) -> list[dict[str, float | str]]:
    """One row per class: flow against events."""
    machine, model = load_catalog(None).machines[MACHINE], load_model(MODEL)
    profiles = load_profiles(None, model=MODEL, profile_set="aiconfigurator-0.12")
    profile = next(p for p in profiles if p.gpu == machine.gpu.profile_gpu and p.dtype == "bf16" and p.tp == 8)
    body = instance_physics(
        model,
        machine,
        Layout(tp=8),
        profile,
        memory_frac=0.9,
        max_batch_tokens=8192,
        block_tokens=16,
        clock_mhz=clock_mhz,
    )
    rules = policy(
        "colocated", max_batch_tokens=8192, max_batch_size=MAX_BATCH, block_tokens=16, kv_transfer="auto",
        layerwise_from_tokens=512,
    )  # fmt: skip
    prompts, outputs = load_builtin("azure-conv-2023").lengths.sample(200_000, np.random.default_rng(1))
    found = []
    for kind in nine_classes():
        mine = np.flatnonzero(kind.holds(prompts, outputs))
        if len(mine) < 500:
            continue
        table = operating(body, prompts[mine[:SAMPLE]], outputs[mine[:SAMPLE]], max_batch_size=MAX_BATCH)
        rate = rate_frac * table.saturated_req_per_s
        rng = np.random.default_rng(2)
        arrivals = np.cumsum(rng.exponential(1 / rate, int(rate * 3600 * hours)))
        picked = rng.choice(mine, len(arrivals))
        trace = plain_trace(kind.name, arrivals, prompts[picked], outputs[picked], duration_s=float(arrivals[-1]) + 1)
        pool = PoolModel(name="p", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}))
        begin = time.process_time()
        done = run([pool], rules, trace, window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=5), cutoff_s=1e6)
        spent_s = time.process_time() - begin
        meter = done.meters["p"][0]
        first = np.array(done.ledger.ttft_s)[np.isfinite(done.ledger.ttft_s)]
        at = table.rate_req_per_s
        found.append(
            {
                "class": kind.name, "requests": len(arrivals), "rate_req_per_s": rate,
                "batch_flow": float(np.interp(rate, at, table.batch)),
                "batch_events": meter.decode_tokens / max(1, meter.decode_steps),
                "ttft_p50_flow_s": float(np.interp(rate, at, table.ttft_p50_s)),
                "ttft_p50_events_s": float(np.median(first)),
                "ttft_p99_flow_s": float(np.interp(rate, at, table.ttft_p99_s)),
                "ttft_p99_events_s": float(np.percentile(first, 99)), "events_cpu_s": spent_s,
            }
        )  # fmt: skip
    return found


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate-frac", type=float, default=0.5)
    parser.add_argument("--hours", type=float, default=1.0)
    arguments = parser.parse_args()
    table = rows(arguments.rate_frac, arguments.hours)
    if arguments.json:
        print(json.dumps(table, indent=2))
        return
    for row in table:
        print(
            "  ".join(
                f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )


if __name__ == "__main__":
    main()
