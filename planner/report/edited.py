"""What is shown of a plan that was edited since it was simulated."""

from collections.abc import Sequence

from planner.report.headlines import headline_of, price_words
from planner.report.page import Page, section
from planner.report.plans import again, bought, pools_table
from planner.report.screen import Screen, more, pools_part, warned
from planner.report.words import budget, policy_words
from planner.results.picture import Picture
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario

EDITED = "UNVALIDATED (edited since it was simulated)"
"""What a plan is that was edited."""


def edited_page(
    candidate: CandidatePlan, scenario: Scenario, moved: Sequence[str], standing: str, picture: Picture | None = None
) -> Page:
    """What is known of a plan that is not as it was simulated: what it buys, and no evidence.

    Args:
        candidate: the plan as it is now, recounted.
        scenario: the question.
        moved: the figures of the file that are not its own, a sentence each.
        standing: what such a plan is: edited, or of other figures today.
        picture: one run of it over time, for the picture of the cluster.
    """
    about = f"{policy_words(candidate.policy, scenario.policy)}; {price_words(scenario.catalog)}"
    over = [
        f"budget {key} exceeded: {budget(key, spent)}, limit {budget(key, limit)}"
        for key, spent in candidate.spent().items()
        if (limit := getattr(scenario.budget(), key)) is not None and spent > limit
    ]
    told = (("Objectives", "not known of the plan as it is now; `phasewise simulate` on this file serves it"),)
    verdict = standing.replace("unvalidated", "UNVALIDATED", 1)
    headline, warnings = headline_of(candidate, scenario), (*over, *moved)
    pools = pools_table(candidate, None)
    return Page(
        title=f"{scenario.name}: edited plan", verdict=verdict, good=False, headline=headline, about=about, facts=told,
        warnings=warnings,
        sections=(*section("buy", "What to buy", *bought(candidate, picture)), again(scenario)),
        screen=Screen(
            head=(f"{verdict}: {headline}", about), parts=(pools_part(pools, candidate),), told=warned(told, warnings),
            more=more("buy, scenario"),
        ).blocks,
    )  # fmt: skip
