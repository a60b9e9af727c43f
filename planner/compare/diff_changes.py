"""What differs between two plans: pools, margins, and the questions they answer."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from planner.results.difference import Change, Margin, Move, Purchase
from planner.results.evidence import ValidatedPlan
from planner.results.fleet import machines_of
from planner.results.plan import CandidatePlan, Totals
from planner.scenario import Scenario

_LONGEST = 60
"""Characters of a value that a note shows."""


def changes(before: ValidatedPlan, after: ValidatedPlan) -> tuple[Change, ...]:
    """What becomes of every pool of either plan, by name."""
    old, new = ({p.spec.name: p for p in plan.candidate.pools} for plan in (before, after))
    found = []
    for name in sorted(old | new):
        was, will = old.get(name), new.get(name)
        if was is None or will is None:
            sign = "+" if was is None else "-"
        else:
            sign = "=" if (was.machines, was.instances) == (will.machines, will.instances) else "~"
        found.append(Change(sign=sign, pool=name, before=was, after=will))
    return tuple(found)


def purchases(
    before: CandidatePlan, after: CandidatePlan, moves: Sequence[Move], price_usd_per_h: Mapping[str, float]
) -> tuple[Purchase, ...]:
    """Machines to buy, to retire and to rent meanwhile, by type: a machine that changes its pool is neither.

    Args:
        before: what stands.
        after: what shall stand.
        moves: from one to the other.
        price_usd_per_h: machine type -> price of one, of all types of both plans.
    """
    old, new = (machines_of([candidate]) for candidate in (before, after))
    machine_of = {pool.spec.name: pool.spec.machine for plan in (before, after) for pool in plan.pools}
    during = list(_standing(old, moves, machine_of))
    return tuple(
        _purchase(name, old[name], new[name], [each[name] for each in during], price_usd_per_h[name])
        for name in sorted(old | new)
    )


def _purchase(machine: str, before: int, after: int, during: Sequence[int], usd_per_h: float) -> Purchase:
    """One type, by how many of it stand after each move: those beyond both plans are needed for a while only."""
    kept = max(before, after)
    beyond, rent = [at for at, count in enumerate(during, 1) if count > kept], max([kept, *during]) - kept
    return Purchase(
        machine=machine, before=before, after=after, buy=max(0, after - before), retire=max(0, before - after),
        rent=rent, rent_usd_per_h=rent * usd_per_h,
        rent_moves=(beyond[0], min(beyond[-1] + 1, len(during))) if beyond else None,
    )  # fmt: skip


def _standing(before: Counter[str], moves: Sequence[Move], machine_of: Mapping[str, str]) -> Iterator[Counter[str]]:
    """Machines by type after every move."""
    stands = Counter(before)
    for move in moves:
        stands[machine_of[move.pool]] += -move.machines if move.sign == "-" else move.machines
        if move.source:
            stands[machine_of[move.source]] -= move.machines
        yield Counter(stands)


def most(stands: Iterable[Totals]) -> Totals:
    """The largest of each quantity."""
    every = [asdict(each) for each in stands]
    return Totals(**{key: max(each[key] for each in every) for key in every[0]})


def margins(before: ValidatedPlan, after: ValidatedPlan) -> tuple[Margin, ...]:
    """Every objective of either plan, in the order of the first."""
    old, new = ({e.key: e for e in plan.judgement.evidence} for plan in (before, after))
    return tuple(Margin(slo=name, before=old.get(name), after=new.get(name)) for name in dict.fromkeys([*old, *new]))


def notes(before: Scenario, after: Scenario) -> tuple[str, ...]:
    """Every key in which the two questions differ, one a line."""
    old, new = (dict(_flat(scenario.model_dump(mode="json"))) for scenario in (before, after))
    return tuple(
        f"{key}: {_short(old.get(key))} before, {_short(new.get(key))} after"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key != "name"
    )


def _flat(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf of nested mappings by its dotted path; lists are leaves."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _short(value: object) -> str:
    words = "nothing" if value is None or value in ({}, []) else str(value)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
