"""Rules of designs: a machine type works on the phases that the scenario gives it."""

from pathlib import Path

import pytest

from planner.errors import BadInput
from planner.planning.plan import check
from planner.scenario import Scenario

CONV = Path(__file__).parents[3] / "planner" / "examples" / "splitwise-conv.yaml"
PAIR = "catalog.machines=[dgx-a100, dgx-h100]"


def test_machines_keep_to_their_roles() -> None:
    """With H100 for prompts and A100 for tokens nothing else is offered, and every refusal says so."""
    scenario = Scenario.load(CONV, [PAIR, "catalog.roles={dgx-h100: [prefill], dgx-a100: [decode]}"])
    report = check(scenario)
    assert {name.rpartition("/")[0] for name in report.options} == {"prefill/dgx-h100", "decode/dgx-a100"}
    kept = [e for e in report.excuses if "catalog.roles" in e.reason]
    assert {e.option.rpartition("/")[0] for e in kept} == {"decode/dgx-h100", "prefill/dgx-a100"}


def test_an_unnamed_machine_takes_any_role() -> None:
    """A machine type that has no entry is offered for every phase."""
    report = check(Scenario.load(CONV, [PAIR, "catalog.roles={dgx-h100: [prefill]}"]))
    assert {"prefill/dgx-a100", "decode/dgx-a100"} <= {name.rpartition("/")[0] for name in report.options}


@pytest.mark.parametrize("roles", ["{hgx-h200: [prefill]}", "{dgx-h100: [prompt]}"])
def test_roles_name_what_exists(roles: str) -> None:
    """Roles of a machine that is not listed, and roles that are none, are bad input."""
    with pytest.raises(BadInput, match=r"catalog\.roles"):
        Scenario.load(CONV, [PAIR, f"catalog.roles={roles}"])
