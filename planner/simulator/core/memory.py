"""KV memory in blocks, the growth of decoding batches in closed form, and who may take of it.

A request in a batch writes one token per step, so it needs a block every ``block_tokens`` steps. Requests are counted
by the residue of the step number at which they do; growth over any number of steps follows from the counts alone.
"""

from planner.simulator.core.queues import length
from planner.simulator.core.state import READY, World
from planner.simulator.core.steps import started_steps


def blocks(w: World, i: int, tokens: int) -> int:
    """Blocks that hold ``tokens``."""
    return -(-tokens // w.bodies[w.instances[i].body].block_tokens)


def growth(w: World, k: int, steps: int) -> int:
    """New blocks the batch of a lane needs in the next ``steps`` steps; none where all was taken beforehand."""
    if w.cluster[0].reserving:
        return 0
    me = w.lanes[k]
    size = w.bodies[me.body].block_tokens
    cycles = steps // size if steps >= size else 0
    total, base = cycles * me.batch, k * w.cluster[0].residue_rows
    place = (size - 1) - me.steps % size
    for _ in range(steps - cycles * size):
        total += w.residues[base + place]
        place = place - 1 if place else size - 1
    return int(total)


def steps_that_fit(w: World, k: int, free: int, most: int) -> int:
    """Steps of a lane whose growth fits ``free`` blocks, at most so many; needs a non-empty batch."""
    me = w.lanes[k]
    size = w.bodies[me.body].block_tokens
    cycles = free // me.batch
    if cycles * size >= most:
        return most
    left, steps, base = free - cycles * me.batch, cycles * size, k * w.cluster[0].residue_rows
    place = (size - 1) - me.steps % size
    while steps < most and w.residues[base + place] <= left:
        left -= w.residues[base + place]
        steps += 1
        place = place - 1 if place else size - 1
    return int(steps)


def residue(w: World, k: int, held: int, step: int) -> int:
    """Where requests are counted that need their next block together."""
    size = w.bodies[w.lanes[k].body].block_tokens
    return int(k * w.cluster[0].residue_rows + (held - 1 - step) % size)


def free_blocks(w: World, i: int) -> int:
    """Blocks free at this moment, those of the steps started so far in the runs of its lanes taken off."""
    me = w.instances[i]
    free = me.free
    for k in range(me.lane, me.lane + me.lanes):
        if w.lanes[k].on and w.lanes[k].decode:
            free -= growth(w, k, started_steps(w, k))
    return int(free)


def decoding(w: World, i: int) -> int:
    """Requests in the batches of an instance."""
    me, found = w.instances[i], 0
    for k in range(me.lane, me.lane + me.lanes):
        found += w.lanes[k].batch
    return int(found)


def running(w: World, i: int) -> int:
    """Requests that hold a decode slot: in a batch, landed, on the link, or computed in part."""
    me = w.instances[i]
    return int(decoding(w, i) + length(w, i, READY) + me.promised + me.partial)


def slots(w: World, i: int) -> int:
    """Decode slots in use, of each lane."""
    return running(w, i) // int(w.instances[i].lanes)


def needs(w: World, slot: int) -> int:
    """Blocks of the request's context and its next token, as the batching policy counts them."""
    return policy_blocks(w, w.requests[slot].prefill + 1)


def policy_blocks(w: World, tokens: int) -> int:
    """Blocks that hold ``tokens``, as the batching policy counts them."""
    return -(-tokens // w.cluster[0].block_tokens)


def admits(w: World, i: int, slot: int, batch: int, free: int) -> bool:
    """Whether a request may take its place at an instance now."""
    return bool(batch < w.instances[i].max_batch_size and needs(w, slot) + batch <= free)
