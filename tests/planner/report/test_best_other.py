"""The line of the best row besides the plan."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from planner.report.choices import CHOICES, best_others
from planner.report.html.render import render
from planner.report.page import Page
from planner.report.plans import plan_page
from planner.report.rich import drawn
from planner.results.choice import Choice, Standing
from planner.results.precision import Variant
from tests.planner import plans
from tests.planner.report.test_html import PAGES


def text_of(page: Page) -> str:
    """The page on a wide terminal."""
    console = Console(width=400, file=StringIO(), color_system=None)
    console.print(drawn(page))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def row_of(value: float, kv_dtype: str = "bf16") -> Choice:
    """The row of a plan of this value."""
    return Choice(
        variant=Variant(profile_set="set", dtype="fp8", kv_dtype=kv_dtype), engine="vllm", engine_version="0.24.0",
        policy="splitwise", allowed=True, standing=Standing.CHOSEN, objective_value=value, bound=None,
        cost_usd_per_h=1.0, power_w=1.0, machines=1, gpus=8, gpu_tokens_per_s=1.0, user_tokens_per_s=None,
        usd_per_million_prompt_tokens=None, usd_per_million_output_tokens=None,
    )  # fmt: skip


@pytest.mark.parametrize(("ratio", "words"), [(1.0 + 3e-16, "+0 %"), (1.0, "+0 %"), (0.8, "-20 %"), (1.004, "+0.4 %")])
def test_the_last_bits_of_two_solves_are_no_difference(ratio: float, words: str) -> None:
    """A row of the same money differs by nothing; others say by how much, and in which direction.

    A row that the simulator has not seen saves nothing, and says no difference.
    """
    plan = plans.plan()
    other = replace(row_of(plan.objective_value * ratio, kv_dtype="fp8"), standing=Standing.VALIDATED)
    (said,) = best_others(replace(plan, choices=(other,)))
    assert f"({words})" in said
    (unseen,) = best_others(replace(plan, choices=(replace(other, standing=Standing.BOUND),)))
    assert (" (not simulated" in unseen, "%" in unseen) == (True, False)


def test_a_row_says_in_what_it_is_not_as_the_plan() -> None:
    """What the question does not allow is named first, then what else differs; what is as in the plan is not said."""
    plan = plans.plan()
    mine = row_of(plan.objective_value)
    other = replace(mine, standing=Standing.VALIDATED, allowed=False)
    for row, words in (
        (replace(other, variant=replace(mine.variant, kv_dtype="fp8")), "fp8 KV"),
        (replace(other, variant=replace(mine.variant, dtype="fp4"), policy="sarathi"),
         "fp4 weights, sarathi"),
        (replace(other, variant=replace(mine.variant, profile_set="more"), engine="trtllm", policy="sarathi"),
         "trtllm, sarathi"),
        (replace(other, policy="sarathi", cached=False), "sarathi, no prefix cache"),
        (replace(other, policy="sarathi", allowed=True), "sarathi"),
        (replace(other, engine_version="0.25.0", allowed=True), "fp8 weights, bf16 KV, vllm, splitwise"),
    ):  # fmt: skip
        (said,) = best_others(replace(plan, choices=(mine, row)))
        assert said.endswith(f"(+0 %) with {words} (validated{'' if row.allowed else ', not allowed'})")


def test_a_page_shows_what_a_terminal_names_an_option_for() -> None:
    """Where there are more alternatives than a first look names, terminals say how to see them, pages where they are.

    No page asks its reader, who may not have phasewise, to type an option; the table it names has every row.
    """
    plan, pages = plans.plan(), []
    mine = row_of(plan.objective_value)
    rows = tuple(replace(mine, standing=Standing.VALIDATED, engine=f"engine{n}") for n in range(6))
    page = plan_page(replace(plan, choices=(mine, *rows)), plans.scenario())
    assert "; 3 more: --sections choices" in text_of(page)
    for each in (page, *PAGES.values()):
        words = re.sub(r"(?s)<(script|style|pre)\b.*?</\1>|<[^>]+>", "", render(each))
        assert not re.findall(r"--(?:sections|verbose|json|out)\b", words)
        pages.append(words)
    assert f"; 3 more: {CHOICES}" in pages[0]
    assert all(f"engine{n}" in pages[0] for n in range(6))
