"""Rules of frontiers of plans."""

import itertools
import json
import re
from math import inf
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.compare.frontier import route, walked
from planner.compare.journal import Journal
from planner.compare.outcome import silent
from planner.errors import BadInput, ExitCode
from planner.executor.here import Here
from planner.files.plan_file import dumps
from planner.planning import plan as planning
from planner.results.evidence import NoPlan, Verdict
from planner.results.frontier import Frontier
from tests.planner.small import small, write_small


def frontier(*settings: str, x: str, y: str, journal: Path | None = None, **more: float) -> Frontier:
    with Journal(journal) as kept:
        return walked(route(small(*settings), x, y, **more), journal=kept, executor=Here(), progress=silent)  # type: ignore[arg-type]


def test_every_budget_of_machines_has_its_design(tmp_path: Path) -> None:
    """The most throughput for 1, 2 and 3 machines: each one found, more machines carry more, all of them validated."""
    found = frontier(x="machines", y="throughput", limit=3, journal=tmp_path / "j.jsonl")
    good = [design for design in found.designs if design.efficient]
    assert [design.values["machines"] for design in good] == [1, 2, 3]
    rates = [design.values["throughput"] for design in good]
    assert rates == sorted(rates)
    assert found.complete
    assert "infeasible" in found.ended
    for design in good:
        assert design.outcome is not None
        assert all(e.verdict is Verdict.MET for e in design.outcome.evidence)
        assert sum(design.machines.values()) == design.values["machines"]
    again = frontier(x="machines", y="throughput", limit=3, journal=tmp_path / "j.jsonl")
    assert dumps(again) == dumps(found)


def test_no_efficient_design_is_beaten() -> None:
    """Of two efficient designs each is better on one axis; a dominated design is beaten by an efficient one."""
    found = frontier("workload.rate_scale=25", x="cost", y="power")
    good = [(d.values["cost"], d.values["power"]) for d in found.designs if d.efficient]
    assert len(good) > 1  # fewer but dearer machines draw less
    assert not any(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.permutations(good, 2))
    rest = [(d.values["cost"], d.values["power"]) for d in found.designs if not d.efficient]
    assert all(any(a[0] <= b[0] and a[1] <= b[1] for a in good) for b in rest)
    assert found.bounded == "power"
    assert re.match(r"With power at most [\d.]+ kW: ", found.ended)  # watts as everywhere else


@pytest.mark.parametrize(
    ("x", "y", "bounded"),
    [("cost", "energy", "energy"), ("cost", "carbon", "cost"), ("carbon", "energy", "energy"),
     ("energy", "throughput", "energy")],
)  # fmt: skip
def test_energy_and_carbon_are_axes(x: str, y: str, bounded: str) -> None:
    """Energy is bounded by its budget, carbon is always the optimised one; no efficient design is beaten, each fits.

    A design stands where ``plan`` tells it: at the watts that were simulated.
    """
    limit = 20_000.0 if y == "throughput" else None
    found = frontier("workload.rate_scale=25", x=x, y=y, most=3, limit=limit)
    assert found.bounded == bounded
    good = [d for d in found.designs if d.efficient]
    assert good
    sign = -1 if y == "throughput" else 1
    places = [(d.values[x], sign * d.values[y]) for d in good]
    assert not any(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.permutations(places, 2))
    for design in found.designs:
        assert all(value > 0 for value in design.values.values())
        assert design.bound is None or design.values[bounded] <= design.bound * (1 + 1e-6)
        if design.outcome and design.outcome.bill:
            told = {"energy": design.outcome.bill.mean_w, "carbon": design.outcome.bill.carbon_g_per_h}
            assert {axis: design.values.get(axis, drawn) for axis, drawn in told.items()} == pytest.approx(told)
            assert y == "throughput" or design.outcome.objective_value == pytest.approx(
                design.values[x if bounded == y else y]
            )


def test_a_walk_may_be_cut_short() -> None:
    """A walk that stops at the most designs says so and how to go on."""
    found = frontier(x="machines", y="throughput", limit=3, most=1)
    assert (len([d for d in found.designs if d.outcome]), found.complete) == (1, False)
    assert "--most" in found.ended


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ("cots", "power", "did you mean 'cost'?"),
        ("enrgy", "cost", "did you mean 'energy'?"),
        ("carbon", "throughput", "no budget bounds carbon"),
        ("cost", "cost", "expected another axis"),
        ("cost", "throughput", "grows with cost without end"),
    ],
)
def test_wrong_axes_are_named(x: str, y: str, words: str) -> None:
    """An axis that does not exist names the nearest, and a walk without an end is refused before it begins."""
    with pytest.raises(BadInput, match=words.replace("?", r"\?")):
        route(small(), x, y)


def test_a_frontier_reads_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text fits 80 columns and says once what was optimised and why it ended; JSON has every field."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    words = ["frontier", str(write_small(tmp_path)), "--x", "machines", "--limit", "2"]
    result = CliRunner().invoke(build(), words)
    assert result.exit_code == ExitCode.VALIDATED, result.output
    assert all(len(line) <= 80 and line == line.rstrip() for line in result.stdout.splitlines())
    for part in (
        "2 efficient designs",
        "Most throughput under a falling limit on machines",
        "mixed dgx-h100",
    ):
        assert part in result.stdout
    assert result.stdout.count("With machines at most") == 1
    data = json.loads(CliRunner().invoke(build(), [*words, "--json"]).stdout)
    assert sorted(data) == sorted(Frontier.__dataclass_fields__)


def test_a_looser_budget_keeps_the_plan() -> None:
    """More money never turns a validated plan into a refusal, and never makes the plan dearer."""
    costs = []
    for budget in (20.4, 45.0, 51.0, 53.0, 58.0, 68.0, 140.0):
        answer = planning.plan(small("workload.rate_scale=25", f"budgets.cost_usd_per_h={budget}"), progress=silent)
        costs.append(inf if isinstance(answer, NoPlan) else answer.objective_value)
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < inf
