"""The table of a served toy model: measured and predicted figures at each load, and which loads it holds whole."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.files.writing import write_whole

QUANTILES = (0.5, 0.9, 0.99)
FIGURES = tuple(f"{metric}_{of}_s" for metric in ("ttft", "tpot", "e2e") for of in ("mean", "p50", "p90", "p99"))
"""What every load has; watts are beside them where a device tells them."""
COLUMNS = ("load_frac", "n", "figure", "measured", "predicted", "error_pct")

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a run says of its requests and its device.

    Attributes:
        ttft_s: (n,) of each request.
        e2e_s: (n,) of each request.
        output_tokens: (n,) of each request.
        watts_w: mean of the device from the first arrival to the last; None where it cannot say.
    """

    ttft_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]
    output_tokens: NDArray[np.int64]
    watts_w: float | None

    def lines(self) -> Mapping[str, float]:
        """Mean and quantiles of each metric, and the watts."""
        several = self.output_tokens > 1
        tpot_s = ((self.e2e_s - self.ttft_s) / np.maximum(1, self.output_tokens - 1))[several]
        found: dict[str, float] = {}
        for name, values in (("ttft", self.ttft_s), ("tpot", tpot_s), ("e2e", self.e2e_s)):
            found[f"{name}_mean_s"] = float(np.mean(values))
            found |= {f"{name}_p{round(100 * q)}_s": float(np.quantile(values, q)) for q in QUANTILES}
        return found if self.watts_w is None else {**found, "mean_w": self.watts_w}


def row(load: float, n: int, figure: str, value: float, said: float) -> dict[str, str]:
    """A line of the table; ``n`` are requests, or steps."""
    return {
        "load_frac": f"{load:g}", "n": str(n), "figure": figure, "measured": f"{value:.4g}",
        "predicted": f"{said:.4g}", "error_pct": f"{round(100 * (said / value - 1), 1) + 0.0:+.1f}",  # never -0.0
    }  # fmt: skip


def compare(load: float, mine: Figures, theirs: Figures) -> list[dict[str, str]]:
    """A row for every figure that both have: measured, predicted, error."""
    said, n = theirs.lines(), len(mine.ttft_s)
    return [row(load, n, name, value, said[name]) for name, value in mine.lines().items() if name in said]


def write(path: Path, rows: Sequence[Row]) -> None:
    """A small table, whole or not at all: a run that is cut off leaves the loads before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_whole(path, text.getvalue())


def whole_loads(path: Path) -> list[Row]:
    """The rows of every load that a table holds with all its figures; none where there is no table, or another one."""
    if not path.is_file():
        return []
    table = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    if tuple(table.fieldnames or ()) != COLUMNS:
        return []
    rows = [found for found in table if None not in found and None not in found.values()]
    figures: dict[str, set[str]] = {}
    for found in rows:
        figures.setdefault(found["load_frac"], set()).add(found["figure"])
    return [found for found in rows if figures[found["load_frac"]].issuperset(FIGURES)]


def loads_left(rows: Sequence[Row], loads: Sequence[float]) -> list[float]:
    """Those that a table has no rows of."""
    held = {found["load_frac"] for found in rows}
    return [load for load in loads if f"{load:g}" not in held]
