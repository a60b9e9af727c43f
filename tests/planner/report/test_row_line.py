"""What the first screen says of a row, and what power sections say of peaks."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from planner.report.page import Lines
from planner.report.plans import plan_page
from planner.report.power import PEAKS, powered
from planner.report.rich import drawn
from planner.report.rows import OVER_RATING_FRAC, row_line
from planner.report.screen import LINES
from planner.results.use import PoolUse, PowerUse
from tests.planner import plans
from tests.planner.planning.test_oversubscribe import study


def rendered(width: int, *sections: str) -> str:
    """The page of a plan that stands in a row."""
    plan = replace(plans.plan(), power=replace(study(), plan_machines=3, needed_rows=1))
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(drawn(plan_page(plan, plans.scenario()), sections))
    text = console.file
    assert isinstance(text, StringIO)
    return text.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_first_screen_of_a_row_says_what_it_holds(width: int) -> None:
    """The figures of the row are read without asking for more: machines, ratio, peak and what the plan takes of it."""
    words = " ".join(rendered(width).split())
    said = "Row 180 kW hold 52 machines under POLCA (1.30 times the 40 meant), peak 97 % of the limit"
    assert (said if width > 60 else said[:36]) in words
    assert len(rendered(width).splitlines()) <= LINES


def test_a_row_that_holds_none_says_so_first() -> None:
    """No ratio is praised where not even one machine holds."""
    assert row_line(replace(study(), machines=0)) == "180 kW hold no dgx-a100 under POLCA"


def test_peaks_above_the_rating_are_told_where_watts_are() -> None:
    """The power section and the line of a row tell that a reading of a second can pass a rating, and by how much."""
    assert "434 W of an A100 rated 400 W" in PEAKS
    assert pytest.approx(434 / 400 - 1) == OVER_RATING_FRAC
    assert "readings of a second can pass a rating by 8.5 %" in " ".join(rendered(200).split())
    drew = PowerUse(
        mean_w=900.0, p50_w=900.0, p95_w=950.0, p99_w=960.0, peak_w=999.0, standby_w=300.0, prefill_w=200.0,
        decode_w=400.0,
    )  # fmt: skip
    use = PoolUse(
        pool="a", busy_frac=0.5, kv_peak_frac=0.5, kv_mean_frac=0.5, batch_mean=2.0, queue_mean_tokens=0.0,
        preemptions=0, power=drew,
    )  # fmt: skip
    plan = plans.plan()
    (section,) = powered(replace(plan.judgement, pools=(use,)), plan.candidate, plans.scenario())
    assert any(isinstance(block, Lines) and PEAKS in block.lines for block in section.blocks)
