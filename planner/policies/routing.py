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
