"""Rows over many blocks, shared out among them: what each takes is a column that is decided first."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from solvers.problem import INF, Column, Problem, Row

Place = tuple[str, int | None]
"""The kind of a column, alike in every block, and its block; None for a column that only links."""

NEIGHBOURS = 2
"""Blocks that a row links by its columns alone; one over more is linked by a share of each."""


def placed(problems: Sequence[Problem], place: Callable[[str], Place]) -> Callable[[str], Place]:
    """Where each column of some problems is, and each share of a row over many blocks: it is decided first."""
    homes = {column.name: place(column.name) for problem in problems for column in problem.columns}
    return lambda name: homes.get(name, (name, None))


def shared_out(
    problem: Problem, place: Callable[[str], Place]
) -> tuple[Problem, Mapping[str, tuple[tuple[str, float], ...]]]:
    """The problem with each row over many blocks as one of their shares in it; of each share, what it is of."""
    of_share, rows = dict[str, tuple[tuple[str, float], ...]](), list[Row]()
    for row in problem.rows:
        by_block = defaultdict[int | None, list[tuple[str, float]]](list)
        for term in row.terms:
            by_block[place(term[0])[1]].append(term)
        loose = by_block.pop(None, [])
        if len(by_block) <= NEIGHBOURS:
            rows.append(row)
            continue
        for block, terms in by_block.items():
            name = f"share[{row.name},{block}]"
            of_share[name] = tuple(terms)
            loose.append((name, 1.0))
            rows.append(
                Row(name=name, family="share", terms=(*terms, (name, -1.0)),
                    lower=0.0 if row.lower > -INF else -INF, upper=0.0 if row.upper < INF else INF)
            )  # fmt: skip
        rows.append(replace(row, terms=tuple(loose)))
    shares = tuple(Column(name=name, lower=-INF) for name in of_share)
    return replace(problem, columns=(*problem.columns, *shares), rows=tuple(rows)), of_share


def shares(of_share: Mapping[str, Sequence[tuple[str, float]]], values: Mapping[str, float]) -> dict[str, float]:
    """What blocks take of rows over many of them."""
    return {name: sum(value * values[other] for other, value in terms) for name, terms in of_share.items()}
