"""What one knob alone would save: machines, clocks or layouts that follow the load, and the other two as at the peak.

Each is the same program with fewer options, for the same rates.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from planner.formulate import EpochQuestion
from planner.formulate.epoch_program import counted, served
from planner.perf.layout import InstanceSpec
from planner.results.schedule import Run, Schedule
from planner.scenario.objectives import Budgets
from planner.schedules.programs import solved
from planner.schedules.question import Opened, one_epoch
from planner.schedules.rows import busiest_of

Kept = Callable[[InstanceSpec], object]
"""What of an instance stays as it is at the peak."""

KNOBS: Mapping[str, Kept] = {
    "machines": lambda spec: spec,
    "clock": lambda spec: replace(spec, clock_mhz=None),
    "layout": lambda spec: (spec.role, spec.machine, spec.clock_mhz),
}
"""Knob -> what stays while it follows the load; machines follow it under the first alone."""


def moved(schedule: Schedule) -> Iterator[str]:
    """The knobs that a schedule turns from epoch to epoch."""
    busy = [epoch for epoch in schedule.epochs if epoch.runs]
    if len({tuple(sorted(epoch.machines.items())) for epoch in schedule.epochs}) > 1:
        yield "machines"
    clocks = {frozenset((r.model, r.spec.role, r.spec.machine, r.spec.clock_mhz) for r in epoch.runs) for epoch in busy}
    if len(clocks) > 1:
        yield "clock"
    layouts = {frozenset((r.model, r.spec.role, r.spec.machine, r.spec.layout) for r in epoch.runs) for epoch in busy}
    if len(layouts) > 1:
        yield "layout"


def alone(asked: Opened, question: EpochQuestion, schedule: Schedule, knob: str) -> Schedule | None:
    """The schedule that moves one knob alone; None where it does not serve every epoch."""
    peak, kept = busiest_of(schedule), KNOBS[knob]
    same = {(run.model, kept(run.spec)) for run in peak.runs}
    options = tuple(option for option in question.options if (option.model, kept(option.spec)) in same)
    if not all(served(options, name) for name, rates in question.load.peak_req_per_s.items() if rates.max() > 0):
        return None
    fewer = replace(question, options=options)
    if knob == "machines":
        return solved(asked, fewer, prove=False).schedule()
    return on_fleet(asked, fewer, schedule, peak.machines)


def on_fleet(
    asked: Opened, question: EpochQuestion, like: Schedule, machines: Mapping[str, int]
) -> Schedule | None:  # fmt: skip
    """What runs best in every epoch on machines that are all powered and never change; None where an epoch is too busy.

    Args:
        asked: the question over time.
        question: its program, with the options that may run.
        like: a schedule of it, whose aims and solve are stated.
        machines: type -> how many.
    """
    load, still = question.load, _powered(question, machines)
    runs, known = list[tuple[Run, ...]](), dict[tuple[float, ...], tuple[Run, ...] | None]()
    for epoch in range(load.epochs):
        key = tuple(float(rates[name][epoch]) for rates in (load.peak_req_per_s, load.mean_req_per_s) for name in rates)
        if key not in known:
            known[key] = _runs(asked, one_epoch(still, epoch))
        if (found := known[key]) is None:
            return None
        runs.append(found)
    most = {kind.machine: kind.most_base_machines for kind in question.fleet}
    bought = {name: min(count, most.get(name, count)) for name, count in machines.items()}
    blank = replace(like, base_machines=bought, epochs=())
    return counted(question, question.options, blank, [machines] * load.epochs, runs)


def _powered(question: EpochQuestion, machines: Mapping[str, int]) -> EpochQuestion:
    """The question about machines that are there and powered whatever runs on them, so that they count nothing."""
    there = tuple(
        replace(kind, idle_w=0.0, base_usd_per_h=0.0, top_usd_per_h=0.0, rated_w=0.0, spare_machines=0.0,
                spare_ratio=0.0, most_base_machines=machines.get(kind.machine, 0),
                available=machines.get(kind.machine, 0), most_top_machines=0)
        for kind in question.fleet
    )  # fmt: skip
    return replace(question, fleet=there, budgets=Budgets())


def _runs(asked: Opened, question: EpochQuestion) -> tuple[Run, ...] | None:
    """The pools of a question about one epoch; None where there are none."""
    if not any(rates[0] for rates in question.load.peak_req_per_s.values()):
        return ()
    made = solved(asked, question).schedule()
    return made.epochs[0].runs if made else None
