"""Who takes a request where memory is reserved for the whole of it at arrival: the public Splitwise simulator's rules.

A prompt goes to the instance with the least pending tokens, its decode to the one with the least memory promised to all
that was ever sent there; each is looked for in its own pool, then in the mixed pool. An instance of the other pool that
helps out joins the mixed pool and stays until it holds no request. Of equals the one that has been in its pool longest.

Source: Mutinifni/splitwise-sim (MIT), MixedPoolScheduler and TokenJSQScheduler; rules restated.
"""

from planner.simulator.core.memory import blocks
from planner.simulator.core.queues import add_pending, length
from planner.simulator.core.routing import DECODE, MIXED, PREFILL
from planner.simulator.core.state import NONE, WAITING, World

OWN, BORROWED, ANY = range(3)
"""Which instances are asked: those of a pool that are not borrowed, those in the mixed pool, or all."""


def _before(w: World, i: int, other: int, by_memory: bool, group: int, other_group: int) -> bool:
    """Whether instance ``i`` is to be chosen before another."""
    me, it = w.instances[i], w.instances[other]
    one, two = (me.reserved, it.reserved) if by_memory else (me.pending, it.pending)
    if one != two:
        return bool(one < two)
    if group != other_group:
        return group < other_group
    return bool(me.turn < it.turn)


def _least(w: World, slot: int, role: int, which: int, by_memory: bool) -> int:
    """The instance with the least pending tokens, or the least reserved memory, of those that are asked; or NONE."""
    found, of_group, pools = NONE, 0, int(w.cluster[0].pools)
    serves = int(w.class_index[w.requests[slot].index]) * pools
    for p in range(pools):
        pool = w.pools[p]
        if not w.serves[serves + p] or (which == OWN and pool.role != role):
            continue
        for i in range(pool.first, pool.first + pool.instances):
            borrowed = w.instances[i].borrowed
            if (which == OWN and borrowed) or (which == BORROWED and not borrowed):
                continue
            group = 1 if borrowed else 2 * int(pool.role == DECODE)
            if found == NONE or _before(w, i, found, by_memory, group, of_group):
                found, of_group = i, group
    return found


def _computes(w: World, slot: int, which: int) -> int:
    """Who takes a prompt of those that are asked: not one that has a queue, beyond the threshold with this prompt."""
    i, prompt = _least(w, slot, PREFILL, which, False), int(w.requests[slot].prompt)
    if i != NONE and length(w, i, WAITING) and w.instances[i].pending + prompt > w.cluster[0].prefill_threshold:
        return NONE
    return i


def _decodes(w: World, slot: int, which: int) -> int:
    """Who takes a decode of those that are asked: not one whose memory would be promised to its end."""
    i, r = _least(w, slot, DECODE, which, True), w.requests[slot]
    if i != NONE and blocks(w, i, int(w.instances[i].reserved + r.prompt + r.output)) > w.instances[i].total:
        return NONE
    return i


def _borrow(w: World, i: int) -> int:
    """Let an instance join the mixed pool; it is ``i``, or none."""
    if i != NONE:
        w.instances[i].borrowed = 1
        _join_last(w, i)
    return i


def _join_last(w: World, i: int) -> None:
    """Let an instance be the last of its pool."""
    w.cluster[0].turns += 1
    w.instances[i].turn = w.cluster[0].turns


def return_if_idle(w: World, i: int) -> None:
    """Let an instance that holds no request leave the mixed pool."""
    if w.instances[i].borrowed:
        w.instances[i].borrowed = 0
        _join_last(w, i)


def choose_reserved(w: World, slot: int) -> tuple[int, int]:
    """The instances that compute and that decode a request, and the memory and the tokens it adds to them."""
    r, first_role = w.requests[slot], int(w.cluster[0].first_role)
    if first_role == MIXED:
        first = then = _least(w, slot, MIXED, OWN, False)
    else:
        first, then = _computes(w, slot, OWN), _decodes(w, slot, OWN)
        if first == NONE:
            first = _computes(w, slot, BORROWED)
        if then == NONE:
            then = _decodes(w, slot, BORROWED)
        if first == NONE:
            first = _borrow(w, _least(w, slot, DECODE, OWN, False))
        if then == NONE:
            then = _borrow(w, _least(w, slot, PREFILL, OWN, True))
        if first == NONE or then == NONE:
            first = then = _least(w, slot, PREFILL, ANY, False)
    if first == NONE:
        return NONE, NONE
    w.instances[first].reserved += r.prompt + (1 if first != then else r.output)
    if first != then:
        w.instances[then].reserved += r.prompt + r.output
    add_pending(w, first, int(r.prompt))
    add_pending(w, then, 1)
    return first, then
