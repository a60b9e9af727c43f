"""What an order, a layout, a failure or a report adds to the CPU time of a plan, and to that of its simulation.

python -m benchmarks.variants [--example splitwise-conv] [--requests 20000] [--json]

``plan`` is the whole command, in a process of its own, start included: each searches and simulates its own plan.
``engine`` is one run of the core on the same trace and machines, per request. Ratios are to the plain row before.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.plan import ROOT, timed
from benchmarks.simulator import RATE_PER_MACHINE, cluster, conversation, layout_physics, measure, warm
from planner.perf.instance import InstancePhysics, Streaming
from planner.perf.layout import Layout
from planner.policies.base import Policy
from planner.policies.batching import ChunkForm, Continuous
from planner.policies.order import SLACK, Order
from planner.simulator.core.run import run
from planner.simulator.pools import Events, Failure, Looks, PoolModel
from workloads.traces import Trace

MACHINES = 40

PLANS = {
    "plain": (),
    "policy.name=sarathi": ("--set", "policy.name=sarathi"),
    "policy.order=lars": ("--set", "policy.order=lars"),
    "streams (mnemosyne)": ("--set", "policy.name=mnemosyne"),
    "a failure": ("--set", "validation.failures=[{pool: decode, machine: 0, at_s: 40}]"),
    "--report": ("--report", "report.html"),
    "policy.name=colocated": ("--set", "policy.name=colocated"),
    "policy.name=colocated, pp=[2]": ("--set", "policy.name=colocated", "--set", "catalog.pp=[2]"),
}
"""Variant of the question -> options of ``plan``; no KV travels between stages, so they are compared with one pool."""

BASES = ("plain", "policy.name=colocated")
"""Rows that ratios of the rows behind them are to."""


def plans(example: str) -> Iterator[tuple[str, float]]:
    """CPU seconds of each command, the replay being compiled."""
    asked = ["plan", str(ROOT / "planner" / "examples" / f"{example}.yaml"), "--json", "--quiet"]
    timed(asked)
    with tempfile.TemporaryDirectory() as folder:
        for name, options in PLANS.items():
            at = [str(Path(folder) / option) if option.endswith(".html") else option for option in options]
            yield name, timed([*asked, *at])["cpu_s"]


def clusters() -> Iterator[tuple[str, list[PoolModel], Policy, Events]]:
    """As many machines, served in each way."""
    split, rules = cluster(MACHINES, "splitwise")
    mixed, plain = cluster(MACHINES, "colocated")
    chunked = [replace(pool, chunk_tokens=2048) for pool in mixed]
    assert isinstance(plain.batching, Continuous)
    forms = {form: replace(plain, batching=replace(plain.batching, form=form)) for form in ChunkForm}
    yield "plain", split, rules, Events()
    yield "looked at, as for a report", split, rules, Events(looks=Looks(period_s=0.1, count=1200))
    yield "order=lars", split, replace(rules, order=Order(rule=SLACK)), Events()
    yield "a failure", split, rules, Events(failures=(Failure(machine=MACHINES - 1, at_s=40.0, repair_s=20.0),))
    yield "chunks (SARATHI)", chunked, forms[ChunkForm.STALL_FREE], Events()
    yield "chunks, prompts first (SGLang)", chunked, forms[ChunkForm.PREFILL_FIRST], Events()
    yield "stages (pp=2)", _on(split, layout_physics(Layout(tp=4, pp=2))), rules, Events()
    streams = layout_physics(Layout(tp=4, pp=2), Streaming())
    yield "streams (pp=2)", _on(chunked, streams), forms[ChunkForm.ADAPTIVE], Events()


def _on(pools: list[PoolModel], body: InstancePhysics) -> list[PoolModel]:
    """The same pools of other instances."""
    return [replace(pool, physics=body) for pool in pools]


def engine(trace: Trace) -> Iterator[tuple[str, float]]:
    """CPU microseconds per request."""
    warm("splitwise")
    for name, pools, rules, beside in clusters():
        serve = partial(run, beside=beside)
        best_s = min(measure(serve, pools, rules, trace)[1] for _ in range(3))
        yield name, best_s / len(trace) * 1e6


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--example", default="splitwise-conv")
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    trace = conversation(chosen.requests, RATE_PER_MACHINE * MACHINES)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for what, unit, rows in (("engine", "us", engine(trace)), ("plan", "s", plans(chosen.example))):
        base = 0.0
        for name, cpu in rows:
            base = cpu if name in BASES else base
            found.setdefault(what, {})[name] = {f"cpu_{unit}": round(cpu, 3), "ratio": round(cpu / base, 2)}
            if not chosen.json:
                print(f"{what:7}{name:32}{cpu:9.2f} {unit}{cpu / base:7.2f}x", flush=True)
    if chosen.json:
        json.dump(found, sys.stdout)
        print()


if __name__ == "__main__":
    main()
