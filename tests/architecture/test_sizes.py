"""Small parts: short files, short functions, light data."""

import ast

from tests.architecture.sources import PACKAGES, ROOT, committed, functions, python_files

FILE_LINES = 400
FUNCTION_LINES = 40
FILE_BYTES = 200 * 2**10
"""The largest kernel profile has 40 KiB; a file of five times that is somebody's raw data."""


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    """Lines of a function from ``def`` to its end, without its docstring and empty lines."""
    lines = set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return sum(1 for number in lines if source[number - 1].strip())


def test_no_file_is_longer_than_400_lines() -> None:
    """A file that outgrows 400 lines holds more than one idea."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files(*PACKAGES, "tests", "benchmarks")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES
    }
    assert not long


def test_no_function_is_longer_than_40_lines() -> None:
    """A function fits on a screen: 40 lines from its ``def``, docstring and empty lines apart."""
    long = {}
    for path in python_files(*PACKAGES):
        source = path.read_text(encoding="utf-8").splitlines()
        for node in functions(path):
            if (lines := code_lines(node, source)) > FUNCTION_LINES:
                long[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = lines
    assert not long


def test_docstrings_and_empty_lines_do_not_count() -> None:
    """The length of a function is that of its code."""
    source = 'def f(\n    x,\n):\n    """One\n\n    two.\n    """\n\n    y = x\n\n    return y\n'
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    assert code_lines(node, source.splitlines()) == 5


def test_no_committed_file_is_heavy() -> None:
    """Everything in the repository is small enough to read, or to have been fitted from what is not."""
    heavy = {
        name: size
        for name in committed()
        if (ROOT / name).exists() and (size := (ROOT / name).stat().st_size) > FILE_BYTES
    }
    assert not heavy
