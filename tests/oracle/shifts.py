"""Instances that come, go, or change their clock while a trace is served."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import simpy

from planner.simulator.pools import Shift, in_order
from tests.oracle.instance import Instance
from tests.oracle.router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifting:
    """Shifts at work on a cluster.

    Attributes:
        env: the clock.
        instances: by index.
        router: who takes new requests.
        opened: called when an instance takes requests again.
    """

    env: simpy.Environment
    instances: Sequence[Instance]
    router: Router
    opened: Callable[[], None]

    def begin(self, shifts: Sequence[Shift]) -> None:
        """Let those happen that hold from the start, and the others in their time."""
        ordered = in_order(shifts)
        for shift in ordered:
            if shift.at_s <= 0:
                self._turn(shift)
        self.env.process(self._happen([shift for shift in ordered if shift.at_s > 0]))

    def _happen(self, shifts: Sequence[Shift]) -> Generator[simpy.Event, None, None]:
        """One after the other."""
        for shift in shifts:
            if shift.at_s > self.env.now:
                yield self.env.timeout(shift.at_s - self.env.now)
            self._turn(shift)

    def _turn(self, shift: Shift) -> None:
        """Let one happen."""
        if shift.physics is not None:
            self.instances[shift.instance].change(shift.physics)
        if shift.opens is False:
            self.router.close(shift.instance)
        elif shift.opens:
            self.router.open(shift.instance)
            self.opened()
