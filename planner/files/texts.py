"""The plan as a table for spreadsheets."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO

from planner.results.evidence import ValidatedPlan
from planner.results.plan import CandidatePlan

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
