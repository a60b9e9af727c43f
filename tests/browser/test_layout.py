"""Rules of how every kind of page is laid out: on a phone, on a tablet, on a desk, and on paper."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import read_fleet
from planner.report.fleets import fleet_page
from planner.report.html.matrices import matrix, tornado
from planner.report.page import Chart, Chip, Drawing, Page, Section, Table, Tone, columns
from planner.report.sweeps import whatif_page
from planner.results.fleet import FleetPlan
from planner.results.sweep import Point, WhatIf
from tests.browser.conftest import Opened
from tests.browser.test_report import PAGES, SCROLLING
from tests.planner.sweeps import outcome, whatif
from tests.planner.two_models import two

Open = Callable[..., Opened]


def worlds() -> WhatIf:
    """The scenario as given and three worlds, in none of which the knobs' values form a grid."""
    base = whatif()
    points = tuple(
        Point(
            name=name, settings={"workload.rate_scale": at, "slo.ttft_p99_s": at}, outcome=outcome(50 + 9 * float(at))
        )
        for name, at in (("as given", "1.0"), ("world 1", "0.5"), ("world 2", "2"), ("world 3", "4"))
    )
    regret = tuple(replace(base.regret[0], bought=a.name, happens=b.name, regret=1.0) for a in points for b in points)
    return replace(base, points=points, regret=regret, base=None, tornado=(), shadow_prices=())


@pytest.fixture(scope="module")
def kinds() -> dict[str, Page]:
    """A page of every kind."""
    question = two()
    found = plan_fleet(read_fleet(question), progress=lambda *_: None)
    assert isinstance(found, FleetPlan)
    alone = replace(whatif(), points=(), knobs=(), regret=())
    return {
        **PAGES, "fleet": fleet_page(found, question), "worlds": whatif_page(worlds()), "tornado": whatif_page(alone),
    }  # fmt: skip


KINDS = (*sorted(PAGES), "fleet", "worlds", "tornado")

WIDER = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility() && !e.closest(".hidden, .skip, pre"))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => `${e.tagName}.${e.className?.baseVal ?? e.className}: ${e.textContent.slice(0, 40)}`)"""
"""What reaches beyond the right edge."""

SMALL = """() => [...document.querySelectorAll("svg.drawing text")].filter((t) => t.checkVisibility())
  .map((t) => [t.textContent, parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a])
  .filter(([, size]) => size < 8).map(([words, size]) => `${words}: ${size}`)"""
"""Words of pictures that are too small to be read."""

FOLDED = """() => [...document.querySelectorAll(".k")].filter((e) => e.checkVisibility())
  .filter((e) => e.getBoundingClientRect().height > 1.9 * parseFloat(getComputedStyle(e).fontSize) * 1.5)
  .map((e) => e.textContent)"""
"""Names, and numbers with what they count, that stand on two lines."""


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("width", [400, 660, 800, 900, 1280, 1400])
def test_every_page_fits_every_screen(opened: Open, kinds: dict[str, Page], name: str, width: int) -> None:
    """Nothing is wider than the screen, no table scrolls sideways, and the words of every picture can be read."""
    tab = opened(kinds[name], width=width).tab
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.evaluate(WIDER) == []
    assert tab.evaluate(SCROLLING) == []
    assert tab.evaluate(SMALL) == []
    assert tab.evaluate("labelsOnLabels()") == []


CUT = """() => [...document.querySelectorAll("svg.drawing text")].filter((t) => t.checkVisibility()).filter((t) => {
  const word = t.getBoundingClientRect(), all = t.ownerSVGElement.getBoundingClientRect();
  return word.left < all.left || word.right > all.right || word.top < all.top || word.bottom > all.bottom + 1;
}).map((t) => t.textContent)"""
"""Words of pictures that reach beyond their picture, where they are cut off."""


def test_names_of_a_matrix_stand_whole(opened: Open, kinds: dict[str, Page]) -> None:
    """Where points are named by two long keys, no name is cut off beside its row or above its column."""
    names = [f"price_scale.dgx-h100={price}, rate=1.5" for price in (0.7, 1, 1.3)]
    cells = [[0.0, 12.5, 51.74]] * 3
    picture = matrix(cells, names, names, show=lambda v: f"${v:.2f}", across="what happens", down="what was bought")
    bars = tornado([("objective interactive:ttft_p99_s", -12.12, 2.81)], show=lambda v: f"${v:.2f}/h")
    drawings = [Drawing(svg=each, caption="") for each in (picture, bars)]
    page = Page(title="t", verdict="WHAT IF", good=True, headline="h",
                sections=[Section(name="regret", title="Regret", blocks=drawings)])  # fmt: skip
    for each in (page, *kinds.values()):
        assert opened(each, width=1400).tab.evaluate(CUT) == []


@pytest.mark.parametrize("name", KINDS)
def test_no_name_is_folded(opened: Open, kinds: dict[str, Page], name: str) -> None:
    """On a desk a name stays whole, and a number stays with its unit."""
    assert opened(kinds[name], width=1400).tab.evaluate(FOLDED) == []


@pytest.mark.parametrize("name", KINDS)
def test_few_links_stand_before_the_first_table(opened: Open, kinds: dict[str, Page], name: str) -> None:
    """The navigation of a page takes a row or two of links, however many models it is of."""
    links = """() => [...document.querySelectorAll("nav a")].filter((a) =>
      a.compareDocumentPosition(document.querySelector("table, figure")) & 4).length"""
    assert opened(kinds[name], width=400).tab.evaluate(links) <= 14
    assert name != "fleet" or opened(kinds[name], width=400).tab.evaluate(links) <= 6


SPLIT = """() => [...document.querySelectorAll(".verdict")].flatMap((chip) => {
  const text = chip.lastChild, found = [];
  for (const word of text.data.matchAll(/\\S+/g)) {
    const range = document.createRange();
    range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
    if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) found.push(word[0]);
  }
  return found;
})"""
"""Words of verdicts that stand on two lines."""


@pytest.mark.parametrize("name", [*KINDS, "claims"])
def test_no_word_of_a_verdict_is_split_on_paper(opened: Open, kinds: dict[str, Page], name: str) -> None:
    """On A4 a verdict may be folded between its words, never inside one, however full its row is."""
    said = ("reproduced", "not reproduced", "cannot be checked")
    sentence = "the published sweep of 40 machines, with its claim of throughput at equal cost " * 2
    rows = [(sentence, "1,400.00", "1,350.00", "0.05", Chip(words=each, tone=Tone.GOOD), sentence) for each in said]
    table = Table(columns=columns("~claim", "#paper", "#ours", "#within", "verdict", "~comparison"), rows=rows)
    claims = Page(title="t", verdict="REPRODUCTION", good=True, headline="h",
                  sections=[Section(name="claims", title="Claims", blocks=[table])])  # fmt: skip
    tab = opened({**kinds, "claims": claims}[name], width=703).tab
    tab.emulate_media(media="print")
    assert tab.evaluate(SPLIT) == []


@pytest.mark.parametrize("name", KINDS)
def test_no_printed_page_is_nearly_empty(opened: Open, kinds: dict[str, Page], name: str, tmp_path: Path) -> None:
    """On A4 every page holds something on its upper fifth and beyond."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("NO PDFTOPPM: printed pages were NOT looked at. Install poppler-utils.")
    (tmp_path / "page.pdf").write_bytes(opened(kinds[name]).tab.pdf(format="A4"))
    subprocess.run(["pdftoppm", "-r", "20", "-gray", "page.pdf", "p"], cwd=tmp_path, check=True)
    assert [filled(path) for path in sorted(tmp_path.glob("p-*.pgm")) if filled(path) < 0.2] == []


def filled(path: Path) -> float:
    """How far down a page there is ink, as a share of its height."""
    _, size, _, rest = path.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    pixels: Any = np.frombuffer(rest, dtype=np.uint8).reshape(height, width)
    inked = np.flatnonzero((pixels < 200).any(axis=1))
    return float(inked[-1] + 1) / height if len(inked) else 0.0


@pytest.mark.parametrize("width", [400, 900, 1400])
@pytest.mark.parametrize("seed", range(3))
def test_labels_of_many_points_stand_apart(opened: Open, seed: int, width: int) -> None:
    """Of a dozen points close together the first are labelled; no label lies on another, nor is one cut off.

    What finds no room beside its point has no label: the legend and the table tell it.
    """
    places = np.random.default_rng(seed)
    spots = [(60 + float(x), 30 + float(y)) for x, y in places.uniform(0, 3, (12, 2))]
    labels = [f"{n} decode dgx-a100, 2 prefill dgx-h100" for n in range(12)]
    spec = {
        "series": [{"label": "efficient", "values": [y for _, y in spots], "x": [x for x, _ in spots], "colour": 0,
                    "dash": [], "dots": True}],
        "points": [{"x": x, "y": y, "label": label} for (x, y), label in zip(spots, labels, strict=True)],
        "xUnit": "usd", "xLabel": "cost", "yUnit": "kW", "height": 340,
        "uprights": [{"x": 61.5, "label": "budget $61.50/h"}], "levels": [{"y": 31.5, "label": "budget 31.5 kW"}],
    }  # fmt: skip
    chart = Chart(name="points", title="Designs", spec=spec, whole=True)
    page = Page(title="t", verdict="FRONTIER", good=True, headline="h",
                sections=[Section(name="designs", title="Designs", blocks=[chart])])  # fmt: skip
    tab = opened(page, width=width).tab
    assert tab.evaluate("labelsOnLabels()") == []
    words = tab.evaluate("labelWords()")
    assert {labels[0], *labels[0].split(", ")} & set(words)
    assert {"budget $61.50/h", "budget 31.5 kW"} <= set(words)
