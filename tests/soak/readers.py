"""Readers tried directly, without the command around them: thousands of cases of every door in a few minutes.

Right input is every valid file there is: the examples, plans, entries of the built-in catalog, profiles, small traces
of each kind, cards of models. A case is one of them, spoilt. A reader refuses it in words or takes it; any other
error, more than 5 CPU-seconds, or 500 MiB more than before, is a failure. The built-in catalog is read once.
"""

import random
import resource
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from hw_catalog.engines import load_own_engines
from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.accuracy.names import Known
from planner.accuracy.runs import Setup, read_runs
from planner.compare.journal import Journal
from planner.errors import BadInput
from planner.files.fleet_file import read_fleet_file
from planner.files.plan_file import read_plan
from planner.scenario import Scenario, document_of
from planner.scenario.fleet import Fleet
from planner.schedules.files import read_schedule
from tests.planner.small import small
from tests.soak import soak
from tests.soak.doors import Door, Spoil, write_right
from tests.soak.subjects import parts, yaml_text
from tests.soak.tally import Failure, Tally, patience
from workloads.errors import WorkloadError
from workloads.models import known_models, load_model
from workloads.readers import read_trace

ROOT = Path(__file__).parents[2]
SLOW_S = 5.0
LARGE_MIB = 500.0
TURN = 20
"""Cases of a reader before it is the turn of the next."""
REFUSALS = (BadInput, CatalogError, WorkloadError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One kind of file, right ones of it, and what reads it.

    Attributes:
        name: of the door.
        file: name that its files have.
        right: of which each case is one, spoilt.
        spoil: how.
        read: from the path.
    """

    name: str
    file: str
    right: tuple[bytes, ...]
    spoil: Spoil
    read: Callable[[Path], object]


def readers(doors: Mapping[str, Door], plan: bytes) -> tuple[Reader, ...]:
    """One of every door; words of a command line are tried with their command.

    Args:
        doors: by name.
        plan: lies beside what is tried.
    """
    return tuple(_reader(door, plan) for door in doors.values())


def _reader(door: Door, plan: bytes) -> Reader:
    """What reads the input of a door, and more right examples of it than the door has."""
    right, spoil, read = (door.right,), door.spoil, _BY_NAME.get(door.name)
    file = door.file
    kind, _, part = door.name.partition("-")
    if door.name == "scenario":
        right = _examples()
    elif kind == "catalog":
        file = f"own/{part}.yaml"
        if part in ("gpus", "links", "power"):
            right = tuple(yaml_text(each).encode() for each in parts(part))
        read = _engines if part == "engines" else _catalog
    elif kind == "profile":
        file = f"own/{door.file}"
    elif kind == "trace":
        read = read_trace
    elif kind in ("measured", "results", "calibrate"):
        read = _measured
    if read is None:
        read = partial(_command, door, plan)
    return Reader(name=door.name, file=file, right=right, spoil=spoil, read=read)


@cache
def _examples() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((ROOT / "planner/examples").glob("*.yaml")))


def _question(path: Path) -> object:
    document = document_of(path)
    data = document.data
    return (Fleet if isinstance(data, dict) and "models" in data else Scenario).parse(document)


@cache
def _small() -> Scenario:
    return small()


def _changed(path: Path) -> object:
    return _small().changed([path.read_bytes().decode("utf-8", "replace")])


def _plan(path: Path) -> object:
    for read in (read_fleet_file, read_schedule):
        if found := read(path, edited_too=True):
            return found
    return read_plan(path, edited_too=True)


def _card(path: Path) -> object:
    return load_model(str(path))


def _catalog(path: Path) -> object:
    return load_catalog(path.parent)


def _engines(path: Path) -> object:
    return load_own_engines(path.parent)


def _profiles(path: Path) -> object:
    return load_profiles(path.parents[3], gpu="h100-sxm", model="llama-3.1-8b")


@cache
def _known() -> Known:
    return Known(models=known_models(), gpus=load_catalog(None).gpus)


def _measured(path: Path) -> object:
    return read_runs(path, _known(), Setup(gpu="h100", tp=1, dtype="bf16", engine="vllm"), option="--data")


def _journal(path: Path) -> object:
    with Journal(path) as journal:
        return journal.elapsed_s


_BY_NAME: Mapping[str, Callable[[Path], object]] = {
    "scenario": _question, "stdin": _question, "set": _changed, "config": _card, "profile": _profiles,
    "plan": _plan, "schedule": _plan, "journal": _journal,
}  # fmt: skip


def _command(door: Door, plan: bytes, path: Path) -> object:
    """A case with the first command of its door.

    Raises:
        BadInput: the command refused it.
        AssertionError: the command ended as none may.
    """
    write_right(path.parent, plan)
    code, what = soak.ended(door, path.read_bytes(), door.commands[0], path.parent)
    if what:
        raise AssertionError(what)
    if code:
        raise BadInput(f"exit {code}")
    return code


def tried(every: Sequence[Reader], first: int, seconds: float, most: int) -> dict[str, Tally]:
    """Cases of every reader in turn, from a seed on, until the time is over: name -> what became of them."""
    tallies, end_s = {reader.name: Tally() for reader in every}, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        for start in range(first, first + most, TURN):
            for place, reader in enumerate(every):
                for seed in range(start, min(start + TURN, first + most)):
                    if time.monotonic() > end_s:
                        return tallies
                    _case(reader, Path(name) / str(place), seed, tallies[reader.name])
    return tallies


def _case(reader: Reader, folder: Path, seed: int, tally: Tally) -> None:
    """One case: spoil, write, read, judge."""
    draw = random.Random(seed)
    path = folder / reader.file
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(reader.spoil(draw.choice(reader.right), draw))
    with patience():
        what = _once(reader, path, tally)
    if what:
        shown = path.read_bytes()[:2000].decode("utf-8", "replace")
        tally.failures.append(Failure(of=reader.name, seed=seed, command="its reader", what=what, data=shown))


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
    except Exception:  # whatever it is, it is the finding
        tally.ends["bug"] += 1
        return traceback.format_exc()[-1500:]
    tally.ends[end] += 1
    if (took_s := time.process_time() - start_s) > SLOW_S and not isinstance(reader.read, partial):
        return f"{end} after {took_s:.1f} CPU-s"
    if (more := _peak_mib() - before_mib) > LARGE_MIB:
        return f"{end} with {more:.0f} MiB"
    return ""


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
