"""What shares of time cost all models of a fleet together."""

from collections import Counter
from collections.abc import Iterator

from planner.planning.fleet_question import FleetInputs, Plans
from planner.planning.overloads import FUZZ_FRAC
from planner.results.availability import Nine


def nines_of(question: FleetInputs, plans: Plans) -> tuple[Nine, ...]:
    """The price of each share of time, the smallest first: every model's machines with the spare ones that it asks for.

    Args:
        question: whose stock and budgets these machines are compared with.
        plans: of all models; empty is returned where availability was not asked of them.
    """
    studies = [found.availability for found in plans.values()]
    by_target: dict[float, list[Nine]] = {}
    for study in studies:
        for nine in study.nines if study else ():
            by_target.setdefault(nine.target_frac, []).append(nine)
    return tuple(_together(question, each) for _, each in sorted(by_target.items()) if len(each) == len(studies))


def _together(question: FleetInputs, each: list[Nine]) -> Nine:
    """What a share of time costs all models."""
    reached = all(nine.machines for nine in each)
    kinds = Counter[str]()
    for nine in each if reached else ():
        kinds.update(nine.machine_types)
    cost, power = sum(nine.cost_usd_per_h for nine in each), sum(nine.power_w for nine in each)
    machines = sum(nine.machines for nine in each)
    return Nine(
        target_frac=each[0].target_frac, up_frac=max(0.0, 1 - sum(1 - nine.up_frac for nine in each)) * reached,
        machines=machines * reached, spare_machines=sum(nine.spare_machines for nine in each) * reached,
        cost_usd_per_h=cost * reached, power_w=power * reached, domains=max(nine.domains for nine in each),
        chosen=each[0].chosen, machine_types=dict(kinds),
        over=tuple(_over(question, kinds, cost, power)) if reached else (),
    )  # fmt: skip


def _over(question: FleetInputs, kinds: Counter[str], cost_usd_per_h: float, power_w: float) -> Iterator[str]:
    """Limits that these machines exceed."""
    budgets = question.fleet.budget()
    limits: list[tuple[str, float | None, float]] = [
        (f"catalog.available {kind}", question.available.get(kind), float(n)) for kind, n in kinds.items()
    ]
    limits += [
        ("budgets.cost_usd_per_h", budgets.cost_usd_per_h, cost_usd_per_h),
        ("budgets.power_w", budgets.power_w, power_w),
        ("budgets.machines", budgets.machines, float(kinds.total())),
    ]
    for name, limit, needed in limits:
        if limit is not None and needed > limit * (1 + FUZZ_FRAC):
            yield f"{name} is {limit:g}, these take {needed:g}"
