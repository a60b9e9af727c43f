"""A problem written as text is the same problem."""

from pathlib import Path

import highspy
import pytest
from hypothesis import HealthCheck, given, settings

from solvers.allocation import Reason
from solvers.lp_format import lp_text
from solvers.problem import Column, Problem, Row, Sense
from solvers.solve import solve
from tests.solvers.problems import problems


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=problems())
def test_another_reader_finds_the_same_optimum(problem: Problem, tmp_path: Path) -> None:
    """HiGHS, reading the text with its own parser, ends with the objective that ``solve`` finds."""
    path = tmp_path / "p.lp"
    path.write_text(lp_text(problem), encoding="utf-8")
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    highs.run()
    expected = solve(problem).termination
    optimal = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    assert optimal == (expected.reason is Reason.OPTIMAL)
    if optimal:
        assert highs.getObjectiveValue() == pytest.approx(expected.objective, rel=1e-6, abs=1e-6)


def test_names_stay_apart() -> None:
    """Two names that the format cannot tell apart are numbered, and none reads as a number."""
    columns = (Column(name="a-b"), Column(name="a_b"), Column(name="e1"), Column(name="7[x/y]"))
    terms = tuple((column.name, 1.0) for column in columns)
    text = lp_text(Problem(name="p", sense=Sense.MIN, columns=columns, rows=(Row(name="r", family="f", terms=terms),)))
    bounds = text.split("bounds\n")[1].splitlines()
    assert [line.split()[2] for line in bounds[:4]] == ["a_b", "a_b~2", "_e1", "_7(x.y)"]
