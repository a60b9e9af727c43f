"""Questions about several models read in: each model alone on the whole fleet."""

from dataclasses import replace

from planner.errors import BadInput, read_each
from planner.resolve.inputs import Inputs, inputs_of
from planner.scenario.fleet import Fleet
from planner.scenario.power import PowerSection


def read_models(fleet: Fleet) -> dict[str, Inputs]:
    """What the question of each model names. Their rows are left out: they hold machines of all models.

    Raises:
        BadInput: with every problem of any model.
    """

    def one(name: str) -> Inputs:
        try:
            found = inputs_of(fleet.parts()[name])
        except ValueError as wrong:  # bad input, a catalog or a workload that is broken
            problems = getattr(wrong, "problems", (str(wrong),))
            raise BadInput(*(f"models, {name}: {problem}" for problem in problems)) from None
        return replace(found, scenario=found.scenario.model_copy(update={"power": PowerSection()}))

    names = list(fleet.parts())
    return dict(zip(names, read_each(one, names), strict=True))
