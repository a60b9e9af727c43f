"""Rules of Markdown: what a plan says there is what it says on a terminal, on a page, in CSV and in JSON."""

import csv
import io
import json
import re
from collections.abc import Iterator

import pytest

from planner.files.plan_file import plan_text
from planner.files.texts import as_csv
from planner.report.fleets import fleet_page, summary
from planner.report.html.render import render
from planner.report.markdown import OF_PLANS, as_markdown
from planner.report.page import Chip, Page, Table
from planner.report.plans import plan_page
from planner.results.fleet import FleetPlan, ModelPlan
from tests.planner import plans
from tests.planner.report.test_first_screen import bought
from tests.planner.report.test_report import rendered
from tests.planner.two_models import two


def plain(text: str) -> str:
    """Words as a reader sees them: without Markdown's escapes, tags and marks, blanks alike."""
    text = re.sub(r"<[^>]+>", " ", text)
    return " ".join(re.sub(r"\\(.)", r"\1", text).replace("*", "").replace("&#39;", "'").split())


def told(page: Page, names: tuple[str, ...]) -> Iterator[str]:
    """Every figure, fact and cell that a short page holds."""
    yield from (page.headline, page.about, *page.warnings)
    yield from (words for _, words in (*page.figures, *page.facts))
    for part in page.sections:
        for block in part.blocks if part.name in names else ():
            if isinstance(block, Table) and not block.folded:
                shown = [at for at, column in enumerate(block.columns) if not column.drawn]
                cells = [[row[at] for at in shown] for row in block.rows]
                yield from (each.words if isinstance(each, Chip) else str(each) for row in cells for each in row)


def test_markdown_says_what_the_terminal_says() -> None:
    """Verdict, figures, facts, tables and doubts of a plan are word for word those of a terminal with all sections."""
    page = plan_page(bought(), plans.scenario())
    text, screen = as_markdown(page, "question", OF_PLANS), plain(rendered(page, "all", width=100_000))
    assert text.startswith("# question\n\n**VALIDATED**: ")
    for words in told(page, OF_PLANS):
        assert plain(words) in plain(text)
        assert plain(words) in screen


def test_tables_of_markdown_are_whole() -> None:
    """Every line of a table has as many cells, those that hold a bar included, and stands alone between empty lines."""
    text = as_markdown(plan_page(bought(), plans.scenario()), "a|b", OF_PLANS)
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for block in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_money_is_the_same_through_every_door() -> None:
    """Cost, watts and machines of text, page, Markdown and JSON are one number, and the lines of CSV add up to it."""
    answer, question = bought(), plans.scenario()
    page, totals = (
        plan_page(answer, question),
        json.loads(plan_text(question, answer, {}))["plan"]["candidate"]["totals"],
    )
    cost = f"${totals['cost_usd_per_h']:,.2f}/h"
    for text in (rendered(page, width=100), as_markdown(page, "question", OF_PLANS), render(page)):
        assert cost in plain(text)
        assert f"{totals['machines']} machines" in plain(text)
        assert f"{totals['power_w'] / 1e3:.4g} kW" in plain(text)
    prices = {pool.spec.machine: 1.0 for pool in answer.candidate.pools}
    rows = list(csv.DictReader(io.StringIO(as_csv(answer, prices))))
    assert sum(int(row["machines"]) for row in rows) == totals["machines"]
    for row, pool in zip(rows, answer.candidate.pools, strict=True):
        assert float(row["load_frac"]) == pytest.approx(pool.load_frac, rel=1e-5)


def test_several_models_are_one_summary() -> None:
    """The plans of several models have one page of Markdown with the machines and the evidence of each."""
    question, one = two(), bought()
    models = tuple(ModelPlan(name=each.name, plan=one) for each in question.models)
    found = FleetPlan(models=models, objective="cost", objective_value=1.0, bound=None, gap_frac=None, shared=())
    text = as_markdown(fleet_page(found, question), question.name, summary(found))
    assert text.count("| objective |") == len(found.models)
    for words in told(fleet_page(found, question), summary(found)):
        assert plain(words) in plain(text)
