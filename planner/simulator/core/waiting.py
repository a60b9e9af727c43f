"""The queue of an instance that serves by the public Splitwise simulator's rules, as a tree beside the chain.

The tree finds the request at a place, the place of a request, and who comes first of a kind, in as many steps as the
queue has digits: a treap in the order of the queue, whose branches know what they hold. How often a request was left
out is kept as of the day the queue began, so that a step does not touch those who wait.
"""

from planner.simulator.core.memory import blocks
from planner.simulator.core.queues import insert_before, length, remove
from planner.simulator.core.state import NONE, WAITING, World

FRESH, LEFT_OUT, TWIN, CHOSEN = range(4)
"""``mark`` of those who queue: new here; left out of a step; the decode of a prompt that is not computed yet; chosen
for the next step. The row of a request is its prompt's, then its decode's; only where both are to run at one instance
does the decode queue from the start, in a row of its own."""

PROMPTS, BLOCKED, OTHERS = range(3)
"""Kinds of which the first is asked: prompts and all others by arrival, those left out by when they were."""

ENDLESS = 1 << 60


def is_prompt(w: World, slot: int) -> bool:
    """Whether a row stands for a prompt that is not computed yet."""
    r = w.requests[slot]
    return bool(r.generated == 0 and r.mark != TWIN)


def _waits(w: World, slot: int) -> bool:
    """Whether a row stands for a decode whose prompt is not computed yet: no step leaves that out."""
    r = w.requests[slot]
    return bool(r.mark == TWIN or (r.mark == CHOSEN and r.sent == TWIN))


def times_left_out(w: World, i: int, slot: int) -> int:
    """How often one who queues was left out of a step."""
    return int(w.requests[slot].preemptions + (0 if _waits(w, slot) else w.instances[i].left_out))


# --- what branches hold ----------------------------------------------------------------------------------------------


def _sooner(w: World, kind: int, one: int, other: int) -> int:
    """Which of two rows of a kind comes first; one that is NONE comes last."""
    if one == NONE or other == NONE:
        return one + other - NONE
    a, b = w.requests[one], w.requests[other]
    return one if (a.rank < b.rank if kind == BLOCKED else a.index < b.index) else other


def _sum_up(w: World, slot: int) -> None:
    """Work out what a branch holds from its sides and the row between them."""
    n, r = w.waits[slot], w.requests[slot]
    mark = r.mark
    n.size, n.chunk, n.needed, n.fewest = 1, r.chunk, n.needs, r.preemptions
    n.prompt = n.blocked = n.other = NONE
    if mark == TWIN or (mark == CHOSEN and r.sent == TWIN):
        n.fewest = -ENDLESS if w.cluster[0].max_preemptions > 0 else ENDLESS
    elif mark != CHOSEN:
        n.other = slot
        if r.generated == 0:
            n.prompt = slot
        if mark == LEFT_OUT:
            n.blocked = slot
    if n.left != NONE:
        _add(w, slot, int(n.left))
    if n.right != NONE:
        _add(w, slot, int(n.right))


def _add(w: World, slot: int, side: int) -> None:
    """Count what a side holds in the branch above it."""
    n, b = w.waits[slot], w.waits[side]
    n.size += b.size
    n.chunk, n.needed, n.fewest = max(n.chunk, b.chunk), min(n.needed, b.needed), min(n.fewest, b.fewest)
    n.prompt = _sooner(w, PROMPTS, int(n.prompt), int(b.prompt))
    n.blocked = _sooner(w, BLOCKED, int(n.blocked), int(b.blocked))
    n.other = _sooner(w, OTHERS, int(n.other), int(b.other))


def changed(w: World, slot: int) -> None:
    """One who queues, or whose side of the tree, is not what it was: tell every branch it is in."""
    while slot != NONE:
        _sum_up(w, slot)
        slot = int(w.waits[slot].up)


def computed_twin(w: World, i: int, slot: int) -> None:
    """The prompt of a decode that queues at the same instance is computed: from now on steps may leave it out."""
    r = w.requests[slot]
    r.mark = FRESH
    r.preemptions -= w.instances[i].left_out
    changed(w, slot)


# --- the tree --------------------------------------------------------------------------------------------------------


def _height(slot: int) -> int:
    """What keeps the tree low: a number that looks drawn, of a row; a row is above those with a lower one."""
    mixed = (slot + 1) * 0x45D9F3B & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 16) * 0x45D9F3B & 0xFFFFFFFF
    return mixed ^ mixed >> 16


def _stand_in(w: World, i: int, slot: int, other: int) -> None:
    """Let another row, or none, have the place of a row below the one above it."""
    up = int(w.waits[slot].up)
    if up == NONE:
        w.instances[i].root = other
    elif w.waits[up].left == slot:
        w.waits[up].left = other
    else:
        w.waits[up].right = other
    if other != NONE:
        w.waits[other].up = up


def _lift(w: World, i: int, slot: int) -> None:
    """Let a row and the one above it change places; the order stays."""
    n, above = w.waits[slot], int(w.waits[slot].up)
    o = w.waits[above]
    _stand_in(w, i, above, slot)
    if o.left == slot:
        between, n.right = int(n.right), above
        o.left = between
    else:
        between, n.left = int(n.left), above
        o.right = between
    o.up = slot
    if between != NONE:
        w.waits[between].up = above


def _at(w: World, i: int, place: int) -> int:
    """The row at a place of the queue, from 0."""
    slot = int(w.instances[i].root)
    while True:
        n = w.waits[slot]
        before = 0 if n.left == NONE else int(w.waits[n.left].size)
        if place == before:
            return slot
        if place < before:
            slot = int(n.left)
        else:
            slot, place = int(n.right), place - before - 1


def _put(w: World, i: int, slot: int, place: int) -> None:
    """Let a row have a place in the queue."""
    insert_before(w, i, WAITING, slot, _at(w, i, place) if place < length(w, i, WAITING) else NONE)
    n, before, after = w.waits[slot], int(w.requests[slot].prev), int(w.requests[slot].next)
    n.left = n.right = n.up = NONE
    n.needs = 0 if w.requests[slot].mark == LEFT_OUT else blocks(w, i, int(w.requests[slot].held))
    if before != NONE and w.waits[before].right == NONE:
        w.waits[before].right, n.up = slot, before
    elif after != NONE:
        w.waits[after].left, n.up = slot, after
    else:
        w.instances[i].root = slot
    while n.up != NONE and _height(slot) > _height(int(n.up)):
        above = int(n.up)
        _lift(w, i, slot)
        _sum_up(w, above)
    changed(w, slot)


def take_out(w: World, i: int, slot: int) -> None:
    """Let a row leave the queue."""
    remove(w, i, WAITING, slot)
    n = w.waits[slot]
    while n.left != NONE and n.right != NONE:
        _lift(w, i, int(n.left) if _height(int(n.left)) > _height(int(n.right)) else int(n.right))
    _stand_in(w, i, slot, int(n.left) if n.left != NONE else int(n.right))
    changed(w, int(n.up))
    w.requests[slot].preemptions = times_left_out(w, i, slot)


# --- who queues where, and who is next -------------------------------------------------------------------------------


def queue(w: World, i: int, slot: int) -> None:
    """Queue a task behind those that were left out less often, or as often and arrived before it.

    The place is found by halving, as if the queue were in that order: decodes whose prompts wait break it.
    """
    r, low, high = w.requests[slot], 0, length(w, i, WAITING)
    while low < high:
        middle = (low + high) >> 1
        other = _at(w, i, middle)
        theirs = times_left_out(w, i, other)
        if r.preemptions < theirs or (r.preemptions == theirs and r.arrival_s < w.requests[other].arrival_s):
            high = middle
        else:
            low = middle + 1
    if not _waits(w, slot):
        r.preemptions -= w.instances[i].left_out
    _put(w, i, slot, low)


def first_of(w: World, i: int, kind: int) -> int:
    """The first of a kind that is not chosen yet, or NONE."""
    root = int(w.instances[i].root)
    if root == NONE:
        return NONE
    n = w.waits[root]
    return int(n.prompt if kind == PROMPTS else n.blocked if kind == BLOCKED else n.other)


def next_to_look_at(w: World, i: int, slot: int, room: int, free: int) -> int:
    """From a row on, the first that was not left out too often, has no room in tokens, or finds memory; or NONE."""
    while slot != NONE:
        if _stands_out(w, i, slot, room, free):
            return slot
        below = int(w.waits[slot].right)
        if below != NONE and _holds_one(w, i, below, room, free):
            return _lowest(w, i, below, room, free)
        while w.waits[slot].up != NONE and w.waits[w.waits[slot].up].right == slot:
            slot = int(w.waits[slot].up)
        slot = int(w.waits[slot].up)
    return NONE


def _lowest(w: World, i: int, slot: int, room: int, free: int) -> int:
    """The first row of a branch that stands out; there is one."""
    while True:
        left = int(w.waits[slot].left)
        if left != NONE and _holds_one(w, i, left, room, free):
            slot = left
        elif _stands_out(w, i, slot, room, free):
            return slot
        else:
            slot = int(w.waits[slot].right)


def _stands_out(w: World, i: int, slot: int, room: int, free: int) -> bool:
    """Whether a row is to be looked at."""
    few = times_left_out(w, i, slot) < w.cluster[0].max_preemptions
    return bool(few or w.requests[slot].chunk > room or w.waits[slot].needs <= free)


def _holds_one(w: World, i: int, slot: int, room: int, free: int) -> bool:
    """Whether a branch holds a row that is to be looked at."""
    n = w.waits[slot]
    few = n.fewest + w.instances[i].left_out < w.cluster[0].max_preemptions
    return bool(few or n.chunk > room or n.needed <= free)
