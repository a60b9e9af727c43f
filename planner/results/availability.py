"""The nouns of availability: how often a plan has the machines it needs, at what price, and what failures did to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Nine:
    """What a share of time costs: the machines of the answer with other spares.

    Attributes:
        target_frac: share of time in which every objective is met, as asked.
        up_frac: as computed for these machines; 0 where no number of machines is enough.
        machines: all of them; 0 where no number is enough.
        spare_machines: of them, those that may be down.
        cost_usd_per_h: of all machines.
        power_w: rated.
        domains: that they are spread over.
        chosen: whether it is the answer, into which failures were injected; the others are computed.
        machine_types: machine type -> how many of all.
        over: limits of the question that these machines exceed, a sentence each.
    """

    target_frac: float
    up_frac: float
    machines: int
    spare_machines: int
    cost_usd_per_h: float
    power_w: float
    domains: int
    chosen: bool
    machine_types: Mapping[str, int] = field(default_factory=dict)
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A failure in the middle of a simulated run.

    Attributes:
        words: what fails.
        single: one failure of the plan with all its machines up, as most failures are.
        down_machines: down from the start of the run.
        machines: that fail in it.
        recovery_s: seconds after it from which arrivals meet every objective again; where they never do in the run, as
            long as was looked at.
        restarted: requests that were served again, all seeds together.
        used_ratio: upper end of the worst objective's interval over its limit, of the arrivals after that.
        fails: what is wrong after that; empty where every objective is met and every request was served.
    """

    words: str
    single: bool
    down_machines: int
    machines: int
    recovery_s: float
    restarted: int
    used_ratio: float
    fails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """How often a plan meets every objective.

    Attributes:
        target_frac: share of time that was asked for; 0 where only spare machines were.
        up_frac: share of time in which every pool has the machines with which every objective is met, less the seconds
            that follow failures.
        spare_machines: of the plan, all pools together.
        racks: that the pools are spread over.
        domains: that the racks are spread over.
        failures_per_h: of machines, racks and domains, all together.
        recovery_s: the longest that followed a failure of the plan with all machines up.
        nines: what other shares of time cost, the smallest first.
        outages: failures that were injected.
        assumptions: rates that this follows from, with their sources, full sentences.
        models: of several models over time, the share of time of each in its own worst epoch; ``up_frac`` is the least.
    """

    target_frac: float
    up_frac: float
    spare_machines: int
    racks: int
    domains: int
    failures_per_h: float
    recovery_s: float
    nines: tuple[Nine, ...]
    outages: tuple[Outage, ...]
    assumptions: tuple[str, ...]
    models: Mapping[str, float] = field(default_factory=dict)
