"""How long a plan takes from the shell, and what of it is starting up: the built-in example, warm and cold.

python benchmarks/plan.py [--example NAME] [--cold] --json

Every command runs in a process of its own. ``--cold`` compiles the replay first, into an empty directory, as after an
install.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

ANSWERS = (0, 3, 4)
"""Exit codes of a plan, of a proof that there is none, and of a search that found none: each takes its time."""


def timed(arguments: list[str], cache: str | None = None) -> dict[str, float]:
    """Wall and CPU seconds of one command."""
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **({"NUMBA_CACHE_DIR": cache} if cache else {})}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "planner", *arguments], check=False, capture_output=True, env=surroundings, cwd=ROOT
    )
    if done.returncode not in ANSWERS:
        done.check_returncode()
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2)}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--example", default="splitwise-conv")
    options.add_argument("--cold", action="store_true")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    asked = ["plan", str(ROOT / "planner" / "examples" / f"{chosen.example}.yaml"), "--json", "--quiet"]
    found: dict[str, object] = {"load_average": round(os.getloadavg()[0], 1)}
    if chosen.cold:
        with tempfile.TemporaryDirectory() as empty:
            found["plan_cold"] = timed(asked, empty)
    timed(asked)
    found["plan_warm"] = timed(asked)
    found["help"] = timed(["--help"])
    json.dump(found, sys.stdout) if chosen.json else print(*(f"{k}: {v}" for k, v in found.items()), sep="\n")
    print()


if __name__ == "__main__":
    main()
