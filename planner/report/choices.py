"""The table of alternatives: precision, engine and policy, what each would come to, and whether that was simulated."""

from collections.abc import Iterator, Sequence

from planner.report.interactivity import of_choices
from planner.report.money import NONE
from planner.report.page import Lines, Section, Table, columns, section
from planner.report.words import dollars, valued
from planner.results.choice import Choice, Standing
from planner.results.evidence import ValidatedPlan
from planner.scenario.objectives import IN_JOULES, Objective
from planner.scenario.policy_section import SPLIT
from workloads.counts import number, percent, watts

_KEYS = "model.dtype, model.kv_dtype, model.engine or policy.name"

CHOICES = "Precisions, engines and policies"
"""Title of the section that holds every row."""

MOST_NAMED = 3
"""Rows that a first screen names."""

_DIGITS = 6
"""Of a relative difference: what two solves differ by in their last bits is none."""


def choices_section(plan: ValidatedPlan) -> Iterator[Section]:
    """Every row, and what its words mean."""
    objective = Objective(plan.objective)
    extra = () if objective is Objective.COST else (f"#{objective.value}",)
    headings = columns(
        "weights", "KV cache", "engine", "policy", *extra, "#at best", "#cost", "#rated", "#machines", "#tokens/s/GPU",
        "#tokens/s/user", "#concurrency", "#$/M in", "#$/M out", "~evidence",
    )  # fmt: skip
    table = Table(columns=headings, rows=[_cells(plan, row, objective) for row in plan.choices], caption="alternatives")
    words = Lines(lines=tuple(_words(plan)))
    blocks = (of_choices(plan.choices), table, words) if len(plan.choices) > 1 else ()
    yield from section("choices", CHOICES, *blocks)


def best_others(plan: ValidatedPlan, where: str = "") -> tuple[str, ...]:
    """The best rows besides the plan, a sentence each: those that were simulated first, formats of the KV cache apart.

    A row that the simulator has not seen saves nothing: no difference is said of it.

    Args:
        plan: the answer.
        where: the others are to be found; for example an option on a terminal, a title on a page.
    """
    others = sorted((row for row in plan.choices if row.standing is not Standing.CHOSEN), key=lambda r: not r.simulated)
    first = {(row.variant.dtype, row.engine, row.policy, row.cached): row for row in reversed(others)}
    apart = [row for row in others if first[row.variant.dtype, row.engine, row.policy, row.cached] is row]
    named = [*(row for row in apart if not row.cached), *(row for row in apart if row.cached)][:MOST_NAMED]
    left = len(others) - len(named)
    rest = f"; {left} more{f': {where}' if where else ''}" if left else ""
    words = [_other(plan, row) for row in named]
    return (*words[:-1], *(f"{last}{rest}" for last in words[-1:]))


def _other(plan: ValidatedPlan, row: Choice) -> str:
    """A row in a sentence: what it comes to, in what it is not as the plan, and what speaks for it.

    What the question does not allow is named first of what differs.
    """
    value = _worth(plan.objective, row)
    if row.simulated:
        change = round(row.objective_value / max(1e-9, plan.objective_value) - 1, _DIGITS)
        value += f" ({'+' if change >= 0 else '-'}{percent(abs(change))})"
    kept_out = _kept_out_by(plan, row)
    parts = {
        "precision": f"{row.variant.dtype} weights, {row.variant.kv_dtype} KV", "engine": row.engine,
        "policy": _policy(row),
    }  # fmt: skip
    mine = next((each for each in plan.choices if each.standing is Standing.CHOSEN), None)
    if mine:
        parts = _unlike(mine, row) or parts
    words = [parts.pop(kept_out), *parts.values()] if kept_out in parts else list(parts.values())
    return f"{value} with {', '.join(words)} ({_seen(row)}{', not allowed' if kept_out else ''})"


def _unlike(mine: Choice, row: Choice) -> dict[str, str]:
    """In what a row is not as the plan: its precision, engine and policy, as far as they differ."""
    formats = [
        f"{theirs} {what}"
        for what, theirs, own in (
            ("weights", row.variant.dtype, mine.variant.dtype), ("KV", row.variant.kv_dtype, mine.variant.kv_dtype)
        )
        if theirs != own
    ]  # fmt: skip
    found = {
        "precision": ", ".join(formats), "engine": row.engine if row.engine != mine.engine else "",
        "policy": _policy(row) if (row.policy, row.cached) != (mine.policy, mine.cached) else "",
    }  # fmt: skip
    return {key: words for key, words in found.items() if words}


def _worth(objective: str, row: Choice) -> str:
    """What a row comes to; of one that was not simulated what is proven, since bursts may double its optimum."""
    if row.simulated:
        return valued(objective, row.objective_value)
    return "unpriced" if row.bound is None else f"at best {valued(objective, row.bound)}"


def _seen(row: Choice) -> str:
    """What speaks for a row, in words that need no table."""
    return "not simulated" if row.standing is Standing.BOUND else str(row.standing)


def split_words(plan: ValidatedPlan, policies: Sequence[str] | str) -> str:
    """Whether prefill and decode have instances of their own, and why: for example ``split, as asked``.

    Args:
        plan: the answer.
        policies: what the question allows.
    """
    mine = plan.candidate.policy in SPLIT
    words = "split" if mine else "not split"
    if isinstance(policies, str) and policies != "auto":
        words += ", as asked"
    rivals = [
        r for r in plan.choices if (r.policy in SPLIT) != mine and r.variant == plan.candidate.variant and r.cached
    ]
    if not rivals:
        return words
    most = plan.objective == Objective.THROUGHPUT
    best = min(rivals, key=lambda r: (not r.simulated, -r.objective_value if most else r.objective_value))
    return f"{words}; {'not split' if mine else 'split'} {_worth(plan.objective, best)}, {_seen(best)}"


def _kept_out_by(plan: ValidatedPlan, row: Choice) -> str:
    """What of the question keeps a row out: its precision, engine or policy; empty where nothing does."""
    if row.allowed:
        return ""
    allowed = {other.variant for other in plan.choices if other.allowed} | {plan.candidate.variant} - {None}
    if (row.variant.dtype, row.variant.kv_dtype) not in {(each.dtype, each.kv_dtype) for each in allowed if each}:
        return "precision"
    return "policy" if row.variant in allowed else "engine"


def _kept_out(plan: ValidatedPlan, row: Choice) -> str:
    """The same in the words of a table."""
    by = _kept_out_by(plan, row)
    return f", not allowed by {by}" if by else ""


def _cells(plan: ValidatedPlan, row: Choice, objective: Objective) -> tuple[str, ...]:
    """One row of the table."""
    engine = f"{row.engine} {row.engine_version}"
    planned = " planned" if objective in IN_JOULES and row.standing in (Standing.BOUND, Standing.REFUSED) else ""
    extra = () if objective is Objective.COST else (valued(objective, row.objective_value) + planned,)
    bound = NONE if row.bound is None else valued(objective, row.bound)
    user = NONE if row.user_tokens_per_s is None else number(row.user_tokens_per_s)
    return (
        row.variant.dtype, row.variant.kv_dtype, engine, _policy(row), *extra, bound, dollars(row.cost_usd_per_h),
        watts(row.power_w), number(row.machines), number(row.gpu_tokens_per_s), user,
        NONE if row.concurrency is None else number(row.concurrency),
        _price(row.usd_per_million_prompt_tokens), _price(row.usd_per_million_output_tokens),
        f"{row.standing}{_kept_out(plan, row)}",
    )  # fmt: skip


def _policy(row: Choice) -> str:
    """How requests are served, and whether prompts are kept."""
    return row.policy if row.cached else f"{row.policy}, no prefix cache"


def _price(value: float | None) -> str:
    return NONE if value is None else f"${value:,.2f}"


def _words(plan: ValidatedPlan) -> Iterator[str]:
    """What the columns say, as far as it is not plain."""
    standings = {row.standing for row in plan.choices}
    if Standing.VALIDATED in standings:
        yield "validated: a plan that the simulator confirms; only this plan was searched around further."
    if Standing.BEYOND in standings:
        yield (
            "beyond rows or failures: a plan that the simulator confirms, but power.rows do not hold it or it does not "
            "survive the failures of availability; of an answer other machines are tried then."
        )
    if Standing.BOUND in standings:
        yield (
            "bound only: the program's optimum at its first load limits (headroom), not simulated; a search loads "
            "machines more or less, so the row may come out better or worse; "
            "`plan --alternatives` simulates the best of them."
        )
    if Standing.REFUSED in standings:
        yield "not validated: no plan that was tried passed the simulation; the figures are the program's optimum."
    if any(not row.allowed for row in plan.choices):
        yield f"not allowed by: the scenario keeps it out; {_KEYS} as a list, or any, lets the planner choose it."
    if any(row.concurrency is not None for row in plan.choices):
        yield "Concurrency: requests that decode at once on a machine, the mean as simulated."
    yield "At best: proven, whatever the latencies. Cost is split into in and out by the instance time of both phases."
