"""Queues of requests, the heap of events, min segment trees of loads."""

from math import inf

from planner.simulator.core.state import CHAINS, HEAD, LENGTH, LINKS, NONE, TAIL, World

# --- chains of requests ----------------------------------------------------------------------------------------------


def chain(row: int, kind: int) -> int:
    """Where a queue stands: of an instance, a lane, or the cluster, whose row is that behind the lanes."""
    return (row * CHAINS + kind) * LINKS


def push_back(w: World, row: int, kind: int, slot: int) -> None:
    """Queue a request behind all others."""
    at = chain(row, kind)
    tail = w.chains[at + TAIL]
    w.requests[slot].next = NONE
    w.requests[slot].prev = tail
    if tail == NONE:
        w.chains[at + HEAD] = slot
    else:
        w.requests[tail].next = slot
    w.chains[at + TAIL] = slot
    w.chains[at + LENGTH] += 1


def insert_before(w: World, row: int, kind: int, slot: int, other: int) -> None:
    """Queue a request before another; behind all where that is NONE."""
    if other == NONE:
        push_back(w, row, kind, slot)
        return
    at, before = chain(row, kind), w.requests[other].prev
    w.requests[slot].prev = before
    w.requests[slot].next = other
    w.requests[other].prev = slot
    if before == NONE:
        w.chains[at + HEAD] = slot
    else:
        w.requests[before].next = slot
    w.chains[at + LENGTH] += 1


def remove(w: World, row: int, kind: int, slot: int) -> None:
    """Take a request out of a queue it is in."""
    at = chain(row, kind)
    before, after = w.requests[slot].prev, w.requests[slot].next
    if before == NONE:
        w.chains[at + HEAD] = after
    else:
        w.requests[before].next = after
    if after == NONE:
        w.chains[at + TAIL] = before
    else:
        w.requests[after].prev = before
    w.chains[at + LENGTH] -= 1


def queue_up(w: World, row: int, kind: int, slot: int) -> None:
    """Queue a request behind all others of its priority or a higher one."""
    mine, tail = w.requests[slot].priority, w.chains[chain(row, kind) + TAIL]
    if not w.cluster[0].tiers or tail == NONE or w.requests[tail].priority >= mine:
        push_back(w, row, kind, slot)
        return
    other = head(w, row, kind)
    while w.requests[other].priority >= mine:
        other = int(w.requests[other].next)
    insert_before(w, row, kind, slot, other)


def ahead(w: World, row: int, kind: int, slot: int) -> bool:
    """Whether any request in a queue goes before one that is not in it."""
    first = head(w, row, kind)
    return bool(first != NONE and w.requests[first].priority >= w.requests[slot].priority)


def by_tier(w: World, row: int, kind: int) -> None:
    """Put a queue in the order of priority; equals stay as they stand."""
    slot = head(w, row, kind)
    while slot != NONE:
        r = w.requests[slot]
        after, before, place = int(r.next), int(r.prev), slot
        while before != NONE and w.requests[before].priority < r.priority:
            place, before = before, int(w.requests[before].prev)
        if place != slot:
            remove(w, row, kind, slot)
            insert_before(w, row, kind, slot, place)
        slot = after


def pop_front(w: World, row: int, kind: int) -> int:
    """Take the first request out of a queue that is not empty."""
    slot = w.chains[chain(row, kind) + HEAD]
    remove(w, row, kind, slot)
    return int(slot)


def head(w: World, row: int, kind: int) -> int:
    """The first request of a queue, or NONE."""
    return int(w.chains[chain(row, kind) + HEAD])


def length(w: World, row: int, kind: int) -> int:
    """Requests in a queue."""
    return int(w.chains[chain(row, kind) + LENGTH])


# --- those that end: a heap per instance, by step and then by position in the trace ----------------------------------


def _sooner(w: World, a: int, b: int) -> bool:
    """Whether place ``a`` of the heaps comes before place ``b``."""
    one, other = w.dues[a], w.dues[b]
    return bool(one.step < other.step or (one.step == other.step and one.index < other.index))


def _swap_dues(w: World, a: int, b: int) -> None:
    """Exchange two places."""
    step, index, slot = w.dues[a].step, w.dues[a].index, w.dues[a].slot
    w.dues[a].step, w.dues[a].index, w.dues[a].slot = w.dues[b].step, w.dues[b].index, w.dues[b].slot
    w.dues[b].step, w.dues[b].index, w.dues[b].slot = step, index, slot


def _rise(w: World, base: int, at: int) -> None:
    """Move a place towards the top until its parent comes first."""
    while at > 0:
        parent = (at - 1) >> 1
        if not _sooner(w, base + at, base + parent):
            break
        _swap_dues(w, base + at, base + parent)
        at = parent


def _sink(w: World, base: int, at: int, count: int) -> None:
    """Move a place disabled from the top until its children come later."""
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        if child + 1 < count and _sooner(w, base + child + 1, base + child):
            child += 1
        if not _sooner(w, base + child, base + at):
            break
        _swap_dues(w, base + at, base + child)
        at = child


def push_due(w: World, k: int, step: int, slot: int) -> None:
    """Note the step after which a request ends."""
    me = w.lanes[k]
    base = k * w.cluster[0].due_rows
    at = me.due
    w.dues[base + at].step, w.dues[base + at].slot = step, slot
    w.dues[base + at].index = w.requests[slot].index
    me.due += 1
    _rise(w, base, at)


def remove_due(w: World, k: int, slot: int) -> None:
    """Strike a request off the heap; those that end are at the top, those thrown out anywhere."""
    me = w.lanes[k]
    base = k * w.cluster[0].due_rows
    at = 0
    while w.dues[base + at].slot != slot:
        at += 1
    me.due -= 1
    last = me.due
    if at != last:
        _swap_dues(w, base + at, base + last)
        _rise(w, base, at)
        _sink(w, base, at, last)


# --- events ----------------------------------------------------------------------------------------------------------


def _earlier(w: World, a: int, b: int) -> bool:
    """Whether event ``a`` comes before ``b``; of equal times the one scheduled first."""
    one, other = w.events[a], w.events[b]
    return bool(one.at_s < other.at_s or (one.at_s == other.at_s and one.number < other.number))


def _put(w: World, at: int, at_s: float, number: int, what: int) -> None:
    """Put an event in its place; lanes know the place of theirs."""
    one = w.events[at]
    one.at_s, one.number, one.what = at_s, number, what
    if what >= 0:
        w.lanes[what].place = at


def _lift(w: World, hole: int, at_s: float, number: int, what: int) -> None:
    """Put an event where there is a hole, or, where ones above are later, higher up and those down a place."""
    while hole > 0:
        parent = (hole - 1) >> 1
        above = w.events[parent]
        if above.at_s < at_s or (above.at_s == at_s and above.number < number):
            break
        _put(w, hole, above.at_s, above.number, above.what)
        hole = parent
    _put(w, hole, at_s, number, what)


def _close(w: World, hole: int) -> None:
    """Close a hole: the earlier of the two below moves up, and so on, and the last of all fills the hole at the end.

    The last is a late one most of the time: asking at every level whether it fits would be in vain.
    """
    c = w.cluster[0]
    c.events -= 1
    count = c.events
    if hole == count:
        return
    child = 2 * hole + 1
    while child < count:
        if child + 1 < count and _earlier(w, child + 1, child):
            child += 1
        one = w.events[child]
        _put(w, hole, one.at_s, one.number, one.what)
        hole = child
        child = 2 * hole + 1
    last = w.events[count]
    _lift(w, hole, last.at_s, last.number, last.what)


def schedule(w: World, what: int, delay_s: float) -> None:
    """Schedule an event after ``delay_s``; a lane has one at most, and an earlier one of it is cancelled."""
    c = w.cluster[0]
    c.number += 1
    at_s, place = c.now_s + delay_s, int(w.lanes[what].place) if what >= 0 else NONE
    if place != NONE and w.events[place].at_s <= at_s:
        _close(w, place)
        place = NONE
    if place == NONE and c.taken:
        c.taken = 0
        _settle(w, at_s, int(c.number), what)
        return
    if place == NONE:
        place = int(c.events)
        c.events += 1
    _lift(w, place, at_s, int(c.number), what)  # an earlier end of a run rises from where it is


def cancel_event(w: World, place: int) -> None:
    """Take an event off the heap."""
    _close(w, place)


def next_event(w: World) -> int:
    """Take the first event off the heap, which is not empty; the event scheduled next, if any, takes its place."""
    what = w.events[0].what
    w.cluster[0].taken = 1
    if what >= 0:
        w.lanes[what].place = NONE
    return int(what)


def close_taken(w: World) -> None:
    """Close the hole of the event taken last, if no other took its place."""
    if w.cluster[0].taken:
        w.cluster[0].taken = 0
        _close(w, 0)


def _settle(w: World, at_s: float, number: int, what: int) -> None:
    """Put an event at the top and let it sink below those that are earlier."""
    hole, child, count = 0, 1, int(w.cluster[0].events)
    while child < count:
        if child + 1 < count and _earlier(w, child + 1, child):
            child += 1
        one = w.events[child]
        if at_s < one.at_s or (at_s == one.at_s and number < one.number):
            break
        _put(w, hole, one.at_s, one.number, one.what)
        hole, child = child, 2 * child + 1
    _put(w, hole, at_s, number, what)


# --- loads -----------------------------------------------------------------------------------------------------------


def add_pending(w: World, i: int, tokens: int) -> None:
    """Change the pending tokens of an instance."""
    me = w.instances[i]
    me.pending += tokens  # whole: rounding must not tell equals apart
    if me.disabled == 0:
        _weigh(w, i, me.pending * w.pools[me.pool].weight)


def promised(w: World, slot: int) -> int:
    """Tokens that a request counts where it is decoded, from its arrival to its end: prompt and foreseen output."""
    return int(w.requests[slot].prompt + w.cluster[0].foreseen)


def _weigh(w: World, i: int, weight: float) -> None:
    """Set the load of an instance in the segment tree of its pool."""
    pool = w.pools[w.instances[i].pool]
    loads, base = w.loads, pool.tree
    at = pool.leaves + i - pool.first
    loads[base + at] = weight
    while at > 1:
        at >>= 1
        least = min(loads[base + 2 * at], loads[base + 2 * at + 1])
        if loads[base + at] == least:
            break
        loads[base + at] = least


def disable(w: World, i: int) -> None:
    """Let an instance take nothing: it is closed or has failed, perhaps both."""
    me = w.instances[i]
    if me.disabled == 0:
        _weigh(w, i, inf)
    me.disabled += 1


def enable(w: World, i: int) -> None:
    """Undo that once."""
    me = w.instances[i]
    me.disabled -= 1
    if me.disabled == 0:
        _weigh(w, i, me.pending * w.pools[me.pool].weight)


def least_loaded(w: World, p: int) -> int:
    """The instance of a pool with the least load, the first of equals; its load is endless where all are disabled."""
    pool = w.pools[p]
    loads, base, at = w.loads, pool.tree, 1
    while at < pool.leaves:
        at = 2 * at + (1 if loads[base + 2 * at + 1] < loads[base + 2 * at] else 0)
    return int(pool.first + at - pool.leaves)


def load(w: World, i: int) -> float:
    """Pending tokens of an instance over its planned speed; no end where it is disabled."""
    pool = w.pools[w.instances[i].pool]
    return float(w.loads[pool.tree + pool.leaves + i - pool.first])
