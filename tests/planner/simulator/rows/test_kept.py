"""Machine code of rows that several processes made is one program: each size of record has its own functions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from planner.simulator.rows.kernel import kept_advance
from tests.architecture.sources import ROOT

PROGRAM = """
import sys
from dataclasses import replace
from math import inf
from planner.simulator.rows.rows import RowCase, run_rows
from tests.planner.rows import controls, toy_floor

for most in map(int, sys.argv[1:]):
    floor = toy_floor(4)
    kinds = tuple(replace(kind, output_tokens=1 + kind.output_tokens * 7 % most) for kind in floor.kinds)
    case = RowCase(machines=4, limit_w=inf, policy=None, seed=1)
    (run,) = run_rows(replace(floor, kinds=kinds), [case], controls(), duration_s=600.0, tick_s=1.0)
    print(float(run.row_w.sum()).hex())
"""


def _drawn(home: Path, *most: int) -> list[str]:
    """Watts of rows whose longest outputs are so many tokens, one after another in a process of their own."""
    told = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-c", PROGRAM, *map(str, most)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=told, cwd=ROOT).stdout.split()


def test_the_name_of_a_function_says_what_its_records_hold() -> None:
    """Records of two sizes that two processes gave one number have two names; of one size, whatever the number, one."""
    pytest.importorskip("numba")
    from numba.core import types
    from numba.core.itanium_mangler import mangle

    def named(ring: int, code: int) -> str:
        fields = [("ends", {"type": types.NestedArray(types.int64, (ring,)), "offset": 0})]
        kind = types.Record(fields, size=8 * ring, aligned=False)
        kind._code = code
        return str(mangle("step", (types.Array(kind, 1, "C"),)))

    kept_advance()
    assert named(16, 7001) != named(64, 7001)
    assert named(16, 7001) == named(16, 7002)


@pytest.mark.slow
def test_code_kept_by_several_processes_is_one_program(tmp_path: Path) -> None:
    """Two processes compile rows of two sizes; a third loads both, and each row draws what it drew before."""
    pytest.importorskip("numba")
    apart = [*_drawn(tmp_path, 190), *_drawn(tmp_path, 3000)]
    assert apart[0] != apart[1]
    assert _drawn(tmp_path, 190, 3000) == apart
    assert _drawn(tmp_path, 3000, 190) == apart[::-1]
