"""Transfers of KV caches: which request gets memory for one, and when the ports of two machines are free for it.

A transfer holds the egress port of its source and the ingress port of its destination for the time its bytes take; it
waits until both are free, and the slower of the two sets its speed. One that overlaps with the prefill, layer by layer,
leaves gaps while the next layer is computed, so it too holds the ports for its bytes only.
"""

from planner.perf.transfer import busy_s, layerwise_end_s, layerwise_ready_s, serialized_end_s
from planner.simulator.core.ledger import allocate
from planner.simulator.core.memory import admits, blocks, free_blocks, slots, steps_that_fit
from planner.simulator.core.queues import ahead, head, remove, schedule
from planner.simulator.core.runs import end_after
from planner.simulator.core.state import AUTO, LANDING, LAYERWISE, NONE, PREFILLS, World
from planner.simulator.core.steps import started_steps


def _port(w: World, i: int, j: int, ready_s: float, busy_s: float) -> float:
    """When both ports are free; they are taken from then on, unless the link is assumed to have no queues."""
    if not w.bodies[w.instances[i].body].link_queues:
        return ready_s
    out, into = w.instances[i].machine, w.instances[j].machine
    begin = max(ready_s, w.egress_s[out], w.ingress_s[into])
    w.egress_s[out] = w.ingress_s[into] = begin + busy_s
    return begin


def wire_s_of(w: World, i: int, j: int, tokens: int) -> float:
    """Seconds the bytes of a KV cache take between two instances."""
    source, target = w.bodies[w.instances[i].body], w.bodies[w.instances[j].body]
    return busy_s(tokens, source.kv_bytes_per_token, source.bandwidth_bytes_per_s, target.bandwidth_bytes_per_s)


def _layerwise(w: World, i: int, slot: int, prefill_s: float) -> None:
    """Send what of a KV cache is not sent yet, the last of it while this step computes it."""
    r, c, body = w.requests[slot], w.cluster[0], w.bodies[w.instances[i].body]
    wire_s = wire_s_of(w, i, int(r.home), int(r.held - r.sent))
    ready_s = layerwise_ready_s(c.now_s, prefill_s, int(body.layers))
    begin_s = _port(w, i, int(r.home), ready_s, wire_s)
    c.link_wait_s += max(0.0, begin_s - c.now_s - prefill_s / body.layers)
    end_s = layerwise_end_s(
        begin_s, c.now_s + prefill_s, wire_s, int(body.layers), float(body.latency_s), float(body.sync_s)
    )
    r.transfer_end_s = max(r.transfer_end_s, end_s)
    r.sent = r.held


def start_transfer(w: World, slot: int, end_s: float) -> None:
    """Let a KV cache land at ``end_s``."""
    c = w.cluster[0]
    c.in_transfer += 1
    c.transfers += 1
    c.transfer_s += end_s - w.requests[slot].last_token_s
    w.requests[slot].fetched = 0
    schedule(w, ~slot, end_s - c.now_s)


def _promise(w: World, i: int, slot: int) -> None:
    """Take memory for a KV cache that will arrive; runs in progress may have to stop earlier for it."""
    me = w.instances[i]
    me.promised += 1
    allocate(w, i, blocks(w, i, w.requests[slot].prefill))
    for k in range(me.lane, me.lane + me.lanes):
        lane = w.lanes[k]
        if lane.on and lane.decode and not lane.prefilling and lane.run_steps > 1:
            fits = steps_that_fit(w, k, me.free, lane.run_steps)
            if fits < lane.run_steps:
                end_after(w, k, max(fits, started_steps(w, k)))


def admit_landing(w: World, i: int) -> None:
    """Give memory to waiting KV caches, by priority and then by when they came, and let them travel."""
    slot = head(w, i, LANDING)
    while slot != NONE and admits(w, i, slot, slots(w, i), free_blocks(w, i)):
        r, c = w.requests[slot], w.cluster[0]
        remove(w, i, LANDING, slot)
        w.instances[i].landing_tokens -= r.prompt
        _promise(w, i, slot)
        body = w.bodies[w.instances[r.sent_by].body]
        wire_s = wire_s_of(w, int(r.sent_by), i, int(r.prefill))
        begin_s = _port(w, int(r.sent_by), i, c.now_s, wire_s)
        c.link_wait_s += begin_s - c.now_s
        start_transfer(w, slot, serialized_end_s(begin_s, wire_s, float(body.latency_s)))
        slot = head(w, i, LANDING)


def _reserve(w: World, i: int, slot: int) -> bool:
    """Whether memory is promised to a KV cache here, or can be now; then it is."""
    if w.requests[slot].transfer_end_s >= 0:
        return True
    if ahead(w, i, LANDING, slot) or not admits(w, i, slot, slots(w, i), free_blocks(w, i)):
        return False
    _promise(w, i, slot)
    return True


def send_while_computed(w: World, k: int, prefill_s: float) -> None:
    """Start the layer-wise transfers of a prefill step, where the other side has memory already."""
    c, i = w.cluster[0], int(w.lanes[k].instance)
    if w.instances[i].role != c.first_role or c.then_role == NONE or c.transfer < LAYERWISE:
        return
    slot = head(w, k, PREFILLS)
    while slot != NONE:
        r = w.requests[slot]
        overlaps = c.transfer != AUTO or r.prompt >= c.layerwise_from
        if overlaps and r.home != NONE and r.home != i and r.held > r.sent and _reserve(w, int(r.home), slot):
            _layerwise(w, i, slot, prefill_s)
        slot = r.next
