"""The queue of the public Splitwise simulator's rules: the tree says what a plain list would say, in fewer steps."""

from math import log2
from types import SimpleNamespace as Row
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from planner.simulator.core import waiting
from planner.simulator.core.queues import chain, head, length
from planner.simulator.core.state import CHAINS, LENGTH, LINKS, NONE, WAITING
from planner.simulator.core.waiting import BLOCKED, CHOSEN, FRESH, LEFT_OUT, OTHERS, PROMPTS, TWIN

MOST = 4
"""Times that one may be left out."""


def world(rows: int) -> Any:
    """One instance with nothing queued, and so many rows."""
    chains = [NONE] * (CHAINS * LINKS)
    chains[chain(0, WAITING) + LENGTH] = 0
    empty = {"preemptions": 0, "mark": FRESH, "sent": FRESH, "generated": 0, "rank": 0.0, "next": NONE, "prev": NONE}
    return Row(
        cluster=[Row(max_preemptions=MOST)], chains=chains, bodies=[Row(block_tokens=16)],
        instances=[Row(body=0, root=NONE, left_out=0)],
        requests=[Row(index=n, arrival_s=float(n), chunk=1, held=1, **empty) for n in range(rows)],
        waits=[Row() for _ in range(rows)],
    )  # fmt: skip


def queued(w: Any) -> list[int]:
    """The rows that queue, first to last."""
    found, slot = [], head(w, 0, WAITING)
    while slot != NONE:
        found.append(slot)
        slot = w.requests[slot].next
    assert len(found) == length(w, 0, WAITING)
    return found


class Plain:
    """The same queue as a list, each number counted up in each step."""

    def __init__(self, w: Any) -> None:
        """Empty."""
        self.w, self.line, self.times = w, list[int](), dict[int, int]()

    def queue(self, slot: int, times: int) -> None:
        """Find the place by halving."""
        mine, low, high = (times, self.w.requests[slot].arrival_s), 0, len(self.line)
        while low < high:
            middle = (low + high) // 2
            other = self.line[middle]
            if mine < (self.times[other], self.w.requests[other].arrival_s):
                high = middle
            else:
                low = middle + 1
        self.line.insert(low, slot)
        self.times[slot] = times

    def step(self) -> None:
        """Who queues was left out once more, but for decodes whose prompt is not computed."""
        for slot in self.line:
            self.times[slot] += self.w.requests[slot].mark != TWIN

    def first(self, kind: int) -> int:
        """The first of a kind, looked for from end to end."""
        free = [s for s in self.line if self.w.requests[s].mark not in (CHOSEN, TWIN)]
        if kind == BLOCKED:
            free = [s for s in free if self.w.requests[s].mark == LEFT_OUT]
            return min(free, key=lambda s: self.w.requests[s].rank, default=NONE)
        free = [s for s in free if kind == OTHERS or self.w.requests[s].generated == 0]
        return min(free, key=lambda s: self.w.requests[s].index, default=NONE)

    def look_at(self, room: int, free: int) -> int:
        """The first that was not left out too often, has no room, or finds memory."""

        def needs(slot: int) -> int:
            r = self.w.requests[slot]
            return 0 if LEFT_OUT in (r.mark, r.sent) else -(-r.held // 16)

        seen = (s for s in self.line if self.times[s] < MOST or self.w.requests[s].chunk > room or needs(s) <= free)
        return next(seen, NONE)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "twin", "left out", "step", "compute", "choose", "go"]),
        st.integers(0, 99), st.integers(1, 400),
    ),
    max_size=80,
)  # fmt: skip


@given(moves=MOVES, room=st.integers(0, 300), free=st.integers(0, 20))
def test_the_tree_is_the_list(moves: list[tuple[str, int, int]], room: int, free: int) -> None:
    """Places, first ones, and who is helped are those of a plain list, whatever comes, waits and goes."""
    w = world(len(moves) + 1)
    plain, new = Plain(w), 0
    for what, number, size in moves:
        r, known = w.requests[new], [s for s in plain.line if w.requests[s].mark in (FRESH, LEFT_OUT)]
        if what in ("come", "twin", "left out"):
            r.arrival_s, r.index, r.chunk, r.held = float(number % 7), new * 37 % 101, size, size
            r.mark = {"come": FRESH, "twin": TWIN, "left out": LEFT_OUT}[what]
            r.preemptions, r.rank, r.generated = (0 if what == "twin" else number % 6), -float(new), size % 2
            plain.queue(new, r.preemptions)
            waiting.queue(w, 0, new)
            new += 1
        elif what == "step":
            plain.step()
            w.instances[0].left_out += 1
        elif what == "compute":
            for slot in [s for s in plain.line if w.requests[s].mark == TWIN][:1]:
                waiting.computed_twin(w, 0, slot)
        elif what == "choose" and known:
            r = w.requests[known[number % len(known)]]
            r.sent, r.mark = r.mark, CHOSEN
            waiting.changed(w, known[number % len(known)])
        elif what == "go" and plain.line:
            slot = plain.line.pop(number % len(plain.line))
            waiting.take_out(w, 0, slot)
            assert w.requests[slot].preemptions == plain.times[slot]
        assert queued(w) == plain.line
        assert [waiting.first_of(w, 0, kind) for kind in (PROMPTS, BLOCKED, OTHERS)] == [
            plain.first(kind) for kind in (PROMPTS, BLOCKED, OTHERS)
        ]
        if plain.line:
            assert waiting.next_to_look_at(w, 0, plain.line[0], room, free) == plain.look_at(room, free)
        assert [waiting.times_left_out(w, 0, slot) for slot in plain.line] == [plain.times[s] for s in plain.line]


def deepest(w: Any, slot: int) -> int:
    """Rows on the longest way down from one."""
    found, ahead = 0, [(slot, 1)]
    while ahead:
        at, deep = ahead.pop()
        if at != NONE:
            found = max(found, deep)
            ahead += [(w.waits[at].left, deep + 1), (w.waits[at].right, deep + 1)]
    return found


@given(size=st.integers(1, 1500), front=st.booleans())
def test_the_tree_stays_low(size: int, front: bool) -> None:
    """A queue of n, joined always at its end or always at its front, is at most 3 log2(n) + 6 rows deep: what comes and
    goes takes work that hardly grows with those who wait.
    """
    w = world(size)
    for slot in range(size):
        w.requests[slot].arrival_s = -float(slot) if front else float(slot)
        waiting.queue(w, 0, slot)
    assert queued(w) == (list(range(size))[::-1] if front else list(range(size)))
    assert deepest(w, w.instances[0].root) <= 3 * log2(size + 1) + 6
