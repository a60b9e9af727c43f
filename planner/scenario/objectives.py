"""What a plan is asked to make small, and within which limits."""

from dataclasses import dataclass
from enum import StrEnum

from planner.perf.layout import Role


class Objective(StrEnum):
    """What the optimiser makes as small (throughput: as large) as it can."""

    COST = "cost"
    """USD/h of the whole plan."""
    POWER = "power"
    """Rated watts of the whole plan: nameplates, less what enforced caps take off."""
    ENERGY = "energy"
    """Expected watts of the whole plan at the wall, idle machines included."""
    CARBON = "carbon"
    """Grams of CO2 per hour that these watts and the cooling for them cause."""
    MACHINES = "machines"
    """Machines bought."""
    THROUGHPUT = "throughput"
    """Requests per second, the workload's mix of classes kept, within the budgets."""


IN_JOULES = frozenset({Objective.ENERGY, Objective.CARBON})
"""Objectives of mean watts: planned by estimated joules, bounded by the least, simulated step by step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """The largest average load each resource may be planned at, all in (0, 1]; 1 leaves no headroom."""

    prefill_frac: float = 0.85
    decode_frac: float = 0.95
    mixed_frac: float = 0.85
    kv_frac: float = 0.9
    link_frac: float = 0.5

    def of(self, role: Role) -> float:
        """The load limit of instances in ``role``."""
        return {Role.PREFILL: self.prefill_frac, Role.DECODE: self.decode_frac, Role.MIXED: self.mixed_frac}[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Hard limits on the whole plan; None is unlimited. ``power_w`` is rated power: nameplates, less enforced caps."""

    cost_usd_per_h: float | None = None
    power_w: float | None = None
    expected_power_w: float | None = None
    rack_units: float | None = None
    machines: int | None = None
    machine_types: int | None = None


class Aim(StrEnum):
    """What a schedule makes small."""

    COST = "cost"
    """Dollars: machines, and electricity where its price is given."""
    ENERGY = "energy"
    """Joules at the meter."""
    CARBON = "carbon"
    """Grams of CO₂ of that energy, by the hour's intensity."""
    POWER = "power"
    """Rated watts of the powered machines, the mean of all epochs."""
    MACHINES = "machines"
    """Powered machines, the mean of all epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitions:
    """What changes cost and how many are allowed; None is no limit.

    Attributes:
        start_s: from the order to the first request served; it idles meanwhile, and pays rent if newly on top.
        start_usd: wear, egress or effort of one start.
        min_up_epochs: epochs that a started machine stays powered, >= 1.
        ramp_machines: most machines of a type started, and most stopped, between two epochs.
        churn_machines: most starts and stops of all types over the whole horizon.
        cyclic: the first epoch follows the last.
    """

    start_s: float = 420.0
    start_usd: float = 0.0
    min_up_epochs: int = 1
    ramp_machines: int | None = None
    churn_machines: int | None = None
    cyclic: bool = True
