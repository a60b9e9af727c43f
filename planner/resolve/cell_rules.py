"""What fleets in cells are not known with."""

from planner.policies.presets import PUBLIC
from planner.scenario import Scenario
from planner.scenario.choices import listed


def undivided(scenario: Scenario) -> tuple[str, ...]:
    """Keys of a scenario that are not known of cells: its fleet is one pool."""
    asked = {
        "availability": scenario.availability.asked, "power.row_limit_w": scenario.power.row_limit_w is not None,
        "validation.failures": bool(scenario.validation.failures),
        "prefix_cache.gib": scenario.prefix_cache.gib is not None, "schedule": scenario.schedule is not None,
        f"policy.name {PUBLIC}": PUBLIC in listed(scenario.policy.name),
    }  # fmt: skip
    return tuple(key for key, there in asked.items() if there)


def cell_problems(scenario: Scenario) -> tuple[str, ...]:
    """What a scenario asks of cells in vain."""
    cells = scenario.policy.cells
    if cells is None or cells == 1:
        return ()
    return tuple(f"policy.cells: found {cells} beside {key}; expected 1 or null" for key in undivided(scenario))
