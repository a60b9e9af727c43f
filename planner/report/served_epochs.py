"""The table of what the simulator said of the epochs of a plan over time."""

from collections.abc import Sequence

from planner.report.page import Cell, Chip, Table, Tone, columns
from planner.report.schedule_words import said, spans
from planner.report.words import amount
from planner.results.timetable import Served
from workloads.counts import number, plural, watts

SHOWN_ROWS = 30
"""A table over time of more rows is folded away; of a timetable but its busiest day."""


def served_table(served: Sequence[Served]) -> Table:
    """What the simulator said of each epoch, those that are alike in one line; of several models a line each."""
    slos, several = sorted({each.key for one in served for each in one.evidence}), any(one.model for one in served)
    rows: list[tuple[Cell, ...]] = []
    for one in served:
        shown = {e.key: f"{amount(e.measured, e.unit)} of {amount(e.limit, e.unit)}" for e in one.evidence}
        rows.append((
            *((one.model,) if several else ()),
            spans(one.epochs), number(one.rate_req_per_s), number(one.arrived), number(one.changed),
            watts(one.planned_w), "" if one.simulated_w is None else watts(one.simulated_w),
            *(shown.get(slo, "") for slo in slos), Chip(words=said(one), tone=Tone.GOOD if one.valid else Tone.BAD),
        ))  # fmt: skip
    headings = columns(
        *(("model",) if several else ()),
        "~epochs", "#req/s", "#requests", "#instances changed", "#watts, planned", "#simulated",
        *(f"#{slo}" for slo in slos), "~verdict",
    )  # fmt: skip
    epochs = len({epoch for one in served for epoch in one.epochs})
    words = f"{plural(epochs, 'epoch')} at their peak, with the changes into them"
    folded = words if len(rows) > SHOWN_ROWS else ""
    return Table(columns=headings, rows=rows, caption="measured of limit", folded=folded)
