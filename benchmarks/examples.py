"""What every built-in example takes, in a process of its own: CPU and wall seconds, memory, and what it ends with.

python benchmarks/examples.py [--json] [--only NAME,NAME] [--timeout-s 300]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "planner" / "examples"


def planned(name: str, timeout_s: float) -> dict[str, object]:
    """One example; runs in a process that has no other child."""
    command = [sys.executable, "-m", "planner", "plan", str(EXAMPLES / f"{name}.yaml"), "--json", "--quiet"]
    start, found = time.perf_counter(), dict[str, object](example=name)
    own = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}  # as users have it
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, cwd=ROOT, env={**own, "PYTHONPATH": str(ROOT)},
            timeout=timeout_s,
        )  # fmt: skip
        found["exit_code"] = done.returncode
    except subprocess.TimeoutExpired:
        found["timed_out_s"] = timeout_s
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found |= {"cpu_s": round(used.ru_utime + used.ru_stime, 1), "wall_s": round(time.perf_counter() - start, 1)}
    return {**found, "peak_mib": round(used.ru_maxrss / 1024)}


def main() -> None:
    """Print a line an example, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names with commas between them; all if not given")
    parser.add_argument("--timeout-s", type=float, default=300.0, help="of each example, wall seconds")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(planned(arguments.one, arguments.timeout_s)))
        return
    names = arguments.only.split(",") if arguments.only else sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
    found = []
    for name in names:  # the memory of children is the most that any had: each example has a parent of its own
        command = [sys.executable, __file__, "--one", name, "--timeout-s", str(arguments.timeout_s)]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        if not arguments.json:
            print(*(f"{key} {value}" for key, value in found[-1].items()), sep="  ", flush=True)
    if arguments.json:
        print(json.dumps({"load_average": round(os.getloadavg()[0], 1), "examples": found}, indent=2))


if __name__ == "__main__":
    main()
