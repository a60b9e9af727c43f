"""Order of the prompts that wait, where the policy has one: by ``planner.policies.order.rank_of``."""

from math import inf, isinf

from planner.policies.order import STRETCH_RATIO, rank_of
from planner.simulator.core.queues import chain, head, insert_before, length, remove
from planner.simulator.core.state import HEAD, LENGTH, NONE, TAIL, WAITING, World
from planner.simulator.core.streams import alone_s


def moves(w: World, i: int) -> bool:
    """Whether the order of the prompts that wait may change by itself."""
    return bool(w.instances[i].order and length(w, i, WAITING) > 0)


def _until_s(w: World, i: int, tokens: int) -> float:
    """Seconds from the first token of a prompt until so many are computed, alone, chunk by chunk."""
    me = w.instances[i]
    if not me.chunk:
        return alone_s(w, me.body, tokens, 0)
    base = (me.pool * w.cluster[0].bodies + me.body) * w.cluster[0].work_rows
    whole = tokens // me.chunk
    while w.works[base] < whole:  # the first place counts the chunks whose ends are known; they follow
        known = int(w.works[base])
        before = w.works[base + known] if known else 0.0
        w.works[base + known + 1] = before + alone_s(w, me.body, me.chunk, known * me.chunk)
        w.works[base] += 1
    ends_s, rest = w.works[base + whole] if whole else 0.0, tokens - whole * me.chunk
    return ends_s + (alone_s(w, me.body, rest, whole * me.chunk) if rest else 0.0)


def forget_work(w: World, i: int) -> None:
    """Predict the work of the prompts that wait anew: the instance has another clock."""
    slot = head(w, i, WAITING)
    while slot != NONE:
        w.requests[slot].whole_s = w.requests[slot].left_s = -1.0
        slot = w.requests[slot].next


def _predict(w: World, i: int, slot: int) -> None:
    """Predict the work of a prompt alone, all of it and what is left, where that is not known."""
    r, me = w.requests[slot], w.instances[i]
    if r.whole_s < 0.0:
        r.whole_s = _until_s(w, i, r.prefill)
    if r.left_s < 0.0:
        r.left_s = r.whole_s
        if r.cached and not me.chunk:
            r.left_s = alone_s(w, me.body, r.prefill - r.cached, r.cached)
        elif r.cached:
            r.left_s = max(0.0, r.whole_s - _until_s(w, i, r.cached))


def _rank(w: World, i: int, slot: int, now_s: float) -> float:
    """Rank of a prompt by the rule of the policy; before all others where it lost its memory after its first token."""
    r = w.requests[slot]
    if r.prefill > r.prompt:
        return -inf
    due_s = r.arrival_s + w.due_s[w.class_index[r.index]]
    if isinf(due_s):
        due_s = r.arrival_s + STRETCH_RATIO * r.whole_s
    return rank_of(w.instances[i].order, r.prefill, due_s, now_s, r.left_s, r.whole_s)


def arrange(w: World, i: int) -> None:
    """Put the prompts that wait in order: by priority, and of equal priority as follows.

    Those computed in part are sorted by the work they have left; one that is not passes them where it has less left
    and would else rank before them too late: a step of theirs may be lost waiting, and another shared with them.
    """
    now_s, at = w.cluster[0].now_s, chain(i, WAITING)
    if length(w, i, WAITING) < 2:
        return
    slot, partial = w.chains[at + HEAD], NONE
    w.chains[at + HEAD] = w.chains[at + TAIL] = NONE
    w.chains[at + LENGTH] = 0
    while slot != NONE:
        r = w.requests[slot]
        after = r.next
        _predict(w, i, slot)
        if r.held:
            partial = _among_partial(w, partial, slot)
        else:
            r.rank = _rank(w, i, slot, now_s)
            _sort_in(w, i, slot)
        slot = after
    _merge(w, i, partial)


def _among_partial(w: World, first: int, slot: int) -> int:
    """Put a prompt computed in part among those before it: priority, work left, arrival; the first of them."""
    r, before, after = w.requests[slot], NONE, first
    while after != NONE:
        q = w.requests[after]
        later = q.left_s > r.left_s or (q.left_s == r.left_s and q.index > r.index)
        if q.priority < r.priority or (q.priority == r.priority and later):
            break
        before, after = after, q.next
    r.next = after
    if before == NONE:
        return slot
    w.requests[before].next = slot
    return first


def _sort_in(w: World, i: int, slot: int) -> None:
    """Put a prompt among those in order, from behind: most stand where they stood."""
    r, after, before = w.requests[slot], NONE, w.chains[chain(i, WAITING) + TAIL]
    while before != NONE:
        q = w.requests[before]
        sooner = q.rank < r.rank or (q.rank == r.rank and q.index < r.index)
        if q.priority > r.priority or (q.priority == r.priority and sooner):
            break
        after, before = before, q.prev
    insert_before(w, i, WAITING, slot, after)


def _merge(w: World, i: int, partial: int) -> None:
    """Put the prompts computed in part, in order, among the others."""
    now_s, fresh = w.cluster[0].now_s, head(w, i, WAITING)
    while partial != NONE:
        r = w.requests[partial]
        after, rank = r.next, _rank(w, i, partial, now_s)
        new = min(r.prefill - r.cached, w.instances[i].chunk if w.instances[i].chunk else r.prefill)
        late_s = now_s + 2 * alone_s(w, w.instances[i].body, new, r.cached)
        while fresh != NONE and _passes(w, i, fresh, partial, rank, late_s):
            fresh = w.requests[fresh].next
        insert_before(w, i, WAITING, partial, fresh)
        partial = after


def _passes(w: World, i: int, fresh: int, partial: int, rank: float, late_s: float) -> bool:
    """Whether a prompt goes before one computed in part: of a higher priority, or of the same where it is too late."""
    one, other = w.requests[fresh], w.requests[partial]
    if one.priority != other.priority:
        return bool(one.priority > other.priority)
    return bool(_rank(w, i, fresh, late_s) < rank and one.left_s < other.left_s)


def partial_first(w: World, i: int) -> bool:
    """Let those that hold memory go before all that would need more; False where that changes nothing."""
    first = slot = head(w, i, WAITING)
    if first == NONE or w.requests[first].held:
        return False
    changed = False
    while slot != NONE:
        after = w.requests[slot].next
        if w.requests[slot].held:
            remove(w, i, WAITING, slot)
            insert_before(w, i, WAITING, slot, first)
            changed = True
        slot = after
    return changed
