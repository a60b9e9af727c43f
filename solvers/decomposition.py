"""Large problems that repeat themselves block after block, linked by a few rows.

Two ideas, neither of which knows what the columns mean. The linear relaxation of the whole is quick, bounds the
answer, and says which kinds of columns are worth having in any block; the problem in these alone is small. Where the
gap to that bound is too wide, the linking rows are priced at the relaxation's duals and every block is solved apart,
whole numbers and all, which bounds the answer more tightly. Either bound holds for the whole problem, so the gap is
proven. What the blocks chose apart uses kinds that a relaxation never does; linked again it is a second answer, and the
better one counts.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from solvers.allocation import Limit, Reason, Solution, Termination, answered, empty_handed
from solvers.direct import Direct, relax, solve_direct
from solvers.problem import INF, Column, Problem, Row, Sense

NODES_PER_S, ROOT_NODES, BLOCK_NODES = 400, 20, 4000
"""Nodes of blocks that a second of a limit stands for, nodes that the root of a block counts, and most of one block."""

LOOKED = 24
"""Blocks that are bettered before it is asked whether the others are worth their time: a day of hours."""

SPAN = 2
"""Neighbouring blocks that are bettered together: what changes between two of them is free then."""

FAR_TIMES = 5
"""Gaps from the relaxation beyond which an answer in its kinds is compared with the relaxation made whole."""

PASSES = 4
"""Times that all runs are bettered, each but the last after one that gained more than the gap."""

Place = tuple[str, int | None]
"""The kind of a column, alike in every block, and its block; None for a column that only links."""

Beside = Callable[[str], int | None]
"""The block that a column which only links is bettered with, too; None is none."""


@dataclass(slots=True, kw_only=True)
class _Ask:
    """Solves parts of a problem, and keeps whether the clock ended any."""

    time_limit_s: float
    by_clock: bool = False

    def __call__(
        self, part: Problem, *, gap_frac: float, small: bool = False, most_nodes: int | None = None
    ) -> Direct | None:
        """What ``solve_direct`` says."""
        found = solve_direct(
            part, time_limit_s=self.time_limit_s, gap_frac=gap_frac, small=small, most_nodes=most_nodes
        )  # fmt: skip
        self.by_clock = self.by_clock or (found is not None and found.by_clock)
        return found

    @property
    def limit(self) -> Limit:
        """What stopped a solve whose gap is not closed."""
        return Limit.TIME if self.by_clock else Limit.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A problem taken apart: blocks in order, rows that link them, columns that belong to none."""

    blocks: tuple[Problem, ...]
    links: tuple[Row, ...]
    loose: tuple[Column, ...]


def solve_decomposed(
    problem: Problem, place: Callable[[str], Place], *, time_limit_s: float, gap_frac: float,
    start: Mapping[str, float] | None = None, prove: bool = True, beside: Beside = lambda _: None,
) -> Solution:  # fmt: skip
    """Solve a minimum whose blocks hold the same kinds of columns.

    Args:
        problem: what to solve; a minimum.
        place: column name -> its kind and its block.
        time_limit_s: limit of each part's solve, and of all blocks that are solved for a tighter bound together.
        gap_frac: relative gap that is enough.
        start: an allocation to better block by block, all else as it is; quick and the same every time, where a search
            from it may find nothing in minutes.
        prove: solve blocks apart for a tighter bound; without, the answer is bettered block by block where the
            relaxation leaves a gap, and bounded by that.
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
    if start:
        best: dict[str, float] | None = _bettered(problem, place, beside, start, ask, gap_frac / 2)
    else:
        best = _chosen(problem, place, relaxed, ask, gap_frac / 2)
        if best is None or problem.objective(best) - relaxed.bound > FAR_TIMES * gap_frac * abs(relaxed.bound):
            other = _rounded(problem, relaxed, ask, gap_frac / 2)
            best = min((each for each in (best, other) if each), key=problem.objective, default=None)
    if best is None:
        return empty_handed(
            Reason.NO_SOLUTION_FOUND, limit=ask.limit, backend=relaxed.backend, detail="nothing found in time"
        )
    value, bound, by = problem.objective(best), relaxed.bound, "the relaxation"
    if value - bound > gap_frac * abs(value) and not start:
        best = _bettered(problem, place, beside, best, ask, gap_frac / 2)
        value = problem.objective(best)
    if value - bound > gap_frac * abs(value) and not start and prove:  # from a start, the answer matters more
        tighter, apart = _priced(_apart(problem, place), relaxed.duals, ask, gap_frac / 4)
        bound, by = max((bound, by), (tighter, "blocks solved apart"))
        best = _better_linked(problem, place, best, apart, ask, gap_frac / 4)
        value = problem.objective(best)
    closed = value - bound <= gap_frac * max(1e-9, abs(value))
    return answered(
        problem, best, reason=Reason.OPTIMAL if closed else Reason.FEASIBLE,
        limit=Limit.NONE if closed else ask.limit, bound=min(bound, value), backend=relaxed.backend,
        detail=f"bound by {by}",
    )  # fmt: skip


def solve_beside(problem: Problem, kept: Mapping[str, float], *, time_limit_s: float, gap_frac: float) -> Solution:
    """Solve a minimum with some of its columns at the values that they have; no bound of the whole comes of it.

    Args:
        problem: what to solve; a minimum.
        kept: column name -> its value.
        time_limit_s: limit of the solve.
        gap_frac: relative gap that is enough, of the cost of the other columns.
    """
    free = [column for column in problem.columns if column.name not in kept]
    part = _part("beside what is kept", free, problem.rows, kept)
    found = part and solve_direct(part, time_limit_s=time_limit_s, gap_frac=gap_frac)
    if not found:
        return empty_handed(Reason.NO_SOLUTION_FOUND, backend="highs", detail="nothing beside what is kept")
    return answered(
        problem, {**kept, **found.values}, reason=Reason.FEASIBLE, limit=Limit.OTHER, backend="highs",
        detail="beside what is kept",
    )  # fmt: skip


def proven(problem: Problem, place: Callable[[str], Place], found: Termination, *, time_limit_s: float,
           gap_frac: float) -> Termination:  # fmt: skip
    """How the solve of a minimum ended, with the bound of blocks that are solved apart where it leaves a gap."""
    relaxed = relax(problem)
    if relaxed is None or found.objective is None or (found.gap_frac is not None and found.gap_frac <= gap_frac):
        return found
    ask = _Ask(time_limit_s=time_limit_s)
    tighter, _ = _priced(_apart(problem, place), relaxed.duals, ask, gap_frac / 4)
    bound = min(found.objective, max(relaxed.bound, tighter))
    closed = found.objective - bound <= gap_frac * max(1e-9, abs(found.objective))
    return replace(
        found, bound=bound, reason=Reason.OPTIMAL if closed else Reason.FEASIBLE,
        limit=Limit.NONE if closed else ask.limit,
        detail=f"bound by {'blocks solved apart' if tighter > relaxed.bound else 'the relaxation'}",
    )  # fmt: skip


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


def _rounded(problem: Problem, relaxed: Direct, ask: _Ask, gap_frac: float) -> dict[str, float] | None:
    """The relaxation made whole: what need not be whole as it is there, all else at its best; None where none fits."""
    kept = {column.name: relaxed.values[column.name] for column in problem.columns if not column.integer}
    part = _part("made whole", (c for c in problem.columns if c.integer), problem.rows, kept)
    answer = part and ask(part, gap_frac=gap_frac)
    return {**kept, **answer.values} if answer else None


def _bettered(
    problem: Problem, place: Callable[[str], Place], beside: Beside, start: Mapping[str, float], ask: _Ask,
    gap_frac: float,
) -> dict[str, float]:  # fmt: skip
    """The start with its columns at their best, part after part, those of all other parts as they are.

    The parts are the columns that only link and all whole ones, then every run of ``SPAN`` neighbouring blocks with the
    linking columns beside them, then the first again. Where the first ``LOOKED`` runs promise less for all of them than
    the gap, the others are left as they are.
    """
    parts = _Bettering(problem, place, beside, start, ask)
    parts.better([None], gap_frac=gap_frac)
    for _ in range(PASSES):
        before, gained = problem.objective(parts.values), 0.0
        least = gap_frac * abs(before) / max(1, len(parts.blocks))
        for number in range(len(parts.blocks)):
            if number < LOOKED or gained >= least * number:
                gained += parts.better(parts.run(number), gap_frac=gap_frac)
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

    def run(self, number: int) -> list[int | None]:
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
        found = self._ask(piece, gap_frac=gap_frac, small=blocks != [None]) if columns else None
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


def _apart(problem: Problem, place: Callable[[str], Place]) -> _Parts:
    home = {column.name: place(column.name)[1] for column in problem.columns}
    rows: dict[int, list[Row]] = defaultdict(list)
    links: list[Row] = []
    for row in problem.rows:
        homes = {home[name] for name, _ in row.terms}
        only = next(iter(homes))
        if len(homes) == 1 and only is not None:
            rows[only].append(row)
        else:
            links.append(row)
    columns: dict[int, list[Column]] = defaultdict(list)
    for column in problem.columns:
        if (block := home[column.name]) is not None:
            columns[block].append(column)
    blocks = tuple(
        Problem(name=f"block {key}", sense=Sense.MIN, columns=tuple(columns[key]), rows=tuple(rows[key]))
        for key in sorted(columns)
    )
    return _Parts(
        blocks=blocks, links=tuple(links), loose=tuple(c for c in problem.columns if home[c.name] is None)
    )  # fmt: skip


def _better_linked(
    problem: Problem, place: Callable[[str], Place], best: dict[str, float], apart: Mapping[str, float],
    ask: _Ask, gap_frac: float,
) -> dict[str, float]:  # fmt: skip
    """The better of an allocation and what the blocks chose apart, with the columns that links need at their best.

    Kept of the blocks' choice is what no linking row mentions; where nothing links them, ``best`` stays.
    """
    home = {column.name: place(column.name)[1] for column in problem.columns}
    linked = {name for row in problem.rows for name, _ in row.terms if len({home[n] for n, _ in row.terms}) > 1}
    kept = {name: value for name, value in apart.items() if name not in linked}
    part = _part("links", [c for c in problem.columns if c.name not in kept], problem.rows, kept) if apart else None
    answer = ask(part, gap_frac=gap_frac) if part else None
    other = {**kept, **answer.values} if answer else best
    return min((best, other), key=problem.objective)


def _priced(parts: _Parts, prices: Mapping[str, float], ask: _Ask, gap_frac: float) -> tuple[float, dict[str, float]]:
    """The bound with the linking rows priced, and what the blocks chose; minus infinity where one has no answer.

    L(price) = price·b + sum over blocks of min (c - price·A)x + the same of the columns that only link. Blocks for
    which no work is left count with their linear relaxation, which bounds them, too; then no choice is returned. Work
    is counted in nodes, as the clock runs faster under load than what is solved.
    """
    left, bound, shift = int(ask.time_limit_s * NODES_PER_S), 0.0, defaultdict[str, float](float)
    chosen, whole = dict[str, float](), True
    for row in parts.links:
        side = row.lower if prices[row.name] > 0 else row.upper
        if prices[row.name] == 0 or abs(side) == INF:  # a price may only push towards a side that the row closes
            continue
        bound += prices[row.name] * side
        for name, coefficient in row.terms:
            shift[name] += prices[row.name] * coefficient
    for column in parts.loose:
        reduced = column.objective - shift[column.name]
        end = column.lower if reduced >= 0 else column.upper
        if reduced and end:
            bound += reduced * end
    for block in parts.blocks:
        columns = tuple(replace(c, objective=c.objective - shift[c.name]) for c in block.columns)
        priced = replace(block, columns=columns)
        answer = None
        if left > 0:
            answer = ask(priced, gap_frac=gap_frac, small=True, most_nodes=min(left, BLOCK_NODES))
        whole, left = whole and answer is not None, left - ROOT_NODES - (answer.nodes if answer else BLOCK_NODES)
        answer = answer or relax(priced)
        if answer is None:
            return -INF, {}
        bound += answer.bound
        chosen |= answer.values
    return bound, chosen if whole else {}
