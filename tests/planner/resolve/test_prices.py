"""Prices of one's own, and of machines that are paid."""

import pytest

from hw_catalog.load import load_catalog
from hw_catalog.provenance import Kind
from planner.compare.regret import weights
from planner.errors import BadInput
from planner.planning.plan import check, plan
from planner.resolve.prices import price_of
from planner.results.evidence import ValidatedPlan
from tests.planner.small import small

H100 = load_catalog().machines["dgx-h100"]
BOTH = "catalog.machines=[dgx-a100, dgx-h100]"


def _usd_per_h(*words: str) -> float:
    found = price_of(small(BOTH, *words), H100)
    assert found is not None
    return found.usd_per_h


def test_a_price_of_ones_own_comes_before_the_catalog() -> None:
    """The scenario's price counts, whatever the channel; a factor on prices moves it as it moves any other."""
    listed = H100.price("reserved")
    assert listed is not None
    assert _usd_per_h() == listed.usd_per_h
    assert _usd_per_h("catalog.price_usd_per_h={dgx-h100: 7.5}") == 7.5
    assert _usd_per_h("catalog.price_usd_per_h={dgx-h100: 7.5}", "catalog.price_scale={dgx-h100: 2}") == 15
    assert _usd_per_h("catalog.price_usd_per_h={dgx-a100: 7.5}") == listed.usd_per_h


@pytest.mark.parametrize("channel", ["reserved", "on-demand"])
def test_your_price_is_that_of_your_channel(channel: str) -> None:
    """On top, too, a machine costs its own price where it is had through the same channel; another keeps its own."""
    asked = small(BOTH, f"catalog.channel={channel}", "catalog.price_usd_per_h={dgx-h100: 7.5}")
    listed = H100.price("on-demand")
    assert listed
    found = price_of(asked, H100, "on-demand")
    assert found
    assert found.usd_per_h == (7.5 if channel == "on-demand" else listed.usd_per_h)


def test_a_machine_that_is_paid_costs_its_power() -> None:
    """Its price is that of its nameplate watts, the building's share included."""
    words = ("catalog.price_usd_per_h={dgx-h100: power}", "energy.usd_per_kwh=0.2", "energy.pue_ratio=1.5")
    assert _usd_per_h(*words) == pytest.approx(H100.rated_w / 1000 * 0.2 * 1.5)


def test_plans_are_paid_and_compared_at_the_same_price() -> None:
    """The plan buys what is cheapest at the prices given, says where they come from, and regret counts them too."""
    scenario = small(BOTH, "catalog.price_usd_per_h={dgx-a100: power, dgx-h100: 50}")
    answer = plan(scenario, progress=lambda *_: None, with_margin=False)
    assert isinstance(answer, ValidatedPlan)
    assert {pool.spec.machine for pool in answer.candidate.pools} == {"dgx-a100"}
    each = weights(scenario, {"dgx-a100", "dgx-h100"})
    totals = answer.candidate.totals
    assert each["dgx-h100"] == 50
    assert totals.cost_usd_per_h == pytest.approx(each["dgx-a100"] * totals.machines)
    assert any("price_usd_per_h says power" in line for line in answer.sources)


def test_a_machine_without_a_price_is_sold_at_ones_own() -> None:
    """A type that the channel does not sell is refused for its price, and offered once the scenario gives one."""
    unsold = small("catalog.machines=[hgx-h200]", "catalog.channel=splitwise-table-1")
    assert not check(unsold).options
    assert check(unsold.changed(["catalog.price_usd_per_h={hgx-h200: 20}"])).options


@pytest.mark.parametrize("value", ["free", "0", "-3", "true", ".inf", "[7]"])
def test_what_is_no_price_is_refused(value: str) -> None:
    """A price is a number above 0 or the word power; the line names the key and both."""
    with pytest.raises(BadInput) as refused:
        small(f"catalog.price_usd_per_h={{dgx-h100: {value}}}")
    assert len(refused.value.problems) == 1
    assert "catalog.price_usd_per_h.dgx-h100: found" in refused.value.problems[0]
    assert "or power" in refused.value.problems[0]


def test_a_price_of_a_stranger_is_refused() -> None:
    """Prices are given for machines that may be bought; the nearest of them is named."""
    with pytest.raises(BadInput, match=r"only machine types that catalog\.machines lists, not dgx-h10; .*'dgx-h100'"):
        small("catalog.price_usd_per_h={dgx-h10: 7}")


def test_a_scaled_price_is_no_longer_what_its_source_says() -> None:
    """A price times a factor of the scenario is derived, and names factor and source; without one it is untouched."""
    listed, scaled = (price_of(small(BOTH, *words), H100) for words in ((), ("catalog.price_scale={dgx-h100: 1.5}",)))
    assert listed is not None
    assert scaled is not None
    assert scaled.provenance.kind is Kind.DERIVED
    assert scaled.provenance.source == f"catalog.price_scale 1.5 times: {listed.provenance.source}"
    assert price_of(small(BOTH, "catalog.price_scale={dgx-h100: 1}"), H100) == listed
