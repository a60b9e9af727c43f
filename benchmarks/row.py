"""The row simulated tick by tick against the same servers simulated step by step, and what a week of it costs.

python benchmarks/row.py [--machines N] [--loads 0.1,0.35,0.5] [--tick-s 2]
python benchmarks/row.py --week          CPU seconds of a week of 52 servers under POLCA
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmarks import metered
from hw_catalog.domains import load_power_delivery
from planner.perf.layout import Role
from planner.perf.power import Watts
from planner.policies.presets import policy
from planner.reproduce.polca import CLOCKS_MHZ, POLCA, WEEK
from planner.reproduce.polca_row import BloomPower, bloom_physics, polca_floor
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import window
from planner.simulator.pools import PoolModel
from planner.simulator.rows.load import WEEK_S, WeekArrivals, WeeklyLoad
from planner.simulator.rows.metrics import latencies, quantile_s
from planner.simulator.rows.rows import Floor, RowCase, run_rows
from planner.simulator.rows.state import GOLDEN
from workloads.traces import Trace, plain_trace

STEADY = WeeklyLoad(peak_to_valley_ratio=1.0, peak_at_s=0.0, weekend_ratio=1.0, noise_frac=0.0, noise_s=300.0)
HOUR_S, FILL_S, SLICE_S = 3600.0, 1800.0, 1.0
SEED = 5

Floats = NDArray[np.float64]


class Drawn:
    """What the reference asks of watts: those of a step at the full clock."""

    idle_w = BloomPower().idle_w(CLOCKS_MHZ[0])

    def prefill_w(self, prompts: list[tuple[int, int]], batch: int, context_tokens: float) -> float:  # noqa: ARG002
        """Of a step that computes prompts."""
        return BloomPower().prefill_w(sum(new for new, _ in prompts), CLOCKS_MHZ[0])

    def decode_w(self, batch: int, context_tokens: float) -> float:  # noqa: ARG002
        """Of a step that decodes."""
        return BloomPower().decode_w(batch, CLOCKS_MHZ[0])


def requests(floor: Floor, machines: int, tick_s: float) -> Iterator[tuple[int, Trace]]:
    """The requests of each server, the very ones that the row sees."""
    peaks = [floor.peak_req_per_s[k] for k in floor.kind_of[:machines]]
    week = WeekArrivals(floor.load, peaks, seed=SEED, tick_s=tick_s)
    counts = week.draw(0, int((FILL_S + HOUR_S) / tick_s))
    for server, k in enumerate(floor.kind_of[:machines]):
        kind, at_s = floor.kinds[k], []
        for tick in np.flatnonzero(counts[:, server]):
            first = len(at_s) + int(week.offset[server])
            at_s += sorted(tick_s * (tick + (first + i) * GOLDEN % 1.0) for i in range(counts[tick, server]))
        row = (np.arange(len(at_s)) + week.offset[server]) % len(kind.prompt_tokens)
        lengths = kind.prompt_tokens[row], kind.output_tokens[row]
        yield k, plain_trace("row", np.array(at_s), *lengths, duration_s=FILL_S + HOUR_S)


def served(trace: Trace) -> tuple[Floats, Floats]:
    """One server, step by step: watts of every second, and when requests ended with how long they took."""
    rules = policy(
        "colocated",
        PolicySection(max_batch_tokens=2048, max_batch_size=64),
    )
    pool = PoolModel(
        name="row", role=Role.MIXED, physics=replace(bloom_physics(), power=cast("Watts", Drawn())), instances=1,
        speed=1.0, classes=frozenset({0}),
    )  # fmt: skip
    measured = replace(window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1), start_s=0.0, end_s=FILL_S + HOUR_S)
    done = metered.serve([pool], rules, trace, measured, cutoff_s=FILL_S + HOUR_S)
    watts = Drawn.idle_w + np.array(done.meters["row"][0].above_j)[: int(FILL_S + HOUR_S)]
    took_s = done.ledger.e2e_s
    ended_s = trace.arrival_s + took_s
    return watts, took_s[np.isfinite(took_s) & (ended_s > FILL_S)]


def agreement(machines: int, load_frac: float, tick_s: float) -> dict[str, float]:
    """Row over step-by-step simulation, minus one: watts of the row, and latencies of its kinds of request."""
    floor = polca_floor(CLOCKS_MHZ, machines, STEADY, load_frac)
    total, took = 0.0, {k: [] for k in range(len(floor.kinds))}
    for k, trace in requests(floor, machines, tick_s):
        watts, seconds = served(trace)
        total, took[k] = total + watts, [*took[k], *seconds]
    (row,) = run_rows(
        floor, [RowCase(machines=machines, limit_w=inf, policy=None, seed=SEED)], load_power_delivery().controls,
        duration_s=FILL_S + HOUR_S, tick_s=tick_s, warmup_s=FILL_S,
    )  # fmt: skip
    steps = total.reshape(-1, round(tick_s / SLICE_S)).mean(axis=1)[round(FILL_S / tick_s) :]
    ticks = row.row_w[round(FILL_S / tick_s) :]
    found = {
        "mean": ticks.mean() / steps.mean() - 1, "p99": np.quantile(ticks, 0.99) / np.quantile(steps, 0.99) - 1,
        "peak": ticks.max() / steps.max() - 1, "tick by tick": float(np.abs(ticks / steps - 1).mean()),
        "peak of a second over peak of a tick": total[round(FILL_S / SLICE_S) :].max() / steps.max() - 1,
    }  # fmt: skip
    for k, bins in latencies(row, floor, machines).items():
        for name, q in (("p50", 0.5), ("p99", 0.99)):
            found[f"{floor.kinds[k].name} {name}"] = quantile_s(bins, q) / float(np.quantile(took[k], q)) - 1
    return {key: float(value) for key, value in found.items()}


def week_cpu_s() -> float:
    """CPU seconds of one week of 52 servers under POLCA, compiled code at hand."""
    floor = polca_floor(CLOCKS_MHZ, 52, WEEK, 0.5)
    case = RowCase(machines=52, limit_w=215_000.0, policy=POLCA, seed=1)
    run_rows(floor, [case], load_power_delivery().controls, duration_s=60.0)
    begin = time.process_time()
    run_rows(floor, [case], load_power_delivery().controls, duration_s=WEEK_S)
    return time.process_time() - begin


def main() -> None:
    """Print what was asked for."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--machines", type=int, default=40)
    words.add_argument("--loads", default="0.1,0.35,0.5")
    words.add_argument("--tick-s", type=float, default=2.0)
    words.add_argument("--week", action="store_true")
    asked = words.parse_args()
    if asked.week:
        print(f"a week of 52 servers: {week_cpu_s():.1f} CPU-s")
        return
    for load in asked.loads.split(","):
        print(f"load {load}: row over step by step, {asked.machines} servers, one hour")
        for key, value in agreement(asked.machines, float(load), asked.tick_s).items():
            print(f"  {key:<36} {value:+.2%}")


if __name__ == "__main__":
    main()
