"""Rules of what-ifs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.compare.grid import grid, knobs, split
from planner.compare.journal import Digests, Journal
from planner.compare.outcome import silent
from planner.compare.regret import Trial, Trials, regrets
from planner.compare.runner import Interrupted, Task, perform
from planner.compare.sweep import sweep, swept
from planner.errors import BadInput, ExitCode
from planner.executor import executor
from planner.executor.here import Here
from planner.files.plan_file import dumps
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.plan import CandidatePlan
from planner.results.sweep import VALIDATED, Outcome, Point, WhatIf
from planner.scenario.objectives import Objective
from tests.planner import plans
from tests.planner.small import small, write_small

ROOT = Path(__file__).parents[3]


def run(*words: object) -> Result:
    return CliRunner().invoke(build(), [str(word) for word in words])


def asked(scenario: Any, *vary: str, journal: Path | None = None, **more: Any) -> WhatIf:
    with Journal(journal) as kept:
        return swept(sweep(scenario, vary, **more), journal=kept, executor=Here(), progress=silent)


LOADS, BUDGET_W = "workload.rate_scale=1,20", "budgets.power_w=100000"
"""Two loads that take different plans, and a budget that has room for both."""


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> tuple[WhatIf, Path]:
    """The small question over its loads, with everything that a sweep can weigh, and the journal of it."""
    journal = tmp_path_factory.mktemp("weighed") / "j.jsonl"
    return asked(small(BUDGET_W), LOADS, journal=journal, tornado_frac=0.2, shadow=True), journal


# --- grids -----------------------------------------------------------------------------------------------------------


def test_the_grid_is_the_product_of_the_knobs() -> None:
    """Every combination occurs once, the last knob changing fastest, and carries its settings into the scenario."""
    points = grid(small(), knobs(["workload.rate_scale=1,2", "slo.ttft_p90_s=0.5,1,2"]))
    assert [p.name for p in points] == [f"rate_scale={r}, ttft_p90_s={t}" for r in "12" for t in ("0.5", "1", "2")]
    assert [(p.scenario.workload.rate_scale, p.scenario.slo["ttft_p90_s"]) for p in points[2:4]] == [(1, 2.0), (2, 0.5)]


def test_a_dotted_percentile_is_one_key() -> None:
    """A percentile with a decimal point is varied like any other, and keys that end alike keep their whole names."""
    points = grid(small(), knobs(["slo.ttft_p99.9_s=1", "workload.arrivals.process=poisson", "solver.backend=highs"]))
    assert points[0].name == "ttft_p99.9_s=1, arrivals.process=poisson, backend=highs"
    assert points[0].scenario.slo["ttft_p99.9_s"] == 1
    alike = grid(small(), knobs(["headroom.kv_frac=0.8", "validation.warmup_frac=0.1"]))
    assert alike[0].name == "kv_frac=0.8, warmup_frac=0.1"


@given(st.lists(st.sampled_from(["1", "2.5", "[1, 2]", "{a: 1, b: 2}", "'x,y'", "null"]), min_size=1))
def test_commas_inside_brackets_do_not_split(values: list[str]) -> None:
    """What is joined by commas is split at the same commas, lists, mappings and quoted words kept whole."""
    assert list(split(",".join(values))) == values


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        (["workload.rate_scal=1,2"], "did you mean 'rate_scale'?"),
        (["wrkload.rate_scale=1"], "did you mean 'workload'?"),
        (["slo.ttft_p99_ms=1"], "ttft_p99_s"),
        (["workload.rate_scale=1,fast"], "--vary workload.rate_scale=fast"),
        (["workload.rate_scale"], "expected dotted.key=value,value"),
        (["workload.rate_scale=1,,2"], "expected dotted.key=value,value"),
        (["workload.rate_scale=1,1"], "given twice"),
        (["workload.rate_scale=1", "workload.rate_scale=2"], "varied twice"),
    ],
)
def test_a_wrong_knob_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vary: list[str], words: str) -> None:
    """A knob that cannot be turned is bad input that names the nearest key or what was expected; nothing is written."""
    monkeypatch.chdir(tmp_path)
    path = write_small(tmp_path)
    result = run("whatif", path, *(word for each in vary for word in ("--vary", each)))
    assert result.exit_code == ExitCode.BAD_INPUT
    assert words in result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["small.yaml"]


def test_a_problem_of_many_points_is_told_once() -> None:
    """A wrong value occurs in many points of the grid, and is listed once."""
    with pytest.raises(BadInput) as wrong:
        grid(small(), knobs(["workload.rate_scale=1,2,3", "slo.ttft_p90_s=-1,1", "objective=cots"]))
    assert len(wrong.value.problems) == 2


def test_places_to_write_are_tried_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result or journal that could not be written is found before anything is planned."""
    monkeypatch.chdir(tmp_path)
    path = write_small(tmp_path)
    words = ("whatif", path, "--vary", "workload.rate_scale=1,2")
    result = run(*words, "--out", "none/out.json", "--journal", tmp_path, "--report", "none/report.html")
    assert (result.exit_code, result.stdout) == (ExitCode.BAD_INPUT, "")
    for problem in ("--out none/out.json: there is no directory", "--report none/report.html: there is no directory"):
        assert problem in result.stderr
    assert "is a directory" in result.stderr
    own = run(*words, "--journal", path)
    assert (own.exit_code, "is the input" in own.stderr) == (ExitCode.BAD_INPUT, True)
    (tmp_path / "other").write_text("not a line of ours\n")
    foreign = run(*words, "--journal", tmp_path / "other")
    assert (foreign.exit_code, "no line of a journal" in foreign.stderr) == (ExitCode.BAD_INPUT, True)
    assert (tmp_path / "other").read_text() == "not a line of ours\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "small.yaml"]


def test_nothing_to_vary_is_bad_input(tmp_path: Path) -> None:
    """A what-if that varies nothing says what could be."""
    assert "expected --vary" in run("whatif", write_small(tmp_path)).stderr


# --- journals --------------------------------------------------------------------------------------------------------


def test_digests_follow_what_is_asked(tmp_path: Path) -> None:
    """The digest of a question changes with the scenario, with the content of the files it names, and with the act."""
    trace = tmp_path / "trace.csv"
    rows = "arrival_s,prompt_tokens,output_tokens\n0,10,10\n1,10,10\n"
    trace.write_text(rows)
    scenario = small("workload.lengths=null", f"workload.trace={trace}")
    base = Digests().of("plan", scenario)
    assert Digests().of("plan", scenario) == base
    assert Digests().of("try", scenario) != base
    assert Digests().of("plan", scenario.changed(["workload.rate_scale=2"])) != base
    trace.write_text(rows + "2,10,10\n")
    assert Digests().of("plan", scenario) != base


def square(value: int) -> dict[str, int]:
    if value < 0:
        raise BadInput("value: below 0")
    return {"squared": value * value}


def tasks(*values: int) -> list[Task]:
    return [Task(digest=str(v), name=f"square of {v}", act=square, arguments=(v,)) for v in values]


@pytest.mark.parametrize("workers", [1, 2])
def test_work_is_done_once(tmp_path: Path, workers: int) -> None:
    """Equal tasks are done once, finished ones never again, in one process or several."""
    with executor(workers=workers) as crew:
        with Journal(tmp_path / "j.jsonl") as journal:
            perform(tasks(1, 2), journal=journal, executor=crew, progress=silent)
        with Journal(tmp_path / "j.jsonl") as journal:
            found = perform(tasks(2, 3, 4, 3), journal=journal, executor=crew, progress=silent)
    assert found == {"2": {"squared": 4}, "3": {"squared": 9}, "4": {"squared": 16}}
    lines = [json.loads(line)["digest"] for line in (tmp_path / "j.jsonl").read_text().splitlines()]
    assert sorted(lines) == ["1", "2", "3", "4"]


def test_progress_estimates_what_is_left() -> None:
    """Progress counts what is done, and estimates the rest from what the finished took."""
    told: list[str] = []
    perform(tasks(1, 2, 3), journal=Journal(), executor=Here(), progress=lambda words, _: told.append(words))
    assert told[0] == "0 of 3 done"
    assert told[1].startswith("1 of 3 done, about 0 s left; last square of 1")
    assert told[-1] == "3 of 3 done; last square of 3"


def test_a_wrong_task_is_named() -> None:
    """Bad input of one task ends the work, and says which task it was."""
    with pytest.raises(BadInput, match="square of -1: value: below 0"):
        perform(tasks(1, -1, 2), journal=Journal(), executor=Here(), progress=silent)


def test_an_interruption_says_how_far_it_came() -> None:
    """Ctrl-C between two tasks says how many were done of how many."""

    def stop(_words: str, done_frac: float) -> None:
        if done_frac > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="2 of 3 done"):
        perform(tasks(1, 2, 3), journal=Journal(), executor=Here(), progress=stop)


EIGHT = ("--vary", "workload.rate_scale=" + ",".join(f"{1 + k / 10:g}" for k in range(8)), "--no-regret", "--json")

CTRL_C = """
import os, signal, sys
from planner.__main__ import main as run
from planner.compare.journal import Journal
note = Journal.note
def press(journal, entry):
    note(journal, entry)
    if len(journal.elapsed_s) == 3:
        os.killpg(0, signal.SIGINT)  # as a terminal does: to every process of the group
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
    Journal.note = press
    run()
"""


def test_an_interrupted_sweep_continues(tmp_path: Path) -> None:
    """Ctrl-C at the 3rd of 8 points leaves a journal from which the same command continues, repeating nothing."""
    door = tmp_path / "door.py"
    door.write_text(CTRL_C)
    words = ["whatif", str(write_small(tmp_path)), *EIGHT]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.run(
        [sys.executable, str(door), *words, "--workers", "2"], cwd=tmp_path, env=environment, capture_output=True,
        start_new_session=True, check=False,
    )  # fmt: skip
    journal = tmp_path / "small.whatif.jsonl"
    before = journal.read_bytes()
    assert (first.returncode, first.stdout) == (ExitCode.INTERRUPTED, b"")
    assert b"interrupted: " in first.stderr
    assert b"of 8 done" in first.stderr
    assert before.count(b"\n") == 3
    second = subprocess.run(
        [sys.executable, "-m", "planner", *words, "--workers", "1"], cwd=tmp_path, env=environment, capture_output=True,
        check=True,
    )  # fmt: skip
    after = journal.read_bytes()
    assert after.startswith(before)
    digests = [json.loads(line)["digest"] for line in after.splitlines()]
    assert len(digests) == len(set(digests)) == 8
    assert [p["settings"]["workload.rate_scale"] for p in json.loads(second.stdout)["points"]][6] == "1.6"


# --- what comes of it ------------------------------------------------------------------------------------------------


def test_a_sweep_plans_every_point(weighed: tuple[WhatIf, Path]) -> None:
    """Every point of a sweep is the plan of its scenario, and a sweep read from its journal is the same to the byte."""
    first, journal = weighed
    assert [point.outcome.verdict for point in first.points] == [VALIDATED, VALIDATED]
    costs = [point.outcome.objective_value or 0.0 for point in first.points]
    assert costs[0] < costs[1]
    for point in first.points:
        margins = {e.key: 1 - e.high / e.limit for e in point.outcome.evidence}
        assert point.outcome.margin_frac == pytest.approx(margins)  # nine digits are kept
    again = asked(small(BUDGET_W), LOADS, journal=journal, tornado_frac=0.2, shadow=True)
    assert dumps(again) == dumps(first)
    assert again == first


def test_a_point_without_a_plan_says_why() -> None:
    """A scenario that cannot be met is a point like any other, with the reason and what to raise."""
    found = asked(small("budgets.machines=1"), "workload.rate_scale=1,50")
    assert found.points[0].outcome.verdict == VALIDATED
    assert found.points[1].outcome.verdict == "infeasible"
    assert any("raise budgets.machines from 1" in line for line in found.points[1].outcome.explanation)
    assert {(each.bought, each.happens) for each in found.regret} == set()


def test_the_bar_of_a_price_is_what_the_plan_pays(weighed: tuple[WhatIf, Path]) -> None:
    """A tornado is sorted by effect; a price moved by 20 % moves a plan of those machines alone by at most 20 %."""
    found, _ = weighed
    assert [s.span for s in found.tornado] == sorted((s.span for s in found.tornado), reverse=True)
    assert found.base is not None
    value = found.base.outcome.objective_value or 0.0
    paid = next(s for s in found.tornado if s.name == "price of dgx-a100")
    assert paid.low_change == pytest.approx(-0.2 * value)
    assert 0 <= (paid.high_change or 0.0) <= 0.2 * value * (1 + 1e-9)
    names = {s.name for s in found.tornado}
    assert names >= {"load", "prompt length", "output length", "price of dgx-h100", "objective ttft_p90_s"}


def test_a_budget_that_binds_is_worth_something(weighed: tuple[WhatIf, Path]) -> None:
    """One more machine in a full budget carries more; a budget with room to spare is worth nothing."""
    tight = asked(small("objective=throughput", "budgets.machines=1"), shadow=True).shadow_prices
    assert [(p.budget, p.limit, p.step) for p in tight] == [("machines", 1.0, 1.0)]
    assert (tight[0].gain_per_unit or 0.0) > 0
    loose = weighed[0].shadow_prices
    assert (loose[0].gain_per_unit, loose[0].loss_per_unit, loose[0].step) == (0.0, 0.0, 6500.0)


# --- regret ----------------------------------------------------------------------------------------------------------


def owner(name: str, machines: dict[str, int]) -> Point:
    """A point whose plan owns machines of these types."""
    pool = plans.candidate().pools[0]
    spec = {m: InstanceSpec(role=Role.MIXED, machine=m, layout=Layout(tp=8)) for m in machines}
    pools = tuple(replace(pool, spec=spec[m], machines=n, instances=n) for m, n in machines.items())
    candidate: CandidatePlan = replace(plans.candidate(), pools=pools)
    outcome = Outcome(
        digest=name, verdict=VALIDATED, explanation=(), candidate=candidate, objective_value=1.0, served_req_per_s=1.0,
        bound=None, evidence=(), margin_frac={}, binds=(),
    )  # fmt: skip
    return Point(name=name, settings={}, outcome=outcome)


YES, NO = Trial(holds=True, fails=()), Trial(holds=False, fails=("ttft_p99_s missed",))
WEIGHTS = {"x": 10.0, "y": 25.0}


def test_regret_is_what_is_owned_less_the_best() -> None:
    """Too large a plan is regretted by what it costs more; too small a one by what must be added, the cheapest way."""
    points = [owner("calm", {"x": 1}), owner("busy", {"x": 2, "y": 1}), owner("mad", {"y": 4})]
    trials = {
        "calm": Trials(trials=(YES, YES, YES), weights=WEIGHTS),
        "busy": Trials(trials=(NO, YES, YES), weights=WEIGHTS),
        "mad": Trials(trials=(NO, NO, YES), weights=WEIGHTS),
    }
    found = {(r.bought, r.happens): r for r in regrets(points, trials)}
    assert found["busy", "calm"].regret == 45 - 10
    assert (found["calm", "busy"].add, found["calm", "busy"].extra) == ({"x": 1, "y": 1}, 35.0)
    assert found["calm", "busy"].regret == 0  # what was bought is part of the best plan: nothing is lost
    assert (found["busy", "mad"].add, found["busy", "mad"].regret) == ({"y": 3}, 45 + 75 - 100)
    assert all(found[p.name, p.name].regret == 0 for p in points)


def test_another_plan_may_be_the_best() -> None:
    """Where a plan made for another scenario is cheaper than a scenario's own, the own one is regretted too."""
    points = [owner("a", {"x": 1}), owner("b", {"y": 1})]
    trials = {name: Trials(trials=(YES, YES), weights=WEIGHTS) for name in ("a", "b")}
    found = {(r.bought, r.happens): r.regret for r in regrets(points, trials)}
    assert found == {("a", "a"): 0, ("b", "a"): 15, ("a", "b"): 0, ("b", "b"): 15}


def test_what_is_not_for_sale_has_no_regret() -> None:
    """A machine that a scenario does not sell has no price there, and nothing is guessed."""
    points = [owner("a", {"z": 1}), owner("b", {"x": 1})]
    trials = {name: Trials(trials=(NO, NO), weights=WEIGHTS) for name in ("a", "b")}
    assert {(r.bought, r.happens): r.regret for r in regrets(points, trials)}["a", "b"] is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any), min_size=2, max_size=4), st.data())
def test_regret_is_never_negative(owned: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whoever owns what, and whatever holds where, nobody does better than the best plan known."""
    points = [owner(str(i), {name: n for name, n in zip("xy", each, strict=True) if n}) for i, each in enumerate(owned)]
    trials = {
        p.name: Trials(trials=tuple(data.draw(st.sampled_from([YES, NO])) for _ in points), weights=WEIGHTS)
        for p in points
    }
    found = regrets(points, trials)
    assert all(r.regret is not None and r.regret >= 0 for r in found)
    assert all(r.extra == 0 and not r.add for r in found if r.holds)
    assert all(min(r.regret or 0.0 for r in found if r.happens == p.name) == 0 for p in points)


def test_throughput_has_no_regret() -> None:
    """For throughput no plan is weighed in other futures: serving less is not in the unit of what was paid."""
    found = asked(small("objective=throughput", "budgets.machines=1"), "slo.ttft_p90_s=0.5,1.0")
    assert (found.scenario.objective, found.regret) == (Objective.THROUGHPUT, ())


def test_a_plan_is_tried_on_other_loads(weighed: tuple[WhatIf, Path]) -> None:
    """Bought for a small load a plan misses a larger one, bought for the larger it holds the smaller."""
    found = {(r.bought, r.happens): r for r in weighed[0].regret}
    assert not found["rate_scale=1", "rate_scale=20"].holds
    assert found["rate_scale=1", "rate_scale=20"].fails
    assert found["rate_scale=20", "rate_scale=1"].holds
    assert (found["rate_scale=20", "rate_scale=1"].regret or 0) > 0


# --- what people see -------------------------------------------------------------------------------------------------


def test_a_sweep_reads_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weighed: tuple[WhatIf, Path]) -> None:
    """The text of a sweep fits 80 columns, shows points, regret, effects and prices, and says what was written."""
    (tmp_path / "w.json.journal.jsonl").write_bytes(weighed[1].read_bytes())  # the same question: nothing is planned
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    words = ("whatif", write_small(tmp_path), "--vary", LOADS, "--tornado", "20")
    result = run(*words, "--shadow-prices", "--set", BUDGET_W, "--out", "w.json", "--workers", "1",
                 "--report", "w.html", "--sections", "all")  # fmt: skip
    assert result.exit_code == ExitCode.VALIDATED, result.output
    assert all(len(line) <= 80 and line == line.rstrip() for line in result.stdout.splitlines())
    parts = ("2 OF 2 POINTS VALIDATED", "Regret", "1 of 2", "price of dgx-a100", "Worth of a budget")
    assert [part for part in parts if part not in result.stdout] == []
    assert sorted(json.loads((tmp_path / "w.json").read_text())) == sorted(WhatIf.__dataclass_fields__)
    assert (tmp_path / "w.json.journal.jsonl").read_bytes() == weighed[1].read_bytes()
    assert "rate_scale" in (tmp_path / "w.html").read_text()


def test_no_plan_anywhere_ends_like_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no point has a plan, the exit code is that of the first point."""
    monkeypatch.chdir(tmp_path)
    result = run("whatif", write_small(tmp_path), "--vary", "budgets.machines=0", "--workers", "1")
    assert result.exit_code == ExitCode.INFEASIBLE
    assert "infeasible" in result.stdout
