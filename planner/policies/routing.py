"""Routing: which instance of a pool takes a request."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortestQueue:
    """Join the shortest queue, by pending tokens over planned speed; the first of equals.

    A request is pending where it is decoded from the moment it is sent there until it ends, with its prompt and the
    output that is foreseen for it: the instance whose memory is promised least takes it.

    Attributes:
        foreseen_tokens: output that is foreseen, the same for every request, for no rule reads the future; 0 where one
            phase follows no other.

    Source: Splitwise, ISCA'24, §IV-A.
    """

    foreseen_tokens: int = 0

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
