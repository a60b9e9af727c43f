"""What pools drew: from the meters of a simulation to watts at the wall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from planner.perf.power import Watts
from planner.results.use import PowerUse
from planner.simulator.books import Meter

SEED, READINGS = 20261129, 16
"""How often each second is read, at instants drawn with this seed: percentiles are of all, the peak is the mean of the
highest of each reading of all seconds."""

Runs = Sequence[Sequence[Meter]]
"""The meters of one pool, by run."""


def power_use(power: Watts, runs: Runs, stages: int = 1) -> PowerUse | None:
    """What a pool drew at the wall: standby of all instances, and their watts above idle second by second.

    Args:
        power: of an instance.
        runs: its meters.
        stages: of a pipeline that instances are.

    Returns:
        None where the GPUs' watts are unknown, or the meters of busy instances were not kept.
    """
    return together([(power, runs, stages)])


def together(pools: Sequence[tuple[Watts, Runs, int]]) -> PowerUse | None:
    """What pools drew at the same time, as a meter that is read once a second sees it.

    A second that the window only begins is left out, unless there is no other.

    Args:
        pools: watts of an instance, the meters of the same runs, and the stages of an instance.

    Returns:
        None where one of them is not known.
    """
    if not pools or not all(_kept(power, runs) for power, runs, _ in pools):
        return None
    spans = max(1e-9, sum(m[0].end_s - m[0].start_s for m in pools[0][1]))
    prefill_w = sum(power.wall_ratio * m.prefill_j for power, runs, _ in pools for each in runs for m in each) / spans
    decode_w = sum(power.wall_ratio * m.decode_j for power, runs, _ in pools for each in runs for m in each) / spans
    standby_w = sum(len(runs[0]) * power.standby_w for power, runs, _ in pools)
    spent = tuple(tuple(_Spent.of(power, meters, stages) for meters in runs) for power, runs, stages in pools)
    means = standby_w + prefill_w + decode_w, standby_w, prefill_w, decode_w
    return _ReadLater(means, spent)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Spent:
    """What readings of a pool in one run are drawn from.

    Attributes:
        count: stages of all instances.
        standby_w: of all instances, at the wall.
        wall_ratio: watts at the wall over those of the GPUs.
        prefill_s: seconds of steps that carry prefill work, of all instances.
        prefill_j: their joules above idle.
        decode_j: those of all other steps.
        above_j: (seconds,) joules above idle of all instances.
    """

    count: int
    standby_w: float
    wall_ratio: float
    prefill_s: float
    prefill_j: float
    decode_j: float
    above_j: NDArray[np.float64]

    @classmethod
    def of(cls, power: Watts, meters: Sequence[Meter], stages: int) -> "_Spent":
        """By the meters of all instances; a second that the window only begins is left out."""
        above_j = np.array(meters[0].above_j)
        return cls(
            count=len(meters) * stages, standby_w=len(meters) * power.standby_w, wall_ratio=power.wall_ratio,
            prefill_s=sum(m.prefill_s for m in meters), prefill_j=sum(m.prefill_j for m in meters),
            decode_j=sum(m.decode_j for m in meters), above_j=above_j[:-1] if len(above_j) > 1 else above_j,
        )  # fmt: skip


_Means = tuple[float, float, float, float]
"""``mean_w``, ``standby_w``, ``prefill_w`` and ``decode_w``."""


class _ReadLater(PowerUse):
    """What pools drew, whose meters are read when a reading is asked for: most looks are over before anyone does.

    A field that is not set yet is asked of ``__getattr__``, which sets all readings.
    """

    __slots__ = ("_spent",)
    _spent: tuple[tuple[_Spent, ...], ...]

    def __init__(self, means: _Means, spent: tuple[tuple[_Spent, ...], ...]) -> None:
        """The means now; the readings follow from ``spent``, pool by pool and run by run."""
        self._set(mean_w=means[0], standby_w=means[1], prefill_w=means[2], decode_w=means[3], _spent=spent)

    def __getattr__(self, name: str) -> float:
        """A reading."""
        if name not in _READINGS:
            raise AttributeError(name)
        self._set(**_readings(self._spent))
        return float(getattr(self, name))

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Callable[..., PowerUse], tuple[_Means, tuple[tuple[_Spent, ...], ...]]]:
        """Unread, as it is: a copy of a process sends it to another."""
        return _ReadLater, ((self.mean_w, self.standby_w, self.prefill_w, self.decode_w), self._spent)

    def __eq__(self, other: object) -> bool:
        """By all that is told, be it read later or at once."""
        return isinstance(other, PowerUse) and _told(self) == _told(other)

    def __hash__(self) -> int:
        return hash(_told(self))


def _told(use: PowerUse) -> tuple[float, ...]:
    """Every field, in order."""
    return tuple(getattr(use, field.name) for field in fields(PowerUse))


_READINGS = ("p50_w", "p95_w", "p99_w", "peak_w")


def _readings(pools: Sequence[Sequence[_Spent]]) -> dict[str, float]:
    """Percentiles and peak of a meter that is read once a second, of all pools together.

    Args:
        pools: what each spent, run by run.
    """
    rng = np.random.default_rng(SEED)
    read_w = np.concatenate(
        [np.sum([_readings_w(runs[number], rng) for runs in pools], axis=0) for number in range(len(pools[0]))], axis=1
    )
    p50, p95, p99 = np.percentile(read_w, (50, 95, 99)).tolist()
    found = (p50, p95, p99, max(p99, float(read_w.max(axis=1).mean())))
    return dict(zip(_READINGS, found, strict=True))


def _kept(power: Watts, runs: Runs) -> bool:
    """Whether the watts are known, and those who were busy kept their joules."""
    busy = any(m.busy_s for meters in runs for m in meters)
    return bool(power.limit_w) and (not busy or any(m.prefill_j or m.decode_j for meters in runs for m in meters))


def _readings_w(spent: _Spent, rng: np.random.Generator) -> NDArray[np.float64]:
    """(``READINGS``, seconds) watts at the wall of a pool in an instant of each second of a run.

    In an instant a stage of an instance either computes prompts, at the mean watts b of all such steps, or does not.
    With E joules above idle in a second, of which the share s is prefill's, and k stages of all instances

        n ~ Binomial(2k, φ) / 2,  φ = s·E / (k·b),  above = n·b + (k - n)·(1 - s)·E / (k·(1 - φ))

    whose mean is E again: bursts of prefill inside a second are kept, and average out over many. In a second of more
    than k·b all compute prompts. A meter averages for about as long as a prefill takes, so a reading is the mean of two
    instants (assumed).
    """
    full, count = spent.above_j, spent.count
    prefill_s, prefill_j, decode_j = spent.prefill_s, spent.prefill_j, spent.decode_j
    above_w = np.broadcast_to(full, (READINGS, len(full)))
    if prefill_s > 0 and prefill_j > 0:
        share = prefill_j / (prefill_j + decode_j)
        burst_w = np.maximum(prefill_j / prefill_s, share * full / count)
        often = np.minimum(1.0, share * full / (count * burst_w))  # 1 but for rounding
        others_w = np.maximum(0.0, full - often * count * burst_w) / np.maximum(count * (1.0 - often), 1e-9)
        bursts = rng.binomial(2 * count, often, size=(READINGS, len(full))) / 2
        above_w = bursts * burst_w + (count - bursts) * others_w
    return np.asarray(spent.standby_w + spent.wall_ratio * above_w)
