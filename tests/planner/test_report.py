"""Rules of what people see."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from planner.report import words
from planner.report.text import failures, no_plan_view, plan_view, simulation_view
from planner.results.evidence import Verdict
from tests.planner import plans
from tests.planner.goldens import GOLDEN, same_as_golden

VIEWS: dict[str, RenderableType] = {
    "plan": plan_view(plans.plan(), plans.scenario()),
    "no-plan": no_plan_view(plans.no_plan()),
    "simulation": simulation_view(plans.overloaded(), plans.candidate(1)),
    "budgets": plan_view(
        replace(
            plans.plan(),
            objective="throughput",
            objective_value=20.0,
            warnings=(),
            certificate=replace(plans.plan().certificate, neighbours=(), bound=None),
        ),
        plans.scenario().changed(["budgets={power_w: 60000, machines: 4}", "objective=throughput"]),
    ),
}


def rendered(view: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=StringIO(), highlight=False)
    console.print(view)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_view_is_golden(name: str) -> None:
    """What people see changes only when someone means it to."""
    same_as_golden(rendered(VIEWS[name]), GOLDEN / f"{name}.txt")


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_view_fits_80_columns(name: str) -> None:
    """No line is wider than 80 columns and no name is cut."""
    text = rendered(VIEWS[name])
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


@pytest.mark.parametrize(
    ("name", "verdict"), [("plan", "VALIDATED: "), ("no-plan", "NO PLAN (infeasible): "), ("simulation", "NOT MET: ")]
)
def test_verdict_comes_first(name: str, verdict: str) -> None:
    """The first words are the verdict."""
    assert rendered(VIEWS[name]).startswith(verdict)


def test_plan_shows_every_pool_and_objective() -> None:
    """Nothing of a plan is left out of its text."""
    text = rendered(VIEWS["plan"], width=200)
    plan = plans.plan()
    for pool in plan.candidate.pools:
        assert pool.spec.machine in text
    for evidence in plan.judgement.evidence:
        assert re.search(rf"{evidence.slo} .* {evidence.verdict} ", text)
    for line in (*plan.sources, *plan.warnings):
        assert line in text


def test_failures_and_validity_agree() -> None:
    """A judgement has failures to show exactly when it is not valid."""
    for judgement in (
        plans.judgement(),
        plans.overloaded(),
        replace(plans.judgement(), steady=False),
        replace(plans.judgement(), refused=1),
        plans.judgement(0.1, Verdict.UNDECIDED),
    ):
        assert bool(failures(judgement)) is not judgement.valid


@given(st.floats(1e-6, 1e9))
def test_amounts_are_short_and_plain(value: float) -> None:
    """Amounts are never written with a large exponent and never take more than 20 characters."""
    for shown in (
        words.seconds(value),
        words.watts(value),
        words.rate(value),
        words.dollars(value),
        words.number(value),
    ):
        assert len(shown) <= 20
        assert "e+" not in shown


@given(st.floats(1e-3, 1e9))
def test_amounts_are_near(value: float) -> None:
    """What is shown is within 0.1 % of what is meant."""
    assert float(words.number(value).replace(",", "")) == pytest.approx(value, rel=1e-3)
    number, unit = words.watts(value).split()
    assert float(number.replace(",", "")) * {"W": 1, "kW": 1e3}[unit] == pytest.approx(value, rel=1e-3)


def test_a_limit_of_one_machine_type_is_named_whole() -> None:
    """A limit whose name holds brackets, such as the availability of a machine type, is shown as it is."""
    scarce = replace(plans.no_plan(), raises={"availability[dgx-h100]": (0.0, 3.0)})
    assert "availability[dgx-h100]" in rendered(no_plan_view(scarce))
