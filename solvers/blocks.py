"""A block of a problem: lines below what its own columns cost, over the columns that it shares with others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np

from solvers.direct import Direct, matrix, solve_direct
from solvers.problem import INF, Column, Problem, Row, Sense
from solvers.quiet import quiet
from solvers.scaling import equilibrated

INNER_FRAC = 5e-4
"""Gap of a block that is completed."""

LIFT_NODES, LIFT_FRAC = 200, 2e-3
"""Nodes of the tree of a block whose line is lifted, and its gap."""


NOISE_FRAC = 1e-11
"""Of the largest slope of a line: what is smaller is rounding of duals, and would decide the units of a program."""


def plain(slopes: Sequence[float]) -> tuple[float, ...]:
    """Slopes without those that are rounding."""
    least = NOISE_FRAC * max(map(abs, slopes), default=0.0)
    return tuple(slope if abs(slope) > least else 0.0 for slope in slopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is true of a block's cost wherever its shared columns are.

    Attributes:
        value: at ``x``; of a line of what is lacking, the least that columns have to move.
        slopes: per shared column of the block, in its order.
        x: values of these.
        costs: it bounds the cost; else what is lacking, which may not be above 0.
    """

    value: float
    slopes: tuple[float, ...]
    x: tuple[float, ...]
    costs: bool

    @property
    def constant(self) -> float:
        """The value where all columns are 0."""
        return self.value - float(np.dot(self.slopes, self.x))


class Block:
    """A kind of block: its own columns, and those that it shares."""

    def __init__(
        self, own: Sequence[Column], shared: Sequence[Column], rows: Sequence[Row], *, small: bool = True,
        below: "Block | None" = None,
    ) -> None:  # fmt: skip
        """Nothing is solved yet.

        Args:
            own: its columns.
            shared: with others.
            rows: over these.
            small: it has few kinds; else without the solver's own searches an answer is often far from the best.
            below: another over the same shared columns that never costs more, which its lines are of; None is itself.
        """
        self._below, self._small = below, small
        self.own, self.shared, self.rows = tuple(own), tuple(shared), tuple(rows)
        signs = [(name, value > 0, row) for row in rows for name, value in row.terms if value]
        barred = {name for name, up, row in signs if (row.upper if up else -row.lower) < INF}
        self.more = tuple(column.name not in barred for column in shared)
        self._models: dict[bool, tuple[highspy.Highs, float, Mapping[str, float]]] = {}
        self._whole: dict[tuple[float, ...], Mapping[str, float] | None] = {}
        self._learned: dict[tuple[float, ...], Mapping[str, float]] = {}
        self._neared = set[tuple[tuple[float, ...], tuple[float, ...]]]()

    def line(self, point: tuple[float, ...]) -> Line | None:
        """The line of its relaxation at values of its shared columns; None where there is none at any."""
        if self._below:
            return self._below.line(point)
        for costs in (True, False):
            model, unit, sizes = self._model(costs)
            number = len(self.rows)
            for at, (column, value) in enumerate(zip(self.shared, point, strict=True)):
                side = value * sizes[f"fixed[{column.name}]"]
                model.changeRowBounds(number + at, side, side)
            with quiet():
                model.run()
            if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                continue
            duals = model.getSolution().row_dual
            slopes = plain([
                float(duals[number + at]) * sizes[f"fixed[{column.name}]"] * unit
                for at, column in enumerate(self.shared)
            ])  # fmt: skip
            value = model.getInfo().objective_function_value * unit
            return Line(value=float(value), slopes=slopes, x=point, costs=costs)
        return None

    def _model(self, costs: bool) -> tuple[highspy.Highs, float, Mapping[str, float]]:
        """The relaxation with its shared columns tied to rows; without costs, columns may leave them at a price."""
        if costs in self._models:
            return self._models[costs]
        own = self.own if costs else tuple(replace(c, objective=0.0) for c in self.own)
        ties, slack = list[Row](), list[Column]()
        for column in self.shared:
            terms: tuple[tuple[str, float], ...] = ((column.name, 1.0),)
            if not costs:
                names = (f"over[{column.name}]", f"under[{column.name}]")
                slack += [Column(name=name, objective=1.0) for name in names]
                terms = (*terms, (names[0], -1.0), (names[1], 1.0))
            ties.append(Row(name=f"fixed[{column.name}]", family="fixed", terms=terms, lower=0.0, upper=0.0))
        shared = tuple(replace(c, objective=0.0) for c in self.shared)
        scaled = equilibrated(
            Problem(name="a block", sense=Sense.MIN, columns=(*own, *shared, *slack), rows=(*self.rows, *ties))
        )  # fmt: skip
        model = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 1), ("random_seed", 1), ("presolve", "off")):
            model.setOptionValue(option, value)
        model.passModel(matrix(scaled.problem, whole=False))
        self._models[costs] = model, scaled.objective, scaled.rows
        return self._models[costs]

    def whole(self, point: tuple[float, ...]) -> Mapping[str, float] | None:
        """Its own columns, whole, at values of its shared columns; None where nothing is found."""
        if point not in self._whole:
            tied = [replace(c, lower=v, upper=v, objective=0.0) for c, v in zip(self.shared, point, strict=True)]
            part = Problem(name="a block", sense=Sense.MIN, columns=(*self.own, *tied), rows=self.rows)
            found = solve_direct(part, time_limit_s=10.0, gap_frac=INNER_FRAC, small=self._small, most_nodes=LIFT_NODES)
            self._whole[point] = found.values if found else None
        return self._whole[point]

    def nearest(self, point: tuple[float, ...], prices: Sequence[float]) -> None:
        """Learn the cheapest values of its shared columns, none below these, at which its own have an answer.

        Asked once of each, for all blocks that are alike.
        """
        if (asked := (point, tuple(prices))) in self._neared:
            return
        self._neared.add(asked)
        ends = zip(self.shared, point, prices, strict=True)
        free = [replace(c, lower=max(c.lower, least), objective=price) for c, least, price in ends]
        part = Problem(name="a block", sense=Sense.MIN, columns=(*self.own, *free), rows=self.rows)
        found = solve_direct(part, time_limit_s=10.0, gap_frac=LIFT_FRAC, small=self._small, most_nodes=LIFT_NODES)
        if found:
            self.learn(tuple(found.values[c.name] for c in self.shared), found.values)

    def learn(self, point: tuple[float, ...], own: Mapping[str, float]) -> None:
        """Its own columns have this answer where its shared columns are here."""
        if point not in self._learned or self.cost(own) < self.cost(self._learned[point]):
            self._learned[point] = own

    @property
    def answers(self) -> list[tuple[tuple[float, ...], Mapping[str, float]]]:
        """Values of its shared columns at which its own have an answer, and these."""
        found = {point: own for point, own in self._whole.items() if own is not None}
        for point, own in self._learned.items():
            if point not in found or self.cost(own) < self.cost(found[point]):
                found[point] = own
        return [(self._taken(point, own), own) for point, own in found.items()]

    def _taken(self, point: tuple[float, ...], own: Mapping[str, float]) -> tuple[float, ...]:
        """The values of its shared columns, shares of rows no larger than its own columns take."""
        values = {**own, **dict(zip((column.name for column in self.shared), point, strict=True))}
        taken = {
            row.terms[-1][0]: sum(value * values[name] for name, value in row.terms[:-1])
            for row in self.rows if row.family == "share"
        }  # fmt: skip
        return tuple(taken.get(column.name, value) for column, value in zip(self.shared, point, strict=True))

    def cost(self, own: Mapping[str, float]) -> float:
        """What its own columns come to."""
        return sum(column.objective * own[column.name] for column in self.own if column.objective)

    def lifted(self, line: Line) -> Line:
        """A line of costs as high as whole numbers let it be at its slopes."""
        found = self._cheapest(line.slopes)
        if found is None:
            return line
        return replace(line, value=line.value + found.bound - line.constant)  # lower, too: weights have errors

    def priced(self, slopes: Sequence[float]) -> Line | None:
        """The line of costs of such slopes that whole numbers let it have; None where none is found."""
        found = self._cheapest(slopes)
        if found is None:
            return None
        return Line(value=found.bound, slopes=tuple(slopes), x=(0.0,) * len(slopes), costs=True)

    def _cheapest(self, slopes: Sequence[float]) -> Direct | None:
        """Learn the answer that is cheapest where so much of what it costs is borne by its shared columns."""
        if self._below:
            if found := self._below._cheapest(slopes):
                point = tuple(found.values[c.name] for c in self.shared)
                if self.whole(point) is None:
                    self.nearest(point, [max(abs(slope), 1e-6) for slope in slopes])
            return found
        priced = [replace(c, objective=-slope) for c, slope in zip(self.shared, slopes, strict=True)]
        part = Problem(name="a block", sense=Sense.MIN, columns=(*self.own, *priced), rows=self.rows)
        found = solve_direct(part, time_limit_s=10.0, gap_frac=LIFT_FRAC, small=self._small, most_nodes=LIFT_NODES)
        if found:
            self.learn(tuple(found.values[c.name] for c in self.shared), found.values)
        return found
