"""Rules of the report in a real browser."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from planner.report.frontiers import frontier_page
from planner.report.grids import grid_page
from planner.report.plans import no_plan_page, plan_page, simulation_page
from planner.report.scatters import accuracy_page
from planner.report.schedules import timetable_page
from planner.report.sweeps import whatif_page
from tests.browser.conftest import Opened
from tests.planner import plans
from tests.planner.pictures import picture
from tests.planner.planning.test_oversubscribe import study
from tests.planner.report.test_scatters import found as predicted
from tests.planner.reproduce.test_grid import row as held
from tests.planner.sweeps import frontier, whatif
from tests.planner.weeks import timetable

Open = Callable[..., Opened]
MANY = predicted([1.0, 1.1, 0.9, 1.2])
PLAN = plan_page(plans.plan(), plans.scenario(), picture())
PAGES = {
    "plan": PLAN,
    "simulation": simulation_page(plans.overloaded(), plans.candidate(), plans.scenario(), picture()),
    "no-plan": no_plan_page(plans.no_plan(), plans.scenario()),
    "whatif": whatif_page(whatif()),
    "frontier": frontier_page(frontier()),
    "week": timetable_page(timetable(), plans.scenario()),
    "row": plan_page(replace(plans.plan(), power=study()), plans.scenario(), picture()),
    "accuracy": accuracy_page(
        replace(MANY, values=(*MANY.values, *(replace(v, predicted_value=9) for v in MANY.values)))
    ),
    "grid": grid_page([held("Splitwise-HH", n, ".x" * n) for n in (3, 9)] + [held("Splitwise-HA", 5, "..xxx")]),
}

INKED = """() => [...document.querySelectorAll("figure.chart canvas")].map((c) => {
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, hues = new Set();
  for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200) hues.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
  return hues.size;
})"""
"""How many colours each canvas holds."""

OVERLAPS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll("svg.drawing")) {
    const frame = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll("text:not([transform])")]
      .map((t) => [t.textContent, t.getBoundingClientRect()]);
    words.forEach(([a, r], i) => {
      if (r.left < frame.left - 1 || r.right > frame.right + 1) found.push("outside: " + a);
      words.slice(i + 1).forEach(([b, s]) => {
        if (r.left < s.right - 1 && s.left < r.right - 1 && r.top < s.bottom - 2 && s.top < r.bottom - 2)
          found.push(a + " over " + b);
      });
    });
  }
  return found;
}"""
"""Texts of drawings that lie on each other, or stick out; slanted ones have boxes that say nothing."""


def ground(tab: Any) -> str:
    return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))


SCROLLING = """[...document.querySelectorAll("nav, .scroll")].filter((e) => e.scrollWidth > e.clientWidth + 1)
  .map((e) => `${e.tagName} ${e.ariaLabel}: ${e.scrollWidth} in ${e.clientWidth}`)"""


@pytest.mark.parametrize("name", sorted(PAGES))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_is_drawn_in_silence(opened: Open, name: str, scheme: str) -> None:
    """Every chart is drawn, in either theme; the console stays empty; nothing but the file itself is asked for."""
    seen = opened(PAGES[name], scheme)
    charts = sum(b.kind == "chart" for s in PAGES[name].sections for b in s.blocks)
    assert seen.tab.evaluate("document.documentElement.dataset.ready") == str(charts)
    assert [hues > 3 for hues in seen.tab.evaluate(INKED)] == [True] * charts
    assert seen.said == []
    assert len(seen.asked_for) == 1
    assert seen.asked_for[0].startswith("file://")


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("plan", 360),
        ("plan", 900),
        ("plan", 1200),
        ("whatif", 800),
        ("frontier", 360),
        ("week", 360),
        ("week", 900),
        ("row", 360),
        ("accuracy", 360),
        ("grid", 900),
    ],
)
def test_nothing_lies_on_anything(opened: Open, name: str, width: int) -> None:
    """At any width nothing scrolls sideways, tables and links included, and no words lie on others or stick out."""
    seen = opened(PAGES[name], width=width)
    assert seen.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.tab.evaluate(SCROLLING) == []
    assert seen.tab.evaluate(OVERLAPS) == []
    assert seen.tab.evaluate("labelsOnLabels()") == []


def test_a_thousand_machines_are_drawn_in_a_small_picture(opened: Open) -> None:
    """A large pool is drawn by its first machines and the number of the others."""
    base = plans.candidate()
    large = replace(base, pools=tuple(replace(p, machines=1000, instances=1000) for p in base.pools))
    seen = opened(plan_page(replace(plans.plan(), candidate=large), plans.scenario(), picture()))
    assert seen.tab.evaluate("document.querySelector('svg.cluster').getBoundingClientRect().height") < 500
    assert "976 more" in seen.tab.text_content("svg.cluster")
    assert seen.tab.evaluate(OVERLAPS) == []


def test_theme_can_be_switched(opened: Open) -> None:
    """The theme follows the system, the button turns it over, and the charts are drawn anew."""
    light, dark = opened(PLAN, "light"), opened(PLAN, "dark")
    assert ground(light.tab) != ground(dark.tab)
    before = light.tab.evaluate(INKED)
    light.tab.click("#theme")
    assert ground(light.tab) == ground(dark.tab)
    assert len(light.tab.evaluate(INKED)) == len(before)
    assert light.said == []


def test_report_works_by_keyboard(opened: Open) -> None:
    """Tab goes from top to bottom and reaches every control; in a chart, arrows read values out and + zooms."""
    tab = opened(PLAN).tab
    places, seen = [], set()
    for _ in range(120):
        tab.keyboard.press("Tab")
        place = tab.evaluate(
            """() => { const e = document.activeElement, r = e.getBoundingClientRect();
            const fixed = e.closest("nav, .skip"); return [e.tagName, e.className, e.getAttribute("href") ?? e.id,
            fixed ? -1 : r.top + scrollY, getComputedStyle(e).outlineStyle]; }"""
        )
        if place[0] == "BODY":
            break
        places.append(place)
        seen.add(place[1] or place[2])
    assert places[0][2] == "#main"
    assert {"plot", "copy", "theme", "scroll"} <= seen
    assert all(place[4] != "none" for place in places)  # the focus can be seen
    tops = [place[3] for place in places if place[3] >= 0 and place[1] not in ("plot", "")]
    assert tops == sorted(tops)
    tab.focus("[data-chart=batch_mean] .plot")
    for key in ("ArrowRight", "ArrowRight", "+"):
        tab.keyboard.press(key)
    assert "6 s" in tab.inner_text("#live")
    assert "decode/dgx-a100/tp8" in tab.inner_text("#live")
    tab.keyboard.press("0")


def test_points_above_each_other_are_all_drawn(opened: Open) -> None:
    """Runs with the same measured value stand above each other: a chart has a place for each, one beside the other."""
    tab = opened(PAGES["accuracy"]).tab
    tab.focus("[data-chart^=scatter] .plot")
    seen = set()
    for _ in range(4):
        tab.keyboard.press("ArrowRight")
        seen.add(tab.inner_text("#live"))
    assert len(seen) == 4


def test_series_can_be_put_out_of_sight(opened: Open) -> None:
    """A click on a series' name takes its line away, another brings it back."""
    tab = opened(PLAN).tab
    button = tab.locator("[data-chart=batch_mean] .legend button").first
    before = tab.evaluate(INKED)
    button.click()
    tab.wait_for_timeout(50)
    assert button.get_attribute("aria-pressed") == "false"
    fewer = tab.evaluate(INKED)
    button.click()
    tab.wait_for_timeout(50)
    assert tab.evaluate(INKED) == before != fewer


def test_charts_of_time_zoom_together(opened: Open) -> None:
    """Dragging over one chart of time zooms all of them, and hovering shows the values of all."""
    tab = opened(PLAN).tab
    over = tab.locator("[data-chart=batch_mean] .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] * 0.3, y)
    assert tab.inner_text("[data-chart=kv_frac] .legend output >> nth=0") != ""
    plain = tab.locator("[data-chart=kv_frac] canvas").screenshot()
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.6, y, steps=4)
    tab.mouse.up()
    tab.mouse.move(5, 5)
    tab.wait_for_timeout(80)
    assert tab.locator("[data-chart=kv_frac] canvas").screenshot() != plain


def test_report_can_be_printed(opened: Open) -> None:
    """On paper a dark report is light, everything folded is shown, and all charts fit."""
    tab = opened(PLAN, "dark").tab
    tab.evaluate("addEventListener('beforeprint', () => (window.printed = document.documentElement.dataset.theme))")
    assert tab.pdf(format="A4").startswith(b"%PDF")
    assert tab.evaluate("window.printed") == "light"
    assert tab.evaluate("[...document.querySelectorAll('details')].every((d) => d.open)")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"


def test_scenario_can_be_copied(opened: Open) -> None:
    """The button beside the scenario selects all of it and says that it was copied."""
    tab = opened(PLAN).tab
    tab.click("button.copy")
    tab.wait_for_timeout(100)
    assert tab.inner_text("button.copy") == "Copied"
    assert tab.evaluate("getSelection().toString().includes('schema_version')")
