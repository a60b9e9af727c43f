"""Rules of the report as text; what a browser makes of it is in tests/browser."""

import json
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.compare.bill import bill
from planner.report.frontiers import frontier_page
from planner.report.html.charts import short
from planner.report.html.drawings import bar, margin
from planner.report.html.render import render
from planner.report.page import Chart, Page
from planner.report.plans import no_plan_page, plan_page, simulation_page
from planner.report.schedules import timetable_page
from planner.report.sweeps import whatif_page
from planner.results.evidence import NoPlan
from planner.results.use import PowerUse
from planner.scenario import Scenario
from planner.scenario.energy import EnergySection
from tests.planner import plans
from tests.planner.compare.test_bill import use
from tests.planner.pictures import picture
from tests.planner.planning.test_oversubscribe import study
from tests.planner.sweeps import frontier, whatif
from tests.planner.weeks import timetable

ASSETS = resources.files("planner.report.html") / "assets"
UPLOT_SHA256 = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
}


def pages() -> dict[str, Page]:
    scenario = plans.scenario()
    return {
        "plan": plan_page(plans.plan(), scenario, picture()),
        "simulation": simulation_page(plans.overloaded(), plans.candidate(), scenario, picture()),
        "no-plan": no_plan_page(plans.no_plan(), scenario),
        "whatif": whatif_page(whatif()),
        "frontier": frontier_page(frontier()),
        "week": timetable_page(timetable(), scenario),
    }


PAGES = pages()


class Parts(HTMLParser):
    """Tags, ids and links of a page, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(data)


def test_power_is_shown_where_it_is_known() -> None:
    """Watts, joules a token and the row's answer are on the page of a plan that has them, and on no other."""
    power = PowerUse(
        mean_w=7000.0, p50_w=7000.0, p95_w=7500.0, p99_w=7600.0, peak_w=7777.0, standby_w=3000.0, prefill_w=3000.0,
        decode_w=1000.0,
    )  # fmt: skip
    bare = plans.plan()
    pools = tuple(replace(use, power=power) for use in bare.judgement.pools)
    known = replace(bare, judgement=replace(bare.judgement, pools=pools), power=study())
    series = tuple(replace(each, power_w=tuple(7000.0 for _ in each.busy_frac)) for each in picture().pools)
    seen = replace(picture(), pools=series)
    without, full = (
        "".join(Parts(render(plan_page(p, plans.scenario(), s))).words) for p, s in ((bare, picture()), (known, seen))
    )
    joules = f"{2 * 7000.0 / bare.judgement.output_tokens_per_s:.3g} J"
    for words in ("wall power", "7.777 kW", joules, "A row of 180 kW holds 52 machines", "wall power of the machines"):
        assert words in full
        assert words not in without
    assert "at rated power" in without


def test_every_point_tells_its_watts() -> None:
    """A point has its rated, expected and P99 watts and joules of a token; cells that nobody can fill stay empty."""
    sweep = whatif()
    judged = replace(plans.judgement(), power=use(8000.0), output_tokens_per_s=100.0)
    totals = replace(plans.candidate().totals, power_w=20_000.0, expected_power_w=7000.0)
    first = sweep.points[0]
    billed = replace(first, outcome=replace(first.outcome, bill=bill(totals, judged, EnergySection())))
    without, full = (
        Parts(render(whatif_page(replace(sweep, points=(point, *sweep.points[1:]))))).words for point in (first, billed)
    )
    for heading in ("rated", "expected", "p99", "J/token"):
        assert heading in without
    for words in ("7 kW", "10.4 kW", "80"):
        assert full.count(words) == without.count(words) + 1


def test_one_thing_at_a_time_is_no_empty_grid() -> None:
    """A what-if without a grid leads with the plan as given, and tells the worth of power by the kW."""
    alone = replace(whatif(), points=(), knobs=(), regret=())
    words = "".join(Parts(render(whatif_page(alone))).words)
    assert "as given: cost $" in words
    assert "no point has a plan" not in words
    assert "per kW" in words


@pytest.mark.parametrize("name", sorted(PAGES))
def test_verdict_comes_first(name: str) -> None:
    """The first words of a report are its verdict."""
    seen = [w.strip() for w in Parts(render(PAGES[name])).words if w.strip()]
    assert PAGES[name].verdict in seen[2]  # after the title and the link that skips to the report


@pytest.mark.parametrize("name", sorted(PAGES))
def test_nothing_is_fetched(name: str) -> None:
    """No tag of a report refers to anything outside it, and its policy forbids what a script might try."""
    text = render(PAGES[name])
    for tag, attributes in Parts(text).tags:
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(key) or "#").startswith(("#", "data:,")), (tag, attributes)
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_navigation_leads_somewhere(name: str) -> None:
    """Every link of the navigation has its section, and no id occurs twice."""
    tags = Parts(render(PAGES[name])).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for tag, a in tags if tag == "a"} <= set(ids)


def test_scenario_can_be_asked_again(tmp_path: Path) -> None:
    """The scenario in a report, saved to a file, is the scenario of the plan."""
    code = next(b for s in PAGES["plan"].sections for b in s.blocks if b.kind == "code")
    (tmp_path / "again.yaml").write_text(code.text, encoding="utf-8")
    assert Scenario.load(tmp_path / "again.yaml") == plans.scenario()


HOSTILE = ['</script><script>alert("x")</script>', "<img src=x onerror=alert(1)>", "a & b", '"><b>', "\u2028'"]


@pytest.mark.parametrize("words", HOSTILE)
def test_nothing_a_scenario_says_becomes_markup(words: str) -> None:
    """Names, notes and sources are shown as they are, whatever they contain."""
    scenario = plans.scenario().model_copy(update={"name": words})
    base = plans.plan()
    plan = replace(base, warnings=(words,), sources=(words,), rounds=(replace(base.rounds[0], note=words),))
    odd = picture()
    odd = replace(odd, bought=tuple(replace(b, gpu=words, link=words) for b in odd.bought), words=words)
    text = render(plan_page(plan, scenario, odd))
    plain = render(PAGES["plan"])
    assert [t for t, _ in Parts(text).tags if t in ("script", "img", "b")] == [
        t for t, _ in Parts(plain).tags if t in ("script", "img", "b")
    ]
    assert sum(words in seen for seen in ["".join(Parts(text).words)]) == 1


@given(values=st.lists(st.floats(allow_nan=False) | st.just(float("inf")), max_size=20))
def test_chart_data_are_json(values: list[float]) -> None:
    """Whatever was measured, a series is JSON: what is infinite is left out."""
    assert len(json.loads(json.dumps(short(values), allow_nan=False))) == len(values)


@settings(max_examples=50)
@given(low=st.floats(0, 3), more=st.floats(0, 3), most=st.floats(0, 3) | st.just(float("inf")), share=st.floats(0, 1e6))
def test_small_drawings_stay_inside(low: float, more: float, most: float, share: float) -> None:
    """However far beyond its limit a value is, its drawing stays within its cell."""
    for text in (margin(low, low + more, low + more + most, "x", tone="bad"), bar(share, "x")):
        assert "inf" not in text
        assert "nan" not in text
        width = float(re.search(r'viewBox="0 0 (\S+)', text)[1])  # type: ignore[index]
        for x, length in re.findall(r'<rect x="(\S+)" y="\S+" width="(\S+)"', text):
            assert 0 <= float(x) + float(length) <= width + 1.5


def test_charts_name_their_axes() -> None:
    """Every chart has a title, a note, series of equal length, and a unit on its vertical axis."""
    for page in PAGES.values():
        for chart in (b for s in page.sections for b in s.blocks if isinstance(b, Chart)):
            assert chart.title
            assert chart.note
            assert chart.spec["yUnit"]
            for series in chart.spec["series"]:
                assert len(series["values"]) == len(series.get("x", chart.spec.get("x")))


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` or ``#rgb`` (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(d * 2 for d in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def themes() -> list[dict[str, str]]:
    """The colours of the light and of the dark theme."""
    css = (ASSETS / "page.css").read_text(encoding="utf-8")
    return [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block)) for block in re.findall(r"\{([^}]*--c0:[^}]*)\}", css)
    ]


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_colours_are_legible(theme: dict[str, str]) -> None:
    """Lines stand out 3:1 from what they are drawn on, and words 4.5:1 (WCAG 2.2), in both themes."""
    for ground in ("ground", "panel"):
        for line in (f"c{i}" for i in range(7)):
            assert contrast(theme[line], theme[ground]) >= 3, (line, ground)
        for ink in ("ink", "quiet", "good", "bad", "open"):
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)


def test_chart_library_is_as_published() -> None:
    """The chart library is the published file, byte for byte, with its licence beside it and its version in NOTICE."""
    for name, digest in UPLOT_SHA256.items():
        assert sha256((ASSETS / name).read_bytes()).hexdigest() == digest
    assert "MIT License" in (ASSETS / "uPlot-LICENSE.txt").read_text(encoding="utf-8")
    notice = (Path(__file__).parents[3] / "NOTICE").read_text(encoding="utf-8")
    version = re.search(r"\(v([\d.]+)\)", (ASSETS / "uPlot.iife.min.js").read_text(encoding="utf-8")[:200])
    assert version
    assert f"uPlot {version[1]}" in notice


def test_report_stays_small() -> None:
    """A report of a plan is far below 3 MB: it can be mailed."""
    assert len(render(PAGES["plan"]).encode()) < 500_000


def test_no_plan_says_what_to_raise() -> None:
    """The page of there being no plan names the budgets to raise and every option refused."""
    text = "".join(Parts(render(PAGES["no-plan"])).words)
    assert "power_w" in text
    assert "mixed/dgx-a100/tp1" in text


def test_no_plan_shows_its_best_candidate() -> None:
    """Where a candidate failed in simulation, the page shows by how much."""
    failed: NoPlan = replace(plans.no_plan(), judgement=plans.overloaded(), rounds=plans.plan().rounds)
    page = no_plan_page(failed, plans.scenario())
    assert {"best", "rounds"} <= {s.name for s in page.sections}
