"""A fleet that never changes over the horizon of a schedule: served where it is busiest and quietest, and counted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from planner.resolve.case import Case
from planner.resolve.epoch_options import epoch_options
from planner.resolve.over_time import hourly_carbon_g_per_kwh
from planner.results.schedule import Epoch, FixedFleet, Run, Schedule, Spent, scoped
from planner.results.timetable import Served
from planner.schedules.peaks import total
from planner.schedules.question import Opened, parts_of
from planner.schedules.serving import Serving
from solvers.allocation import Termination
from workloads.load import Floats

J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A fleet that never changes.

    Attributes:
        cases: of each model, what its pools are made of.
        pools: of each model, as they are called in its case.
        machines: machine type -> how many, for all.
    """

    cases: Mapping[str, Case]
    pools: Mapping[str, tuple[Run, ...]]
    machines: Mapping[str, int]


def unmoved(asked: Opened, still: Still, termination: Termination) -> FixedFleet | None:
    """What a fleet that never changes comes to over the horizon.

    The simulator serves every model in its busiest and its quietest epoch, of a trace in all.

    Args:
        asked: the question over time.
        still: the fleet.
        termination: how the solve ended that it is of.

    Returns:
        None where watts are not known.
    """
    served = dict[str, dict[int, Served]]()
    for name, part in parts_of(asked).items():
        case, schedule = still.cases[name], _alone(part, still.pools[name], termination)
        run = epoch_options(case, {run.spec.name for run in still.pools[name]})
        serving = Serving(case, part.section, part.load, run)
        looked = (serving.one(schedule, epoch, lambda *_: None, spares=True)[0][0] for epoch in _looked_at(part))
        served[name] = {each.epochs[0]: each for each in looked}
    spent = _spent(asked, still, served)
    if spent is None:
        return None
    every = [each for mine in served.values() for each in mine.values()]
    return FixedFleet(
        machines={name: count for name, count in still.machines.items() if count},
        runs=tuple(_of_model(name, run) for name, runs in still.pools.items() for run in runs),
        spent=spent, served_epochs=tuple(sorted({each.epochs[0] for each in every})),
        valid=all(each.served_well for each in every),
    )  # fmt: skip


def _of_model(name: str, run: Run) -> Run:
    """A pool beside those of other models."""
    return replace(run, model=name, rate_req_per_s={scoped(name, k): rate for k, rate in run.rate_req_per_s.items()})


def _looked_at(asked: Opened) -> list[int]:
    """The epochs to serve, the busiest first."""
    rates = total(asked.load, asked.load.peak_req_per_s)
    order = [epoch for epoch in np.argsort(-rates, kind="stable").tolist() if rates[epoch] > 0]
    return order if asked.section.load == "trace" else list(dict.fromkeys((order[0], order[-1])))


def _alone(asked: Opened, runs: tuple[Run, ...], termination: Termination) -> Schedule:
    """Pools of a model that never change, as a schedule whose machines and money are counted elsewhere."""
    epoch = Epoch(
        start_s=0.0, machines={}, top_machines={}, started={}, stopped={}, runs=runs, energy_j=0.0, carbon_g=0.0,
        cost_usd=0.0,
    )  # fmt: skip
    return Schedule(
        epoch_s=asked.load.epoch_s, aims=(), base_machines={}, epochs=(epoch,) * asked.load.epochs, energy_j=0.0,
        carbon_g=0.0, cost_usd=0.0, churn_machines=0, termination=termination, method="static",
    )  # fmt: skip


def _spent(asked: Opened, still: Still, served: Mapping[str, Mapping[int, Served]]) -> Spent | None:
    """Money, energy and CO2 of a fixed fleet over the horizon."""
    options = {option.machine.name: option for case in still.cases.values() for option in case.options}
    load, energy = asked.load, asked.case.scenario.energy
    drawn = np.full(load.epochs, sum(options[name].machine.idle_w * n for name, n in still.machines.items() if n))
    for name, part in parts_of(asked).items():
        watts = {epoch: each.simulated_w for epoch, each in served[name].items() if each.simulated_w is not None}
        if len(watts) < len(served[name]):
            return None
        drawn += _watts(part, watts)
    energy_j = drawn * load.epoch_s * energy.pue_ratio
    hours = np.asarray(hourly_carbon_g_per_kwh(asked.case.scenario), float)
    at = (np.arange(load.epochs) * load.epoch_s / 3600).astype(int) % len(hours)
    an_hour = sum(options[name].price_usd_per_h * count for name, count in still.machines.items() if count)
    return Spent(
        cost_usd=an_hour * load.duration_s / 3600 + float(energy_j.sum()) / J_PER_KWH * energy.usd_per_kwh,
        energy_j=float(energy_j.sum()), carbon_g=float((energy_j / J_PER_KWH * hours[at]).sum()),
    )  # fmt: skip


def _watts(asked: Opened, watts: Mapping[int, float]) -> Floats:
    """(epochs,) what the pools of a model draw above idle machines, by what they draw in some epochs.

    Watts at the rates that were not served lie on the line between those that were. Watts rise ever more slowly with
    the rate, so the line is on the low side: what a schedule saves is not overstated.
    """
    load = asked.load
    peaks, means = total(load, load.peak_req_per_s), total(load, load.mean_req_per_s)
    known = sorted(watts, key=lambda epoch: float(peaks[epoch]))
    drawn = np.interp(means, [float(peaks[epoch]) for epoch in known], [watts[epoch] for epoch in known])
    if asked.section.load == "trace":
        drawn[known] = [watts[epoch] for epoch in known]
    return np.where(means > 0, drawn, 0.0)
