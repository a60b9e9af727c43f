"""What the public Splitwise simulator's rules and its pricing know nothing of, and a scenario cannot ask under them."""

from hw_catalog.machines import Machine
from planner.perf.published import PROMPT_MS, PUBLISHED_SET, TP
from planner.policies.presets import PUBLIC
from planner.scenario import Scenario
from planner.scenario.choices import listed


def public_rule_problems(scenario: Scenario) -> tuple[str, ...]:
    """Keys that have no meaning under ``policy.name`` splitwise-sim, a sentence each; nothing under other policies."""
    section, offered = scenario.policy, scenario.catalog
    if PUBLIC not in listed(section.name):
        return ()
    asked = {
        "policy.order: found lars; expected fifo": section.order == "lars",
        "policy.recovery: found checkpoint; expected restart": section.recovery == "checkpoint",
        "policy.kv_transfer: found layerwise; expected auto or serialized": section.kv_transfer == "layerwise",
        "policy.chunked_prefill: found true; expected false": section.chunked_prefill,
        "policy.chunked_decode: found true; expected false": section.chunked_decode,
        "catalog.pp: found pipeline stages; expected [1]": max(offered.pp) > 1,
        "workload.classes: found priorities; expected none": any(kind.priority for kind in scenario.classes()),
        "validation.failures: found failures of machines; expected none": bool(scenario.validation.failures),
    }
    return tuple(f"{words}: the rules of {PUBLIC} have no such thing" for words, found in asked.items() if found)


def published_reading(scenario: Scenario) -> bool:
    """Whether instances are priced, sized, linked and judged as the public simulator does."""
    return scenario.model.reading == "as-published"


def published_reading_problems(scenario: Scenario, machines: tuple[Machine, ...]) -> tuple[str, ...]:
    """Keys that the published columns have no answer for, a sentence each; nothing under the measured reading."""
    if not published_reading(scenario):
        return ()
    served, offered = scenario.model, scenario.catalog
    known = sorted({model for model, _ in PROMPT_MS})
    columns = {(served.name, m.gpu.profile_gpu): m.name for m in machines}
    strange = sorted(name for key, name in columns.items() if served.name in known and key not in PROMPT_MS)
    found = {
        f"model.profile_set: found {served.profile_set or 'null'}; expected {PUBLISHED_SET}": served.profile_set
        != PUBLISHED_SET,
        f"model.name: found {served.name}; expected {' or '.join(known)}": served.name not in known,
        f"catalog.machines: found {', '.join(strange)}; expected machines of A100 or H100": bool(strange),
        f"catalog.tp: found {list(offered.tp)}; expected [{TP}]": set(offered.tp) != {TP},
        f"catalog.pp: found {list(offered.pp)}; expected [1]": set(offered.pp) != {1},
        f"reference.tp: found {scenario.reference.tp}; expected {TP}": scenario.reference.tp != TP,
        "catalog.clocks_mhz and catalog.caps_w: found some; expected none": bool(offered.clocks_mhz or offered.caps_w),
        "schedule: found one; expected none": scenario.schedule is not None,
        "policy.name: found mnemosyne; expected a policy without streams": "mnemosyne" in listed(scenario.policy.name),
    }
    return tuple(f"{words}: model.reading as-published has no other" for words, wrong in found.items() if wrong)
