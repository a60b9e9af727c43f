"""Fitting power curves to measured points: pure arithmetic, small enough for enumeration."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import log2

import numpy as np
from numpy.typing import NDArray
from power_points import ClockPoint, Point, by_row

from hw_catalog.power import SHARPNESS_RATIO, Anchor, Utilisation

Floats = NDArray[np.float64]

TERMS = ("busy_w", "weights_w", "compute_w", "bandwidth_w", "tokens_w")


def terms(load: Utilisation) -> tuple[float, ...]:
    """What each coefficient of a power curve multiplies, in the order of ``TERMS``."""
    return (
        1.0, load.weights_frac, load.compute_frac**0.5, load.bandwidth_frac, (load.output_tokens_per_s / 1000) ** 0.5,
    )  # fmt: skip


def nonnegative(matrix: Floats, target: Floats) -> Floats:
    """The coefficients >= 0 of least squared error, by trying every set of terms that may be above 0.

    Args:
        matrix: (n, k), k small.
        target: (n,).
    """
    count = matrix.shape[1]
    best, least = np.zeros(count), float((target**2).sum())
    for chosen in product((False, True), repeat=count):
        columns = [i for i, used in enumerate(chosen) if used]
        if not columns:
            continue
        found = np.linalg.lstsq(matrix[:, columns], target, rcond=None)[0]
        error = float(((matrix[:, columns] @ found - target) ** 2).sum())
        if (found >= 0).all() and error < least:
            best, least = np.zeros(count), error
            best[columns] = found
    return best


def fit_surface(points: Sequence[Point], idle_w: float) -> dict[str, float]:
    """Coefficients of least relative squared error.

    Returns:
        Term -> watts; what does not help is 0.
    """
    watts = np.array([p.watts_w for p in points])
    matrix = np.array([terms(p.load) for p in points])
    found = nonnegative(matrix / watts[:, None], (watts - idle_w) / watts)
    return dict(zip(TERMS, found.tolist(), strict=True))


def surface_w(coefficients: dict[str, float], load: Utilisation, idle_w: float, limit_w: float) -> float:
    """Watts of the fitted surface, no more than the limit."""
    above = sum(coefficients[name] * each for name, each in zip(TERMS, terms(load), strict=True))
    return min(limit_w, idle_w + above)


def left_out(
    points: Sequence[Point], group: Callable[[Point], Hashable], idle_w: float, limit_w: float,
    extra: Sequence[Point] = (),
) -> list[float]:  # fmt: skip
    """Predicted watts of every point by a surface that has seen no point of its group, in the order of ``points``."""
    surfaces = {
        name: fit_surface([*(p for p in points if group(p) != name), *extra], idle_w)
        for name in {group(p) for p in points}
    }
    return [surface_w(surfaces[group(p)], p.load, idle_w, limit_w) for p in points]


def anchors_of(points: Iterable[Point], coefficients: dict[str, float], idle_w: float) -> tuple[Anchor, ...]:
    """Measured over modelled watts above idle of one layout, by batch; equal batches are averaged."""
    ratios: dict[float, list[float]] = {}
    for p in points:
        above = surface_w(coefficients, p.load, idle_w, np.inf) - idle_w
        ratios.setdefault(float(round(p.batch)), []).append((p.watts_w - idle_w) / above)
    return tuple((batch, float(np.mean(found))) for batch, found in sorted(ratios.items()))


def batch_left_out(points: Sequence[Point], idle_w: float, limit_w: float) -> list[tuple[Point, float]]:
    """Predicted watts of every point whose layout was measured at two other batches or more, by those.

    The surface and the layout's anchors are both fitted without any point of that batch.
    """
    layouts: dict[Hashable, list[Point]] = {}
    for p in points:
        layouts.setdefault((p.model, p.layout), []).append(p)
    surfaces = {b: fit_surface([p for p in points if round(p.batch) != b], idle_w) for b in _batches(points)}
    found = []
    for mine in layouts.values():
        for p in mine:
            others = [q for q in mine if round(q.batch) != round(p.batch)]
            if len(_batches(others)) >= 2:
                surface = surfaces[round(p.batch)]
                ratio = _between(anchors_of(others, surface, idle_w), p.batch)
                above = surface_w(surface, p.load, idle_w, np.inf) - idle_w
                found.append((p, min(limit_w, idle_w + ratio * above)))
    return found


def _batches(points: Iterable[Point]) -> set[int]:
    return {round(p.batch) for p in points}


def _between(anchors: Sequence[Anchor], batch: float) -> float:
    """Interpolated in log2(batch), constant beyond the ends: as ``PowerCurve.correction_ratio`` does."""
    return float(np.interp(log2(batch), [log2(b) for b, _ in anchors], [r for _, r in anchors]))


# --- clocks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTimes:
    """Memory and compute time of one row of a clock table: t = (t_mem^p + (t_comp·f0/f)^p)^(1/p), f0 the highest."""

    memory_s: float
    compute_s: float

    def step_s(self, clock_ratio: float) -> float:
        """Seconds at a share of the highest clock."""
        p = SHARPNESS_RATIO
        return float((self.memory_s**p + (self.compute_s / clock_ratio) ** p) ** (1 / p))


def fit_times(row: Sequence[ClockPoint], clock_max_mhz: float) -> ClockTimes:
    """The two times of a row, from two clocks or more.

    t^p = t_mem^p + t_comp^p·(f0/f)^p is linear in the two powers; relative errors are made small.
    """
    p = SHARPNESS_RATIO
    slow = np.array([(clock_max_mhz / c.clock_mhz) ** p for c in row])
    times = np.array([c.step_s**p for c in row])
    found = nonnegative(np.column_stack([np.ones(len(row)), slow]) / times[:, None], np.ones(len(row)))
    return ClockTimes(memory_s=float(found[0] ** (1 / p)), compute_s=float(found[1] ** (1 / p)))


def held_out_times(points: Sequence[ClockPoint], fitted_mhz: Sequence[float]) -> list[tuple[ClockPoint, float]]:
    """Every row at the clocks that were not fitted, with the time the fitted clocks predict."""
    top = max(c.clock_mhz for c in points)
    found = []
    for row in by_row(points).values():
        times = fit_times([c for c in row if c.clock_mhz in fitted_mhz], top)
        found += [(c, times.step_s(c.clock_mhz / top)) for c in row if c.clock_mhz not in fitted_mhz]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """The voltage curve of a clock table, and each row's watts that follow it.

    Attributes:
        v_min_ratio: as in ``PowerCurve``.
        knee_ratio: clock of the knee over the highest.
        rows_w: (phase, tokens) -> (clocked watts A, other watts B), above idle at the highest clock.
        error_frac: mean absolute relative error.
    """

    v_min_ratio: float
    knee_ratio: float
    rows_w: dict[tuple[str, int], tuple[float, float]]
    error_frac: float


def fit_swing(points: Sequence[ClockPoint], idle_w: float) -> Swing:
    """P = idle + B + A·g(f/f0) on every row, with one voltage curve for all, on a grid of 1 % each way."""
    top = max(c.clock_mhz for c in points)
    best: Swing | None = None
    for v_min, knee in product(np.arange(0.6, 1.0, 0.01), np.arange(0.35, 0.95, 0.01)):
        rows, errors = {}, []
        for key, row in by_row(points).items():
            x = np.array([c.clock_mhz / top for c in row])
            watts = np.array([c.watts_w for c in row])
            volts = np.where(x <= knee, v_min, v_min + (1 - v_min) * (x - knee) / (1 - knee))
            matrix = np.column_stack([np.ones(len(row)), x * volts**2])
            found = np.linalg.lstsq(matrix / watts[:, None], (watts - idle_w) / watts, rcond=None)[0]
            rows[key] = (float(found[1]), float(found[0]))
            errors += list(abs((idle_w + matrix @ found) / watts - 1))
        error = float(np.mean(errors))
        if best is None or error < best.error_frac:
            best = Swing(v_min_ratio=float(v_min), knee_ratio=float(knee), rows_w=rows, error_frac=error)
    if best is None:
        raise ValueError("no clock points to fit")
    return best


def mean_error_frac(pairs: Iterable[tuple[float, float]]) -> float:
    """Mean absolute relative error of (measured, predicted) pairs."""
    return float(np.mean([abs(predicted / measured - 1) for measured, predicted in pairs]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How compute-bound a step is by its work alone: t_comp/t_mem = floor + compute·(FLOP/peak)/(bytes/bandwidth)."""

    floor_ratio: float
    compute_ratio: float

    def slowdown_ratio(self, intensity_ratio: float, clock_ratio: float) -> float:
        """Step time at a share of the highest clock over that at it."""
        share = (self.floor_ratio + self.compute_ratio * intensity_ratio) ** SHARPNESS_RATIO
        return float(((1 + share * clock_ratio**-SHARPNESS_RATIO) / (1 + share)) ** (1 / SHARPNESS_RATIO))


def fit_balance(points: Sequence[ClockPoint], intensity_ratio: Callable[[ClockPoint], float]) -> Balance:
    """Two numbers for all rows of a clock table, on a grid: least mean error of the time over that at the top clock."""
    top = max(c.clock_mhz for c in points)
    grid = product(np.arange(0.0, 1.0, 0.05), np.arange(0.5, 5.0, 0.1))
    balances = [Balance(floor_ratio=float(floor), compute_ratio=float(compute)) for floor, compute in grid]
    return min(balances, key=lambda balance: mean_error_frac(balanced_times(points, balance, intensity_ratio, top)))


def balanced_times(
    points: Sequence[ClockPoint], balance: Balance, intensity_ratio: Callable[[ClockPoint], float], top_mhz: float
) -> list[tuple[float, float]]:
    """(measured, predicted) seconds of every row below the highest clock, from the row's time at that clock."""
    pairs = []
    for row in by_row(points).values():
        full = next(c for c in row if c.clock_mhz == top_mhz)
        for c in row:
            if c.clock_mhz != top_mhz:
                slower = balance.slowdown_ratio(intensity_ratio(full), c.clock_mhz / top_mhz)
                pairs.append((c.step_s, full.step_s * slower))
    return pairs
