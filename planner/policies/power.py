"""Power control laws: what a row manager orders when it reads the meter of its row. No clock in here, no memory.

A law sees one reading and the level it ordered last; it answers with the level it wants now. What a level does to the
clocks, how long that takes and whether the order arrives at all are not its business.
"""

from dataclasses import dataclass
from typing import Protocol

NONE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReading:
    """What the row manager knows when it decides.

    Attributes:
        power_frac: drawn over limit, as old as the telemetry is late.
        settled: every order given so far has been seen to take effect.
    """

    power_frac: float
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerState:
    """What is ordered.

    Attributes:
        level: position in the law's ``clocks``; 0 caps no request.
        braking: the power brake is pulled.
    """

    level: int = NONE
    braking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Clock limits of one level; None is no limit."""

    low_mhz: float | None = None
    high_mhz: float | None = None


class PowerPolicy(Protocol):
    """What happens as a domain nears its limit."""

    @property
    def clocks(self) -> tuple[Clocks, ...]:
        """Clock limits of low- and high-priority machines at each level."""

    def caps(self, reading: PowerReading, state: PowerState) -> PowerState:
        """What is ordered from now on."""

    def quiet(self, state: PowerState) -> tuple[float, float]:
        """Readings, lowest and highest, at which nothing changes as long as nothing settles."""


def _brake(reading: PowerReading, state: PowerState, release_frac: float, last: int) -> PowerState | None:
    """The brake comes before everything else: pulled beyond the limit, let go once the caps behind it hold.

    Pulling it orders the last level too, so that something softer is in force when it is let go. When that is, was
    not published; letting go below the release threshold, with every order in effect, is ours.
    """
    if reading.power_frac > 1.0:
        return PowerState(level=last, braking=True)
    if state.braking:
        done = reading.settled and reading.power_frac < release_frac
        return PowerState(level=last, braking=not done)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Polca:
    """Two thresholds with hysteresis; low priority first, high priority later, the brake last.

    Source: POLCA, ASPLOS'24: T1 80 %, T2 89 %, margin 5 points, clocks of an A100 (second-hand).

    Attributes:
        t1_frac: beyond it low priority runs at ``low_t1_mhz``.
        t2_frac: beyond it low priority runs at ``low_t2_mhz``; if that does not suffice, high priority at ``high_mhz``.
        release_frac: how far below a threshold its caps are lifted.
        low_t1_mhz: first clock of low priority.
        low_t2_mhz: second.
        high_mhz: clock of high priority.
    """

    t1_frac: float
    t2_frac: float
    release_frac: float
    low_t1_mhz: float
    low_t2_mhz: float
    high_mhz: float

    @property
    def clocks(self) -> tuple[Clocks, ...]:
        """No priority, low, low more, all."""
        return (
            Clocks(),
            Clocks(low_mhz=self.low_t1_mhz),
            Clocks(low_mhz=self.low_t2_mhz),
            Clocks(low_mhz=self.low_t2_mhz, high_mhz=self.high_mhz),
        )

    def caps(self, reading: PowerReading, state: PowerState) -> PowerState:
        """One level up beyond its threshold, down again below it by the margin; high priority only when the rest is in.

        Source: the condensed control law in notes on the paper.
        """
        braked = _brake(reading, state, self.t2_frac - self.release_frac, 3)
        if braked is not None:
            return braked
        p, level = reading.power_frac, state.level
        if p > self.t2_frac:
            if level < 2:
                return PowerState(level=2)
            return PowerState(level=3) if reading.settled else state
        if p > self.t1_frac and level < 1:
            return PowerState(level=1)
        if p < self.t1_frac - self.release_frac:
            return PowerState(level=NONE)
        if p < self.t2_frac - self.release_frac and level > 1:
            return PowerState(level=1)
        return state

    def quiet(self, state: PowerState) -> tuple[float, float]:
        """Between the release below and the threshold above."""
        t1, t2, margin = self.t1_frac, self.t2_frac, self.release_frac
        if state.braking:
            return t2 - margin, 1.0
        return {0: (0.0, t1), 1: (t1 - margin, t2), 2: (t2 - margin, t2), 3: (t2 - margin, 1.0)}[state.level]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneThreshold:
    """One threshold: beyond it every priority it may touch is capped, below it by the margin none is.

    Attributes:
        threshold_frac: where.
        release_frac: how far below it the caps are lifted.
        low_mhz: clock of low priority.
        high_mhz: clock of high priority; None never touches it.
    """

    threshold_frac: float
    release_frac: float
    low_mhz: float
    high_mhz: float | None

    @property
    def clocks(self) -> tuple[Clocks, ...]:
        """No priority, then all it may touch."""
        return Clocks(), Clocks(low_mhz=self.low_mhz, high_mhz=self.high_mhz)

    def caps(self, reading: PowerReading, state: PowerState) -> PowerState:
        """On beyond the threshold, off below it by the margin."""
        braked = _brake(reading, state, self.threshold_frac - self.release_frac, 1)
        if braked is not None:
            return braked
        if reading.power_frac > self.threshold_frac:
            return PowerState(level=1)
        if reading.power_frac < self.threshold_frac - self.release_frac:
            return PowerState(level=NONE)
        return state

    def quiet(self, state: PowerState) -> tuple[float, float]:
        """Between the release and the threshold, or the limit once capped."""
        low = self.threshold_frac - self.release_frac
        if state.braking:
            return low, 1.0
        return (low, 1.0) if state.level else (0.0, self.threshold_frac)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCap:
    """The brake alone.

    Attributes:
        release_frac: how far below the limit the brake is let go.
    """

    release_frac: float

    @property
    def clocks(self) -> tuple[Clocks, ...]:
        """No priority is ever capped."""
        return (Clocks(),)

    def caps(self, reading: PowerReading, state: PowerState) -> PowerState:
        """Brake beyond the limit."""
        braked = _brake(reading, state, 1.0 - self.release_frac, NONE)
        return state if braked is None else braked

    def quiet(self, state: PowerState) -> tuple[float, float]:
        """Anything up to the limit."""
        return (1.0 - self.release_frac, 1.0) if state.braking else (0.0, 1.0)
