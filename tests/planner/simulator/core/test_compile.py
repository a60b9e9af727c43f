"""How the replay's functions become one compiled program."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("numba") is None:
    pytest.skip("Numba is not installed", allow_module_level=True)

from planner.simulator.core import cache
from planner.simulator.core.cluster import replay
from planner.simulator.core.compile import DECLARED, compiled, entry
from planner.simulator.core.machine_code import loaded, read, write
from planner.simulator.core.whole_program import object_of


@compiled
def _twice(x: int) -> int:
    return 2 * x


@compiled
def _more(x: int) -> int:
    return _twice(x) + 1


@entry
def _both(wide: int) -> int:
    narrow = np.int32(wide)
    return _twice(wide) + _twice(narrow) + _more(narrow) + _more(3)


def test_a_function_is_compiled_once_whatever_integers_it_is_called_with() -> None:
    """Integers of both widths and literals reach one and the same compiled function, also through another one."""
    both = loaded(object_of(_both))
    assert both(5) == 10 + 10 + 11 + 7
    assert [len(function.signatures) for function in (_twice, _more)] == [1, 1]


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


def test_every_argument_of_the_replay_has_a_kind_of_its_own() -> None:
    """No function of the replay takes an argument as it comes, but for records: it would be compiled for each kind."""
    functions, seen = [replay], list[Any]()
    while functions:
        seen.append(functions.pop())
        kinds = {name: kind for name, kind in seen[-1].__annotations__.items() if name != "return"}
        assert [name for name, kind in kinds.items() if kind not in DECLARED] in ([], ["body"]), seen[-1]
        called = (v for v in seen[-1].py_func.__globals__.values() if hasattr(v, "signatures"))
        functions += [v for v in called if v not in seen and v not in functions]
    assert len(seen) > 50


def test_kept_code_is_named_after_every_number_in_it() -> None:
    """What compiled files import from elsewhere is part of the name of the kept code: a change compiles anew."""
    place = Path(cache.__file__)
    named = {name for _, name in _from_elsewhere(place)}
    for path in place.parent.glob("*.py"):
        if "import compiled" in path.read_text(encoding="utf-8"):
            assert {name for _, name in _from_elsewhere(path)} <= named, path.name


def _from_elsewhere(path: Path) -> set[tuple[str, str]]:
    """What a file imports from phasewise's files that are not of the replay."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("planner.simulator.core")
        for alias in node.names
        if node.module.startswith(("planner.", "hw_catalog.", "workloads."))
    }
