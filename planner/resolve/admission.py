"""When a request may start to decode: as the policy says, or as the engine does of its own accord."""

from collections.abc import Iterable

from planner.perf.kv import NO_EVICT
from planner.scenario.policy_section import PolicySection

WHOLE = "whole-answers"


def sets_aside(asked: str, engine: str) -> bool:
    """Whether memory for whole answers is set aside; ``asked`` is ``policy.kv_admission``."""
    return asked == WHOLE or (asked == "auto" and engine in NO_EVICT)


def admission_problems(section: PolicySection, engines: Iterable[str]) -> tuple[str, ...]:
    """Engines that are asked for an admission they do not have, a sentence for all."""
    unable = sorted(set(engines) - set(NO_EVICT)) if section.kv_admission == WHOLE else []
    if not unable:
        return ()
    return (
        f"policy.kv_admission: found {WHOLE} with {', '.join(unable)}, which take memory block by block; expected auto "
        f"or as-needed, or model.engine={NO_EVICT[0]}",
    )
