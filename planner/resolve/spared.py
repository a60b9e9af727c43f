"""Cases whose machines fail and need others on top, where availability is asked for."""

from dataclasses import replace

from planner.resolve.availability import reliable, rule_of
from planner.resolve.case import Case


def spared(case: Case, target_frac: float | None = None) -> Case:
    """The case with options whose machines fail and need others on top; as it is where availability is not asked."""
    if not case.scenario.availability.asked:
        return case
    rule = rule_of(case.scenario, target_frac)
    return replace(
        case, options=reliable(case.scenario, case.options, rule), least=reliable(case.scenario, case.least, rule)
    )
