"""The table of what the simulator said of the epochs of a plan over time."""

from collections.abc import Sequence

from planner.report.page import Cell, Chip, Table, Tone, columns
from planner.report.schedule_words import said, spans
from planner.report.words import amount
from planner.results.timetable import Served
from workloads.counts import number, plural, watts

SHOWN_ROWS = 30
"""A table over time of more rows is folded away; of a timetable but its busiest day."""


def served_tables(served: Sequence[Served]) -> list[Table]:
    """What the simulator said of each epoch, those that are alike in one line; a table of each of several models."""
    models = dict.fromkeys(one.model for one in served)
    return [_table(model, [one for one in served if one.model == model]) for model in models]


def _table(model: str, served: Sequence[Served]) -> Table:
    slos = sorted({each.key for one in served for each in one.evidence})
    rows: list[tuple[Cell, ...]] = []
    for one in served:
        shown = {e.key: f"{amount(e.measured, e.unit)} of {amount(e.limit, e.unit)}" for e in one.evidence}
        rows.append((
            spans(one.epochs), number(one.rate_req_per_s), number(one.arrived), number(one.changed),
            watts(one.planned_w), "" if one.simulated_w is None else watts(one.simulated_w),
            *(shown.get(slo, "") for slo in slos), Chip(words=said(one), tone=Tone.GOOD if one.valid else Tone.BAD),
        ))  # fmt: skip
    headings = columns(
        "~epochs", "#req/s", "#requests", "#instances changed", "#watts, planned", "#simulated",
        *(f"#{slo}" for slo in slos), "~verdict",
    )  # fmt: skip
    epochs = len({epoch for one in served for epoch in one.epochs})
    words = f"{plural(epochs, 'epoch')} at their peak, with the changes into them"
    named = f"{model}: " if model else ""
    folded = f"{named}{words}" if len(rows) > SHOWN_ROWS else ""
    return Table(columns=headings, rows=rows, caption=f"{named}measured of limit", folded=folded)
