"""How fast and how small the simulator is: the conversation workload on a split cluster of DGX-H100 machines.

python benchmarks/simulator.py --engine core|reference|both --requests 20000 --machines 40 --json

``both`` serves the same trace by the core and by the reference, and prints the ratio. CPU seconds are
those of the run alone, the trace being ready and the core compiled; ``peak_mib`` is that of the whole process.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import InstancePhysics, Streaming, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout, Role
from planner.policies.base import Policy
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator import reference
from planner.simulator.books import window
from planner.simulator.core import run as kernel
from planner.simulator.pools import PoolModel, Run
from workloads.builtin import load_builtin
from workloads.models import load_model
from workloads.synthesis import synthesize
from workloads.traces import Trace

RATE_PER_MACHINE = 2.5
"""Requests/s per machine: about three quarters of what the cluster carries, so that queues exist but do not grow."""

PREFILL_FRAC = 0.4


def layout_physics(layout: Layout, streaming: Streaming | None = None) -> InstancePhysics:
    """Llama-3.1-70B bf16 on a DGX-H100."""
    machine = load_catalog().machines["dgx-h100"]
    profiles = load_profiles(None, model="llama-3.1-70b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    profile = next(p for p in profiles if p.tp == layout.tp and p.dtype == "bf16")
    return instance_physics(
        load_model("llama-3.1-70b"),
        machine,
        layout,
        profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=2048, block_tokens=16),
        streaming=streaming,
    )


ENGINES: dict[str, Callable[..., Run]] = {"core": kernel.run, "reference": reference.serve}


def cluster(machines: int, policy_name: str) -> tuple[list[PoolModel], Policy]:
    """A cluster of so many machines and its policy."""
    body = layout_physics(Layout(tp=8))
    rules = policy(
        policy_name,
        PolicySection(max_batch_tokens=2048, max_batch_size=256),
    )
    prefills = max(1, round(machines * PREFILL_FRAC))
    counts = {Role.PREFILL: prefills, Role.DECODE: machines - prefills, Role.MIXED: machines}
    pools = [
        PoolModel(name=role.value, role=role, physics=body, instances=counts[role], speed=1.0, classes=frozenset({0}))
        for role in rules.topology.roles()
    ]
    return pools, rules


def conversation(requests: int, rate_req_per_s: float, seed: int = 1) -> Trace:
    """About so many requests of the conversation workload, at a rate."""
    return synthesize(
        load_builtin("azure-conv-2023"), rate_req_per_s=rate_req_per_s, duration_s=requests / rate_req_per_s,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def measure(serve: Callable[..., Run], pools: list[PoolModel], rules: Policy, trace: Trace) -> tuple[Run, float]:
    """Simulate once: what was left behind, and the CPU seconds that it took."""
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=5)
    before = time.process_time()
    done = serve(pools, rules, trace, measured, cutoff_s=10 * trace.duration_s)
    return done, time.process_time() - before


def warm(policy_name: str) -> None:
    """Compile the replay, or load it, so that no measurement has to."""
    measure(kernel.run, *cluster(2, policy_name), conversation(50, 2.0))


def row(name: str, done: Run, cpu_s: float, trace: Trace) -> dict[str, object]:
    """What is printed of a run."""
    books = done.ledger
    percentiles = {
        f"{metric}_p{q}": f"{np.quantile(column, q / 100):.6g}"
        for metric, column in (("ttft_s", books.ttft_s), ("e2e_s", books.e2e_s), ("max_gap_s", books.max_gap_s))
        for q in (50, 90, 99)
    }
    return {
        "engine": name, "requests": len(trace), "finished": books.finished, "output_tokens": books.output_tokens,
        "cpu_s": round(cpu_s, 3), "requests_per_cpu_s": round(len(trace) / cpu_s),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        **percentiles,
    }  # fmt: skip


def main() -> None:
    """Read the options, measure, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engine", choices=["core", "reference", "both"], default="core")
    options.add_argument("--policy", choices=["splitwise", "colocated"], default="splitwise")
    options.add_argument("--requests", type=int, default=20000)
    options.add_argument("--machines", type=int, default=40)
    options.add_argument("--rate", type=float, help="requests/s of the whole cluster")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    pools, rules = cluster(chosen.machines, chosen.policy)
    trace = conversation(chosen.requests, chosen.rate or RATE_PER_MACHINE * chosen.machines)
    warm(chosen.policy)
    rows: dict[str, dict[str, object]] = {}
    seconds: list[float] = []
    for name in ENGINES if chosen.engine == "both" else [chosen.engine]:
        done, cpu_s = measure(ENGINES[name], pools, rules, trace)
        rows[name] = {"machines": chosen.machines, "policy": chosen.policy, **row(name, done, cpu_s, trace)}
        seconds.append(cpu_s)
        del done
    found: dict[str, object] = dict(rows) if chosen.engine == "both" else rows[chosen.engine]
    if chosen.engine == "both":
        found["ratio"] = round(seconds[1] / seconds[0], 1)
    if chosen.json:
        json.dump(found, sys.stdout)
        print()
    else:
        for key, value in found.items():
            print(f"{key:20} {value}")


if __name__ == "__main__":
    main()
