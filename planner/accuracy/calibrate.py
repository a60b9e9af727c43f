"""Fitting what kernel tables leave out to a handful of a user's own measured runs.

The factors are physical and few: kernels of prefill and of decode steps, host time per step and per request. They start
from the built-in values with stated doubts (a prior), so that three rows move what three rows can tell and leave the
rest. Errors are relative, ln(predicted / measured); the fit is Gauss-Newton on them and on the prior together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hw_catalog.engines import EngineTiming, timing_of
from hw_catalog.load import Catalog
from hw_catalog.provenance import Kind, Provenance
from planner.accuracy.measured import MeasuredRun
from planner.accuracy.replay import BUILT_IN, Tables, Unmatched, predicted, profile_of
from planner.errors import BadInput
from workloads.counts import plural

Progress = Callable[[str, float], None]
Floats = NDArray[np.float64]

NOISE_FRAC = 0.1
"""Spread of a measured mean from run to run, and of what the factors cannot explain."""
OUTLIER_FRAC = 0.2
"""Errors beyond this count less and less: a run at the edge of its memory is off by multiples for other reasons."""
FIT_METRICS = ("ttft_mean_s", "tpot_mean_s")
"""What is fitted: the others follow from these two."""
NUDGE = 0.2
"""Doubts by which a factor is moved to see what it does."""
ROUNDS = 3
"""Gauss-Newton steps: the simulator is nearly linear in the logarithms of its factors."""
DOUBTS: Mapping[str, float] = {"prefill_ratio": 0.2, "decode_ratio": 0.2, "step_s": 1e-3, "request_s": 1e-2}
"""Factor -> how far the built-in value may be off: relative for the ratios, seconds for the times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One factor before and after.

    Attributes:
        name: field of ``EngineTiming``.
        built_in: value before.
        calibrated: value after.
        sd: standard deviation of the calibrated value; as large as before where the rows say nothing of it.
        prior_sd: the same before.
    """

    name: str
    built_in: float
    calibrated: float
    sd: float
    prior_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a handful of runs says of one model on one GPU.

    Attributes:
        key: entry of ``engines.yaml``: profile set, GPU, model.
        timing: the calibrated values.
        factors: each one before and after.
        rows: runs it rests on.
        before_ape: median absolute percentage error of the fitted metrics with the built-in values, as a share.
        after_ape: the same with the calibrated ones, in sample.
        left_out_ape: the same of each row with the values fitted to the others; None with fewer than three rows.
    """

    key: str
    timing: EngineTiming
    factors: tuple[Factor, ...]
    rows: tuple[str, ...]
    before_ape: float
    after_ape: float
    left_out_ape: float | None


def calibrate(
    runs: Sequence[MeasuredRun],
    catalog: Catalog,
    engines: Mapping[str, EngineTiming],
    *,
    tables: Tables = BUILT_IN,
    date: str,
    progress: Progress,
) -> tuple[Calibration, ...]:
    """Calibrated timings, one for each profile set, GPU and model among the runs.

    Args:
        runs: measured.
        catalog: machines they ran on.
        engines: built-in timings.
        tables: where kernel profiles come from.
        date: ISO date to stamp.
        progress: told what is fitted.

    Raises:
        BadInput: no run can be replayed; names why, run by run.
    """
    groups: dict[str, list[MeasuredRun]] = {}
    problems: list[str] = []
    for run in runs:
        try:
            profile = profile_of(run, run.fleet[0], tables)
        except Unmatched as reason:
            problems.append(f"{run.row}: {reason}")
            continue
        groups.setdefault(f"{profile.profile_set}/{profile.gpu}/{profile.model}", []).append(run)
    if not groups:
        none = "--measurements: found no run that can be used; expected a table or result file as in docs/accuracy.md"
        raise BadInput(*(problems or [none]))
    found = []
    for position, (key, members) in enumerate(sorted(groups.items())):
        progress(f"fitting {key}", position / len(groups))
        found.append(_calibrated(key, members, catalog, engines, tables, date))
    return tuple(found)


def _calibrated(
    key: str,
    runs: Sequence[MeasuredRun],
    catalog: Catalog,
    engines: Mapping[str, EngineTiming],
    tables: Tables,
    date: str,
) -> Calibration:
    """The calibration of one model on one GPU."""
    start = timing_of(engines, profile_of(runs[0], runs[0].fleet[0], tables), mode=runs[0].mode)
    said = Provenance(
        kind=Kind.CALIBRATED, date=date,
        source=f"{plural(len(runs), 'measured run')}: {', '.join(r.row for r in runs)}",
        note=f"started from: {start.provenance.source}",
    )  # fmt: skip
    world = _World(key=key, catalog=catalog, tables=tables, start=replace(start, provenance=said))
    theta, covariance = _fitted(world, runs)
    left_out = [
        _residuals(world, [run], _fitted(world, [r for r in runs if r is not run])[0]) for run in runs if len(runs) > 2
    ]
    timing = world.timing(theta)
    factors = tuple(
        Factor(
            name=name, built_in=getattr(start, name), calibrated=float(getattr(timing, name)),
            sd=float(np.sqrt(covariance[i, i])) * doubt, prior_sd=doubt,
        )
        for i, (name, doubt) in enumerate(DOUBTS.items())
    )  # fmt: skip
    return Calibration(
        key=key, timing=timing, factors=factors, rows=tuple(r.row for r in runs),
        before_ape=_ape(_residuals(world, runs, np.zeros(len(DOUBTS)))),
        after_ape=_ape(_residuals(world, runs, theta)),
        left_out_ape=_ape(np.concatenate(left_out)) if left_out else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What predictions need beside the factors.

    Attributes:
        key: entry of the timing.
        catalog: machines.
        tables: kernel profiles.
        start: timing where all factors are as built in.
    """

    key: str
    catalog: Catalog
    tables: Tables
    start: EngineTiming

    def timing(self, theta: Floats) -> EngineTiming:
        """The timing at factors given in units of their doubts: ratios by their logarithms, times as they are."""
        changed = {}
        for value, (name, doubt) in zip(theta, DOUBTS.items(), strict=True):
            built_in = getattr(self.start, name)
            by_ratio = name.endswith("_ratio")
            changed[name] = (
                built_in * float(np.exp(value * doubt)) if by_ratio else max(0.0, built_in + float(value) * doubt)
            )
        return replace(self.start, **changed)


def _fitted(world: _World, runs: Sequence[MeasuredRun]) -> tuple[Floats, Floats]:
    """Factors in units of their doubts, and their covariance.

    Minimises Σ (c/noise)² ln(1 + (residual/c)²) + Σ theta², c the size from which an error is an outlier.
    """
    count = len(DOUBTS)
    theta, here = np.zeros(count), _residuals(world, runs, np.zeros(count))
    precision = np.eye(count)
    for _ in range(ROUNDS):
        slopes = np.stack([_residuals(world, runs, theta + nudge) - here for nudge in NUDGE * np.eye(count)]) / NUDGE
        weights = 1 / (1 + (here / OUTLIER_FRAC) ** 2) / NOISE_FRAC**2
        precision = np.eye(count) + (slopes * weights) @ slopes.T
        step: Floats = np.asarray(np.linalg.solve(precision, slopes @ (weights * here) + theta))
        theta, here = _descended(world, runs, theta, here, step)
    return theta, np.asarray(np.linalg.inv(precision))


def _descended(
    world: _World, runs: Sequence[MeasuredRun], theta: Floats, here: Floats, step: Floats
) -> tuple[Floats, Floats]:
    """As much of a step as makes the fit better, and the residuals there: queues make it less linear than it looks."""
    for share in (1.0, 0.5, 0.25, 0.1):
        there = theta - share * step
        residuals = _residuals(world, runs, there)
        if _badness(residuals, there) < _badness(here, theta):
            return there, residuals
    return theta, here


def _badness(residuals: Floats, theta: Floats) -> float:
    """What the fit minimises: squares of small errors, logarithms of large ones."""
    spread = (OUTLIER_FRAC / NOISE_FRAC) ** 2 * np.log1p((residuals / OUTLIER_FRAC) ** 2)
    return float(np.sum(spread) + np.sum(theta**2))


def _residuals(world: _World, runs: Sequence[MeasuredRun], theta: Floats) -> Floats:
    """ln(predicted / measured) of every fitted metric of every run."""
    engines = {world.key: world.timing(theta)}
    found = []
    for run in runs:
        ours = predicted(run, world.catalog, engines, world.tables)
        found += [np.log(ours[m] / run.figures[m]) for m in FIT_METRICS if run.figures.get(m, 0.0) > 0]
    return np.asarray(found)


def _ape(residuals: Floats) -> float:
    """Median absolute percentage error, as a share."""
    return float(np.median(np.abs(np.exp(residuals) - 1)))
