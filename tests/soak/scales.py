"""Integer programs whose numbers are far apart, and what is true of them: decided where they are near each other."""

import random
from dataclasses import dataclass, replace

from solvers.problem import INF, Column, Problem, Row, Sense


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A problem in other units.

    Attributes:
        seed: draws it again.
        plain: in units in which its numbers are whole and small.
        problem: the same with rows, continuous columns and the objective in other units.
        columns: name -> how much of the plain column one of the problem's is.
        objective: how much of the problem's objective one of the plain one is.
    """

    seed: int
    plain: Problem
    problem: Problem
    columns: dict[str, float]
    objective: float


def scaled(seed: int) -> Scaled:
    """A random small problem, and its twin in other units."""
    draw = random.Random(seed)
    plain = _plain(draw)
    units = {c.name: 1.0 if c.integer else 10.0 ** draw.randint(-4, 4) for c in plain.columns}
    money = 10.0 ** draw.randint(-3, 6)
    columns = tuple(
        replace(c, lower=c.lower / units[c.name], upper=c.upper / units[c.name],
                objective=c.objective * units[c.name] * money)
        for c in plain.columns
    )  # fmt: skip
    rows = tuple(_in_units(row, units, 10.0 ** draw.randint(-6, 6)) for row in plain.rows)
    problem = replace(plain, columns=columns, rows=rows)
    return Scaled(seed=seed, plain=plain, problem=problem, columns=units, objective=money)


def _in_units(row: Row, units: dict[str, float], unit: float) -> Row:
    terms = tuple((name, coefficient * units[name] * unit) for name, coefficient in row.terms)
    return replace(row, terms=terms, lower=row.lower * unit, upper=row.upper * unit)


def _plain(draw: random.Random) -> Problem:
    """Two to five columns, one to five rows; half of them made so that a known point meets them."""
    columns, point = [], {}
    for k in range(draw.randint(2, 5)):
        integer = draw.random() < 0.7
        lower = float(draw.randint(0, 2))
        upper = lower + draw.randint(1, 6) if integer or draw.random() < 0.7 else INF
        columns.append(
            Column(name=f"x{k}", lower=lower, upper=upper, integer=integer, objective=float(draw.randint(-5, 9)))
        )
        point[f"x{k}"] = lower + draw.randint(0, 1)
    known = draw.random() < 0.5
    rows = []
    for k in range(draw.randint(1, 5)):
        names = draw.sample([c.name for c in columns], draw.randint(1, len(columns)))
        terms = tuple((name, float(draw.choice((-7, -3, -1, 1, 2, 5, 9, 40)))) for name in names)
        middle = sum(c * point[name] for name, c in terms) if known else float(draw.randint(-9, 30))
        kind = draw.randrange(3)
        rows.append(
            Row(name=f"r{k}", family="f", terms=terms,
                lower=-INF if kind == 0 else middle - (draw.randint(0, 3) if kind == 1 else 0),
                upper=INF if kind == 1 else middle + (draw.randint(0, 3) if kind == 0 else 0))
        )  # fmt: skip
    return Problem(
        name="plain", sense=draw.choice((Sense.MIN, Sense.MAX)), columns=tuple(columns), rows=tuple(rows)
    )  # fmt: skip
