"""Schedules as a table of days and a timeline of machines."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from planner.report.tables import table
from planner.report.words import number, percent, plural
from planner.schedule import Schedule
from planner.timetable import Timetable

_BARS = " ▁▂▃▄▅▆▇█"
_ROW = 24
J_PER_KWH = 3.6e6


def timetable_view(found: Timetable) -> RenderableType:
    """Verdict, totals, the timeline, and the epochs."""
    schedule = found.schedule
    if schedule is None:
        return Text(f"No schedule: {found.termination.reason}; {found.termination.detail}", style="red")
    gap = found.termination.gap_frac
    lines = [
        _verdict(found),
        f"{plural(len(schedule.epochs), 'epoch')} of {schedule.epoch_s:g} s: ${schedule.cost_usd:,.0f}, "
        f"{number(round(schedule.energy_j / J_PER_KWH, 1))} kWh, {number(round(schedule.carbon_g / 1000, 1))} kg CO2; "
        f"{schedule.churn_machines} starts and stops.",
        "Base fleet: " + ", ".join(f"{n} {name}" for name, n in schedule.base_machines.items() if n) + ".",
        f"Least {', then '.join(schedule.aims)}; {schedule.method}, gap {'unknown' if gap is None else percent(gap)}, "
        f"proven ({found.termination.detail}).",
    ]
    return Group(*(Text(line) for line in lines), Text(), *_timeline(schedule), Text(), _epochs(schedule))


def _verdict(found: Timetable) -> str:
    if not found.served:
        return "Not validated: no epoch was served by the simulator."
    served = ", ".join(str(each.epoch) for each in found.served)
    said = "every objective met" if found.valid else "an objective missed"
    return (
        f"{'Validated' if found.valid else 'Not validated'}: the simulator served epoch {served} at its peak rate, "
        f"{said}; the other epochs rest on the same capacities, counted at {percent(found.capacity_ratio)}."
    )


def sparkline(values: Sequence[float], most: float) -> str:
    """One bar per value, in eighths of ``most``."""
    return "".join(_BARS[min(8, round(8 * value / most))] if most else " " for value in values)


def _timeline(schedule: Schedule) -> list[Text]:
    """Machines powered, a row of 24 epochs at a time."""
    powered = [sum(epoch.machines.values()) for epoch in schedule.epochs]
    most = max(powered)
    rows = [powered[at : at + _ROW] for at in range(0, len(powered), _ROW)]
    return [Text(f"Machines powered, of {most} at most:")] + [
        Text(f"  epoch {at * _ROW:>3}  {sparkline(row, most)}  {min(row)}-{max(row)}") for at, row in enumerate(rows)
    ]


def _epochs(schedule: Schedule) -> RenderableType:
    """Stretches of epochs with equal pools, one a line."""
    made = table("epochs", "#machines", "#on top", "pools")
    begin = 0
    for at in range(1, len(schedule.epochs) + 1):
        if at < len(schedule.epochs) and _pools(schedule, at) == _pools(schedule, begin):
            continue
        epoch = schedule.epochs[begin]
        span = f"{begin}" if at == begin + 1 else f"{begin}-{at - 1}"
        made.add_row(
            span, str(sum(epoch.machines.values())), str(sum(epoch.top_machines.values())), _pools(schedule, begin)
        )
        begin = at
    return made


def _pools(schedule: Schedule, epoch: int) -> str:
    runs = schedule.epochs[epoch].runs
    words = (f"{run.instances} x {run.spec.name.partition('/')[2]} {'+'.join(run.rate_req_per_s)}" for run in runs)
    return "; ".join(words)
