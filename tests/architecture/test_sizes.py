"""Small parts: short files, short functions, light data."""

import ast

from tests.architecture.sources import PACKAGES, ROOT, committed, functions, python_files

FILE_LINES = 400
FUNCTION_LINES = 40
FUNCTION_PARAMETERS = 8
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


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Names of what a function is called with, the instance apart."""
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return [each.arg for each in every if each.arg not in ("self", "cls")]


def test_no_function_has_more_than_8_parameters() -> None:
    """What is asked for together is a section of the scenario, or a noun of its own."""
    wide = {}
    for path in python_files(*PACKAGES, "benchmarks"):
        for node in functions(path):
            name = f"{path.relative_to(ROOT)} {node.name}"
            if len(names := parameters(node)) > FUNCTION_PARAMETERS:
                wide[name] = names
    assert not wide
