"""Several questions joined by what they share: one program whose columns are those of all."""

from collections.abc import Mapping
from dataclasses import replace

from planner.formulate.families import BUDGET_FAMILIES
from planner.formulate.question import SCALE
from solvers.allocation import Allocation, Solution
from solvers.problem import Column, Problem, Row

_SHARED_COLUMNS = ("used[", SCALE)
"""How names of columns begin that are one for all questions: whether a machine type is bought, the factor on rates."""


def joint(programs: Mapping[str, Problem]) -> Problem:
    """The program of all questions at once.

    Columns and rows of each question are named after it, as ``<question>/<name>``. Those of budgets, machine types and
    availability are one for all: the sum over questions keeps the limit. So is the factor on rates that throughput is
    the most of: the mix of the questions stays as it is asked.

    minimise    Σ over q of objective[q]                        or maximise, where each does
    subject to  every row of every q that is not shared
                Σ over q of terms[q] <= limit                   for each shared row

    Args:
        programs: question -> its program, written with the budgets and the stock of all.

    Returns:
        The program.

    Raises:
        ValueError: there is none, one is to be maximised with another to be minimised, or they disagree about a limit.
    """
    if len({program.sense for program in programs.values()}) != 1:
        raise ValueError("joint: expected at least one program, and all of them minimised or all maximised")
    columns: dict[str, Column] = {}
    rows: dict[str, Row] = {}
    for question, program in programs.items():
        for column in program.columns:
            name = _named(question, column.name)
            counted = columns[name].objective if name in columns else 0.0
            columns[name] = replace(column, name=name, objective=counted + column.objective)
        for row in program.rows:
            terms = tuple((_named(question, name), factor) for name, factor in row.terms)
            if row.family not in BUDGET_FAMILIES:
                rows[f"{question}/{row.name}"] = replace(row, name=f"{question}/{row.name}", terms=terms)
                continue
            before = rows.get(row.name, replace(row, terms=()))
            if (before.lower, before.upper) != (row.lower, row.upper):
                raise ValueError(
                    f"joint: {row.name} is {before.upper:g} for one question, {row.upper:g} for {question}"
                )
            rows[row.name] = replace(row, terms=tuple(dict([*before.terms, *terms]).items()))
    first = next(iter(programs.values()))
    name = f"{first.name}, {len(programs)} questions"
    return Problem(name=name, sense=first.sense, columns=tuple(columns.values()), rows=tuple(rows.values()))


def part(solution: Solution, question: str, program: Problem) -> Solution:
    """What a solution of ``joint`` says of one question, as a solution of its own program.

    Raises:
        ValueError: the solution has no allocation.
    """
    if solution.allocation is None:
        raise ValueError(f"a solve that ended as {solution.termination.reason} says nothing of {question}")
    values = solution.allocation.values
    mine = {column.name: values[_named(question, column.name)] for column in program.columns}
    return replace(solution, allocation=Allocation(values=mine))


def _named(question: str, column: str) -> str:
    """The name of a question's column among those of all."""
    return column if column.startswith(_SHARED_COLUMNS) else f"{question}/{column}"
