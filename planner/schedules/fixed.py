"""What a schedule saves: its own energy as metered, and the fixed fleet for the peak beside it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from planner.errors import BadInput
from planner.formulate.epoch_program import started
from planner.resolve.case import Case, open_case
from planner.resolve.epoch_options import epoch_options
from planner.resolve.over_time import aims_of, hourly_carbon_g_per_kwh
from planner.results.plan import CandidatePlan
from planner.results.schedule import Epoch, FixedFleet, Run, Schedule, Spent
from planner.results.timetable import Served, Timetable, watts_ratios
from planner.scenario import Scenario
from planner.scenario.objectives import Aim, Objective
from planner.schedules.question import Opened
from planner.schedules.recount import recounted
from planner.schedules.serving import Serving
from solvers.allocation import Termination
from workloads.load import Floats

J_PER_KWH = 3.6e6

KEYS = {Aim.COST: "cost_usd", Aim.ENERGY: "energy_j", Aim.CARBON: "carbon_g"}
"""Where ``Spent`` has what an aim counts."""

MOST_REQUESTS = 50_000
"""Requests of one simulation of the peak up to which plans of one load are looked for: they take dozens of them."""

MOST_OPTIONS = 100
"""Options up to which they are: each is resolved again, with the driver's own clock beside those of the schedule."""

Static = Callable[[Scenario], CandidatePlan | None]
"""Finds the validated plan of a question about one load."""


def simulated(schedule: Schedule, served: Sequence[Served], scenario: Scenario) -> Spent | None:
    """Money, energy and CO2 of a schedule with the metered watts in place of the planned.

    An epoch that was not served is counted at the mean ratio of those that were.

    Returns:
        None where watts are not known, or nothing was served.
    """
    ratios = watts_ratios(served)
    known = {epoch: ratio for epoch, ratio in ratios.items() if ratio is not None}
    if not known or len(known) < len(ratios):
        return None
    planned_j = sum(schedule.epochs[epoch].energy_j for epoch in known)
    mean = sum(schedule.epochs[epoch].energy_j * ratio for epoch, ratio in known.items()) / max(1e-9, planned_j)
    cost_usd = energy_j = carbon_g = 0.0
    for number, epoch in enumerate(schedule.epochs):
        ratio = known.get(number, mean)
        energy_j += epoch.energy_j * ratio
        carbon_g += epoch.carbon_g * ratio
        cost_usd += epoch.cost_usd + epoch.energy_j * (ratio - 1) / J_PER_KWH * scenario.energy.usd_per_kwh
    return Spent(cost_usd=cost_usd, energy_j=energy_j, carbon_g=carbon_g)


def fixed_fleet(asked: Opened, schedule: Schedule, static: Static) -> FixedFleet | None:
    """The fleet for the peak, never changed: what it comes to over the horizon of a schedule.

    Of the schedule's own busiest epoch and, where requests of a simulation and options are not too many, the plans of
    one load for the first aim and the cheapest, the best over the horizon: what draws least at the peak may idle more
    at night. The simulator serves it in the busiest and the quietest epoch, of a trace in all.

    Args:
        asked: the question over time.
        schedule: the validated answer.
        static: finds a validated plan of one load.

    Returns:
        None where watts are not known.
    """
    aims = aims_of(asked.case.scenario)
    busiest = schedule.epochs[_looked_at(asked)[0]]
    found = [_fixed(asked, asked.case, _still(asked, busiest.machines, busiest.runs, schedule.termination))]
    if _requests(asked) <= MOST_REQUESTS and len(asked.case.options) <= MOST_OPTIONS:
        found += [_planned(asked, static, aim) for aim in dict.fromkeys((aims[0], Aim.COST))]
    keys = [KEYS[aim] for aim in aims if aim in KEYS] or ["cost_usd"]

    def worth(each: FixedFleet) -> tuple[object, ...]:
        return (not each.valid, *(getattr(each.spent, key) for key in keys))

    return min((each for each in found if each is not None), key=worth, default=None)


def unchanged(asked: Opened, found: Timetable, fixed: FixedFleet) -> Schedule | None:
    """A fixed fleet as a schedule: its pools in every epoch, each with its share of the load there.

    Returns:
        None where it is none of the question's: its pools are not on offer, or it has to keep what a fleet for the peak
        is planned without (availability, rows).
    """
    load, section, scenario = asked.load, asked.section, asked.case.scenario
    if asked.rule is not None or scenario.power.row_limit_w is not None or found.schedule is None:
        return None
    totals = started(fixed.runs)
    shares = [{name: rate / totals[name] for name, rate in run.rate_req_per_s.items()} for run in fixed.runs]
    none, most = dict.fromkeys(fixed.machines, 0), section.base_machines
    epochs = []
    for at in range(load.epochs):
        here = {name: float(peak[at]) for name, peak in load.peak_req_per_s.items() if peak[at] > 0}
        rates = ({n: share * here[n] for n, share in each.items() if n in here} for each in shares)
        runs = tuple(replace(run, rate_req_per_s=each) for run, each in zip(fixed.runs, rates, strict=True) if each)
        epochs.append(
            Epoch(
                start_s=at * load.epoch_s, machines=fixed.machines, top_machines=none, started=none, stopped=none,
                runs=runs, energy_j=0.0, carbon_g=0.0, cost_usd=0.0,
            )
        )  # fmt: skip
    bought = {name: count if most is None else min(count, most) for name, count in fixed.machines.items()}
    still = replace(found.schedule, epochs=tuple(epochs), base_machines=bought, churn_machines=0)
    try:
        return recounted(asked, still)
    except BadInput:
        return None


def _requests(asked: Opened) -> float:
    """Requests of one simulation of the peak, all seeds together."""
    workload = asked.case.asked
    if asked.section.load == "trace":
        return float(len(workload.draw(workload.seeds[0], 1.0, 1.0)))
    busiest = float(_total(asked.load.peak_req_per_s).max()) / workload.demand.rate_req_per_s
    return float(len(workload.draw(workload.seeds[0], busiest, 1.0)) * len(workload.seeds))


def _planned(asked: Opened, static: Static, aim: Aim) -> FixedFleet | None:
    """The fleet of the plan of one load that makes an aim small."""
    question = at_the_peak(asked, aim)
    candidate = static(question)
    if candidate is None:
        return None
    machines = Counter[str]()
    for pool in candidate.pools:
        machines[pool.spec.machine] += pool.machines
    runs = tuple(
        Run(spec=pool.spec, instances=pool.instances, rate_req_per_s=pool.rate_req_per_s) for pool in candidate.pools
    )
    case = open_case(question, asked.case.policy.name)
    return _fixed(asked, case, _still(asked, machines, runs, candidate.termination))


def _fixed(asked: Opened, case: Case, still: Schedule) -> FixedFleet | None:
    """A schedule that never changes, served and counted."""
    serving = Serving(case, asked.section, asked.load, epoch_options(case))
    served = {epoch: serving.one(still, epoch, lambda *_: None, spares=True)[0][0] for epoch in _looked_at(asked)}
    spent = _spent(asked, case, still, served)
    if spent is None:
        return None
    return FixedFleet(
        machines={name: count for name, count in still.base_machines.items() if count}, runs=still.epochs[0].runs,
        spent=spent, served_epochs=tuple(sorted(served)), valid=all(each.served_well for each in served.values()),
    )  # fmt: skip


def at_the_peak(asked: Opened, aim: Aim) -> Scenario:
    """The same question about one load, that of the busiest epoch, or about the whole trace, for one aim."""
    scenario, busiest = asked.case.scenario, 1.0
    if asked.section.load != "trace":
        busiest = float(_total(asked.load.peak_req_per_s).max()) / asked.case.asked.demand.rate_req_per_s
    offered, clocks_mhz = scenario.catalog, dict(scenario.catalog.clocks_mhz)
    own = {(option.spec.machine, option.spec.clock_mhz) for option in asked.case.options if option.spec.clock_mhz}
    for name in sorted({machine for machine, _ in own}):
        if clocks_mhz.get(name) != "auto":
            clocks_mhz[name] = tuple(sorted(clock for machine, clock in own if machine == name))
    workload, policy = scenario.workload, scenario.policy
    return scenario.model_copy(
        update={
            "schedule": None, "objective": Objective(aim.value),
            "workload": workload.model_copy(update={"rate_scale": workload.rate_scale * busiest}),
            "catalog": offered.model_copy(update={"clocks_mhz": clocks_mhz}),
            "policy": policy.model_copy(update={"name": asked.case.policy.name}),
        }
    )  # fmt: skip


def _looked_at(asked: Opened) -> list[int]:
    """The epochs to serve, the busiest first."""
    total = _total(asked.load.peak_req_per_s)
    order = [epoch for epoch in np.argsort(-total, kind="stable").tolist() if total[epoch] > 0]
    return order if asked.section.load == "trace" else list(dict.fromkeys((order[0], order[-1])))


def _total(rates: Mapping[str, Floats]) -> Floats:
    """(epochs,) rate of all classes together."""
    return np.asarray(np.sum(np.array(list(rates.values())), axis=0), np.float64)


def _still(
    asked: Opened, machines: Mapping[str, int], runs: tuple[Run, ...], termination: Termination
) -> Schedule:  # fmt: skip
    """Pools that never change, as a schedule; what they cost is counted elsewhere."""
    none = dict.fromkeys(machines, 0)
    epoch = Epoch(
        start_s=0.0, machines=dict(machines), top_machines=none, started=none, stopped=none, runs=runs,
        energy_j=0.0, carbon_g=0.0, cost_usd=0.0,
    )  # fmt: skip
    return Schedule(
        epoch_s=asked.load.epoch_s, aims=(), base_machines=dict(machines), epochs=(epoch,) * asked.load.epochs,
        energy_j=0.0, carbon_g=0.0, cost_usd=0.0, churn_machines=0, termination=termination, method="static",
    )  # fmt: skip


def _spent(asked: Opened, case: Case, still: Schedule, served: Mapping[int, Served]) -> Spent | None:
    """Money, energy and CO2 of a fixed fleet over the horizon.

    Watts at the rates that were not served lie on the line between those that were. Watts rise ever more slowly with
    the rate, so the line is on the low side: what a schedule saves is not overstated.
    """
    watts = {epoch: each.simulated_w for epoch, each in served.items() if each.simulated_w is not None}
    if len(watts) < len(served):
        return None
    load, energy = asked.load, asked.case.scenario.energy
    peaks, means = _total(load.peak_req_per_s), _total(load.mean_req_per_s)
    known = sorted(watts, key=lambda epoch: float(peaks[epoch]))
    drawn = np.interp(means, [float(peaks[epoch]) for epoch in known], [watts[epoch] for epoch in known])
    if asked.section.load == "trace":
        drawn[known] = [watts[epoch] for epoch in known]
    idle_w = {option.machine.name: option.machine.idle_w for option in case.options}
    powered = still.epochs[0].machines
    standing_w = sum(idle_w[name] * count for name, count in powered.items())
    drawn = np.where(means > 0, drawn, standing_w)
    energy_j = drawn * load.epoch_s * energy.pue_ratio
    hours = np.asarray(hourly_carbon_g_per_kwh(asked.case.scenario), float)
    at = (np.arange(load.epochs) * load.epoch_s / 3600).astype(int) % len(hours)
    price = {option.machine.name: option.price_usd_per_h for option in case.options}
    machines_usd = sum(price[name] * count for name, count in powered.items()) * load.duration_s / 3600
    return Spent(
        cost_usd=machines_usd + float(energy_j.sum()) / J_PER_KWH * energy.usd_per_kwh, energy_j=float(energy_j.sum()),
        carbon_g=float((energy_j / J_PER_KWH * hours[at]).sum()),
    )  # fmt: skip
