"""The tables of ``docs/accuracy.md`` on latency and throughput, and the bands that plans quote, made again.

python benchmarks/accuracy_page.py --data DIR
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hw_catalog import bands as catalog_bands
from planner.accuracy.bands import bands, left_out
from planner.accuracy.measured import Exclusion
from planner.accuracy.table import Comparison, compare, groups, totals

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/accuracy.md"
NAMES = {
    "ttft_mean_s": "TTFT",
    "tpot_mean_s": "ITL",
    "e2e_mean_s": "E2E",
    "output_tokens_per_s_per_gpu": "tokens/s/GPU",
}
TOLD = ("ttft_mean_s", "tpot_mean_s")
KINDS = ("all rows", "engine sglang", "engine trtllm", "engine vllm")


def total_lines(compared: Sequence[Comparison]) -> list[str]:
    """Errors by data set and engine."""
    lines = ["| data | rows | metric | n | median | p90 | bias | in band |", "|---|---|---|---:|---:|---:|---:|---:|"]
    several = {t.dataset for t in totals(compared) if t.of == "engine sglang"}
    for t in totals(compared):
        if t.of in KINDS and (t.of == "all rows" or t.dataset in several):
            inside = "" if t.within_band_frac is None else f"{t.within_band_frac:.0%}"
            lines.append(
                f"| {t.dataset} | {t.of} | {NAMES[t.metric]} | {t.n} | {t.median_ape:.1%} | {t.p90_ape:.1%} "
                f"| {t.median_ratio - 1:+.0%} | {inside} |"
            )
    return lines


def group_lines(compared: Sequence[Comparison]) -> list[str]:
    """Bias and error by model and GPU: what a group shares, and what is left beside it."""
    lines = ["| data | GPU | model | metric | n | median | bias |", "|---|---|---|---|---:|---:|---:|"]
    told = [g for g in groups(compared) if g.metric in TOLD or g.dataset.startswith("trtllm")]
    return lines + [
        f"| {g.dataset} | {g.gpu} | {g.model} | {NAMES[g.metric]} | {g.n} | {g.median_ape:.0%} "
        f"| {g.median_ratio - 1:+.0%} |"
        for g in told
    ]


def band_lines(compared: Sequence[Comparison]) -> list[str]:
    """The bands, and how they hold for a model that they were not drawn around."""
    lines = ["| kernel tables | GPU | metric | n | models | measured over predicted |", "|---|---|---|---:|---:|---|"]
    lines += [
        f"| {b.profile_set} | {b.gpu} | {NAMES[b.metric]} | {b.n} | {b.models} "
        f"| {b.low_ratio:.2f} to {b.high_ratio:.2f} |"
        for b in bands(compared)
    ]
    held = left_out(compared)
    return [*lines, "", f"Bands drawn around the other models on a GPU hold {sum(held) / len(held):.0%} of a model's "
            f"figures (n = {len(held)}); 80 % is what they hold of their own."]  # fmt: skip


def excluded_lines(excluded: Sequence[Exclusion]) -> list[str]:
    """How many rows of every table are left out."""
    counts: dict[str, int] = {}
    for e in excluded:
        name = e.row.partition(":")[0]
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
    compared, excluded = compare(chosen.data, progress=lambda _words, _done_frac: None)
    (ROOT / "hw_catalog/data" / catalog_bands.FILE).write_text(catalog_bands.bands_text(bands(compared)), "utf-8")
    page = PAGE.read_text(encoding="utf-8")
    parts = {"totals": total_lines, "groups": group_lines, "bands": band_lines}
    for name, lines in parts.items():
        page = replaced(page, name, lines(compared))
    PAGE.write_text(replaced(page, "left out", excluded_lines(excluded)), encoding="utf-8")
    sys.stderr.write(f"{time.process_time() - began:.0f} CPU seconds\n")


if __name__ == "__main__":
    main()
