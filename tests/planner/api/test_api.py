"""Rules of the verbs for notebooks and programs."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from planner import Scenario, api, plan, simulate, whatif
from planner.api.frames import Shown
from planner.errors import BadInput
from planner.files.plan_file import read_plan
from planner.scenario.objectives import Objective
from planner.schedules.files import read_schedule
from tests.planner import plans, sweeps
from tests.planner.small import small, write_small
from tests.planner.weeks import timetable

ROOT = Path(__file__).parents[3]


def fresh(code: str) -> str:
    """What a program prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_verbs_stay_verbs() -> None:
    """A verb is a function whether its module was imported before it or after it."""
    before = (
        "import planner.results.plan, planner.results.sweep, planner.compare.frontier, planner.results.difference\n"
    )
    verbs = "from planner import plan, simulate, whatif, frontier, diff\n"
    shown = "print(*(type(v).__name__ for v in (plan, simulate, whatif, frontier, diff)))"
    assert fresh(before + verbs + shown) == fresh(verbs + before + verbs + shown) == " ".join(["function"] * 5)
    assert Objective.COST == "cost"


def test_importing_the_package_is_light() -> None:
    """The package alone loads nothing: no verb, no data frame, no solver."""
    heavy = {"planner.api", "pandas", "numpy", "pulp", "pydantic"}
    code = f"import sys, planner; print({heavy} & set(sys.modules) or 'light')"
    assert fresh(code) == "light"


def test_unknown_names_are_missing() -> None:
    """The package has its verbs and nothing else by chance."""
    with pytest.raises(ImportError, match="cannot import name 'plot'"):
        exec("from planner import plot")
    assert {"plan", "simulate", "whatif", "frontier", "diff", "Scenario"} <= set(dir(__import__("planner")))


def test_a_plan_is_framed_and_saved(tmp_path: Path) -> None:
    """A plan has a row for each pool and each objective, a table for notebooks, and the file that the CLI writes."""
    found = plan(small())
    assert found.valid
    assert list(found.frame()["machines"].astype(int)) == [pool.machines for pool in found.plan.candidate.pools]
    assert list(found.evidence()["slo"]) == ["ttft_p90_s", "tbt_p90_s"]
    assert "<table" in found._repr_html_()
    found.save(tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json").scenario == small()
    seen = simulate(tmp_path / "plan.json", "workload.rate_scale=2")
    assert seen.scenario.workload.rate_scale == 2
    assert len(seen.pools()) == len(found.frame())


def test_a_question_may_be_words_or_a_file(tmp_path: Path) -> None:
    """Words ask what `phasewise plan` asks with them; a path is read; both at once, or none, are refused."""
    from tests.planner.small import write_small

    assert plan(write_small(tmp_path)).frame().equals(plan(small()).frame())
    with pytest.raises(BadInput, match="found a scenario and model"):
        api.asked(small(), {"model": "llama-3.1-8b"})
    with pytest.raises(BadInput, match="--model: missing"):
        api.asked(None, {"rate": 3.0})
    with pytest.raises(BadInput, match="ttfs: is no word; expected model, rate"):
        api.asked(None, {"ttfs": 3.0})  # type: ignore[typeddict-unknown-key]
    made = api.asked(
        None,
        {"model": "llama-3.1-8b", "rate": 2, "prompt": 100, "output": "20:40", "ttft": 1, "machines": ["dgx-h100"]},
    )
    assert isinstance(made, Scenario)
    assert (made.workload.rate_req_per_s, made.catalog.machines) == (2, ("dgx-h100",))


def test_everything_in_a_plan_is_a_frame() -> None:
    """Alternatives, rejected plans, rounds, bands and rows have their columns, whether or not there are rows."""
    found = plan(small())
    assert {"policy", "cost_usd_per_h", "standing"} <= set(found.alternatives().columns)
    assert list(found.smaller().columns) == ["pool", "machines", "fails"]
    assert found.rounds()["valid"].tolist()[-1]
    assert {"metric", "low_ratio", "high_ratio"} <= set(found.bands().columns)
    assert "peak_frac" in found.rows().columns
    assert found.rows().empty


def test_a_notebook_shows_the_verdict_and_escapes_it() -> None:
    """HTML and Markdown begin with the verdict; no plan shows its reasons; names are no markup."""
    found = plan(small("name=<script>"))
    assert "<strong>VALIDATED: 1 machine" in found._repr_html_()
    assert "<script>" not in found._repr_html_()
    assert found._repr_markdown_().startswith("# ")
    nothing = api.Planned(scenario=plans.scenario(), answer=plans.no_plan())
    assert "NO PLAN (infeasible)" in nothing._repr_html_()
    assert nothing._repr_markdown_().startswith("**NO PLAN")


def test_phasewise_is_a_name_of_it() -> None:
    """`import phasewise` has what `planner` has, and loads as little."""
    code = (
        "import sys, phasewise, planner; print(phasewise.plan is planner.plan, {'numpy'} & set(sys.modules) or 'light')"
    )
    assert fresh(code).startswith("True")
    assert fresh("import sys, phasewise; print({'numpy', 'planner.api'} & set(sys.modules) or 'light')") == "light"


def test_a_schedule_is_planned_and_framed() -> None:
    """A scenario over time has a row for each epoch, each pool of it, and each objective of those that were served."""
    found = plan(small("schedule={load: [0.5, 1.0]}"))
    assert isinstance(found, api.Scheduled)
    assert found.valid
    assert found.frame()["start_h"].tolist() == [0.0, 1.0]
    assert set(found.pools()["start_h"]) == {0.0, 1.0}
    assert set(found.evidence()["verdict"]) == {"met"}
    assert "<table" in found._repr_html_()


def test_no_plan_is_an_answer() -> None:
    """Where there is no plan the frame is empty, and asking for the plan gives the reason."""
    nothing = api.Planned(scenario=plans.scenario(), answer=plans.no_plan())
    assert not nothing.valid
    assert nothing.frame().empty
    with pytest.raises(BadInput, match="infeasible"):
        _ = nothing.plan
    many = replace(plans.no_plan(), explanation=("nothing fits", *(f"reason {n}" for n in range(60))))
    with pytest.raises(BadInput) as caught:
        _ = replace(nothing, answer=many).plan
    first, *rest = caught.value.problems
    assert first.endswith("nothing fits")
    assert rest[-1] == "52 more reasons: answer.explanation"
    assert len(rest) == 9


def test_a_sweep_is_framed() -> None:
    """A sweep has a row for each point with its settings as numbers, and a square of regrets."""
    found = whatif(small(), {"workload.rate_scale": [1, 2], "catalog.tp": [[8]]})
    frame = found.frame()
    assert list(frame["workload.rate_scale"]) == [1.0, 2.0]
    assert set(frame["verdict"]) == {"validated"}
    assert found.regret().shape == (2, 2)
    assert list(found.regret().index) == list(found.regret().columns)


def test_an_answer_or_a_path_is_its_question(tmp_path: Path) -> None:
    """What-ifs and frontiers of a plan in hand, or of a file, are those of its scenario."""
    expected = whatif(small(), {"workload.rate_scale": [2]}).frame()
    for given in (plan(small()), write_small(tmp_path), str(write_small(tmp_path))):
        assert whatif(given, {"workload.rate_scale": [2]}).frame().equals(expected)


def test_scenarios_load_from_words(tmp_path: Path) -> None:
    """A path may be a text."""
    path = tmp_path / "s.yaml"
    path.write_text((plans.EXAMPLES / "splitwise-conv.yaml").read_text())
    assert Scenario.load(str(path)) == Scenario.load(path)


def test_several_models_are_planned_from_python(tmp_path: Path) -> None:
    """``plan`` of a fleet has a frame of the pools and of the evidence of every model, and is saved as one file."""
    from planner import plan as planned
    from planner.files.fleet_file import read_fleet_file
    from tests.planner.two_models import two

    found = planned(two())
    assert found.valid
    assert found.frame()["model"].tolist() == ["chat", "code"]
    assert found.evidence()["verdict"].tolist() == ["met"] * 4
    found.save(tmp_path / "two.json")
    file = read_fleet_file(tmp_path / "two.json")
    assert file is not None
    assert file.fleet.objective_value == pytest.approx(found.plan.objective_value)
    assert [each.name for each in file.fleet.models] == ["chat", "code"]
    none = planned(two("budgets.machines=1"))
    with pytest.raises(BadInput, match="there is no plan"):
        none.save(tmp_path / "none.json")


RESULTS: dict[str, Callable[[], Shown]] = {
    "plan": lambda: api.Planned(scenario=plans.scenario(), answer=plans.plan()),
    "no plan": lambda: api.Planned(scenario=plans.scenario(), answer=plans.no_plan()),
    "simulation": lambda: api.Simulated(
        scenario=plans.scenario(), judgement=plans.overloaded(), candidate=plans.candidate()
    ),
    "schedule": lambda: api.Scheduled(scenario=plans.scenario(), found=timetable()),
    "no schedule": lambda: api.Scheduled(scenario=plans.scenario(), found=replace(timetable(), schedule=None)),
    "what-if": lambda: api.Swept(found=sweeps.whatif()),
    "frontier": lambda: api.Walked(found=sweeps.frontier()),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_shows_its_verdict_first(name: str) -> None:
    """In a notebook and at a prompt: the verdict of the command's own page, then some rows."""
    found = RESULTS[name]()
    page = found.page()
    assert found.verdict.startswith(page.verdict.partition(" (")[0])
    assert found._repr_html_().startswith(f"<p style='margin:0.3em 0'><strong>{escape(found.verdict)}</strong></p>")
    assert repr(found).startswith(found.verdict)
    assert len(repr(found).splitlines()) < 70
    assert found.frame().empty or found._repr_html_().count("<tr") < 80


def test_what_takes_no_plan_over_time_says_so() -> None:
    """A difference of moves needs two plans of one load; records need one: refused as bad input."""
    week = api.Scheduled(scenario=plans.scenario(), found=timetable())
    with pytest.raises(BadInput, match="found Scheduled; expected what plan"):
        api.diff(week, week)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="expected one of one load"):
        api.simulate(week, records="all.csv")  # type: ignore[call-overload]


def test_a_schedule_is_saved_and_served_again(tmp_path: Path) -> None:
    """Its file is what the command writes, and at another load its machines say whether they keep the objectives."""
    day = plan(small("schedule={load: [0.5, 40.0]}"))
    assert isinstance(day, api.Scheduled)
    day.save(tmp_path / "day.json")
    kept = read_schedule(tmp_path / "day.json")
    assert kept
    assert len(kept.schedule.epochs) == 2
    assert simulate(day).valid
    assert not simulate(day, "workload.rate_scale=20").valid
    with pytest.raises(BadInput, match="no validated schedule"):
        api.Scheduled(scenario=plans.scenario(), found=replace(timetable(), schedule=None)).save(tmp_path / "none.json")
