"""What machines need of each budgeted quantity, summed in one place."""

from collections.abc import Iterable, Mapping, Sequence

from planner.capacity.envelope import Option
from planner.capacity.redundancy import MOST_MORE, MOST_TIMES, Stock, spares
from planner.results.plan import Totals
from planner.scenario.objectives import Objective

NO_WORK: Mapping[str, float] = {}
"""Rates of machines that serve nothing: they draw their floor."""


def totals(bought: Iterable[tuple[Option, int, Mapping[str, float]]]) -> Totals:
    """The sum over pools, with the spare machines that availability asks for on top of those that serve.

    Args:
        bought: of each pool the kind of instance, how many machines, and class name -> requests per second.
    """
    found = Totals(cost_usd_per_h=0.0, power_w=0.0, rack_units=0.0, machines=0, gpus=0)
    pools = tuple(bought)
    on_top = spare_machines([(option, machines) for option, machines, _ in pools])
    for (option, serving, rate_req_per_s), more in zip(pools, on_top, strict=True):
        machines = serving + more
        drawn_w = option.expected_w(machines, rate_req_per_s)
        found += Totals(
            cost_usd_per_h=machines * option.price_usd_per_h,
            power_w=machines * option.rated_w,
            rack_units=machines * option.machine.rack_units,
            machines=machines,
            gpus=machines * option.machine.gpus,
            expected_power_w=drawn_w,
            carbon_g_per_h=3600 * drawn_w * option.carbon_g_per_j,
        )
    return found


def spare_machines(serving: Sequence[tuple[Option, int]]) -> tuple[int, ...]:
    """Machines on top of those of each pool that the objectives need; none where availability is not asked for.

    Where no number of machines is enough, more than any plan has.
    """
    needed = [
        (option.spec.role, Stock(machines=n, needed=n, span=option.machines_per_instance, each=option.reliability),
         counted(option, option.reliability.rule.objective))
        for option, n in serving if option.reliability is not None
    ]  # fmt: skip
    if len(needed) < len(serving):
        return (0,) * len(serving)
    found = spares(needed)
    return tuple(MOST_TIMES * n + MOST_MORE for _, n in serving) if found is None else found


def counted(option: Option, objective: Objective) -> float:
    """What an idle machine adds to an objective; to throughput, which is bought with money, its price."""
    floors = {Objective.ENERGY: option.floor_w, Objective.CARBON: option.floor_w * option.carbon_g_per_j}
    rest = {Objective.POWER: option.rated_w, Objective.MACHINES: 1.0}
    return (floors | rest).get(objective, option.price_usd_per_h)
