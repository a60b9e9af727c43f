"""The compiled replay's data: records in arrays, no objects.

Requests in flight, instances, machines and pools are rows of structured arrays; queues are chains of row numbers.
Everything the replay needs, its clock included, is in a ``World``, so that it can stop and continue.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.perf.layout import Role

ROLES = (Role.PREFILL, Role.DECODE, Role.MIXED)
"""Position of a role is its number in the replay."""

SERIALIZED, LAYERWISE, AUTO = range(3)
TRANSFERS = ("serialized", "layerwise", "auto")
"""Position of a transfer mode is its number in the replay."""

WAITING, LANDING, READY, PREFILLS, RUNNING, CHAINS = range(6)
"""The queues of an instance: as in the event engine, and the requests in the step that runs."""

DONE, FULL = 0, 1
"""Why the replay came back: the trace is served or the time is up; or every row for requests in flight is taken."""

HEAD, TAIL, LENGTH, LINKS = range(4)
NOBODY = -1


def _record(doubles: str, longs: str, ints: str) -> np.dtype[np.void]:
    """A record with 8-byte floats, 8-byte and 4-byte integers of these names."""
    kinds = ((np.float64, doubles), (np.int64, longs), (np.int32, ints))
    return np.dtype([(name, kind) for kind, names in kinds for name in names.split()], align=True)


REQUEST = _record(
    "arrival_s first_token_s last_token_s lag_s max_gap_s transfer_end_s",
    "join_step",
    "index prompt output prefill pending generated group home sent_by preemptions next prev joining guest cached "
    "held chunk sent",
)
"""A request in flight; ``next`` and ``prev`` chain it into one queue at a time, or into the free rows."""

INSTANCE = _record(
    "run_start_s run_context run_step_s kv_seen_s busy_s kv_block_s queue_seen_s queue_token_s closed_load above_w "
    "prefill_j decode_j prefill_s",
    "total free context steps run_steps queue_tokens landing_tokens prefill_tokens decode_steps decode_tokens "
    "kv_peak curve",
    "role body machine pool batch promised joiners due stack place on prefilling decode piece preemptions guests "
    "begun chunk owed closed next_body",
)
"""An instance: what ``Instance``, ``KvMemory`` and ``Meter`` hold in the event engine; ``body`` becomes ``next_body``
with its next step, and the load of a closed one is kept in ``closed_load``."""

BODY = _record(
    "overhead_s prefill_ratio decode_ratio mixed_ratio kv_bytes_per_token bandwidth_bytes_per_s latency_s sync_s "
    "request_s lag_steps base_w compute_w bandwidth_w output_w memory_w room_w most_w hit_ratio "
    "tile_tokens token_flops expert_flops pair_flops weight_bytes expert_bytes kv_bytes",
    "linear_prefill linear_prefill_n linear_decode linear_decode_n context context_n new new_n past past_n "
    "prefill_attention batch batch_n decode_attention curves correction_ratio clocked_ratio",
    "block_tokens layers link_queues gpus full_clock",
)
"""The physics of an instance; numbers without a unit are offsets into ``World.tables`` and lengths."""

POOL = _record("weight", "tree seconds", "first instances leaves role")
"""Instances ``first`` and following; ``tree`` is where its tournament of loads begins, ``seconds`` its joules."""

DUE = _record("", "step", "index slot")
"""A place in the heap of those that end: the step after which a request has its last token."""

GAP = _record("longest_s", "step", "")
"""A run of steps that no later one outlasted (see ``LongestGaps``)."""

EVENT = _record("at_s", "number", "what")
"""An appointment: the end of instance ``what``'s run, where negative the landing of request ``~what``, or a shift."""

SHIFT = _record("at_s", "", "instance opens body")
"""A change at an instance: whether it takes requests and which body it goes on with, NOBODY where as before."""

TURN = -(1 << 30)
"""``what`` of the appointment of the next shift."""

CLUSTER = _record(
    "now_s arrival_s cutoff_s target_s window_start_s window_end_s transfer_s link_wait_s gap_inv gap_log_min "
    "gap_min_s",
    "number arrival_number cursor shift shifts first last slices max_run_steps finished refused transfers "
    "output_tokens arrived prefill_threshold decode_threshold stack_rows due_rows residue_rows gap_bins",
    "fired arriving turning events free_slot in_flight first_role then_role transfer layerwise_from max_batch_tokens "
    "max_batch_size block_tokens max_preemptions groups lending flights pools requests decode_maximal "
    "adaptive prefix clients places asks asked",
)
"""The clock, the policy's parameters and the sums over all requests; one row."""

Rows = NDArray[np.void]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shorts = NDArray[np.int32]


class World(NamedTuple):
    """Everything the replay reads and writes.

    Attributes:
        cluster: one row.
        requests: rows of those in flight; free rows are chained.
        instances: by index.
        bodies: distinct physics.
        pools: in the order of the plan.
        serves: (classes · pools,) whether a pool serves a class.
        tables: all surfaces, one after the other.
        chains: (instances · CHAINS · LINKS,) the queues of each instance.
        residues: (instances · widest block,) see ``KvMemory``.
        dues: (instances · due rows,) heaps of those that end.
        gaps: (instances · stack rows,) see ``LongestGaps``.
        groups: (instances · groups,) measured requests of each slice in the batch.
        loads: tournaments: pending tokens over planned speed.
        events: heap of appointments.
        shifts: by time.
        egress_s: (machines,) when the port is free.
        ingress_s: (machines,) likewise.
        above_j: joules above idle of each pool in each second of the window.
        histogram: (groups · bins,) token gaps.
        arrival_s: the trace's columns.
        prompt_tokens: likewise.
        output_tokens: likewise.
        class_index: likewise.
        cached_tokens: likewise, or nothing where nothing is cached.
        ttft_s: (requests of the trace,) results.
        e2e_s: likewise.
        max_gap_s: likewise.
        served_by: (requests of the trace · 2,) likewise, who computed and who decoded.
    """

    cluster: Rows
    requests: Rows
    instances: Rows
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
    egress_s: Floats
    ingress_s: Floats
    above_j: Floats
    histogram: Ints
    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    class_index: Ints
    cached_tokens: Ints
    ttft_s: Floats
    e2e_s: Floats
    max_gap_s: Floats
    served_by: Shorts


KINDS = {
    "cluster": CLUSTER, "requests": REQUEST, "instances": INSTANCE, "bodies": BODY, "pools": POOL,
    "serves": np.dtype(np.int32), "tables": np.dtype(np.float64), "chains": np.dtype(np.int32),
    "residues": np.dtype(np.int32), "dues": DUE, "gaps": GAP, "groups": np.dtype(np.int32),
    "loads": np.dtype(np.float64), "events": EVENT, "shifts": SHIFT, "egress_s": np.dtype(np.float64),
    "ingress_s": np.dtype(np.float64), "above_j": np.dtype(np.float64), "histogram": np.dtype(np.int64),
    "arrival_s": np.dtype(np.float64),
    "prompt_tokens": np.dtype(np.int64), "output_tokens": np.dtype(np.int64), "class_index": np.dtype(np.int64),
    "cached_tokens": np.dtype(np.int64),
    "ttft_s": np.dtype(np.float64), "e2e_s": np.dtype(np.float64), "max_gap_s": np.dtype(np.float64),
    "served_by": np.dtype(np.int32),
}  # fmt: skip
"""Array of a world -> what its elements are, in its order."""
