"""The nouns of a row: how many machines it holds, and what its control costs those who run on them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTrial:
    """So many machines in the row, simulated over all weeks under its control.

    Attributes:
        machines: how many.
        ratio: over the machines that the limit is meant for.
        peak_frac: highest draw over the limit.
        brakes: times the power brake was pulled, all weeks together.
        brake_s: seconds with the brake pulled.
        above_s: seconds above the limit.
        longest_above_s: the longest stretch of them.
        beyond_t1_frac: share of time between the two thresholds (of a single one: beyond it).
        beyond_t2_frac: share of time beyond the second.
        low_clock_lost_s: clock that low priority did without, Σ over instances of (1 - f/f0) · s.
        high_clock_lost_s: the same of high priority.
        loss_frac: ``low_p50``, ``low_p99``, ``high_p50``, ``high_p99`` -> latency added by control.
        throughput_loss_frac: ``low``, ``high`` -> requests not finished for control.
        commands: clock commands issued.
        lost_commands: of them, without effect.
        fails: why the row may not hold so many; empty where it may.
    """

    machines: int
    ratio: float
    peak_frac: float
    brakes: int
    brake_s: float
    above_s: float
    longest_above_s: float
    beyond_t1_frac: float
    beyond_t2_frac: float
    low_clock_lost_s: float
    high_clock_lost_s: float
    loss_frac: Mapping[str, float]
    throughput_loss_frac: Mapping[str, float]
    commands: int
    lost_commands: int
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainUse:
    """What a power domain was provisioned for, and what its machines draw together without control.

    Attributes:
        domain: ``rack``, ``row`` or ``ups``.
        machines: behind it, with the ratio that was chosen.
        rated_w: of them together.
        limit_w: of the domain.
        p99_w: draw that is not exceeded 99 % of the time; of racks the fullest.
        peak_w: highest draw.
        coincidence_ratio: its peak over the sum of the peaks of its parts.
    """

    domain: str
    machines: int
    rated_w: float
    limit_w: float
    p99_w: float
    peak_w: float
    coincidence_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CappedUse:
    """How long instances of one pool and priority ran below their full clock, by order or by brake.

    Attributes:
        pool: as the plan names it; of several models with its model.
        low_priority: slowed down first.
        instances: of them in the row.
        capped_s: seconds, mean over these instances, all weeks together.
        capped_frac: of the time.
    """

    pool: str
    low_priority: bool
    instances: int
    capped_s: float
    capped_frac: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSeries:
    """What one row draws over time under its control, in bins, as shares of its limit.

    Attributes:
        machines: in the row.
        seed: of the week that is shown, the one with the highest peak.
        bin_s: length of a bin; the last may be shorter.
        mean_frac: mean draw of each bin of that week.
        peak_frac: highest tick of each bin.
        duration_frac: draw that is exceeded during 0, 1, ... 100 % of the time, all weeks.
        free_duration_frac: the same of the first week without control; empty where that was not kept.
        capped: by pool and priority.
    """

    machines: int
    seed: int
    bin_s: float
    mean_frac: tuple[float, ...]
    peak_frac: tuple[float, ...]
    duration_frac: tuple[float, ...]
    free_duration_frac: tuple[float, ...]
    capped: tuple[CappedUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStudy:
    """How many machines a row may hold under a power policy.

    Attributes:
        machine: machine type; several, most of one first, joined by ``+``.
        policy: name of the control law.
        row_limit_w: of the breaker.
        provisioned_machines: that the limit is meant for; the ratio's denominator.
        peak_frac: highest draw of those over the limit, without control.
        uncapped_ratio: 1 / ``peak_frac``: safe without control, by proportion.
        uncapped_machines: most whose simulated peak stays within the limit.
        machines: most that hold every loss limit with no brake; 0 where not even one does.
        ratio: over the provisioned ones.
        rise_2s_frac: most that the provisioned row rose within 2 s, share of the limit.
        rise_40s_frac: within 40 s.
        trials: every number of machines that was simulated, fewest first.
        domains: rack, row and UPS with the machines chosen.
        weeks: simulated, each drawn anew.
        week_s: length of each.
        tick_s: resolution.
        assumptions: inputs that were not measured for this row, full sentences.
        rows: that there is room for.
        plan_machines: of the plan that was studied.
        needed_rows: that its machines take; 0 where no number of rows would do. Machines that are not simulated in the
            row take rows of their own, filled by their rating.
        thresholds_frac: of the control that was chosen, shares of the limit.
        placed: machines of each row by pool; empty where no number of rows would do.
        series: of the machines that it holds, else of the fewest that were tried; None where none was.
    """

    machine: str
    policy: str
    row_limit_w: float
    provisioned_machines: int
    peak_frac: float
    uncapped_ratio: float
    uncapped_machines: int
    machines: int
    ratio: float
    rise_2s_frac: float
    rise_40s_frac: float
    trials: tuple[RowTrial, ...]
    domains: tuple[DomainUse, ...]
    weeks: int
    week_s: float
    tick_s: float
    assumptions: tuple[str, ...]
    rows: int = 1
    plan_machines: int = 0
    needed_rows: int = 1
    thresholds_frac: tuple[float, ...] = ()
    placed: tuple[Mapping[str, int], ...] = ()
    series: RowSeries | None = None

    @property
    def fits(self) -> bool:
        """Whether the plan's machines stand in the rows that there are."""
        return 0 < self.needed_rows <= self.rows
