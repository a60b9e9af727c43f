"""``python -m tests.soak``: every door tried with wrong input for so many seconds."""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.soak.soak import Tally, attempt, cases, doors, patience


def main() -> int:
    """Try, print what failed, and end with one line of JSON: cases and failures per door."""
    asked = argparse.ArgumentParser(prog="python -m tests.soak")
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--cases", type=int, default=10_000, help="of each door, at most")
    asked.add_argument("--first", type=int, default=int(time.time()), help="seed of the first case")
    asked.add_argument("--doors", default="", help="names, separated by commas; all of them if not given")
    asked.add_argument("--out", type=Path, help="every failure, a JSON line each")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = set(given.doors.split(",")) - {""}
        tried = [door for door in doors(folder) if not wanted or door.name in wanted]
        tallies = {door.name: Tally() for door in tried}
        for door, seed in cases(tried, given.first, given.seconds, given.cases):
            with patience():
                attempt(door, seed, folder, tallies[door.name])
    failures = [each for tally in tallies.values() for each in tally.failures]
    if given.out:
        given.out.write_text("".join(json.dumps(asdict(each)) + "\n" for each in failures))
    for each in failures[:50]:
        sys.stderr.write(f"{each.door} seed {each.seed}: {each.command}\n{each.what}\n\n")
    ends = {
        name: {"cases": tally.ends.total(), "failures": len(tally.failures), "ends": dict(sorted(tally.ends.items()))}
        for name, tally in tallies.items()
    }
    total = sum(tally.ends.total() for tally in tallies.values())
    last = {"first_seed": given.first, "cases": total, "failures": len(failures), "doors": ends}
    sys.stdout.write(json.dumps(last) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
