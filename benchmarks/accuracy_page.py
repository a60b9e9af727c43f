"""The tables of ``docs/accuracy.md`` on latency and throughput, and the bands that plans quote, made again.

python benchmarks/accuracy_page.py --data DIR
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hw_catalog import bands as catalog_bands
from hw_catalog.bands import ANY, ErrorBand, load_bands
from planner.accuracy.bands import bands, coverage
from planner.accuracy.measured import Exclusion
from planner.accuracy.table import ErrorTotal, compare, totals

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


def band_lines(found: Sequence[ErrorBand]) -> list[str]:
    """Bands of models that were not measured, how those of models compare, and how often both hold what is left out."""
    cells: Cells = {}
    for b in found:
        if b.model == ANY and b.metric in TOLD:
            share = f", {b.left_out_inside / b.left_out:.0%}" if b.left_out else ""
            said = f"{b.low_ratio:.2f}-{b.high_ratio:.2f} ({b.n}{share})" if b.informative else f"none ({b.n}{share})"
            cells.setdefault((b.profile_set, b.gpu), {})[b.metric] = said
    return [*_table(("kernel tables", "GPU"), cells, TOLD), "", *kind_lines(found)]


def kind_lines(found: Sequence[ErrorBand]) -> list[str]:
    """Of bands of models and of all others: what is left out and inside, how wide they are, which say nothing."""
    lines = []
    for words, some in (
        ("Layouts left out of bands of models", False),
        ("Models left out of bands of all others", True),
    ):
        mine = [b for b in found if (b.model == ANY) is some]
        of, moved = coverage(mine), [b.widened_ratio for b in mine if b.widened_ratio > 1]
        told = [b.high_ratio / b.low_ratio for b in mine if b.informative]
        lines.append(
            f"- {words}: {of.inside / of.left_out:.0%} inside (n = {of.left_out}); {of.beyond} of {of.bands} bands "
            f"beyond chance ({of.by_chance:.1f} would be); {len(moved)} of {len(mine)} widened, by "
            f"{np.median(moved):.2f}; {len(mine) - len(told)} not informative, the others {np.median(told):.2f} "
            "high over low"
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
    page = replaced(page, "bands", band_lines(drawn))
    PAGE.write_text(replaced(page, "left out", excluded_lines(excluded)), encoding="utf-8")
    sys.stderr.write(f"{time.process_time() - began:.0f} CPU seconds\n")


if __name__ == "__main__":
    main()
