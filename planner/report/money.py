"""Money per token: of all tokens served, and of those of requests that met every objective one by one."""

from collections.abc import Iterator
from dataclasses import fields

from planner.results.choice import per_million
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan

NONE = "n/a"
"""Where nothing was served within the objectives there is no price."""


def good_output_tokens_per_s(judgement: Judgement) -> float:
    """Output tokens within the objectives; in older files all tokens times the share of good requests."""
    good = judgement.good_output_tokens_per_s
    return judgement.output_tokens_per_s * judgement.attainment_frac if good is None else good


def simulation_data(judgement: Judgement, candidate: CandidatePlan) -> dict[str, object]:
    """A simulation as data: the judgement, the machines with the loads of this run, and what its tokens cost."""
    found: dict[str, object] = {each.name: getattr(judgement, each.name) for each in fields(judgement)}
    price = per_million(candidate.totals.cost_usd_per_h, good_output_tokens_per_s(judgement))
    return {**found, "candidate": candidate, "usd_per_million_good_output_tokens": price}


def token_words(candidate: CandidatePlan, judgement: Judgement) -> Iterator[str]:
    """What a million output tokens cost if only requests that met every objective count, in a sentence."""
    price = per_million(candidate.totals.cost_usd_per_h, good_output_tokens_per_s(judgement))
    words = f"{NONE}, no request met every objective" if price is None else f"${price:,.2f}"
    gap = longest_gap(judgement)
    yield f"Per million output tokens if only requests counted that each met every objective{gap}: {words}."


def longest_gap(judgement: Judgement) -> str:
    """How a single request is held to an objective on the time between tokens; empty where there is none."""
    return ", TBT by their longest gap" if any(each.key.startswith("tbt") for each in judgement.evidence) else ""
