"""Laws of search: never worse, never invalid, the same again, and exhaustive where the box is small."""

from collections.abc import Iterator
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from solvers.search import search

Point = tuple[int, ...]
SIDE = 4

boxes = st.tuples(
    st.lists(st.integers(1, 9), min_size=2, max_size=3), st.lists(st.integers(1, 9), min_size=3, max_size=3),
    st.integers(1, 20),
)  # fmt: skip


def around(point: Point) -> Iterator[Point]:
    """One more or fewer of each thing, and one traded for another."""
    for step in product((-1, 0, 1), repeat=len(point)):
        moved = tuple(a + b for a, b in zip(point, step, strict=True))
        if moved != point and all(0 <= a < SIDE for a in moved):
            yield moved


def within(one: Point, other: Point) -> bool:
    """Whether nothing is more."""
    return all(a <= b for a, b in zip(one, other, strict=True))


class Judge:
    """Holds where the power of what is there is enough; remembers what it was asked."""

    def __init__(self, power: list[int], need: int) -> None:
        """Nothing asked yet."""
        self.power, self.need, self.asked = power, need, list[Point]()

    def enough(self, point: Point) -> bool:
        """The truth."""
        return sum(p * n for p, n in zip(self.power, point, strict=False)) >= self.need

    def holds(self, point: Point) -> bool:
        """The truth, which takes a simulation."""
        self.asked.append(point)
        return self.enough(point)


@given(boxes, st.integers(0, 30))
def test_never_worse_never_invalid_the_same_again(box: tuple[list[int], list[int], int], evaluations: int) -> None:
    """However few judgements: the best holds, costs no more than the start, and comes again; nothing is asked twice."""
    prices, power, need = box
    start = (SIDE - 1,) * len(prices)
    judges = [Judge(power, min(need, sum(power[: len(prices)]))) for _ in range(2)]

    def worth(point: Point) -> float:
        return float(sum(p * n for p, n in zip(prices, point, strict=True)))

    one, two = (
        search(start, around, worth, j.holds, evaluations=evaluations, slack_frac=0.1, below=within) for j in judges
    )
    assert one == two
    assert judges[0].enough(one.best)
    assert one.worth == worth(one.best) <= worth(start)
    assert len(set(judges[0].asked)) == len(judges[0].asked) == one.judged <= evaluations
    assert [worth(p) for p in one.path] == sorted((worth(p) for p in one.path), reverse=True)


@given(boxes)
def test_a_small_box_is_searched_whole(box: tuple[list[int], list[int], int]) -> None:
    """With slack for every step and judgements for every point, the best is that of trying them all."""
    prices, power, need = box
    start = (SIDE - 1,) * len(prices)
    judge = Judge(power, min(need, sum(power[: len(prices)])))

    def worth(point: Point) -> float:
        return float(sum(p * n for p, n in zip(prices, point, strict=True)))

    least = min(worth(p) for p in product(range(SIDE), repeat=len(prices)) if judge.enough(p))
    found = search(start, around, worth, judge.holds, evaluations=SIDE**3, slack_frac=1e9, below=within)
    assert found.worth == least
    bounded = search(start, around, worth, judge.holds, evaluations=SIDE**3, slack_frac=1e9, below=within, bound=least)
    assert bounded.worth == least
    assert bounded.judged <= found.judged
