"""How many machines a row holds."""

from dataclasses import replace

import pytest

from hw_catalog.load import load_catalog
from planner.errors import BadInput
from planner.planning import row_study as row
from planner.planning.oversubscribe import RowLab, RowQuestion
from planner.planning.row_curves import BINS, PERCENTS
from planner.planning.tighten import cluster
from planner.policies.power import NoCap, Polca
from planner.report.page import Page
from planner.report.rich import ALL, drawn
from planner.report.rows import row_section
from planner.resolve.case import open_case
from planner.results.row import CappedUse, DomainUse, RowSeries, RowStudy, RowTrial
from planner.scenario import Scenario
from planner.scenario.reading import Document
from tests.planner.goldens import GOLDEN, same_as_golden
from tests.planner.rows import controls, toy_floor

POLCA = Polca(t1_frac=0.8, t2_frac=0.89, release_frac=0.05, low_t1_mhz=900.0, low_t2_mhz=800.0, high_mhz=900.0)
LOOSE = {"low_p50": 9.0, "low_p99": 9.0, "high_p50": 9.0, "high_p99": 9.0}


def question(**changes: object) -> RowQuestion:
    """Ten places, up to sixteen machines, ten minutes."""
    asked = RowQuestion(
        floor=toy_floor(16), limit_w=2600.0, provisioned_machines=10, policy=POLCA, thresholds_frac=(0.8, 0.89),
        limits_frac=LOOSE, controls=controls(), seeds=(1, 2), week_s=600.0, tick_s=2.0,
    )  # fmt: skip
    return replace(asked, **changes)


def lab(**changes: object) -> RowLab:
    """The weeks without control."""
    return RowLab(question(**changes), lambda _words, _frac: None)


@pytest.fixture(scope="module")
def polca() -> RowLab:
    """POLCA, searched."""
    found = lab()
    found.largest()
    return found


def test_the_answer_holds_and_the_next_number_does_not(polca: RowLab) -> None:
    """The largest number was simulated and fails nothing; one more was simulated and fails, unless it is the last."""
    best = polca.largest()
    assert not polca.trials[best].fails
    assert best == polca.question.most_machines or polca.trials[best + 1].fails


def test_the_series_of_a_row_are_those_of_its_trial(polca: RowLab) -> None:
    """Bins are few and hold the trial's peak; shares of the time fall, and control lowers the highest of them."""
    for machines, trial in polca.trials.items():
        found = polca.series[machines]
        assert found.machines == machines
        assert len(found.mean_frac) == len(found.peak_frac) <= BINS
        assert len(found.mean_frac) * found.bin_s == pytest.approx(polca.question.week_s, abs=found.bin_s)
        assert max(found.peak_frac) == pytest.approx(trial.peak_frac, abs=1e-4)
        assert all(mean <= peak for mean, peak in zip(found.mean_frac, found.peak_frac, strict=True))
        for curve in (found.duration_frac, found.free_duration_frac):
            assert len(curve) == PERCENTS
            assert list(curve) == sorted(curve, reverse=True)
        assert sum(found.mean_frac) <= sum(found.peak_frac)
        assert sum(use.instances for use in found.capped) == machines
    polca.try_out(polca.question.most_machines)
    crowded = polca.series[polca.question.most_machines]
    assert crowded.duration_frac[0] <= crowded.free_duration_frac[0]
    capped = {use.low_priority: use.capped_frac for use in crowded.capped}
    assert capped[True] >= capped[False]
    assert capped[True] > 0


def test_without_control_the_limit_is_a_matter_of_peaks(polca: RowLab) -> None:
    """With the brake alone a row holds as many machines as peak below its limit, and not one more."""
    brake = lab(policy=NoCap(release_frac=0.05), thresholds_frac=())
    assert brake.largest() == brake.uncapped_machines == polca.uncapped_machines


def test_control_never_holds_fewer_than_the_brake_alone(polca: RowLab) -> None:
    """Where latency does not count, capping holds at least as many machines as not capping."""
    assert polca.largest() >= polca.uncapped_machines


def test_a_tighter_promise_never_holds_more(polca: RowLab) -> None:
    """With nothing allowed to be lost no more machines fit than with anything allowed, and no peak comes near T1."""
    strict = lab(limits_frac=dict.fromkeys(LOOSE, 0.0))
    assert strict.largest() <= polca.largest()


def test_a_brake_is_a_failure_and_says_so() -> None:
    """A number of machines that pulled the brake never holds, however little was lost; the trial says why."""
    crowded = lab(limit_w=1900.0, policy=NoCap(release_frac=0.05), thresholds_frac=())
    trial = crowded.try_out(16)
    assert trial.brakes > 0
    assert trial.above_s > 0
    assert f"{trial.brakes} brakes" in trial.fails


def test_fewer_machines_hold_where_the_provisioned_do_not() -> None:
    """A limit below what the provisioned machines draw is answered with the fewer machines that hold."""
    found = lab(limit_w=1200.0)
    best = found.largest()
    assert 0 < best < found.question.provisioned_machines
    assert not found.trials[best].fails
    assert found.trials[best + 1].fails


def scenario(**power: object) -> Scenario:
    """A small question with a section ``power``."""
    return Scenario.parse(
        Document(
            data={
                "name": "row", "model": {"name": "llama-3.1-8b"}, "slo": {"ttft_p99_s": 1.0},
                "workload": {"trace": "azure-conv-2023"}, "catalog": {"machines": ["dgx-h100"]}, "power": power,
            },
            places={(): "row.yaml"},
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("power", "words"),
    [
        ({"t1_frac": 0.9, "t2_frac": 0.8}, "t1_frac below t2_frac, not 0.9 and 0.8"),
        ({"low_t1_mhz": 900.0, "low_t2_mhz": 1200.0}, "low_t2_mhz not above low_t1_mhz"),
        ({"high_mhz": 900.0, "low_t2_mhz": 1200.0}, "high_mhz not below low_t2_mhz, not 900 and 1200"),
        ({"release_frac": 0.85}, "release_frac below every threshold"),
        ({"max_ratio": 0.9}, "greater than or equal to 1"),
        ({"tick_s": 5.0}, "less than or equal to 2"),
        ({"policy": "polka"}, "did you mean 'polca'"),
        ({"t3_frac": 0.9}, "unknown key"),
    ],
)
def test_a_wrong_section_is_refused(power: dict[str, object], words: str) -> None:
    """Thresholds and clocks out of order, ratios below 1 and unknown words are bad input, named as such."""
    with pytest.raises(BadInput) as caught:
        scenario(**power)
    assert words in str(caught.value)


def test_the_row_is_checked_against_its_machines() -> None:
    """A limit below one machine's idle draw and clocks its GPUs do not have are found before anything is solved."""
    from planner.planning.plan import check

    with pytest.raises(BadInput) as caught:
        check(scenario(row_limit_w=2000.0, low_t1_mhz=2500.0, high_mhz=100.0))
    limit, low, high = caught.value.problems
    assert "power.row_limit_w: found 2000; expected at least 2800, what one dgx-h100 draws with no work" in limit
    assert "power.low_t1_mhz: found 2500; expected" in low
    assert "power.high_mhz: found 100; expected" in high
    assert limit.endswith("were 2000 kW meant, which are 2e+06?")


@pytest.mark.parametrize(
    ("power", "words"),
    [
        (
            {"row_limit_w": 60_000.0, "provisioned_machines": 30},
            "expected at least 84000, what the 30 dgx-h100 of power.provisioned_machines draw with no work",
        ),
        ({"row_limit_w": 9e5, "low_t1_mhz": 1271.0}, "expected a clock of the h100-sxm of dgx-h100, nearest 1275"),
        (
            {"row_limit_w": 9e5, "provisioned_machines": 10, "machines_per_rack": 12},
            "power.machines_per_rack: found 12; expected at most 10",
        ),
    ],
)
def test_rows_that_contradict_themselves_are_refused(power: dict[str, object], words: str) -> None:
    """Machines that idle above the limit, clocks between the steps, and racks larger than their row are bad input."""
    from planner.planning.plan import check

    with pytest.raises(BadInput) as caught:
        check(scenario(**power))
    assert words in str(caught.value)


@pytest.mark.parametrize(("tp", "pp"), [(4, 2), (8, 2)])
def test_a_row_of_pipelines_draws_what_plain_machines_could(tp: int, pp: int) -> None:
    """Machines of pipelines, also where one spans several, draw between their idle watts and their rating."""
    found = mixed_row(f"catalog.tp=[{tp}]", f"catalog.pp=[{pp}]")
    assert found.machines > 0
    assert any("a pipeline is one server" in words for words in found.assumptions)
    most_w = 6 * load_catalog().machines["dgx-h100"].rated_w
    least_w = 6 * load_catalog().machines["dgx-a100"].idle_w
    assert least_w < found.peak_frac * found.row_limit_w <= most_w


def mixed_row(*layout: str, **power: object) -> RowStudy:
    """Two types of machines behind one breaker, for half an hour."""
    usual = {"row_limit_w": 60_000.0, "provisioned_machines": 6, "weeks": 1, "week_s": 1800.0, "max_ratio": 1.4}
    colocated = ["catalog.machines=[dgx-h100, dgx-a100]", "catalog.tp=[8]", "policy.name=colocated", *layout]
    asked = scenario(**(usual | power)).changed(colocated)
    case = open_case(asked, "colocated")
    options = {o.spec.name: o for o in case.options if o.spec.clock_mhz is None}
    standing = {n: (2 if "h100" in n else 1) * o.machines_per_instance for n, o in options.items()}
    rates = {c.request_class.name: 3.0 for c in case.asked.demand.classes}
    stands = cluster("colocated", standing, rates, options)
    assert not isinstance(stands, str)
    return row.study(case, stands, lambda _words, _frac: None)


def test_a_row_may_mix_machine_types() -> None:
    """Machines of two types stand in the row in the plan's proportion: rated at their mean, and between the two."""
    found = mixed_row()
    assert found.machine == "dgx-h100 + dgx-a100"
    assert any("in the plan's proportion" in words for words in found.assumptions)
    inside = next(d for d in found.domains if d.domain == "row")
    assert inside.rated_w == pytest.approx(inside.machines * (2 * 10_200 + 6500) / 3)
    assert 6 * 1500 < found.peak_frac * 60_000 < 6 * 10_200
    assert found.machines >= 6


def test_a_row_holds_what_its_limit_is_rated_for() -> None:
    """A limit meant for fewer machines than its rating provides for does not need a row for each of them."""
    found = mixed_row(provisioned_machines=1)
    assert found.machines >= 60_000 // 10_200
    assert found.needed_rows == 1


def test_a_row_meant_for_one_machine_is_tried_with_two() -> None:
    """Half as many machines again is none again of one: two are looked at, and held where their peak is below."""
    found = mixed_row(row_limit_w=19_000.0, provisioned_machines=1, max_ratio=1.5, policy="no-cap")
    assert max(trial.machines for trial in found.trials) >= 2
    alone = mixed_row(row_limit_w=10_300.0, provisioned_machines=1, max_ratio=1, policy="no-cap")
    assert max(trial.machines for trial in alone.trials) == 1


def test_clocks_that_are_alike_on_one_of_two_types_are_refused() -> None:
    """An order to a row of two types has to name a clock of its own on each."""
    with pytest.raises(BadInput, match="clocks in different order"):
        mixed_row(low_t1_mhz=1305.0, high_mhz=1305.0, low_t2_mhz=1110.0)


def study() -> RowStudy:
    """A study with every kind of line."""
    losses = {"low_p50": 0.026, "low_p99": 0.053, "high_p50": 0.002, "high_p99": 0.004}
    held = RowTrial(
        machines=52, ratio=1.3, peak_frac=0.973, brakes=0, brake_s=0.0, above_s=0.0, longest_above_s=0.0,
        beyond_t1_frac=0.54, beyond_t2_frac=0.15, low_clock_lost_s=360_000.0, high_clock_lost_s=3_600.0,
        loss_frac=losses, throughput_loss_frac={"low": 0.0, "high": 0.0}, commands=12_345, lost_commands=120, fails=(),
    )  # fmt: skip
    missed = replace(held, machines=54, ratio=1.35, peak_frac=1.01, brakes=3, fails=("3 brakes",))
    rack = DomainUse(
        domain="rack", machines=4, rated_w=26_000.0, limit_w=26_000.0, p99_w=17_000.0, peak_w=19_000.0,
        coincidence_ratio=0.9,
    )  # fmt: skip
    return RowStudy(
        machine="dgx-a100", policy="polca", row_limit_w=180_000.0, provisioned_machines=40, peak_frac=0.79,
        uncapped_ratio=1 / 0.79, uncapped_machines=51, machines=52, ratio=1.3, rise_2s_frac=0.0575, rise_40s_frac=0.118,
        trials=(held, missed), domains=(rack, replace(rack, domain="row", machines=52)), weeks=2, week_s=604_800.0,
        tick_s=2.0, assumptions=("load: assumed",), series=series(),
    )  # fmt: skip


def series() -> RowSeries:
    """Half a day of the row above."""
    falls = tuple(round(0.973 - place * 0.003, 4) for place in range(PERCENTS))
    return RowSeries(
        machines=52, seed=1, bin_s=1800.0, mean_frac=(0.7,) * 24, peak_frac=(0.8,) * 23 + (0.973,),
        duration_frac=falls, free_duration_frac=tuple(each + 0.01 for each in falls),
        capped=(
            CappedUse(pool="mixed", low_priority=True, instances=26, capped_s=653_184.0, capped_frac=0.54),
            CappedUse(pool="mixed", low_priority=False, instances=26, capped_s=1_800.0, capped_frac=0.0015),
        ),
    )  # fmt: skip


def _page(row: RowStudy) -> Page:
    """A page of a row alone."""
    return Page(title="row", verdict="ROW", good=True, headline="", sections=tuple(row_section(row)))


def test_a_row_in_words() -> None:
    """What a row holds, what the uncapped row would, who pays, and what was assumed, as text."""
    from rich.console import Console

    console = Console(width=80, no_color=True)
    with console.capture() as captured:
        console.print(drawn(_page(study()), [ALL]))
    same_as_golden("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()), GOLDEN / "row.txt")


def test_a_row_that_holds_nothing_says_so() -> None:
    """Where not even the provisioned machines hold, the text says that and no number of machines is praised."""
    from rich.console import Console

    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        console.print(drawn(_page(replace(study(), machines=0, ratio=0.0)), [ALL]))
    assert "does not hold the 40 machines it is meant for" in captured.get()
