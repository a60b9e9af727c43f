"""The nouns of fleets in cells: what dividing machines costs in latency and in the objective."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.results.choice import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The machines of some cells of a fleet, as they are and as one pool, on the same requests.

    Attributes:
        fleet_cells: cells of the fleet.
        cells: of them, those that were compared.
        apart: objective -> its percentile in cells, in its unit.
        together: the same in one pool, which sends each request where it waits least.
    """

    fleet_cells: int
    cells: int
    apart: Mapping[str, float]
    together: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """What the same question takes as one pool, in the same precision and policy.

    Attributes:
        objective_value: objective of the one pool.
        machines: of it.
        standing: validated, or what the program proposes at the load limits of the plan.
        more_frac: how much more than that the cells take (of the throughput objective: less); below 0 where they take
            less.
    """

    objective_value: float
    machines: int
    standing: Standing
    more_frac: float
