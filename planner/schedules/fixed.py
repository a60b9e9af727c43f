"""What a schedule saves: its own energy as metered, and the fixed fleet for the peak beside it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.errors import BadInput
from planner.formulate.epoch_program import started
from planner.resolve.case import case_of
from planner.resolve.over_time import aims_of
from planner.results.schedule import Epoch, FixedFleet, Run, Schedule, Spent, scoped
from planner.results.timetable import Served, Timetable, watts_ratios
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Aim, Objective
from planner.schedules.peaks import Peak, Static, at_the_peak, busiest, models_at_the_peak, requests_of
from planner.schedules.programs import solved
from planner.schedules.question import Opened, alone, parts_of
from planner.schedules.recount import machines_for, recounted
from planner.schedules.together import of_model
from planner.schedules.unmoved import J_PER_KWH, Still, unmoved

KEYS = {Aim.COST: "cost_usd", Aim.ENERGY: "energy_j", Aim.CARBON: "carbon_g"}
"""Where ``Spent`` has what an aim counts."""

MOST_REQUESTS = 50_000
"""Requests of one simulation of the peak up to which plans of one load are looked for: they take dozens of them."""

MOST_OPTIONS = 100
"""Options of a model up to which they are: each is resolved again, with the driver's own clock beside those here."""


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


def fixed_fleets(
    asked: Opened, found: Timetable, static: Static, fleet: Fleet | None = None
) -> tuple[FixedFleet, ...]:  # fmt: skip
    """Fleets for the peak, never changed, with what they come to over the horizon of a schedule, the best first.

    The schedule's own pools at the peak, those of each model at its own; of several models what is best for all their
    peaks at once; and, where requests of a simulation and options are not too many, the plans of one load for the first
    aim and the cheapest: what draws least at the peak may idle more at night.

    Args:
        asked: the question over time.
        found: the validated answer.
        static: finds validated plans of one load.
        fleet: the question about several models.

    Returns:
        None where watts are not known; none misses an objective before one that does not.
    """
    assert found.schedule is not None, "only a schedule has a fixed fleet beside it"
    aims, each = aims_of(asked.case.scenario), parts_of(asked).values()
    tried = [_of_peaks(asked, found.schedule), *([_of_all_peaks(asked, found)] if asked.parts else [])]
    few = sum(requests_of(part) for part in each) <= MOST_REQUESTS
    if few and all(len(part.case.options) <= MOST_OPTIONS for part in each):
        question = models_at_the_peak(asked, fleet) if fleet else at_the_peak(asked)
        objectives = [Objective(aim.value) for aim in dict.fromkeys((aims[0], Aim.COST))]
        tried += [_planned(asked, peak) for peak in static(question, objectives)]
    keys = [KEYS[aim] for aim in aims if aim in KEYS] or ["cost_usd"]

    def worth(each: FixedFleet) -> tuple[object, ...]:
        return (not each.valid, *(getattr(each.spent, key) for key in keys))

    return tuple(sorted((each for each in tried if each is not None), key=worth))


def _of_peaks(asked: Opened, schedule: Schedule) -> FixedFleet | None:
    """The pools that a schedule has at the peak, each model's at its own."""
    peaks = {name: busiest(part) for name, part in parts_of(asked).items()}
    runs = tuple(run for name, epoch in peaks.items() for run in schedule.epochs[epoch].runs if run.model == name)
    machines = machines_for(asked, runs) if asked.parts else schedule.epochs[busiest(asked)].machines
    still = Still(
        cases={name: part.case for name, part in parts_of(asked).items()}, machines=machines,
        pools={name: of_model(schedule, name).epochs[epoch].runs for name, epoch in peaks.items()},
    )  # fmt: skip
    return unmoved(asked, still, schedule.termination)


def _of_all_peaks(asked: Opened, found: Timetable) -> FixedFleet | None:
    """What is best for the peaks of all models, as if they came together: that of the program of one such epoch."""
    at = {scoped(name, kind): busiest(part) for name, part in asked.parts.items() for kind in part.load.peak_req_per_s}
    question = alone(asked, 0, {name: np.array(ratios) for name, ratios in found.provided_ratio.items()})
    means = {name: rates[at[name]][None] for name, rates in asked.load.mean_req_per_s.items()}
    peaks = {n: rates[at[n]][None] * found.provided_ratio[n][at[n]] for n, rates in asked.load.peak_req_per_s.items()}
    load = replace(question.load, mean_req_per_s=means, peak_req_per_s=peaks)
    made = solved(asked, replace(question, load=load), prove=False).schedule()
    if made is None:
        return None
    still = Still(
        cases={name: part.case for name, part in asked.parts.items()}, machines=made.epochs[0].machines,
        pools={name: of_model(made, name).epochs[0].runs for name in asked.parts},
    )  # fmt: skip
    return unmoved(asked, still, made.termination)


def _planned(asked: Opened, peak: Peak) -> FixedFleet | None:
    """The fleet of the plans of one load; None where there are none."""
    if not peak:
        return None
    machines, pools = Counter[str](), dict[str, tuple[Run, ...]]()
    for name, (_, plan) in peak.items():
        for pool in plan.pools:
            machines[pool.spec.machine] += pool.machines
        pools[name] = tuple(
            Run(spec=pool.spec, instances=pool.instances, rate_req_per_s=pool.rate_req_per_s) for pool in plan.pools
        )
    cases = {name: case_of(inputs, plan) for name, (inputs, plan) in peak.items()}
    still = Still(cases=cases, pools={name: pools[name] for name in parts_of(asked)}, machines=machines)
    return unmoved(asked, still, next(plan.termination for _, plan in peak.values()))


def unchanged(asked: Opened, found: Timetable, fixed: FixedFleet) -> Schedule | str:
    """A fixed fleet as a schedule: its pools in every epoch, each with its share of the load there.

    Returns:
        In words why it is none of the question's: it was planned without what the question has to keep (availability,
        rows), or its pools are not on offer.
    """
    load, section, scenario = asked.load, asked.section, asked.case.scenario
    assert found.schedule is not None, "likewise"
    if asked.rule is not None:
        return "it was planned without the spare machines that availability asks for"
    if scenario.power.row_limit_w is not None:
        return "it was planned without the rows of power"
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
    offered = {option.name for option in asked.options}
    if strangers := sorted({run.name for run in fixed.runs} - offered):
        return f"it runs {', '.join(strangers)}, which the schedule is not offered"
    try:
        return recounted(asked, still)
    except BadInput as wrong:
        return f"it is no schedule: {wrong.problems[0]}"
