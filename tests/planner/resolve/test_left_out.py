"""Machine types that are named in a question and that no plan can hold are told, with the reason."""

import pytest

from planner.planning.plan import check, plan
from planner.resolve.inputs import inputs_of
from planner.results.evidence import ValidatedPlan
from tests.planner.small import small

AZURE = "azure-nd96isr-h100-v5"


def told(*settings: str) -> list[str]:
    """What ``check`` says of machines that are not in the choice."""
    return [words for words in check(small(*settings)).warnings if words.startswith("not in the choice")]


def test_a_type_without_a_price_is_told_by_check_and_plan() -> None:
    """A cloud's type has no reserved price: the plan, which does without it, says so, and how it gets one."""
    named = f'catalog.machines=["{AZURE}", "dgx-h100"]'
    (words,) = told(named)
    ways = "expected catalog.channel on-demand, or yours in catalog.price_usd_per_h"
    assert words == f"not in the choice: {AZURE} has no reserved price; {ways}"
    assert told(named, f"catalog.price_usd_per_h.{AZURE}=90") == []
    assert told(named, "catalog.channel=on-demand") == []
    found = plan(inputs_of(small(named)), progress=lambda *_: None)
    assert isinstance(found, ValidatedPlan)
    assert words in found.warnings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (('catalog.machines=["a6000-1x", "dgx-h100"]',), "not in the choice: a6000-1x: "),
        (('catalog.machines=["dgx-a100", "dgx-h100"]', "slo.ttft_p90_s=0.01"), "not in the choice: dgx-a100: "),
    ],
)
def test_whatever_keeps_a_type_out_is_told(settings: tuple[str, ...], words: str) -> None:
    """No kernel profile, or no load at which its objectives are met: the reason is that of ``check``'s table."""
    found = told(*settings)
    assert any(each.startswith(words) for each in found), found


def test_what_is_offered_somewhere_is_not_told() -> None:
    """A type that one precision, engine or policy offers is in the choice; one that roles keep apart was asked so."""
    both = 'catalog.machines=["dgx-a100", "dgx-h100"]'
    assert told(both, 'model.dtype=["bf16", "fp8"]', "policy.name=auto") == []
    assert told(both, "policy.name=splitwise", 'catalog.roles={"dgx-a100": ["decode"], "dgx-h100": ["prefill"]}') == []
