"""Problems as text, in CPLEX LP format: what a reviewer reads and other solvers load."""

import re
from collections.abc import Iterable

from solvers.problem import INF, Column, Problem, Row, Sense


def lp_text(problem: Problem) -> str:
    """The problem in CPLEX LP format, one term a line; the same problem is always the same text.

    Names keep their letters; brackets become parentheses, ``/`` a dot, and what the format cannot hold an underscore.

    Args:
        problem: what to write.

    Returns:
        The text, ending in a newline. A row bounded on both sides is written as two, ``name.min`` and ``name.max``.
    """
    columns = _names(column.name for column in problem.columns)
    rows = _names(row.name for row in problem.rows)
    objective = [(columns[column.name], column.objective) for column in problem.columns]
    lines = ["maximize" if problem.sense is Sense.MAX else "minimize", *_expression("objective", objective)]
    lines.append("subject to")
    for row in problem.rows:
        lines += _row_lines(rows[row.name], row, columns)
    lines += ["bounds", *(_bound_line(columns[column.name], column) for column in problem.columns)]
    if integers := [columns[column.name] for column in problem.columns if column.integer]:
        lines += ["general", *(f" {name}" for name in integers)]
    return "\n".join([*lines, "end", ""])


def _names(names: Iterable[str]) -> dict[str, str]:
    """Each name as the format allows it, told apart by a number where two would become one."""
    safe: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_.,()]", "_", name.translate(str.maketrans("[]/", "().")))
        if not re.match(r"[A-DF-Za-df-z_]", plain):  # a leading digit, dot or e could be read as a number
            plain = f"_{plain}"
        count = 1
        while (candidate := plain if count == 1 else f"{plain}~{count}") in taken:
            count += 1
        safe[name] = candidate
        taken.add(candidate)
    return safe


def _row_lines(name: str, row: Row, columns: dict[str, str]) -> list[str]:
    terms = [(columns[column], coefficient) for column, coefficient in row.terms]
    if row.lower == row.upper:
        return [*_expression(name, terms), f"  = {_number(row.upper)}"]
    both = row.lower > -INF and row.upper < INF
    lines: list[str] = []
    if row.lower > -INF:
        lines += [*_expression(f"{name}.min" if both else name, terms), f"  >= {_number(row.lower)}"]
    if row.upper < INF:
        lines += [*_expression(f"{name}.max" if both else name, terms), f"  <= {_number(row.upper)}"]
    return lines


def _expression(name: str, terms: Iterable[tuple[str, float]]) -> list[str]:
    signed = [
        f"  {'-' if coefficient < 0 else '+'} {_number(abs(coefficient))} {column}"
        for column, coefficient in terms
        if coefficient
    ]
    return [f" {name}:", *signed]


def _bound_line(name: str, column: Column) -> str:
    if column.lower == -INF and column.upper == INF:
        return f" {name} free"
    return f" {_number(column.lower)} <= {name} <= {_number(column.upper)}"


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")
