"""Schedules of prefill and decode pools, and of long contexts beside them: planned, served, counted."""

from collections import Counter
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.resolve.inputs import read_inputs
from planner.results.evidence import Judgement, Verdict
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.results.timetable import Timetable
from planner.schedules.planning import timetable
from planner.schedules.rows import Study, enough
from planner.schedules.windows import more_times
from tests.planner.resolve.test_long_beside import LONG
from tests.planner.small import small
from workloads.slo import Metric, Slo

DAY = (
    "policy.name=splitwise", "policy.chunked_prefill=true", "catalog.channel=reserved", "catalog.machines=[dgx-h100]",
    "schedule={load: [0.5, 1.6], epoch_s: 1800, clocks_mhz: [1980]}",
)  # fmt: skip


def served(*changes: str) -> Timetable:
    """The schedule of an hour in two epochs."""
    return timetable(small(*changes, *DAY), progress=lambda *_: None)


def check_rates(found: Timetable) -> None:
    """Each class is started once in every epoch, and decoded where it was prefilled apart."""
    assert found.schedule is not None
    for epoch in found.schedule.epochs:
        rates = {role: Counter[str]() for role in Role}
        for run in epoch.runs:
            rates[run.spec.role].update(run.rate_req_per_s)
        assert rates[Role.PREFILL] == pytest.approx(rates[Role.DECODE], rel=1e-4)


def test_a_day_of_prefill_and_decode_pools_is_served() -> None:
    """Every epoch of a schedule under splitwise meets its objectives, at about the watts that were planned."""
    found = served()
    check_rates(found)
    assert found.valid
    assert {run.spec.role for epoch in found.schedule.epochs for run in epoch.runs} == {Role.PREFILL, Role.DECODE}
    assert all(0.8 < each.watts_ratio < 1.25 for each in found.served)


def test_long_contexts_stand_beside_the_pools_of_a_day() -> None:
    """A class of long contexts may have instances with KV groups of its own in the same schedule."""
    found = served(*LONG, "catalog.tp=[1, 2]", "catalog.kvp=[2]", "catalog.roles={dgx-h100: [prefill, decode, mixed]}")
    check_rates(found)
    assert found.valid
    mixed = [run for epoch in found.schedule.epochs for run in epoch.runs if run.spec.role is Role.MIXED]
    assert all(set(run.rate_req_per_s) == {"long"} and run.spec.layout.kvp == 2 for run in mixed)


def test_the_rows_of_a_schedule_limit_its_machines() -> None:
    """The busiest epoch stands in the rows that there are, or the schedule is made again with fewer, or refused."""
    asked = small(*DAY, "power.row_limit_w=40000", "power.rows=2")
    seen = list[int]()

    def study(holds: int) -> Study:
        def studied(case: Case, candidate: CandidatePlan) -> tuple[RowStudy, str]:
            seen.append(candidate.totals.machines)
            needed = -(-candidate.totals.machines // holds)
            row = RowStudy(
                machine="dgx-h100", policy="polca", row_limit_w=4e4, provisioned_machines=holds, peak_frac=0.9,
                uncapped_ratio=1.1, uncapped_machines=holds, machines=holds, ratio=1.0, rise_2s_frac=0.1,
                rise_40s_frac=0.1, trials=(), domains=(), weeks=1, week_s=60.0, tick_s=1.0, assumptions=(),
                rows=case.scenario.power.rows, plan_machines=candidate.totals.machines, needed_rows=needed,
            )  # fmt: skip
            return row, "" if row.fits else "too many"

        return studied

    roomy = timetable(asked, progress=lambda *_: None, study=study(10))
    assert roomy.valid
    assert roomy.power
    assert roomy.power.plan_machines == max(seen)
    assert roomy.schedule
    assert sum(max((e.machines for e in roomy.schedule.epochs), key=lambda m: sum(m.values())).values()) <= max(seen)
    one_row = asked.changed(["power.rows=1"])
    tight = timetable(one_row, progress=lambda *_: None, study=study(1))
    assert tight.schedule is None
    assert not tight.valid
    assert tight.lacking == ("too many", f"raise power.rows from 1 to at least {max(seen)}")


@given(first=st.integers(0, 6), others=st.lists(st.integers(0, 6), max_size=2), least=st.integers(1, 8))
def test_rows_that_are_named_are_enough(first: int, others: list[int], least: int) -> None:
    """Rows that a refusal names hold a schedule: the first one's, or fewer with which one was planned."""
    tried = list[int]()

    def planned(rows: int) -> bool:
        tried.append(rows)
        return rows >= least

    found = enough([first, *others], planned)
    assert found in (0, first) or found in tried
    assert found in (0, first) or found >= least
    assert found or not first
    assert not first or found <= first
    assert first or not found or found == max(least, min(filter(None, others)))
    assert all(rows < least for rows in tried if rows != found)


def test_a_clock_of_a_list_is_for_the_types_that_have_it() -> None:
    """A type is tried at its own clock and those of a list that its GPUs have; one that no type has is refused.

    The highest clock stands for the driver's own: both run alike.
    """
    both = ("catalog.machines=[dgx-a100, dgx-h100]",)
    limits = read_inputs(small(*DAY, *both, "schedule.clocks_mhz=[1200, 1980]")).limits
    clocks = {name: [limit.clock_mhz for limit in tried] for name, tried in limits.items()}
    assert clocks == {"dgx-a100": [None, 1200], "dgx-h100": [1200, 1980]}
    with pytest.raises(BadInput, match=r"schedule\.clocks_mhz: found 2500"):
        read_inputs(small(*DAY, *both, "schedule.clocks_mhz=[1200, 2500]"))


@pytest.mark.parametrize(
    ("verdict", "measured", "n", "times"),
    [
        (Verdict.UNDECIDED, 0.5, 100, 12.0),  # 3 · 4 / 0.01 / 100
        (Verdict.UNDECIDED, 0.5, 10, 16.0),  # no longer than that
        (Verdict.UNDECIDED, 0.5, 4000, 1.0),  # enough requests: too close to call
        (Verdict.UNDECIDED, 1.5, 100, 12.0),  # the largest of 100 says little of one in 100
        (Verdict.UNDECIDED, 1.5, 4000, 1.0),  # beyond its limit: more machines
        (Verdict.MISSED, 1.5, 100, 1.0),
        (Verdict.MET, 0.5, 100, 1.0),
    ],
)
def test_too_few_requests_lengthen_the_window_of_an_epoch(
    verdict: Verdict, measured: float, n: int, times: float
) -> None:
    """An objective that holds as far as it goes but has too few requests is looked at for longer, not bought for."""
    slo = Slo(metric=Metric.TTFT, percentile=99.0, limit=1.0)
    found = SimpleNamespace(slo=slo, verdict=verdict, measured=measured, limit=1.0, n=n)
    said = SimpleNamespace(evidence=(found,), unfinished=0)
    assert more_times(cast(Judgement, said)) == pytest.approx(times)
