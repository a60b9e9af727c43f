"""How often a plan meets every objective, what each nine costs, and what failures did to it."""

from collections.abc import Iterator, Mapping, Sequence

from planner.report.page import Cell, Chip, Lines, Section, Table, Tone, columns, section
from planner.report.words import dollars, seconds
from planner.results.availability import Availability, Nine, Outage
from planner.results.fleet import FleetPlan
from workloads.counts import number, percent, plural, watts

NOT_REACHED = "no number of machines"


def nines(frac: float) -> str:
    """A share of time with as many digits as tell it from 1."""
    for digits in range(4, 10):
        if float(text := f"{frac:.{digits}f}") < 1:
            return text.rstrip("0")
    return "1"


def availability_line(found: Availability) -> str:
    """How often the plan meets every objective, and the price of each nine, in a line."""
    asked = f" ({nines(found.target_frac)} asked)" if found.target_frac else ""
    spare = f"{plural(found.spare_machines, 'machine')} may be down at once; {plural(found.racks, 'rack')}"
    prices = _prices(found.nines)
    domains = f", {plural(found.domains, 'domain')}" if found.domains > 1 else ""
    priced = f"; {prices}" if prices else ""
    up = ", ".join(f"{name} {nines(share)}" for name, share in found.models.items()) or nines(found.up_frac)
    asked = asked.replace(" asked)", f" asked of each), {_at_once(found.models)}") if found.models else asked
    return f"every objective is met {up} of the time{asked}, {spare}{domains}{priced}"


def _at_once(models: Mapping[str, float]) -> str:
    """How often all models meet every objective, at least: as if no two ever missed one together."""
    return f"all at once at least {nines(max(0.0, 1 - sum(1 - share for share in models.values())))}"


def fleet_line(found: FleetPlan) -> str:
    """How often the plan of each model meets every objective, and the price of each nine of all, in a line."""
    studies = [(each.name, each.plan.availability) for each in found.models if each.plan.availability]
    if not studies or not found.nines:
        return ""
    up = ", ".join(f"{name} {nines(study.up_frac)}" for name, study in studies)
    asked = f" ({nines(studies[0][1].target_frac)} asked of each)" if studies[0][1].target_frac else ""
    at_once = "".join(f", all at once at least {nines(nine.up_frac)}" for nine in found.nines if nine.chosen)
    return f"every objective is met {up} of the time{asked}{at_once}; each nine, of each: {_prices(found.nines)}"


def fleet_nines(found: FleetPlan) -> Iterator[Section]:
    """The price of each nine of all models together."""
    if found.nines:
        words = (
            "Each model has spare machines of its own. Computed is the share of time in which all models meet every "
            "objective at once, at least."
        )
        yield from section(
            "availability", "Availability of all models", Lines(lines=(words,)), _nines_table(found.nines)
        )


def _prices(found: Sequence[Nine]) -> str:
    """The price of each nine."""
    return "; ".join(f"{nines(nine.target_frac)}: {_price(nine)}" for nine in found)


def _nines_table(found: Sequence[Nine], others: str = "computed, same pools") -> Table:
    """The price of each nine, a row each; ``others`` says how those that are not the answer are known."""
    headings = columns(
        "#share of time", "#computed", "#machines", "#spare", "#domains", "#cost", "#rated", "evidence"
    )  # fmt: skip
    return Table(columns=headings, rows=[_nine(nine, others) for nine in found], caption="the price of each nine")


def _price(nine: Nine) -> str:
    """What a share of time costs."""
    if not nine.machines:
        return NOT_REACHED
    mark = " (this plan)" if nine.chosen else f" (beyond the limits: {nine.over[0]})" if nine.over else ""
    domains = f" in {plural(nine.domains, 'domain')}" if nine.domains > 1 else ""
    machines = plural(nine.machines, "machine")
    return f"{machines}{domains}, {dollars(nine.cost_usd_per_h)}, {watts(nine.power_w)}{mark}"


def availability_over_time(found: Availability) -> Iterator[Section]:
    """Of a schedule; money is the mean of its epochs, energy counted."""
    words = (
        "Every epoch has spare machines of its own: the share of time is that of the worst epoch, machines are those "
        "of the fullest, costs and watts means over all. Epochs are served with all spare machines down and all up."
    )
    yield from availability_section(found, words=(words,), others="planned for the same rates, no failure injected")


def availability_section(
    found: Availability, *, words: tuple[str, ...] = (), others: str = "computed, same pools"
) -> Iterator[Section]:
    """The price of each nine, the failures that were injected, and what the share of time follows from."""
    table = _nines_table(found.nines, others) if found.nines else None
    yield from section(
        "availability", "Availability", Lines(lines=(*_words(found), *words)), table,
        Table(
            columns=columns("~failure in the run", "#down before", "#fail", "#again", "#recovery", "#worst", "holds"),
            rows=[_outage(outage) for outage in found.outages], caption="failures that were injected",
        ) if found.outages else None,
        Lines(lines=found.assumptions, bullets=True),
    )  # fmt: skip


def _words(found: Availability) -> Iterator[str]:
    """What the share of time means."""
    yield (
        f"In {_shares(found)} of the time every pool has the machines with which every objective was met in "
        "simulation, and no failure is being recovered from. All machines serve; "
        f"{plural(found.spare_machines, 'machine')} may be down at once."
    )
    yield (
        f"Something fails every {number(1 / found.failures_per_h)} h; arrivals meet every objective again "
        f"{seconds(found.recovery_s)} later at most. Requests of a failed machine are served again and may be late."
    )


def _shares(found: Availability) -> str:
    """The share of time, of several models that of each."""
    if not found.models:
        return nines(found.up_frac)
    return f"{', '.join(f'{nines(share)} ({name})' for name, share in found.models.items())}"


def _nine(nine: Nine, others: str) -> tuple[Cell, ...]:
    words = "failures injected" if nine.chosen else "; ".join((others, *nine.over))
    chip: Cell = Chip(words="this plan: " + words, tone=Tone.GOOD) if nine.chosen else words
    if not nine.machines:
        return nines(nine.target_frac), "", "", "", "", "", "", NOT_REACHED
    return (
        nines(nine.target_frac), nines(nine.up_frac), number(nine.machines), number(nine.spare_machines),
        number(nine.domains), dollars(nine.cost_usd_per_h), watts(nine.power_w), chip,
    )  # fmt: skip


def _outage(outage: Outage) -> tuple[Cell, ...]:
    holds = Chip(words="no", tone=Tone.BAD) if outage.fails else Chip(words="yes", tone=Tone.GOOD)
    return (
        outage.words, number(outage.down_machines), number(outage.machines), number(outage.restarted),
        seconds(outage.recovery_s), f"{percent(outage.used_ratio)} of its limit", holds,
    )  # fmt: skip
