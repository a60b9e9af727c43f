"""Who takes a request: the instance with the least pending tokens over its planned speed, or one of the other phase.

An instance is borrowed while it holds a request that it took for the other phase. Such a request is computed and
decoded where it is, so nothing of it moves and no two instances ever wait for each other's memory.
"""

from math import inf

from planner.simulator.core.memory import blocks
from planner.simulator.core.queues import least_loaded, load
from planner.simulator.core.state import NONE, World

PREFILL, DECODE, MIXED = range(3)
UNLIMITED = 1 << 60


def serves(w: World, request_class: int, role: int) -> bool:
    """Whether the plan has instances that take a phase of a class."""
    pools = int(w.cluster[0].pools)
    for p in range(pools):  # noqa: SIM110  a generator is not compiled
        if w.pools[p].role == role and w.serves[request_class * pools + p]:
            return True
    return False


def shortest(w: World, request_class: int, role: int) -> int:
    """The instance with the least load of those that take a phase of a class and are up, the first of equals."""
    found, least, pools = NONE, inf, int(w.cluster[0].pools)
    for p in range(pools):
        if w.pools[p].role == role and w.serves[request_class * pools + p]:
            i = least_loaded(w, p)
            if load(w, i) < least:
                found, least = i, load(w, i)
    return found


def too_long(w: World, i: int, prompt: int, output: int) -> bool:
    """Whether a request alone overflows the memory of an instance."""
    held = prompt + (0 if w.instances[i].role == PREFILL else output)
    return bool(blocks(w, i, held + 1) > w.instances[i].total)


def _borrows(w: World, role: int, i: int) -> bool:
    """Whether a phase whose least loaded instance is ``i`` looks for help."""
    c, waiting = w.cluster[0], UNLIMITED
    if i != NONE:
        me = w.instances[i]
        waiting = int(me.queue_tokens + me.prefill_tokens) if role == c.first_role else int(me.landing_tokens)
    return bool(waiting > (c.prefill_threshold if role == PREFILL else c.decode_threshold))


def _helper(w: World, request_class: int, role: int, tokens: int, alone: bool) -> int:
    """The other phase's instance that is borrowed: one that already is, else one that is not; or NONE.

    Args:
        w: the world.
        request_class: of the request.
        role: the phase that borrows.
        tokens: that the request will hold in the end.
        alone: the phase has no instance that is up: help at any cost.
    """
    c = w.cluster[0]
    other = int(c.then_role if role == c.first_role else c.first_role)
    for borrowed in (True, False):
        found, least = NONE, inf
        for p in range(c.pools):
            if w.pools[p].role != other or not w.serves[request_class * c.pools + p]:
                continue
            for i in range(w.pools[p].first, w.pools[p].first + w.pools[p].instances):
                fits = blocks(w, i, tokens + 1) <= w.instances[i].total
                if fits and (w.instances[i].borrowed > 0) == borrowed and load(w, i) < least:
                    found, least = i, load(w, i)
        pressed = _borrows(w, int(c.first_role), found) or _borrows(w, int(c.then_role), found)
        if found != NONE and (alone or not pressed):
            return found
    return NONE


def _help(w: World, request_class: int, role: int, own: int, tokens: int) -> int:
    """The instance of the other phase that takes a request, where the phase with its least loaded ``own`` borrows."""
    c = w.cluster[0]
    if not c.borrowing or c.then_role == NONE or not _borrows(w, role, own):
        return NONE
    return _helper(w, request_class, role, tokens, own == NONE)


def choose(w: World, request_class: int, tokens: int) -> tuple[int, int]:
    """The instances of both phases, chosen at arrival.

    One and the same where a phase borrows; no second where the class has none, or where an instance that does both
    phases has the shortest queue; no first where it has to wait for one.
    """
    c = w.cluster[0]
    first_role, then_role = int(c.first_role), int(c.then_role)
    first = shortest(w, request_class, first_role)
    both = shortest(w, request_class, MIXED) if first_role != MIXED else NONE
    if both != NONE and (first == NONE or load(w, both) < load(w, first)):
        return both, NONE
    helper = _help(w, request_class, first_role, first, tokens)
    if helper != NONE:
        return helper, helper
    if first == NONE or then_role == NONE or not serves(w, request_class, then_role):
        return first, NONE
    then = shortest(w, request_class, then_role)
    helper = _help(w, request_class, then_role, then, tokens)
    if helper != NONE:
        return helper, helper
    return (first if then != NONE else both), then
