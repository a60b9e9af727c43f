"""Rules of the provisioning grid: nothing is left out, nothing is guessed, nothing is done twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput
from planner.executor.here import Here
from planner.report.claims import claims_page
from planner.report.grids import efficient, grid_page, grid_view
from planner.report.html.render import render
from planner.reproduce import grid as module
from planner.reproduce.claims import Curve, Figure, Reproduction, claim
from planner.reproduce.designs import SIMULATOR, cluster
from planner.reproduce.grid import BUDGETS, RATE_REQ_PER_S, Row, best, questions, read
from planner.reproduce.lab import CONVERSATION
from planner.reproduce.readings import reading
from planner.reproduce.trial import Bench, draw
from planner.scenario.designs import A100, DESIGNS, H100, H100_CAPPED

CODE = "azure-code-2023"


def row(design: str, machines: int, held: str, problem: str | None = None, rate: int = RATE_REQ_PER_S) -> Row:
    """A row of token machines of which the marked counts of prompt machines hold."""
    return Row(
        reading="as-published", workload=CODE, design=design, problem=problem, machines=machines,
        rates_req_per_s=tuple(rate if mark == "x" else 0 for mark in held),
    )  # fmt: skip


def test_the_grid_is_the_published_one() -> None:
    """At the fixed rate a workload has 4,761 + 1,521 + 1,521 + 2,691 + 218 points, those of the paper's run scripts."""
    points: dict[str, int] = {}
    for one in questions("as-published", CODE):
        if one.problem is None:
            made = next(d for d in DESIGNS if d.name == one.design)
            points[one.design] = points.get(one.design, 0) + module.most_prompts(made)
    assert points == {
        "Baseline-A100": 139, "Baseline-H100": 79, "Splitwise-AA": 4761, "Splitwise-HH": 1521, "Splitwise-HA": 2691,
        "Splitwise-HHcap": 1521,
    }  # fmt: skip


def test_every_split_of_a_budget_is_asked() -> None:
    """A budget is asked with every number of prompt machines that leaves a token machine, a baseline once."""
    asked = [q for q in questions("as-published", CODE) if q.problem == BUDGETS[0]]
    counts = {d.name: sum(q.design == d.name for q in asked) for d in DESIGNS}
    assert counts == {
        "Baseline-A100": 1, "Baseline-H100": 1, "Splitwise-AA": 85, "Splitwise-HH": 39, "Splitwise-HA": 39,
        "Splitwise-HHcap": 39,
    }  # fmt: skip


def test_the_best_is_the_cheapest_that_holds_and_all_its_equals() -> None:
    """Ties are named, dearer clusters that hold are not, and what misses with a machine more is counted."""
    found = best([row("Splitwise-HH", 2, "..x"), row("Splitwise-HH", 3, ".x."), row("Splitwise-HH", 4, ".xx")])
    cost = next(b for b in found if "cost-optimized" in b.problem)
    assert cost.clusters == ("3P+2T", "2P+3T")
    assert cost.value == pytest.approx(5 * 38.08)
    assert (cost.points, cost.held, cost.hurt) == (9, 4, 1)


def test_a_frontier_has_nothing_that_is_beaten_twice() -> None:
    """Of two clusters the one that is dearer and draws more is not drawn."""
    clusters = [cluster("Splitwise-HHcap", p, t) for p, t in ((5, 2), (4, 4), (6, 2), (3, 5))]
    points = efficient(clusters)
    assert [cost for cost, _ in points] == sorted(cost for cost, _ in points)
    assert [power for _, power in points] == sorted((power for _, power in points), reverse=True)
    assert (clusters[2].usd_per_h(SIMULATOR), clusters[2].power_w(SIMULATOR) / 1e3) not in points


def small(_name: str, _workload: str) -> list[Row]:
    """Two rows."""
    return [replace(row("Splitwise-HH", t, ""), rates_req_per_s=()) for t in (5, 6)]


def test_an_interrupted_grid_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are written are not simulated again; a line that was cut off is."""
    monkeypatch.setattr(module, "questions", small)
    monkeypatch.setattr(module, "MOST", dict.fromkeys(module.MOST, 2))
    monkeypatch.setattr(module, "WORKLOADS", (CODE,))
    told: list[float] = []

    def answer() -> list[Row]:
        told.clear()
        return module.grid(("as-published",), tmp_path, executor=Here(), progress=lambda _, frac: told.append(frac))

    whole = answer()
    assert told == [0.5, 1.0]
    assert whole == read(tmp_path)
    assert [len(r.rates_req_per_s) for r in whole] == [2, 2]
    assert (answer(), told) == (whole, [])
    (file,) = tmp_path.glob("*.jsonl")
    file.write_text(file.read_text()[:-20])
    assert (answer(), told) == (whole, [1.0])


def test_what_is_spared_a_simulation_has_the_verdict_it_would_get(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a column fewer points are simulated than it has, and each verdict is that of its own simulation."""
    monkeypatch.setattr(module, "MOST", dict.fromkeys(module.MOST, 30))
    read_as = reading("as-published", module.MODEL, (A100, H100, H100_CAPPED))
    drawn = draw(CONVERSATION, read_as.alone, requests=700)
    bench, alone = (Bench(read_as, drawn, duration_s=10.0) for _ in range(2))
    asked = replace(row("Splitwise-HH", 12, ""), workload=CONVERSATION, rates_req_per_s=())
    found = module.answered(asked, bench)
    assert bench.trials < 25
    assert len(found.rates_req_per_s) == 30
    assert dict(found.clusters()) == {c: 70 * alone.holds(c, 70.0) for c, _ in found.clusters()}
    assert {0, 70} == set(found.rates_req_per_s)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """A file that holds no rows is named with its line."""
    (tmp_path / "other.jsonl").write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(BadInput, match=r"other.jsonl:1"):
        read(tmp_path)


def test_the_verb_shows_and_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text, JSON and page say what is best; today's profiles have no published grid."""
    rows = [row("Splitwise-HH", 3, ".x"), row("Splitwise-HH", 25, "x", BUDGETS[0].value, 80)]
    monkeypatch.setattr(module, "grid", lambda *_args, **_named: rows)
    verb = ["reproduce", "splitwise-grid", "--out", str(tmp_path / "grid")]
    page = tmp_path / "page.html"
    done = CliRunner().invoke(build(), [*verb, "--json", "--report", str(page)])
    assert done.exit_code == 0, done.output
    values = sorted(b["value"] for b in json.loads(done.stdout))
    assert values == pytest.approx([5.0, 80.0, 5 * 38.08, 5 * 11532.258], rel=1e-4)
    assert "2P+3T" in page.read_text()
    text = CliRunner().invoke(build(), verb)
    assert "25P+15T" in text.stdout
    assert CliRunner().invoke(build(), [*verb, "--profiles", "current"]).exit_code == 2
    assert grid_view(best(rows)) is not None
    assert len(grid_page(rows).sections) == 1


def test_published_figures_are_drawn_on_the_page() -> None:
    """Curves become charts, numbers by design become a shaded table, each under the figure that it repeats."""
    curves = Figure(
        name="one", title="Latency", source="Fig. 16a", reading="as-published", x_label="req/s", y_label="slowdown",
        curves=(
            Curve(label="Splitwise-HH", x=(30.0, 40.0), y=(1.0, 2.0)),
            Curve(label="p", x=(3.0,), y=(27.0,), joined=False),
        ),
    )  # fmt: skip
    numbers = Figure(
        name="two", title="Throughput", source="Fig. 18a", reading="as-published", x_label="over", y_label="cluster",
        columns=("throughput",), rows=(("Splitwise-HH 25P+15T", (2.4,)),),
    )  # fmt: skip
    claims = (claim("x", 1.0, 1.0, 0.1, source="§1", reading="as-published"),)
    text = render(claims_page("Splitwise", Reproduction(claims=claims, figures=(curves, numbers))))
    assert "Fig. 16a: Latency" in text
    assert "Fig. 18a: Throughput" in text
    assert "2.4" in text
