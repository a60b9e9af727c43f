"""The tables of ``docs/accuracy.md`` on latency and throughput, and the bands that plans quote, made again.

python benchmarks/accuracy_page.py --data DIR
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hw_catalog import bands as catalog_bands
from hw_catalog.bands import ANY, INSIDE_FRAC, ErrorBand, Key, load_bands
from planner.accuracy.bands import bands, left_out
from planner.accuracy.measured import Exclusion
from planner.accuracy.table import ErrorGroup, ErrorTotal, compare, groups, totals

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/accuracy.md"
NAMES = {
    "e2e_mean_s": "E2E",
    "output_tokens_per_s_per_gpu": "tokens/s/GPU",
    "tpot_mean_s": "ITL",
    "ttft_mean_s": "TTFT",
}
TOLD = ("tpot_mean_s", "ttft_mean_s")
REPLACED = "inferencex_disagg"
"""A table that repeats runs of ``inferencex_disagg_runs`` without their layouts and settings."""
APART = (REPLACED, "inferencex_agg_moe")
"""What the names of tables begin with that the page tells of in sections of their own."""
KINDS = ("all rows", "engine sglang", "engine trtllm", "engine vllm")
FEWEST = 20
"""Groups of fewer runs are left to ``phasewise accuracy --json``."""
FAR = 0.2
"""So are groups of which no median error is as large as this."""

Cells = dict[tuple[str, ...], dict[str, str]]
"""Labels of a row -> metric -> what its cell says."""


def total_lines(found: Sequence[ErrorTotal]) -> list[str]:
    """Errors by data set and engine."""
    several = {t.dataset for t in found if t.of == "engine sglang"}
    cells: Cells = {}
    for t in found:
        if t.of in KINDS and (t.of == "all rows" or t.dataset in several):
            inside = "" if t.within_band_frac is None else f", {t.within_band_frac:.0%}"
            said = f"{t.median_ape:.1%}, {t.p90_ape:.1%}, {t.median_ratio - 1:+.0%}{inside}"
            cells.setdefault((t.dataset, t.of, str(t.n)), {})[t.metric] = said
    return _table(("data", "rows", "n"), cells, tuple(NAMES))


def group_lines(found: Sequence[ErrorGroup]) -> list[str]:
    """Error and bias by model and GPU: what a group shares, and what is left beside it."""
    cells: Cells = {}
    far: set[tuple[str, ...]] = set()
    for g in found:
        if g.n >= FEWEST and (g.metric in TOLD or g.dataset.startswith("trtllm")):
            said = f"{g.median_ape:.0%} ({g.median_ratio - 1:+.0%})"
            group = (g.dataset, g.gpu, g.model, str(g.n))
            cells.setdefault(group, {})[g.metric] = said
            far |= {group} if g.median_ape >= FAR else set()
    return _table(("data", "GPU", "model", "n"), {g: cells[g] for g in cells if g in far}, tuple(NAMES)[1:])


def band_lines(found: Sequence[ErrorBand], held: Mapping[Key, Sequence[bool]]) -> list[str]:
    """Bands of models that were not measured, how those of models compare, and how often both hold what is left out."""
    cells: Cells = {}
    for b in found:
        if b.model == ANY and b.metric in TOLD:
            of = held.get(b.key)
            share = f", {sum(of) / len(of):.0%}" if of else ""
            said = f"{b.low_ratio:.2f}-{b.high_ratio:.2f} ({b.n}{share})"
            cells.setdefault((b.profile_set, b.gpu), {})[b.metric] = said
    lines = [*_table(("kernel tables", "GPU"), cells, TOLD), ""]
    for words, some in (("models, layouts left out", False), ("all other models, models left out", True)):
        mine = {key: of for key, of in held.items() if (key[2] == ANY) is some}
        every = [inside for of in mine.values() for inside in of]
        low = sum(sum(of) < (INSIDE_FRAC - 0.05) * len(of) for of in mine.values())
        widths = [b.high_ratio / b.low_ratio for b in found if (b.model == ANY) is some]
        moved = [b.widened_ratio for b in found if (b.model == ANY) is some and b.widened_ratio > 1]
        lines.append(
            f"- Bands of {words}: {sum(every) / len(every):.0%} inside (n = {len(every)}); {low} of {len(mine)} hold "
            f"less than {INSIDE_FRAC - 0.05:.0%}; high over low {np.median(widths):.2f} (median of {len(widths)}), "
            f"{len(moved)} of them widened by {np.median(moved):.2f}"
        )
    return lines


def _table(labels: Sequence[str], cells: Cells, metrics: Sequence[str]) -> list[str]:
    """One line for each row of labels, a column for each metric."""
    names = [*labels, *(NAMES[metric] for metric in metrics)]
    rows = [[*row, *(told.get(metric, "") for metric in metrics)] for row, told in cells.items() if any(told.values())]
    return [f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows)]


def excluded_lines(excluded: Sequence[Exclusion]) -> list[str]:
    """How many rows of every table are left out."""
    counts: dict[str, int] = {}
    for e in excluded:
        name = e.row.partition(":")[0]
        if name.startswith(APART):
            continue
        counts[name] = counts.get(name, 0) + 1
    told = ", ".join(f"{n} of {name}" for name, n in sorted(counts.items()))
    return [f"Rows left out: {told}; `--json` gives the reason for each."]


def replaced(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with one of its marked parts made anew."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE}: no part marked {begin}")
    return "\n".join([f"{before}{begin}", *lines, f"{end}{after}"])


def main() -> None:
    """Replay, draw bands, write both files."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    chosen = options.parse_args()
    began = time.process_time()
    found, excluded = compare(chosen.data, progress=lambda _words, _done_frac: None)
    compared = [c for c in found if not c.run.layouts_said and c.run.dataset != REPLACED]
    drawn = bands(compared)
    kept = [band for key, band in load_bands().items() if "@" in key[0]]
    (ROOT / "hw_catalog/data" / catalog_bands.FILE).write_text(catalog_bands.bands_text([*drawn, *kept]), "utf-8")
    page = PAGE.read_text(encoding="utf-8")
    page = replaced(page, "totals", total_lines(totals(compared)))
    page = replaced(page, "groups", group_lines(groups(compared)))
    page = replaced(page, "bands", band_lines(drawn, left_out(compared)))
    PAGE.write_text(replaced(page, "left out", excluded_lines(excluded)), encoding="utf-8")
    sys.stderr.write(f"{time.process_time() - began:.0f} CPU seconds\n")


if __name__ == "__main__":
    main()
