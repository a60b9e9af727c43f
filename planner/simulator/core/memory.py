"""KV memory, as ``KvMemory`` and ``BlockGrowth`` have it, and who may take of it."""

from planner.simulator.core.queues import length
from planner.simulator.core.state import READY, World
from planner.simulator.core.steps import begun


def blocks(w: World, i: int, tokens: int) -> int:
    """Blocks that hold ``tokens``."""
    return -(-tokens // w.bodies[w.instances[i].body].block_tokens)


def growth(w: World, i: int, steps: int) -> int:
    """New blocks the batch needs in the next ``steps`` steps."""
    me, size = w.instances[i], w.bodies[w.instances[i].body].block_tokens
    cycles = steps // size
    total, base = cycles * me.batch, i * w.cluster[0].residue_rows
    place = (size - 1) - me.steps % size
    for _ in range(steps - cycles * size):
        total += w.residues[base + place]
        place = place - 1 if place else size - 1
    return int(total)


def steps_that_fit(w: World, i: int) -> int:
    """Most steps whose growth fits the free blocks; needs a non-empty batch."""
    me, size = w.instances[i], w.bodies[w.instances[i].body].block_tokens
    cycles = me.free // me.batch
    left, steps, base = me.free - cycles * me.batch, cycles * size, i * w.cluster[0].residue_rows
    place = (size - 1) - me.steps % size
    while w.residues[base + place] <= left:
        left -= w.residues[base + place]
        steps += 1
        place = place - 1 if place else size - 1
    return int(steps)


def residue(w: World, i: int, held: int, step: int) -> int:
    """Where requests are counted that need their next block together."""
    size = w.bodies[w.instances[i].body].block_tokens
    return int(i * w.cluster[0].residue_rows + (held - 1 - step) % size)


def free_blocks(w: World, i: int) -> int:
    """Blocks free at this moment, those of the steps begun so far in the current run taken off."""
    me = w.instances[i]
    if not me.on or not me.decode:
        return int(me.free)
    return int(me.free - growth(w, i, begun(w, i)))


def running(w: World, i: int) -> int:
    """Requests that hold a decode slot: in the batch, landed, on the link, or computed in part."""
    me = w.instances[i]
    return int(me.batch + length(w, i, READY) + me.promised + me.begun)


def needs(w: World, slot: int) -> int:
    """Blocks of the request's context and its next token, as the batching policy counts them."""
    return policy_blocks(w, w.requests[slot].prefill + 1)


def policy_blocks(w: World, tokens: int) -> int:
    """Blocks that hold ``tokens``, as the batching policy counts them."""
    return -(-tokens // w.cluster[0].block_tokens)


def admits(w: World, slot: int, batch: int, free: int) -> bool:
    """Whether a request may take its place now."""
    return bool(batch < w.cluster[0].max_batch_size and needs(w, slot) + batch <= free)
