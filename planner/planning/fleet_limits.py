"""The limits that several models share: their values, what plans take of them, and the question at other values."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import inf

from planner.formulate import BUDGETS
from planner.planning.fleet_question import FleetInputs
from planner.results.evidence import ValidatedPlan
from planner.results.fleet import FleetPlan, machines_of
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet

ROWS = "rows"
"""The limit ``power.rows``, which no row of the program holds."""

NO_LIMIT = 1_000_000
"""Machines of a type that stand for as many as are wanted: catalogs limit some that a question cannot leave out."""


def limits_of(question: FleetInputs) -> dict[str, float]:
    """The finite limits of a question, each by the name of the row that holds it."""
    budgets = question.fleet.budget()
    found = {row: getattr(budgets, each.key) for row, each in BUDGETS.items()}
    found |= {stock(kind): count for kind, count in question.available.items()}
    if question.fleet.power.row_limit_w is not None:
        found[ROWS] = question.fleet.power.rows
    return {row: float(limit) for row, limit in found.items() if limit is not None and limit < inf}


def at_limits(question: FleetInputs, limits: Mapping[str, float]) -> FleetInputs:
    """The same question with other values of limits, by row; inf is none.

    Rows of power are lifted with the section that asks for them.
    """
    budgets = {BUDGETS[row].key: _value(row, value) for row, value in limits.items() if row in BUDGETS}
    kinds = {row: kind for kind in question.available if (row := stock(kind)) in limits}
    count = {kind: NO_LIMIT if limits[row] == inf else round(limits[row]) for row, kind in kinds.items()}

    def changed(asked: Scenario) -> Scenario:
        catalog = asked.catalog.model_copy(update={"available": {**asked.catalog.available, **count}})
        return asked.model_copy(update={"catalog": catalog, "budgets": asked.budgets.model_copy(update=budgets)})

    return replace(
        question, fleet=_fleet(question.fleet, budgets, count, limits.get(ROWS)),
        models={name: replace(each, scenario=changed(each.scenario)) for name, each in question.models.items()},
    )  # fmt: skip


def taken(found: FleetPlan, question: FleetInputs) -> dict[str, dict[str, float]]:
    """Row -> model -> what validated plans take of each finite limit, expected watts as simulated."""
    spent = {name: _spent(plan) for name, plan in found.plans.items()}
    return {row: {name: each.get(row, 0.0) for name, each in spent.items()} for row in limits_of(question)}


def together(row: str, each: Mapping[str, float], found: FleetPlan) -> float:
    """What all models take of a limit: the sum, or of machine types and rows those of all."""
    if row == "machine_types":
        return float(len(machines_of(plan.candidate for plan in found.plans.values())))
    if row == ROWS:
        return float(found.power.needed_rows or inf) if found.power else 0.0
    return sum(each.values())


def stock(kind: str) -> str:
    """The row that holds how many machines of a type there are."""
    return f"availability[{kind}]"


def whole(row: str) -> bool:
    """Whether a limit counts things."""
    return row in ("machines", "machine_types", ROWS) or row.startswith("availability[")


def _value(row: str, value: float) -> float | int | None:
    if value == inf:
        return None
    return round(value) if whole(row) else value


def _fleet(fleet: Fleet, budgets: Mapping[str, object], count: Mapping[str, int], rows: float | None) -> Fleet:
    """The question of all with other limits."""
    catalog = fleet.catalog.model_copy(update={"available": {**fleet.catalog.available, **count}})
    power = {} if rows is None else {"row_limit_w": None} if rows == inf else {"rows": round(rows)}
    return fleet.model_copy(
        update={
            "budgets": fleet.budgets.model_copy(update=dict(budgets)), "catalog": catalog,
            "power": fleet.power.model_copy(update=power),
        }
    )  # fmt: skip


def _spent(plan: ValidatedPlan) -> dict[str, float]:
    """What the plan of one model takes, by row."""
    spent, bought = plan.candidate.spent(plan.judgement.mean_w), Counter[str](machines_of([plan.candidate]))
    each = {row: spent[budget.key] for row, budget in BUDGETS.items()}
    return {**each, **{stock(kind): float(count) for kind, count in bought.items()}, ROWS: float(bought.total())}
