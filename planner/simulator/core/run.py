"""The simulator: one call serves one trace on one cluster.

Numba compiles the engine when it is first needed, and the machine code is kept in the user's cache, under a name that
changes with the code (``machine_code``). Where that fails the same source is interpreted.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.policies.base import Policy
from planner.simulator.books import GAP_BINS, Books, Bubble, Meter, Window, seconds
from planner.simulator.core.build import build, grown
from planner.simulator.core.interpret import interpret
from planner.simulator.core.machine_code import REPLAY
from planner.simulator.core.state import (
    CHAINS,
    FULL,
    KINDS,
    LANDING,
    LENGTH,
    LINKS,
    WAITING,
    Floats,
    Ints,
    Rows,
    World,
)
from planner.simulator.pools import NOTHING, UNLIMITED, Events, PoolModel, Run, Stops, names_of
from workloads.traces import Trace

CORE, ASKED = "core", "asked for"
"""What served a run, in words, and why it was interpreted where nothing failed."""

MOST_PLACES = 1 << 26
"""Places for requests that end, over all instances, which are reserved (not touched) at most."""

_METERED = {
    "preemptions": "preemptions", "busy_s": "busy_s", "kv_block_s": "kv_block_s", "kv_peak_blocks": "kv_peak",
    "queue_tokens": "queue_tokens", "queue_token_s": "queue_token_s",
    "decode_steps": "decode_steps", "decode_tokens": "decode_tokens", "prefill_j": "prefill_j", "decode_j": "decode_j",
    "prefill_s": "prefill_s",
}  # fmt: skip
"""Attribute of a meter -> field of an instance's row."""

_BUBBLES = ("prompts_s", "phases_s", "contexts_s", "unfilled_s")
"""Fields of an instance's row: idle seconds of its pipeline stages."""


def run(
    pools: Sequence[PoolModel],
    policy: Policy,
    trace: Trace,
    window: Window,
    *,
    cutoff_s: float,
    beside: Events = NOTHING,
    max_run_steps: int = UNLIMITED,
    interpreted: bool = False,
) -> Run:
    """Serve a trace.

    Args:
        pools: the cluster; a request that needs a role in which no pool serves its class is refused.
        policy: how it serves.
        trace: what arrives.
        window: which arrivals are measured.
        cutoff_s: simulated time at which an overloaded run is cut off.
        beside: what else happens.
        max_run_steps: longest run of decode steps taken at once; 1 simulates step by step (same result, slower).
        interpreted: not compiled, whatever there is.

    Returns:
        Rows, histograms, meters and what was left over. Compiled or, where that fails or is not wanted, interpreted:
        bit for bit the same; ``Run.interpreted`` says why.
    """
    world = build(pools, policy, trace, window, cutoff_s=cutoff_s, max_run_steps=max_run_steps, beside=beside)
    code = None if interpreted or _too_wide(world) else REPLAY.ready()
    if code is None:
        interpret(world)
        return _left(world, pools, window, cutoff_s, REPLAY.trouble or ASKED)
    world, end_s = _replayed(world, code, beside.stops, cutoff_s)
    return _left(world, pools, window, end_s, "")


def _replayed(world: World, code: Callable[[int], int], stops: Stops | None, cutoff_s: float) -> tuple[World, float]:
    """The world when its time is up, or at the first stop where it is over, and which time that is."""
    at_s: Sequence[float] = [s for s in stops.at_s if s < cutoff_s] if stops else ()
    addresses = _addresses(world)  # kept: compiled code reads them until it returns
    for end_s in (*at_s, cutoff_s):
        world.cluster["cutoff_s"] = end_s
        while code(addresses.ctypes.data) == FULL:
            world = grown(world)
            addresses = _addresses(world)
        if stops and end_s < cutoff_s and stops.over(world.ttft_s, world.e2e_s, end_s):
            return world, end_s
    return world, cutoff_s


def _too_wide(w: World) -> bool:
    """Whether places for full batches would take more memory than is at hand; interpreted they take none."""
    return len(w.dues) > MOST_PLACES


def _addresses(w: World) -> Ints:
    """Where the arrays of a world begin.

    Compiled code trusts them blindly, so an array of another kind must not pass.
    """
    arrays: Sequence[NDArray[Any]] = w
    for (name, kind), array in zip(KINDS.items(), arrays, strict=True):
        assert array.dtype == kind, f"{name}: {array.dtype}"
        assert array.flags.c_contiguous, name
    return np.array([array.ctypes.data for array in arrays], np.int64)


def _left(w: World, pools: Sequence[PoolModel], window: Window, end_s: float, interpreted: str) -> Run:
    """What the replay tells."""
    instances, cluster = w.instances, w.cluster[0]
    lengths = w.chains.reshape(-1, CHAINS, LINKS)[:, :, LENGTH]
    waiting = int(lengths[:, [WAITING, LANDING]].sum())
    meters: dict[str, list[Meter]] = {}
    for number, pool in enumerate(pools):
        first = w.pools[number]["seconds"]
        above_j = w.above_j[first : first + seconds(*window.span_s)]
        mine = instances[instances["pool"] == number]
        meters.setdefault(pool.name, []).extend(_meters(mine, window, pool, above_j))
    return Run(
        ledger=_books(w, window),
        meters=meters,
        instances=names_of(pools),
        waiting=waiting,
        running=int(lengths.sum()) - waiting + int(cluster["in_transfer"]),
        end_s=end_s,
        kv_free_blocks=instances["free"].tolist(),
        kv_total_blocks=instances["total"].tolist(),
        borrowed=int(np.sum(instances["borrowed"] > 0)),
        engine=CORE,
        interpreted=interpreted,
        seen=w.seen.reshape(-1, len(pools), 4)[: int(cluster["looked"])],
    )


def _meters(rows: Rows, window: Window, pool: PoolModel, above_j: Floats) -> list[Meter]:
    """The time integrals of the instances of a pool."""
    bubbles = zip(*(rows[field].tolist() for field in _BUBBLES), strict=True)
    columns: list[list[Any]] = [rows[field].tolist() for field in _METERED.values()]
    start_s, end_s = window.span_s
    same: dict[str, Any] = {
        "start_s": start_s, "end_s": end_s, "kv_blocks": pool.physics.kv_blocks, "above_j": above_j,
    }  # fmt: skip
    return [
        Meter(bubble_s=list(idle_s), **same, **dict(zip(_METERED, values, strict=True)))
        for idle_s, *values in zip(bubbles, *columns, strict=True)
    ]


def _books(w: World, window: Window) -> Books:
    """The books, closed."""
    row = w.cluster[0]
    return Books(
        window=window, served_by=w.served_by.reshape(-1, 2), ttft_s=w.ttft_s, e2e_s=w.e2e_s, max_gap_s=w.max_gap_s,
        gaps=w.histogram.reshape(-1, GAP_BINS), arrived=int(row["arrived"]), finished=int(row["finished"]),
        refused=int(row["refused"]), restarted=int(row["restarted"]), transfers=int(row["transfers"]),
        transfer_s=float(row["transfer_s"]), link_wait_s=float(row["link_wait_s"]),
        output_tokens=int(row["output_tokens"]), bubbles=_bubbles(w),
    )  # fmt: skip


def _bubbles(w: World) -> dict[int, Bubble]:
    """Idle seconds of stages before the steps of requests that ended, where there were any."""
    found = w.bubbles.reshape(-1, 3)
    return {int(index): Bubble(*found[index].tolist()) for index in np.nonzero(found.sum(axis=1) > 0)[0]}
