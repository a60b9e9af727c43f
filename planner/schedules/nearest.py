"""How much of a limit is enough for a schedule: values that schedules were planned with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from planner.resolve.epoch_options import ANY
from planner.resolve.inputs import Inputs
from planner.scenario import Scenario
from planner.schedules.question import Opened
from planner.schedules.refusal import Raised, Refusal, estimated
from workloads.counts import rounded_up

MOST_TRIED = 5
"""Schedules that are planned with other values of one limit."""

MOST_EPOCHS = 48
"""A schedule of more epochs is not planned again to say what is enough: each takes as long as the first."""

STEP_FRAC = 0.02
"""Share of money, watts and space by which a value is a step less."""

Planned = Callable[[Mapping[str, Inputs]], bool]
"""Whether there is a validated schedule of models with other limits."""


def enough_of(
    models: Mapping[str, Inputs], asked: Opened, planned: Planned
) -> Callable[[Refusal], Refusal] | None:  # fmt: skip
    """What finds how much of a limit is enough, by planning with it; None of so many epochs that this takes long."""
    if asked.load.epochs > MOST_EPOCHS:
        return None
    return lambda why: with_enough(models, why, estimated(asked) if why.proven else why.raises, planned)


def with_enough(
    models: Mapping[str, Inputs], why: Refusal, guesses: Sequence[Raised], planned: Planned
) -> Refusal:  # fmt: skip
    """A refusal whose limits are those with which a schedule was validated, and a step less was not.

    Of limits that have to be raised together each is enough beside the others as they are named, and a step less of it
    is not even with the others lifted.

    Args:
        models: the question.
        why: what is proven or estimated.
        guesses: by estimated capacities, where what is proven may be too little.
        planned: plans the question with other limits.
    """
    estimates = {each.key: each.least for each in guesses}
    if not why.raises:
        return why
    if any(each.beside for each in why.raises):
        found = _together(models, why.raises, estimates, planned)
    else:
        found = _apart(models, why, estimates, planned)
    if found is None and (needed := tuple(_needed(models, estimates, planned))):
        found = _together(models, needed, estimates, planned)
    if found is None:
        return replace(why, more=(*(f"{each.key}: {NONE_TRIED}" for each in why.raises), *why.more))
    return replace(why, raises=found.raises, more=(*found.more, *why.more))


NONE_TRIED = "no schedule was validated with what was tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Raises that are enough, and what was tried of each, full sentences."""

    raises: tuple[Raised, ...]
    more: tuple[str, ...]


def _apart(
    models: Mapping[str, Inputs], why: Refusal, estimates: Mapping[str, float], planned: Planned
) -> _Found | None:  # fmt: skip
    """Raises each of which is enough by itself; None where none of them is."""
    raises, more, any_enough = list[Raised](), list[str](), False
    for each in why.raises:
        less = each.least - _step(each.key, each.least) if why.proven else each.given
        found = _enough(models, each, max(each.given, less), estimates.get(each.key, 0.0), planned)
        any_enough = any_enough or found is not None
        raises.append(each if found is None else replace(each, least=found[1]))
        more.append(f"{each.key}: {NONE_TRIED}" if found is None else _tried(each.key, *found))
    return _Found(raises=tuple(raises), more=tuple(more)) if any_enough else None


def _together(
    models: Mapping[str, Inputs], short: Sequence[Raised], estimates: Mapping[str, float], planned: Planned
) -> _Found | None:  # fmt: skip
    """Raises that are enough with one another; None where they are not."""
    values, raises, more = dict.fromkeys((each.key for each in short), inf), list[Raised](), list[str]()
    for each in short:
        near = at_limits(models, {key: value for key, value in values.items() if key != each.key})
        found = _enough(near, each, each.given, estimates.get(each.key, 0.0), planned)
        if found is None:
            return None
        values[each.key] = found[1]
        raises.append(replace(each, least=found[1], beside=bool(raises), instead=False))
        more.append(_tried(each.key, *found))
    return _Found(raises=tuple(raises), more=tuple(more))


def _needed(models: Mapping[str, Inputs], estimates: Mapping[str, float], planned: Planned) -> Iterator[Raised]:
    """Limits of which each has to be raised whatever becomes of the others, and others until there is a schedule."""
    given = limits_of(models)
    free = dict.fromkeys(given, inf)
    if not planned(at_limits(models, free)):
        return
    needed = [key for key in given if not planned(at_limits(models, {**free, key: given[key]}))]
    for key in given:
        if planned(at_limits(models, dict.fromkeys(needed, inf))):
            break
        needed += [key] if key not in needed else []
    for key in needed:
        yield Raised(key=key, given=given[key], least=estimates.get(key, given[key] + _step(key, given[key])))


def limits_of(models: Mapping[str, Inputs]) -> dict[str, float]:
    """The finite limits that models share, by key."""
    first = next(iter(models.values()))
    budgets = {f"budgets.{key}": value for key, value in first.scenario.budgets.model_dump().items()}
    stock = {f"catalog.available.{kind}": float(count) for kind, count in first.available.items()}
    return {key: float(value) for key, value in (budgets | stock).items() if value is not None}


def _tried(key: str, little: float, enough: float) -> str:
    return f"{key}: a schedule was validated with {enough:g}, none with {little:g}"


def _enough(
    models: Mapping[str, Inputs], short: Raised, low: float, guess: float, planned: Planned
) -> tuple[float, float] | None:  # fmt: skip
    """The most value that is too little and the least that is enough, from ``low``, which is too little, up."""
    high, left = None, MOST_TRIED
    value = _value(short.key, short.least)
    while left and (high is None or high - low > _step(short.key, high) * (1 + 1e-9)):
        left -= 1
        if planned(at_limits(models, {short.key: value})):
            middle = (
                (low + value) / 2 if high else value - _step(short.key, value)
            )  # most likely one less is too little
            high = value
        else:
            low, middle = value, (value + (high or 0.0)) / 2
        if high is None:
            value = _value(short.key, max(value + _step(short.key, value), guess))
            guess = 1.2 * value
        elif not low < (value := _value(short.key, middle)) < high:
            value = low + _step(short.key, high)
            if value >= high:
                break
    return None if high is None else (low, high)


def at_limits(models: Mapping[str, Inputs], limits: Mapping[str, float]) -> dict[str, Inputs]:
    """The same models with other values of limits that they share, by key; inf is none."""
    stock = {kind: ANY if value == inf else round(value) for key, value in limits.items() if (kind := _kind(key))}
    named = {
        key.removeprefix("budgets."): None if value == inf else round(value) if _whole(key) else value
        for key, value in limits.items()
        if not _kind(key)
    }

    def changed(scenario: Scenario) -> Scenario:
        catalog, budgets = scenario.catalog, scenario.budgets
        had = catalog.model_copy(update={"available": {**catalog.available, **stock}})
        return scenario.model_copy(update={"catalog": had, "budgets": budgets.model_copy(update=named)})

    return {name: replace(each, scenario=changed(each.scenario)) for name, each in models.items()}


def _kind(key: str) -> str:
    """The machine type whose stock a key is; empty of budgets."""
    return key.removeprefix("catalog.available.") if key.startswith("catalog.available.") else ""


def _whole(key: str) -> bool:
    return bool(_kind(key)) or key in ("budgets.machines", "budgets.machine_types")


def _value(key: str, value: float) -> float:
    return float(round(value)) if _whole(key) else rounded_up(value)


def _step(key: str, value: float) -> float:
    return 1.0 if _whole(key) else STEP_FRAC * value
