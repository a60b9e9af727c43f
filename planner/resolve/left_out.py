"""Machine types that a scenario names and that no plan of it can hold: a buyer who named them must hear why."""

from collections import Counter
from collections.abc import Iterator, Sequence

from planner.resolve.case import Case
from planner.results.evidence import Excuse

ASKED = ("roles", "policy")
"""Bottlenecks that the scenario asked for itself: a type that it keeps for other roles is no news."""


def left_out(cases: Sequence[Case]) -> Iterator[str]:
    """Types without any option, each with what stands in its way, a full sentence each.

    Args:
        cases: the question in every precision, on every engine and under every policy that it leaves open.
    """
    offered = {option.machine.name for case in cases for option in case.options}
    excuses = [each for case in cases for each in case.excuses if each.bottleneck not in ASKED]
    for name in cases[0].scenario.catalog.machines:
        mine = [each for each in excuses if each.option.split("/")[1] == name]
        if name not in offered and mine:
            words = _chief(mine)
            yield f"not in the choice: {words if words.startswith(name) else f'{name}: {words}'}"


def _chief(excuses: Sequence[Excuse]) -> str:
    """What stands in the way of most layouts; where a price is asked for, it is all that lacks."""
    unsold = next((each for each in excuses if each.bottleneck == "price"), None)
    if unsold:
        return unsold.reason
    (most, _), *_ = Counter(each.bottleneck for each in excuses).most_common(1)
    return min((e for e in excuses if e.bottleneck == most), key=lambda each: each.over_ratio or 0.0).reason
