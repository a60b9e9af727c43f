"""The plan as a table for spreadsheets and as a page of Markdown."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from planner.results.evidence import ValidatedPlan
from planner.results.plan import CandidatePlan
from planner.results.precision import precision
from planner.scenario import Scenario
from workloads.counts import number, plural, watts

_COLUMNS = (
    "status", "role", "machine", "machines", "instances", "tp", "pp", "dp", "ep", "kvp", "chunk_tokens", "clock_mhz",
    "cap_w", "cells", "price_usd_per_h", "cost_usd_per_h", "rate_req_per_s", "load_frac", "kv_load_frac", "dtype",
    "kv_dtype", "engine", "engine_version", "checkpoint",
)  # fmt: skip


_FORMULA = ("=", "+", "-", "@")


def as_csv(answer: ValidatedPlan | CandidatePlan, price_usd_per_h: Mapping[str, float]) -> str:
    """One line per pool, with the units in the headings; knobs that are not set are empty.

    Args:
        answer: the plan.
        price_usd_per_h: machine type -> price of one; costs of all lines add up to that of the plan.
    """
    status, candidate = _opened(answer)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for pool in candidate.pools:
        spec, layout = pool.spec, pool.spec.layout
        knobs = ("" if v is None else v for v in (spec.chunk_tokens, spec.clock_mhz, spec.cap_w))
        writer.writerow(inert((
            status, spec.role, spec.machine, pool.machines, pool.instances, layout.tp, layout.pp, layout.dp, layout.ep,
            layout.kvp, *knobs, candidate.cells, f"{price_usd_per_h[spec.machine]:.6g}",
            f"{pool.machines * price_usd_per_h[spec.machine]:.6g}",
            f"{sum(pool.rate_req_per_s.values()):.6g}", f"{pool.load_frac:.6g}",
            f"{pool.kv_load_frac:.6g}", *_served(answer, spec.name),
        )))  # fmt: skip
    return text.getvalue()


def inert(cells: Iterable[object]) -> list[object]:
    """Cells that a spreadsheet shows and does not work out: words that begin as a formula get an apostrophe before."""
    return [f"'{cell}" if _formula(cell) else cell for cell in cells]


def _formula(cell: object) -> bool:
    return isinstance(cell, str) and cell.startswith(_FORMULA) and not _number(cell)


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def as_markdown(answer: ValidatedPlan | CandidatePlan, scenario: Scenario) -> str:
    """A summary for a page that people read: verdict, pools, objectives, doubts."""
    status, candidate = _opened(answer)
    totals = candidate.totals
    lines = [
        f"# {_plain(scenario.name)}",
        "",
        f"**{status.capitalize()}**: {plural(totals.machines, 'machine')} ({plural(totals.gpus, 'GPU')}), "
        f"{totals.cost_usd_per_h:,.2f} USD/h, {watts(totals.power_w)} rated, for {scenario.model.name}, policy "
        f"{candidate.policy}{_cells(candidate)}.",
        *([f"\nServed in {precision(answer.served)}."] if isinstance(answer, ValidatedPlan) and answer.served else []),
        "",
        *_rows(
            ("role", "machine", "layout", "instances", "machines", "req/s", "load"),
            [
                (
                    pool.spec.role, pool.spec.machine, pool.spec.layout.name, number(pool.instances),
                    number(pool.machines),
                    number(sum(pool.rate_req_per_s.values())), f"{pool.load_frac:.0%}",
                )
                for pool in candidate.pools
            ],
        ),
    ]  # fmt: skip
    if isinstance(answer, ValidatedPlan):
        judged = answer.judgement
        rows = [
            (
                e.key,
                f"{e.limit:g} {e.unit.symbol}",
                number(e.measured, 3),
                f"{number(e.low, 3)} to {number(e.high, 3)}",
                e.verdict,
                f"{e.n:,}",
            )
            for e in judged.evidence
        ]
        lines += ["", f"Served: {judged.workload}, {plural(len(judged.seeds), 'seed')} of {judged.horizon_s:g} s.", ""]
        lines += _rows(("objective", "limit", "measured", "interval", "verdict", "n"), rows)
        lines += ["", *(f"- {warning}" for warning in answer.warnings)] if answer.warnings else []
    return "\n".join(lines) + "\n"


def _cells(candidate: CandidatePlan) -> str:
    """How the machines are divided; empty of one pool."""
    if candidate.cells == 1:
        return ""
    each = plural(candidate.totals.machines // candidate.cells, "machine")
    return f", in {candidate.cells} cells of {each}, each request sent to one of them by chance"


def _served(answer: ValidatedPlan | CandidatePlan, pool: str) -> tuple[str, str, str, str, str]:
    """What a pool serves the model in; empty where the source does not say."""
    known = answer.served if isinstance(answer, ValidatedPlan) else ()
    found = next((s for s in known if s.pool == pool), None)
    if found is None:
        return "", "", "", "", ""
    return found.dtype, found.kv_dtype, found.engine, found.engine_version, found.checkpoint


def _opened(answer: ValidatedPlan | CandidatePlan) -> tuple[str, CandidatePlan]:
    if isinstance(answer, ValidatedPlan):
        return "validated", answer.candidate
    return "unvalidated", answer


def _rows(headings: tuple[str, ...], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table; a bar inside a cell would end it."""
    cells = (" | ".join(_plain(str(cell)) for cell in row) for row in rows)
    return [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings), *(f"| {row} |" for row in cells)]


def _plain(word: str) -> str:
    """A word that Markdown shows as it is: no HTML, no link, no end of a cell."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", word)
