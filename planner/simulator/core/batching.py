"""The prompts that wait at an instance, whole or in chunks, as ``Prompts`` and ``Chunked`` have it."""

from planner.policies.batching import LEAST_TOKENS, TILE_TOKENS
from planner.simulator.core.ledger import allocate, queue_tokens
from planner.simulator.core.memory import admits, blocks, needs, policy_blocks, running
from planner.simulator.core.queues import head, insert_before, pop_front, push_back, remove
from planner.simulator.core.state import NOBODY, PREFILLS, WAITING, World
from planner.simulator.core.steps import attend, prefill_step_s


def fitting(w: World, i: int, free: int) -> int:
    """How many prompts from the head of the queue the next step computes; each knows its chunk then.

    Args:
        w: the world.
        i: instance.
        free: blocks left when the batch has those of its next token.
    """
    if w.instances[i].chunk:
        return _chunks(w, i, free)
    prefills, tokens, batch = 0, 0, running(w, i)
    slot = head(w, i, WAITING)
    while slot != NOBODY:
        r = w.requests[slot]
        tokens += r.prefill
        if prefills and tokens > w.cluster[0].max_batch_tokens:
            break
        if not admits(w, slot, batch + prefills, free):
            break
        free -= needs(w, slot)
        r.chunk = r.prefill - r.cached
        prefills += 1
        slot = r.next
    return prefills


def _chunks(w: World, i: int, free: int) -> int:
    """As much of every prompt from the head as its chunk, slots and memory allow."""
    c, me = w.cluster[0], w.instances[i]
    prefills, tokens, attention, batch, owed = 0, 0, 0.0, running(w, i), me.owed
    slot = head(w, i, WAITING)
    while slot != NOBODY:
        r = w.requests[slot]
        left = r.prefill - r.cached
        most = me.chunk - me.batch - tokens
        if c.decode_maximal:
            most = 0 if prefills else me.chunk - (c.max_batch_size - 1)
        elif c.adaptive and me.batch:
            most = _bearable(w, i, r.cached, tokens, attention)
        new = min(left, most)
        if new <= 0 or (prefills and tokens + new > c.max_batch_tokens):
            break
        more = policy_blocks(w, r.cached + new + (1 if new == left else 0)) - policy_blocks(w, r.held)
        if r.held == 0:
            if not admits(w, slot, batch, free - owed):
                break
            batch += 1
            owed += needs(w, slot)
        elif more > free:
            break
        tokens += new
        if c.adaptive:
            attention += attend(w.tables, w.bodies[me.body], new, r.cached)
        free -= more
        owed -= more
        r.chunk = new
        prefills += 1
        slot = r.next
    return prefills


def _bearable(w: World, i: int, past: int, tokens: int, attention: float) -> int:
    """The largest chunk after ``past`` tokens whose step meets the target of the decodes beside it.

    Args:
        w: the world.
        i: instance.
        past: tokens of the prompt that are computed.
        tokens: of the prompts before it in the step.
        attention: seconds of theirs.
    """
    me, taken = w.instances[i], w.instances[i].batch + tokens
    tile, most = TILE_TOKENS, int(me.chunk)
    for _ in range(2):
        low, high = taken // tile, most // tile
        while low < high:
            middle = (low + high + 1) // 2
            new = middle * tile - taken
            step_s = prefill_step_s(
                w, i, me.body, tokens + new, attention + attend(w.tables, w.bodies[me.body], new, past)
            )
            if step_s <= w.cluster[0].target_s:
                low = middle
            else:
                high = middle - 1
        if low * tile > taken:
            return int(low * tile - taken)
        tile, most = LEAST_TOKENS, int(taken + TILE_TOKENS)
    return 0 if tokens else int(LEAST_TOKENS - taken % LEAST_TOKENS)


def _owes(w: World, i: int, slot: int) -> int:
    """Blocks that a prompt computed in part has still to take, its next token's included."""
    r = w.requests[slot]
    return blocks(w, i, r.prefill + 1) - blocks(w, i, r.held) if r.held else 0


def take(w: World, i: int, count: int) -> tuple[int, float]:
    """Begin a step with chunks of the first ``count`` prompts: their memory is taken.

    Returns:
        New tokens, and the seconds of their attention.
    """
    me, body = w.instances[i], w.bodies[w.instances[i].body]
    tokens, attention = 0, 0.0
    for _ in range(count):
        slot = pop_front(w, i, WAITING)
        push_back(w, i, PREFILLS, slot)
        r = w.requests[slot]
        queue_tokens(w, i, -r.chunk)
        before, was_begun = blocks(w, i, r.held), 1 if r.held else 0
        me.owed -= _owes(w, i, slot)
        r.held = r.cached + r.chunk
        allocate(w, i, blocks(w, i, r.held) - before)
        me.begun += (0 if r.held == r.prefill else 1) - was_begun
        me.owed += 0 if r.held == r.prefill else _owes(w, i, slot)
        tokens += r.chunk
        attention += attend(w.tables, body, r.chunk, r.cached)
    return tokens, attention


def computed(w: World, i: int) -> None:
    """Note that a step's chunks are computed; prompts that go on return to the head, the others are left."""
    slot = head(w, i, PREFILLS)
    while slot != NOBODY:
        r = w.requests[slot]
        after = r.next
        r.cached = r.held
        if r.held < r.prefill:
            remove(w, i, PREFILLS, slot)
            _insert(w, i, slot)
        else:
            r.cached = r.held = 0
        slot = after


def again(w: World, i: int, slot: int) -> None:
    """Queue a request that lost its memory: first of all that are not begun."""
    r = w.requests[slot]
    r.cached = r.held = 0
    queue_tokens(w, i, r.prefill)
    _insert(w, i, slot)


def evict(w: World, i: int, slot: int) -> None:
    """Take the memory of a prompt that waits computed in part; it starts over."""
    r = w.requests[slot]
    remove(w, i, WAITING, slot)
    w.instances[i].begun -= 1
    w.instances[i].owed -= _owes(w, i, slot)
    allocate(w, i, -blocks(w, i, r.held))
    queue_tokens(w, i, -(r.prefill - r.cached))
    again(w, i, slot)


def youngest_begun(w: World, i: int) -> tuple[int, int]:
    """The last of the prompts that wait computed in part, and the last of them that is not to be spared."""
    last = fair = NOBODY
    slot = head(w, i, WAITING)
    while slot != NOBODY and w.requests[slot].held:
        last = slot
        if w.requests[slot].preemptions < w.cluster[0].max_preemptions:
            fair = slot
        slot = w.requests[slot].next
    return last, fair


def _insert(w: World, i: int, slot: int) -> None:
    """Put a request behind the begun ones that arrived before it, or behind all of them if it is not begun."""
    r, other = w.requests[slot], head(w, i, WAITING)
    while other != NOBODY:
        q = w.requests[other]
        if not q.held or (r.held and q.index > r.index):
            break
        other = q.next
    insert_before(w, i, WAITING, slot, other)
