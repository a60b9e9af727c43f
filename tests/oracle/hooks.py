"""What an instance tells the cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.oracle.records import Request

Place = TypeVar("Place")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks(Generic[Place]):
    """What the cluster does when something happens at an instance.

    Attributes:
        prefill_started: a step that computes these requests, whole or in part, has begun and will take so many seconds.
        leaves: a prefill is done; True where the request goes elsewhere.
        admitted: memory is promised to a KV cache.
        finished: a request has its last token.
    """

    prefill_started: Callable[[Place, list[Request], float], None]
    leaves: Callable[[Place, Request], bool]
    admitted: Callable[[Request], None]
    finished: Callable[[Place, Request], None]
