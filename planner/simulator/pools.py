"""A cluster as the simulator sees it: its pools, what happens to them, and what a run of it leaves behind."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """

    name: str
    role: Role
    physics: InstancePhysics
    instances: int
    speed: float
    classes: frozenset[int]
    chunk_tokens: int | None = None

    @property
    def machines(self) -> int:
        """Machines the instances fill, the last perhaps in part."""
        return -(-self.instances // self.physics.instances_per_machine) * self.physics.machines_per_instance


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


def in_order(shifts: Sequence[Shift]) -> list[Shift]:
    """By time; of equal times as they were given."""
    return sorted(shifts, key=lambda shift: shift.at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one simulation leaves behind.

    Attributes:
        ledger: rows and histograms, closed.
        meters: pool name -> one meter per instance.
        waiting: requests that still waited for a prefill, a transfer or memory when it was cut off.
        running: requests that were computed or on the link then.
        end_s: simulated time at the end.
        kv_free_blocks: free blocks of each instance at the end.
        kv_total_blocks: blocks of each instance.
        lent: instances that worked for the other phase at the end.
        engine: what simulated it, and why if that was not the fastest.
        seen: (looks, pools, 4) of every look the instances of a pool that work, the requests that hold a slot, the
            tokens that wait and the share of memory in use, each summed over the instances.
    """

    ledger: Books
    meters: dict[str, list[Meter]]
    waiting: int
    running: int
    end_s: float
    kv_free_blocks: list[int]
    kv_total_blocks: list[int]
    lent: int
    engine: str = ""
    seen: NDArray[np.float64] | None = None
