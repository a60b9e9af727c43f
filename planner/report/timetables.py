"""The page of a plan over time: what is powered and run in every epoch of a day or a week."""

from collections.abc import Iterable, Sequence
from typing import Any

from planner.report.html.charts import line, short
from planner.report.page import Block, Chart, Lines, Page, Section, Table, Tile, columns
from planner.report.plans import EDITED, again
from planner.report.power import layout_words
from planner.report.schedule import against_fixed, against_the_simulator, spans
from planner.report.words import number, percent, plural, watts
from planner.results.schedule import Epoch, FixedFleet, Schedule, Spent
from planner.results.timetable import Served
from planner.scenario import Scenario

_H_S = 3600.0
_SHOWN_ROWS = 30
"""A timetable of more rows is folded away but for its busiest day."""
_KWH_J = 3.6e6
_KG_G = 1e3


def schedule_page(
    schedule: Schedule, scenario: Scenario, *, valid: bool, served: Sequence[Served] = (),
    simulated: Spent | None = None, fixed: FixedFleet | None = None, edited: bool = False,
) -> Page:  # fmt: skip
    """Machines, load, energy and money over time, and the timetable.

    Args:
        schedule: the plan over time.
        scenario: the question.
        valid: whether the simulator confirmed it.
        served: what it said of the epochs.
        simulated: money, energy and CO2 with its watts.
        fixed: the fixed fleet to compare with.
        edited: the plan is not as it was when it was simulated.
    """
    epochs, days = schedule.epochs, len(schedule.epochs) * schedule.epoch_s / _H_S / 24
    gap = schedule.termination.gap_frac
    powered = [sum(e.machines.values()) for e in epochs]
    return Page(
        title=f"{scenario.name}: schedule",
        verdict=EDITED if edited else "VALIDATED" if valid else "NOT VALIDATED",
        good=valid and not edited,
        headline=f"${schedule.cost_usd:,.0f} for {days:.3g} days, {min(powered)} to {max(powered)} machines",
        about=f"{scenario.model.name}; least {', then '.join(schedule.aims)}; {plural(len(epochs), 'epoch')} of "
        f"{schedule.epoch_s / _H_S:.3g} h",
        tiles=[
            Tile(label="Cost", value=f"${schedule.cost_usd:,.2f}", note=f"${schedule.cost_usd / days:,.0f} a day"),
            Tile(label="Energy", value=f"{number(round(schedule.energy_j / _KWH_J))} kWh", note="at the meter"),
            Tile(label="Carbon", value=f"{number(round(schedule.carbon_g / _KG_G))} kg", note="of CO2"),
            Tile(label="Base fleet", value=number(sum(schedule.base_machines.values())), note=_fleet(schedule)),
            Tile(label="Starts and stops", value=number(schedule.churn_machines), note="machines"),
            Tile(label="Gap", value="unknown" if gap is None else percent(gap), note=f"proven, {schedule.method}"),
        ],
        warnings=schedule.notes,
        sections=(
            *_savings(schedule, served, simulated, fixed),
            Section(
                name="time", title="Over time", blocks=_charts(schedule),
                lead="One value per epoch. Drag to zoom, all charts together.",
            ),
            Section(name="timetable", title="Timetable", blocks=_timetable(schedule)),
            *((Section(name="served", title="In the simulator", blocks=_served(served)),) if served else ()),
            again(scenario),
        ),
    )  # fmt: skip


def _savings(
    schedule: Schedule, served: Sequence[Served], simulated: Spent | None, fixed: FixedFleet | None
) -> tuple[Section, ...]:
    """The schedule as planned and as simulated, beside the fixed fleet; nothing where watts are not known."""
    if simulated is None:
        return ()
    planned = Spent(cost_usd=schedule.cost_usd, energy_j=schedule.energy_j, carbon_g=schedule.carbon_g)
    rows = [_spent_row("schedule, planned watts", planned), _spent_row("schedule, simulated watts", simulated)]
    if fixed is not None:
        pairs = [(getattr(simulated, k), getattr(fixed.spent, k)) for k in ("cost_usd", "energy_j", "carbon_g")]
        change = tuple(f"{100 * (now / fleet - 1):+.1f} %" if fleet else "" for now, fleet in pairs)
        rows += [_spent_row("fixed fleet for the peak", fixed.spent), ("schedule against the fixed fleet", *change)]
    words = (*against_the_simulator(simulated, served), *against_fixed(simulated, fixed))
    table = Table(columns=columns("plan", "#cost", "#energy", "#CO2"), rows=rows, caption="money, energy and CO2")
    return (Section(name="saving", title="Against a fixed fleet", blocks=[table, Lines(lines=words)]),)


def _spent_row(words: str, spent: Spent) -> tuple[str, ...]:
    energy, carbon = number(round(spent.energy_j / _KWH_J, 1)), number(round(spent.carbon_g / _KG_G, 1))
    return (words, f"${spent.cost_usd:,.2f}", f"{energy} kWh", f"{carbon} kg")


def _fleet(schedule: Schedule) -> str:
    return ", ".join(f"{count} {name}" for name, count in schedule.base_machines.items() if count)


def _charts(schedule: Schedule) -> list[Block]:
    epochs = schedule.epochs
    types = sorted({name for e in epochs for name, count in e.machines.items() if count})
    classes = sorted({name for e in epochs for run in e.runs for name in run.rate_req_per_s})
    machines = [_steps(name, (e.machines.get(name, 0) for e in epochs), i) for i, name in enumerate(types)]
    top = [{**_steps("on top of the base fleet", (sum(e.top_machines.values()) for e in epochs), 6), "dash": [8, 4]}]
    load = [_steps(name, (_rate(e, name) for e in epochs), i) for i, name in enumerate(classes)]
    watts = [_steps("mean draw", (e.energy_j / schedule.epoch_s for e in epochs), 3)]
    money = [_steps("cost", (e.cost_usd / schedule.epoch_s * _H_S for e in epochs), 4)]
    moved = [
        _steps("started", (sum(e.started.values()) for e in epochs), 2),
        _steps("stopped", (sum(e.stopped.values()) for e in epochs), 1),
    ]
    made = [
        _chart(schedule, "machines", "Machines", "number", "machines powered, by type", [*machines, *top]),
        _chart(schedule, "load", "Load", "req/s", "rate at each epoch's peak, by class", load),
        _chart(schedule, "watts", "Power", "w", "mean draw at the meter", watts),
        _chart(schedule, "money", "Cost", "usd", "dollars per hour: machines and energy", money),
        _chart(schedule, "moved", "Changes", "number", "machines started and stopped between epochs", moved),
    ]
    clocks = _clocks(schedule)
    if clocks:
        made.append(_chart(schedule, "clock", "Clock", "mhz", "mean locked clock of the instances, by type", clocks))
    return list(made)


def _clocks(schedule: Schedule) -> list[dict[str, Any]]:
    """The mean locked clock of the instances of each machine type; nothing where no clock is locked."""
    types = sorted({run.spec.machine for e in schedule.epochs for run in e.runs if run.spec.clock_mhz})
    series = []
    for index, name in enumerate(types):
        values = []
        for epoch in schedule.epochs:
            locked = [
                (r.instances, r.spec.clock_mhz) for r in epoch.runs if r.spec.machine == name and r.spec.clock_mhz
            ]
            count = sum(n for n, _ in locked)
            values.append(sum(n * clock for n, clock in locked) / count if count else float("inf"))
        series.append(_steps(name, values, index))
    return series


def _rate(epoch: Epoch, request_class: str) -> float:
    return sum(run.rate_req_per_s.get(request_class, 0.0) for run in epoch.runs)


def _steps(label: str, values: Iterable[float], hue: int) -> dict[str, Any]:
    return {**line(label, short([float(v) for v in values]), hue, 0), "stepped": True}


def _chart(schedule: Schedule, name: str, title: str, unit: str, note: str, series: Sequence[dict[str, Any]]) -> Chart:
    hours = short([e.start_s / _H_S for e in schedule.epochs])
    spec = {
        "x": hours, "series": list(series), "xUnit": "h", "xLabel": "time", "yUnit": unit, "sync": "epochs",
        "zero": unit != "mhz",
    }  # fmt: skip
    return Chart(name=name, title=title, spec=spec, note=note)


def _timetable(schedule: Schedule) -> list[Block]:
    """One line per stretch of epochs in which nothing changes: the busiest day, and all of it folded away."""
    rows, begin = list[tuple[float, tuple[str, ...]]](), 0
    for at in range(1, len(schedule.epochs) + 1):
        if at < len(schedule.epochs) and _pools(schedule.epochs[at]) == _pools(schedule.epochs[begin]):
            continue
        epoch = schedule.epochs[begin]
        until_s = schedule.epochs[begin].start_s + (at - begin) * schedule.epoch_s
        cells = (
            _clock(epoch.start_s), _clock(until_s), number(sum(epoch.machines.values())),
            number(sum(epoch.top_machines.values())), _pools(epoch),
        )  # fmt: skip
        rows.append((until_s, cells))
        begin = at
    headings, every = ("from", "to", "#machines", "#on top", "what runs"), [cells for _, cells in rows]
    words = f"{plural(len(rows), 'stretch')} without change".replace("stretchs", "stretches")
    if len(rows) <= _SHOWN_ROWS:
        return [Lines(lines=(f"{words}.",)), Table(columns=columns(*headings), rows=every, caption="timetable")]
    top = max(schedule.epochs, key=lambda epoch: sum(epoch.machines.values()))
    day = top.start_s // (24 * _H_S)
    busiest = [
        cells for (until_s, cells), epoch_s in zip(rows, _starts(rows), strict=True)
        if until_s > day * 24 * _H_S and epoch_s < (day + 1) * 24 * _H_S
    ]  # fmt: skip
    return [
        Lines(lines=(f"{words}; those of day {day + 1:.0f}, the busiest:",)),
        Table(columns=columns(*headings), rows=busiest, caption="timetable of the busiest day"),
        Table(columns=columns(*headings), rows=every, caption="timetable", folded=f"all {words}"),
    ]


def _starts(rows: Sequence[tuple[float, tuple[str, ...]]]) -> list[float]:
    """When each stretch begins: where the one before ends."""
    return [0.0, *(until_s for until_s, _ in rows[:-1])]


def _served(served: Sequence[Served]) -> list[Block]:
    """What the simulator said of each epoch, those that are alike in one line, folded away."""
    slos = sorted({each.slo for one in served for each in one.evidence})
    rows = []
    for one in sorted(served, key=lambda one: -one.tightness_ratio):
        shown = {each.slo: percent(each.measured / each.limit) for each in one.evidence}
        rows.append((
            spans(one.epochs), f"{one.rate_req_per_s:.4g}", number(one.arrived), number(one.changed),
            watts(one.planned_w), "" if one.simulated_w is None else watts(one.simulated_w),
            *(shown.get(slo, "") for slo in slos), "met" if one.valid else "missed",
        ))  # fmt: skip
    headings = (
        "epochs",
        "#req/s",
        "#requests",
        "#instances changed",
        "#watts, planned",
        "#simulated",
        *(f"#{slo}" for slo in slos),
        "verdict",
    )
    count = sum(len(one.epochs) for one in served)
    words = f"{plural(count, 'epoch')} at their peak, with the changes into them; latencies in per cent of their limits"
    return [Table(columns=columns(*headings), rows=rows, caption="epochs in the simulator", folded=words)]


def _clock(at_s: float) -> str:
    """For example ``day 2, 07:00``."""
    day, rest = divmod(at_s, 24 * _H_S)
    return f"day {day + 1:.0f}, {rest // _H_S:02.0f}:{rest % _H_S / 60:02.0f}"


def _pools(epoch: Epoch) -> str:
    return "; ".join(
        f"{run.instances} {run.spec.machine} {layout_words(run.spec)} for {', '.join(sorted(run.rate_req_per_s))}"
        for run in epoch.runs
    )
