"""How much of a limit is enough for a schedule of several models: values that schedules were planned with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from planner.resolve.inputs import Inputs
from planner.scenario import Scenario
from planner.schedules.refusal import Raised, Refusal
from workloads.counts import rounded_up

MOST_TRIED = 5
"""Schedules that are planned with other values of one limit."""

MOST_EPOCHS = 48
"""A schedule of more epochs is not planned again to say what is enough: each takes as long as the first."""

STEP_FRAC = 0.02
"""Share of money, watts and space by which a value is a step less."""

Planned = Callable[[Mapping[str, Inputs]], bool]
"""Whether there is a validated schedule of models with other limits."""


def with_enough(
    models: Mapping[str, Inputs], why: Refusal, guesses: Sequence[Raised], planned: Planned
) -> Refusal:  # fmt: skip
    """A refusal whose limits are those with which a schedule was validated, and a step less was not.

    Budgets that have to be raised together are left as they are proven or estimated: each would depend on the others.

    Args:
        models: the question.
        why: what is proven or estimated.
        guesses: by estimated capacities, where what is proven may be too little.
        planned: plans the question with other limits.
    """
    if len(why.raises) != 1 and not any(each.instead for each in why.raises):
        return why
    estimates, raises, more = {each.key: each.least for each in guesses}, list[Raised](), list[str]()
    for each in why.raises:
        less = each.least - _step(each.key, each.least) if why.proven else each.given
        found = _enough(models, each, max(each.given, less), estimates.get(each.key, 0.0), planned)
        if found is None:
            raises.append(each)
            more.append(f"{each.key}: no schedule was validated with what was tried")
            continue
        little, enough = found
        raises.append(replace(each, least=enough))
        more.append(f"{each.key}: a schedule was validated with {enough:g}, none with {little:g}")
    return replace(why, raises=tuple(raises), more=(*more, *why.more))


def _enough(
    models: Mapping[str, Inputs], short: Raised, low: float, guess: float, planned: Planned
) -> tuple[float, float] | None:  # fmt: skip
    """The most value that is too little and the least that is enough, from ``low``, which is too little, up."""
    high, left = None, MOST_TRIED
    value = _value(short.key, short.least)
    while left and (high is None or high - low > _step(short.key, high) * (1 + 1e-9)):
        left -= 1
        if planned(at_limit(models, short.key, value)):
            high = value
        else:
            low = value
        if high is None:
            value = _value(short.key, max(value + _step(short.key, value), guess))
            guess = 1.2 * value
        elif not low < (value := _value(short.key, (low + high) / 2)) < high:
            value = low + _step(short.key, high)
            if value >= high:
                break
    return None if high is None else (low, high)


def at_limit(models: Mapping[str, Inputs], key: str, value: float) -> dict[str, Inputs]:
    """The same models with another value of one limit that they share."""

    def changed(scenario: Scenario) -> Scenario:
        catalog, budgets = scenario.catalog, scenario.budgets
        if kind := _kind(key):
            stock = {**catalog.available, kind: round(value)}
            return scenario.model_copy(update={"catalog": catalog.model_copy(update={"available": stock})})
        named = {key.removeprefix("budgets."): round(value) if _whole(key) else value}
        return scenario.model_copy(update={"budgets": budgets.model_copy(update=named)})

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
