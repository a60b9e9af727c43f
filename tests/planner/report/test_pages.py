"""Rules of pages: each answers its question first, on a phone as on paper, and its sliders compute nothing."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from planner.perf.layout import Role
from planner.report.frontiers import frontier_page, knee
from planner.report.html.render import render
from planner.report.interactivity import of_choices, of_frontier
from planner.report.page import Chart, Picker, Table
from planner.report.pickers import picker
from planner.report.plans import plan_page
from planner.report.rows import row_section
from planner.report.schedules import timetable_page
from planner.results.choice import Choice, Standing
from planner.results.precision import Variant
from planner.results.schedule import FixedFleet, Spent
from tests.planner import plans
from tests.planner.planning.test_oversubscribe import study
from tests.planner.sweeps import LIMITS, RATES, frontier, whatif
from tests.planner.weeks import timetable
from workloads.counts import number


def test_sliders_show_planned_points_and_no_others() -> None:
    """Every stop of the sliders is a value of the sweep, and every point has the figures of its own plan."""
    sweep = whatif()
    made = picker(sweep)
    assert made.knobs == (("workload.rate_scale", RATES), ("slo.ttft_p99_s", LIMITS))
    assert len(made.points) == len(sweep.points)
    for point in sweep.points:
        at = f"{RATES.index(point.settings['workload.rate_scale'])},{LIMITS.index(point.settings['slo.ttft_p99_s'])}"
        tiles = {tile.label: tile.value for tile in made.points[at]}
        value = point.outcome.objective_value
        assert tiles.get("Cost") == (None if value is None else f"${value:,.2f}/h")


def test_scripts_run_only_by_their_digest() -> None:
    """The policy of a page names the digest of each script on it, and allows no other."""
    text = render(plan_page(plans.plan(), plans.scenario()))
    policy = re.search(r"script-src ([^;]*);", text)
    assert policy
    assert "unsafe" not in policy[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digests = [f"'sha256-{b64encode(sha256(each.encode()).digest()).decode()}'" for each in scripts]
    assert sorted(policy[1].split()) == sorted(digests)


def test_figures_stand_above_warnings() -> None:
    """A page tells its answer and its figures before its doubts."""
    text = render(plan_page(plans.plan(), plans.scenario()))
    assert text.index('class="stamp') < text.index('class="tiles"') < text.index('class="beware"')


def test_wide_tables_become_cards_on_a_phone() -> None:
    """A table that is wider than a phone is marked for it, and each of its cells names its column."""
    text = render(plan_page(plans.plan(), plans.scenario()))
    assert 'class="cards' in text
    assert 'class="cards broad vast"' in text  # set smaller, and cards on a tablet too where that is not enough
    assert all("data-name=" in cell for cell in re.findall(r"<td[^>]*>", text))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=8))
def test_a_knee_lies_between_the_ends(points: list[tuple[float, float]]) -> None:
    """The knee of a frontier is none of its ends; of fewer than three points there is none."""
    at = knee(sorted(points))
    assert at is None or 0 < at < len(points) - 1


def test_a_knee_is_where_the_trade_turns() -> None:
    """Of an angle it is the corner; of a straight line there is none."""
    assert knee([(0, 10), (1, 1), (10, 0)]) == 1
    assert knee([(0, 10), (5, 5), (10, 0)]) is None


def test_a_frontier_answers_first() -> None:
    """The headline names an end, the knee and what it trades; the chart names both and the budget."""
    front = frontier()
    limited = replace(front, scenario=front.scenario.changed(["budgets.cost_usd_per_h=100"]))
    page = frontier_page(limited)
    assert "knee" in page.headline
    (chart,) = (b for s in page.sections for b in s.blocks if isinstance(b, Chart))
    assert {point["label"] for point in chart.spec["points"]} == {"least cost", "most throughput", "knee"}
    assert [mark["label"] for mark in chart.spec["uprights"]] == ["budget $100.00/h"]
    (slider,) = (b for s in page.sections for b in s.blocks if isinstance(b, Picker))
    assert len(slider.points) == sum(design.efficient for design in front.designs)


def test_a_schedule_says_what_it_saves() -> None:
    """Money, energy and CO2 against the fleet that is never changed stand on a tile."""
    spent = Spent(cost_usd=900.0, energy_j=3.6e8, carbon_g=4e4)
    fleet = FixedFleet(machines={"dgx-h100": 3}, runs=(), served_epochs=(), valid=True,
                       spent=Spent(cost_usd=1000.0, energy_j=5.4e8, carbon_g=6e4))  # fmt: skip
    page = timetable_page(replace(timetable(), simulated=spent, fixed=fleet), plans.scenario())
    (tile,) = (each for each in page.tiles if each.label == "Saved against a fixed fleet")
    assert (tile.value, tile.note) == ("$100 (10 %)", "50 kWh less, 20 kg CO2 less")


def test_a_headline_has_a_range_only_of_machines_that_change() -> None:
    """As many machines in every epoch are one number; others are the fewest and the most of any epoch."""
    found = timetable()
    assert found.schedule is not None
    epochs = tuple(replace(epoch, machines={"dgx-h100": 1}) for epoch in found.schedule.epochs)
    still = replace(found, schedule=replace(found.schedule, epochs=epochs))
    assert ", 1 dgx-h100, for " in timetable_page(still, plans.scenario()).headline
    more = (*epochs[:-1], replace(epochs[-1], machines={"dgx-h100": 1200}))
    moved = replace(found, schedule=replace(found.schedule, epochs=more))
    assert ", 1 to 1,200 dgx-h100, for " in timetable_page(moved, plans.scenario()).headline


def test_a_schedule_s_headline_names_its_load() -> None:
    """What is served stands in the verdict: the least and the largest peak of an epoch, the model, and the trace."""
    found = timetable()
    assert found.schedule is not None
    said = timetable_page(found, plans.scenario()).headline
    rates = [
        sum(sum(r.rate_req_per_s.values()) for r in e.runs if r.spec.role is not Role.DECODE)
        for e in found.schedule.epochs
    ]
    low, high = number(min(rates)), number(max(rates))
    peaks = low if low == high else f"{low} to {high}"
    assert said.endswith(f", for epoch peaks of {peaks} req/s of llama-3.1-70b, azure-conv-2023")


def test_a_row_shows_its_peaks_against_the_breaker() -> None:
    """The peaks of all numbers of machines that were tried are drawn with the breaker and the thresholds."""
    found = study()
    trials = (found.trials[0], replace(found.trials[0], machines=found.trials[0].machines + 1))
    (part,) = row_section(replace(found, trials=trials, thresholds_frac=(0.8, 0.89)))
    charts = {b.name: b for b in part.blocks if isinstance(b, Chart)}
    assert list(charts) == ["row-draw", "row-duration", "row-peaks"]
    for chart in charts.values():
        assert [level["y"] for level in chart.spec["levels"]] == [1.0, 0.8, 0.89]
    assert [len(line["values"]) for line in charts["row-draw"].spec["series"]] == [24, 24]
    assert charts["row-duration"].spec["x"][-1] == 1.0


def test_a_row_says_who_is_capped() -> None:
    """Each pool and priority has its share of the time below the full clock; without series there is none."""
    found = study()
    (part,) = row_section(found)
    (table,) = (b for b in part.blocks if isinstance(b, Table) and "capped" in b.caption)
    assert [(row[0], row[1], row[2], row[3], row[5]) for row in table.rows] == [
        ("mixed", "low", "26", "181.4 h", "54 %"), ("mixed", "high", "26", "1,800 s", "0.15 %"),
    ]  # fmt: skip
    (bare,) = row_section(replace(found, series=None))
    assert not any(isinstance(b, Chart) and b.name == "row-draw" for b in bare.blocks)


def test_throughput_is_shown_against_interactivity() -> None:
    """A frontier's designs stand at their tokens/s/user and tokens/s/GPU; of fewer than two there is no chart."""
    front = frontier()
    seen = [(20.0 + at, 300.0 - at) for at in range(len(front.designs))]
    designs = tuple(
        replace(d, outcome=replace(d.outcome, user_tokens_per_s=user, gpu_tokens_per_s=gpu) if d.outcome else None)
        for d, (user, gpu) in zip(front.designs, seen, strict=True)
    )
    chart = of_frontier(replace(front, designs=designs))
    known = [place for place, d in zip(seen, designs, strict=True) if d.outcome]
    assert len(known) > 1
    assert chart
    drawn = [pair for line in chart.spec["series"] for pair in zip(line["x"], line["values"], strict=True)]
    assert sorted(drawn) == sorted(known)
    assert of_frontier(replace(front, designs=designs[:1])) is None


def test_a_plan_stands_among_what_it_was_compared_with() -> None:
    """The chart tells the plan, validated rows and rows that were not simulated apart, and draws equal speeds each."""
    own = Choice(
        variant=Variant(dtype="bf16", kv_dtype="bf16", profile_set="any"), engine="vllm", engine_version="0.24",
        policy="splitwise", allowed=True, standing=Standing.CHOSEN, objective_value=1.0, bound=None, cost_usd_per_h=1.0,
        power_w=1.0, machines=1, gpus=8, gpu_tokens_per_s=300.0, user_tokens_per_s=30.0,
        usd_per_million_prompt_tokens=None, usd_per_million_output_tokens=None,
    )  # fmt: skip
    rows = (
        own,
        replace(own, standing=Standing.VALIDATED, gpu_tokens_per_s=500.0),
        replace(own, standing=Standing.BOUND),
        replace(own, standing=Standing.BOUND, gpu_tokens_per_s=700.0),
    )
    chart = of_choices(rows)
    assert chart
    assert [line["label"] for line in chart.spec["series"]] == ["this plan", "validated", "not simulated"]
    assert [line["values"] for line in chart.spec["series"]] == [[300.0], [500.0], [300.0, 700.0]]
    assert {point["label"] for point in chart.spec["points"]} == {"bf16 vllm splitwise"}
    assert of_choices(rows[:1]) is None
    assert of_choices((own, replace(own, user_tokens_per_s=None))) is None
