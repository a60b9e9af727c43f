"""A row and its breaker."""

from collections.abc import Iterator

from planner.report.html.charts import line, short
from planner.report.html.drawings import bar
from planner.report.page import Cell, Chart, Chip, Lines, Section, Table, Tile, Tone, columns, section
from planner.report.row_curves import capped_table, curves, levels
from planner.results.row import RowStudy, RowTrial
from workloads.counts import number, percent, plural, watts

OVER_RATING_FRAC = 34.0 / 400.0
"""By which a reading of one second passed a board's rating: an A100 of 400 W read 434 W (Qwen3-14B, vLLM 0.10, one run,
measured; docs/power.md). No simulated board passes its rating."""

_POLICIES = {
    "polca": "POLCA",
    "one-threshold-low": "one threshold, low priority",
    "one-threshold-all": "one threshold, all priorities",
    "no-cap": "the brake alone",
}


def row_section(row: RowStudy) -> Iterator[Section]:
    """How many machines the row holds, what control costs which requests, and what the domains around it see."""
    headings = columns(
        "#machines", "#ratio", "!peak, share of the limit", "#peak", "#brakes", "#low p50", "#low p99", "#high p50",
        "#high p99", "holds",
    )  # fmt: skip
    most = max((t.peak_frac for t in row.trials), default=1.0)
    domains = [
        (d.domain, number(d.machines), *(watts(w) for w in (d.rated_w, d.limit_w, d.p99_w, d.peak_w)),
         percent(d.coincidence_ratio))
        for d in row.domains
    ]  # fmt: skip
    yield from section(
        "row", "How many a row holds", Lines(lines=tuple(row_words(row))),
        *curves(row), capped_table(row),
        Table(columns=headings, rows=[_trial(t, max(1.0, most)) for t in row.trials], caption="machines tried"),
        Table(
            columns=columns("domain", "#machines", "#rated", "#limit", "#p99", "#peak", "#coincidence"), rows=domains,
            caption="what the power domains see, without control",
        ),
        _peaks(row),
        Lines(lines=row.assumptions, bullets=True),
    )  # fmt: skip


def _peaks(row: RowStudy) -> Chart | None:
    """Peak power over the number of machines, against breaker and thresholds; nothing of a single number."""
    trials = sorted(row.trials, key=lambda t: t.machines)
    if len(trials) < 2:
        return None
    series = [{**line("peak under control", short([t.peak_frac for t in trials]), 0), "dots": True}]
    spec = {
        "x": [float(t.machines) for t in trials], "series": series, "xUnit": "number", "xLabel": "machines in the row",
        "yUnit": "share", "levels": levels(row), "reach": True, "height": 260,
    }  # fmt: skip
    note = "highest draw of all simulated weeks, as a share of the breaker's limit"
    return Chart(name="row-peaks", title="Peak power of the row", spec=spec, note=note, whole=True)


def _trial(trial: RowTrial, most: float) -> tuple[Cell, ...]:
    losses = (f"{100 * trial.loss_frac[key]:+.1f} %" for key in ("low_p50", "low_p99", "high_p50", "high_p99"))
    peak = bar(trial.peak_frac, f"peak {percent(trial.peak_frac)} of the limit", most=most)
    holds = Chip(words="no", tone=Tone.BAD) if trial.fails else Chip(words="yes", tone=Tone.GOOD)
    return (
        number(trial.machines), f"{trial.ratio:.2f}", peak, percent(trial.peak_frac), number(trial.brakes), *losses,
        holds,
    )  # fmt: skip


def standing_words(row: RowStudy | None) -> str:
    """Where the machines of a plan stand, if in more than one row."""
    if row is None or row.needed_rows < 2:
        return ""
    return f", in {plural(row.needed_rows, 'row')} of {watts(row.row_limit_w)}"


def row_tile(row: RowStudy) -> Tile:
    """What a row holds, as a figure of a first look."""
    note = f"{watts(row.row_limit_w)}: {row.ratio:.2f} times the {row.provisioned_machines} meant"
    return Tile(label="A row holds", value=plural(row.machines, "machine"),
                note=f"{note}; {row.uncapped_machines} without control")  # fmt: skip


def row_line(row: RowStudy) -> str:
    """What a row holds and the plan takes of it, and how near to its limit that comes, in a line."""
    limit, kept = watts(row.row_limit_w), next((t for t in row.trials if t.machines == row.machines), None)
    if not row.machines:
        return f"{limit} hold no {row.machine} under {_POLICIES[row.policy]}"
    peak = f", peak {percent(kept.peak_frac)} of the limit" if kept else ""
    each = f" ({' + '.join(number(sum(places.values())) for places in row.placed)} machines)" if row.placed else ""
    plan = f"; the plan takes {row.needed_rows} of {plural(row.rows, 'row')}{each}" if row.plan_machines else ""
    return (
        f"{limit} hold {plural(row.machines, 'machine')} under {_POLICIES[row.policy]} ({row.ratio:.2f} times the "
        f"{row.provisioned_machines} meant){peak}, {row.uncapped_machines} without control{plan}; readings of a second "
        f"can pass a rating by {percent(OVER_RATING_FRAC)}"
    )


def _left(row: RowStudy) -> str:
    """What else the rows would hold of the machines of the plan, in their proportion."""
    more = row.rows * row.machines - row.plan_machines
    return f"; {plural(more, 'machine')} more would fit" if more > 0 else ""


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
            f"The plan's {plural(row.plan_machines, 'machine')} take {plural(row.needed_rows, 'row')} of at most "
            f"{row.rows} (power.rows){_left(row)}."
        )
    for place, pools in enumerate(row.placed, 1):
        yield f"Row {place}: {', '.join(f'{count} {name}' for name, count in pools.items())}."
    if row.thresholds_frac and row.machines:
        edges = " and ".join(percent(edge) for edge in row.thresholds_frac)
        yield f"Control: {_POLICIES[row.policy]}, thresholds at {edges} of the limit."
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
