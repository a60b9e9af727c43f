"""``python -m tests.soak``: doors, laws, engines and solvers tried for so many seconds; the last line is JSON.

The seconds are those of the clock, and making the doors counts. When they are over no case is started: the soak ends
with the longest case that is being tried, or the file of laws that is being loaded.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from planner.executor import executor
from tests.soak.pieces import KINDS, done, pieces
from tests.soak.soak import doors
from tests.soak.tally import Tally


def main() -> int:
    """Try, print what failed, and end with one line of JSON: cases and failures per door, law, engine and solver."""
    asked = argparse.ArgumentParser(prog="python -m tests.soak")
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--cases", type=int, default=10_000, help="of each door and law, at most")
    asked.add_argument("--first", type=int, default=int(time.time()), help="seed of the first case")
    asked.add_argument("--only", default=",".join(KINDS), help="some of the kinds; all if not given")
    asked.add_argument("--doors", default="", help="names, separated by commas; all of them if not given")
    asked.add_argument("--workers", type=int, help="processes; one per core if not given")
    asked.add_argument("--executor", default="local", help="local, or dask://HOST:PORT")
    asked.add_argument("--out", type=Path, help="every failure, a JSON line each")
    given = asked.parse_args()
    kinds, start_s = set(given.only.split(",")) & set(KINDS), time.time()
    until_s = start_s + given.seconds
    with tempfile.TemporaryDirectory() as name, executor(given.executor, given.workers) as crew:
        made = kinds & {"doors", "readers", "senses"}
        every = {door.name: door for door in doors(Path(name))} if made else {}
        plan = (Path(name) / "plan.json").read_bytes() if every else b""
        wanted = set(given.doors.split(",")) - {""}
        every = {door: each for door, each in every.items() if not wanted or door in wanted}
        seconds = max(0.0, until_s - time.time()) * crew.workers
        todo = pieces(list(every), first=given.first, seconds=seconds, most=given.cases, kinds=kinds, until_s=until_s)
        tallies: dict[str, dict[str, Tally]] = {kind: {} for kind in KINDS if kind in kinds}

        def told(_place: int, found: tuple[str, dict[str, Tally]]) -> None:
            for of, tally in found[1].items():
                tallies[found[0]].setdefault(of, Tally()).add(tally)
                _say(tally, given.out)

        crew.map(done, todo, common=(every, plan), told=told)
    took_s = round(time.time() - start_s, 1)
    return _end({"first_seed": given.first, "seconds": given.seconds, "wall_s": took_s}, tallies)


def _say(tally: Tally, out: Path | None) -> None:
    """Failures, as they are found."""
    for each in tally.failures:
        sys.stderr.write(f"{each.of} seed {each.seed}: {each.command}\n{each.what}\n\n")
        if out:
            with out.open("a") as file:
                file.write(json.dumps(asdict(each)) + "\n")


def _end(asked: dict[str, float], tallies: dict[str, dict[str, Tally]]) -> int:
    """The last line, and how the process ends."""
    every = [tally for kind in tallies.values() for tally in kind.values()]
    failures = sum(len(tally.failures) for tally in every)
    last = {
        **asked, "cases": sum(tally.ends.total() for tally in every), "failures": failures,
        **{kind: {name: tally.counts() for name, tally in sorted(of.items())} for kind, of in tallies.items()},
    }  # fmt: skip
    sys.stdout.write(json.dumps(last) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
