"""From pools, policy and trace to the arrays of the compiled replay."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Policy, Recovery
from planner.policies.batching import ChunkForm, Continuous
from planner.policies.borrowing import MixedPool
from planner.policies.routing import LeastReserved, ShortestQueue
from planner.policies.topology import PhaseSplit
from planner.simulator.books import _INV, _LOG_MIN, GAP_BINS, Window, bin_edges_s, seconds
from planner.simulator.core.bodies import rows_of_bodies
from planner.simulator.core.state import (
    CHAINS,
    CLUSTER,
    DUE,
    EVENT,
    FAILURE,
    GAP,
    INSTANCE,
    LANE,
    LENGTH,
    LINKS,
    NONE,
    POOL,
    REQUEST,
    ROLES,
    SHIFT,
    TRANSFERS,
    WAIT,
    Floats,
    Ints,
    Rows,
    Shorts,
    World,
)
from planner.simulator.pools import UNLIMITED, Events, Failure, PoolModel, Shift
from workloads.traces import Trace

FORMS = {"adaptive": ChunkForm.ADAPTIVE, "decode_maximal": ChunkForm.DECODE_MAXIMAL, "alone": ChunkForm.PREFILL_FIRST}
"""How prompts are cut, by the field of an instance that says so."""

FEWEST_ROWS = 1024
"""Requests in flight that there is room for at first; more room is made when it is needed."""


def build(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float, max_run_steps: int,
    beside: Events,
) -> World:  # fmt: skip
    """An idle cluster before its first arrival; the arguments are those of ``run.run``."""
    bodies = list({id(body): body for body in _physics(pools, beside.shifts)}.values())
    due_rows = most_in_batch(pools, policy, len(trace)) + 1
    body_rows, tables = rows_of_bodies(bodies, due_rows)
    instances = _instances(pools, policy, [next(n for n, b in enumerate(bodies) if b is p.physics) for p in pools])
    lanes, stages = _lanes(instances)
    cells, machines = seconds(*window.span_s), sum(p.machines for p in pools)
    pool_rows, loads = _pools(pools, cells)
    count, groups = int(instances["lanes"].sum()), window.slices * len(trace.classes)
    requests, free = rows_of_requests(np.empty(0, REQUEST), min(len(trace), FEWEST_ROWS))
    works = _works(pools, bodies, policy, trace)
    cluster = _cluster(policy, window, cutoff_s=cutoff_s, max_run_steps=max_run_steps)
    _put(
        cluster, due_rows=due_rows, stack_rows=2 * due_rows + 2, prefix=trace.cached_tokens is not None,
        residue_rows=max((b.block_tokens for b in bodies), default=1), groups=groups, pools=len(pools),
        requests=len(trace), free_slot=free, lanes=count, instances=len(instances), bodies=len(body_rows),
        work_rows=works.shape[-1], stages=max((p.physics.stages.count for p in pools), default=1),
        tiers=policy.order.in_tiers(c.name for c in trace.classes),
    )  # fmt: skip
    _put_beside(cluster, beside)
    row = cluster[0]
    return World(
        cluster=cluster, requests=requests, waits=np.zeros(len(requests) * int(row["reserving"]), WAIT),
        instances=instances, lanes=lanes, bodies=body_rows, pools=pool_rows, tables=tables, chains=_chains(count + 1),
        serves=_serves(pools, len(trace.classes)),
        residues=np.zeros(count * row["residue_rows"], np.int32), dues=np.zeros(count * due_rows, DUE),
        gaps=np.zeros(count * row["stack_rows"], GAP), groups=np.zeros(count * groups, np.int32), loads=loads,
        events=np.zeros(len(lanes) + len(requests) + len(beside.failures) + 2, EVENT),
        shifts=_shifts(beside.shifts, bodies), failures=_failures(beside.failures),
        due_s=np.array([policy.order.limit_s(c.name) for c in trace.classes]), works=works.reshape(-1), stages=stages,
        priority=np.array([policy.order.priority(c.name) for c in trace.classes], np.int32),
        seen=np.zeros(4 * len(pools) * row["looks"]), egress_s=np.zeros(machines), ingress_s=np.zeros(machines),
        above_j=np.zeros(cells * len({p.name for p in pools})), histogram=np.zeros(groups * GAP_BINS, np.int64),
        edges_s=bin_edges_s(),
        bubbles=np.zeros(3 * len(trace) if row["stages"] > 1 else 0), **_columns(trace),
    )  # fmt: skip


def _columns(trace: Trace) -> dict[str, NDArray[Any]]:
    """What is asked of the engine, request by request, and room for what becomes of it."""
    count, cached = len(trace), trace.cached_tokens
    return {
        "arrival_s": trace.arrival_s, "prompt_tokens": trace.prompt_tokens, "output_tokens": trace.output_tokens,
        "class_index": trace.class_index, "cached_tokens": np.zeros(0, np.int64) if cached is None else cached,
        "ttft_s": np.full(count, np.inf), "e2e_s": np.full(count, np.inf), "max_gap_s": np.zeros(count),
        "served_by": np.full(2 * count, NONE, np.int32),
    }  # fmt: skip


def _physics(pools: Sequence[PoolModel], shifts: Sequence[Shift]) -> list[InstancePhysics]:
    """What instances are, and what they become."""
    return [*(p.physics for p in pools), *(s.physics for s in shifts if s.physics is not None)]


def _put(rows: Rows, **values: float) -> None:
    """Set fields of the only row of an array."""
    for name, value in values.items():
        rows[name] = value


def _put_beside(cluster: Rows, beside: Events) -> None:
    """What happens beside arrivals, as counts."""
    clients = beside.clients or 0
    _put(
        cluster, shifts=len(beside.shifts), failures=len(beside.failures), clients=clients, places=clients,
        looks=beside.looks.count if beside.looks else 0, look_s=beside.looks.period_s if beside.looks else 0.0,
    )  # fmt: skip


def _chains(rows: int) -> Shorts:
    """Empty queues."""
    chains = np.full((rows * CHAINS, LINKS), NONE, np.int32)
    chains[:, LENGTH] = 0
    return chains.reshape(-1)


def most_in_batch(pools: Sequence[PoolModel], policy: Policy, requests: int) -> int:
    """Requests that may hold a decode slot of one lane at once, those of a prefill step that runs included."""
    slots = max((p.slots(policy.batching.max_batch_size) for p in pools), default=0)
    return min(2 * slots, max((p.physics.kv_blocks for p in pools), default=0), requests)


def grown(w: World) -> World:
    """The same world with room for twice as many requests in flight."""
    before = len(w.requests)
    requests, free = rows_of_requests(w.requests, before, int(w.cluster[0]["free_slot"]))
    w.cluster["free_slot"] = free
    events = np.zeros(len(w.events) + before, EVENT)
    events[: len(w.events)] = w.events
    waits = np.zeros(2 * len(w.waits), WAIT)
    waits[: len(w.waits)] = w.waits
    return w._replace(requests=requests, waits=waits, events=events)


def rows_of_requests(old: Rows, more: int, free: int = NONE) -> tuple[Rows, int]:
    """Rows with ``more`` free ones behind the old, before those that are free already, and the first free one."""
    requests = np.zeros(len(old) + more, REQUEST)
    requests[: len(old)] = old
    chained = np.arange(len(old) + 1, len(requests) + 1)
    chained[-1] = free
    requests["next"][len(old) :] = chained
    return requests, len(old)


def _cluster(policy: Policy, window: Window, *, cutoff_s: float, max_run_steps: int) -> Rows:
    """The clock at zero and the parameters of the policy."""
    row = np.zeros(1, CLUSTER)
    roles, batching, topology, borrowing = policy.topology.roles(), policy.batching, policy.topology, policy.borrowing
    assert isinstance(batching, Continuous)
    then = policy.topology.next_hop(roles[0])
    for name in ("max_batch_tokens", "max_batch_size", "block_tokens", "max_preemptions"):
        row[name] = min(getattr(batching, name), np.iinfo(np.int32).max)
    row["reserving"] = isinstance(policy.routing, LeastReserved)
    row["foreseen"] = policy.routing.foreseen_tokens if isinstance(policy.routing, ShortestQueue) else 0
    row["checkpoint"] = policy.recovery is Recovery.CHECKPOINT
    row["target_s"] = batching.target_s
    if isinstance(topology, PhaseSplit):
        row["transfer"], row["layerwise_from"] = TRANSFERS.index(topology.mode), topology.layerwise_from_tokens
        row["answers_late"] = topology.answered_by is Role.DECODE
    limits = borrowing.threshold_tokens if isinstance(borrowing, MixedPool) else {}
    row["borrowing"] = bool(limits)
    row["prefill_threshold"] = limits.get(Role.PREFILL, UNLIMITED)
    row["decode_threshold"] = limits.get(Role.DECODE, UNLIMITED)
    row["first_role"] = ROLES.index(roles[0])
    row["then_role"] = NONE if then is None else ROLES.index(then)
    row["first"], row["last"], row["slices"] = window.first, window.last, window.slices
    row["window_start_s"], row["window_end_s"] = window.start_s, window.end_s
    row["cutoff_s"], row["max_run_steps"], row["arriving"] = cutoff_s, max_run_steps, True
    row["gap_inv"], row["gap_log_min"], row["gap_bins"] = _INV, _LOG_MIN, GAP_BINS
    return row


def _instances(pools: Sequence[PoolModel], policy: Policy, body_of_pool: Sequence[int]) -> Rows:
    """Idle instances."""
    rows = np.zeros(sum(p.instances for p in pools), INSTANCE)
    first = machines = 0
    for number, (pool, body) in enumerate(zip(pools, body_of_pool, strict=True)):
        mine = rows[first : first + pool.instances]
        mine["role"], mine["pool"] = ROLES.index(pool.role), number
        mine["body"], mine["lanes"] = body, pool.physics.stages.count
        mine["machine"], mine["machines"] = machines + _machines(pool), pool.physics.machines_per_instance
        mine["chunk"] = min(pool.chunk_tokens or 0, np.iinfo(np.int32).max)
        batching, mine["order"] = policy.of(pool.beside).batching, policy.of(pool.beside).order.rule
        assert isinstance(batching, Continuous)
        for form in FORMS:
            mine[form] = batching.form is FORMS[form]
        mine["max_batch_size"] = min(pool.slots(batching.max_batch_size), np.iinfo(np.int32).max)
        mine["max_batch_tokens"] = min(pool.max_batch_tokens or batching.max_batch_tokens, np.iinfo(np.int32).max)
        mine["total"] = mine["free"] = pool.physics.kv_blocks
        first += pool.instances
        machines += pool.machines
    rows["lane"] = np.cumsum(rows["lanes"]) - rows["lanes"]
    rows["root"] = NONE
    return rows


def _lanes(instances: Rows) -> tuple[Rows, Floats]:
    """Idle lanes, where any instance has stages with a row for every instance behind them; and the stages."""
    owners = np.repeat(np.arange(len(instances)), instances["lanes"])
    piped = bool((instances["lanes"] > 1).any())
    rows = np.zeros(len(owners) + piped * len(instances), LANE)
    rows["place"] = NONE
    rows["instance"][: len(owners)] = owners
    own = instances["lanes"] * (instances["lanes"] > 1)  # of an instance with stages: its own row, one of each lane
    instances["stage"] = np.cumsum(own) - own
    ends = own[owners]
    rows["ends"][: len(owners)] = own.sum() + np.cumsum(ends) - ends
    return rows, np.zeros(int(own.sum() + ends.sum()))


def _shifts(shifts: Sequence[Shift], bodies: Sequence[InstancePhysics]) -> Rows:
    """What changes, by time."""
    number = {id(body): place for place, body in enumerate(bodies)}
    rows = np.zeros(len(shifts), SHIFT)
    for row, shift in zip(rows, sorted(shifts, key=lambda shift: shift.at_s), strict=True):
        row["at_s"], row["instance"] = shift.at_s, shift.instance
        row["opens"] = NONE if shift.opens is None else shift.opens
        row["body"] = NONE if shift.physics is None else number[id(shift.physics)]
    return rows


def _failures(failures: Sequence[Failure]) -> Rows:
    """Machines that fail."""
    rows = np.zeros(len(failures), FAILURE)
    for row, failure in zip(rows, failures, strict=True):
        row["machine"], row["at_s"] = failure.machine, failure.at_s
        row["repair_s"] = NONE if failure.repair_s is None else failure.repair_s
    return rows


def _works(pools: Sequence[PoolModel], bodies: Sequence[InstancePhysics], policy: Policy, trace: Trace) -> Floats:
    """(pools, bodies, chunks) room for the times at which chunks of the longest prompt are computed; see ``order``."""
    sizes = [p.chunk_tokens for p in pools if p.chunk_tokens]
    if not any(policy.of(p.beside).order.moves for p in pools) or not sizes:
        return np.zeros((1, 1, 1))
    longest = int((trace.prompt_tokens + trace.output_tokens).max())
    return np.zeros((len(pools), 2 * len(bodies), longest // min(sizes) + 2))


def _machines(pool: PoolModel) -> Ints:
    """Where the instances of a pool stand among its machines, each by the first that it spans."""
    return np.arange(pool.instances) // pool.physics.instances_per_machine * pool.physics.machines_per_instance


def _pools(pools: Sequence[PoolModel], cells: int) -> tuple[Rows, Floats]:
    """The pools, each name with so many seconds of joules, and their segment trees with nothing pending."""
    names = list(dict.fromkeys(p.name for p in pools))
    rows, trees, first = np.zeros(len(pools), POOL), list[Floats](), 0
    for row, pool in zip(rows, pools, strict=True):
        row["seconds"] = cells * names.index(pool.name)
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
