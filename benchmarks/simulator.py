"""How fast and how small the simulator is: the conversation workload on a split cluster of DGX-H100 machines.

python benchmarks/simulator.py --engine simpy --requests 20000 --machines 40 --json
"""

import argparse
import json
import resource
import sys
import time

import numpy as np

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import InstancePhysics, instance_physics
from planner.plan import Layout, Role
from planner.policies.presets import policy
from planner.simulator.engine import PoolModel, run
from planner.simulator.records import window
from workloads.builtin import load_builtin
from workloads.models import load_model
from workloads.synthesis import synthesize

RATE_PER_MACHINE = 2.5
"""Requests/s per machine: about three quarters of what the cluster carries, so that queues exist but do not grow."""

PREFILL_FRAC = 0.4


def physics() -> InstancePhysics:
    """Llama-3.1-70B bf16 on one DGX-H100, tp8."""
    machine = load_catalog().machines["dgx-h100"]
    profiles = load_profiles(None, model="llama-3.1-70b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    profile = next(p for p in profiles if p.tp == 8 and p.dtype == "bf16")
    return instance_physics(
        load_model("llama-3.1-70b"), machine, Layout(tp=8), profile,
        memory_frac=0.9, max_batch_tokens=2048, block_tokens=16,
    )  # fmt: skip


def measure(requests: int, machines: int, policy_name: str, rate_req_per_s: float) -> dict[str, float | int | str]:
    """Simulate once; CPU seconds cover the event loop, the trace being ready."""
    body = physics()
    rules = policy(
        policy_name, max_batch_tokens=2048, max_batch_size=256, block_tokens=16, kv_transfer="auto",
        layerwise_from_tokens=512,
    )  # fmt: skip
    trace = synthesize(
        load_builtin("azure-conv-2023"), rate_req_per_s=rate_req_per_s, duration_s=requests / rate_req_per_s,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    prefills = max(1, round(machines * PREFILL_FRAC))
    counts = {Role.PREFILL: prefills, Role.DECODE: machines - prefills, Role.MIXED: machines}
    pools = [
        PoolModel(name=role.value, role=role, physics=body, instances=counts[role], speed=1.0, classes=frozenset({0}))
        for role in rules.topology.roles()
    ]
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=5)
    before = time.process_time()
    result = run(pools, rules, trace, measured, cutoff_s=10 * trace.duration_s)
    cpu_s = time.process_time() - before
    return {
        "engine": "simpy",
        "policy": policy_name,
        "requests": len(trace),
        "finished": result.ledger.finished,
        "machines": machines,
        "output_tokens": result.ledger.output_tokens,
        "cpu_s": round(cpu_s, 3),
        "requests_per_cpu_s": round(len(trace) / cpu_s),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Read the options, measure, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--engine", choices=["simpy"], default="simpy")
    options.add_argument("--policy", choices=["splitwise", "colocated"], default="splitwise")
    options.add_argument("--requests", type=int, default=20000)
    options.add_argument("--machines", type=int, default=40)
    options.add_argument("--rate", type=float, help="requests/s of the whole cluster")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    rate = chosen.rate or RATE_PER_MACHINE * chosen.machines
    row = measure(chosen.requests, chosen.machines, chosen.policy, rate)
    if chosen.json:
        json.dump(row, sys.stdout)
        print()
    else:
        for key, value in row.items():
            print(f"{key:20} {value}")


if __name__ == "__main__":
    main()
