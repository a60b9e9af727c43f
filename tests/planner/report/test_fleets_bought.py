"""Rules of the first screen of a sweep, and of its table of fleets."""

from collections import Counter
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from planner.report.fleets_bought import fleets_bought
from planner.report.frontiers import frontier_page
from planner.report.page import Page
from planner.report.pickers import machine_types
from planner.report.rich import drawn
from planner.report.screen import LINES
from planner.report.sweeps import whatif_page
from planner.results.sweep import Knob, Outcome, Point, WhatIf
from tests.planner.sweeps import frontier, outcome, whatif

VALUES = ("1", "2", "3")


def bought(machines: int, cost_usd_per_h: float) -> Outcome:
    """A plan of some machines, none of zero."""
    found = outcome(cost_usd_per_h, holds=machines > 0)
    if not found.candidate:
        return found
    pools = tuple(replace(pool, machines=machines) for pool in found.candidate.pools)
    return replace(found, candidate=replace(found.candidate, pools=pools))


def grid(machines: tuple[int, ...]) -> WhatIf:
    """A sweep of two keys, three values each, with the fleets of its points."""
    points = tuple(
        Point(name=f"a={x}, b={y}", settings={"a": x, "b": y}, outcome=bought(machines[3 * i + j], 10.0 * i + j + 1))
        for i, x in enumerate(VALUES) for j, y in enumerate(VALUES)
    )  # fmt: skip
    keys = tuple(Knob(key=key, values=VALUES) for key in ("a", "b"))
    return replace(whatif(), points=points, knobs=keys, tornado=(), shadow_prices=(), regret=(), base=None)


@given(st.tuples(*[st.integers(0, 7)] * 9))
def test_every_point_is_in_the_row_of_what_it_buys(machines: tuple[int, ...]) -> None:
    """There is a row for each fleet, its points are counted, most first, and those without a plan come last.

    A row names every value at which its fleet is bought.
    """
    sweep = grid(machines)
    table = fleets_bought(sweep, "cost")
    assert table is not None
    counted = Counter(machine_types(point.outcome) or "no plan" for point in sweep.points)
    assert {row[0]: int(str(row[1])) for row in table.rows} == counted
    with_plan = [int(str(row[1])) for row in table.rows if row[0] != "no plan"]
    assert with_plan == sorted(with_plan, reverse=True)
    assert "no plan" not in [row[0] for row in table.rows[:-1]]
    for row in table.rows:
        first, second = str(row[-1]).split("; ")
        for point in sweep.points:
            if (machine_types(point.outcome) or "no plan") == row[0]:
                assert first == "any" or point.settings["a"] in first
                assert second == "any" or point.settings["b"] in second


def pages() -> dict[str, Page]:
    alone = replace(whatif(), points=(), knobs=(), regret=())
    return {
        "grid": whatif_page(whatif()), "fleets": whatif_page(grid((1, 2, 3, 4, 5, 6, 7, 0, 0))),
        "alone": whatif_page(alone), "frontier": frontier_page(frontier()),
    }  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["grid", "fleets", "alone", "frontier"])
def test_a_comparison_answers_on_one_screen(name: str, width: int) -> None:
    """At any width: the answer, the few rows that matter and where the rest is, no longer than a plan's screen."""
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(drawn(pages()[name]))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= LINES
    assert name == "frontier" or lines[-1].startswith("  More: --")
    assert name != "fleets" or any("and 2 more fleets at 2 points; 2 points without a plan" in line for line in lines)
