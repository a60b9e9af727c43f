"""A cluster as the simulator sees it: its pools, what happens to them, and what a run of it tells."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.simulator.books import Books, Meter

UNLIMITED = 1 << 60
"""More steps, or tokens, than there ever are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolModel:
    """A pool as the simulator sees it.

    Attributes:
        name: spec name.
        role: phase its instances work on.
        physics: of each instance.
        instances: how many, >= 1.
        speed: relative planned speed of an instance, > 0; queues are compared in units of it.
        classes: indices of the request classes it serves.
        chunk_tokens: most tokens in one step, prompts cut to fit; None computes whole prompts.
        max_batch_size: requests that may hold a slot at once; None is the policy's limit for each attention rank.
        max_batch_tokens: prompt tokens of one attention rank in a step; None is the policy's limit.
        beside: it serves long contexts under the rules that the policy has for them.
    """

    name: str
    role: Role
    physics: InstancePhysics
    instances: int
    speed: float
    classes: frozenset[int]
    chunk_tokens: int | None = None
    max_batch_size: int | None = None
    max_batch_tokens: int | None = None
    beside: bool = False

    def slots(self, rank_slots: int) -> int:
        """Requests that may hold a slot of an instance at once, where a rank has so many by the policy."""
        slots, promised = self.max_batch_size or rank_slots * self.physics.ranks, self.physics.promised_requests
        return min(slots, promised) if promised and self.role is not Role.PREFILL else slots

    @property
    def machines(self) -> int:
        """Machines the instances fill, the last perhaps in part."""
        return -(-self.instances // self.physics.instances_per_machine) * self.physics.machines_per_instance


def names_of(pools: Sequence[PoolModel]) -> list[str]:
    """The names of all instances: that of the pool and a number, counted on in pools of one name."""
    numbers = defaultdict[str, Iterator[int]](count)
    return [f"{pool.name}#{next(numbers[pool.name])}" for pool in pools for _ in range(pool.instances)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One outage of one machine.

    Attributes:
        machine: its position among all machines of the cluster, pool by pool.
        at_s: when it fails, with all that is on it.
        repair_s: seconds until it is back, empty; None: never.
    """

    machine: int
    at_s: float
    repair_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A change at one instance, known beforehand.

    Attributes:
        at_s: when; what is said of 0 holds from the start.
        instance: its position among all instances, pool by pool.
        opens: it takes new requests from now on, or no longer and only ends those it has; None: as before.
        physics: its step times and watts from its next step on, memory being the same; None: as before.
    """

    at_s: float
    instance: int
    opens: bool | None = None
    physics: InstancePhysics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """When a run is looked at, for its time series.

    Attributes:
        period_s: time between two looks, > 0.
        count: how many.
    """

    period_s: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """When a run is asked whether it may end before its time: that of one that is lost already.

    Attributes:
        at_s: when, ascending.
        over: whether it ends there, from what became of the requests by then ((n,) TTFT and E2E in seconds, infinite
            where that is not known yet) and the time.
    """

    at_s: Sequence[float]
    over: Callable[[NDArray[np.float64], NDArray[np.float64], float], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What happens to a cluster while it serves, and how requests come.

    Attributes:
        failures: machines that fail.
        shifts: instances that come, go or change their clock; of equal times in this order.
        clients: closed loop: as many requests in flight at most, the next one sent when one ends; the arrival times of
            the trace are then the earliest ones. None is an open loop.
        looks: when it is looked at, which changes nothing; None: never.
        stops: when it may end early; None: never. Interpreted, it never does.
    """

    failures: Sequence[Failure] = ()
    shifts: Sequence[Shift] = ()
    clients: int | None = None
    looks: Looks | None = None
    stops: Stops | None = None


NOTHING = Events()
"""Nothing fails and nothing changes, in an open loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one simulation tells.

    Attributes:
        ledger: rows and histograms, closed.
        meters: pool name -> one meter per instance; empty where they were not metered.
        instances: their names, in the order of the pools.
        waiting: requests that still waited for a prefill, a transfer or memory when it was cut off.
        running: requests that were computed or on the link then.
        end_s: simulated time at the end.
        kv_free_blocks: free blocks of each instance at the end.
        kv_total_blocks: blocks of each instance.
        borrowed: instances that worked for the other phase at the end.
        engine: what simulated it.
        interpreted: why it was not compiled, which changes no result; empty where it was.
        seen: (looks, pools, 4) of every look the instances of a pool that work, the requests that hold a slot, the
            tokens that wait and the share of memory in use, each summed over the instances.
    """

    ledger: Books
    meters: dict[str, list[Meter]]
    instances: Sequence[str]
    waiting: int
    running: int
    end_s: float
    kv_free_blocks: list[int]
    kv_total_blocks: list[int]
    borrowed: int
    engine: str = ""
    interpreted: str = ""
    seen: NDArray[np.float64] | None = None
