"""Every family of rows, and every objective, as text under review.

Each file in tests/golden/lp is written from a problem pruned to one family (or none) and its objective, so that a
change of the mathematics shows as the rows that changed. After a wanted change, refresh them and read the diff:

    REFRESH_GOLDEN=1 pytest tests/planner/formulate/test_formulate_golden.py -n 0
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from planner.formulate import FAMILIES, problem
from planner.perf.layout import Layout, Role
from planner.scenario.objectives import Budgets, Headroom, Objective
from solvers.lp_format import lp_text
from solvers.problem import Problem
from tests.planner.goldens import same_as_golden
from tests.planner.options import failing, showcase

GOLDEN = Path(__file__).parents[2] / "golden" / "lp"
MANUAL = Path(__file__).parents[3] / "docs" / "maths.md"
FAMILY_NAMES = [family.__name__ for family in FAMILIES]
SCALED = "demand_for_throughput"
OBJECTIVES = [f"objective_{objective}" for objective in Objective]


def _program(objective: Objective = Objective.COST, family: str = "") -> Problem:
    return problem(
        failing(showcase()) if family == "redundancy" else showcase(),
        {"short": 20.0, "long": 2.0},
        budgets=Budgets(
            cost_usd_per_h=900.0, power_w=1e5, expected_power_w=5e4, rack_units=84.0, machines=12, machine_types=2
        ),
        headroom=Headroom(),
        objective=objective,
        available={"slow-8": 9},
        apart=[(prefill, decode) for prefill in _layouts(Role.PREFILL) for decode in _layouts(Role.DECODE)][:1],
    )


def _layouts(role: Role) -> list[Layout]:
    return sorted({option.spec.layout for option in showcase() if option.spec.role is role}, key=lambda each: each.name)


def _pruned(program: Problem, families: list[str]) -> Problem:
    rows = tuple(row for row in program.rows if row.family in families)
    named = {name for row in rows for name, _ in row.terms}
    columns = tuple(column for column in program.columns if column.name in named or column.objective)
    return replace(program, columns=columns, rows=rows)


def _text(name: str) -> str:
    if name in OBJECTIVES:
        return lp_text(_pruned(_program(Objective(name.removeprefix("objective_"))), []))
    if name == SCALED:
        return lp_text(_pruned(_program(Objective.THROUGHPUT), ["demand"]))
    return lp_text(_pruned(_program(family=name), [name]))


@pytest.mark.parametrize("name", [*FAMILY_NAMES, SCALED, *OBJECTIVES])
def test_rows_are_the_reviewed_ones(name: str) -> None:
    """A family's rows, columns, coefficients and bounds are exactly those of its golden file."""
    path, text = GOLDEN / f"{name}.lp", _text(name)
    same_as_golden(text, path)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_the_showcase_exercises_every_family(name: str) -> None:
    """No golden file of a family is empty of rows."""
    assert any(row.family == name for row in _program(family=name).rows)


def test_every_family_has_a_golden_file() -> None:
    """A family without a golden file, or a file without a family, fails."""
    assert {path.stem for path in GOLDEN.glob("*.lp")} == {*FAMILY_NAMES, SCALED, *OBJECTIVES}


def test_every_row_belongs_to_the_family_that_wrote_it() -> None:
    """A row's family is a listed one, and its name starts with it, so that a user can look it up."""
    for row in (*_program().rows, *_program(family="redundancy").rows):
        assert row.family in FAMILY_NAMES
        assert row.name.partition("[")[0] == row.family


@pytest.mark.parametrize("family", FAMILIES, ids=FAMILY_NAMES)
def test_the_manual_says_what_the_code_says(family: Callable[..., object]) -> None:
    """Under its own heading, docs/maths.md holds the sentence, index and equation of the family's docstring."""
    manual = MANUAL.read_text(encoding="utf-8")
    (section,) = re.findall(rf"^### {family.__name__}\n(.*?)(?=^##)", manual, flags=re.MULTILINE | re.DOTALL)
    sentence, equation = (inspect.getdoc(family) or "").split("\n\n")
    for said in (sentence, equation):
        assert " ".join(said.split()).rstrip(".") in " ".join(section.split())
