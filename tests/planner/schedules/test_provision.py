"""What epochs are provided for, and the separate parts of what they serve."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.perf.layout import InstanceSpec
from planner.planning.plan import plan
from planner.resolve.inputs import inputs_of
from planner.results.evidence import Evidence, ValidatedPlan, Verdict
from planner.results.schedule import Run, Schedule
from planner.results.timetable import Served, Timetable
from planner.scenario import Scenario
from planner.schedules import less, serving
from planner.schedules.less import Trial, with_less
from planner.schedules.peaks import at_the_peak
from planner.schedules.planning import timetable
from planner.schedules.provision import Provided, between, growth, level, missed, raised
from planner.schedules.question import Opened, opened, ways
from planner.schedules.scenes import apart, part
from planner.schedules.serving import Serving
from planner.simulator.judge import judge
from planner.simulator.pools import Events
from planner.simulator.traffic import Judging, Traffic
from tests.planner.schedules.test_over_time import DAY
from tests.planner.weeks import timetable as hand_made
from workloads.load import Floats
from workloads.slo import Slo

CLASSES = ("short", "long")


def _evidence(name: str, over: float, verdict: Verdict) -> Evidence:
    slo = Slo.named(name, 1.0)
    return Evidence(slo=slo, measured=over, low=over * 0.9, high=over * 1.1, verdict=verdict, n=1000)


def _served(*evidence: Evidence, epochs: tuple[int, ...] = (0,), steady: bool = True, longer: str = "") -> Served:
    return Served(
        epochs=epochs, rate_req_per_s=1.0, changed=0, evidence=evidence, seeds=(1,), arrived=1000, unfinished=0,
        refused=0, steady=steady, engine="", longer_missed=(longer,) if longer else (),
    )  # fmt: skip


def test_a_miss_of_one_class_raises_that_class_alone() -> None:
    """Machines for prompts of 200,000 tokens do not help short ones that wait."""
    missed_one = growth(_served(_evidence("short:ttft_p99_s", 4.0, Verdict.MISSED)), CLASSES)
    assert missed_one["short"] > 1.0
    assert missed_one["long"] == 1.0
    everyones = growth(_served(_evidence("tbt_p99_s", 1.2, Verdict.MISSED)), CLASSES)
    assert min(everyones.values()) > 1.0


def test_a_miss_in_a_longer_run_raises_the_class_that_misses() -> None:
    """A backlog that shows over a longer time is told from one that nothing names."""
    met = _evidence("short:ttft_p99_s", 0.9, Verdict.MET), _evidence("long:ttft_p99_s", 0.5, Verdict.MET)
    named = growth(_served(*met, steady=False, longer="short:ttft_p99_s"), CLASSES)
    assert named["short"] > 1.0
    assert named["long"] == 1.0
    assert min(growth(_served(*met, steady=False), CLASSES).values()) > 1.0


@given(st.floats(0.5, 50.0), st.floats(1.0, 2.0))
def test_a_larger_miss_never_raises_less(over: float, more: float) -> None:
    """Growth rises with the miss, within bounds."""
    ratios = [
        growth(_served(_evidence("short:ttft_p99_s", value, Verdict.MISSED)), CLASSES)["short"]
        for value in (over, over * more)
    ]
    assert 1.0 < ratios[0] <= ratios[1] < 1.5


def test_epochs_that_are_alike_are_raised_alike_and_others_stay() -> None:
    """What one epoch of a group missed, all of the group are provided more for."""
    held = level({name: np.ones(5) for name in CLASSES}, 0.85)
    served = (
        _served(_evidence("short:ttft_p99_s", 2.0, Verdict.MISSED), epochs=(1, 3)),
        _served(_evidence("short:ttft_p99_s", 0.5, Verdict.MET), epochs=(0, 2, 4)),
    )
    more = raised(held, served)
    assert more["short"][[0, 2, 4]].tolist() == [0.85] * 3
    assert (more["short"][[1, 3]] > 0.85).all()
    assert more["long"].tolist() == [0.85] * 5
    little = missed(level({name: np.ones(5) for name in CLASSES}, 0.5), held, served)
    assert little["short"].tolist() == [0.5, 0.85, 0.5, 0.85, 0.5]


@given(st.floats(0.3, 1.0), st.floats(1.0, 3.0), st.floats(0.0, 1.0))
def test_what_lies_between_is_neither_less_nor_more(low: float, ratio: float, share: float) -> None:
    """Half-way is between what is too little and what is enough."""
    one, other = level({"a": np.ones(3)}, low), level({"a": np.ones(3)}, low * ratio)
    found = between(one, other, share)["a"]
    assert (one["a"] - 1e-9 <= found).all()
    assert (found <= other["a"] + 1e-9).all()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """A few hours of two classes on two machine types."""
    path = tmp_path_factory.mktemp("day") / "day.yaml"
    path.write_text(DAY, encoding="utf-8")
    return opened(Scenario.load(path), "sarathi")


def _runs(asked: Opened, *, shared: bool) -> tuple[Run, ...]:
    """Short and long requests on machines of their own, or on the same."""
    h100, h200 = (next(o.spec for o in asked.options if o.spec.machine == name) for name in ("dgx-h100", "hgx-h200"))
    rates = ({"short": 10.0, "long": 1.0}, {"long": 1.0}) if shared else ({"short": 10.0}, {"long": 2.0})
    return tuple(
        Run(spec=spec, instances=6, rate_req_per_s=rate) for spec, rate in zip((h100, h200), rates, strict=True)
    )


Shares = tuple[InstanceSpec, dict[str, float]]


def _alike(*pools: Shares) -> Schedule:
    """Two instances of each pool in every epoch."""
    return _shared(*[pools] * 5)


def _shared(*epochs: tuple[Shares, ...]) -> Schedule:
    """Two instances of each pool, with shares of the load of each epoch's own."""
    runs = [tuple(Run(spec=spec, instances=2, rate_req_per_s=rates) for spec, rates in pools) for pools in epochs]
    return cast(
        Schedule, SimpleNamespace(epochs=[SimpleNamespace(runs=each, machines={"dgx-h100": 2}) for each in runs])
    )


def test_the_same_pools_with_other_shares_are_served_anew(day: Opened) -> None:
    """What is told of an epoch is what its own shares of the load give, whatever was served before it."""
    h100, h200 = (next(o.spec for o in day.options if o.spec.machine == name) for name in ("dgx-h100", "hgx-h200"))
    much, little = {"short": 7.0, "long": 1.0}, {"short": 3.0, "long": 0.5}
    first, second = (_alike((h100, one), (h200, other)) for one, other in ((much, little), (little, much)))
    again, fresh = (Serving(day.case, day.section, day.load, day.options) for _ in range(2))
    before = again.served(first, [0]).evidence
    assert again.served(second, [0]).evidence == fresh.served(second, [0]).evidence != before


def test_what_is_told_of_an_epoch_is_what_it_does_by_itself(day: Opened) -> None:
    """An epoch is judged by another only where both have the same pools, the same shares of the load and the same load.

    Two epochs of one load and the same pools, whose shares are divided otherwise, are not alike.
    """
    level_load = replace(day.load, peak_req_per_s={"short": np.full(5, 10.0), "long": np.full(5, 1.5)})
    h100, h200 = (next(o.spec for o in day.options if o.spec.machine == name) for name in ("dgx-h100", "hgx-h200"))
    much, little = {"short": 7.0, "long": 1.0}, {"short": 3.0, "long": 0.5}
    one, other = ((h100, much), (h200, little)), ((h100, little), (h200, much))
    schedule = _shared(one, one, one, other, other)
    served, _ = Serving(day.case, day.section, level_load, day.options).all(schedule, lambda *_: None)
    assert [each.epochs for each in served] == [(0,), (1, 2), (3,), (4,)]
    for each in served:
        alone = Serving(day.case, day.section, level_load, day.options).served(schedule, [each.epochs[-1]])
        assert (each.evidence, each.planned_w, each.simulated_w) == (alone.evidence, alone.planned_w, alone.simulated_w)


@pytest.mark.parametrize("instances", [1, 2, 3, 12])
def test_a_full_look_is_the_same_whether_or_not_a_brief_one_came_before(
    day: Opened, instances: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a brief look finds wrong is wrong in full; what it finds well is said in full as if it had not been.

    Where a look takes few requests it is a full one at once.
    """
    runs = tuple(replace(run, instances=instances) for run in _runs(day, shared=True))
    again, fresh = (Serving(day.case, day.section, day.load, day.options) for _ in range(2))
    full = fresh.alone(runs, 2)
    assert Serving(day.case, day.section, day.load, day.options).alone(runs, 2, brief=True) == full
    monkeypatch.setattr(serving, "BRIEF_FROM", 0)
    brief = again.alone(runs, 2, brief=True)
    assert brief.valid or brief == full
    assert not brief.longer_s
    assert again.alone(runs, 2) == full
    assert again.alone(runs, 2, brief=True) == full, "what is known in full is not looked at again"


@pytest.mark.parametrize("evaluations", [0, 2])
def test_every_epoch_of_an_answer_is_served_in_full(
    day: Opened, evaluations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brief looks lead to a schedule and are no evidence: what is told of it is what a full look alone says."""
    monkeypatch.setattr(serving, "BRIEF_FROM", 0)
    asked = day.case.scenario.changed([f"solver.search_evaluations={evaluations}"])
    found = timetable(asked, progress=lambda *_: None)
    question = opened(asked, found.policy)
    fresh = Serving(question.case, question.section, question.load, question.options)
    assert found.schedule is not None
    assert found.valid
    assert found.served == fresh.all(found.schedule, lambda *_: None)[0]


def test_classes_on_instances_of_their_own_are_served_apart_to_the_digit(day: Opened) -> None:
    """A class that shares no instance sees the same latencies with and without the others in the cluster."""
    epochs = Serving(day.case, day.section, day.load, day.options)
    runs = _runs(day, shared=False)
    whole = epochs._scene((runs, runs), (2, 2))
    assert apart(whole, 1) == {1}
    alone = part(whole, apart(whole, 1))
    slos = (Slo.named("long:ttft_p50_s", 2.0), Slo.named("long:tpot_p50_s", 0.2))
    seen = [
        judge(
            scene.pools, day.case.policy, Traffic(draw=scene.draw, seeds=(1,), workload="", exact=True), slos,
            Judging(warmup_frac=scene.warmup_frac, cooldown_frac=0.1, confidence_frac=0.95),
            events=Events(shifts=scene.shifts),
        ).evidence
        for scene in (whole, alone)
    ]  # fmt: skip
    assert [e.measured for e in seen[0]] == [e.measured for e in seen[1]]
    assert all(e.n > 0 for e in seen[1])
    shared = epochs._scene((_runs(day, shared=True),) * 2, (2, 2))
    assert apart(shared, 1) == {0, 1}


def test_a_failure_strikes_the_epoch_that_it_falls_in(day: Opened) -> None:
    """A machine lost in the epoch of 7,300 s starts its requests again there, and in no other epoch."""
    struck = opened(day.case.scenario.changed(["validation.failures=[{pool: mixed, at_s: 7300.0}]"]), "sarathi")
    epochs = Serving(struck.case, struck.section, struck.load, struck.options)
    runs = _runs(struck, shared=True)
    assert epochs.failing(runs, 2).restarted > 0
    assert epochs.alone(runs, 2).restarted == 0, "what an epoch needs is learned of its load"
    assert epochs.alone(runs, 1).restarted == 0


def test_a_failure_after_the_end_is_refused(day: Opened) -> None:
    """``check`` and ``plan`` begin alike, and both name when the last epoch ends."""
    late = day.case.scenario.changed(["validation.failures=[{pool: mixed, at_s: 18000.0}]"])
    with pytest.raises(BadInput, match="expected below 18000 s, where the last epoch ends"):
        opened(late, "sarathi")


def test_lists_of_precisions_are_ways_of_one_schedule(day: Opened) -> None:
    """Each allowed precision is a question of its own; a policy that cannot serve one is left out."""
    found = ways(inputs_of(day.case.scenario.changed(["model.dtype=[bf16, fp8]"])))
    assert [asked.case.dtype for asked in found] == ["bf16", "fp8"]


class _Fake:
    """Serves a schedule well where every epoch is provided for with what it needs; its cost is what is provided for."""

    def __init__(self, needs: list[float]) -> None:
        self.needs, self.seen = np.array(needs), 0
        self._provided = dict[float, Floats]()  # by what a schedule costs

    def propose(self, provided: Provided, _epochs: frozenset[int] = frozenset()) -> Timetable:
        week = hand_made()
        assert week.schedule is not None
        cost = float(provided["all"].sum())
        self._provided[cost] = provided["all"]
        return replace(week, schedule=replace(week.schedule, epochs=week.schedule.epochs[: len(self.needs)],
                                              cost_usd=cost))  # fmt: skip

    def seeds(self, _model: str) -> int:
        """One serves as well as three."""
        return 1

    def all(
        self, schedule: Schedule, _progress: object, *, brief: bool = False
    ) -> tuple[tuple[Served, ...], tuple[int, ...]]:  # fmt: skip
        assert not brief
        self.seen += 1
        return tuple(
            _served(_evidence("ttft_p99_s", 0.5, Verdict.MET if ok else Verdict.MISSED), epochs=(epoch,))
            for epoch, ok in enumerate((self._provided[schedule.cost_usd] >= self.needs - 1e-9).tolist())
        ), ()

    def started(self) -> Trial:
        provided = level({"all": self.needs}, 1.4)
        found = self.propose(provided)
        assert found.schedule is not None
        return Trial(found=replace(found, served=self.all(found.schedule, None)[0]), provided_ratio=provided)


@given(st.lists(st.floats(0.85, 1.4), min_size=2, max_size=6))
def test_a_schedule_with_less_costs_no_more_and_still_holds(needs: list[float]) -> None:
    """Epochs that hold with less get less; those that do not keep what they had; the answer is a validated one."""
    fake = _Fake(needs)
    first = fake.started()
    found, provided = with_less(
        first, level({"all": fake.needs}, 0.85), fake.propose, serving=cast(Serving, fake), evaluations=None,
        progress=lambda *_: None, raised=frozenset(),
    )  # fmt: skip
    assert found.valid
    assert found.schedule is not None
    assert first.found.schedule is not None
    assert found.schedule.cost_usd <= first.found.schedule.cost_usd
    assert (provided["all"] >= fake.needs - 1e-9).all()
    if max(needs) < 1.05:
        assert found.schedule.cost_usd < first.found.schedule.cost_usd


@given(needs=st.lists(st.floats(0.85, 1.4), min_size=2, max_size=6), data=st.data())
def test_where_all_are_too_many_only_epochs_that_missed_get_less(needs: list[float], data: st.DataObject) -> None:
    """What never missed keeps what it had; what did gets less where that serves it as well; nothing missed: nothing."""
    raised = frozenset(data.draw(st.sets(st.integers(0, len(needs) - 1))))
    fake = _Fake(needs)
    first, before = fake.started(), fake.seen
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(less, "MOST_REQUESTS", -1)
        found, provided = with_less(
            first, level({"all": fake.needs}, 0.85), fake.propose, serving=cast(Serving, fake), evaluations=None,
            progress=lambda *_: None, raised=raised,
        )  # fmt: skip
    assert found.valid
    assert (provided["all"] >= fake.needs - 1e-9).all()
    still = [epoch for epoch in range(len(needs)) if epoch not in raised]
    assert provided["all"][still] == pytest.approx(first.provided_ratio["all"][still])
    if not raised:
        assert fake.seen == before + 1, "in full"
    elif max(needs) < 1.05:
        assert (provided["all"][sorted(raised)] < 1.4).all()


def test_no_evaluations_are_none() -> None:
    """``solver.search_evaluations: 0`` serves nothing besides the schedule that stands, in full."""
    fake = _Fake([0.9, 0.9])
    first, before = fake.started(), fake.seen
    found, _ = with_less(
        first, level({"all": fake.needs}, 0.85), fake.propose, serving=cast(Serving, fake), evaluations=0,
        progress=lambda *_: None, raised=frozenset(),
    )  # fmt: skip
    assert (found.schedule, found.served) == (first.found.schedule, first.found.served)
    assert fake.seen == before + 1


@pytest.mark.parametrize(
    ("rate", "more"),
    [
        (6, ()), (40, ()), (25, ("policy.name=colocated",)),
        (30, ("catalog.machines=[dgx-a100]", "schedule.clocks_mhz=[1410]")),
    ],
)  # fmt: skip
def test_a_plan_is_a_schedule_of_one_epoch(day: Opened, rate: int, more: tuple[str, ...]) -> None:
    """An hour that never changes costs what ``plan`` says of one load, within the gap that either states."""
    asked = day.case.scenario.changed(
        [f"workload.rate_req_per_s={rate}", "schedule.load=[1.0]", "schedule.objectives=[cost]",
         "energy.usd_per_kwh=0.0", *more]
    )  # fmt: skip
    found = timetable(asked, progress=lambda *_: None)
    still = at_the_peak(opened(asked, found.policy))
    fixed = plan(still, progress=lambda *_: None, with_margin=False)
    assert found.valid
    assert found.schedule is not None
    assert isinstance(fixed, ValidatedPlan)
    gap = max(found.schedule.termination.gap_frac or 0.0, fixed.certificate.gap_frac or 0.0)
    assert found.schedule.cost_usd == pytest.approx(fixed.objective_value, rel=gap + 1e-6)
