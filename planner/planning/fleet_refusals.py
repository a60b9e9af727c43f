"""Why there are no plans of several models."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from planner.planning.refusals import raise_words
from planner.planning.row_search import more_rows
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.fleet import FleetPlan, NoFleetPlan
from planner.results.row import RowStudy
from planner.results.shortfall import Shortfall
from workloads.counts import rounded_up

TOGETHER = "no plans of all models fit what they share"


def no_plans(answer: NoPlan, name: str, raises: Mapping[str, tuple[float, float]] | None = None) -> NoFleetPlan:
    """No plans of all, since one model has none."""
    lines = tuple(f"{name}: {line}" for line in answer.explanation)
    more = tuple(raise_words(raises)) if raises else ()
    judgements = {name: answer.judgement} if answer.judgement else {}
    return NoFleetPlan(
        answer=replace(answer, explanation=(*lines, *more), raises=dict(raises or answer.raises)), judgements=judgements
    )


def beyond_shared(beyond: Mapping[str, tuple[float, float]], plans: Mapping[str, ValidatedPlan]) -> NoFleetPlan:
    """Plans of all models that exceed what they share: its name -> (the limit, what they need)."""
    lines = tuple(f"{name} is {limit:g}, all models take {needed:g}" for name, (limit, needed) in beyond.items())
    return _none_of(plans, (TOGETHER, *lines), beyond)


def not_in_rows(first: FleetPlan, rows: Sequence[RowStudy]) -> NoFleetPlan:
    """Plans whose machines do not stand in the rows that there are, and how many rows those with fewest take."""
    explanation, raises = more_rows(rows)
    return _none_of(first.plans, explanation, raises)


def _none_of(
    plans: Mapping[str, ValidatedPlan], explanation: tuple[str, ...], raises: Mapping[str, tuple[float, float]]
) -> NoFleetPlan:
    """Plans of each model that are none of all together."""
    none = NoPlan(
        reason="not validated", explanation=explanation, raises=raises, rounds=(), excuses=(), judgement=None
    )  # fmt: skip
    return NoFleetPlan(answer=none, judgements={name: found.judgement for name, found in plans.items()})


def at_factor(found: NoFleetPlan, factor: float) -> NoFleetPlan:
    """No plans even at the lowest factor on all rates that was tried."""
    lines = (f"no plans of all models were found down to {factor:.3g} times their rates", *found.answer.explanation)
    answer = replace(found.answer, reason="not validated", explanation=lines)
    return replace(found, answer=answer, rate_ratio=factor)


def none_served(fails: Mapping[str, tuple[str, ...]], found: FleetPlan) -> NoFleetPlan:
    """Plans that were made for a factor on all rates and do not serve them, by model, as the question asks."""
    lines = (f"{name}: {line}" if name else line for name, each in fails.items() for line in each)
    return _none_of(found.plans, tuple(lines), {})


def stopped_by(found: NoFleetPlan, words: tuple[str, ...]) -> NoFleetPlan:
    """A refusal with what ended solves of programs over all models; as it is where nothing did."""
    answer = replace(found.answer, explanation=(*found.answer.explanation, *words))
    return replace(found, answer=answer, stopped=words)


def too_little(found: NoFleetPlan, short: Sequence[Shortfall]) -> NoFleetPlan:
    """A refusal with the shared limits that bind, each planned with; as it is where none does."""
    if not short:
        return found
    raises = {each.row: (each.given, each.admits) for each in short}
    words = raise_words(raises)
    if short[0].alone:
        words, raises = [words[0], *(f"or {other}" for other in words[1:])], dict([*raises.items()][:1])
    head = () if found.rate_ratio == 1.0 else found.answer.explanation[:1]
    together = found.answer.explanation[:1] if short[0].row == "rows" else (TOGETHER,)  # what the study of the row says
    lines = (*head, *together, *words, *(_least_words(each) for each in short), *found.stopped)
    answer = replace(found.answer, explanation=lines, raises=raises, excuses=())
    return replace(found, answer=answer, shortfalls=tuple(short))


def _least_words(short: Shortfall) -> str:
    """What each model takes of a limit, and with how much of it no plans were found."""
    each = ", ".join(f"{name} {rounded_up(value):g}" for name, value in short.least.items())
    takes = "at least"
    if short.row == "rows":
        takes = f"with {short.admits:g} in plans, in machines"
    elif short.row.startswith("availability["):
        takes = f"with {short.admits:g} in plans"
    return f"{short.key}: {takes} {each}; with {short.refused:g} no plans of all were found"
