"""The page of a plan over time: what is powered and run in every epoch of a day or a week."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from planner.perf.layout import Role
from planner.report.availability import availability_line, availability_over_time
from planner.report.edited import EDITED
from planner.report.html.charts import line, short
from planner.report.page import (
    Block,
    Chart,
    Lines,
    Page,
    Section,
    Table,
    Tile,
    columns,
    section,
)
from planner.report.plans import again
from planner.report.power import layout_words
from planner.report.rows import row_line, row_section
from planner.report.schedule_words import (
    against_fixed,
    against_one_knob,
    against_the_simulator,
    load_words,
    served_words,
    spans,
    sparkline,
    spent_words,
    tenths,
    tried_words,
)
from planner.report.screen import Screen, more, rows_part, warned
from planner.report.served_epochs import SHOWN_ROWS, served_tables
from planner.report.words import policy_words
from planner.results.precision import Served as Precision
from planner.results.precision import precision
from planner.results.schedule import Epoch, Run, Schedule, Spent
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from workloads.counts import number, percent, plural

_H_S = 3600.0
_ROW = 24
_KWH_J = 3.6e6
_KG_G = 1e3


def timetable_page(found: Timetable, scenario: Scenario | Fleet, *, edited: bool = False) -> Page:
    """Machines, load, energy and money over time, what the simulator said, and the timetable.

    Args:
        found: the plan over time, or why there is none.
        scenario: the question.
        edited: the plan is not as it was when it was simulated.
    """
    schedule = found.schedule
    title, asked = f"{scenario.name}: schedule", _asked(found, scenario)
    if schedule is None:
        why = "; ".join(found.lacking) or f"{found.termination.reason}; {found.termination.detail}"
        verdict = "INFEASIBLE" if found.proven else "NO SCHEDULE"
        return Page(title=title, verdict=verdict, good=False, headline=why, about=asked)
    days = len(schedule.epochs) * schedule.epoch_s / _H_S / 24
    powered = [sum(e.machines.values()) for e in schedule.epochs]
    held = found.valid and bool(found.served)
    verdict = EDITED if edited else "VALIDATED" if held else "NOT VALIDATED"
    bought = f"{_range(powered)} {_types(schedule)}, for {load_words(schedule.epochs, scenario)}"
    headline = f"${schedule.cost_usd:,.0f} for {_span(days)}, {bought}"
    about = f"{asked}; least {', then '.join(schedule.aims)}; {_epochs(schedule)}"
    told, timeline = _facts(found, schedule, edited=edited), _timeline(schedule)
    return Page(
        title=title,
        verdict=verdict,
        good=held and not edited,
        headline=headline,
        about=about,
        tiles=_tiles(found, schedule, days)[: -1 if edited else None],  # no gap is proven of an edited plan
        facts=told,
        warnings=schedule.notes,
        sections=(
            *_savings(schedule, found),
            _over_time(schedule, timeline),
            Section(name="timetable", title="Timetable", blocks=_timetable(schedule)),
            *(row_section(found.power) if found.power else ()),
            *(availability_over_time(found.availability) if found.availability else ()),
            *_in_simulator(found),
            again(scenario),
        ),
        screen=Screen(
            head=(f"{verdict}: {headline}", about), parts=(rows_part(timeline),), told=warned(told, schedule.notes),
            more=more("timetable, served, ..."),
        ).blocks,
    )  # fmt: skip


def _span(days: float) -> str:
    """How long a plan is: ``7 days``, or ``6 hours`` of less than a day."""
    length, unit = (days, "day") if days >= 1 else (24 * days, "hour")
    return f"{number(length, 3)} {unit}{'s' * (length != 1)}"


def _range(counts: Sequence[int]) -> str:
    """``2 to 5``, or ``2`` where every epoch has as many."""
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _types(schedule: Schedule) -> str:
    """What the machines are: ``hgx-h200``, or ``machines (dgx-a100, hgx-h200)``."""
    names = sorted({name for epoch in schedule.epochs for name, count in epoch.machines.items() if count})
    return names[0] if len(names) == 1 else f"machines ({', '.join(names)})" if names else "machines"


def _in_simulator(found: Timetable) -> Iterator[Section]:
    """What the simulator said of each epoch, and what the machines exceed though every epoch was served well."""
    over = Lines(lines=tuple(f"Exceeded: {line}" for line in found.over), bullets=True) if found.over else None
    yield from section("served", "Epochs in the simulator", *served_tables(found.served), over)


def _over_time(schedule: Schedule, timeline: Table) -> Section:
    """Machines, load, watts and money, epoch by epoch."""
    words = "One value per epoch. Drag to zoom, all charts together."
    return Section(name="time", title="Over time", blocks=[*_charts(schedule), timeline], lead=words)


def _asked(found: Timetable, scenario: Scenario | Fleet) -> str:
    """Model, precision and policy, of each model."""
    if isinstance(scenario, Fleet):
        parts, made = scenario.parts(), {each.name: each for each in found.models}
        served = {name: _asked(replace(found, policy=one.policy, serves=one.serves), parts[name])
                  for name, one in made.items() if name in parts}  # fmt: skip
        return "; ".join(f"{name}: {served.get(name, part.model.name)}" for name, part in parts.items())
    formats = f"{precision(found.serves)}; " if found.serves else ""
    return f"{scenario.model.name}, {formats}{policy_words(found.policies, scenario.policy)}"


def _epochs(schedule: Schedule) -> str:
    return f"{plural(len(schedule.epochs), 'epoch')} of {number(schedule.epoch_s / _H_S, 3)} h"


def _tiles(found: Timetable, schedule: Schedule, days: float) -> list[Tile]:
    """The figures that matter most."""
    gap = schedule.termination.gap_frac
    return [
        Tile(label="Cost", value=f"${schedule.cost_usd:,.2f}", note=f"${schedule.cost_usd / days:,.0f} a day"),
        Tile(label="Energy", value=f"{tenths(schedule.energy_j / _KWH_J)} kWh", note="at the meter"),
        Tile(label="Carbon", value=f"{tenths(schedule.carbon_g / _KG_G)} kg", note="of CO2"),
        *_saved(found),
        Tile(label="Base fleet", value=number(sum(schedule.base_machines.values())), note=_fleet(schedule)),
        Tile(label="Starts and stops", value=number(schedule.churn_machines), note="machines"),
        Tile(
            label="Gap",
            value="unknown" if gap is None else percent(gap),
            note="how far from the best"
            if gap is None
            else f"proven of what is planned: at most so far from the best ({schedule.method})",
        ),
    ]


def _saved(found: Timetable) -> Iterator[Tile]:
    """What the schedule saves against the fleet for the peak that is never changed."""
    if found.simulated is None or found.fixed is None:
        return
    now, fleet = found.simulated, found.fixed.spent
    money, kwh = fleet.cost_usd - now.cost_usd, (fleet.energy_j - now.energy_j) / _KWH_J
    kg = (fleet.carbon_g - now.carbon_g) / _KG_G
    share = f" ({percent(abs(money) / fleet.cost_usd)})" if fleet.cost_usd else ""
    words = "Saved against a fixed fleet" if money >= 0 else "More than a fixed fleet"
    change = [f"{abs(v):,.0f} {unit} {'less' if v >= 0 else 'more'}" for v, unit in ((kwh, "kWh"), (kg, "kg CO2"))]
    yield Tile(label=words, value=f"${abs(money):,.0f}{share}", note=", ".join(change))


def _facts(found: Timetable, schedule: Schedule, *, edited: bool) -> tuple[tuple[str, str], ...]:
    """What a first look must tell, the most important first."""
    if edited:
        spent = f"{spent_words(planned(schedule))}, counted from the machines and instances in the file"
        unknown = "not known of the plan as it is now; `phasewise simulate` on this file serves it"
        return (("Objectives", unknown), ("As it is now", spent), ("Base fleet", _fleet(schedule)))
    gap = schedule.termination.gap_frac
    far = "gap unknown" if gap is None else f"gap {percent(gap)} of what is planned, proven"
    told = (
        ("Simulation", served_words(found)),
        ("As planned", f"{spent_words(planned(schedule))}; {schedule.churn_machines} starts and stops"),
        ("As simulated", against_the_simulator(found.simulated, found.served)),
        ("Fixed fleet", against_fixed(found.simulated, found.fixed)),
        ("One knob alone", against_one_knob(planned(schedule), found.knobs)),
        ("Base fleet", _fleet(schedule)),
        ("Row", row_line(found.power) if found.power else ""),
        ("Availability", availability_line(found.availability) if found.availability else ""),
        ("Exceeded", "; ".join(found.over)),
        *(("" if place else "Alternatives", words) for place, words in enumerate(tried_words(found))),
        ("Precision", _by_type(found.serves)),
        ("Optimum", f"{schedule.method}, {far} ({found.termination.detail})"),
    )
    return tuple((name, words) for name, words in told if words)


def _by_type(serves: Sequence[Precision]) -> str:
    """Formats and engine of each machine type; nothing where all have the same, which the head says."""
    types = {way.pool.split("/")[1] for way in serves}
    ways = {name: precision(way for way in serves if way.pool.split("/")[1] == name) for name in sorted(types)}
    return "; ".join(f"{name}: {words}" for name, words in ways.items()) if len(set(ways.values())) > 1 else ""


def planned(schedule: Schedule) -> Spent:
    """Money, energy and CO2 as the program has them."""
    return Spent(cost_usd=schedule.cost_usd, energy_j=schedule.energy_j, carbon_g=schedule.carbon_g)


def _timeline(schedule: Schedule) -> Table:
    """Machines powered, a row of 24 epochs at a time."""
    powered = [sum(epoch.machines.values()) for epoch in schedule.epochs]
    rows = [
        (f"{at} to {at + len(row) - 1}", sparkline(row, max(powered)), number(min(row)), number(max(row)))
        for at in range(0, len(powered), _ROW)
        if (row := powered[at : at + _ROW])
    ]
    return Table(
        columns=columns("epochs", "machines powered", "#least", "#most"), rows=rows, caption="machines powered"
    )


def _savings(schedule: Schedule, found: Timetable) -> Iterator[Section]:
    """The schedule as planned and as simulated, beside the fixed fleet; nothing where watts are not known."""
    simulated, fixed = found.simulated, found.fixed
    if simulated is None:
        return
    rows = [
        _spent_row("schedule, planned watts", planned(schedule)),
        _spent_row("schedule, simulated watts", simulated),
    ]
    if fixed is not None:
        pairs = [(getattr(simulated, k), getattr(fixed.spent, k)) for k in ("cost_usd", "energy_j", "carbon_g")]
        change = tuple(f"{100 * (now / fleet - 1):+.1f} %" if fleet else "" for now, fleet in pairs)
        words = "fixed fleet for the peak" + (f" (no answer: {fixed.outside})" if fixed.outside else "")
        rows += [_spent_row(words, fixed.spent), ("schedule against the fixed fleet", *change)]
    for each in found.knobs:
        rows.append(_spent_row(f"only {each.knob} changed with the load, planned watts", each.spent))
    table = Table(columns=columns("plan", "#cost", "#energy", "#CO2"), rows=rows, caption="money, energy and CO2")
    title = "Against a fixed fleet" if fixed is not None else "Money, energy and CO2"
    yield from section("saving", title, table)


def _spent_row(words: str, spent: Spent) -> tuple[str, ...]:
    energy, carbon = tenths(spent.energy_j / _KWH_J), tenths(spent.carbon_g / _KG_G)
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
        _chart(schedule, "money", "Cost", "usd/h", "dollars per hour: machines and energy", money),
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
    drawn = [float(v) for v in values]
    return {**line(label, short([*drawn, *drawn[-1:]]), hue, 0), "stepped": True}


def _chart(schedule: Schedule, name: str, title: str, unit: str, note: str, series: Sequence[dict[str, Any]]) -> Chart:
    ends_s = [schedule.epochs[-1].start_s + schedule.epoch_s]  # the last epoch is as wide as the others
    hours = short([start_s / _H_S for start_s in (*(e.start_s for e in schedule.epochs), *ends_s)])
    spec = {
        "x": hours, "series": list(series), "xUnit": "h", "xLabel": "time", "yUnit": unit, "sync": "epochs",
        "zero": unit != "mhz",
    }  # fmt: skip
    return Chart(name=name, title=title, spec=spec, note=note)


def _timetable(schedule: Schedule) -> list[Block]:
    """One line per stretch of epochs in which nothing changes: the busiest day, and all of it folded away."""
    epochs, begin = schedule.epochs, 0
    rows = list[tuple[float, float, tuple[str, ...]]]()
    for at in range(1, len(epochs) + 1):
        if at < len(epochs) and _pools(epochs[at]) == _pools(epochs[begin]):
            continue
        epoch = epochs[begin]
        until_s = epoch.start_s + (at - begin) * schedule.epoch_s
        cells = (
            spans(range(begin, at)), _clock(epoch.start_s), number(sum(epoch.machines.values())),
            number(sum(epoch.top_machines.values())), _changes(epochs[begin - 1] if begin else None, epoch),
            _pools(epoch),
        )  # fmt: skip
        rows.append((epoch.start_s, until_s, cells))
        begin = at
    headings, every = (
        columns("epochs", "from", "#machines", "#on top", "~changes", "~what runs"),
        [cells for _, _, cells in rows],
    )
    words = f"{len(rows)} {'stretch' if len(rows) == 1 else 'stretches'} without change"
    if len(rows) <= SHOWN_ROWS:
        return [Lines(lines=(f"{words}.",)), Table(columns=headings, rows=every, caption="timetable")]
    top = max(epochs, key=lambda epoch: sum(epoch.machines.values()))
    day = top.start_s // (24 * _H_S)
    busiest = [
        cells for start_s, until_s, cells in rows if until_s > day * 24 * _H_S and start_s < (day + 1) * 24 * _H_S
    ]
    return [
        Lines(lines=(f"{words}; those of day {day + 1:.0f}, the busiest:",)),
        Table(columns=headings, rows=busiest, caption="timetable of the busiest day"),
        Table(columns=headings, rows=every, caption="timetable", folded=f"The whole timetable: {words}"),
    ]


def _clock(at_s: float) -> str:
    """For example ``day 2, 07:00``."""
    day, rest = divmod(at_s, 24 * _H_S)
    return f"day {day + 1:.0f}, {rest // _H_S:02.0f}:{rest % _H_S / 60:02.0f}"


def _pools(epoch: Epoch) -> str:
    return "; ".join(
        f"{run.instances} {_phase(run)}{run.spec.machine} {layout_words(run.spec)} for "
        f"{', '.join(sorted(run.rate_req_per_s))}"
        for run in epoch.runs
    )


def _changes(before: Epoch | None, epoch: Epoch) -> str:
    """Instances that come and go at the beginning of an epoch: ``+2 dgx-h100 tp4, -1 dgx-h100 tp8``."""
    if before is None:
        return ""
    old, new = (_by_layout(each.runs) for each in (before, epoch))
    words = [_changed(kind, old.get(kind, {}), new.get(kind, {})) for kind in sorted(old | new)]
    return "; ".join(word for word in words if word) or "loads alone"


def _by_layout(runs: Iterable[Run]) -> dict[str, dict[str, int]]:
    """Machine and layout -> clock or power limit -> instances."""
    found = dict[str, dict[str, int]]()
    for run in runs:
        kind = f"{f'{run.model}: ' * bool(run.model)}{_phase(run)}{run.spec.machine} {run.spec.layout.name}"
        knob = layout_words(run.spec).removeprefix(run.spec.layout.name).strip()
        counts = found.setdefault(kind, {})
        counts[knob] = counts.get(knob, 0) + run.instances
    return found


def _changed(kind: str, old: dict[str, int], new: dict[str, int]) -> str:
    """What becomes of the instances of one layout; nothing where all stay."""
    if len(old) == len(new) == 1 and old.keys() != new.keys():
        ((was, before), (will, after)) = (*old.items(), *new.items())
        return f"{kind}: {before} at {was or 'full clock'}, now {after} at {will or 'full clock'}"
    moved = [(new.get(knob, 0) - old.get(knob, 0), knob) for knob in sorted(old | new)]
    return ", ".join(f"{count:+d} {kind} {knob}".rstrip() for count, knob in moved if count)


def _phase(run: Run) -> str:
    """The phase that instances work on alone; nothing where they do both."""
    return "" if run.spec.role is Role.MIXED else f"{run.spec.role} "
