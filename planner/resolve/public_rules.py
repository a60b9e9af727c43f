"""What the public Splitwise simulator's rules know nothing of, and a scenario under them cannot ask."""

from planner.policies.presets import PUBLIC
from planner.scenario import Scenario


def public_rule_problems(scenario: Scenario) -> tuple[str, ...]:
    """Keys that have no meaning under ``policy.name`` splitwise-sim, a sentence each; nothing under other policies."""
    section, offered = scenario.policy, scenario.catalog
    if section.name != PUBLIC:
        return ()
    asked = {
        "policy.order: found lars; expected fifo": section.order == "lars",
        "policy.recovery: found checkpoint; expected restart": section.recovery == "checkpoint",
        "policy.kv_transfer: found layerwise; expected auto or serialized": section.kv_transfer == "layerwise",
        "policy.chunked_prefill: found true; expected false": section.chunked_prefill,
        "policy.chunked_decode: found true; expected false": section.chunked_decode,
        "catalog.pp: found pipeline stages; expected [1]": max(offered.pp) > 1,
        "validation.failures: found failures of machines; expected none": bool(scenario.validation.failures),
    }
    return tuple(f"{words}: the rules of {PUBLIC} have no such thing" for words, found in asked.items() if found)
