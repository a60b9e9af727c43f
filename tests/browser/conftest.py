"""A headless Chromium, and reports opened in it.

``make test`` installs the browser through the package manager. Where there is none all the same, these tests are
skipped and say so; they never fetch one.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from planner.report.html.render import render
from planner.report.page import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The browser of this machine."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *NAMES) if name)
    return next((path for path in found if path), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip(
            "NO CHROMIUM: the HTML report was NOT tested in a browser. Install one (apt-get install chromium) or name "
            "it in the variable CHROMIUM, and run the tests again."
        )
    sync_api = pytest.importorskip("playwright.sync_api", reason="NO PLAYWRIGHT: pip install playwright")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


LABELS = """() => {
  const draw = CanvasRenderingContext2D.prototype.fillText, labels = new Map();
  CanvasRenderingContext2D.prototype.fillText = function (words, x, y) {
    draw.apply(this, arguments);
    const at = this.getTransform().transformPoint({ x, y }), size = this.measureText(words);
    if (words && !this.getTransform().b) {
      const from = at.x - size.actualBoundingBoxLeft, top = at.y - size.actualBoundingBoxAscent;
      const to = at.x + size.actualBoundingBoxRight, bottom = at.y + size.actualBoundingBoxDescent;
      const box = { words, from, to, top, bottom };
      labels.set(this.canvas, [...(labels.get(this.canvas) || []), box]);
    }
  };
  const wipe = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function () {
    labels.delete(this.canvas);
    wipe.apply(this, arguments);
  };
  window.labelWords = () => [...labels.values()].flat().map((box) => box.words);
  window.labelsOnLabels = () => [...labels.values()].flatMap((all) => all.flatMap((a, i) => all.slice(i + 1)
    .filter((b) => a.from < b.to && b.from < a.to && a.top < b.bottom && b.top < a.bottom)
    .map((b) => a.words + " over " + b.words)));
}"""
"""Remembers where charts write, for ``labelsOnLabels``: words of a chart that lie on others."""


@dataclass(slots=True)
class Opened:
    """A report in the browser.

    Attributes:
        tab: the page of the browser.
        said: everything the page said on its console, and every error.
        asked_for: every address that anything on the page asked for.
    """

    tab: Any
    said: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a page (or an HTML file), and wait until its charts are drawn."""
    contexts = []

    def open_it(page: Page | Path, scheme: str = "light", width: int = 1200) -> Opened:
        path = page if isinstance(page, Path) else tmp_path / "report.html"
        if isinstance(page, Page):
            path.write_text(render(page), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.add_init_script(f"({LABELS})()")
        seen = Opened(tab=context.new_page())
        seen.tab.on("console", lambda message: seen.said.append(f"{message.type}: {message.text}"))
        seen.tab.on("pageerror", lambda error: seen.said.append(f"error: {error}"))
        context.on("request", lambda request: seen.asked_for.append(request.url))
        seen.tab.goto(path.as_uri())
        seen.tab.wait_for_selector("html[data-ready]")
        return seen

    yield open_it
    for context in contexts:
        context.close()
