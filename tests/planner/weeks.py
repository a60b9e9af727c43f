"""A hand-made schedule of a week."""

from math import pi, sin

from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.schedule import Epoch, Run, Schedule
from planner.results.timetable import Timetable
from planner.scenario.objectives import Aim
from solvers.allocation import Reason, Termination

HOURS = 168


def timetable() -> Timetable:
    """That schedule, not served by the simulator."""
    made = schedule()
    return Timetable(
        schedule=made, served=(), unserved=tuple(range(HOURS)), termination=made.termination,
        provided_ratio={"all": (1.0,) * HOURS}, policy="colocated",
    )  # fmt: skip


def schedule() -> Schedule:
    """Hourly epochs whose load follows the day, on two machine types; clocks fall at night."""
    epochs, before = [], 4
    for hour in range(HOURS):
        load = 30 + 20 * sin(2 * pi * (hour - 8) / 24) - (8 if hour >= 120 else 0)
        machines = 2 + round(load / 10)
        clock = 1980 if load > 25 else 1200
        runs = tuple(
            Run(
                spec=InstanceSpec(role=Role.MIXED, machine="dgx-h100", layout=Layout(tp=tp), clock_mhz=clock),
                instances=machines, rate_req_per_s={name: load * share},
            )
            for tp, name, share in ((4, "short", 0.7), (8, "long", 0.3))
        )  # fmt: skip
        epochs.append(
            Epoch(
                start_s=3600.0 * hour, machines={"dgx-h100": machines, "dgx-a100": 2},
                top_machines={"dgx-h100": max(0, machines - 4)}, started={"dgx-h100": max(0, machines - before)},
                stopped={"dgx-h100": max(0, before - machines)}, runs=runs, energy_j=3.6e6 * 5 * machines,
                carbon_g=2000.0 * machines, cost_usd=20.7 * machines + 20.4,
            )
        )  # fmt: skip
        before = machines
    return Schedule(
        epoch_s=3600.0,
        aims=(Aim.COST, Aim.ENERGY),
        base_machines={"dgx-h100": 4, "dgx-a100": 2},
        epochs=tuple(epochs),
        energy_j=sum(e.energy_j for e in epochs),
        carbon_g=sum(e.carbon_g for e in epochs),
        cost_usd=sum(e.cost_usd for e in epochs),
        churn_machines=84,
        termination=Termination(reason=Reason.OPTIMAL, objective=100.0, bound=99.8, backend="highs"),
        method="decomposed",
        notes=("Carbon intensity is assumed constant.",),
    )
