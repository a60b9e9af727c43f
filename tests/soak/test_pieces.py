"""Rules of a soak: its time is shared out, its cases are counted, and what does not hold is found."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from solvers.allocation import Reason, Termination
from tests.soak import laws, programs
from tests.soak.pieces import IN_TURNS, KINDS, LEAST_S, PIECE_S, done, pieces

FALSE_LAW = """
from hypothesis import given, strategies as st

@given(value=st.integers(0, 10**6))
def test_holds(value):
    assert value >= 0

@given(value=st.integers(0, 1000))
def test_holds_not(value):
    assert value % 7 != 3
"""


def test_the_time_is_shared_out() -> None:
    """A soak gives every kind its share of the time, in pieces that no worker is busy with for long."""
    shared = list(pieces(["scenario", "plan"], first=1, seconds=7200.0, most=100, kinds=set(KINDS)))
    for kind, share in KINDS.items():
        assert sum(each.seconds for each in shared if each.kind == kind) == pytest.approx(7200 * share)
    assert max(each.seconds for each in shared if each.kind in ("doors", *IN_TURNS)) <= 1.5 * PIECE_S
    assert len({(each.kind, each.name, each.first) for each in shared}) == len(shared)
    short = [each for each in pieces([], first=1, seconds=30.0, most=9, kinds={"laws"}) if each.kind == "laws"]
    assert len(short) == int(30 / LEAST_S)
    assert {each.name for each in shared if each.kind == "laws"} | set(laws.ENGINES) == set(laws.files())


def test_nothing_is_started_after_the_end() -> None:
    """When the time of a soak is over, pieces that were not started try nothing, and laws of a loaded file neither."""
    late = pieces([], first=1, seconds=30.0, most=9, kinds=set(KINDS) - {"doors"}, until_s=time.time() - 1)
    assert [found for piece in late if (found := done(piece, {}, b"")[1])] == []
    found = laws.tried("tests/laws/test_witness.py", seconds=0.0, cases=9, seed=1)
    assert found
    assert all(not tally.ends and not tally.failures for tally in found.values())


def test_solvers_agree_in_any_units() -> None:
    """Five solvers say what is so of small programs, in whatever units they are told; a wrong word would be found."""
    tallies = programs.tried(0, 60.0, 6)
    assert {name: dict(tally.ends) for name, tally in tallies.items()} == {
        name: {"agrees": 6} for name in (*programs.SOLVERS, "mathopt")
    }
    best = Termination(reason=Reason.OPTIMAL, objective=20.0)
    assert programs.wrong(best, Termination(reason=Reason.INFEASIBLE), 1.0) == "said infeasible, is optimal"
    assert programs.wrong(best, Termination(reason=Reason.OPTIMAL, objective=190.0), 10.0) == "said optimal 19, is 20"
    assert not programs.wrong(best, Termination(reason=Reason.NO_SOLUTION_FOUND), 1.0)


@pytest.mark.slow
def test_a_law_that_does_not_hold_is_found(tmp_path: Path) -> None:
    """Laws are tried for their time, each case counted; one that does not hold is a failure that can be drawn again."""
    (tmp_path / "test_false.py").write_text(FALSE_LAW)
    program = (
        f"from pathlib import Path; from tests.soak import laws; laws.ROOT = Path({str(tmp_path)!r});"
        "found = laws.tried('test_false.py', seconds=10.0, cases=300, seed=5);"
        "print({law.split('::')[1]: (tally.ends.total(), len(tally.failures)) for law, tally in found.items()});"
        "failed = [each for tally in found.values() for each in tally.failures];"
        "_, seed, count = failed[0].command.rsplit(' ', 2);"
        "once = laws.tried('test_false.py::test_holds_not', seconds=9.0, cases=1, seed=int(seed), first=int(count));"
        "print([len(tally.failures) for tally in once.values()])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, again = map(eval, done.stdout.splitlines())
    holds, fails = first["test_holds"], first["test_holds_not"]
    assert again == [1]
    assert holds == (300, 0)
    assert fails[1] == 1
