"""Worlds: what may come true, drawn from the intervals that a scenario gives for what it is not sure of."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.compare.grid import AS_GIVEN, Asked, setting
from planner.errors import BadInput
from planner.results.sweep import Knob
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.reading import steps


def worlds(scenario: Scenario | Fleet, count: int, *, seed: int = 1) -> tuple[tuple[Knob, ...], tuple[Asked, ...]]:
    """The scenario as given, and ``count`` worlds drawn evenly from its intervals.

    Every interval is cut into as many strata as there are worlds, and each stratum is drawn from once (a Latin
    hypercube), so few worlds already see both ends of everything.

    Args:
        scenario: with ``uncertainty``.
        count: worlds, >= 1.
        seed: of the draw.

    Returns:
        What is uncertain with the values that were drawn, and the scenarios, the one as given first.

    Raises:
        BadInput: the scenario is sure of everything, or names a key that does not exist or cannot take such values.
    """
    intervals = scenario.uncertainty
    if not intervals:
        raise BadInput("--worlds: the scenario gives no uncertainty; expected intervals, for example "
                       "uncertainty: {workload.rate_scale: [0.8, 1.5]}")  # fmt: skip
    draw = np.random.default_rng(seed)
    drawn: dict[str, list[str]] = {}
    for key, (low, high) in intervals.items():
        shares = (draw.permutation(count) + draw.uniform(size=count)) / count
        drawn[key] = [f"{low + (high - low) * share:.4g}" for share in shares]
    data = scenario.model_dump(mode="json")
    asked = [setting(scenario, AS_GIVEN, {})]
    asked[0] = Asked(name=AS_GIVEN, settings={key: _given(data, key) for key in intervals}, scenario=scenario)
    for number in range(count):
        settings = {key: values[number] for key, values in drawn.items()}
        asked.append(setting(scenario, f"world {number + 1}", settings))
    return tuple(Knob(key=key, values=tuple(values)) for key, values in drawn.items()), tuple(asked)


def _given(data: Mapping[str, Any], key: str) -> str:
    """What a scenario says at a key; ``as given`` where it says nothing there."""
    found: Any = data
    for part in steps(key):
        if not isinstance(found, Mapping) or part not in found:
            return AS_GIVEN
        found = found[part]
    return str(found)
