"""Bands of layouts of measured clusters, drawn around the runs that nothing was fitted to, into ``bands.csv``.

    python -m benchmarks.layout_bands --data FILE [FILE ...]

Factors of layouts were fitted to runs in even positions of their files (benchmarks/cluster_timing.py and
instance_timing.py), so bands are drawn around odd ones. Prints how wide they are, and how often they hold layouts and
models that they were not drawn around.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy_page import kind_lines
from hw_catalog import bands as catalog_bands
from hw_catalog.engines import load_engines, load_layout_timings
from hw_catalog.load import load_catalog
from planner.accuracy.bands import bands
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
    """Replay, draw, put the bands into the file and say how they hold what they have not seen."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, nargs="+", required=True)
    compared = held_out(asked.parse_args().data)
    drawn = {band.key: band for band in bands(compared)}
    before = {key: band for key, band in catalog_bands.load_bands().items() if "@" in key[0]}
    sys.stdout.write("\n".join([*kind_lines(list(drawn.values())), ""]))
    sys.stdout.write(f"{len(before)} bands before, {len(drawn)} now\n")
    kept = {key: band for key, band in catalog_bands.load_bands().items() if "@" not in key[0]}
    FILE.write_text(catalog_bands.bands_text((kept | drawn).values()), encoding="utf-8")


if __name__ == "__main__":
    main()
