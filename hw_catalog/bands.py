"""How far measured runs were from what the kernel tables say: bands that predictions come with."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

FILE = "bands.csv"
SPLIT, ONE = "@split", "@one"
"""Behind a profile set: bands of layouts of measured clusters, with phases apart or on one instance."""

INSIDE_FRAC = 0.8
"""Share of further runs that a band is to hold."""
ANY = ""
"""In the place of a model: a band for models that have none of their own."""

WIDEST_RATIO = 2.0
"""A band that reaches beyond twice the prediction, or below half of it, is no information."""

Key = tuple[str, str, str, str]
"""Profile set, GPU, model and metric of a band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBand:
    """Measured over predicted values of one metric, with one set of kernel tables on one GPU.

    Attributes:
        profile_set: of the tables; with ``SPLIT`` or ``ONE`` behind it, of layouts timed as measured clusters were.
        gpu: catalog id.
        model: whose runs they are, in layouts that were measured or not; ``ANY``: of models that were not.
        metric: for example ``ttft_mean_s``.
        n: runs.
        models: how many models they are of.
        low_ratio: a tenth of further runs is to be below it.
        median_ratio: half of the runs are.
        high_ratio: nine tenths of further runs are to be below it.
        widened_ratio: by which both ends were moved out, since runs left out do not show that it holds without; 1: not.
        left_out: runs that were left out in turn, with all of their layout or model, to see whether it holds them.
        left_out_inside: how many of them were inside, before it was widened on their account.
    """

    profile_set: str
    gpu: str
    model: str
    metric: str
    n: int
    models: int
    low_ratio: float
    median_ratio: float
    high_ratio: float
    widened_ratio: float = 1.0
    left_out: int = 0
    left_out_inside: int = 0

    @property
    def informative(self) -> bool:
        """Whether it says more than that a prediction may be off twofold."""
        return self.low_ratio >= 1 / WIDEST_RATIO and self.high_ratio <= WIDEST_RATIO

    @property
    def key(self) -> Key:
        """Where it stands among others."""
        return self.profile_set, self.gpu, self.model, self.metric

    def holds(self, measured_ratio: float) -> bool:
        """Whether a measured over a predicted value lies in the band."""
        return self.low_ratio <= measured_ratio <= self.high_ratio


def load_bands() -> dict[Key, ErrorBand]:
    """The bands that ship with phasewise.

    Source: public measured runs, as ``docs/accuracy.md`` names them; ``benchmarks/accuracy_page.py`` draws them again.
    """
    text = resources.files("hw_catalog").joinpath("data", FILE).read_text(encoding="utf-8")
    found = [
        ErrorBand(
            profile_set=row["profile_set"], gpu=row["gpu"], model=row["model"], metric=row["metric"], n=int(row["n"]),
            models=int(row["models"]), low_ratio=float(row["low_ratio"]), median_ratio=float(row["median_ratio"]),
            high_ratio=float(row["high_ratio"]), widened_ratio=float(row["widened_ratio"]),
            left_out=int(row["left_out"]), left_out_inside=int(row["left_out_inside"]),
        )
        for row in csv.DictReader(text.splitlines())
    ]  # fmt: skip
    return {band.key: band for band in found}


def band_of(bands: Mapping[Key, ErrorBand], key: Key) -> ErrorBand | None:
    """The band of a model, or the one for models that have none; None where there is neither."""
    profile_set, gpu, _, metric = key
    return bands.get(key) or bands.get((profile_set, gpu, ANY, metric))


def bands_text(bands: Iterable[ErrorBand]) -> str:
    """The content of the file of bands."""
    lines = [
        "profile_set,gpu,model,metric,n,models,low_ratio,median_ratio,high_ratio,widened_ratio,left_out,left_out_inside"
    ]
    lines += [
        f"{','.join(b.key)},{b.n},{b.models},{b.low_ratio:.3f},{b.median_ratio:.3f},{b.high_ratio:.3f},"
        f"{b.widened_ratio:.3f},{b.left_out},{b.left_out_inside}"
        for b in sorted(bands, key=lambda b: b.key)
    ]
    return "\n".join(lines) + "\n"
