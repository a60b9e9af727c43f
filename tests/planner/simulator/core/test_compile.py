"""How the replay's functions become one compiled program."""

import importlib.util
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("numba") is None:
    pytest.skip("Numba is not installed", allow_module_level=True)

from planner.simulator.books import window
from planner.simulator.core import machine_code
from planner.simulator.core.cache import directory, one_writer, stamp
from planner.simulator.core.cluster import replay
from planner.simulator.core.compile import DECLARED, object_of
from planner.simulator.core.functions import digest_of, functions_of
from planner.simulator.core.machine_code import Replay, loaded, read, write
from planner.simulator.core.run import run
from tests.planner.toy import random_trace, toy_policy, toy_pools

LEAST = 1


def _twice(x: int) -> int:
    return 2 * x


def _more(x: int) -> int:
    return _twice(x) + LEAST


def _both(wide: int) -> int:
    narrow = np.int32(wide)
    return _twice(wide) + _twice(narrow) + _more(narrow) + _more(3)


def test_the_same_source_is_compiled_or_interpreted() -> None:
    """A function and those it calls give compiled what they give as Python reads them."""
    assert loaded(object_of(_both))(5) == _both(5) == 10 + 10 + 11 + 7


def test_kept_code_is_loaded_without_numba_and_never_if_it_is_damaged(tmp_path: Path) -> None:
    """What was compiled once runs in a process that does not import Numba; a file with a wrong byte is none."""
    place = tmp_path / "kept" / "both.o"
    write(place, object_of(_both))
    program = (
        "import sys; from pathlib import Path; from planner.simulator.core.machine_code import loaded, read; "
        f"print(loaded(read(Path({str(place)!r})))(5), 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["38", "False"]
    whole = place.read_bytes()
    for damaged in (whole[:-1], whole.replace(b"\n", b"", 1), whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        place.write_bytes(damaged)
        assert read(place) is None
    assert read(tmp_path / "missing.o") is None


def test_every_argument_of_the_engine_has_a_kind_of_its_own() -> None:
    """No function of the engine takes an argument as it comes, but for records: it would be compiled for each kind."""
    functions = functions_of(replay)
    for function in functions:
        kinds = {name: kind for name, kind in function.__annotations__.items() if name != "return"}
        assert [name for name, kind in kinds.items() if kind not in DECLARED] in ([], ["body"]), function
    assert len(functions) > 50


def test_kept_code_is_named_after_every_number_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another constant in a function, or in a module it reads, or another function that it calls, compiles anew."""
    names = [digest_of(_both), digest_of(_more)]
    monkeypatch.setattr(f"{__name__}.LEAST", 2)
    names += [digest_of(_both), digest_of(_more)]
    monkeypatch.setattr(f"{__name__}._twice", lambda x: 3 * x)
    names += [digest_of(_both), digest_of(_more)]
    assert len(set(names)) == 6


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """An engine that has compiled nothing yet and keeps its code in an empty folder."""
    fresh = Replay()
    monkeypatch.setattr("planner.simulator.core.run.REPLAY", fresh)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(machine_code, "replay", _both)  # compiled in no time; what it does is not asked here
    return fresh


def _served() -> str:
    """Why a small trace is interpreted."""
    trace = random_trace(1, 20, 5.0)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    return run(toy_pools("colocated"), toy_policy("colocated"), trace, measured, cutoff_s=1e4).interpreted


def test_without_numba_a_plan_is_judged_all_the_same(
    engine: Replay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Numba is missing the engine runs interpreted; a line on stderr says so and what it costs, each run why."""
    monkeypatch.setattr(machine_code, "find_spec", lambda _: None)
    assert [_served(), _served()] == ["Numba is not installed"] * 2
    assert capsys.readouterr().err.splitlines() == [
        "the simulator runs interpreted, some 30 times slower (a plan of seconds takes minutes, fewer with --set "
        "solver.search_evaluations=0): Numba is not installed"
    ]
    assert engine.kept


def test_a_compiler_that_fails_does_not_stop_a_plan(
    engine: Replay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong while it is compiled or loaded, a trace is served interpreted, and one line says why."""

    def fails() -> machine_code.Code:
        raise TypeError("another Numba\nthan we know")

    monkeypatch.setattr(machine_code, "_compiled", fails)
    assert _served() == "another Numba than we know"
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert engine.trouble


def test_where_nothing_can_be_kept_it_is_compiled_anew(
    engine: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that cannot be made, or written, costs time and one line, and nothing else."""
    (tmp_path / "kept").write_text("a file where a folder should be")
    assert engine.ready() is not None
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("others", ["write file", "write folder", "own"])
def test_code_that_others_may_have_written_is_not_loaded(
    engine: Replay, others: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kept code whose file or folder others than the user own or may write is compiled anew, and a line says so."""
    assert engine.ready()
    place = machine_code.kept_at()
    assert read(place)
    if others == "own":
        user = os.getuid()
        monkeypatch.setattr("os.getuid", lambda: user + 1)
    else:
        (place if others == "write file" else place.parent).chmod(0o777)
    with pytest.raises(PermissionError):
        read(place)
    assert capsys.readouterr().err == ""
    again = Replay().ready()
    assert again
    assert again(5) == _both(5)
    assert "is compiled anew" in capsys.readouterr().err


def test_a_plan_is_the_same_where_nothing_can_be_compiled(tmp_path: Path) -> None:
    """With Numba told not to compile, and nothing kept, ``plan`` prints the same bytes and one line on stderr."""
    asked = ("workload.rate_req_per_s=0.2", "workload.duration_s=60", "solver.search_evaluations=1")
    sets = [part for each in asked for part in ("--set", each)]
    command = [sys.executable, "-m", "planner", "plan", "planner/examples/colocated-conv.yaml", *sets]
    told = {"NUMBA_DISABLE_JIT": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    kept, interpreted = (
        subprocess.run(
            [*command, "--json", "--quiet"], capture_output=True, check=True, env={**os.environ, **more},
            cwd=Path(__file__).parents[4],
        )
        for more in ({}, told)
    )  # fmt: skip
    assert interpreted.stdout == kept.stdout
    assert [line[:35] for line in interpreted.stderr.decode().splitlines()] == ["the simulator runs interpreted, som"]


class _Numbered:
    """A cache that numbers what it keeps as Numba's does: by what it read before it wrote."""

    def __init__(self, index: Path) -> None:
        self.index = index

    def save_overload(self, signature: str, data: bytes) -> None:
        """One more line: a number, and what it stands for."""
        known = self.index.read_text(encoding="utf-8").splitlines() if self.index.exists() else []
        time.sleep(0.02)
        self.index.write_text("".join(f"{line}\n" for line in (*known, f"{len(known)} {signature} {data!r}")), "utf-8")
        time.sleep(0.02)
        self.index.with_name(f"{len(known)}").write_bytes(data)

    def load_overload(self, number: int) -> bool:
        """Whether what the index names is there."""
        known = self.index.read_text(encoding="utf-8").splitlines() if self.index.exists() else []
        return number >= len(known) or self.index.with_name(f"{number}").exists()


def test_two_writers_never_give_two_signatures_one_number(tmp_path: Path) -> None:
    """Processes that compile at the same time keep their code side by side: code called with other records crashes."""
    caches = [_Numbered(tmp_path / "index") for _ in range(6)]
    for each in caches:
        one_writer(each, tmp_path)
    with ThreadPoolExecutor(6) as threads:
        saved = threads.map(lambda n: caches[n].save_overload(f"signature{n}", b""), range(6))
        assert all(threads.map(lambda n: caches[n].load_overload(n), range(6))), "a reader waits for the writer"
        list(saved)
    numbers = [line.split()[0] for line in (tmp_path / "index").read_text(encoding="utf-8").splitlines()]
    assert numbers == [str(n) for n in range(6)]


def test_two_copies_of_a_file_keep_their_code_apart(tmp_path: Path) -> None:
    """A copy with the same text, elsewhere or written anew, has a place of its own: its index is stale to the other."""
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    for each in (one, other):
        each.write_text("x = 1", encoding="utf-8")
    assert directory("x = 1", stamp(one)) != directory("x = 1", stamp(other))
    before = stamp(one)
    os.utime(one, ns=(1, 1))
    assert directory("x = 1", stamp(one)) != directory("x = 1", before)
    assert directory("x = 1", stamp(one)) == directory("x = 1", stamp(one))
