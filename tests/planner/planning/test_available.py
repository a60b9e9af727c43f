"""Plans that hold for a share of the time: spare machines, injected failures, the price of each nine."""

from dataclasses import replace
from functools import cache

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput
from planner.planning.plan import check, plan, simulation
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan
from tests.planner.small import small, write_small

SMALL_RACKS = "availability.rack.machines=2"


def _silent(_words: str, _done: float) -> None:
    pass


@cache
def _planned(*words: str) -> ValidatedPlan | NoPlan:
    return plan(small(*words), progress=_silent, with_margin=False)


def planned(*words: str) -> ValidatedPlan:
    """The plan of the small question."""
    found = _planned(*words)
    assert isinstance(found, ValidatedPlan), found
    return found


def serving(candidate: CandidatePlan) -> int:
    """Machines that may not be down."""
    return sum(pool.machines - pool.spares for pool in candidate.pools)


@pytest.mark.parametrize("objective", ["cost", "power", "machines", "energy", "carbon"])
def test_every_objective_counts_spare_machines(objective: str) -> None:
    """Whatever is minimised, the plan has spare machines, its value counts them, and it is up as often as asked."""
    found = planned("availability=0.999", f"objective={objective}")
    assert found.availability is not None
    assert found.availability.up_frac >= 0.999
    assert found.candidate.totals.machines == sum(pool.machines for pool in found.candidate.pools)
    assert found.availability.spare_machines == sum(pool.spares for pool in found.candidate.pools) > 0
    assert found.certificate.bound is not None
    assert found.certificate.bound <= found.objective_value * (1 + 1e-9)


def test_throughput_within_a_budget_leaves_room_for_spares() -> None:
    """Of four machines as many serve as leave the share of time; all four are within the budget."""
    words = ("objective=throughput", "budgets.machines=4")
    plain, safe = planned(*words), planned(*words, "availability=0.999")
    assert safe.candidate.totals.machines <= 4
    assert serving(safe.candidate) < 4
    assert safe.objective_value < plain.objective_value


def test_each_nine_costs_as_much_or_more() -> None:
    """A larger share of time has no fewer machines and no lower price; the one asked for is marked, and is the plan."""
    found = planned("availability=0.999", SMALL_RACKS)
    assert found.availability is not None
    nines = found.availability.nines
    assert [nine.target_frac for nine in nines] == [0.99, 0.999, 0.9999]
    assert [nine.machines for nine in nines] == sorted(nine.machines for nine in nines)
    assert [nine.cost_usd_per_h for nine in nines] == sorted(nine.cost_usd_per_h for nine in nines)
    (chosen,) = [nine for nine in nines if nine.chosen]
    assert chosen.target_frac == 0.999
    assert chosen.cost_usd_per_h == found.candidate.totals.cost_usd_per_h
    assert all(nine.up_frac >= nine.target_frac for nine in nines)


def test_failures_are_injected_and_survived() -> None:
    """A machine of every pool fails in a run, and the last that may: each is survived, its requests served again."""
    found = planned("availability=0.999")
    assert found.availability is not None
    outages = found.availability.outages
    struck = {outage.words.split()[3] for outage in outages if outage.words.startswith("a machine of")}
    assert struck == {pool.spec.name for pool in found.candidate.pools}
    assert all(not outage.fails and outage.used_ratio <= 1 for outage in outages)
    assert sum(outage.restarted for outage in outages) > 0


def test_plan_one_machine_smaller_is_not_up_often_enough() -> None:
    """Without one of its machines the plan misses its share of time, as `simulate` says; with it the plan holds."""
    words = ("availability=0.999",)
    found = planned(*words)
    assert simulation(small(*words), found.candidate, progress=_silent).judgement.valid
    pool = max(found.candidate.pools, key=lambda each: each.machines)
    each = pool.instances // pool.machines
    less = replace(pool, machines=pool.machines - 1, instances=pool.instances - each, spares=pool.spares - 1)
    pools = tuple(less if each is pool else each for each in found.candidate.pools)
    said = simulation(small(*words), replace(found.candidate, pools=pools), progress=_silent).judgement
    assert not said.valid
    assert any("availability.target_frac" in line for line in said.over)


def test_plan_without_spares_is_measured_by_its_machines() -> None:
    """A plan that was made without availability is told how often it is up."""
    found = planned()
    said = simulation(small("availability=0.999"), found.candidate, progress=_silent).judgement
    assert any("with 0 machines spare" in line for line in said.over)


def test_named_spares_are_on_top_of_every_pool() -> None:
    """``n+1`` is one machine more in each pool than the plan without has or needs."""
    plain, safe = planned(), planned("availability.spares=n+1")
    assert [pool.spares for pool in safe.candidate.pools] == [1] * len(safe.candidate.pools)
    assert safe.candidate.totals.cost_usd_per_h > plain.candidate.totals.cost_usd_per_h
    assert safe.availability is not None
    assert safe.availability.target_frac == 0


def test_budget_without_room_for_spares_is_refused() -> None:
    """A budget that the machines fit but their spares do not is named with what is needed."""
    least = planned().candidate.totals.machines
    found = _planned("availability=0.999", f"budgets.machines={least}")
    assert isinstance(found, NoPlan)
    assert found.raises["machines"][1] == planned("availability=0.999", "objective=machines").candidate.totals.machines


def test_spot_machines_are_gone_more_often() -> None:
    """Interruptions of spot machines take more of the time, as often as the scenario says."""
    words = ("availability=0.999", "catalog.channel=spot", "catalog.price_usd_per_h={dgx-a100: 5.0, dgx-h100: 9.0}")
    rare = planned(*words, "availability.spot.interruptions_per_h=0.0")
    often = planned(*words, "availability.spot.interruptions_per_h=0.5")
    assert rare.availability is not None
    assert often.availability is not None
    assert often.availability.spare_machines >= rare.availability.spare_machines
    assert often.availability.failures_per_h > rare.availability.failures_per_h


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("availability=99.9", "availability.target_frac: found 99.9; expected a share of time above 0 and below 1, for "
         "example 0.999: were 99.9 % meant, which are 0.999?"),
        ("availability=1.0", "availability.target_frac: found 1.0; expected a share of time above 0 and below 1"),
        ("availability=0.0", "availability.target_frac: found 0.0; expected a share of time"),
        ("availability.spares={decode: -1}", "expected a number of spare machines from 0"),
        ("availability.spares=n-1", "expected n+<machines>, for example n+1"),
        ("availability.spares={decoder: 1}", "availability.spares"),
        ("availability.rack.mtbf_h=0.0", "availability.rack.mtbf_h"),
        ("availability.machine.mtbf=100", "expected hours under the key mtbf_h"),
        ("availability.maintenance={every_h: 2.0}", "duration_h below every_h, not 4 and 2"),
    ],
)  # fmt: skip
def test_impossible_values_are_refused_with_what_was_meant(word: str, said: str) -> None:
    """A share in percent, negative spares and unknown words end with the key and what was expected."""
    with pytest.raises(BadInput) as found:
        small(word)
    assert said in " ".join("\n".join(found.value.problems).split())


def test_share_beyond_the_domains_is_refused_by_check_and_plan() -> None:
    """One domain that is down too often for the share of time is named, with how many domains it takes."""
    asked = small("availability=0.9999", "availability.domain.count=1")
    for verb in (check, lambda question: plan(question, progress=_silent)):
        with pytest.raises(BadInput, match=r"availability.target_frac: found 0.9999; expected below 0.999714.*count"):
            verb(asked)


def test_file_keeps_spares_and_refuses_a_share_that_was_edited_away(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A plan file has the spare machines and the study; `show` reads them back, and the screen tells the price."""
    path, out = write_small(tmp_path), tmp_path / "plan.json"
    run = CliRunner()
    done = run.invoke(build(), ["plan", str(path), "--set", "availability=0.999", "--out", str(out), "--quiet"])
    assert done.exit_code == 0, done.output
    shown = run.invoke(build(), ["show", str(out), "--sections", "availability"])
    assert shown.exit_code == 0, shown.output
    assert "the price of each nine" in shown.output or "this plan" in shown.output
    assert "spare" in shown.output


def test_spares_alone_prove_nothing() -> None:
    """Where only the spares of each pool do not fit, that is no proof: another pool might stand in; a budget is one."""
    stock = small("availability=0.999", "catalog.available={dgx-a100: 1, dgx-h100: 1}")
    answer = plan(stock, progress=lambda *_: None)
    assert isinstance(answer, NoPlan)
    assert answer.reason == "not validated"
    assert "standing in for another is not tried" in answer.explanation[0]
    poor = plan(small("availability=0.999", "budgets.cost_usd_per_h=1"), progress=lambda *_: None)
    assert isinstance(poor, NoPlan)
    assert poor.reason == "infeasible"
