"""How the cost of a simulation grows, with requests and with machines, drawn as one SVG.

python -m benchmarks.growth [--out docs/img/simulator-growth.svg] --json

Each point is the CPU time of one run of the compiled replay on the conversation workload at 2.5 requests/s per
machine, so that every machine is as busy in every run.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.simulator import RATE_PER_MACHINE, cluster, conversation, measure, warm
from planner.simulator.core import run as kernel

REQUESTS = (50_000, 100_000, 200_000, 400_000, 800_000)
MACHINES = (10, 40, 100, 200, 400, 800)
FIXED_MACHINES, FIXED_REQUESTS = 40, 200_000
WIDTH, HEIGHT, LEFT, TOP, PLOT = 720, 300, 60, 30, 220


def cpu_s(requests: int, machines: int) -> float:
    """CPU seconds of one run."""
    pools, rules = cluster(machines, "splitwise")
    trace = conversation(requests, RATE_PER_MACHINE * machines)
    return measure(kernel.run, pools, rules, trace)[1]


def panel(left: int, title: str, unit: str, points: list[tuple[int, float]], top_s: float) -> str:
    """One plot: CPU seconds over a count, both from zero."""
    most = max(x for x, _ in points)
    at = [(left + PLOT * 1.2 * x / most, TOP + PLOT * (1 - y / top_s)) for x, y in points]
    base = TOP + PLOT
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in at)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    ticks = "".join(
        f'<text x="{left - 6}" y="{base - PLOT * share + 4:.0f}" text-anchor="end">{top_s * share:.1f}</text>'
        f'<line x1="{left}" x2="{left + PLOT * 1.2:.0f}" y1="{base - PLOT * share:.1f}" y2="{base - PLOT * share:.1f}" '
        'stroke="#8884"/>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        f'<text x="{left}" y="{TOP - 12}" font-weight="bold">{title}</text>{ticks}'
        f'<polyline points="{path}" fill="none" stroke="currentColor"/>{marks}'
        f'<text x="{left + PLOT * 1.2:.0f}" y="{base + 18}" text-anchor="end">{most:,} {unit}</text>'
        f'<text x="{left}" y="{base + 18}">0</text>'
    )


def drawing(requests: list[tuple[int, float]], machines: list[tuple[int, float]]) -> str:
    """Both plots."""
    top_s = max(y for _, y in (*requests, *machines)) * 1.05
    one = panel(LEFT, f"CPU seconds, {FIXED_MACHINES} machines", "requests", requests, top_s)
    other = panel(LEFT + 350, f"CPU seconds, {FIXED_REQUESTS:,} requests", "machines", machines, top_s)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="currentColor" color="#36c">{one}{other}</svg>\n'
    )


def main() -> None:
    """Measure, draw, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    warm("splitwise")
    requests = [(n, round(cpu_s(n, FIXED_MACHINES), 3)) for n in REQUESTS]
    machines = [(m, round(cpu_s(FIXED_REQUESTS, m), 3)) for m in MACHINES]
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(drawing(requests, machines), encoding="utf-8")
    if chosen.json:
        json.dump({"cpu_s_by_requests": requests, "cpu_s_by_machines": machines}, sys.stdout)
        print()
    else:
        print(*(f"{n:>9} requests, {FIXED_MACHINES} machines: {s} s" for n, s in requests), sep="\n")
        print(*(f"{m:>9} machines, {FIXED_REQUESTS} requests: {s} s" for m, s in machines), sep="\n")


if __name__ == "__main__":
    main()
