"""Bands of layouts of measured clusters, drawn around the runs that nothing was fitted to, into ``bands.csv``.

    python benchmarks/layout_bands.py --data FILE [FILE ...]

Factors of layouts were fitted to runs in even positions of their files (benchmarks/cluster_timing.py and
instance_timing.py), so bands are drawn around odd ones. Prints how often bands around half of these hold the rest.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hw_catalog import bands as catalog_bands
from hw_catalog.engines import load_engines, load_layout_timings
from hw_catalog.load import load_catalog
from planner.accuracy.bands import bands, left_out, within
from planner.accuracy.measured import MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.runs import read_runs
from planner.accuracy.table import Comparison, replayed
from workloads.models import known_models

FILE = Path(__file__).parent.parent / "hw_catalog/data" / catalog_bands.FILE


def position(run: MeasuredRun) -> int:
    """Of a run in its file."""
    return int(run.row.split(":")[1].split()[0])


def held_out(files: Sequence[Path]) -> list[Comparison]:
    """Every metric of the runs in odd positions."""
    catalog, found = load_catalog(), list[Comparison]()
    for file in files:
        runs, _ = read_runs(file, Known(models=known_models(), gpus=catalog.gpus))
        odd = [run for run in runs if position(run) % 2]
        compared, _ = replayed(
            odd, catalog, {**load_engines(), **load_layout_timings()}, progress=lambda _words, _done_frac: None
        )
        found += compared
    return found


def main() -> None:
    """Replay, draw, put the bands into the file and say how they hold."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, nargs="+", required=True)
    compared = held_out(asked.parse_args().data)
    drawn = {(b.profile_set, b.gpu, b.metric): b for b in bands(compared)}
    rows = list(dict.fromkeys(c.run.row for c in compared))
    first = set(rows[::2])
    halves = [[c for c in compared if (c.run.row in first) is side] for side in (True, False)]
    for metric in ("tpot_mean_s", "ttft_mean_s", "output_tokens_per_s_per_gpu"):
        held = [
            inside
            for mine, other in (halves, halves[::-1])
            for inside in within(
                [c for c in other if c.metric == metric], {(b.profile_set, b.gpu, b.metric): b for b in bands(mine)}
            )
        ]
        sys.stdout.write(f"{metric}: {sum(held) / max(1, len(held)):.1%} of {len(held)} in bands of the other half\n")
    of_groups = left_out(compared)
    least = min(of_groups, key=lambda key: sum(of_groups[key]) / len(of_groups[key]))
    every = [inside for held in of_groups.values() for inside in held]
    sys.stdout.write(
        f"left-out groups: {sum(every) / len(every):.1%} of {len(every)}; least {'/'.join(least)}: "
        f"{sum(of_groups[least]) / len(of_groups[least]):.1%} of {len(of_groups[least])}\n"
    )
    kept = {key: band for key, band in catalog_bands.load_bands().items() if "@" not in key[0]}
    FILE.write_text(catalog_bands.bands_text((kept | drawn).values()), encoding="utf-8")


if __name__ == "__main__":
    main()
