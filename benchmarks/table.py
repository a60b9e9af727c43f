"""The table of docs/performance.md: the simulator against the reference and a C loop in one run, plans, programs.

    python -m benchmarks.table [--requests 20000] [--long 1000000] [--rates 400,4000,40000] [--json]

The C loop does what a decode step of the compiled replay does at the least: find the batch's curve, find the piece of
the context on it, interpolate, count the gap in a histogram. Ratios are of CPU seconds in this very run; what other
tools took (docs/performance.md) was measured elsewhere and is not run here.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.simulator import RATE_PER_MACHINE, cluster, conversation, measure, warm
from planner.simulator import reference
from planner.simulator.core import run as kernel

ROOT = Path(__file__).parents[1]

C_LOOP = """
#include <math.h>
double steps(long count, const double *knots, int n, const double *curves, long *bins, int many) {
    double clock = 0.0, context = 300.0, inv = 1.0 / log(1.002), low = log(1e-4);
    for (long k = 0; k < count; k++) {
        int batch = 1 + (int)(k & 63);
        const double *curve = curves + batch * 2 * n;
        int a = 0, b = n;
        while (a < b) { int m = (a + b) >> 1; if (context < knots[m]) b = m; else a = m + 1; }
        int i = a - 1 < 0 ? 0 : (a - 1 > n - 2 ? n - 2 : a - 1);
        double step = curve[i] + curve[n + i] * (context - knots[i]);
        int bin = (int)((log(step) - low) * inv);
        if (bin >= 0 && bin < many) bins[bin] += batch;
        clock += step; context += 1.0;
        if (context > 3000.0) context = 300.0;
    }
    return clock;
}
"""


def c_step_ns(count: int = 20_000_000) -> float | None:
    """CPU nanoseconds of a decode step in C; None where there is no compiler."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "loop.c", Path(folder) / "loop.so"
        source.write_text(C_LOOP, encoding="utf-8")
        command = ["cc", "-O3", "-march=native", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        loop = ctypes.CDLL(str(library)).steps
        loop.restype = ctypes.c_double
        knots = (ctypes.c_double * 8)(1, 128, 256, 512, 1024, 2048, 4096, 8192)
        curves = (ctypes.c_double * (65 * 16))(*([0.02] * 8 + [1e-6] * 8) * 65)
        bins = (ctypes.c_long * 10_000)()
        before = time.process_time()
        loop(ctypes.c_long(count), knots, 8, curves, bins, 10_000)
        return (time.process_time() - before) / count * 1e9


def simulator(requests: int, long: int, machines: int = 40) -> dict[str, float | None]:
    """The compiled replay against the reference and the C loop."""
    pools, rules = cluster(machines, "splitwise")
    trace, more = (conversation(count, RATE_PER_MACHINE * machines) for count in (requests, long))
    warm("splitwise")
    _, core_s = measure(kernel.run, pools, rules, trace)
    _, reference_s = measure(reference.serve, pools, rules, trace)
    done, long_s = measure(kernel.run, pools, rules, more)
    steps = sum(meter.decode_steps for meters in done.meters.values() for meter in meters)
    measured_frac = (done.ledger.window.last - done.ledger.window.first) / len(more)
    step_ns, least_ns = long_s * measured_frac / max(1, steps) * 1e9, c_step_ns()
    return {
        "requests": len(trace), "core_cpu_s": round(core_s, 4), "reference_cpu_s": round(reference_s, 2),
        "reference_over_core_ratio": round(reference_s / core_s), "long_requests": len(more),
        "long_cpu_s": round(long_s, 2), "requests_per_cpu_s": round(len(more) / long_s),
        "decode_step_ns": round(step_ns, 1), "c_step_ns": least_ns and round(least_ns, 1),
        "core_over_c_ratio": least_ns and round(step_ns / least_ns, 2),
    }  # fmt: skip


def other(*arguments: str) -> object:
    """What another benchmark prints as JSON; said on stderr as it begins, for the plans take minutes."""
    print("now:", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr[-300:]}


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="served by the replay and the reference")
    parser.add_argument("--long", type=int, default=1_000_000, help="served by the replay alone")
    parser.add_argument("--rates", default="400,4000,40000", help="of plans; empty leaves them out")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found: dict[str, object] = {"load_average": round(os.getloadavg()[0], 1)}
    found["simulator"] = simulator(chosen.requests, chosen.long)
    found["plan"] = other("benchmarks/plan.py", "--cold", "--json")
    if chosen.rates:
        found["scale"] = other("benchmarks/scale.py", "--rates", chosen.rates, "--json")
    found["schedule"] = other("benchmarks/schedules.py", "--json", "--types", "8", "--epochs", "24")
    print(json.dumps(found, indent=2) if chosen.json else "\n".join(_lines(found)))


def _lines(found: dict[str, object], before: str = "") -> list[str]:
    """A line a figure."""
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{before}{key}.")
        else:
            lines.append(f"{before + key:44} {value}")
    return lines


if __name__ == "__main__":
    main()
