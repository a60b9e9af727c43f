"""A plan whose machines were changed by hand comes to what its machines come to, whatever its file says."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from hw_catalog.load import load_catalog
from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.files.plan_file import plan_text
from planner.planning.plan import plan
from planner.planning.recount import as_it_stands, disagreements, recounted
from planner.resolve.case import open_case
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario
from tests.planner import plans

CONV = plans.EXAMPLES / "splitwise-conv.yaml"
CASE = open_case(Scenario.load(CONV), "splitwise")


def edited(path: Path, instances: Mapping[str, int], machines: Mapping[str, int], **totals: object) -> Path:
    """The file of a plan with other machines, its totals as they were but for those given."""
    data: dict[str, Any] = json.loads(plan_text(plans.scenario(), plans.plan(), {}))
    candidate = data["plan"]["candidate"]
    for pool in candidate["pools"]:
        role = pool["spec"]["role"]
        pool.update(instances=instances[role], machines=machines[role])
    candidate["totals"] |= {"machines": sum(machines.values()), "gpus": 8 * sum(machines.values()), **totals}
    path.write_text(json.dumps(data))
    return path


def say(*words: object) -> Result:
    return CliRunner().invoke(build(), [str(word) for word in words])


@settings(max_examples=25)
@given(decode=st.integers(1, 60), prefill=st.integers(1, 60))
def test_an_edited_plan_comes_to_what_its_machines_cost(decode: int, prefill: int) -> None:
    """Money, rated watts and GPUs are the machines' own, and the work is spread over what there is."""
    made = plans.candidate(decode)
    pools = (made.pools[0], replace(made.pools[1], machines=prefill, instances=2 * prefill))
    found, catalog = recounted(CASE, replace(made, pools=pools)), load_catalog()
    bought = ((catalog.machines["dgx-a100"], decode), (catalog.machines["dgx-h100"], prefill))
    money = sum(machine.price("reserved").usd_per_h * count for machine, count in bought)  # type: ignore[union-attr]
    assert found.totals.cost_usd_per_h == pytest.approx(money)
    assert found.totals.power_w == pytest.approx(sum(machine.rated_w * count for machine, count in bought))
    assert (found.totals.machines, found.totals.gpus) == (decode + prefill, 8 * (decode + prefill))
    one = recounted(CASE, plans.candidate(1)).pools[0].load_frac
    assert found.pools[0].load_frac * decode == pytest.approx(one, rel=0.2)


def test_the_first_screen_of_an_edited_plan_shows_no_old_evidence(tmp_path: Path) -> None:
    """The verdict is that nothing is known; the line of figures that moved names each; no objective is met."""
    path = edited(tmp_path / "plan.json", {"decode": 9, "prefill": 2}, {"decode": 9, "prefill": 1})
    done = say("show", path)
    words = " ".join(done.stdout.split())
    assert done.exit_code == ExitCode.NOT_VALIDATED
    assert words.startswith("UNVALIDATED (edited since it was simulated): 10 machines, $112.49/h")
    assert re.search(r"plan.candidate.totals .* cost_usd_per_h [\d.]+ \(now 112.48", words)
    assert "Objectives not known of the plan as it is now" in words
    assert not any(claim in words for claim in (" met ", "Load margin", "Not less", "proven"))
    said = json.loads(say("show", path, "--json").stdout)
    assert (said["validated"], said["edited"]) == (False, True)
    assert said["candidate"]["totals"]["cost_usd_per_h"] == pytest.approx(112.488, abs=1e-3)
    assert not {"plan", "judgement"} & said.keys()


@pytest.mark.parametrize("verb", ["show", "simulate"])
def test_no_door_takes_more_instances_than_machines_hold(verb: str, tmp_path: Path) -> None:
    """Instances that no machine is paid for are refused, whatever number of GPUs the file claims."""
    path = edited(tmp_path / "plan.json", {"decode": 3, "prefill": 2}, {"decode": 2, "prefill": 1}, gpus=10**6)
    done = say(verb, path)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "found 3 instances on 2 machines; expected at most 2" in " ".join(done.stderr.split())


@pytest.mark.parametrize("verb", ["export", "diff"])
def test_other_doors_take_no_edited_plan(verb: str, tmp_path: Path) -> None:
    """What starts engines or compares evidence wants a plan that was simulated."""
    path = edited(tmp_path / "plan.json", {"decode": 9, "prefill": 2}, {"decode": 9, "prefill": 1})
    more = ["--format", "dynamo"] if verb == "export" else [path]
    done = say(verb, path, *more)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "edited since it was simulated" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "sets", [[], ["objective=throughput", "budgets.cost_usd_per_h=100"], ["policy.name=colocated"]], ids=" ".join
)
def test_a_plan_comes_to_what_it_was_planned_to_come_to(sets: list[str]) -> None:
    """Counting a plan again changes none of its totals, so that what disagrees in a file was edited."""
    scenario = Scenario.load(CONV, [*sets, "validation.seeds=1", "solver.search_evaluations=0"])
    answer = plan(scenario, progress=lambda *_: None, with_margin=False)
    assert isinstance(answer, ValidatedPlan)
    now = as_it_stands(scenario, answer.candidate)
    assert disagreements(answer.candidate.totals, now.totals) == ""


def test_a_pool_that_the_catalog_does_not_have_is_refused() -> None:
    """A plan on machines that the scenario does not offer has no price."""
    case = open_case(Scenario.load(CONV, ["catalog.machines=[dgx-h100]"]), "splitwise")
    with pytest.raises(BadInput, match="offers no such instance"):
        recounted(case, plans.candidate())
    assert recounted(CASE, plans.candidate()).totals.machines == 3


@pytest.mark.parametrize("struck", [0, 1, 2])
def test_a_plan_with_a_pool_struck_out_has_all_the_work_still(struck: int) -> None:
    """Each phase is given what is asked: its own pools take what a pool that is gone took, the other phase's do not."""
    made = plans.candidate(4)
    halves = [replace(p, rate_req_per_s={c: r / 2 for c, r in p.rate_req_per_s.items()}) for p in made.pools]
    pools = (*halves, *halves)
    asked = sum(c.rate_req_per_s for c in CASE.asked.demand.classes)
    now = recounted(CASE, replace(made, pools=pools[struck:] if struck < 2 else pools))
    for role in {p.spec.role for p in pools}:
        served = sum(sum(p.rate_req_per_s.values()) for p in now.pools if p.spec.role is role)
        assert served == pytest.approx(asked)


@pytest.mark.parametrize("name", ["plan.json", "plan.out", "plan"])
def test_a_plan_is_simulated_whatever_its_file_is_called(name: str, tmp_path: Path) -> None:
    """`plan --out` takes any name, and `simulate` reads what it wrote under it."""
    made = plans.candidate(4)
    path = edited(
        tmp_path / name,
        {p.spec.role.value: p.instances for p in made.pools}, {p.spec.role.value: p.machines for p in made.pools},
    )  # fmt: skip
    got = say("simulate", path)
    assert got.exit_code in (ExitCode.VALIDATED, ExitCode.NOT_VALIDATED), got.output
    assert "decode" in got.stdout
