"""Errors in groups: what the predictions are worth, with n, and what others published."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from hw_catalog.bands import ONE, SPLIT, ErrorBand, Key, band_of, load_bands
from hw_catalog.engines import EngineTiming, load_engines, load_layout_timings
from hw_catalog.load import Catalog, load_catalog
from planner.accuracy.bench_files import Setup
from planner.accuracy.measured import Exclusion, MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.replay import BUILT_IN, Tables, Unmatched, predicted, profile_set_of
from planner.accuracy.runs import read_runs
from planner.perf.layout import Role
from planner.simulator.serve import prepare
from workloads.models import known_models

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one measured run beside ours.

    Attributes:
        run: what was measured.
        metric: which of its values.
        ratio: predicted over measured value.
        profile_set: of the kernel tables that the prediction rests on.
    """

    run: MeasuredRun
    metric: str
    ratio: float
    profile_set: str = ""

    @property
    def ape(self) -> float:
        """Absolute percentage error, as a share of the measured value."""
        return abs(self.ratio - 1)

    @property
    def band(self) -> Key:
        """Tables, GPU, model and metric of the band that predictions of its kind come with."""
        behind = SPLIT if any(w.role is Role.PREFILL for w in self.run.fleet) else ONE
        return f"{self.profile_set}{behind if self.run.layouts_said else ''}", self.run.gpu, self.run.model, self.metric


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Errors of one metric, of one model on one GPU in one data set.

    Attributes:
        dataset: name of the file.
        gpu: catalog id.
        model: catalog id.
        metric: for example ``ttft_mean_s``.
        n: rows.
        median_ape: median of the absolute percentage errors, as a share.
        p90_ape: their 90th percentile.
        median_ratio: median of predicted over measured: the side on which the errors lie.
        within_band_frac: share of the measured values within the band that predictions come with; None without one.
    """

    dataset: str
    gpu: str
    model: str
    metric: str
    n: int
    median_ape: float
    p90_ape: float
    median_ratio: float
    within_band_frac: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTotal:
    """Errors of one metric over all rows of a data set that have one more thing in common.

    Attributes:
        dataset: name of the file.
        of: what they have in common, for example ``engine vllm``; ``all rows`` where nothing more.
        metric: for example ``ttft_mean_s``.
        n: rows.
        median_ape: median of the absolute percentage errors, as a share.
        p90_ape: their 90th percentile.
        median_ratio: median of predicted over measured.
        within_band_frac: share of the measured values within the band that predictions come with; None without one.
    """

    dataset: str
    of: str
    metric: str
    n: int
    median_ape: float
    p90_ape: float
    median_ratio: float
    within_band_frac: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedValue:
    """One measured value beside ours.

    Attributes:
        row: file and line.
        engine: for example ``vllm``.
        gpu: catalog id.
        model: catalog id.
        dtype: of the weights.
        layout: of the workers that decode, for example ``tp1dp8ep8``.
        draft_tokens: that a decode step verifies beside its own.
        clients: requests in flight; None in an open loop.
        metric: for example ``ttft_mean_s``.
        measured_value: in the unit of the metric.
        predicted_value: likewise.
    """

    row: str
    engine: str
    gpu: str
    model: str
    dtype: str
    layout: str
    draft_tokens: int
    clients: int | None
    metric: str
    measured_value: float
    predicted_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedError:
    """What another simulator's authors, or its rivals, published of it.

    Attributes:
        simulator: its name.
        metric: of which value.
        median_ape: as a share.
        n: runs.
        source: where it stands, and what to know about it.
    """

    simulator: str
    metric: str
    median_ape: float
    n: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """What the predictions are worth.

    Attributes:
        totals: errors over data sets, engines, ways of running, and loads.
        groups: errors by model and GPU.
        values: every measured value that is compared, beside ours.
        excluded: every row that is not compared, and why.
        published: errors of others on runs of the kind ``sim2real``.
    """

    totals: tuple[ErrorTotal, ...]
    groups: tuple[ErrorGroup, ...]
    values: tuple[ComparedValue, ...]
    excluded: tuple[Exclusion, ...]
    published: tuple[PublishedError, ...]


def accuracy(path: Path, *, setup: Setup | None = None, tables: Tables = BUILT_IN, progress: Progress) -> Accuracy:
    """Every measured row of the tables at ``path``, replayed as it was run and compared.

    Args:
        path: a table, a result file, or a directory of them.
        setup: what served, for result files.
        tables: where kernel profiles, engine timings and machines come from.
        progress: told what is replayed.

    Raises:
        BadInput: there is no table.
        CatalogError: catalog files of the user's are broken.
    """
    found, excluded = compare(path, setup=setup, tables=tables, progress=progress)
    return Accuracy(
        totals=totals(found), groups=groups(found), values=tuple(_value(c) for c in found), excluded=tuple(excluded),
        published=PUBLISHED,
    )  # fmt: skip


def _value(c: Comparison) -> ComparedValue:
    """A comparison with both its values."""
    run, measured = c.run, c.run.figures[c.metric]
    return ComparedValue(
        row=run.row, engine=run.engine, gpu=run.gpu, model=run.model, dtype=run.dtype, layout=run.layout,
        draft_tokens=run.draft_tokens, clients=run.clients, metric=c.metric, measured_value=measured,
        predicted_value=measured * c.ratio,
    )  # fmt: skip


def compare(
    path: Path, *, setup: Setup | None = None, tables: Tables = BUILT_IN, progress: Progress
) -> tuple[list[Comparison], list[Exclusion]]:
    """Every metric of every row that can be replayed, and the rows that cannot."""
    catalog = load_catalog(tables.directory)
    runs, excluded = read_runs(path, Known(models=known_models(), gpus=catalog.gpus), setup)
    engines = {**load_engines(tables.directory), **load_layout_timings()}
    return replayed(runs, catalog, engines, excluded, tables=tables, progress=progress)


def replayed(
    runs: Sequence[MeasuredRun],
    catalog: Catalog,
    engines: Mapping[str, EngineTiming],
    excluded: Iterable[Exclusion] = (),
    *,
    tables: Tables = BUILT_IN,
    progress: Progress,
) -> tuple[list[Comparison], list[Exclusion]]:
    """The same, of rows that are read already."""
    prepare(lambda doing: progress(doing, 0.0))
    compared: list[Comparison] = []
    left_out = list(excluded)
    for position, run in enumerate(runs):
        progress(f"replaying {run.row}", position / len(runs))
        try:
            ours = predicted(run, catalog, engines, tables)
        except Unmatched as reason:
            left_out.append(Exclusion(row=run.row, reason=str(reason)))
            continue
        compared += [
            Comparison(run=run, metric=metric, ratio=ours[metric] / value, profile_set=profile_set_of(run, tables))
            for metric, value in run.figures.items()
            if value > 0 and 0 < ours[metric] < inf
        ]
    return compared, left_out


def groups(compared: Iterable[Comparison]) -> tuple[ErrorGroup, ...]:
    """Errors by data set, GPU, model and metric."""
    bands = load_bands()
    return tuple(
        ErrorGroup(dataset=dataset, gpu=gpu, model=model, metric=metric, **_errors(members, bands))
        for (dataset, gpu, model, metric), members in _by(
            compared, lambda c: [(c.run.dataset, c.run.gpu, c.run.model, c.metric)]
        )
    )


def totals(compared: Iterable[Comparison]) -> tuple[ErrorTotal, ...]:
    """Errors by data set, and in it by engine, by serving mode, by number format, by load, and by what served."""

    def keys(c: Comparison) -> list[tuple[str, ...]]:
        shared = ["all rows", f"engine {c.run.engine}", c.run.kind, f"weights {c.run.dtype}", _load(c.run)]
        return [(c.run.dataset, of, c.metric) for of in (*shared, *_served_by(c.run))]

    bands = load_bands()
    return tuple(
        ErrorTotal(dataset=dataset, of=of, metric=metric, **_errors(members, bands))
        for (dataset, of, metric), members in _by(compared, keys)
    )


def _served_by(run: MeasuredRun) -> tuple[str, ...]:
    """GPU, layout and drafting of a run whose table says them all, alone and together."""
    if not run.layouts_said:
        return ()
    drafts = "with MTP" if run.draft_tokens else "without MTP"
    ranks = "attention ranks" if run.fleet[-1].dp > 1 else "one attention rank"
    return (
        drafts, f"system {run.gpu}", f"layout {run.layout}", ranks, f"engine {run.engine}, {drafts}",
        f"system {run.gpu}, {drafts}", f"engine {run.engine}, system {run.gpu}, {drafts}",
    )  # fmt: skip


def _load(run: MeasuredRun) -> str:
    """How much was asked at once, in words; the bounds are powers of four."""
    if run.clients is None:
        return "at a rate" if run.rate_req_per_s is not None else "all at once"
    top = next(bound for bound in (4, 16, 64, 256, 1 << 30) if run.clients <= bound)
    return f"up to {top} in flight" if top < 1 << 30 else "more than 256 in flight"


def _by(
    compared: Iterable[Comparison], keys: Callable[[Comparison], list[tuple[str, ...]]]
) -> list[tuple[tuple[str, ...], list[Comparison]]]:
    """Comparisons in groups, in the order of their keys."""
    found: dict[tuple[str, ...], list[Comparison]] = defaultdict(list)
    for c in compared:
        for key in keys(c):
            found[key].append(c)
    return sorted(found.items())


def _errors(members: Sequence[Comparison], bands: Mapping[Key, ErrorBand]) -> dict[str, Any]:
    """The statistics of one group."""
    errors = [c.ape for c in members]
    held = [b.holds(1 / c.ratio) for c in members if (b := band_of(bands, c.band))]
    return {
        "n": len(members),
        "median_ape": float(np.median(errors)),
        "p90_ape": float(np.quantile(errors, 0.9)),
        "median_ratio": float(np.median([c.ratio for c in members])),
        "within_band_frac": sum(held) / len(held) if held else None,
    }


_SOURCE = "result files of inference-sim/sim-to-real-accuracy-validation (authors of one tool ran the others)"
PUBLISHED = tuple(
    PublishedError(simulator=name, metric=metric, median_ape=error, n=n, source=_SOURCE + note)
    for name, e2e, itl, ttft, n, note in (
        ("BLIS trained-physics", 0.068, 0.065, 0.184, 38, ""),
        ("BLIS evolved", 0.22, 0.23, 0.24, 12, "; second split"),
        ("LLMServingSim", 0.188, 0.218, 0.725, 32, "; first 300 requests"),
        ("AIConfigurator 0.9", 0.215, 0.132, 6.62, 18, ""),
        ("BLIS roofline", 0.334, 0.444, 6.50, 38, ""),
        ("llm-optimizer", 0.517, 0.606, 6.62, 36, ""),
        ("Vidur", 6.19, 2.59, 297.83, 4, "; n = 4 looks like a setup mismatch"),
    )
    for metric, error in (("e2e_mean_s", e2e), ("tpot_mean_s", itl), ("ttft_mean_s", ttft))
)
"""Median absolute percentage errors of other simulators on the sim-to-real runs, as published there."""
