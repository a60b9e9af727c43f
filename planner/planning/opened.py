"""Opening a plan.json: what it states has to be what follows from its question, catalog and machines today."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from planner.files.fleet_file import FleetFile, read_fleet_file
from planner.files.plan_file import PlanFile, read_plan
from planner.files.restated import apart, expect_same, missing_files
from planner.planning.available import stated_again
from planner.planning.figures import figures
from planner.planning.fleet_nines import nines_of
from planner.planning.fleet_question import read_fleet
from planner.planning.loop import PlanningLoop
from planner.planning.one import told_worth
from planner.planning.plausibility import peak_shares
from planner.planning.recount import recounted
from planner.resolve.case import Case, case_of
from planner.resolve.measured_bands import measured_against
from planner.resolve.provenance import provenance
from planner.resolve.serving import served_as
from planner.results.choice import Standing
from planner.results.evidence import ValidatedPlan


def open_plan(path: Path, *, edited_too: bool = False) -> PlanFile:
    """Read ``plan.json`` and count again what can be counted without a simulation.

    Args:
        path: the file.
        edited_too: read it even where it is not as it was simulated; ``edited`` of the answer says so.

    Raises:
        BadInput: see ``read_plan``; or figures are others today, and that is not allowed here.
    """
    file = read_plan(path, edited_too=edited_too)
    if not file.edited and not missing_files(file.scenario):
        counted = partial(case_of, file.scenario, file.plan.candidate)
        expect_same(file, path, lambda: restatements(counted(), file.plan), edited_too=edited_too)
    return file


def open_fleet(path: Path, *, edited_too: bool = False) -> FleetFile | None:
    """The same of the plans of several models; None where the file holds another kind."""
    file = read_fleet_file(path, edited_too=edited_too)
    if file is not None and not file.edited and not any(missing_files(part) for part in file.scenario.parts().values()):
        expect_same(file, path, lambda: _of_fleet(file), edited_too=edited_too)
    return file


def _of_fleet(file: FleetFile) -> Iterator[str]:
    """The same for every model, and of what all share."""
    question = read_fleet(file.scenario)
    for name, plan in file.fleet.plans.items():
        case = case_of(question.models[name], plan.candidate)
        yield from (f"{name}: {words}" for words in restatements(case, plan))
    yield from apart(file.fleet.nines, nines_of(question, file.fleet.plans), "fleet.nines")


def restatements(case: Case, plan: ValidatedPlan) -> Iterator[str]:
    """Every figure that follows from question, catalog, machines and evidence, where the plan states another.

    What only a solver or a simulation can tell is left out: bounds, percentiles, rows, failures that were injected.

    Raises:
        BadInput: the catalog offers no such machines.
    """
    candidate, judgement = plan.candidate, plan.judgement
    now = recounted(case, candidate)
    yield from apart(candidate.variant, case.variant, "plan.candidate.variant")
    for key in ("totals", "pools"):
        yield from apart(getattr(candidate, key), getattr(now, key), f"plan.candidate.{key}")
    loop = PlanningLoop(case, _silent)
    yield from apart(plan.objective_value, abs(told_worth(loop, (now, judgement))), "plan.objective_value")
    yield from apart(plan.peaks, peak_shares(case, now, judgement), "plan.peaks")
    yield from apart(plan.served, served_as(case, now), "plan.served")
    yield from apart((plan.provenance, plan.sources), provenance(case, now), "plan.provenance, sources")
    yield from apart(plan.accuracy, measured_against(case, now), "plan.accuracy")
    if plan.availability is not None and case.scenario.availability.asked:
        yield from apart(plan.availability, stated_again(case, plan), "plan.availability")
    for place, row in enumerate(plan.choices):
        if row.standing is Standing.CHOSEN:
            priced = figures(loop, now, judgement, Standing.CHOSEN, allowed=True)
            running = None if row.concurrency is None else priced.concurrency  # of versions that did not say
            yield from apart(row, replace(priced, bound=row.bound, concurrency=running), f"plan.choices.{place}")


def _silent(_words: str, _done_frac: float) -> None:
    """Nothing is told: counting again takes a moment."""
