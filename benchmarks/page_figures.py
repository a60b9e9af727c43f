"""The charts and drawings of a report as PNG files, by the Chromium of this machine.

python benchmarks/page_figures.py PAGE.html DIRECTORY [--width 1200]
"""

import argparse
import re
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import chromium


def figures(page: Path, folder: Path, width_px: int) -> list[Path]:
    """Write every figure of a page, named by its chart or its caption; returns the files."""
    path, written = chromium(), list[Path]()
    if path is None:
        raise SystemExit("no Chromium on this machine: install one, or name it in the variable CHROMIUM")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width_px, "height": 900}, device_scale_factor=2)
        tab.goto(page.absolute().as_uri())
        tab.wait_for_timeout(1000)
        for k, figure in enumerate(tab.query_selector_all("figure"), 1):
            name = figure.get_attribute("data-chart") or figure.inner_text().strip().splitlines()[-1]
            file = folder / f"{k:02d}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:80]}.png"
            figure.scroll_into_view_if_needed()
            figure.screenshot(path=str(file))
            written.append(file)
        browser.close()
    return written


def main() -> None:
    """Write, print the names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", type=int, default=1200)
    asked = parser.parse_args()
    for file in figures(asked.page, asked.folder, asked.width):
        print(file)


if __name__ == "__main__":
    main()
