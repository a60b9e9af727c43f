"""What a plan takes as the rate grows: CPU and wall seconds, machines and memory, each rate in a process of its own.

    python benchmarks/scale.py --rates 400,4000,40000 --json [--workers 2] [--timeout-s 600]

The question is the built-in example ``splitwise-conv``, asked through the command line as a user would.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from math import log
from pathlib import Path

ROOT = Path(__file__).parents[1]


def planned(rate: str, arguments: argparse.Namespace) -> dict[str, object]:
    """The plan of a rate and what it took; runs in a process that has no other child."""
    command = [
        sys.executable, "-m", "planner", "plan", str(ROOT / "planner" / "examples" / f"{arguments.example}.yaml"),
        "--set", f"workload.rate_req_per_s={rate}", *arguments.more, "--json", "--quiet",
    ]  # fmt: skip
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, cwd=ROOT, env=surroundings, timeout=arguments.timeout_s
        )
    except subprocess.TimeoutExpired:
        return {"rate_req_per_s": float(rate), "timed_out_s": arguments.timeout_s, **_used(start)}
    if done.returncode:
        words = done.stderr.decode(errors="replace")[-500:]
        return {"rate_req_per_s": float(rate), "exit_code": done.returncode, "said": words, **_used(start)}
    plan = json.loads(done.stdout)["plan"]
    return {
        "rate_req_per_s": float(rate), **_used(start), "machines": plan["candidate"]["totals"]["machines"],
        "pools": {p["spec"]["role"]: p["machines"] for p in plan["candidate"]["pools"]},
        "observations": [each["n"] for each in plan["judgement"]["evidence"]],
    }  # fmt: skip


def _used(start: float) -> dict[str, float]:
    """Seconds since a start, and what the children of this process took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_s": round(used.ru_utime + used.ru_stime, 2), "wall_s": round(time.perf_counter() - start, 2),
        "peak_mib": round(used.ru_maxrss / 1024),
    }  # fmt: skip


def growth(found: list[dict[str, object]]) -> float | None:
    """Exponent of CPU seconds over rate, by least squares on logarithms; None of fewer than two rates."""
    points = [(log(float(str(f["rate_req_per_s"]))), log(float(str(f["cpu_s"])))) for f in found if "machines" in f]
    if len(points) < 2:
        return None
    mean_x, mean_y = (sum(p[axis] for p in points) / len(points) for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return round(sum((x - mean_x) * (y - mean_y) for x, y in points) / spread, 3)


def main() -> None:
    """Print a line a rate, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="40,400,4000", help="requests per second, with commas between them")
    parser.add_argument("--example", default="splitwise-conv")
    parser.add_argument("--timeout-s", type=float, default=600.0, help="of each rate, wall seconds")
    parser.add_argument("--more", action="append", default=[], help="another argument of phasewise plan, repeatable")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rates = arguments.rates.split(",")
    if arguments.one:
        print(json.dumps(planned(rates[0], arguments)))
        return
    found: list[dict[str, object]] = []
    more = [f"--more={each}" for each in arguments.more]
    for rate in rates:  # the memory of children is the most that any had: each rate has a parent of its own
        command = [sys.executable, __file__, "--one", "--rates", rate, "--example", arguments.example, *more]
        command += ["--timeout-s", str(arguments.timeout_s)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
        if not arguments.json:
            print(*(f"{key} {value}" for key, value in found[-1].items()), sep="  ", flush=True)
    told = {"load_average": round(os.getloadavg()[0], 1), "growth": growth(found), "rates": found}
    print(json.dumps(told, indent=2) if arguments.json else f"growth: rate^{told['growth']}")


if __name__ == "__main__":
    main()
