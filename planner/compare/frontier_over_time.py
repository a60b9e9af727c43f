"""Frontiers of schedules: what can be an axis of one, and designs between the least of two totals."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from planner.compare.axis import Axis
from planner.errors import BadInput
from planner.results.sweep import Outcome
from planner.scenario.objectives import Objective

AXES_OVER_TIME: Mapping[str, Axis] = {
    "cost": Axis(unit="USD", objective=Objective.COST, total="cost_usd"),
    "energy": Axis(unit="kWh", objective=Objective.ENERGY, total="energy_kwh"),
    "carbon": Axis(unit="kg", objective=Objective.CARBON, total="carbon_kg"),
    "power": Axis(unit="W", objective=Objective.POWER, total="most_rated_w", budget="power_w"),
    "machines": Axis(
        unit="machines", objective=Objective.MACHINES, total="most_machines_at_once", budget="machines", whole=True
    ),
}
"""Of schedules: totals of all hours, and the most of one epoch, which a budget bounds in every epoch."""

TOTALS = tuple(name for name, axis in AXES_OVER_TIME.items() if not axis.budget)
"""Axes of schedules that are optimised: no budget bounds them."""

CLOSE_FRAC = 1e-3
"""A design between two is one where it lies so much below the line through them."""

Priced = Callable[[float], Outcome | None]
"""The schedule of least cost at so many more dollars per kWh, its cost at the given ones; None where none is found."""


def problems(x: str, y: str) -> tuple[str, ...]:
    """What two axes of a schedule cannot be together."""
    if "throughput" in (x, y):
        return ("frontier: found throughput; expected cost, energy, carbon, power or machines: a schedule's load is "
                "given",)  # fmt: skip
    if not {x, y} & set(TOTALS):
        return (f"frontier: found {x} and {y}, most of any epoch; expected {', '.join(TOTALS)} as one of the two",)
    return ()


def expect_no_bound(x: str, y: str, limit: float | None) -> None:
    """That no limit is asked of two totals.

    Raises:
        BadInput: one is.
    """
    if limit is not None:
        raise BadInput(f"--limit {limit:g}: no budget bounds {x} or {y} of a schedule; expected power or machines")


def between(least: Outcome, other: Outcome, priced: Priced, most: int) -> tuple[Outcome, ...]:
    """Schedules between that of least cost and that of least energy: of least cost at other prices of electricity.

    At the price at which two neighbours come to the same, a third that comes to less lies between them. Designs off
    the line between two neighbours are found, those within it are not.

    Args:
        least: of least cost.
        other: of least energy.
        priced: finds others.
        most: how many to plan at most.
    """
    found, open_ = list[Outcome](), [(least, other)]
    while open_ and len(found) < most:
        one, two = open_.pop(0)
        (cost, kwh), (more, less) = _place(one), _place(two)
        if kwh - less <= CLOSE_FRAC * kwh or more - cost <= 0:
            continue
        price = (more - cost) / (kwh - less)
        made = priced(price)
        if made is None:
            continue
        here = _place(made)
        if here[0] + price * here[1] < (cost + price * kwh) * (1 - CLOSE_FRAC):
            found.append(made)
            open_ += [(one, made), (made, two)]
    return tuple(found)


def aims(first: str, second: str = "") -> dict[str, str]:
    """Settings with which a schedule is the least of a total, and of equals the least of another one."""
    then = second or ("energy" if first == "cost" else "cost")
    return {"objective": first, "schedule.objectives": f"[{first}, {then}]"}


def at_price(found: Outcome, more_usd_per_kwh: float) -> Outcome:
    """A schedule that was planned at a higher price of electricity, with its cost at the price of the question."""
    over = found.over_time
    if over is None:
        return found
    off = {
        name: replace(spent, cost_usd=spent.cost_usd - more_usd_per_kwh * spent.energy_j / 3.6e6)
        for name, spent in (("planned", over.planned), ("simulated", over.simulated))
        if spent is not None
    }
    over = replace(over, **off)  # type: ignore[arg-type]
    return replace(found, over_time=over, objective_value=over.cost_usd, bound=None)


def _place(found: Outcome) -> tuple[float, float]:
    """Dollars and kWh."""
    assert found.over_time is not None, "only schedules are placed"
    return found.over_time.cost_usd, found.over_time.energy_kwh
