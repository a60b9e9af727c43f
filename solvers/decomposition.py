"""Large problems that repeat themselves block after block, linked by a few rows.

The columns that blocks share are decided first (``solve_staged``), which bounds the whole, too. An allocation that is
there is bettered so as well, and block by block where that leaves a gap. Nothing here knows what the columns mean.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from solvers.allocation import Limit, Reason, Solution, Termination, answered, empty_handed
from solvers.direct import Direct, relax, solve_direct
from solvers.problem import Column, Problem, Row, Sense
from solvers.stages import solve_staged

LOOKED = 24
"""Blocks that are bettered before it is asked whether the others are worth their time: a day of hours."""

SPAN = 2
"""Neighbouring blocks that are bettered together: what changes between two of them is free then."""

PASSES = 2
"""Times that all runs are bettered, each but the last after one that gained more than the gap."""

MOST_SMALL = 30
"""Whole columns of a block up to which it has few kinds."""

PART_NODES = 50
"""Nodes of the tree of some blocks that are bettered: a ceiling over all of them makes some trees endless."""

Place = tuple[str, int | None]
"""The kind of a column, alike in every block, and its block; None for a column that only links."""

Beside = Callable[[str], int | None]
"""The block that a column which only links is bettered with, too; None is none."""


@dataclass(slots=True, kw_only=True)
class _Ask:
    """Solves parts of a problem, and keeps whether the clock ended any.

    Attributes:
        time_limit_s: limit of each.
        wide: blocks have many kinds: without the solver's own searches an answer of one is often far from its best.
        by_clock: whether the clock ended any.
    """

    time_limit_s: float
    wide: bool = False
    by_clock: bool = False

    def __call__(
        self, part: Problem, *, gap_frac: float, small: bool = False, most_nodes: int | None = None
    ) -> Direct | None:
        """What ``solve_direct`` says."""
        found = solve_direct(
            part, time_limit_s=self.time_limit_s, gap_frac=gap_frac, small=small and not self.wide,
            most_nodes=most_nodes,
        )  # fmt: skip
        self.by_clock = self.by_clock or (found is not None and found.by_clock)
        return found

    @property
    def limit(self) -> Limit:
        """What stopped a solve whose gap is not closed."""
        return Limit.TIME if self.by_clock else Limit.OTHER


def solve_decomposed(
    problem: Problem, place: Callable[[str], Place], *, time_limit_s: float, gap_frac: float,
    start: Mapping[str, float] | None = None, known: Mapping[str, float] | None = None, prove: bool = True,
    beside: Beside = lambda _: None,
) -> Solution:  # fmt: skip
    """Solve a minimum whose blocks hold the same kinds of columns.

    Args:
        problem: what to solve; a minimum.
        place: column name -> its kind and its block.
        time_limit_s: limit of each part's solve.
        gap_frac: relative gap that is enough.
        start: an allocation to better: in two stages, then block by block, all else as it is.
        known: an allocation that counts where nothing better is found.
        prove: bound by the whole numbers inside of blocks, too.
        beside: name of a column that only links -> the block that it is bettered with.

    Returns:
        The solution: OPTIMAL where the proven gap is within ``gap_frac``, FEASIBLE where it is wider. INFEASIBLE is
        said only where the linear relaxation is.

    Raises:
        ValueError: the problem is a maximum.
    """
    ask = _Ask(time_limit_s=time_limit_s)
    relaxed = relax(problem)
    if relaxed is None:
        return empty_handed(Reason.INFEASIBLE, backend="highs", detail="the linear relaxation has no solution")
    bound, by, best = relaxed.bound, "the relaxation", dict(known) if known else None
    staged = solve_staged(
        problem, place, relaxed, time_limit_s=time_limit_s, gap_frac=gap_frac, lift=prove and not start, start=start
    )  # fmt: skip
    if staged is not None and staged.bound > bound:
        bound, by = staged.bound, "blocks solved apart"
    if start:
        best = dict(start)
        if staged is not None and staged.values and problem.objective(staged.values) < problem.objective(start):
            best = staged.values
        if problem.objective(best) - bound > gap_frac * abs(problem.objective(best)):
            best = _bettered(problem, place, beside, best, ask, gap_frac / 2)
    elif found := (staged and staged.values) or _whole(problem, place, beside, relaxed, ask, gap_frac / 2):
        best = min((each for each in (best, found) if each), key=problem.objective)
    if best is None:
        return empty_handed(
            Reason.NO_SOLUTION_FOUND, limit=ask.limit, backend=relaxed.backend, detail="nothing found in time"
        )
    value = problem.objective(best)
    closed = value - bound <= gap_frac * max(1e-9, abs(value))
    return answered(
        problem, best, reason=Reason.OPTIMAL if closed else Reason.FEASIBLE,
        limit=Limit.NONE if closed else ask.limit, bound=min(bound, value), backend=relaxed.backend,
        detail=f"bound by {by}",
    )  # fmt: skip


def solve_beside(
    problem: Problem, place: Callable[[str], Place], kept: Mapping[str, float], *, time_limit_s: float, gap_frac: float,
    start: Mapping[str, float] | None = None, beside: Beside = lambda _: None,
) -> Solution:  # fmt: skip
    """Solve a minimum with some of its columns at the values that they have; no bound of the whole comes of it.

    Args:
        problem: what to solve; a minimum.
        place: column name -> its kind and its block.
        kept: column name -> its value.
        time_limit_s: limit of the solve.
        gap_frac: relative gap that is enough.
        start: an allocation with these values, to better block by block.
        beside: name of a column that only links -> the block that it is bettered with.
    """
    zero = {name: value for name, value in kept.items() if not value}
    held = [replace(c, lower=kept[c.name], upper=kept[c.name]) if c.name in kept else c for c in problem.columns]
    part = _part("beside what is kept", (c for c in held if c.name not in zero), problem.rows, zero)
    values: Mapping[str, float] | None = None
    if start:
        own = replace(problem, columns=tuple(held))
        values = _bettered(own, place, beside, start, _Ask(time_limit_s=time_limit_s), gap_frac / 2)
    elif part and (relaxed := relax(part)):
        staged = solve_staged(part, place, relaxed, time_limit_s=time_limit_s, gap_frac=gap_frac, lift=False)
        values = staged.values if staged else None
        if values is None and (found := solve_direct(part, time_limit_s=time_limit_s, gap_frac=gap_frac)):
            values = found.values
    if values is None:
        return empty_handed(Reason.NO_SOLUTION_FOUND, backend="highs", detail="nothing beside what is kept")
    return answered(
        problem, {**zero, **values}, reason=Reason.FEASIBLE, limit=Limit.OTHER, backend="highs",
        detail="beside what is kept",
    )  # fmt: skip


def solve_in_turn(
    problem: Problem, place: Callable[[str], Place], decided: Mapping[str, float], *, beside: Beside,
    time_limit_s: float, gap_frac: float, start: Mapping[str, float] | None = None, passes: int = PASSES,
) -> dict[str, float] | None:  # fmt: skip
    """An answer of a minimum block by block, each at its best beside those before it, then bettered; None without one.

    For many blocks with few whole units in each, which a program of what links them says too little of.

    Args:
        problem: what to solve; a minimum.
        place: column name -> its kind and its block.
        decided: the columns that only link and are bettered with no block -> their values.
        beside: name of another column that only links -> the block that it is bettered with.
        time_limit_s: limit of each block's solve.
        gap_frac: relative gap that is enough.
        start: an answer to better in place of one that is made.
        passes: times that all runs of blocks are bettered at most.
    """
    whole = [block for column in problem.columns if column.integer and (block := place(column.name)[1]) is not None]
    ask = _Ask(time_limit_s=time_limit_s, wide=len(whole) > MOST_SMALL * len(set(whole)))
    values = dict(start) if start else _in_turn(problem, place, decided, beside, ask, gap_frac)
    if values is None:
        return None
    parts = _Bettering(problem, place, beside, values, ask)
    for _ in range(passes):
        before = problem.objective(parts.values)
        if parts.better_runs(before, gap_frac=gap_frac) < gap_frac * abs(before):
            break
    return parts.values


def _in_turn(
    problem: Problem, place: Callable[[str], Place], decided: Mapping[str, float], beside: Beside, ask: _Ask,
    gap_frac: float,
) -> dict[str, float] | None:  # fmt: skip
    """Each block at its best beside those before it; a row is kept from where the last of its columns is decided."""
    homes = {c.name: place(c.name)[1] for c in problem.columns}
    blocks = sorted({home for home in homes.values() if home is not None})
    turns, values = {block: at for at, block in enumerate(blocks)}, dict(decided)
    last = len(blocks) - 1

    def turn(name: str) -> int:
        if name in decided:
            return -1
        near = homes[name] if homes[name] is not None else beside(name)
        leads = homes[name] is None and (near is None or not turns[near])  # what leads into the first follows the last
        return last if near is None or leads else turns[near]

    columns, rows = defaultdict[int, list[Column]](list), defaultdict[int, list[Row]](list)
    for column in problem.columns:
        columns[turn(column.name)].append(column)
    for row in problem.rows:
        rows[max(turn(name) for name, _ in row.terms)].append(row)
    for at in range(len(blocks)):
        part = _part("a block in its turn", columns[at], rows[at], values)
        found = ask(part, gap_frac=gap_frac, small=True, most_nodes=PART_NODES) if part else None
        if found is None:
            return None
        values |= found.values
    return values


def proven(problem: Problem, place: Callable[[str], Place], found: Termination, *, time_limit_s: float,
           gap_frac: float) -> Termination:  # fmt: skip
    """How the solve of a minimum ended, with the bound of blocks that are solved apart where it leaves a gap."""
    if found.objective is None or (found.gap_frac is not None and found.gap_frac <= gap_frac):
        return found
    if (relaxed := relax(problem)) is None:
        return found
    staged = solve_staged(problem, place, relaxed, time_limit_s=time_limit_s, gap_frac=gap_frac)
    tighter = staged.bound if staged else relaxed.bound
    bound = min(found.objective, max(relaxed.bound, tighter))
    closed = found.objective - bound <= gap_frac * max(1e-9, abs(found.objective))
    return replace(
        found, bound=bound, reason=Reason.OPTIMAL if closed else Reason.FEASIBLE,
        limit=Limit.NONE if closed else Limit.OTHER,
        detail=f"bound by {'blocks solved apart' if tighter > relaxed.bound else 'the relaxation'}",
    )  # fmt: skip


def _whole(
    problem: Problem, place: Callable[[str], Place], beside: Beside, relaxed: Direct, ask: _Ask, gap_frac: float
) -> dict[str, float] | None:  # fmt: skip
    """An answer of a problem that two stages have none of."""
    found = _chosen(problem, place, relaxed, ask, gap_frac)
    return _bettered(problem, place, beside, found, ask, gap_frac) if found else None


def _chosen(
    problem: Problem, place: Callable[[str], Place], relaxed: Direct, ask: _Ask, gap_frac: float
) -> dict[str, float] | None:
    """The best allocation in the kinds of columns that the relaxation uses, else in all; None if there is none."""
    kinds = {column.name: place(column.name)[0] for column in problem.columns}
    used = {kinds[name] for name, value in relaxed.values.items() if abs(value) > 1e-9}
    zero = {column.name: min(max(0.0, column.lower), column.upper) for column in problem.columns}
    some = {
        column.name for column in problem.columns if kinds[column.name] in used and place(column.name)[1] is not None
    }
    # a start is 0 in many a relaxation that needs one once counts are whole: what links used kinds is kept
    links = {
        name for row in problem.rows if any(other in some for other, _ in row.terms)
        for name, _ in row.terms if place(name)[1] is None
    }  # fmt: skip
    kept = [c for c in problem.columns if c.name in some or c.name in links or kinds[c.name] in used]
    for columns in (kept, problem.columns):
        part = _part("chosen kinds", columns, problem.rows, zero)
        if part is not None and (answer := ask(part, gap_frac=gap_frac)):
            return {**zero, **answer.values}
    return None


def _bettered(
    problem: Problem, place: Callable[[str], Place], beside: Beside, start: Mapping[str, float], ask: _Ask,
    gap_frac: float,
) -> dict[str, float]:  # fmt: skip
    """The start with its columns at their best, part after part, those of all other parts as they are.

    The parts are the columns that only link and all whole ones, then every run of ``SPAN`` neighbouring blocks with the
    linking columns beside them, then the first again.
    """
    parts = _Bettering(problem, place, beside, start, ask)
    parts.better([None], gap_frac=gap_frac)
    for _ in range(PASSES):
        before = problem.objective(parts.values)
        parts.better_runs(before, gap_frac=gap_frac)
        parts.better([None], gap_frac=gap_frac)
        if before - problem.objective(parts.values) < gap_frac * abs(before):
            break
    return parts.values


class _Bettering:
    """An allocation that is bettered in some columns at a time."""

    def __init__(
        self, problem: Problem, place: Callable[[str], Place], beside: Beside, start: Mapping[str, float], ask: _Ask
    ) -> None:  # fmt: skip
        """Nothing is bettered yet."""
        self._ask = ask
        self._columns: dict[int | None, list[Column]] = defaultdict(list)
        self._rows: dict[int | None, list[Row]] = defaultdict(list)
        homes: dict[str, tuple[int | None, ...]] = {}
        for column in problem.columns:
            block = place(column.name)[1]
            near = beside(column.name) if block is None else None
            homes[column.name] = (block,) if near is None else (None, near)
            if column.integer and block is not None:  # a level that all blocks have comes down in all of them at once
                homes[column.name] = (block, None)
            for home in homes[column.name]:
                self._columns[home].append(column)
        for row in problem.rows:
            for home in dict.fromkeys(home for name, _ in row.terms for home in homes[name]):
                self._rows[home].append(row)
        self.blocks = sorted(key for key in self._columns if key is not None)
        self.values = dict(start)
        self._activity = {row.name: row.activity(self.values) for row in problem.rows}

    def better_runs(self, before: float, *, gap_frac: float) -> float:
        """Every run of neighbouring blocks at its best, one after the other; what that gains.

        Where the first ``LOOKED`` runs promise less for all of them than the gap, the others are left as they are.

        Args:
            before: the objective as it is.
            gap_frac: relative gap that is enough.
        """
        gained, least = 0.0, gap_frac * abs(before) / max(1, len(self.blocks))
        for number in range(len(self.blocks)):
            if number < LOOKED or gained >= least * number:
                gained += self.better(self._run(number), gap_frac=gap_frac)
        return gained

    def _run(self, number: int) -> list[int | None]:
        """So many neighbouring blocks, from one of a place on; the first follows the last."""
        return list(dict.fromkeys(self.blocks[(number + at) % len(self.blocks)] for at in range(SPAN)))

    def better(self, blocks: list[int | None], *, gap_frac: float) -> float:
        """Columns of these blocks at their best, all others as they are; what that gains.

        Args:
            blocks: None among them is that of the columns that only link, and of all whole ones.
            gap_frac: relative gap that is enough.
        """
        columns = tuple({c.name: c for block in blocks for c in self._columns[block]}.values())
        free = {column.name for column in columns}
        touched = {row.name: row for block in blocks for row in self._rows[block]}.values()
        own = [replace(row, terms=tuple(term for term in row.terms if term[0] in free)) for row in touched]
        mine = _left((row for row in own if row.terms), self.values, self._activity)
        piece = Problem(name=f"part {blocks}", sense=Sense.MIN, columns=columns, rows=mine)
        one = blocks != [None]
        most = PART_NODES if one else None
        found = self._ask(piece, gap_frac=gap_frac, small=one, most_nodes=most) if columns else None
        if found is None:
            return 0.0
        gain = piece.objective(self.values) - piece.objective(found.values)
        if gain <= 0:
            return 0.0
        for row in mine:
            self._activity[row.name] += row.activity(found.values) - row.activity(self.values)
        self.values |= found.values
        return gain


def _left(rows: Iterable[Row], values: Mapping[str, float], activity: Mapping[str, float]) -> tuple[Row, ...]:
    """Rows of one part's columns, with what all others leave of their bounds."""
    left = []
    for row in rows:
        others = activity[row.name] - row.activity(values)
        left.append(replace(row, lower=row.lower - others, upper=row.upper - others))
    return tuple(left)


def _part(name: str, columns: Iterable[Column], rows: Iterable[Row], values: Mapping[str, float]) -> Problem | None:
    """The problem in ``columns`` alone, all others fixed; None where a row cannot be met without the fixed ones."""
    free = {column.name: column for column in columns}
    kept = []
    for row in rows:
        fixed = sum(coefficient * values[other] for other, coefficient in row.terms if other not in free)
        terms = tuple(term for term in row.terms if term[0] in free)
        if any(coefficient for _, coefficient in terms):
            kept.append(replace(row, terms=terms, lower=row.lower - fixed, upper=row.upper - fixed))
        elif not row.lower - 1e-9 <= fixed <= row.upper + 1e-9:
            return None
    return Problem(name=name, sense=Sense.MIN, columns=tuple(free.values()), rows=tuple(kept))
