"""What differs between two plans: pools, margins, and the questions they answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from planner.results.difference import Change, Margin
from planner.results.evidence import ValidatedPlan
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
