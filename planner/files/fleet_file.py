"""Plans of several models as one file, and back."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from planner import __version__
from planner.errors import BadInput, nearest
from planner.files.faults import bound_faults, nine_faults, over_budgets, row_faults
from planner.files.observed import CLOSE_FRAC
from planner.files.plan_file import (
    SCHEMA_VERSION,
    PlanFile,
    Written,
    bound_text,
    contradictions,
    dumps,
    read_kind,
)
from planner.results.fleet import FleetPlan, NoFleetPlan
from planner.scenario.fleet import Fleet
from planner.scenario.power import PowerSection


class FleetFile(Written):
    """Validated plans of several models with everything needed to check them or make them again."""

    scenario: Fleet = Field(description="the question, with every default spelled out")
    fleet: FleetPlan = Field(description="the plan of each model and its evidence")

    def one(self, name: str) -> PlanFile:
        """The plan of one model, as a file of its own would have it, without the rows that all models stand in.

        Raises:
            BadInput: there is no such model.
        """
        plans, prefix = self.fleet.plans, f"{name}: "
        if name not in plans:
            raise BadInput(f"model {name}: the plans are of {', '.join(plans)}; {nearest(name, plans)}")
        scenario = self.scenario.parts()[name]
        file = PlanFile(
            schema_version=self.schema_version, phasewise_version=self.phasewise_version, validated=True,
            digests={k.removeprefix(prefix): d for k, d in self.digests.items() if k.startswith(prefix)},
            scenario=scenario.model_copy(update={"power": PowerSection()}), plan=plans[name],
        )  # fmt: skip
        file._sealed = self.sealed
        return file.doubted(self.standing, self.differences) if self.edited else file


def fleet_text(scenario: Fleet, found: FleetPlan, digests: Mapping[str, str]) -> str:
    """The content of such a file: same arguments, same text."""
    head = {"schema_version": SCHEMA_VERSION, "phasewise_version": __version__, "validated": True}
    return bound_text({**head, "digests": digests, "scenario": scenario, "fleet": found})


def no_fleet_text(scenario: Fleet, found: NoFleetPlan, digests: Mapping[str, str]) -> str:
    """The honest other answer as JSON; never written where plans were asked for."""
    head = {"schema_version": SCHEMA_VERSION, "phasewise_version": __version__, "validated": False}
    answer = {"no_plan": found.answer, "shortfalls": found.shortfalls}
    return dumps({**head, "digests": digests, "scenario": scenario, **answer})


def read_fleet_file(path: Path, *, edited_too: bool = False) -> FleetFile | None:
    """The plans of several models in a file that ``plan --out`` wrote; None where it is a plan of another kind.

    Args:
        path: the file.
        edited_too: read it even where it was edited since it was simulated; ``edited`` of the answer says so.

    Raises:
        BadInput: it cannot be read, or holds plans that are cut off, of another version, contradictory, or edited.
    """
    return read_kind(path, "fleet", FleetFile, _contradictions, edited_too=edited_too)


def _contradictions(file: FleetFile) -> Iterator[str]:
    """What a hand that edits one number forgets to edit elsewhere."""
    found, asked = [each.name for each in file.fleet.models], list(file.scenario.parts())
    if found != asked:
        yield f"fleet.models: found {', '.join(found)}; expected {', '.join(asked)}, as in the question"
        return
    for name in found:
        yield from (f"fleet.models: {name}: {words}" for words in contradictions(file.one(name)))
    fleet, totals = file.fleet, file.fleet.totals
    if fleet.objective != file.scenario.objective:
        yield f"fleet.objective: found {fleet.objective}; expected the scenario's {file.scenario.objective}"
    if file.sealed:
        yield from bound_faults(fleet.objective, fleet.objective_value, fleet.bound, fleet.gap_frac, "fleet")
        yield from row_faults(file.scenario.power, fleet.power, totals.machines, "fleet.power")
        for nine in (nine for nine in fleet.nines if nine.chosen):
            yield from nine_faults(nine, totals, "fleet.nines")
    value = sum(each.plan.objective_value for each in file.fleet.models)
    if not math.isclose(value, file.fleet.objective_value, rel_tol=CLOSE_FRAC):
        found_value = file.fleet.objective_value
        yield f"fleet.objective_value: found {found_value:g}; expected {value:g}, the sum over the models"
    yield from over_budgets(asdict(file.scenario.budget()), totals, "fleet: ", " of all models")
