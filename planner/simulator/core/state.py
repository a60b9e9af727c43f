"""The engine's data: records in arrays, no objects.

Requests in flight, instances, machines and pools are rows of structured arrays; queues are chains of row numbers.
Everything the engine needs, its clock included, is in a ``World``, so that it can stop and continue.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.perf.layout import Role

ROLES = (Role.PREFILL, Role.DECODE, Role.MIXED)
"""Position of a role is its number in the engine."""

SERIALIZED, LAYERWISE, AUTO = range(3)
TRANSFERS = ("serialized", "layerwise", "auto")
"""Position of a transfer mode is its number in the engine."""

WAITING, LANDING, READY, PREFILLS, RUNNING, CHAINS = range(6)
"""Queues: of an instance, to be computed, to get memory, to join a batch; of a lane, in its step, in its batch."""

PARKED, LOST = range(2)
"""Queues of the cluster, in the row behind those of the lanes: without an instance that is up; lost with a machine."""

DONE, FULL = 0, 1
"""Why the engine came back: the trace is served or the time is up; or every row for requests in flight is taken."""

HEAD, TAIL, LENGTH, LINKS = range(4)
NONE = -1


def _record(doubles: str, longs: str, ints: str) -> np.dtype[np.void]:
    """A record with 8-byte floats, 8-byte and 4-byte integers of these names."""
    kinds = ((np.float64, doubles), (np.int64, longs), (np.int32, ints))
    return np.dtype([(name, kind) for kind, names in kinds for name in names.split()], align=True)


REQUEST = _record(
    "arrival_s first_token_s last_token_s lag_s max_gap_s transfer_end_s rank left_s whole_s prompts_s phases_s "
    "contexts_s",
    "join_step gap_step",
    "index prompt output prefill pending generated group home sent_by preemptions next prev joining borrowed cached "
    "held chunk sent fetched mark twin follower priority",
)
"""A request in flight; ``next`` and ``prev`` chain it into one queue at a time, or into the free rows."""

INSTANCE = _record(
    "kv_seen_s busy_s kv_block_s queue_seen_s queue_token_s prefill_j decode_j prefill_s until_s "
    "prompts_s phases_s contexts_s unfilled_s",
    "pending total free queue_tokens landing_tokens prefill_tokens decode_steps decode_tokens kv_peak stage reserved "
    "left_out",
    "role body machine machines pool promised preemptions borrowed partial chunk owed disabled closed gone lane lanes "
    "carried turn max_batch_size max_batch_tokens order adaptive decode_maximal alone root",
)
"""An instance: its memory, its queues, its pipeline and its meter. ``body`` becomes that of a lane with the lane's next
step; ``pending`` are tokens, and one that is ``disabled`` is closed or failed, as often as it is.

Under rules that reserve memory at arrival, ``reserved`` are the tokens promised and ``borrowed`` says whether it is in
the mixed pool, in its pool since ``turn``; ``root`` is that of the tree of those who queue, of whom every one was left
out of each of the ``left_out`` steps since it came."""

WAIT = _record("", "needs chunk needed fewest", "up left right size prompt blocked other")
"""The place of a request in flight in the tree of those who queue (see ``waiting``), the blocks it ``needs``, and what
its branch holds: how many, the longest chunk, the fewest blocks needed, the fewest times left out, the first of each
kind."""

LANE = _record(
    "run_start_s run_context run_step_s link_s above_w idle_s busy_from_s stage_s prompts_s phases_s contexts_s "
    "run_prompts_s run_phases_s run_contexts_s last_start_s",
    "context steps run_steps curve ends taken held_step",
    "instance body batch joiners due stack place on prefilling decode piece",
)
"""A batch at work, with the step or the run of decode-only steps in progress: one per pipeline stage of an instance.

The rows behind those of all lanes, one an instance, only keep the event of its pipeline's free entrance.
"""

BODY = _record(
    "overhead_s mixed_s prefill_ratio decode_ratio mixed_ratio kv_bytes_per_token bandwidth_bytes_per_s latency_s "
    "sync_s request_s lag_steps hop_latency_s hop_token_s merge_latency_s merge_bytes_per_s "
    "base_w compute_w bandwidth_w output_w memory_w room_w most_w hit_ratio "
    "tile_tokens token_flops expert_flops pair_flops weight_bytes expert_bytes kv_bytes",
    "linear_prefill linear_prefill_n linear_decode linear_decode_n context context_n new new_n past past_n "
    "prefill_attention batch batch_n decode_attention curves correction_ratio clocked_ratio group_tokens merge_bytes "
    "step_tokens",
    "block_tokens layers ranks link_queues gpus full_clock stages streams groups merge_layers watt_parts verified "
    "ahead_steps hold_steps",
)
"""The physics of an instance; numbers without a unit are offsets into ``World.tables`` and lengths."""

POOL = _record("weight", "tree seconds", "first instances leaves role")
"""Instances ``first`` and following; ``tree`` is where its min segment tree of loads begins, ``seconds`` its joules."""

DUE = _record("", "step", "index slot")
"""A place in the heap of those that end: the step after which a request has its last token."""

GAP = _record("longest_s", "step", "")
"""A run of steps that no later one outlasted."""

EVENT = _record("at_s", "number", "what")
"""An event: the end of lane ``what``'s run; where negative the landing of request ``~what``, or another."""

SHIFT = _record("at_s", "", "instance opens body")
"""A change at an instance: whether it takes requests and which body it goes on with, NONE where as before."""

FAILURE = _record("at_s repair_s", "", "machine")
"""A machine that fails, and for how long; ``repair_s`` is -1 where it stays disabled."""

SHIFTED, LOOK, FAILED = -(1 << 30), -(1 << 30) - 1, -(1 << 30) - 2
"""``what`` of the events of the next shift, the next look, and the first failure; each further one has 2 less,
and its repair 1 less than a failure."""

CLUSTER = _record(
    "now_s arrival_s cutoff_s target_s window_start_s window_end_s transfer_s link_wait_s gap_inv gap_log_min look_s",
    "number arrival_number cursor shift shifts first last slices max_run_steps finished refused transfers "
    "output_tokens arrived restarted looks looked work_rows prefill_threshold decode_threshold foreseen "
    "stack_rows due_rows residue_rows gap_bins turns chosen_tokens chosen_free",
    "fired arriving started events free_slot in_flight first_role then_role transfer layerwise_from max_batch_tokens "
    "max_batch_size block_tokens max_preemptions groups borrowing in_transfer pools requests "
    "answers_late prefix bodies clients places asks asked instances lanes stages checkpoint "
    "failures reserving chosen chosen_first chosen_last taken tiers",
)
"""The clock, the policy's parameters and the sums over all requests; one row."""

Rows = NDArray[np.void]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shorts = NDArray[np.int32]


class World(NamedTuple):
    """Everything the engine reads and writes.

    Attributes:
        cluster: one row.
        requests: rows of those in flight; free rows are chained.
        waits: of each of them, under rules that reserve memory at arrival; else nothing.
        instances: by index.
        lanes: of the instances, one after the other; then one row an instance where any has stages.
        bodies: distinct physics.
        pools: in the order of the plan.
        serves: (classes · pools,) whether a pool serves a class.
        tables: all surfaces, one after the other.
        chains: ((lanes + 1) · CHAINS · LINKS,) the queues of each instance and lane, those of the cluster last.
        residues: (lanes · widest block,) requests of a batch by when they need their next block.
        dues: (lanes · due rows,) heaps of those that end.
        gaps: (lanes · stack rows,) runs of steps that no later one outlasted.
        groups: (lanes · groups,) measured requests of each slice in the batch.
        loads: min segment trees: pending tokens over planned speed.
        events: heap, by time.
        shifts: by time.
        failures: as they were given.
        due_s: (classes,) in which time of their arrival first tokens are due.
        priority: (classes,) whose requests go first: the larger, the sooner.
        works: seconds until the chunks of a long prompt are computed, by pool and body (see ``order``).
        stages: (lanes + instances · stages,) when a step leaves each stage of a pipeline.
        seen: (looks · pools · 4,) what the instances of a pool do, summed over them, at each look.
        egress_s: (machines,) when the port is free.
        ingress_s: (machines,) likewise.
        above_j: joules above idle of each pool in each second of the window.
        histogram: (groups · bins,) token gaps.
        edges_s: (bins,) upper edge of each bin.
        arrival_s: the trace's columns.
        prompt_tokens: likewise.
        output_tokens: likewise.
        class_index: likewise.
        cached_tokens: likewise, or nothing where nothing is cached.
        ttft_s: (requests of the trace,) results.
        e2e_s: likewise.
        max_gap_s: likewise.
        served_by: (requests of the trace · 2,) likewise, who computed and who decoded.
        bubbles: (requests of the trace · 3,) likewise, idle seconds of stages before its steps; nothing without stages.
    """

    cluster: Rows
    requests: Rows
    waits: Rows
    instances: Rows
    lanes: Rows
    bodies: Rows
    pools: Rows
    serves: Shorts
    tables: Floats
    chains: Shorts
    residues: Shorts
    dues: Rows
    gaps: Rows
    groups: Shorts
    loads: Floats
    events: Rows
    shifts: Rows
    failures: Rows
    due_s: Floats
    priority: Shorts
    works: Floats
    stages: Floats
    seen: Floats
    egress_s: Floats
    ingress_s: Floats
    above_j: Floats
    histogram: Ints
    edges_s: Floats
    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    class_index: Ints
    cached_tokens: Ints
    ttft_s: Floats
    e2e_s: Floats
    max_gap_s: Floats
    served_by: Shorts
    bubbles: Floats


_RECORDS: dict[str, np.dtype[Any]] = {
    "cluster": CLUSTER, "requests": REQUEST, "waits": WAIT, "instances": INSTANCE, "lanes": LANE, "bodies": BODY,
    "pools": POOL, "dues": DUE, "gaps": GAP, "events": EVENT, "shifts": SHIFT, "failures": FAILURE,
}  # fmt: skip
_NUMBERS: dict[Any, np.dtype[Any]] = {
    Floats: np.dtype(np.float64),
    Ints: np.dtype(np.int64),
    Shorts: np.dtype(np.int32),
}

KINDS: dict[str, np.dtype[Any]] = {
    name: _RECORDS[name] if name in _RECORDS else _NUMBERS[kind] for name, kind in World.__annotations__.items()
}
"""Array of a world -> what its elements are, in its order."""
