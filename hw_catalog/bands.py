"""How far measured runs were from what the kernel tables say: bands that predictions come with."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

FILE = "bands.csv"
SPLIT, ONE = "@split", "@one"
"""Behind a profile set: bands of layouts of measured clusters, with phases apart or on one instance."""

INSIDE_FRAC = 0.8
"""Share of the runs that a band was drawn around."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBand:
    """Measured over predicted values of one metric, with one set of kernel tables on one GPU.

    Attributes:
        profile_set: of the tables; with ``SPLIT`` or ``ONE`` behind it, of layouts timed as measured clusters were.
        gpu: catalog id.
        metric: for example ``ttft_mean_s``.
        n: runs.
        models: how many models they are of.
        low_ratio: a tenth of the runs is below it.
        median_ratio: half of them.
        high_ratio: nine tenths.
    """

    profile_set: str
    gpu: str
    metric: str
    n: int
    models: int
    low_ratio: float
    median_ratio: float
    high_ratio: float

    def holds(self, measured_ratio: float) -> bool:
        """Whether a measured over a predicted value lies in the band."""
        return self.low_ratio <= measured_ratio <= self.high_ratio


def load_bands() -> dict[tuple[str, str, str], ErrorBand]:
    """The bands that ship with phasewise, by profile set, GPU and metric.

    Source: public measured runs, as ``docs/accuracy.md`` names them; ``benchmarks/accuracy_page.py`` draws them again.
    """
    text = resources.files("hw_catalog").joinpath("data", FILE).read_text(encoding="utf-8")
    found = [
        ErrorBand(
            profile_set=row["profile_set"], gpu=row["gpu"], metric=row["metric"], n=int(row["n"]),
            models=int(row["models"]), low_ratio=float(row["low_ratio"]), median_ratio=float(row["median_ratio"]),
            high_ratio=float(row["high_ratio"]),
        )
        for row in csv.DictReader(text.splitlines())
    ]  # fmt: skip
    return {(b.profile_set, b.gpu, b.metric): b for b in found}


def bands_text(bands: Iterable[ErrorBand]) -> str:
    """The content of the file of bands."""
    lines = ["profile_set,gpu,metric,n,models,low_ratio,median_ratio,high_ratio"]
    lines += [
        f"{b.profile_set},{b.gpu},{b.metric},{b.n},{b.models},{b.low_ratio:.3f},{b.median_ratio:.3f},{b.high_ratio:.3f}"
        for b in sorted(bands, key=lambda b: (b.profile_set, b.gpu, b.metric))
    ]
    return "\n".join(lines) + "\n"
