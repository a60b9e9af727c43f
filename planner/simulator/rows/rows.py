"""Rows of machines behind a breaker, over weeks: load in, watts out, orders back.

The row manager reads the meter at its interval; a reading is late, a command later still, and either tick by tick.
Rows run side by side on threads: the same weeks under several laws, with several numbers of machines. Two rows that
share a week share every arrival of the machines they have in common.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
from numpy.typing import NDArray

from hw_catalog.domains import PowerControls
from planner.executor.here import Threads
from planner.policies.power import PowerPolicy, PowerReading, PowerState
from planner.simulator.rows.control import Actuator
from planner.simulator.rows.load import Counts, WeeklyLoad, Weeks
from planner.simulator.rows.servers import Kind, RowServers
from planner.simulator.rows.state import Books, Records

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

    def kinds_of(self, machines: int) -> Ints:
        """(instances,) position of the kind of each instance on the first so many machines."""
        return np.repeat(np.array(self.kind_of[:machines], np.int64), self.cut(machines))

    def weeks(self, tick_s: float) -> Weeks:
        """The arrivals of weeks on all of its instances."""
        peaks = [self.peak_req_per_s[kind] for kind in self.kinds_of(len(self.kind_of)).tolist()]
        return Weeks(self.load, peaks, tick_s=tick_s)


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
        part_w: (t,) watts of the first machines together after the warm-up, kept only where asked for.
        machine_w: (t, machines) watts of each machine after the warm-up, kept only where asked for.
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
    part_w: Floats | None
    machine_w: NDArray[np.float32] | None

    @property
    def above_s(self) -> float:
        """Seconds above the limit."""
        return float((self.row_w > self.case.limit_w).sum()) * self.tick_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What to keep from pass to pass, and of rows without control tick by tick.

    Attributes:
        weeks: arrivals of the floor, which are drawn where they were not yet; None keeps none.
        machines: watts of so many machines of each together, of all where there are fewer; 0 keeps none.
        each: watts of every machine.
    """

    weeks: Weeks | None = None
    machines: int = 0
    each: bool = False


NOTHING = Keep()


class _Row:
    """One row during one pass."""

    def __init__(
        self, floor: Floor, case: RowCase, controls: PowerControls, tick_s: float, ticks: int, offset: Ints, keep: Keep
    ) -> None:
        """Before the first tick."""
        self.case, self._controls, self._tick_s, self._kinds = case, controls, tick_s, len(floor.kinds)
        kind = floor.kinds_of(case.machines)
        self._kind_of, self._instances = kind, len(kind)
        machine_of = np.repeat(np.arange(case.machines), floor.cut(case.machines))
        self._state, self._servers = PowerState(), RowServers(floor.kinds, kind, offset[: len(kind)], machine_of)
        low = np.array([k.low_priority for k in floor.kinds])[kind]
        self._actuator = Actuator(
            controls, floor.kinds[0].response.clocks_mhz, np.zeros(len(kind), np.int64), machine_of, low, [case.seed]
        )
        free, now = case.policy is None, self._waiting()
        now["part"] = min(keep.machines, case.machines) if free else 0
        self._books = Books(
            row_w=np.zeros(ticks), peak_w=np.zeros(case.machines if free else 0),
            part_w=np.zeros(ticks if keep.machines and free else 0),
            kept_w=np.zeros((ticks if keep.each and free else 0, case.machines), np.float32), now=now,
        )  # fmt: skip
        self._level_s = np.zeros(len(case.policy.clocks) if case.policy else 1)
        self._brakes, self._brake_s = 0, 0.0
        self._lost_frac, self._lost_s = np.zeros(2 + self._kinds), np.zeros(2 + self._kinds)

    def _waiting(self) -> Records:
        """What the manager waits for at first."""
        now, interval_s = self._servers.waiting, self._controls.telemetry_interval_s
        now["managed"], now["machines"] = self.case.policy is not None, self.case.machines
        now["limit_w"], now["interval_s"] = self.case.limit_w, interval_s
        now["late_ticks"] = ceil(self._controls.telemetry_delay_s / self._tick_s - 1e-9)
        now["span_ticks"] = max(1, round(interval_s / self._tick_s))
        if self.case.policy:
            now["low_frac"], now["high_frac"] = self.case.policy.quiet(self._state)
        return now

    def advance(self, begin: int, arrivals: Counts, measured_from: int) -> None:
        """Ticks from ``begin`` on, as many as there are arrivals for."""
        tick_s, end, at = self._tick_s, begin + len(arrivals), begin
        own = np.ascontiguousarray(arrivals[:, : self._instances])
        while at < end:
            if len(self._actuator.step(at * tick_s)):
                self._books.now["look"], self._lost_frac[:2] = 1, self._actuator.lost_frac(0)
                self._lost_frac[2:] = self._actuator.capped(0, self._kind_of, self._kinds)
            upto = max(at + 1, min(end, self._actuator.due_tick(tick_s)))
            here, clock = at, self._actuator.clock
            at = self._servers.advance(range(at, upto), tick_s, measured_from, own[at - begin :], clock, self._books)
            spent_s = (at - here) * tick_s
            self._level_s[self._state.level] += spent_s
            self._lost_s += self._lost_frac * spent_s
            self._brake_s += spent_s * bool(self._actuator.braked[0])
            if self._books.now["called"][0]:
                self._manage(at * tick_s)

    def _manage(self, now_s: float) -> None:
        """Let the manager decide on what the meter shows.

        The meter shows the highest tick since its last reading, so that no excursion passes between two of them.
        """
        policy, state = self.case.policy, self._state
        assert policy is not None, "only a manager is called"
        self._books.now["look"] = 0
        reading = PowerReading(
            power_frac=float(self._books.now["seen_frac"][0]), settled=bool(self._actuator.settled[0])
        )
        wanted = policy.caps(reading, state)
        if wanted != state:
            self._actuator.order(0, policy.clocks[wanted.level], wanted.braking, now_s)
            self._brakes += wanted.braking and not state.braking
            self._state = wanted
            self._books.now["low_frac"], self._books.now["high_frac"] = policy.quiet(wanted)

    def result(self) -> RowRun:
        """What the row did."""
        servers, kinds, books = self._servers, self._kinds, self._books
        arrived, finished, present = (
            np.bincount(self._kind_of, each, kinds).astype(np.int64)
            for each in (servers.now["arrived"], servers.now["finished"], servers.present)
        )
        return RowRun(
            case=self.case, tick_s=self._tick_s, row_w=books.row_w, brakes=self._brakes,
            longest_above_s=float(books.now["longest_s"][0]), level_s=tuple(self._level_s.tolist()),
            brake_s=self._brake_s, low_clock_lost_s=float(self._lost_s[0]), high_clock_lost_s=float(self._lost_s[1]),
            capped_s=tuple(self._lost_s[2:].tolist()),
            commands=int(self._actuator.commands[0]), lost_commands=int(self._actuator.lost[0]), arrived=arrived,
            finished=finished, waiting=present, latencies=servers.now["bins"], peak_w=books.peak_w,
            part_w=books.part_w if len(books.part_w) else None, machine_w=books.kept_w if len(books.kept_w) else None,
        )  # fmt: skip


def run_rows(
    floor: Floor, cases: Sequence[RowCase], controls: PowerControls, *, duration_s: float, tick_s: float = 2.0,
    warmup_s: float = 0.0, keep: Keep = NOTHING, tell: Tell = lambda _frac: None,
) -> list[RowRun]:  # fmt: skip
    """Run rows side by side.

    Args:
        floor: what stands in them.
        cases: which rows; one with more machines than the floor is a mistake.
        controls: delays.
        duration_s: length of each.
        tick_s: resolution; delays are rounded up to whole ticks.
        warmup_s: latencies of requests that end before are not counted.
        keep: what to keep.
        tell: takes the share that is done.

    Returns:
        One result per case, in order.
    """
    ticks, drawn = ceil(duration_s / tick_s), keep.weeks or floor.weeks(tick_s)
    streams = {case.seed: drawn.stream(case.seed) for case in cases}
    rows = [_Row(floor, c, controls, tick_s, ticks, streams[c.seed].offset, keep) for c in cases]
    for begin in range(0, ticks, CHUNK_TICKS):
        length = min(CHUNK_TICKS, ticks - begin)
        arrivals = {seed: stream.draw(begin, length) for seed, stream in streams.items()}
        Threads().map(partial(_advanced, begin, arrivals, ceil(warmup_s / tick_s - 1e-9)), rows)
        tell((begin + length) / ticks)
    return [row.result() for row in rows]


def _advanced(begin: int, arrivals: Mapping[int, Counts], measured_from: int, row: _Row) -> None:
    row.advance(begin, arrivals[row.case.seed], measured_from)
