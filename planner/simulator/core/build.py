"""From pools, policy and trace to the arrays of the compiled replay."""

from collections.abc import Sequence

import numpy as np

from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Policy
from planner.policies.batching import ChunkForm, Continuous
from planner.policies.lending import MixedPool
from planner.policies.topology import PhaseSplit
from planner.simulator.core.bodies import rows_of_bodies
from planner.simulator.core.state import (
    CHAINS,
    CLUSTER,
    DUE,
    EVENT,
    GAP,
    INSTANCE,
    LENGTH,
    LINKS,
    NOBODY,
    POOL,
    REQUEST,
    ROLES,
    SHIFT,
    TRANSFERS,
    Floats,
    Ints,
    Rows,
    Shorts,
    World,
)
from planner.simulator.engine import PoolModel
from planner.simulator.instance import UNLIMITED
from planner.simulator.meter import seconds
from planner.simulator.records import _INV, _LOG_MIN, GAP_BINS, GAP_MIN_S, Window
from planner.simulator.shifts import Shift, in_order
from workloads.traces import Trace

FEWEST_ROWS = 1024
"""Requests in flight that there is room for at first; more room is made when it is needed."""


def build(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float, max_run_steps: int,
    shifts: Sequence[Shift] = (), clients: int | None = None,
) -> World:  # fmt: skip
    """An idle cluster before its first arrival; the arguments are those of ``run.run``."""
    changed = [s.physics for s in shifts if s.physics is not None]
    bodies = list({id(body): body for body in (*(p.physics for p in pools), *changed)}.values())
    due_rows = most_in_batch(pools, policy) + 1
    body_rows, tables = rows_of_bodies(bodies, due_rows)
    instances = _instances(pools, [next(n for n, b in enumerate(bodies) if b is p.physics) for p in pools])
    pool_rows, loads = _pools(pools)
    turns = _shifts(shifts, bodies)
    cells = seconds(*window.span_s)
    names = list(dict.fromkeys(p.name for p in pools))
    pool_rows["seconds"] = [cells * names.index(p.name) for p in pools]
    count, machines, groups = len(instances), sum(p.machines for p in pools), window.slices * len(trace.classes)
    residue_rows = max(b.block_tokens for b in bodies)
    cluster = _cluster(policy, window, cutoff_s=cutoff_s, max_run_steps=max_run_steps)
    cluster["due_rows"], cluster["stack_rows"], cluster["residue_rows"] = due_rows, 2 * due_rows + 2, residue_rows
    cluster["shifts"], cluster["prefix"] = len(turns), trace.cached_tokens is not None
    cluster["clients"] = cluster["places"] = clients or 0
    cluster["groups"], cluster["pools"], cluster["requests"] = groups, len(pools), len(trace)
    requests, free = rows_of_requests(np.empty(0, REQUEST), min(len(trace), FEWEST_ROWS))
    cluster["free_slot"] = free
    chains = np.full((count * CHAINS, LINKS), NOBODY, np.int32)
    chains[:, LENGTH] = 0
    return World(
        cluster=cluster, requests=requests, instances=instances, bodies=body_rows, pools=pool_rows,
        serves=_serves(pools, len(trace.classes)), tables=tables, chains=chains.reshape(-1),
        residues=np.zeros(count * residue_rows, np.int32), dues=np.zeros(count * due_rows, DUE),
        gaps=np.zeros(count * (2 * due_rows + 2), GAP), groups=np.zeros(count * groups, np.int32), loads=loads,
        events=np.zeros(count + len(requests) + 1, EVENT), shifts=turns, egress_s=np.zeros(machines),
        ingress_s=np.zeros(machines), above_j=np.zeros(cells * len(names)),
        histogram=np.zeros(groups * GAP_BINS, np.int64), arrival_s=trace.arrival_s,
        prompt_tokens=trace.prompt_tokens, output_tokens=trace.output_tokens, class_index=trace.class_index,
        cached_tokens=np.zeros(0, np.int64) if trace.cached_tokens is None else trace.cached_tokens,
        ttft_s=np.full(len(trace), np.inf), e2e_s=np.full(len(trace), np.inf), max_gap_s=np.zeros(len(trace)),
        served_by=np.full(2 * len(trace), NOBODY, np.int32),
    )  # fmt: skip


def most_in_batch(pools: Sequence[PoolModel], policy: Policy) -> int:
    """Requests that may hold a decode slot of one instance at once, those of a prefill step that runs included."""
    return min(2 * policy.batching.max_batch_size, max(p.physics.kv_blocks for p in pools))


def grown(w: World) -> World:
    """The same world with room for twice as many requests in flight."""
    requests, free = rows_of_requests(w.requests, len(w.requests))
    w.cluster["free_slot"] = free
    events = np.zeros(len(w.instances) + len(requests) + 1, EVENT)
    events[: len(w.events)] = w.events
    return w._replace(requests=requests, events=events)


def rows_of_requests(old: Rows, more: int) -> tuple[Rows, int]:
    """Rows with ``more`` free ones behind the old, and the first free one; all old ones are taken."""
    requests = np.zeros(len(old) + more, REQUEST)
    requests[: len(old)] = old
    chained = np.arange(len(old) + 1, len(requests) + 1)
    chained[-1] = NOBODY
    requests["next"][len(old) :] = chained
    return requests, len(old)


def _cluster(policy: Policy, window: Window, *, cutoff_s: float, max_run_steps: int) -> Rows:
    """The clock at zero and the parameters of the policy."""
    row = np.zeros(1, CLUSTER)
    roles, batching, topology, lending = policy.topology.roles(), policy.batching, policy.topology, policy.lending
    assert isinstance(batching, Continuous)
    then = policy.topology.next_hop(roles[0])
    for name in ("max_batch_tokens", "max_batch_size", "block_tokens", "max_preemptions"):
        row[name] = min(getattr(batching, name), np.iinfo(np.int32).max)
    row["decode_maximal"] = batching.form is ChunkForm.DECODE_MAXIMAL
    row["adaptive"], row["target_s"] = batching.form is ChunkForm.ADAPTIVE, batching.target_s
    if isinstance(topology, PhaseSplit):
        row["transfer"], row["layerwise_from"] = TRANSFERS.index(topology.mode), topology.layerwise_from_tokens
    limits = lending.threshold_tokens if isinstance(lending, MixedPool) else {}
    row["lending"] = bool(limits)
    row["prefill_threshold"] = limits.get(Role.PREFILL, UNLIMITED)
    row["decode_threshold"] = limits.get(Role.DECODE, UNLIMITED)
    row["first_role"] = ROLES.index(roles[0])
    row["then_role"] = NOBODY if then is None else ROLES.index(then)
    row["first"], row["last"], row["slices"] = window.first, window.last, window.slices
    row["window_start_s"], row["window_end_s"] = window.start_s, window.end_s
    row["cutoff_s"], row["max_run_steps"], row["arriving"] = cutoff_s, max_run_steps, True
    row["gap_inv"], row["gap_log_min"], row["gap_min_s"], row["gap_bins"] = _INV, _LOG_MIN, GAP_MIN_S, GAP_BINS
    return row


def _instances(pools: Sequence[PoolModel], body_of_pool: Sequence[int]) -> Rows:
    """Idle instances."""
    rows = np.zeros(sum(p.instances for p in pools), INSTANCE)
    rows["place"] = NOBODY
    first = machines = 0
    for number, (pool, body) in enumerate(zip(pools, body_of_pool, strict=True)):
        mine = rows[first : first + pool.instances]
        mine["role"], mine["pool"] = ROLES.index(pool.role), number
        mine["body"] = mine["next_body"] = body
        mine["machine"] = machines + _machines(pool)
        mine["chunk"] = min(pool.chunk_tokens or 0, np.iinfo(np.int32).max)
        mine["total"] = mine["free"] = pool.physics.kv_blocks
        first += pool.instances
        machines += pool.machines
    return rows


def _shifts(shifts: Sequence[Shift], bodies: Sequence[InstancePhysics]) -> Rows:
    """What changes, by time."""
    number = {id(body): place for place, body in enumerate(bodies)}
    rows = np.zeros(len(shifts), SHIFT)
    for row, shift in zip(rows, in_order(shifts), strict=True):
        row["at_s"], row["instance"] = shift.at_s, shift.instance
        row["opens"] = NOBODY if shift.opens is None else shift.opens
        row["body"] = NOBODY if shift.physics is None else number[id(shift.physics)]
    return rows


def _machines(pool: PoolModel) -> Ints:
    """Where the instances of a pool stand among its machines, each by the first that it spans."""
    return np.arange(pool.instances) // pool.physics.instances_per_machine * pool.physics.machines_per_instance


def _pools(pools: Sequence[PoolModel]) -> tuple[Rows, Floats]:
    """The pools, and their tournaments with nothing pending."""
    rows, trees, first = np.zeros(len(pools), POOL), list[Floats](), 0
    for row, pool in zip(rows, pools, strict=True):
        leaves = 1 << max(0, pool.instances - 1).bit_length()
        row["weight"], row["tree"], row["leaves"] = 1.0 / pool.speed, sum(map(len, trees)), leaves
        row["first"], row["instances"], row["role"] = first, pool.instances, ROLES.index(pool.role)
        tree = np.zeros(2 * leaves)
        tree[leaves + pool.instances :] = np.inf
        for node in range(leaves - 1, 0, -1):
            tree[node] = min(tree[2 * node], tree[2 * node + 1])
        trees.append(tree)
        first += pool.instances
    return rows, np.concatenate(trees)


def _serves(pools: Sequence[PoolModel], classes: int) -> Shorts:
    """Whether each pool serves each class, class by class."""
    return np.array([index in p.classes for index in range(classes) for p in pools], np.int32)
