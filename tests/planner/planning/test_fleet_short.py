"""Refusals of several models: the limit that binds, each model's part of it, and the nearest value that is enough."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import read_fleet
from planner.results.fleet import FleetPlan, NoFleetPlan
from planner.results.shortfall import Shortfall
from tests.planner.two_models import TEXT, two


def quiet(_words: str, _done_frac: float) -> None:
    """Progress that is not shown."""


def answer(*words: str, why: bool = True) -> FleetPlan | NoFleetPlan:
    """What is planned of two models."""
    return plan_fleet(read_fleet(two(*words)), progress=quiet, why=why)


def refused(*words: str) -> NoFleetPlan:
    """The refusal of a question."""
    found = answer(*words)
    assert isinstance(found, NoFleetPlan)
    assert found.shortfalls, found.answer.explanation
    return found


def setting(short: Shortfall, value: float, stock: dict[str, int]) -> str:
    """A limit at a value, as it is typed; stock beside that of other types."""
    if not short.row.startswith("availability"):
        return f"{short.key}={value:.12g}"
    kind = short.row.removeprefix("availability[").removesuffix("]")
    return f"catalog.available={json.dumps({**stock, kind: int(value)})}"


def holds(found: NoFleetPlan, stock: dict[str, int], *words: str) -> None:
    """With every limit at its named value there are plans; with one of them a step less none are found."""
    rows = [[short] for short in found.shortfalls] if found.shortfalls[0].alone else [list(found.shortfalls)]
    for together in rows:
        enough = [setting(short, short.admits, stock) for short in together]
        if len(together) > 1 and all(short.row.startswith("availability") for short in together):
            kinds = {s.row.removeprefix("availability[").removesuffix("]"): int(s.admits) for s in together}
            enough = [f"catalog.available={json.dumps({**stock, **kinds})}"]
        assert isinstance(answer(*words, *enough), FleetPlan), enough
        for short in together:
            if short.admits - short.refused > max(1.0, 0.006 * short.admits):
                continue  # between the two nothing is claimed
            if len(together) == 1:
                less = setting(short, short.refused, stock)
                assert isinstance(answer(*words, less, why=False), NoFleetPlan), less


def test_stock_of_two_types_too_small_is_named_with_what_each_model_takes() -> None:
    """One machine for two models: the refusal names a stock that helps, each model's part of it, and is no riddle."""
    stock = {"dgx-a100": 0, "dgx-h100": 1}
    words = f"catalog.available={json.dumps(stock)}"
    found = refused("objective=machines", words)
    first = found.answer.explanation
    assert first[0] == "no plans of all models fit what they share"
    assert first[1:3] == (
        "raise catalog.available.dgx-a100 from 0 to at least 1",
        "or raise catalog.available.dgx-h100 from 1 to at least 2",
    )  # fmt: skip
    assert "catalog.available.dgx-h100: with 2 in plans chat 1, code 1; with 1 no plans of all were found" in first
    holds(found, stock, "objective=machines", words)


@pytest.mark.parametrize(
    "budget", ["machines=1", "cost_usd_per_h=15", "power_w=8000", "rack_units=10", "expected_power_w=4000"]
)
def test_every_budget_is_named_with_its_nearest_value(budget: str) -> None:
    """What each model takes at least adds up to what is named, which is enough; a step less is not."""
    found = refused(f"budgets.{budget}")
    (short,) = found.shortfalls
    assert short.key == f"budgets.{budget.partition('=')[0]}"
    assert set(short.least) == {"chat", "code"}
    assert sum(short.least.values()) <= short.admits * 1.001
    assert short.refused < short.admits
    holds(found, {})


@settings(max_examples=3, deadline=None)
@given(
    rates=st.tuples(st.sampled_from([20, 800]), st.sampled_from([10, 60, 120])),
    limit=st.sampled_from(["machines=1", "power_w=7000", "stock"]),
    objective=st.sampled_from(["cost", "machines"]),
)
def test_the_nearest_value_admits_plans_and_a_step_less_does_not(
    rates: tuple[int, int], limit: str, objective: str
) -> None:
    """Whatever is short, at whatever rates: what is named was planned with."""
    words = [f"models.{at}.workload.rate_req_per_s={rate}" for at, rate in enumerate(rates)]
    words.append(f"objective={objective}")
    stock = {"dgx-a100": 1, "dgx-h100": 0} if limit == "stock" else {}
    words.append(f"catalog.available={json.dumps(stock)}" if stock else f"budgets.{limit}")
    holds(refused(*words), stock, *words)


def test_each_limit_that_would_help_by_itself_is_named() -> None:
    """More machines to buy, or more of the better type: both are told, and each was planned with."""
    stock = {"dgx-h100": 0}
    words = ("models.1.workload.rate_req_per_s=70", f"catalog.available={json.dumps(stock)}", "budgets.machines=2")
    found = refused(*words)
    assert {short.key for short in found.shortfalls} == {"catalog.available.dgx-h100", "budgets.machines"}
    holds(found, stock, *words)


def test_a_model_that_no_limit_keeps_from_a_plan_is_refused_as_before() -> None:
    """An objective that nothing meets is no matter of what is shared: no limit is named."""
    found = answer("models.1.slo={ttft_p99_s: 0.0001}", "budgets.machines=4")
    assert isinstance(found, NoFleetPlan)
    assert not found.shortfalls
    assert found.answer.explanation[0].startswith("code: ")


def test_one_that_is_too_large_alone_is_told_what_all_take() -> None:
    """Where one model alone passes a budget, the value that is named is enough for all, not for that one."""
    found = refused("models.1.workload.rate_req_per_s=400", "budgets.machines=1")
    (short,) = found.shortfalls
    assert short.admits == sum(short.least.values())
    assert short.least["code"] > 1


def test_text_json_and_page_say_the_same(tmp_path: Path) -> None:
    """The limit, its nearest value and each model's part stand in all three."""
    path, page = tmp_path / "two.yaml", tmp_path / "two.html"
    path.write_text(TEXT, encoding="utf-8")
    words = ["plan", str(path), "--set", "budgets.machines=1", "--quiet"]
    text = CliRunner().invoke(build(), [*words, "--report", str(page)])
    data = CliRunner().invoke(build(), [*words, "--json"])
    assert text.exit_code == data.exit_code == ExitCode.INFEASIBLE
    assert "raise budgets.machines from 1 to at least 2" in " ".join(text.stdout.split())
    said = json.loads(data.stdout)
    assert said["no_plan"]["raises"] == {"machines": [1.0, 2.0]}
    assert said["shortfalls"][0]["least"] == {"chat": 1.0, "code": 1.0}
    assert "budgets.machines" in page.read_text()
    assert "What each model takes of what is short" in page.read_text()


def test_check_names_what_is_proven_too_little(tmp_path: Path) -> None:
    """By the least work of requests alone: `check` ends as `plan` does, and says nothing where there may be plans."""
    path = tmp_path / "two.yaml"
    path.write_text(TEXT, encoding="utf-8")
    little = CliRunner().invoke(build(), ["check", str(path), "--set", "budgets.machines=1"])
    assert little.exit_code == ExitCode.INFEASIBLE
    assert "raise budgets.machines from 1 to at least 2" in " ".join(little.stdout.split())
    assert CliRunner().invoke(build(), ["check", str(path), "--set", "budgets.machines=2"]).exit_code == 0
