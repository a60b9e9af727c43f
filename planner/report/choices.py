"""The table of alternatives: precision, engine and policy, what each would come to, and whether that was simulated."""

from collections.abc import Iterator

from planner.report.money import NONE
from planner.report.page import Lines, Section, Table, columns, section
from planner.report.words import dollars, number, percent, valued, watts
from planner.results.choice import Choice, Standing
from planner.results.evidence import ValidatedPlan
from planner.scenario.objectives import Objective

_KEYS = "model.dtype, model.kv_dtype, model.engine or policy.name"


_DIGITS = 6
"""Of a relative difference: what two solves differ by in their last bits is none."""


def choices_section(plan: ValidatedPlan) -> Iterator[Section]:
    """Every row, and what its words mean."""
    objective = Objective(plan.objective)
    extra = () if objective is Objective.COST else (f"#{objective.value}",)
    headings = columns(
        "weights", "KV cache", "engine", "policy", *extra, "#at best", "#cost", "#rated", "#machines", "#tokens/s/GPU",
        "#tokens/s/user", "#$/M in", "#$/M out", "evidence",
    )  # fmt: skip
    table = Table(columns=headings, rows=[_cells(row, objective) for row in plan.choices], caption="alternatives")
    blocks = (table, Lines(lines=tuple(_words(plan)))) if plan.choices else ()
    yield from section("choices", "Precisions, engines and policies", *blocks)


def best_other(plan: ValidatedPlan) -> str:
    """The best row besides the plan that the question does not allow, in a sentence, and how many there are."""
    others = [row for row in plan.choices if row.standing is not Standing.CHOSEN]
    if not others:
        return ""
    unasked = [row for row in others if not row.allowed]
    first = next((row for row in unasked if row.simulated), next(iter(unasked), others[0]))
    value = valued(plan.objective, first.objective_value)
    how = f"{value}, {first.standing}"
    if first.simulated:  # nothing is saved by what the simulator has not seen
        change = round(first.objective_value / max(1e-9, plan.objective_value) - 1, _DIGITS)
        how = f"{value} ({'+' if change >= 0 else '-'}{percent(abs(change))}), {first.standing}"
    more = f"; {len(others) - 1} more: --sections choices, --alternatives" if len(others) > 1 else ""
    return f"{first.variant.dtype} weights, {first.variant.kv_dtype} KV, {first.engine}, {first.policy}: {how}{more}"


def _cells(row: Choice, objective: Objective) -> tuple[str, ...]:
    """One row of the table."""
    engine = f"{row.engine} {row.engine_version}"
    extra = () if objective is Objective.COST else (valued(objective, row.objective_value),)
    bound = NONE if row.bound is None else valued(objective, row.bound)
    user = NONE if row.user_tokens_per_s is None else number(row.user_tokens_per_s)
    return (
        row.variant.dtype, row.variant.kv_dtype, engine, row.policy, *extra, bound, dollars(row.cost_usd_per_h),
        watts(row.power_w), number(row.machines), number(row.gpu_tokens_per_s), user,
        _price(row.usd_per_million_prompt_tokens), _price(row.usd_per_million_output_tokens),
        f"{row.standing}{'' if row.allowed else ', not allowed'}",
    )  # fmt: skip


def _price(value: float | None) -> str:
    return NONE if value is None else f"${value:,.2f}"


def _words(plan: ValidatedPlan) -> Iterator[str]:
    """What the columns say, as far as it is not plain."""
    standings = {row.standing for row in plan.choices}
    if Standing.VALIDATED in standings:
        yield "validated: a plan that the simulator confirms; only this plan was searched around further."
    if Standing.BOUND in standings:
        yield (
            "bound only: the program's optimum at its first load limits (headroom), not simulated; a search loads "
            "machines more or less, so the row may come out better or worse; "
            "`plan --alternatives` simulates the best of them."
        )
    if Standing.REFUSED in standings:
        yield "not validated: no plan that was tried passed the simulation; the figures are the program's optimum."
    if any(not row.allowed for row in plan.choices):
        yield f"not allowed: the scenario keeps it out; {_KEYS} as a list, or any, lets the planner choose it."
    yield "At best: proven, whatever the latencies. Cost is split into in and out by the instance time of both phases."
