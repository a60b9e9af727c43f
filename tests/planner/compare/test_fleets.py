"""Several models on one fleet, asked again: what-ifs, regret, tornado and frontiers are of all of them together."""

from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.compare.frontier import route, walked
from planner.compare.journal import Journal
from planner.compare.sensitivity import tornado
from planner.compare.sweep import sweep, swept
from planner.errors import BadInput
from planner.executor.here import Here
from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import read_fleet
from planner.results.fleet import FleetPlan
from planner.results.sweep import WhatIf
from planner.scenario.fleet import Fleet
from tests.planner.two_models import TEXT, two

GONE = "catalog.machines=[dgx-a100],[dgx-a100, dgx-h100]"


def quiet(_words: str, _done_frac: float) -> None:
    """Progress that is not shown."""


@cache
def asked_again(*vary: str) -> WhatIf:
    """The small question about two models, with values varied."""
    with Journal(None) as journal:
        return swept(sweep(two(), vary), journal=journal, executor=Here(), progress=quiet)


def test_every_point_is_the_plan_of_all_models() -> None:
    """A point is what ``plan`` says of the changed question: machines of every model, their cost and their bound."""
    found = asked_again(GONE, "workload.rate_scale=2")
    assert len(found.points) == 2
    for point in found.points:
        assert point.outcome.totals is not None
        words = [f"catalog.machines={point.settings['catalog.machines']}"]
        words += [f"models.{n}.workload.rate_scale={point.settings['workload.rate_scale']}" for n in range(2)]
        own = plan_fleet(read_fleet(two(*words)), progress=quiet)
        assert isinstance(own, FleetPlan)
        assert point.outcome.totals.machines == own.totals.machines
        assert point.outcome.objective_value == pytest.approx(own.objective_value)  # journals keep nine digits
        assert point.outcome.bound == pytest.approx(own.bound)
        assert set(point.outcome.models) == {"chat", "code"}
    only = [p for p in found.points if p.settings["catalog.machines"] == "[dgx-a100]"]
    bought = [pool.spec.machine for p in only for each in p.outcome.models.values() for pool in each.pools]
    assert set(bought) == {"dgx-a100"}


@pytest.mark.slow
def test_regret_is_of_the_machines_of_all_models() -> None:
    """Each plan is tried in every other future, model by model: more load than it carries fails one of them by name."""
    found = asked_again("workload.rate_scale=1,30")
    by_pair = {(each.bought, each.happens): each for each in found.regret}
    less, more = (point.name for point in found.points)
    assert by_pair[less, less].regret == by_pair[more, more].regret == 0.0
    assert by_pair[more, less].holds
    small = by_pair[less, more]
    assert not small.holds
    assert any(line.startswith(("chat: ", "code: ")) for line in small.fails)
    assert sum(small.add.values()) > 0


def test_a_tornado_moves_each_model_alone() -> None:
    """Load, lengths and objectives are moved model by model, prices and budgets once for all."""
    names = [pair.name for pair in tornado(two("budgets.machines=9"), 0.2)]
    assert {"load of chat", "load of code", "prompt length of chat", "objective ttft_p90_s of code"} <= set(names)
    assert names.count("price of dgx-a100") == names.count("budget machines") == 1
    (pair,) = [pair for pair in tornado(two(), 0.2) if pair.name == "load of code"]
    assert pair.high.settings == {"models.1.workload.rate_scale": "1.2"}


@pytest.mark.slow
def test_a_frontier_is_of_all_models() -> None:
    """Designs lie on cost and watts of all models together, and none of them beats another on both."""
    with Journal(None) as journal:
        found = walked(route(two(), "cost", "power", most=3), journal=journal, executor=Here(), progress=quiet)
    best = plan_fleet(read_fleet(two()), progress=quiet)
    assert isinstance(best, FleetPlan)
    places = [(d.values["cost"], d.values["power"]) for d in found.designs if d.efficient]
    assert min(cost for cost, _ in places) == pytest.approx(best.totals.cost_usd_per_h)
    assert places == sorted(places)
    assert [power for _, power in places] == sorted((power for _, power in places), reverse=True)


def test_what_several_models_have_not_is_refused(tmp_path: Path) -> None:
    """No more throughput without a limit, and no worlds of what is sure: a line names what to ask."""
    with pytest.raises(BadInput, match="throughput grows with cost without end; expected --limit"):
        route(two(), "cost", "throughput")
    with pytest.raises(BadInput, match="--worlds: the scenario gives no uncertainty"):
        sweep(two(), drawn_worlds=3)
    path = tmp_path / "two.yaml"
    path.write_text(TEXT, encoding="utf-8")
    done = CliRunner().invoke(build(), ["whatif", str(path), "--vary", "models.0.workload.rate=1,2"])
    assert done.exit_code == 2


def test_worlds_of_several_models_are_drawn_of_all_or_of_one() -> None:
    """A key that each model has is drawn once for all of them, ``models.0`` alone for that one, stock for the fleet."""
    unsure = two("uncertainty={workload.rate_scale: [0.5, 2], models.0.workload.prompt_scale: [1, 1.2]}")
    wanted = sweep(unsure, drawn_worlds=3)
    assert len(wanted.grid) == 4
    for each in wanted.grid[1:]:
        assert isinstance(each.scenario, Fleet)
        chat, code = each.scenario.models
        assert chat.workload.rate_scale == code.workload.rate_scale == float(each.settings["workload.rate_scale"])
        assert code.workload.prompt_scale == 1 <= chat.workload.prompt_scale <= 1.2
        assert each.scenario.parts()["chat"].uncertainty == {}
    for wrong in (
        "workload.rat: [1, 2]",
        "workload.rate_scale: [-1, 2]",
        "models.7.workload.rate_scale: [1, 2]",
        "x: 1",
    ):
        with pytest.raises(BadInput, match="uncertainty"):
            two(f"uncertainty={{{wrong}}}")


def test_both_verbs_take_a_file_of_several_models(tmp_path: Path) -> None:
    """The page names the models, and every point has its machines and watts."""
    path = tmp_path / "two.yaml"
    path.write_text(TEXT, encoding="utf-8")
    files = ["--report", str(tmp_path / "r.html"), "--journal", str(tmp_path / "j.jsonl")]
    words = ["--vary", "workload.rate_scale=1", "--no-regret", *files]
    done = CliRunner().invoke(build(), ["whatif", str(path), *words])
    assert done.exit_code == 0, done.output
    assert "chat, code" in done.stdout
    assert "1 OF 1 POINT VALIDATED" in done.stdout
    assert (tmp_path / "r.html").exists()
