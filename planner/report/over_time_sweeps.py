"""What is shown of a sweep whose points are schedules: money, energy and machines of each over its hours."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from planner.report.page import Cell, Chip, Table, Tile, columns
from planner.report.schedule_words import J_PER_KWH
from planner.report.words import valued
from planner.results.sweep import Outcome, OverTime
from workloads.counts import number, percent, plural, watts

Read = Callable[[Outcome], float | None]

HEADINGS = ("#cost", "#energy", "#simulated", "#CO2", "#machines", "#mean", "#rated", "#margin", "~base fleet", "~most")
"""Headings of ``cells``."""


def measures(objective: str) -> list[tuple[str, str, str, Read]]:
    """What is drawn of each schedule, the objective first: name, unit, words, and where it is read."""

    def over(read: Callable[[OverTime], float]) -> Read:
        return lambda outcome: read(outcome.over_time) if outcome.over_time else None

    every: list[tuple[str, str, str, Read]] = [
        ("cost", "usd", "cost of the schedule", over(lambda found: found.planned.cost_usd)),
        ("energy", "kwh", "energy of the schedule", over(lambda found: found.planned.energy_j / J_PER_KWH)),
        ("machines", "number", "machines, the mean of all epochs", over(lambda found: found.mean_machines)),
        ("most", "number", "machines paid for at once", over(lambda found: float(found.most_machines_at_once))),
    ]
    tightest: Read = lambda o: min(o.margin_frac.values(), default=None)  # noqa: E731  a row of the table above
    every.sort(key=lambda row: not objective.endswith(row[0]))
    return [*every, ("margin", "share", "tightest margin", tightest)]


def cells(found: Outcome) -> tuple[Cell, ...]:
    """A schedule in a row, by ``HEADINGS``; empty cells where there is none."""
    over, margin = found.over_time, min(found.margin_frac.values(), default=None)
    if over is None:
        return ("",) * len(HEADINGS)
    simulated = over.simulated
    return (
        _dollars(over.planned.cost_usd), _kwh(over.planned.energy_j),
        "" if simulated is None else f"{_dollars(simulated.cost_usd)}, {_kwh(simulated.energy_j)}",
        valued("schedule's carbon", over.planned.carbon_g / 1e3), number(over.most_machines_at_once),
        number(over.mean_machines), watts(over.most_rated_w), "" if margin is None else percent(margin),
        machine_words(over.base_machines), machine_words(over.most_machines),
    )  # fmt: skip


def points(rows: Sequence[tuple[Sequence[str], Chip, Outcome]], keys: Sequence[str]) -> Table:
    """One line a schedule: what was set, and what it comes to."""
    body: list[tuple[Cell, ...]] = [(*settings, chip, *cells(found)) for settings, chip, found in rows]
    return Table(columns=columns(*keys, "verdict", *HEADINGS), rows=body, caption="schedules")


def tiles(found: Outcome) -> Iterator[Tile]:
    """What a schedule comes to."""
    over = found.over_time
    if over is None:
        return
    yield Tile(label="Cost", value=_dollars(over.planned.cost_usd), note=f"in {number(over.duration_h)} h")
    yield Tile(label="Energy", value=_kwh(over.planned.energy_j), note="at the meter, planned")
    yield Tile(
        label="Machines", value=number(over.most_machines_at_once), note=f"{number(over.mean_machines)} in the mean"
    )
    yield Tile(label="Base fleet", value=machine_words(over.base_machines) or "none")
    yield Tile(label="Simulated", value=plural(over.epochs_served, "epoch"))


def machine_words(machines: Mapping[str, int]) -> str:
    """Machines by type: ``2 dgx-a100, 1 hgx-h200``."""
    return ", ".join(f"{count} {name}" for name, count in sorted(machines.items()))


def _dollars(value_usd: float) -> str:
    return valued("schedule's cost", value_usd)


def _kwh(energy_j: float) -> str:
    return valued("schedule's energy", energy_j / J_PER_KWH)
