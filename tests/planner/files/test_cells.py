"""Plans in cells as files: manifests hold every cell, and files whose cells are not equal are no plans."""

from dataclasses import replace

import pytest
import yaml

from planner.files import stacks, texts
from planner.files.faults import plan_faults
from planner.files.workers import Deployment, deployment
from planner.results.evidence import ValidatedPlan
from tests.planner import plans
from tests.planner.files.test_manifests import PRICES
from workloads.models import load_model

CELLS = 3


def in_cells(cells: int = CELLS) -> ValidatedPlan:
    """So many times the machines of the hand-made plan, a cell each."""
    made = plans.counted()
    pools = tuple(
        replace(pool, machines=CELLS * pool.machines, instances=CELLS * pool.instances) for pool in made.candidate.pools
    )
    totals = replace(made.candidate.totals, machines=CELLS * made.candidate.totals.machines)
    return replace(made, candidate=replace(made.candidate, pools=pools, totals=totals, cells=cells))


def deployed(plan: ValidatedPlan) -> Deployment:
    """The neutral plan."""
    return deployment(plan, plans.scenario(), model=load_model("llama-3.1-70b"))


def test_manifests_hold_every_cell() -> None:
    """A deployment for each cell, with the replicas of one; a note names the router that is not in it."""
    alone, text = deployed(plans.counted()), stacks.dynamo(deployed(in_cells()))
    graphs = list(yaml.safe_load_all(text))
    assert [graph["metadata"]["name"] for graph in graphs] == [f"{alone.name}-cell-{cell}" for cell in range(CELLS)]
    one = next(yaml.safe_load_all(stacks.dynamo(alone)))
    assert all(graph["spec"] == one["spec"] for graph in graphs)
    head = text.partition("apiVersion")[0]
    assert f"# Cells: {CELLS} equal deployments" in head
    assert "a router in front of them" in head
    labels = [values["modelArtifacts"]["labels"]["llm-d.ai/model"] for values in _releases(in_cells())]
    assert labels == [f"{alone.name}-cell-{cell}" for cell in range(CELLS)]
    assert "Cells" not in stacks.dynamo(alone)


def _releases(plan: ValidatedPlan) -> list[dict[str, dict[str, dict[str, str]]]]:
    return list(yaml.safe_load_all(stacks.llm_d(deployed(plan))))


def test_tables_name_the_cells() -> None:
    """CSV has a column of cells."""
    found = in_cells()
    assert texts.as_csv(found, PRICES).splitlines()[1].split(",")[13] == str(CELLS)


@pytest.mark.parametrize("cells", [7, 2])
def test_cells_that_do_not_divide_the_machines_are_refused(cells: int) -> None:
    """Cells are equal: a number that does not divide machines and instances is named, and so is one not asked for."""
    assert not [words for words in plan_faults(plans.scenario(), in_cells()) if "cells" in words]
    found = [words for words in plan_faults(plans.scenario(), in_cells(cells)) if "cells" in words]
    assert any(f"found {cells}, " in words for words in found)
    asked = plans.scenario().changed(["policy.cells=9"])
    assert any("expected 9, as was asked" in words for words in plan_faults(asked, in_cells()))
