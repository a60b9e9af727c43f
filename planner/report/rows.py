"""A row and its breaker, as text."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from planner.report.tables import bullets, table
from planner.report.words import number, percent, plural, watts
from planner.results.row import RowStudy

_POLICIES = {
    "polca": "POLCA",
    "one-threshold-low": "one threshold, low priority",
    "one-threshold-all": "one threshold, everybody",
    "no-cap": "the brake alone",
}


def row_view(row: RowStudy) -> RenderableType:
    """How many machines the row holds, what that costs whom, and what the domains around it see."""
    trials = table("#machines", "#ratio", "#peak", "#brakes", "#low p50", "#low p99", "#high p50", "#high p99", "holds")
    for t in row.trials:
        losses = (f"{t.loss_frac[key]:+.1%}" for key in ("low_p50", "low_p99", "high_p50", "high_p99"))
        holds = Text("no", style="red") if t.fails else Text("yes", style="green")
        trials.add_row(number(t.machines), f"{t.ratio:.2f}", percent(t.peak_frac), number(t.brakes), *losses, holds)
    domains = table("domain", "#machines", "#rated", "#limit", "#p99", "#peak", "#coincidence")
    for d in row.domains:
        power = (watts(value) for value in (d.rated_w, d.limit_w, d.p99_w, d.peak_w))
        domains.add_row(d.domain, number(d.machines), *power, percent(d.coincidence_ratio))
    lines = [Text(line) for line in row_words(row)]
    return Group(*lines, Text(), trials, Text(), domains, Text(), bullets(row.assumptions))


def standing_words(row: RowStudy | None) -> str:
    """Where the machines of a plan stand, if in more than one row."""
    if row is None or row.needed_rows < 2:
        return ""
    return f", in {row.needed_rows} rows of {watts(row.row_limit_w)}"


def row_words(row: RowStudy) -> Iterator[str]:
    """How many machines the row holds with and without control, and what that rests on."""
    limit, kept = watts(row.row_limit_w), next((t for t in row.trials if t.machines == row.machines), None)
    if row.machines:
        yield (
            f"A row of {limit} holds {plural(row.machines, 'machine')} ({row.machine}) under {_POLICIES[row.policy]}: "
            f"{row.ratio:.2f} times the {row.provisioned_machines} it is meant for"
            + (", the most looked at." if all(t.machines <= row.machines for t in row.trials) else ".")
        )
    if row.machines < row.provisioned_machines:
        yield f"A row of {limit} does not hold the {plural(row.provisioned_machines, 'machine')} it is meant for."
    if row.plan_machines:
        yield (
            f"The plan's {plural(row.plan_machines, 'machine')} take {plural(row.needed_rows, 'row')}; there is room "
            f"for {row.rows} (power.rows)."
        )
    yield (
        f"Without control {row.uncapped_machines} stay within the limit in every week simulated; by proportion "
        f"{row.uncapped_ratio:.2f} times, one over a peak of {percent(row.peak_frac)}."
    )
    yield from _control_words(row)
    yield (
        f"Simulated: {plural(row.weeks, 'week')} of {number(row.week_s)} s in ticks of {number(row.tick_s)} s; the "
        f"provisioned row rises by up to {percent(row.rise_2s_frac)} of the limit in 2 s, {percent(row.rise_40s_frac)} "
        "in 40 s."
    )
    if kept is not None:
        yield (
            f"With {row.machines}: {percent(kept.beyond_t1_frac)} of the time beyond the first threshold, "
            f"{percent(kept.beyond_t2_frac)} beyond the second; low priority lost {number(kept.low_clock_lost_s / 60)} "
            f"clock-minutes, high priority {number(kept.high_clock_lost_s / 60)}; {number(kept.above_s / 60)} minutes "
            f"above the limit; {number(kept.commands)} commands, {number(kept.lost_commands)} of them lost."
        )


def _control_words(row: RowStudy) -> Iterator[str]:
    """What control buys beyond the headroom that is there anyway, and what the next machine would break."""
    gained = row.machines - row.uncapped_machines
    if row.machines:
        yield f"So control adds {plural(gained, 'machine')}." if gained > 0 else "So control adds no machine here."
    beyond = [t for t in row.trials if t.fails and t.machines > row.machines]
    if beyond:
        first = min(beyond, key=lambda t: t.machines)
        yield f"{plural(first.machines, 'machine')} would fail: {', '.join(first.fails).replace('_', ' ')}."
