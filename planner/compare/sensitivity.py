"""Sensitivity: one thing moved at a time, and what another unit of a budget is worth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw_catalog.load import load_catalog
from planner.compare.grid import Asked, setting
from planner.compare.outcome import budgets
from planner.resolve.prices import price_of
from planner.results.sweep import Point, ShadowPrice, Swing
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet, FleetModel
from planner.scenario.objectives import Objective

_WHOLE = ("machines", "machine_types")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same question asked on both sides of what is given.

    Attributes:
        name: what is moved, in words.
        low: with less of it.
        high: with more of it.
        step: by how much, in the unit of what is moved; 0 where it is a factor.
    """

    name: str
    low: Asked
    high: Asked
    step: float = 0.0


def tornado(scenario: Scenario | Fleet, share_frac: float) -> tuple[Pair, ...]:
    """Load, lengths, every price, every budget and every objective, each moved by a share both ways.

    Raises:
        BadInput: a value so moved is not allowed.
    """
    pairs = []
    for name, key, value in _movable(scenario):
        sides = []
        for sign in (-1, 1):
            moved = _moved(key, value, 1 + sign * share_frac)
            sides.append(setting(scenario, f"{name} {100 * sign * share_frac:+.0f} %", moved))
        pairs.append(Pair(name=name, low=sides[0], high=sides[1]))
    return tuple(pairs)


def _movable(scenario: Scenario | Fleet) -> Iterator[tuple[str, str, float | dict[str, float]]]:
    """Everything a tornado moves: its name, its key, and its value; prices are moved type by type, models alone."""
    catalog = scenario.catalog
    models: list[tuple[str, str, Scenario | FleetModel]] = (
        [(f" of {each.name}", f"models.{number}.", each) for number, each in enumerate(scenario.models)]
        if isinstance(scenario, Fleet)
        else [("", "", scenario)]
    )
    for whose, place, each in models:
        yield f"load{whose}", f"{place}workload.rate_scale", each.workload.rate_scale
        yield f"prompt length{whose}", f"{place}workload.prompt_scale", each.workload.prompt_scale
        yield f"output length{whose}", f"{place}workload.output_scale", each.workload.output_scale
    for machine in dict.fromkeys(catalog.machines):
        yield f"price of {machine}", f"catalog.price_scale.{machine}", dict(catalog.price_scale)
    for key, limit in budgets(scenario).items():
        yield f"budget {key}", f"budgets.{key}", limit
    for whose, place, each in models:
        for slo, bound in each.slo.items():
            yield f"objective {slo}{whose}", f"{place}slo.{slo}", bound
        for name, slos in each.slo_by_class.items():
            for slo, bound in slos.items():
                yield f"objective {slo} of {name}{whose}", f"{place}slo_by_class.{name}.{slo}", bound


def _moved(key: str, value: float | dict[str, float], factor: float) -> dict[str, str]:
    """The setting that moves a value by a factor."""
    if isinstance(value, dict):
        whole, _, machine = key.partition("price_scale.")
        scales = {**value, machine: value.get(machine, 1.0) * factor}
        inside = ", ".join(f'"{name}": {scale:.12g}' for name, scale in scales.items())
        return {f"{whole}price_scale": f"{{{inside}}}"}
    return {key: _number(key, value * factor)}


def _number(key: str, value: float) -> str:
    """A number as the key takes it: whole where it counts something."""
    return str(max(0, round(value))) if key.rpartition(".")[2] in _WHOLE else f"{value:.12g}"


def swing(pair: Pair, low: Point, high: Point, base: Point) -> Swing:
    """What moving one thing both ways came to."""
    return Swing(
        name=pair.name, low=low, high=high, low_change=_change(low, base), high_change=_change(high, base)
    )  # fmt: skip


def _change(point: Point, base: Point) -> float | None:
    """The objective of a point less that of the scenario as given; None where one of them has none."""
    value, given = point.outcome.objective_value, base.outcome.objective_value
    return None if value is None or given is None else value - given


def ordered(swings: Sequence[Swing]) -> tuple[Swing, ...]:
    """The largest effect first; what leaves no plan at all is larger than anything."""
    return tuple(sorted(swings, key=lambda each: (-each.span, each.name)))


def shadows(scenario: Scenario | Fleet) -> tuple[Pair, ...]:
    """Every finite budget, one step up and one step down.

    Raises:
        BadInput: the catalog lacks a machine of the scenario.
    """
    pairs = []
    for key, limit in budgets(scenario).items():
        step = _step(scenario, key)
        sides = [
            setting(scenario, f"budget {key} {sign}{step:g}", {f"budgets.{key}": _number(key, value)})
            for sign, value in (("-", max(0.0, limit - step)), ("+", limit + step))
        ]
        pairs.append(Pair(name=key, low=sides[0], high=sides[1], step=step))
    return tuple(pairs)


def _step(scenario: Scenario | Fleet, key: str) -> float:
    """What one of the smallest machines on offer needs of a budget."""
    directory = Path(scenario.catalog.directory) if scenario.catalog.directory else None
    catalog = load_catalog(directory)
    machines = [catalog.machines[name] for name in scenario.catalog.machines if name in catalog.machines]
    one = next(iter(scenario.parts().values())) if isinstance(scenario, Fleet) else scenario
    prices = [price_of(one, machine) for machine in machines]
    needs: Mapping[str, list[float]] = {
        "cost_usd_per_h": [price.usd_per_h for price in prices if price],
        "power_w": [m.rated_w for m in machines],
        "expected_power_w": [m.idle_w for m in machines],
        "rack_units": [m.rack_units for m in machines if m.rack_units],
    }
    return min(needs.get(key) or [1.0])


def shadow_price(pair: Pair, scenario: Scenario | Fleet, less: Point, more: Point, base: Point) -> ShadowPrice:
    """What a unit of a budget is worth over the step, both ways."""
    limit = budgets(scenario)[pair.name]
    better = 1.0 if scenario.objective is Objective.THROUGHPUT else -1.0
    gain, loss = _change(more, base), _change(less, base)
    cut = min(pair.step, limit)
    return ShadowPrice(
        budget=pair.name, limit=limit, step=pair.step, more=more, less=less,
        gain_per_unit=None if gain is None else better * gain / pair.step + 0.0,
        loss_per_unit=None if loss is None or not cut else -better * loss / cut + 0.0,
    )  # fmt: skip
