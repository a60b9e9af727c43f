"""Blocks that are solved apart once the columns that they share with others are known.

What links blocks is decided first, whole numbers and all, in a small program: in it the cost of a block is above a line
for each time that it was solved. Its relaxation at what was decided gives such a line, or says what it lacks; blocks
that are alike share them. So the small program bounds the whole, and what it decides, completed block by block, is an
answer. A row over many blocks, as a ceiling is, is shared out: what each takes of it is decided first, too.
Where whole numbers inside a block cost more than its relaxation says, lines are lifted to what they cost. What a block
is like in the best answer may be where the first stage never is: while a gap is open it is looked for at the prices
that a combination of all that is known puts on shared columns.

Source: Benders (1962), Partitioning procedures; lifted lines: Zou, Ahmed and Sun (2019), strengthened Benders cuts;
answers by prices: Dantzig and Wolfe (1960), Decomposition principle for linear programs.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from solvers.blocks import Block, Line, plain
from solvers.direct import Direct, relax, solve_direct
from solvers.problem import INF, Column, Problem, Row, Sense
from solvers.shares import Place, placed, shared_out, shares

RELAXED_ROUNDS, WHOLE_ROUNDS, MANY_ROUNDS = 30, 5, 1
"""Rounds of lines from blocks at fractions, at whole numbers, and at these where the program of the first is large."""

PROBED = 6
"""Blocks that are lifted before it is asked whether all are."""

LIFTS = 3
"""Times that all lines are lifted, each but the first after one that gained."""

FIRST_NODES, MANY_NODES = 300, 50
"""Nodes of the tree of a program of the first stage, and of a large one: beside its root they say little more."""

OFFERS = 4
"""Times that answers are looked for by prices before a large program of the first stage is solved again."""

RELAXED_FRAC = 5e-4
"""Of the relaxation of the whole, what its lines may lack before whole numbers are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What was found in two stages.

    Attributes:
        values: of every column; None where no answer was found.
        bound: proven bound on the objective of the whole.
        first: what the last program of the first stage decided; empty where none had an answer.
    """

    values: dict[str, float] | None
    bound: float
    first: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """One block of a problem: its kind, and its own names in the order of the kind's."""

    kind: Block
    own: tuple[str, ...]
    shared: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Parts:
    """A problem in two stages, and what is known of it.

    Attributes:
        problem: the whole.
        members: its blocks in order.
        first: columns that are decided first.
        links: rows of those alone.
        worth: of each of these, one at the least: its own, or a thousandth of the dearest.
        lines: kind -> lines of it.
    """

    problem: Problem
    members: tuple[_Member, ...]
    first: tuple[Column, ...]
    links: tuple[Row, ...]
    worth: Mapping[str, float]
    lines: dict[int, dict[tuple[object, ...], Line]] = field(default_factory=lambda: defaultdict(dict))

    def small(self, *, whole: bool) -> Problem:
        """The program of the first stage with all lines."""
        columns = [replace(c, integer=c.integer and whole) for c in self.first]
        rows = list(self.links)
        for number, member in enumerate(self.members):
            columns.append(Column(name=f"cost[{number}]", lower=-INF))
            for at, line in enumerate(self.lines[id(member.kind)].values()):
                terms = [(name, -slope) for name, slope in zip(member.shared, line.slopes, strict=True) if slope]
                if line.costs:
                    terms.append((f"cost[{number}]", 1.0))
                    rows.append(
                        Row(name=f"line[{number},{at}]", family="line", terms=tuple(terms), lower=line.constant)
                    )
                elif terms:
                    rows.append(
                        Row(name=f"line[{number},{at}]", family="line", terms=tuple(terms), lower=line.constant)
                    )
        costs = tuple(replace(c, objective=1.0) if c.name.startswith("cost[") else c for c in columns)
        return Problem(name="first stage", sense=Sense.MIN, columns=costs, rows=tuple(rows))

    def point(self, member: _Member, values: Mapping[str, float]) -> tuple[float, ...]:
        """Where the shared columns of a block are."""
        return tuple(values[name] for name in member.shared)

    def known(self, values: Mapping[str, float]) -> bool:
        """Learn the lines of every block where its shared columns are; whether any of them is new."""
        new = False
        for member in self.members:
            point = self.point(member, values)
            if (key := ("at", point)) not in self.lines[id(member.kind)]:
                line = member.kind.line(point)
                if line is not None:
                    self.lines[id(member.kind)][key], new = line, True
        return new

    def lifted(self, duals: Mapping[str, float], members: Sequence[int]) -> float:
        """Lift the lines that bound blocks together, in the weights that a relaxation gives them; what that gains.

        Args:
            duals: of the rows of ``small``.
            members: numbers of the blocks.
        """
        gained = 0.0
        for number in members:
            member = self.members[number]
            lines = self.lines[id(member.kind)]
            weights = [
                (line, max(0.0, duals.get(f"line[{number},{at}]", 0.0))) for at, line in enumerate(lines.values())
            ]
            total = sum(weight for line, weight in weights if line.costs)
            if total < 0.5:
                continue
            slopes = plain(
                np.sum([np.array(line.slopes) * weight / total for line, weight in weights], axis=0).tolist()
            )
            constant = sum(line.constant * weight / total for line, weight in weights)
            key = ("lifted", tuple(f"{slope:.6g}" for slope in slopes))
            if key not in lines:
                together = Line(value=constant, slopes=slopes, x=(0.0,) * len(slopes), costs=True)
                lines[key] = higher = member.kind.lifted(together)
                gained += higher.value - constant
        return gained

    def _prices(self, member: _Member) -> list[float]:
        """What one more of each shared column of a block saves it at most by its lines, or costs where that is more."""
        lines = [line.slopes for line in self.lines[id(member.kind)].values() if line.costs]
        saved = [max((abs(slopes[at]) for slopes in lines), default=0.0) for at in range(len(member.shared))]
        return [max(each, self.worth[name]) for each, name in zip(saved, member.shared, strict=True)]

    def learned(self, values: Mapping[str, float]) -> None:
        """Learn what blocks are where their shared columns are, or near it where they have no answer."""
        for member in self.members:
            point = self.point(member, values)
            if member.kind.whole(point) is None:
                member.kind.nearest(point, self._prices(member))

    def started(self, values: Mapping[str, float]) -> None:
        """Learn what every block is in an answer that is known."""
        for member in self.members:
            own = {c.name: values[name] for c, name in zip(member.kind.own, member.own, strict=True)}
            member.kind.learn(self.point(member, values), own)

    def offered(self, least: float) -> bool:
        """Learn of every block the answer that those which are combined lack most; whether that promises so much.

        At what shared columns are worth to a combination of parts of answers the cheapest answer of a block is one that
        it would gain by, wherever the first stage has been; and what no answer is below there is a line.

        Args:
            least: gain of all blocks that is worth their time, asked of the first ``PROBED`` before the others.
        """
        part = self.combination()
        relaxed = relax(part) if part else None
        if relaxed is None:
            return False
        every = range(len(self.members))
        some = every[:: max(1, len(every) // PROBED)]
        if self._offered(relaxed.duals, some) / len(some) * len(every) < least:
            return False
        self._offered(relaxed.duals, every)
        return True

    def _offered(self, duals: Mapping[str, float], members: Sequence[int]) -> float:
        """The same of some blocks at duals of ``combination``; what a combination of parts gains at most."""
        gained = 0.0
        for number in members:
            member = self.members[number]
            slopes = plain([-duals[f"tied[{number},{at}]"] for at in range(len(member.shared))])
            lines, key = self.lines[id(member.kind)], ("lifted", tuple(f"{slope:.6g}" for slope in slopes))
            if key not in lines and (line := member.kind.priced(slopes)):
                lines[key] = line
                gained += max(0.0, duals[f"one[{number}]"] - line.constant)
        return gained

    def bettered(
        self, found: dict[str, float], bound: float, *, time_limit_s: float, gap_frac: float
    ) -> dict[str, float]:
        """The best combination with answers that are offered until it is as near a bound as is enough."""
        for _ in range(OFFERS):
            value = self.problem.objective(found)
            if value - bound <= gap_frac / 2 * abs(value) or not self.offered(gap_frac / 10 * abs(bound)):
                break
            found = self.combined(time_limit_s, gap_frac) or found
        return found

    def combination(self) -> Problem | None:
        """What is decided first, and what of each block it or one like it was; None where one never was."""
        columns, rows, costs = list(self.first), list(self.links), dict[str, float]()
        for number, member in enumerate(self.members):
            answers = member.kind.answers
            if not answers:
                return None
            names = [f"as[{number},{at}]" for at in range(len(answers))]
            costs |= {name: member.kind.cost(own) for name, (_, own) in zip(names, answers, strict=True)}
            columns += [Column(name=name, upper=1.0, integer=True, objective=costs[name]) for name in names]
            one = tuple((name, 1.0) for name in names)
            rows.append(Row(name=f"one[{number}]", family="one", terms=one, lower=1.0, upper=1.0))
            for at, shared in enumerate(member.shared):
                terms = [(name, -point[at]) for name, (point, _) in zip(names, answers, strict=True) if point[at]]
                rows.append(
                    Row(name=f"tied[{number},{at}]", family="tied", terms=((shared, 1.0), *terms), lower=0.0,
                        upper=INF if member.kind.more[at] else 0.0)
                )  # fmt: skip
        return Problem(name="answers combined", sense=Sense.MIN, columns=tuple(columns), rows=tuple(rows))

    def combined(self, time_limit_s: float, gap_frac: float) -> dict[str, float] | None:
        """The best answer of ``combination``; None where there is none."""
        part = self.combination()
        if part is None:
            return None
        found = solve_direct(
            part, time_limit_s=time_limit_s, gap_frac=gap_frac / 10, small=True, most_nodes=FIRST_NODES
        )  # fmt: skip
        if found is None:
            return None
        values = {column.name: found.values[column.name] for column in self.first}
        for number, member in enumerate(self.members):
            own = next(
                own for at, (_, own) in enumerate(member.kind.answers) if found.values[f"as[{number},{at}]"] > 0.5
            )
            values |= {name: own[c.name] for name, c in zip(member.own, member.kind.own, strict=True)}
        return values


def solve_staged(
    problem: Problem, place: Callable[[str], Place], relaxed: Direct, *, time_limit_s: float, gap_frac: float,
    lift: bool = True, start: Mapping[str, float] | None = None, below: Problem | None = None,
) -> Staged | None:  # fmt: skip
    """The best answer that is found in two stages, and a bound of the whole; None where nothing is left for the second.

    Args:
        problem: what to solve; a minimum.
        place: column name -> its kind and its block.
        relaxed: its relaxation, or that of ``below``.
        time_limit_s: limit of each program of the first stage.
        gap_frac: relative gap that is enough.
        start: an answer that is known.
        lift: also by the whole numbers inside of blocks, where that is what a gap is of.
        below: a problem that is alike but for the inside of blocks, which costs no more wherever shared columns are:
            what is proven is proven of it, and so of both.
    """
    whole, place = problem, placed((problem, below or problem), place)
    problem, of_share = shared_out(problem, place)
    parts = _taken_apart(problem, shared_out(below, place)[0] if below else None, place)
    if parts is None:
        return None
    if start:
        parts.started({**start, **shares(of_share, start)})
    parts.known({**relaxed.values, **shares(of_share, relaxed.values)})
    _relaxed(parts, relaxed.bound, gap_frac, lift=lift)
    best, bound, gap = None, relaxed.bound, INF
    decided: Mapping[str, float] = {}
    for left in reversed(range(MANY_ROUNDS if below else WHOLE_ROUNDS)):
        answer = solve_direct(
            parts.small(whole=True), time_limit_s=time_limit_s, most_nodes=MANY_NODES if below else FIRST_NODES,
            gap_frac=gap_frac if start else gap_frac / (2 if below else 4),
        )  # fmt: skip
        if answer is None:
            break
        bound, decided = max(bound, answer.bound), answer.values
        parts.learned(answer.values)
        found = parts.combined(time_limit_s, gap_frac)
        if below and found:
            found = parts.bettered(found, bound, time_limit_s=time_limit_s, gap_frac=gap_frac)
        best = min((each for each in (best, found) if each), key=problem.objective, default=None)
        value, before = problem.objective(best) if best else INF, gap
        gap = value - bound
        if gap <= gap_frac * abs(value) or not left:
            break
        new = before - gap >= gap_frac / 10 * abs(bound) and parts.known(answer.values)
        if not new and (start or not parts.offered(gap_frac / 4 * abs(bound))):
            break
    values = {column.name: best[column.name] for column in whole.columns} if best else None
    return Staged(values=values, bound=bound, first=decided)


def _relaxed(
    parts: _Parts, bound: float, gap_frac: float, *, lift: bool
) -> None:  # fmt: skip
    """Learn lines at fractions until they say what the relaxation does; then lift them as long as that gains."""
    every, least = range(len(parts.members)), gap_frac / 4 * abs(bound)
    answer = relax(parts.small(whole=False))
    for _ in range(RELAXED_ROUNDS):
        if answer is None or answer.bound >= bound - RELAXED_FRAC * abs(bound) or not parts.known(answer.values):
            break
        answer = relax(parts.small(whole=False))
    some = every[:: max(1, len(every) // PROBED)]
    if answer is None or not lift or parts.lifted(answer.duals, some) / len(some) * len(every) < least:
        return
    for _ in range(LIFTS):
        before = answer.bound
        parts.lifted(answer.duals, every)
        answer = relax(parts.small(whole=False))
        if answer is None or answer.bound - before < least:
            return
        parts.known(answer.values)


def _taken_apart(problem: Problem, below: Problem | None, place: Callable[[str], Place]) -> _Parts | None:
    """A problem in two stages; None where a block has no column of its own, or there is one block at most."""
    apart = _apart(problem, place)
    lines = _apart(below, place) if below else apart
    if len(apart.own) < 2 or (apart.first, apart.own.keys()) != (lines.first, lines.own.keys()):
        return None
    decided = tuple(column for column in problem.columns if column.name in apart.first)
    least = max(abs(column.objective) for column in decided) / 1000 or 1.0
    return _Parts(
        problem=problem, members=tuple(_members(decided, apart, lines)), first=decided, links=tuple(apart.links),
        worth={column.name: max(least, column.objective) for column in decided},
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Apart:
    """Columns that are decided first and rows of those alone; of each block its own columns, and its rows."""

    first: set[str]
    links: list[Row]
    own: Mapping[int, Sequence[Column]]
    rows: Mapping[int, Sequence[Row]]


def _apart(problem: Problem, place: Callable[[str], Place]) -> _Apart:
    home = {column.name: place(column.name)[1] for column in problem.columns}
    first = {name for name, block in home.items() if block is None}
    for row in problem.rows:
        if len({home[name] for name, _ in row.terms} - {None}) > 1:
            first |= {name for name, _ in row.terms}
    own, rows, links = defaultdict[int, list[Column]](list), defaultdict[int, list[Row]](list), list[Row]()
    for column in problem.columns:
        if column.name not in first:
            block = home[column.name]
            assert block is not None, "all others are decided first"
            own[block].append(column)
    for row in problem.rows:
        block = next((home[name] for name, _ in row.terms if name not in first), None)
        (links if block is None else rows[block]).append(row)
    return _Apart(first=first, links=links, own=own, rows=rows)


def _members(decided: Sequence[Column], apart: _Apart, lines: _Apart) -> Iterator[_Member]:
    """The blocks in order, those that are alike of one kind."""
    first, kinds = {column.name: column for column in decided}, dict[object, Block]()
    for block in sorted(apart.own):
        every = (*apart.rows[block], *lines.rows[block])
        names = dict.fromkeys(name for row in every for name, _ in row.terms if name in first)
        shared = [first[name] for name in names]
        like = tuple(_like(each, block, shared) for each in (apart, lines))
        if like not in kinds:
            below = None if lines is apart else Block(lines.own[block], shared, lines.rows[block], small=False)
            kinds[like] = Block(apart.own[block], shared, apart.rows[block], small=below is None, below=below)
        own = tuple(column.name for column in apart.own[block])
        yield _Member(kind=kinds[like], own=own, shared=tuple(c.name for c in shared))


def _like(apart: _Apart, block: int, shared: Sequence[Column]) -> tuple[object, ...]:
    """What a block is, whatever its columns are called."""
    place_of = {c.name: at for at, c in enumerate((*apart.own[block], *shared))}
    return (
        tuple((c.objective, c.lower, c.upper, c.integer) for c in apart.own[block]),
        tuple((c.lower, c.upper, c.integer) for c in shared),
        tuple(
            (tuple((place_of[name], value) for name, value in row.terms), row.lower, row.upper)
            for row in apart.rows[block]
        ),
    )  # fmt: skip
