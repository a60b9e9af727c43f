"""What machines need of each budgeted quantity, summed in one place."""

from collections.abc import Iterable, Mapping

from planner.capacity.envelope import Option
from planner.results.plan import Totals

NO_WORK: Mapping[str, float] = {}
"""Rates of machines that serve nothing: they draw their floor."""


def totals(bought: Iterable[tuple[Option, int, Mapping[str, float]]]) -> Totals:
    """The sum over pools.

    Args:
        bought: of each pool the kind of instance, how many machines, and class name -> requests per second.
    """
    found = Totals(cost_usd_per_h=0.0, power_w=0.0, rack_units=0.0, machines=0, gpus=0)
    for option, machines, rate_req_per_s in bought:
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
