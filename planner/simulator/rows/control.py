"""Orders in transit: out-of-band clock commands that take their time and may be lost, and the power brake."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from hw_catalog.domains import PowerControls
from planner.policies.power import Clocks

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_SLACK_S = 1e-6

NEVER = 1 << 62
"""A tick that is never reached."""


class Actuator:
    """Clocks of all instances of all rows, as ordered and as in force.

    A newer order replaces one that is still in transit. A command that is lost is noticed when it should have taken
    effect, and issued again. The brake is a wire: it is late, but never lost.
    """

    def __init__(
        self, controls: PowerControls, clocks_mhz: Sequence[float], row_of: Ints, machine_of: Ints, low: Bools,
        seeds: Sequence[int],
    ) -> None:  # fmt: skip
        """All servers at full clock, nothing ordered.

        Args:
            controls: delays and losses.
            clocks_mhz: clocks by position, the full one first, that of the brake last.
            row_of: (m,) row of each instance.
            machine_of: (m,) machine of each instance; one command reaches all on a machine.
            low: (m,) low priority.
            seeds: one per row, for the losses.
        """
        rows, m = len(seeds), len(row_of)
        self._controls, self._clocks = controls, tuple(clocks_mhz)
        self._row_of, self._low = row_of, low
        _, self._machine_of = np.unique(np.stack((row_of, machine_of)), axis=1, return_inverse=True)
        self._rngs = [np.random.default_rng([seed, 7]) for seed in seeds]
        self._mine = [np.flatnonzero(row_of == r) for r in range(rows)]
        self._in_force, self._target = np.zeros(m, np.int64), np.zeros(m, np.int64)
        self._due_s = np.full(m, np.inf)
        self._lost = np.zeros(m, bool)
        self._brake_wanted, self._brake_due_s = np.zeros(rows, bool), np.full(rows, np.inf)
        self.braked = np.zeros(rows, bool)
        self.clock = np.zeros(m, np.int64)
        self.settled = np.ones(rows, bool)
        self.commands, self.lost = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self._next_s = np.inf

    def position(self, clock_mhz: float | None) -> int:
        """Position of a clock; None is the full one."""
        return 0 if clock_mhz is None else self._clocks.index(clock_mhz)

    def order(self, row: int, clocks: Clocks, braking: bool, now_s: float) -> None:
        """Order a row's clocks and brake, as of now."""
        mine = self._mine[row]
        wanted = np.where(self._low[mine], self.position(clocks.low_mhz), self.position(clocks.high_mhz))
        new = mine[wanted != self._target[mine]]
        self._target[mine] = wanted
        undone = new[self._in_force[new] == self._target[new]]  # back before it took effect: nothing left to do
        self._due_s[undone] = np.inf
        self._send(row, new[self._in_force[new] != self._target[new]], now_s)
        if braking != self._brake_wanted[row]:
            self._brake_wanted[row] = braking
            self._brake_due_s[row] = now_s + self._controls.brake_delay_s
        self._look(row)

    def _send(self, row: int, to: Ints, now_s: float) -> None:
        """Issue a command to the machines of some instances."""
        machines, position = np.unique(self._machine_of[to], return_inverse=True)
        lost = self._rngs[row].random(len(machines)) < self._controls.command_loss_frac
        self._due_s[to] = now_s + self._controls.command_delay_s
        self._lost[to] = lost[position]
        self.commands[row] += len(machines)
        self.lost[row] += int(lost.sum())

    def _look(self, row: int) -> None:
        """Whether everything a row was ordered is in force, and when something happens next."""
        self.settled[row] = not np.isfinite(self._due_s[self._mine[row]]).any() and np.isinf(self._brake_due_s[row])
        self._next_s = min(float(self._due_s.min(initial=np.inf)), float(self._brake_due_s.min()))

    def step(self, now_s: float) -> Ints:
        """Let everything take effect that is due by now.

        Returns:
            Rows whose clocks changed or whose orders are all in force since the last step.
        """
        if self._next_s > now_s + _SLACK_S:
            return np.empty(0, np.int64)
        due = np.flatnonzero(self._due_s <= now_s + _SLACK_S)
        brakes = np.flatnonzero(self._brake_due_s <= now_s + _SLACK_S)
        arrived, again = due[~self._lost[due]], due[self._lost[due]]
        self._in_force[arrived] = self._target[arrived]
        self._due_s[due] = np.inf
        self.braked[brakes], self._brake_due_s[brakes] = self._brake_wanted[brakes], np.inf
        rows = np.unique(np.concatenate((self._row_of[due], brakes)))
        for row in rows.tolist():
            self._send(row, again[self._row_of[again] == row], now_s)
            self._look(row)
            mine = self._mine[row]
            self.clock[mine] = len(self._clocks) - 1 if self.braked[row] else self._in_force[mine]
        return rows

    def due_tick(self, tick_s: float) -> int:
        """The first tick before which something takes effect; one that is never reached where nothing is ordered."""
        return NEVER if np.isinf(self._next_s) else ceil((self._next_s - _SLACK_S) / tick_s)

    def lost_frac(self, row: int) -> tuple[float, float]:
        """Machine-equivalents of clock that low and high priority do without: Σ (1 - f/f0) over instances."""
        mine = self._mine[row]
        missing = 1.0 - np.array(self._clocks)[self.clock[mine]] / self._clocks[0]
        low = self._low[mine]
        return float(missing[low].sum()), float(missing[~low].sum())

    def capped(self, row: int, kind_of: Ints, kinds: int) -> Ints:
        """(kinds,) instances of a row below their full clock; ``kind_of`` has the kind of each instance of all rows."""
        mine = self._mine[row]
        return np.bincount(kind_of[mine], self.clock[mine] > 0, kinds).astype(np.int64)
