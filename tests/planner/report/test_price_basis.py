"""Prices say whose they are: those of a plan, of an edited one, and of several models."""

import pytest

from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import read_fleet
from planner.report.edited import edited_page
from planner.report.fleets import fleet_page
from planner.report.headlines import about_of
from planner.results.fleet import FleetPlan
from planner.scenario.fleet import Fleet
from tests.planner import plans
from tests.planner.two_models import two

OWN = "catalog.price_usd_per_h={dgx-h100: 7}", "reserved prices, your own for dgx-h100"
SCALED = "catalog.price_scale={dgx-h100: 2}", "reserved prices, scaled by catalog.price_scale"


@pytest.mark.parametrize(("key", "words"), [OWN, SCALED])
def test_every_page_says_whose_prices_these_are(key: str, words: str) -> None:
    """Prices of one's own, and factors, are named beside the channel wherever a cost is the headline."""
    asked = plans.scenario().changed([key])
    assert about_of(plans.plan(), asked).endswith(words)
    assert edited_page(plans.candidate(), asked, (), "unvalidated").about.endswith(words)


def test_a_page_of_several_models_says_whose_prices_these_are() -> None:
    """The catalog is shared by all models, and so are its prices."""
    question: Fleet = two(OWN[0])
    found = plan_fleet(read_fleet(question), progress=lambda *_: None)
    assert isinstance(found, FleetPlan)
    assert fleet_page(found, question).about.endswith(OWN[1])
