"""Nothing that a solver prints reaches standard output, which belongs to the answer."""

import json
import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT

CHATTY = """
import ctypes, os, sys
import highspy

libc = ctypes.CDLL(None)

class Chatty(highspy.Highs):
    "As HiGHS 1.16, louder: through C's buffer, straight to the descriptor, and from a child."
    def __init__(self):
        super().__init__()
        libc.puts(b"banner through C")
        os.write(1, b"banner to the descriptor\\n")
    def run(self):
        os.system("echo banner from a child")
        return super().run()

highspy.Highs = Chatty

from solvers.problem import Column, Problem, Sense, Row
from solvers.solve import Backend, solve
from solvers.direct import relax, solve_direct

row = Row(name="r", family="f", terms=(("x", 2.0),), lower=3.0)
problem = Problem(name="p", sense=Sense.MIN, columns=(Column(name="x", integer=True, objective=1.0),), rows=(row,))
"""


def _child(code: str, *, shell_end: str = "") -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", "-c", f'exec "$0" -c "$1" {shell_end}', sys.executable, CHATTY + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "solving",
    ["solve(problem)", "solve_direct(problem, time_limit_s=9.0, gap_frac=0.0)", "relax(problem)",
     "solve(problem, backend=Backend.CBC)"],
)  # fmt: skip
def test_a_solver_that_prints_does_not_reach_stdout(solving: str) -> None:
    """Of all that a solver prints, through any door, nothing is on standard output; prints around it are, in order."""
    done = _child(f'libc.puts(b"before"); {solving}; libc.puts(b"between"); {solving}; print("after")')
    assert (done.returncode, done.stdout, done.stderr) == (0, "before\nbetween\nafter\n", "")


def test_solves_in_threads_share_one_silence() -> None:
    """Solves that overlap are all silent, and standard output is back when the last one has ended."""
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as threads:
    found = list(threads.map(lambda _: solve(problem).termination.objective, range(40)))
print(found == [2.0] * 40)
"""
    done = _child(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_process_without_a_standard_output_solves(closed: str) -> None:
    """Where standard output is closed, solves still answer, and its number stays what it was: free, or a library's."""
    code = """
def at_number():
    try:
        return os.fstat(1)[:4]
    except OSError as error:
        return error.errno
before = at_number()
found = [solve(problem).termination.objective, solve_direct(problem, time_limit_s=9.0, gap_frac=0.0).values["x"]]
sys.exit(0 if found == [2.0, 2.0] and at_number() == before else 4)
"""
    assert _child(code, shell_end=closed).returncode == 0


def test_an_error_within_a_solve_gives_standard_output_back() -> None:
    """A solve that raises leaves standard output as it found it."""
    code = """
def broken(self):
    raise KeyError("broken")
Chatty.run = broken
try:
    solve_direct(problem, time_limit_s=9.0, gap_frac=0.0)
except KeyError:
    print("raised")
"""
    assert _child(code).stdout == "raised\n"


def test_what_was_printed_can_be_read_in_the_log() -> None:
    """What a solver prints is logged at level DEBUG, where it can be looked for."""
    done = _child("import logging; logging.basicConfig(level=logging.DEBUG); solve(problem)")
    assert done.stdout == ""
    assert "banner through C" in done.stderr
    assert "banner to the descriptor" in done.stderr


def test_a_plan_as_json_is_json_whatever_the_solver_prints() -> None:
    """``plan --json`` writes one JSON document, also where the solver prints at every solve."""
    done = _child('from planner.__main__ import main; sys.argv[1:] = ["plan", "planner/examples/splitwise-conv.yaml", '
                  '"--json", "--set", "validation.seeds=1"]; main()')  # fmt: skip
    assert done.returncode in (0, 4), done.stderr
    assert isinstance(json.loads(done.stdout), dict)
