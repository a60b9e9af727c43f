"""Problems taken apart block by block."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.formulate import beside, epoch_problem, place
from solvers import decomposition
from solvers.allocation import Reason
from solvers.decomposition import proven, solve_beside, solve_decomposed, solve_in_turn
from solvers.problem import Column, Problem, Row, Sense
from solvers.solve import solve
from tests.planner.epochs import question


def _place(name: str) -> tuple[str, int | None]:
    kind, _, block = name.partition("@")
    return kind, int(block) if block else None


def _blocks(asked: list[float], *, large_cost: float, small_cost: float, fee: float) -> Problem:
    """Blocks that buy whole instances of ten units or of one, and pay a fee for the most that any block has."""
    columns, rows = [Column(name="most", objective=fee)], []
    for at, units in enumerate(asked):
        large, small = f"large@{at}", f"small@{at}"
        columns += [
            Column(name=large, upper=20.0, integer=True, objective=large_cost),
            Column(name=small, upper=20.0, integer=True, objective=small_cost),
        ]
        rows += [
            Row(name=f"demand{at}", family="demand", terms=((large, 10.0), (small, 1.0)), lower=units),
            Row(name=f"most{at}", family="most", terms=((large, 1.0), (small, 1.0), ("most", -1.0)), upper=0.0),
        ]
    return Problem(name="blocks", sense=Sense.MIN, columns=tuple(columns), rows=tuple(rows))


def test_kinds_that_no_relaxation_uses_are_found_in_the_blocks() -> None:
    """A large instance is cheaper by the unit, and the small one that a block wants is in no relaxation."""
    problem = _blocks([0.5] * 8, large_cost=3.0, small_cost=1.0, fee=0.01)
    found = solve_decomposed(problem, _place, time_limit_s=10.0, gap_frac=0.01).termination
    assert found.reason is Reason.OPTIMAL
    assert found.objective == pytest.approx(8.01)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([0.5, 1.0, 3.0, 9.0, 14.0]), min_size=2, max_size=6), st.floats(1.5, 9.0),
    st.floats(0.01, 3.0),
)  # fmt: skip
def test_an_answer_lies_between_its_bound_and_no_better_than_the_optimum(
    asked: list[float], large_cost: float, fee: float
) -> None:
    """What is proven is true, and blocks that are linked again break no row of the whole."""
    problem = _blocks(asked, large_cost=large_cost, small_cost=1.0, fee=fee)
    best = solve(problem, gap_frac=1e-9).termination.objective
    found = solve_decomposed(problem, _place, time_limit_s=10.0, gap_frac=0.001)
    assert found.allocation is not None
    assert best is not None
    assert found.termination.bound is not None
    assert found.termination.bound <= best + 1e-6
    assert problem.objective(found.allocation.values) >= best - 1e-6
    for row in problem.rows:
        assert row.lower - 1e-6 <= row.activity(found.allocation.values) <= row.upper + 1e-6


def test_a_bound_is_the_same_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on blocks is counted, not timed: a machine so slow that a second passes at every solve proves the same."""
    problem = _blocks([0.5] * 60, large_cost=3.0, small_cost=1.0, fee=0.01)
    quick = solve_decomposed(problem, _place, time_limit_s=2.0, gap_frac=0.001).termination
    seconds = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    slow = solve_decomposed(problem, _place, time_limit_s=2.0, gap_frac=0.001).termination
    assert (slow.bound, slow.objective, slow.detail) == (quick.bound, quick.objective, quick.detail)


def _chain(needed: list[int]) -> Problem:
    """Blocks that power whole machines for their work; columns that only link count starts and stops between two."""
    columns, rows = list[Column](), list[Row]()
    for at, least in enumerate(needed):
        before = (at - 1) % len(needed)
        columns += [
            Column(name=f"work@{at}", lower=float(least), upper=9.0),
            Column(name=f"on@{at}", upper=9.0, integer=True, objective=3.0),
            Column(name=f"start:{at}", upper=9.0, integer=True, objective=1.0),
            Column(name=f"stop:{at}", upper=9.0, integer=True),
        ]
        rows.append(
            Row(name=f"run{at}", family="run", terms=((f"work@{at}", 1.0), (f"on@{at}", -1.0)), upper=0.0)
        )  # fmt: skip
        for word, sign in (("start", 1.0), ("stop", -1.0)):
            terms = ((f"on@{at}", sign), (f"on@{before}", -sign), (f"{word}:{at}", -1.0))
            rows.append(Row(name=f"{word}ed{at}", family=word, terms=terms, upper=0.0))
    return Problem(name="chain", sense=Sense.MIN, columns=tuple(columns), rows=tuple(rows))


def test_blocks_are_bettered_with_what_changes_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two stages find nothing, a block that powers less needs a stop, which no block has: beside it all do."""
    monkeypatch.setattr(decomposition, "solve_staged", lambda *_, **__: None)
    problem = _chain([2, 2, 3, 2, 2, 4])
    high = {c.name: 9.0 if "@" in c.name else 0.0 for c in problem.columns}
    found = [
        solve_decomposed(problem, _place, time_limit_s=5.0, gap_frac=0.001, start=high, beside=beside).allocation
        for beside in (lambda _: None, lambda name: int(name.partition(":")[2]))
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert problem.objective(found[0].values) == problem.objective(high)
    assert problem.objective(found[1].values) == pytest.approx(solve(problem).termination.objective)


def test_a_level_of_all_blocks_comes_down_in_all_at_once() -> None:
    """A fleet that all blocks share is too large, and no block alone saves by powering less: together they do."""
    chain = _chain([2, 2, 3, 2, 2, 3])
    fleet = Column(name="fleet", upper=9.0, integer=True, objective=20.0)
    owned = tuple(
        Row(name=f"owned{at}", family="owned", terms=((f"on@{at}", 1.0), ("fleet", -1.0)), upper=0.0) for at in range(6)
    )
    dear = tuple(replace(c, objective=20.0) if c.name.startswith("start") else c for c in chain.columns)
    problem = replace(chain, columns=(*dear, fleet), rows=(*chain.rows, *owned))
    start = {c.name: 9.0 if c.name.startswith("on") or c is fleet else c.lower for c in problem.columns}
    found = solve_decomposed(
        problem, lambda name: ("fleet", None) if name == "fleet" else _place(name), time_limit_s=5.0, gap_frac=0.001,
        start=start, beside=lambda name: None if name == "fleet" else int(name.partition(":")[2]),
    )  # fmt: skip
    assert found.termination.objective == pytest.approx(solve(problem).termination.objective)


@pytest.mark.parametrize("needed", [[2, 2, 3, 2, 2, 4], [5, 1, 7], [0, 9, 0, 3]])
def test_what_two_stages_do_not_answer_is_answered_in_the_kinds_of_the_relaxation(
    needed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The allocation keeps every row and is bettered like any other; one that is known counts where it is better."""
    chain = _chain(needed)
    halves = {c.name: replace(c, lower=max(0.0, c.lower - 0.5)) for c in chain.columns}
    problem = replace(chain, columns=tuple(halves.values()))
    monkeypatch.setattr(decomposition, "solve_staged", lambda *_, **__: None)
    best = solve(problem)
    assert best.allocation is not None
    for known in (None, best.allocation.values):
        found = solve_decomposed(
            problem, _place, time_limit_s=5.0, gap_frac=0.001, known=known,
            beside=lambda name: int(name.partition(":")[2]),
        )  # fmt: skip
        assert found.termination.objective == pytest.approx(best.termination.objective)


def test_what_is_kept_stays_and_the_rest_is_at_its_best_beside_it() -> None:
    """A block keeps a dear choice; the others are solved, what they pay together counts, and no bound is claimed."""
    problem = _blocks([8.0] * 5, large_cost=3.0, small_cost=1.0, fee=0.01)
    kept = {"large@0": 0.0, "small@0": 8.0}
    found = solve_beside(problem, _place, kept, time_limit_s=10.0, gap_frac=0.0)
    assert found.allocation is not None
    assert found.termination.bound is None
    assert {name: found.allocation.values[name] for name in kept} == kept
    assert found.termination.objective == pytest.approx(8.0 + 4 * 3.0 + 0.08)
    free = solve_beside(problem, _place, {}, time_limit_s=10.0, gap_frac=0.0)
    whole = solve(problem, backend="highs", time_limit_s=10.0, gap_frac=0.0).termination
    assert free.termination.objective == pytest.approx(whole.objective)
    ended = proven(problem, _place, found.termination, time_limit_s=10.0, gap_frac=1e-6)
    assert ended.bound is not None
    assert ended.bound <= whole.objective + 1e-6 <= found.termination.objective + 2e-6
    nothing = solve_beside(problem, _place, {"large@0": 0.0, "small@0": 0.0}, time_limit_s=10.0, gap_frac=0.0)
    assert nothing.termination.reason is Reason.NO_SOLUTION_FOUND


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.4, 4.0, 7.5]), min_size=2, max_size=5).filter(any), st.integers(1, 2),
    st.booleans(), st.tuples(st.integers(0, 3), st.integers(0, 3)),
)  # fmt: skip
def test_blocks_one_after_the_other_keep_every_row(
    rates: list[float], min_up: int, cyclic: bool, fleet: tuple[int, int]
) -> None:
    """Beside any base fleet it is an answer of the whole, none better than the best beside it, bettered no worse."""
    problem = epoch_problem(question({"a": rates}, min_up_epochs=min_up, cyclic=cyclic))
    decided = dict(zip(("base[fast]", "base[slow]"), map(float, fleet), strict=True))
    tied = [replace(c, lower=decided[c.name], upper=decided[c.name]) if c.name in decided else c
            for c in problem.columns]  # fmt: skip
    best = solve(replace(problem, columns=tuple(tied)), gap_frac=1e-7).termination.objective
    first, bettered = (
        solve_in_turn(problem, place, decided, beside=beside, time_limit_s=5.0, gap_frac=1e-4, passes=passes)
        for passes in (0, 2)
    )
    assert best is not None
    if first is None:  # what is switched on for a while may leave the last no room
        return
    assert bettered is not None
    assert best - 1e-6 <= problem.objective(bettered) + 1e-6 <= problem.objective(first) + 2e-6
    for values in (first, bettered):
        assert all(values[name] == count for name, count in decided.items())
        for row in problem.rows:
            assert row.lower - 1e-6 <= row.activity(values) <= row.upper + 1e-6
        for column in problem.columns:
            assert column.lower - 1e-9 <= values[column.name] <= column.upper + 1e-9
            assert not column.integer or values[column.name] == pytest.approx(round(values[column.name]))
