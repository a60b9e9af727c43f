"""Budgets: the keys of a scenario's section ``budgets``, and the rows of the program that hold them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planner.capacity.envelope import Option
from planner.scenario.objectives import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A hard limit on the whole plan.

    Attributes:
        key: of the scenario, of ``Budgets``, and of what ``CandidatePlan.spent`` says.
        objective: that makes small what is limited.
        each: what one idle machine of an option takes; None where that is no sum over machines.
    """

    key: str
    objective: Objective
    each: Callable[[Option], float] | None


BUDGETS: Mapping[str, Budget] = {
    "cost": Budget(key="cost_usd_per_h", objective=Objective.COST, each=lambda o: o.price_usd_per_h),
    "power": Budget(key="power_w", objective=Objective.POWER, each=lambda o: o.rated_w),
    "expected_power": Budget(key="expected_power_w", objective=Objective.ENERGY, each=lambda o: o.floor_w),
    "space": Budget(key="rack_units", objective=Objective.MACHINES, each=lambda o: o.machine.rack_units),
    "machines": Budget(key="machines", objective=Objective.MACHINES, each=lambda _: 1.0),
    "machine_types": Budget(key="machine_types", objective=Objective.MACHINES, each=None),
}
"""Family of rows -> the budget that it holds."""
