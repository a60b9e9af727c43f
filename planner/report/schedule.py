"""Schedules as a table of days and a timeline of machines."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from planner.report.tables import table
from planner.report.words import number, percent, plural, watts
from planner.results.evidence import Verdict
from planner.results.schedule import FixedFleet, Schedule, Spent
from planner.results.timetable import Served, Timetable
from planner.schedules.compare import ScheduleDiff

_BARS = " ▁▂▃▄▅▆▇█"
_ROW = 24
_SHOWN = 30
"""Of more stretches only those of the busiest row are printed."""
J_PER_KWH = 3.6e6


def timetable_view(found: Timetable) -> RenderableType:
    """Verdict, totals, the timeline, and the epochs."""
    schedule = found.schedule
    if schedule is None:
        return Text(f"No schedule: {found.termination.reason}; {found.termination.detail}", style="red")
    gap = found.termination.gap_frac
    planned = Spent(cost_usd=schedule.cost_usd, energy_j=schedule.energy_j, carbon_g=schedule.carbon_g)
    lines = [
        _verdict(found),
        f"{plural(len(schedule.epochs), 'epoch')} of {schedule.epoch_s:g} s: {spent_words(planned)} as planned; "
        f"{schedule.churn_machines} starts and stops.",
        *against_the_simulator(found.simulated, found.served),
        *against_fixed(found.simulated, found.fixed),
        "Base fleet: " + ", ".join(f"{n} {name}" for name, n in schedule.base_machines.items() if n) + ".",
        f"Least {', then '.join(schedule.aims)}; {schedule.method}, gap {'unknown' if gap is None else percent(gap)}, "
        f"proven ({found.termination.detail}).",
    ]
    lines += [f"Beware: {note}." for note in schedule.notes]
    return Group(*(Text(line) for line in lines), Text(), *_timeline(schedule), Text(), _epochs(schedule))


def spent_words(spent: Spent) -> str:
    """For example ``$1,007, 282 kWh, 107.2 kg CO2``."""
    energy, carbon = number(round(spent.energy_j / J_PER_KWH, 1)), number(round(spent.carbon_g / 1000, 1))
    return f"${spent.cost_usd:,.0f}, {energy} kWh, {carbon} kg CO2"


def against_the_simulator(found: Spent | None, served: Sequence[Served]) -> tuple[str, ...]:
    """What the schedule comes to with metered watts, and how far planned watts were off; nothing if not known."""
    ratios = [ratio for each in served if (ratio := each.watts_ratio) is not None]
    if found is None or not ratios:
        return ()
    least, most = min(ratios) - 1, max(ratios) - 1
    off = f"{100 * least:+.1f} to {100 * most:+.1f} %"
    return (f"With the simulator's watts: {spent_words(found)} (watts of served epochs {off} against plan).",)


def against_fixed(found: Spent | None, fixed: FixedFleet | None) -> tuple[str, ...]:
    """What the schedule saves against the fixed fleet for the peak; nothing where there is none to compare with."""
    if found is None or fixed is None:
        return ()
    names = (("money", "cost_usd"), ("energy", "energy_j"), ("CO2", "carbon_g"))
    changes = [saved_words(getattr(found, key), getattr(fixed.spent, key), word) for word, key in names]
    doubt = "" if fixed.valid else " (in an epoch that was served it misses an objective)"
    words = f"Fixed fleet for the peak{doubt}: {fleet_words(fixed)}, {spent_words(fixed.spent)}"
    return (f"{words}; against it the schedule {', '.join(changes)}.",)


def saved_words(value: float, against: float, word: str) -> str:
    """For example ``saves 12.3 % of the energy``, or ``takes 4.0 % more money``."""
    saved = 1 - value / against if against else 0.0
    return f"saves {100 * saved:.1f} % of the {word}" if saved >= 0 else f"takes {-100 * saved:.1f} % more {word}"


def fleet_words(fixed: FixedFleet) -> str:
    """For example ``3 dgx-h100 (6 x tp4/chunk1024/1200mhz)``."""
    machines = ", ".join(f"{count} {name}" for name, count in fixed.machines.items())
    pools = Counter[str]()
    for run in fixed.runs:
        pools[run.spec.name.split("/", 2)[2]] += run.instances
    return f"{machines} ({', '.join(f'{count} x {name}' for name, count in pools.items())})"


def served_view(found: Timetable) -> RenderableType:
    """What the simulator said, epoch by epoch."""
    lines = [Text(_verdict(found)), Text()]
    slos = sorted({e.slo for each in found.served for e in each.evidence})
    made = table(
        "epochs", "#req/s", "#requests", "#instances changed", "#watts, planned", "#simulated",
        *(f"#{slo}" for slo in slos), "verdict",
    )  # fmt: skip
    for each in found.served:
        shown = {e.slo: f"{number(e.measured)} of {number(e.limit)}" for e in each.evidence}
        made.add_row(
            spans(each.epochs), number(round(each.rate_req_per_s, 2)), number(each.arrived), str(each.changed),
            watts(each.planned_w), "" if each.simulated_w is None else watts(each.simulated_w),
            *(shown.get(slo, "") for slo in slos), _said(each),
        )  # fmt: skip
    return Group(*lines, made)


def _said(each: Served) -> str:
    if each.valid:
        return "met"
    words = [f"{e.slo} {e.verdict}" for e in each.evidence if e.verdict is not Verdict.MET]
    counted = ((each.unfinished, "unfinished"), (each.refused, "refused"))
    words += [f"{count} {word}" for count, word in counted if count]
    words += [f"{watts(each.excess_w)} above budgets.expected_power_w"] if each.excess_w else []
    return ", ".join(words) or "a growing backlog"


def spans(epochs: Sequence[int]) -> str:
    """For example ``3-7, 12``."""
    parts, begin = [], 0
    for at in range(1, len(epochs) + 1):
        if at == len(epochs) or epochs[at] != epochs[at - 1] + 1:
            first, last = epochs[begin], epochs[at - 1]
            parts.append(f"{first}" if first == last else f"{first}-{last}")
            begin = at
    return ", ".join(parts)


def _verdict(found: Timetable) -> str:
    if not found.served:
        return "Not validated: no epoch was served by the simulator."
    count = sum(len(each.epochs) for each in found.served)
    missed = [epoch for each in found.served if not each.valid for epoch in each.epochs]
    near = max(found.served, key=lambda each: each.tightness_ratio)
    said = f"an objective or budget missed in {spans(sorted(missed))}" if missed else "every objective met"
    rest = f"; {len(found.unserved)} more rest on the same capacities" if found.unserved else ""
    more = sum(ratio > 1 for ratio in found.provided_ratio)
    tight = f"; {plural(more, 'epoch')} {'provides' if more == 1 else 'provide'} for more than the peak" if more else ""
    return (
        f"{'Validated' if found.valid else 'Not validated'}: the simulator served {plural(count, 'epoch')} "
        f"({len(found.served)} different) at their peak, with the changes into them, {said}; nearest to a limit is "
        f"epoch {near.epochs[0]} at {percent(near.tightness_ratio)}{rest}{tight}."
    )


def schedule_diff_view(found: ScheduleDiff) -> RenderableType:
    """Totals of two schedules side by side, then the epochs that differ most."""
    totals = table("over all epochs", "#before", "#after", "#change")
    for words, key, scale in (
        ("cost, $", "cost_usd", 1.0), ("energy, kWh", "energy_j", J_PER_KWH), ("CO2, kg", "carbon_g", 1000.0),
        ("machines, mean", "machines", 1.0), ("instances, mean", "instances", 1.0),
    ):  # fmt: skip
        one, other = (getattr(side, key) / scale for side in (found.before, found.after))
        change = f"{(other - one) / one:+.1%}" if one else ""
        totals.add_row(words, number(round(one, 2)), number(round(other, 2)), change)
    totals.add_row("starts and stops", *(str(count) for count in found.churn_machines), "")
    for name, (base, now) in found.base_machines.items():
        totals.add_row(f"base fleet, {name}", str(base), str(now), f"{now - base:+d}" if now != base else "")
    rows = table("epoch", "#machines", "#cost, $", "#energy, kWh", "#CO2, kg", "pools")
    for each in found.epochs:
        a, b = each.before, each.after
        pools = "; ".join(f"{name.partition('/')[2]} {x} -> {y}" for name, (x, y) in each.instances_by_spec.items())
        rows.add_row(
            str(each.epoch), f"{a.machines:g} -> {b.machines:g}", f"{b.cost_usd - a.cost_usd:+,.2f}",
            f"{(b.energy_j - a.energy_j) / J_PER_KWH:+,.1f}", f"{(b.carbon_g - a.carbon_g) / 1000:+,.1f}", pools,
        )  # fmt: skip
    said = f"{plural(len(found.epochs), 'epoch')} differ, {found.unchanged} do not."
    return Group(totals, Text(), *(Text(note) for note in found.notes), Text(said), rows)


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
    """Stretches of epochs with equal pools, one a line; of many, those around the busiest epoch."""
    ends = [
        at for at in range(1, len(schedule.epochs) + 1)
        if at == len(schedule.epochs) or _pools(schedule, at) != _pools(schedule, at - 1)
    ]  # fmt: skip
    stretches = list(zip([0, *ends[:-1]], ends, strict=True))
    powered = [sum(epoch.machines.values()) for epoch in schedule.epochs]
    begin = powered.index(max(powered)) // _ROW * _ROW
    shown = [s for s in stretches if len(stretches) <= _SHOWN or (s[1] > begin and s[0] < begin + _ROW)]
    made = table("epochs", "#machines", "#on top", "pools")
    for first, end in shown:
        epoch = schedule.epochs[first]
        made.add_row(
            f"{first}" if end == first + 1 else f"{first}-{end - 1}", str(powered[first]),
            str(sum(epoch.top_machines.values())), _pools(schedule, first),
        )  # fmt: skip
    if len(shown) == len(stretches):
        return made
    left = len(stretches) - len(shown)
    return Group(made, Text(f"and {left} more such lines; --json and `export --format csv` have every epoch"))


def _pools(schedule: Schedule, epoch: int) -> str:
    runs = schedule.epochs[epoch].runs
    words = (
        f"{run.instances} x {run.spec.name.partition('/')[2]} {'+'.join(sorted(run.rate_req_per_s))}" for run in runs
    )
    return "; ".join(words)
