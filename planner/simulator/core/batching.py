"""The prompts that wait at an instance, whole or in chunks, and what a step takes of them."""

from planner.policies.batching import LEAST_TOKENS, TILE_TOKENS
from planner.policies.dealing import prompts_at_once
from planner.simulator.core.holding import holds, missed
from planner.simulator.core.ledger import allocate, queue_tokens
from planner.simulator.core.memory import admits, blocks, needs, policy_blocks, running
from planner.simulator.core.queues import head, insert_before, length, pop_front, push_back, remove
from planner.simulator.core.state import NONE, PREFILLS, WAITING, World
from planner.simulator.core.steps import hops_s, step_s
from planner.simulator.core.streams import beside_tokens, stream_s
from planner.simulator.core.surfaces import attend


def fitting(w: World, k: int, free: int) -> int:
    """How many prompts from the head of the queue the next step of a lane computes; each knows its chunk then.

    Args:
        w: the world.
        k: lane.
        free: blocks left when the batch has those of its next token.
    """
    i = w.lanes[k].instance
    batch = max(w.lanes[k].batch, running(w, i) // w.instances[i].lanes)
    if w.instances[i].chunk:
        return _chunks(w, k, free, batch)
    ranks, prefills, before, tokens = w.bodies[w.lanes[k].body].ranks, 0, 0, 0
    slot = head(w, i, WAITING)
    while slot != NONE:
        r = w.requests[slot]
        if prefills % ranks == 0:  # every rank has a prompt more; the fullest is counted with the longest of each round
            before, tokens = before + tokens, 0
        tokens = max(tokens, r.prefill)
        if prefills >= ranks and before + tokens > w.instances[i].max_batch_tokens:
            break
        if missed(w, k, slot) or not admits(w, i, slot, batch + prefills, free):
            break
        free -= needs(w, slot)
        r.chunk = r.prefill - r.cached
        prefills += 1
        slot = r.next
    if prefills and holds(w, k):
        rounds = max(1, w.instances[i].max_batch_tokens // w.requests[head(w, i, WAITING)].prefill)
        return min(prefills, prompts_at_once(length(w, i, WAITING), ranks, int(rounds)))
    return prefills


def _chunks(w: World, k: int, free: int, batch: int) -> int:
    """As much of every prompt from the head as its chunk, slots and memory allow."""
    i = int(w.lanes[k].instance)
    me, body = w.instances[i], w.bodies[w.lanes[k].body]
    prefills, tokens, attention, owed = 0, 0, 0.0, me.owed
    slot = head(w, i, WAITING)
    while slot != NONE:
        r = w.requests[slot]
        left, beside = r.prefill - r.cached, tokens
        if body.groups > 1:
            beside = beside_tokens(w, w.lanes[k].body, head(w, i, WAITING), prefills, r.cached)
        new = min(left, _most(w, k, slot, prefills, tokens, beside, attention))
        if new <= 0 or (beside and beside + new > me.max_batch_tokens):
            break
        more = policy_blocks(w, r.cached + new + (1 if new == left else 0)) - policy_blocks(w, r.held)
        if r.held == 0:
            if missed(w, k, slot) or not admits(w, i, slot, batch, free - owed):
                break
            batch += 1
            owed += needs(w, slot)
        elif more > free:
            break
        tokens += new
        if me.adaptive:
            attention += attend(w.tables, body, new, r.cached)
        free -= more
        owed -= more
        r.chunk = new
        prefills += 1
        slot = r.next
    return prefills


def _most(w: World, k: int, slot: int, prefills: int, tokens: int, beside: int, attention: float) -> int:
    """Most tokens of one prompt to compute in a step of a lane.

    Args:
        w: the world.
        k: lane.
        slot: the prompt.
        prefills: prompts that the step computes already.
        tokens: of those.
        beside: of those, on the GPUs that compute this one.
        attention: seconds of those.
    """
    me, rules = w.lanes[k], w.instances[w.lanes[k].instance]
    budget = rules.chunk
    if rules.alone:
        return int(budget - tokens)
    if rules.decode_maximal:
        return 0 if prefills else int(budget - (w.cluster[0].max_batch_size - 1))
    if rules.adaptive and me.batch:
        return _bearable(w, k, slot, prefills, beside, attention)
    return int(budget - me.batch - beside)


def _bearable(w: World, k: int, slot: int, prefills: int, beside: int, attention: float) -> int:
    """The largest chunk of a prompt whose step meets the target of the decodes beside it.

    Args:
        w: the world.
        k: lane.
        slot: the prompt.
        prefills: prompts before it in the step.
        beside: tokens of those, on the GPUs that compute this one.
        attention: seconds of theirs.
    """
    taken = w.lanes[k].batch + beside
    tile, most = TILE_TOKENS, int(w.instances[w.lanes[k].instance].chunk)
    for _ in range(2):
        low, high = taken // tile, most // tile
        while low < high:
            middle = (low + high + 1) // 2
            if _with_s(w, k, slot, prefills, middle * tile - taken, beside, attention) <= w.cluster[0].target_s:
                low = middle
            else:
                high = middle - 1
        if low * tile > taken:
            return int(low * tile - taken)
        tile, most = LEAST_TOKENS, int(taken + TILE_TOKENS)
    return 0 if prefills else int(LEAST_TOKENS - taken % LEAST_TOKENS)


def _with_s(w: World, k: int, slot: int, prefills: int, new: int, beside: int, attention: float) -> float:
    """Seconds of the step of a lane with ``new`` tokens of one more prompt; the rest is as in ``_bearable``."""
    me, r = w.lanes[k], w.requests[slot]
    body = w.bodies[me.body]
    if body.streams > 1 or body.groups > 1:
        r.chunk = new
        return stream_s(w, me.body, me.batch, me.context, head(w, me.instance, WAITING), prefills + 1, False)
    attention += attend(w.tables, body, new, r.cached)
    mean = me.context / me.batch
    return step_s(w, me.body, beside + new, attention, me.batch, mean) + hops_s(body, beside + new + me.batch)


def _owes(w: World, i: int, slot: int) -> int:
    """Blocks that a prompt computed in part has still to take, its next token's included."""
    r = w.requests[slot]
    return blocks(w, i, r.prefill + 1) - blocks(w, i, r.held) if r.held else 0


def take(w: World, k: int, count: int) -> tuple[int, float, bool]:
    """Begin a step of a lane with chunks of the first ``count`` prompts: their memory is taken.

    Prompts are dealt to attention ranks in rounds, and each round counts with the longest of it.

    Returns:
        New tokens of the fullest rank, the seconds of their attention, and whether any prompt ends with it.
    """
    i = w.lanes[k].instance
    me, body = w.instances[i], w.bodies[w.lanes[k].body]
    tokens, attention, ends, longest, slowest = 0, 0.0, False, 0, 0.0
    for number in range(count):
        slot = pop_front(w, i, WAITING)
        push_back(w, k, PREFILLS, slot)
        r = w.requests[slot]
        queue_tokens(w, i, -r.chunk)
        before, was_partial = blocks(w, i, r.held), 1 if r.held else 0
        me.owed -= _owes(w, i, slot)
        r.held = r.cached + r.chunk
        allocate(w, i, blocks(w, i, r.held) - before)
        me.partial += (0 if r.held == r.prefill else 1) - was_partial
        me.owed += 0 if r.held == r.prefill else _owes(w, i, slot)
        ends = ends or r.held == r.prefill
        if number % body.ranks == 0:
            tokens, attention, longest, slowest = tokens + longest, attention + slowest, 0, 0.0
        longest = max(longest, r.chunk)
        slowest = max(slowest, attend(w.tables, body, r.chunk, r.cached))
        me.prefill_tokens += r.chunk
    return int(tokens + longest), attention + slowest, ends


def computed(w: World, k: int) -> None:
    """Note that a step's chunks are computed; prompts that go on return to the head, the others are left."""
    i, slot = w.lanes[k].instance, head(w, k, PREFILLS)
    while slot != NONE:
        r = w.requests[slot]
        after = r.next
        w.instances[i].prefill_tokens -= r.chunk
        r.cached, r.left_s = r.held, -1.0
        if r.held < r.prefill:
            remove(w, k, PREFILLS, slot)
            _insert(w, i, slot)
        else:
            r.cached = r.held = 0
        slot = after


def again(w: World, i: int, slot: int) -> None:
    """Queue a request that lost its memory: first of its priority's that are not computed in part."""
    r = w.requests[slot]
    r.cached = r.held = 0
    r.whole_s = r.left_s = -1.0
    queue_tokens(w, i, r.prefill)
    _insert(w, i, slot)


def evict(w: World, i: int, slot: int) -> None:
    """Take the memory of a prompt that waits computed in part; it starts over."""
    r = w.requests[slot]
    remove(w, i, WAITING, slot)
    w.instances[i].partial -= 1
    w.instances[i].owed -= _owes(w, i, slot)
    allocate(w, i, -blocks(w, i, r.held))
    queue_tokens(w, i, -(r.prefill - r.cached))
    again(w, i, slot)


def youngest_partial(w: World, i: int, priority: int) -> tuple[int, int]:
    """The last to arrive of a priority's prompts that wait computed in part, and of them the last not to be spared."""
    last = fair = NONE
    slot = head(w, i, WAITING)
    while slot != NONE and (w.requests[slot].held or w.instances[i].order or w.cluster[0].tiers):
        r = w.requests[slot]
        mine = r.held and r.priority == priority
        if mine and (last == NONE or r.index > w.requests[last].index):
            last = slot
        spared = r.preemptions >= w.cluster[0].max_preemptions
        if mine and not spared and (fair == NONE or r.index > w.requests[fair].index):
            fair = slot
        slot = r.next
    return last, fair


def _insert(w: World, i: int, slot: int) -> None:
    """Queue a request in its tier: behind those computed in part that arrived before it; if it is not, behind all."""
    r, other = w.requests[slot], head(w, i, WAITING)
    while other != NONE:
        q = w.requests[other]
        equal = q.priority == r.priority
        if q.priority < r.priority or (equal and (not q.held or (r.held and q.index > r.index))):
            break
        other = q.next
    insert_before(w, i, WAITING, slot, other)
