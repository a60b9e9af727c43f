"""``python -m tests.soak.readers --seconds N``: readers tried directly, thousands of cases a minute; last line JSON.

Right input is every valid file there is: the examples, golden plans, the built-in catalog and its profiles, small
traces of each kind, cards of models. A case is one of them, spoilt. A reader refuses it in words or takes it; any other
error, more than 5 CPU-seconds, or 500 MiB more than before, is a failure. A plan that is taken is read back the same.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from planner.errors import BadInput
from planner.files.fleet_file import read_fleet_file
from planner.files.plan_file import read_plan
from planner.scenario import Scenario, document_of
from planner.scenario.fleet import Fleet
from planner.schedules.files import read_schedule
from tests.planner.small import small
from tests.soak import doors
from tests.soak.doors import of_csv, of_json, of_lines, of_sealed, of_setting, of_yaml
from tests.soak.tally import Failure, Tally
from workloads.errors import WorkloadError
from workloads.models import load_model
from workloads.readers import read_trace

ROOT = Path(__file__).parents[2]
SLOW_S = 5.0
LARGE_MIB = 500.0
SMALL = small()
REFUSALS = (BadInput, CatalogError, WorkloadError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One kind of file, right ones of it, and what reads it.

    Attributes:
        name: of it.
        file: name that its files have.
        right: of which each case is one, spoilt.
        spoil: how.
        read: from the path.
    """

    name: str
    file: str
    right: tuple[bytes, ...]
    spoil: doors.Spoil
    read: Callable[[Path], object]


def readers() -> Iterator[Reader]:
    """Every one."""
    examples = tuple(path.read_bytes() for path in sorted((ROOT / "planner/examples").glob("*.yaml")))
    data = resources.files("hw_catalog") / "data"
    cards = {door.name: door.right for door in (*doors.simple_doors(), *doors.catalog_doors())}
    golden = ((ROOT / "tests/golden/plan.json").read_bytes(),)
    yield Reader(name="scenario", file="s.yaml", right=examples, spoil=of_yaml, read=_question)
    yield Reader(name="set", file="set.txt", right=(cards["set"],), spoil=of_setting, read=_changed)
    yield Reader(name="plan", file="p.json", right=golden, spoil=of_sealed, read=_plan)
    yield Reader(name="config", file="config.json", right=(cards["config"],), spoil=of_json, read=_card)
    for part in ("gpus", "links", "power", "engines", "machines"):
        mine = (cards["catalog-machines"],) if part == "machines" else ((data / f"{part}.yaml").read_bytes(),)
        yield Reader(name=f"catalog-{part}", file=f"own/{part}.yaml", right=mine, spoil=of_yaml, read=_catalog)
    for name, spoil in (("mooncake", of_lines), ("vidur", of_csv), ("azure", of_csv)):
        suffix = "jsonl" if name == "mooncake" else "csv"
        right = (cards[f"trace-{name}"],)
        yield Reader(name=f"trace-{name}", file=f"t.{suffix}", right=right, spoil=spoil, read=read_trace)


def _question(path: Path) -> object:
    document = document_of(path)
    data = document.data
    return (Fleet if isinstance(data, dict) and "models" in data else Scenario).parse(document)


def _changed(path: Path) -> object:
    return SMALL.changed([path.read_bytes().decode("utf-8", "replace")])


def _plan(path: Path) -> object:
    for read in (read_fleet_file, read_schedule):
        if found := read(path, edited_too=True):
            return found
    return read_plan(path, edited_too=True)


def _card(path: Path) -> object:
    return load_model(str(path))


def _catalog(path: Path) -> object:
    return load_catalog(path.parent)


def tried(reader: Reader, first: int, seconds: float) -> Tally:
    """Cases of a reader from a seed on, until the time is over."""
    tally, end_s = Tally(), time.monotonic() + seconds
    seed = first
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / reader.file
        path.parent.mkdir(exist_ok=True)
        while time.monotonic() < end_s:
            draw = random.Random(seed)
            path.write_bytes(reader.spoil(draw.choice(reader.right), draw))
            what = _once(reader, path, tally)
            if what:
                shown = path.read_bytes()[:2000].decode("utf-8", "replace")
                tally.failures.append(Failure(of=reader.name, seed=seed, command="", what=what, data=shown))
            seed += 1
    return tally


def _once(reader: Reader, path: Path, tally: Tally) -> str:
    """What is wrong with how a case ended; empty where nothing is."""
    before_mib, start_s = _peak_mib(), time.process_time()
    try:
        reader.read(path)
        end = "read"
    except REFUSALS as error:
        end = "refused"
        if not str(error).strip():
            return "refused without a word"
    except Exception:
        tally.ends["bug"] += 1
        return traceback.format_exc()[-1500:]
    tally.ends[end] += 1
    if (took_s := time.process_time() - start_s) > SLOW_S:
        return f"{end} after {took_s:.1f} CPU-s"
    if (more := _peak_mib() - before_mib) > LARGE_MIB:
        return f"{end} with {more:.0f} MiB"
    return ""


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Try each for its share of the time; the last line is JSON."""
    asked = argparse.ArgumentParser(prog="python -m tests.soak.readers")
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--first", type=int, default=int(time.time()))
    given = asked.parse_args()
    every = list(readers())
    found = {each.name: tried(each, given.first, given.seconds / len(every)) for each in every}
    for name, tally in found.items():
        for each in tally.failures[:5]:
            sys.stderr.write(f"{name} seed {each.seed}: {each.what}\n{each.data[:400]}\n\n")
    failures = sum(len(tally.failures) for tally in found.values())
    cases = sum(tally.ends.total() for tally in found.values())
    last = {"first_seed": given.first, "cases": cases, "failures": failures}
    sys.stdout.write(json.dumps({**last, "readers": {n: t.counts() for n, t in found.items()}}) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
