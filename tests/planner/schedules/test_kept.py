"""Epochs that keep their pools while others are planned anew."""

from dataclasses import replace

import numpy as np
import pytest

from planner.results.evidence import Evidence, Verdict
from planner.results.timetable import Served
from planner.scenario import Scenario
from planner.schedules.kept import Kept, busier, failing, lent
from planner.schedules.planning import _mended, _proposed
from planner.schedules.provision import level
from planner.schedules.question import Opened, opened, question_of
from tests.planner.schedules.test_over_time import DAY
from workloads.load import Load
from workloads.slo import Slo

RATES = {"short": np.array([4.0, 10.0, 17.0, 10.0, 6.0]), "long": np.array([1.0, 2.0, 3.0, 0.0, 1.0])}
LOAD = Load(epoch_s=3600.0, mean_req_per_s=RATES, peak_req_per_s=RATES)


def _served(epochs: tuple[int, ...], verdict: Verdict) -> Served:
    seen = Evidence(slo=Slo.named("ttft_p99_s", 1.0), measured=1.0, low=0.9, high=1.1, verdict=verdict, n=1000)
    return Served(
        epochs=epochs, rate_req_per_s=1.0, changed=0, evidence=(seen,), seeds=(1,), arrived=1000, unfinished=0,
        refused=0, steady=True, engine="",
    )  # fmt: skip


GOOD, BAD = (1, 2, 3), (0, 4)
SERVED = (_served(GOOD, Verdict.MET), _served(BAD, Verdict.UNDECIDED))


def test_what_missed_is_told_from_what_was_served_well() -> None:
    """An objective that is too close to call is a miss."""
    assert failing(SERVED) == set(BAD)


def test_pools_are_taken_from_the_least_busy_epoch_that_asks_no_less() -> None:
    """An epoch without a class lends to none that has it; one that helped nothing is followed by a busier one."""
    assert busier(LOAD, SERVED, 0, 0) == 1
    assert busier(LOAD, SERVED, 0, 1) == 2
    assert busier(LOAD, SERVED, 0, 2) is None


def test_borrowed_pools_are_provided_for_as_where_they_come_from() -> None:
    """Rate over the peak of a quiet epoch with the pools of a busy one is that of the busy one over its own peak."""
    found = lent(LOAD, level(RATES, 0.9), {0: 1, 1: 1})
    assert found["short"].tolist() == pytest.approx([2.25, 0.9, 0.9, 0.9, 0.9])
    assert found["long"].tolist() == pytest.approx([1.8, 0.9, 0.9, 0.9, 0.9])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Five hours of two classes on one machine type."""
    path = tmp_path_factory.mktemp("day") / "day.yaml"
    path.write_text(DAY, encoding="utf-8")
    return opened(Scenario.load(path).changed(["catalog.machines=[dgx-h100]"]), "sarathi")


def test_epochs_that_were_served_well_keep_their_pools(day: Opened) -> None:
    """More is planned for an epoch that missed alone; after some rounds it has the pools of a busier one."""
    held = level(day.load.peak_req_per_s, 0.85)
    first = replace(_proposed(day, held, 1.0), served=SERVED)
    assert first.schedule is not None
    assert first.schedule.method == "decomposed"
    wanted = {name: np.where(np.isin(np.arange(5), BAD), 3.0, ratios) for name, ratios in held.items()}
    for lenders in (None, dict[int, int]()):
        mended = _mended(day, first, wanted, 1.0, lenders)
        assert mended is not None
        assert mended[0].schedule is not None
        runs = [epoch.runs for epoch in mended[0].schedule.epochs]
        assert [runs[at] for at in GOOD] == [first.schedule.epochs[at].runs for at in GOOD]
        for at in BAD:
            before, now = (sum(run.instances for run in each[at]) for each in
                           ([epoch.runs for epoch in first.schedule.epochs], runs))  # fmt: skip
            assert now > before
    assert lenders == {0: 1, 4: 1}
    assert [(r.spec, r.instances) for r in runs[0]] == [(r.spec, r.instances) for r in runs[1]]


def test_a_schedule_that_draws_too_much_is_planned_anew(day: Opened) -> None:
    """Pools are kept where objectives missed; a budget of watts that is passed concerns every epoch."""
    held = level(day.load.peak_req_per_s, 0.85)
    first = _proposed(day, held, 1.0)
    passed = replace(_served(GOOD, Verdict.MET), limit_w=1.0, simulated_w=2.0)
    assert _mended(day, replace(first, served=(passed, SERVED[1])), held, 1.0, None) is None


def test_kept_pools_carry_what_is_asked_of_an_epoch(day: Opened) -> None:
    """Columns of kept epochs hold their instances and rates; of the others nothing is said."""
    held = level(day.load.peak_req_per_s, 0.85)
    first = _proposed(day, held, 1.0).schedule
    assert first is not None
    values = Kept(schedule=first, lender={1: 1, 0: 1}).values(question_of(day, held))
    assert all(name.rstrip("]").endswith((",0", ",1")) for name in values)
    rates = [value for name, value in values.items() if name.startswith("rate[") and ",long,0]" in name]
    assert sum(rates) == pytest.approx(float(held["long"][0] * day.load.peak_req_per_s["long"][0]))
