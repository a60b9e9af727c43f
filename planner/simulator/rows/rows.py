"""Rows of machines behind a breaker, over weeks: load in, watts out, orders back.

The row manager reads the meter at its interval; a reading is late, a command later still, and either tick by tick.
Many rows run side by side in one pass: the same weeks under several laws, with several numbers of machines. Two rows
that share a week share every arrival of the machines they have in common.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from hw_catalog.domains import PowerControls
from planner.policies.power import PowerPolicy, PowerReading, PowerState
from planner.simulator.rows.control import Actuator
from planner.simulator.rows.load import WeekArrivals, WeeklyLoad
from planner.simulator.rows.servers import Kind, RowServers

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
Tell = Callable[[float], None]

CHUNK_TICKS = 900


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Floor:
    """What stands in every row, position by position; a row of n machines has the first n.

    Attributes:
        kinds: of instances.
        kind_of: position of the kind of each machine.
        instances_per_machine: on a machine of each kind, all of its kind.
        peak_req_per_s: rate of an instance at the peak of the load, by kind.
        load: how the rate moves.
    """

    kinds: tuple[Kind, ...]
    kind_of: tuple[int, ...]
    instances_per_machine: tuple[int, ...]
    peak_req_per_s: tuple[float, ...]
    load: WeeklyLoad

    def cut(self, machines: int) -> Ints:
        """(machines,) instances on each of the first so many."""
        return np.array(self.instances_per_machine, np.int64)[np.array(self.kind_of[:machines], np.int64)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowCase:
    """One row in one week under one law.

    Attributes:
        machines: how many of the floor's.
        limit_w: its breaker's; inf for none.
        policy: what its manager does; None only watches.
        seed: of the week.
    """

    machines: int
    limit_w: float
    policy: PowerPolicy | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowRun:
    """What one row did.

    Attributes:
        case: which.
        tick_s: resolution.
        row_w: (t,) mean watts of each tick.
        brakes: times the brake was pulled.
        longest_above_s: longest stretch above the limit.
        level_s: seconds at each level of the law, as ordered.
        brake_s: seconds with the brake pulled.
        low_clock_lost_s: clock that low priority did without: Σ over instances of (1 - f/f0) · s.
        high_clock_lost_s: the same of high priority.
        capped_s: instance-seconds below the full clock, by kind.
        commands: issued, the repeated among them.
        lost_commands: of them, without effect.
        arrived: requests by kind.
        finished: of them.
        waiting: requests present at the end, by kind.
        latencies: (instances, bins) of time from arrival to last token, requests that left after the warm-up.
        peak_w: (machines,) highest watts that the first 1, 2, ... machines drew together, after the warm-up.
        machine_w: (t, machines) watts of each machine, kept only where asked for.
    """

    case: RowCase
    tick_s: float
    row_w: Floats
    brakes: int
    longest_above_s: float
    level_s: tuple[float, ...]
    brake_s: float
    low_clock_lost_s: float
    high_clock_lost_s: float
    capped_s: tuple[float, ...]
    commands: int
    lost_commands: int
    arrived: Ints
    finished: Ints
    waiting: Ints
    latencies: NDArray[np.int32]
    peak_w: Floats
    machine_w: NDArray[np.float32] | None

    @property
    def above_s(self) -> float:
        """Seconds above the limit."""
        return float((self.row_w > self.case.limit_w).sum()) * self.tick_s


class _Rows:
    """All rows during one pass."""

    def __init__(
        self, floor: Floor, cases: Sequence[RowCase], controls: PowerControls, tick_s: float, ticks: int, keep: bool
    ) -> None:
        """Before the first tick."""
        self.floor, self.cases, self.controls, self.tick_s = floor, cases, controls, tick_s
        most = max(c.machines for c in cases)
        per = floor.cut(most)
        ends = np.cumsum(per)
        sizes = [int(ends[c.machines - 1]) for c in cases]
        weeks = list(dict.fromkeys(c.seed for c in cases))
        kind_of = np.repeat(np.array(floor.kind_of[:most]), per)
        peaks = [floor.peak_req_per_s[k] for k in kind_of]
        self.weeks = [WeekArrivals(floor.load, peaks, seed=s, tick_s=tick_s) for s in weeks]
        self.stream = np.concatenate(
            [weeks.index(c.seed) * len(kind_of) + np.arange(n) for c, n in zip(cases, sizes, strict=True)]
        )
        self.starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        self.row_of = np.repeat(np.arange(len(cases)), sizes)
        place = self.stream % len(kind_of)
        self.kind = kind_of[place]
        offsets = np.concatenate([w.offset for w in self.weeks])[self.stream]
        self.servers = RowServers(floor.kinds, self.kind, offsets)
        low = np.array([k.low_priority for k in floor.kinds])[self.kind]
        clocks = floor.kinds[0].response.clocks_mhz
        machine_of = np.repeat(np.arange(most), per)[place]
        self.actuator = Actuator(controls, clocks, self.row_of, machine_of, low, [c.seed for c in cases])
        self.sizes, self.firsts = sizes, ends - per
        self._open_books(ticks)
        self.machine_w = np.zeros((ticks, cases[0].machines), np.float32) if keep else None
        self.states = [PowerState() for _ in cases]
        quiet = [(c.policy.quiet(s) if c.policy else (0.0, np.inf)) for c, s in zip(cases, self.states, strict=True)]
        self.low_frac, self.high_frac = (np.array(side) for side in zip(*quiet, strict=True))

    def _open_books(self, ticks: int) -> None:
        """Everything that is noted row by row, empty."""
        cases, rows, kinds = self.cases, len(self.cases), len(self.floor.kinds)
        self.limit_w = np.array([c.limit_w for c in cases])
        self.watts = np.zeros((ticks, rows))
        self.free = [r for r, c in enumerate(cases) if c.policy is None]
        self.peak_w = [np.zeros(c.machines) for c in cases]
        self.look = np.zeros(rows, bool)
        levels = max((len(c.policy.clocks) for c in cases if c.policy), default=1)
        self.level_s, self.level = np.zeros((rows, levels)), np.zeros(rows, np.int64)
        self.brakes, self.brake_s = np.zeros(rows, np.int64), np.zeros(rows)
        self.above_s, self.longest_s = np.zeros(rows), np.zeros(rows)
        self.lost_rate, self.lost_s = np.zeros((rows, 2 + kinds)), np.zeros((rows, 2 + kinds))
        self.group = self.row_of * kinds + self.kind

    def tick(self, index: int, arrivals: Ints, measured: bool) -> None:
        """One tick: orders take effect, work is done, the meter is read, orders are given."""
        now_s, dt = index * self.tick_s, self.tick_s
        for row in self.actuator.step(now_s).tolist():
            self.look[row] = True
            self.lost_rate[row, :2] = self.actuator.lost_frac(row)
            self.lost_rate[row, 2:] = self.actuator.capped(row, self.kind, len(self.floor.kinds))
        machine_w = self.servers.advance(now_s, dt, arrivals, self.actuator.clock, measured)
        watts = np.add.reduceat(machine_w, self.starts)
        self.watts[index] = watts
        if measured:
            self._note(index, machine_w)
        above = watts > self.limit_w
        self.above_s = (self.above_s + dt) * above
        np.maximum(self.longest_s, self.above_s, out=self.longest_s)
        self.level_s[np.arange(len(watts)), self.level] += dt
        self.lost_s += self.lost_rate * dt
        self.brake_s += self.actuator.braked * dt
        end_s = now_s + dt
        if end_s % self.controls.telemetry_interval_s < 1e-9 * max(1.0, end_s) + 1e-6:
            self._manage(index, end_s)

    def _note(self, index: int, instance_w: Floats) -> None:
        """Keep what is asked for of single machines."""
        for row in self.free:
            mine = instance_w[self.starts[row] : self.starts[row] + self.sizes[row]]
            mine = np.add.reduceat(mine, self.firsts[: self.cases[row].machines])
            np.maximum(self.peak_w[row], np.cumsum(mine), out=self.peak_w[row])
            if row == 0 and self.machine_w is not None:
                self.machine_w[index] = mine

    def _manage(self, index: int, now_s: float) -> None:
        """Read every row's meter, as late as it is, and let its manager decide.

        The meter shows the highest tick since its last reading, so that no excursion passes between two of them.
        """
        last = index + 1 - ceil(self.controls.telemetry_delay_s / self.tick_s - 1e-9)
        first = max(0, last - max(1, round(self.controls.telemetry_interval_s / self.tick_s)))
        if last <= first:
            return
        seen = self.watts[first:last].max(axis=0) / self.limit_w
        concerned = (seen < self.low_frac) | (seen > self.high_frac) | self.look
        for row in np.flatnonzero(concerned).tolist():
            policy, state = self.cases[row].policy, self.states[row]
            self.look[row] = False
            if policy is None:
                continue
            reading = PowerReading(power_frac=float(seen[row]), settled=bool(self.actuator.settled[row]))
            wanted = policy.caps(reading, state)
            if wanted != state:
                self.actuator.order(row, policy.clocks[wanted.level], wanted.braking, now_s)
                self.brakes[row] += wanted.braking and not state.braking
                self.states[row], self.level[row] = wanted, wanted.level
                self.low_frac[row], self.high_frac[row] = policy.quiet(wanted)

    def results(self) -> list[RowRun]:
        """Row by row."""
        rows, kinds = len(self.cases), len(self.floor.kinds)
        arrived = np.bincount(self.group, self.servers.now.arrived, rows * kinds).astype(np.int64).reshape(rows, kinds)
        present = np.bincount(self.group, self.servers.present, rows * kinds).astype(np.int64).reshape(rows, kinds)
        finished = np.bincount(self.group, self.servers.now.finished, rows * kinds).astype(np.int64)
        finished = finished.reshape(rows, kinds)
        bins = np.split(self.servers.now.bins, self.starts[1:])
        return [
            RowRun(
                case=case, tick_s=self.tick_s, row_w=self.watts[:, r], brakes=int(self.brakes[r]),
                longest_above_s=float(self.longest_s[r]), level_s=tuple(self.level_s[r].tolist()),
                brake_s=float(self.brake_s[r]), low_clock_lost_s=float(self.lost_s[r, 0]),
                high_clock_lost_s=float(self.lost_s[r, 1]), capped_s=tuple(self.lost_s[r, 2:].tolist()),
                commands=int(self.actuator.commands[r]),
                lost_commands=int(self.actuator.lost[r]), arrived=arrived[r], finished=finished[r], waiting=present[r],
                latencies=bins[r], peak_w=self.peak_w[r], machine_w=self.machine_w if r == 0 else None,
            )
            for r, case in enumerate(self.cases)
        ]  # fmt: skip


def run_rows(
    floor: Floor, cases: Sequence[RowCase], controls: PowerControls, *, duration_s: float, tick_s: float = 2.0,
    warmup_s: float = 0.0, keep_machines: bool = False, tell: Tell = lambda _frac: None,
) -> list[RowRun]:  # fmt: skip
    """Run rows side by side.

    Args:
        floor: what stands in them.
        cases: which rows; one with more machines than the floor is a mistake.
        controls: delays.
        duration_s: length of each.
        tick_s: resolution; delays are rounded up to whole ticks.
        warmup_s: latencies of requests that end before are not counted.
        keep_machines: keep the watts of each machine of the first row.
        tell: takes the share that is done.

    Returns:
        One result per case, in order.
    """
    ticks = ceil(duration_s / tick_s)
    rows = _Rows(floor, cases, controls, tick_s, ticks, keep_machines)
    for begin in range(0, ticks, CHUNK_TICKS):
        length = min(CHUNK_TICKS, ticks - begin)
        arrivals = np.concatenate([week.draw(begin, length) for week in rows.weeks], axis=1)
        for i in range(length):
            rows.tick(begin + i, arrivals[i][rows.stream], (begin + i) * tick_s >= warmup_s)
        tell((begin + length) / ticks)
    return rows.results()
