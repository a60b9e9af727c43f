"""Somebody who looks on while a cluster works."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import simpy

from tests.oracle.instance import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Somebody who looks at the instances while they work, and touches nothing.

    Attributes:
        period_s: time between two looks, > 0.
        until_s: time of the last look.
        look: is shown all instances.
    """

    period_s: float
    until_s: float
    look: Callable[[Sequence[Instance]], None]

    def looking(self, env: simpy.Environment, instances: Sequence[Instance]) -> Generator[simpy.Event, None, None]:
        """Look, again and again."""
        for turn in range(1, round(self.until_s / self.period_s) + 1):
            yield env.timeout(max(0.0, turn * self.period_s - env.now))
            self.look(instances)
