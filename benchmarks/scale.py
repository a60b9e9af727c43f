"""What a plan takes as the rate grows: CPU and wall seconds, machines and memory, each rate in a process of its own.

    python benchmarks/scale.py --rates 400,4000,40000 --json [--workers 1,2] [--timeout-s 600]

With several ``--workers`` each rate is planned with each of them: ``speed_up`` is the wall time of the first over that
of the last, ``same_bytes`` whether their plans are one.

The question is the built-in example ``splitwise-conv``, asked through the command line as a user would.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from hashlib import sha256
from math import log
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def planned(rate: str, arguments: argparse.Namespace) -> dict[str, object]:
    """The plan of a rate and what it took; runs in a process that has no other child."""
    command = [
        sys.executable, "-m", "planner", "plan", str(ROOT / "planner" / "examples" / f"{arguments.example}.yaml"),
        "--set", f"workload.rate_req_per_s={rate}", *arguments.more, "--json", "--quiet",
    ]  # fmt: skip
    command += ["--workers", arguments.workers] if arguments.workers else []
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
        "digest": sha256(done.stdout).hexdigest(), "workers": arguments.workers or "all",
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
    if len({x for x, _ in points}) < 2:
        return None
    mean_x, mean_y = (sum(p[axis] for p in points) / len(points) for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return round(sum((x - mean_x) * (y - mean_y) for x, y in points) / spread, 3)


def compared(rate: str, found: list[dict[str, object]]) -> dict[str, object]:
    """The plans of one rate, by the first number of workers and by the last."""
    mine = [each for each in found if each["rate_req_per_s"] == float(rate)]
    speed_up = float(str(mine[0]["wall_s"])) / float(str(mine[-1]["wall_s"]))
    same = "digest" in mine[0] and len({each.get("digest") for each in mine}) == 1
    return {"rate_req_per_s": float(rate), "speed_up": round(speed_up, 2), "same_bytes": same}


def main() -> None:
    """Print a line a rate, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="40,400,4000", help="requests per second, with commas between them")
    parser.add_argument("--example", default="splitwise-conv")
    parser.add_argument("--timeout-s", type=float, default=600.0, help="of each rate, wall seconds")
    parser.add_argument("--more", action="append", default=[], help="another argument of phasewise plan, repeatable")
    parser.add_argument(
        "--workers", default="", help="cores to use, several with commas between them; all if not given"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rates = arguments.rates.split(",")
    if arguments.one:
        print(json.dumps(planned(rates[0], arguments)))
        return
    found: list[dict[str, object]] = []
    more = [f"--more={each}" for each in arguments.more]
    every = [(rate, workers) for rate in rates for workers in arguments.workers.split(",")]
    for rate, workers in every:  # the memory of children is the most that any had: each has a parent of its own
        command = [sys.executable, __file__, "--one", "--rates", rate, "--example", arguments.example, *more]
        command += ["--timeout-s", str(arguments.timeout_s), "--workers", workers]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
        if not arguments.json:
            print(*(f"{key} {value}" for key, value in found[-1].items()), sep="  ", flush=True)
    told: dict[str, Any] = {"load_average": round(os.getloadavg()[0], 1), "growth": growth(found), "rates": found}
    told["compared"] = [compared(rate, found) for rate in rates] if "," in arguments.workers else []
    lines = [f"growth: rate^{told['growth']}", *(str(each) for each in told["compared"])]
    print(json.dumps(told, indent=2) if arguments.json else "\n".join(lines))


if __name__ == "__main__":
    main()
