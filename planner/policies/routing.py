"""Routing: which instance of a pool takes a request."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortestQueue:
    """Join the shortest queue, by pending tokens over planned speed; the first of equals.

    Source: Splitwise, ISCA'24, §IV-A.
    """

    def choose(self, loads: Sequence[float]) -> int:
        """Position of the least load."""
        return loads.index(min(loads))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastReserved:
    """Prompts to the least pending tokens, decodes to the least memory promised to all that was sent there.

    Both are chosen at arrival and memory is promised for the whole request, so the rule knows how long an output will
    be. It goes with ``TokenBatches``.

    Source: Mutinifni/splitwise-sim (MIT), MixedPoolScheduler.
    """

    def choose(self, loads: Sequence[float]) -> int:
        """Position of the least load."""
        return loads.index(min(loads))
