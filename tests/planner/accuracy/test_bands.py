"""Bands around predictions."""

import csv
from dataclasses import replace
from math import comb
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.bands import ANY, INSIDE_FRAC, ErrorBand, band_of, bands_text, load_bands
from planner.accuracy.bands import CHANCE, FEWEST, bands, coverage, fewest_by_chance, within
from planner.accuracy.measured import MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.runs import read_runs
from planner.accuracy.table import Comparison, totals
from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.resolve.measured_bands import measured_against
from planner.results.plan import CandidatePlan
from tests.planner.measured_rows import CLOSED_LOOP
from workloads.models import known_models

RATIOS = st.lists(st.floats(0.1, 10.0), min_size=FEWEST, max_size=60)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> MeasuredRun:
    file = tmp_path_factory.mktemp("rows") / "runs.csv"
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(CLOSED_LOOP))
        writer.writeheader()
        writer.writerow(CLOSED_LOOP)
    return read_runs(file, Known(models=known_models()))[0][0]


def compared(run: MeasuredRun, ratios: list[float], model: str = "a", tp: int = 8) -> list[Comparison]:
    mine = replace(run, model=model, fleet=(replace(run.fleet[0], tp=tp),))
    return [Comparison(run=mine, metric="ttft_mean_s", ratio=r, profile_set="mine") for r in ratios]


@given(ratios=RATIOS)
def test_a_band_holds_the_share_it_was_drawn_for(run: MeasuredRun, ratios: list[float]) -> None:
    """Where nothing can be left out a band holds eight in ten of its own runs, give or take those at its edges."""
    mine = compared(run, ratios)
    for band in bands(mine):
        held = within(mine, {band.key: band})
        assert sum(held) / len(held) >= INSIDE_FRAC - 2 / len(held) - 1e-9
        assert band.low_ratio <= band.median_ratio <= band.high_ratio
        assert band.key in {("mine", run.gpu, model, "ttft_mean_s") for model in ("a", ANY)}


def test_few_runs_make_no_band(run: MeasuredRun) -> None:
    """Below the fewest runs nothing is claimed."""
    assert not bands(compared(run, [1.0] * (FEWEST - 1)))


def test_a_model_of_another_kind_is_outside_the_others_band(run: MeasuredRun) -> None:
    """Left out, a model is held against the others: twenty times as fast is in no band around them, alike is."""
    others = compared(run, [1.0, 1.01, 0.99] * 5)
    far, near = (
        next(band for band in bands([*others, *compared(run, [ratio] * 4, "b")]) if band.model == ANY)
        for ratio in (0.05, 1.0)
    )
    assert (far.left_out, near.left_out) == (4, 4)  # what is left without the others is no band
    assert (far.left_out_inside, near.left_out_inside) == (0, 4)


@given(n=st.integers(1, 200))
def test_a_band_is_held_against_chance(n: int) -> None:
    """Of a band that holds the share, fewer runs than are asked for are inside in at most one of twenty cases."""
    fewest = fewest_by_chance(n)
    chances = [comb(n, k) * INSIDE_FRAC**k * (1 - INSIDE_FRAC) ** (n - k) for k in range(n + 1)]
    assert sum(chances[:fewest]) <= CHANCE < sum(chances[: fewest + 1])
    assert fewest <= INSIDE_FRAC * n


@pytest.mark.parametrize(("bias_of_last", "beyond"), [(1.5, 1), (1.0, 0)])
def test_what_is_beyond_chance_is_widened(run: MeasuredRun, bias_of_last: float, beyond: int) -> None:
    """One model of three falls out, more than chance leaves, and the band reaches as far as it takes; alike, none."""
    rng = np.random.default_rng(2)
    runs = [
        c
        for model, bias in (("a", 1.0), ("b", 1.01), ("c", bias_of_last))
        for c in compared(run, rng.lognormal(np.log(bias), 0.03, 20).tolist(), model)
    ]
    band = next(b for b in bands(runs) if b.model == ANY)
    found = coverage([band])
    assert (found.bands, found.left_out, found.inside) == (1, len(runs), band.left_out_inside)
    assert found.beyond == beyond == (band.left_out_inside < fewest_by_chance(len(runs)))
    assert 0 < found.by_chance <= CHANCE
    if beyond:
        assert band.low_ratio < 1 / 1.5 < band.high_ratio


def test_a_model_that_was_measured_has_a_band_of_its_own(run: MeasuredRun) -> None:
    """Runs of a model in two layouts tell of it alone: a narrow band about its own bias, not about that of others."""
    rng = np.random.default_rng(5)
    runs = [
        c
        for model, bias in (("a", 1.0), ("b", 1.5), ("c", 0.7))
        for tp in (1, 2, 4)
        for c in compared(run, (bias * rng.lognormal(0.0, 0.05, 12)).tolist(), model, tp)
    ]
    drawn = {band.key: band for band in bands(runs)}
    key = ("mine", run.gpu, "b", "ttft_mean_s")
    mine, unknown = band_of(drawn, key), band_of(drawn, (*key[:2], "d", key[3]))
    assert mine is drawn[key]
    assert unknown is drawn[(*key[:2], ANY, key[3])]
    assert mine.median_ratio == pytest.approx(1 / 1.5, rel=0.05)
    assert mine.high_ratio / mine.low_ratio < 1.3 < 2.0 < unknown.high_ratio / unknown.low_ratio
    assert (mine.models, unknown.models, unknown.n) == (1, 3, 108)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), between=st.floats(0.02, 0.3), inside=st.floats(0.02, 0.3))
def test_bands_hold_layouts_they_have_not_seen(run: MeasuredRun, seed: int, between: float, inside: float) -> None:
    """Where layouts differ as well as runs, bands of six models hold the stated share of new layouts, within noise."""
    rng = np.random.default_rng(seed)

    def drawn(tps: tuple[int, ...]) -> list[Comparison]:
        return [
            c
            for model in "abcdef"
            for tp in tps
            for c in compared(run, rng.lognormal(rng.normal(0, between), inside, 6).tolist(), model, tp)
        ]

    known = {band.key: band for band in bands(drawn((1, 2, 4, 8, 16)))}
    held = within(drawn(tuple(range(20, 40))), known)
    assert 0.6 <= sum(held) / len(held) <= 0.95


def test_a_band_that_its_layouts_fall_out_of_is_wider(run: MeasuredRun) -> None:
    """Five models err alike in every layout, the sixth otherwise in each: its band is widened, and holds new ones."""
    rng = np.random.default_rng(11)

    def drawn(model: str, tps: range) -> list[Comparison]:
        between = 0.3 if model == "f" else 0.0
        return [
            c for tp in tps for c in compared(run, rng.lognormal(rng.normal(0, between), 0.05, 8).tolist(), model, tp)
        ]

    runs = [c for model in "abcdef" for c in drawn(model, range(1, 9))]
    known = {band.key: band for band in bands(runs)}
    for model, further in (("a", drawn("a", range(20, 60))), ("f", drawn("f", range(20, 60)))):
        band = known["mine", run.gpu, model, "ttft_mean_s"]
        held = within(further, known)
        assert (band.widened_ratio > 1.1) is (model == "f")
        assert sum(held) / len(held) >= INSIDE_FRAC - 0.05


def test_a_band_of_one_layout_is_widened_by_what_others_need(run: MeasuredRun) -> None:
    """Where nothing of its own can be left out a band is as much wider as 80 % of its kind's groups need."""
    rng = np.random.default_rng(7)
    several = [
        c
        for model in "abc"
        for tp in (1, 2, 4, 8)
        for c in compared(run, rng.lognormal(rng.normal(0, 0.3), 0.02, 8).tolist(), model, tp)
    ]
    alone = compared(run, rng.lognormal(0, 0.02, 12).tolist(), "d")
    band = next(b for b in bands([*several, *alone]) if b.model == "d")
    assert band.widened_ratio > 1
    assert band.high_ratio / band.low_ratio >= band.widened_ratio**2


def test_errors_say_how_often_bands_hold(run: MeasuredRun) -> None:
    """A total counts the values within the bands that ship, and has no share where no band ships."""
    shipped = next(b for b in load_bands().values() if b.metric == "ttft_mean_s" and b.model == ANY)
    inside, outside = 1 / shipped.median_ratio, 1 / (10 * shipped.high_ratio)
    known = replace(run, gpu=shipped.gpu)
    pair = [
        Comparison(run=known, metric="ttft_mean_s", ratio=r, profile_set=shipped.profile_set) for r in (inside, outside)
    ]
    assert {t.within_band_frac for t in totals(pair)} == {0.5}
    assert {t.within_band_frac for t in totals(compared(run, [1.0]))} == {None}


def test_bands_survive_their_file() -> None:
    """What ships is what was written, in order, and every band spans its median."""
    shipped = load_bands()
    assert len(bands_text(shipped.values()).splitlines()) == len(shipped) + 1
    assert all(b.low_ratio <= b.median_ratio <= b.high_ratio and b.n >= FEWEST for b in shipped.values())
    assert isinstance(next(iter(shipped.values())), ErrorBand)


def test_a_plan_quotes_the_bands_it_rests_on() -> None:
    """Once per set of tables and GPU of its pools: the bands with their n, or that there is none."""
    profiles = {
        "a": SimpleNamespace(profile_set="aiconfigurator-0.12", gpu="h100-sxm", model="llama-3.1-70b"),
        "b": SimpleNamespace(profile_set="mine", gpu="h100-sxm", model="llama-3.1-70b"),
        "c": SimpleNamespace(profile_set="aiconfigurator-0.12", gpu="h100-sxm", model="new"),
    }
    pools = [SimpleNamespace(spec=SimpleNamespace(name=name, role=Role.MIXED)) for name in ("a", "b", "a", "c")]
    case, candidate = SimpleNamespace(profiles=profiles, laid_out=()), SimpleNamespace(pools=pools)
    quoted, other, none = measured_against(cast("Case", case), cast("CandidatePlan", candidate))
    for model, of, line in (("llama-3.1-70b", "llama-3.1-70b", quoted), (ANY, "{} other models", other)):
        band = load_bands()["aiconfigurator-0.12", "h100-sxm", model, "tpot_mean_s"]
        assert f"TPOT {band.low_ratio:.2f} to {band.high_ratio:.2f}x" in line
        assert f"{band.n} measured runs ({of.format(band.models)}, h100-sxm): TTFT" in line
    assert none == "h100-sxm: none or too few measured runs to compare mine with"


def test_a_band_that_says_nothing_is_not_quoted() -> None:
    """A range beyond twofold either way is named as none; the other metric keeps its numbers."""
    key, none = ("aiconfigurator-0.12-sglang", "h200-sxm"), "no informative band: {} may be off 2x and more"
    assert not load_bands()[*key, "llama-3.1-8b", "ttft_mean_s"].informative
    pool = SimpleNamespace(spec=SimpleNamespace(name="a", role=Role.MIXED))
    for model, words in (("llama-3.1-8b", none.format("TTFT")), ("qwen3-235b-a22b", none.format("TTFT"))):
        profile = SimpleNamespace(profile_set=key[0], gpu=key[1], model=model)
        case, candidate = SimpleNamespace(profiles={"a": profile}, laid_out=()), SimpleNamespace(pools=[pool])
        (line,) = measured_against(cast("Case", case), cast("CandidatePlan", candidate))
        band = load_bands()[*key, model, "tpot_mean_s"]
        told = f"TPOT {band.low_ratio:.2f} to {band.high_ratio:.2f}x the prediction (80 % of runs)"
        assert line.endswith(f"{told}, {words}")
        assert "TTFT 0" not in line


@pytest.mark.parametrize(("role", "behind"), [(Role.DECODE, "@split"), (Role.MIXED, "@one")])
def test_a_plan_in_measured_layouts_quotes_their_bands(role: Role, behind: str) -> None:
    """A pool that is timed as measured clusters were is told by how far those were off, phases apart or not."""
    profiles = {"a": SimpleNamespace(profile_set="aiconfigurator-0.12-trtllm", gpu="b200-sxm", model="new")}
    pools = [SimpleNamespace(spec=SimpleNamespace(name="a", role=role))]
    case = SimpleNamespace(profiles=profiles, laid_out={"aiconfigurator-0.12-trtllm/b200-sxm"})
    (quoted,) = measured_against(cast("Case", case), cast("CandidatePlan", SimpleNamespace(pools=pools)))
    band = load_bands()[f"aiconfigurator-0.12-trtllm{behind}", "b200-sxm", ANY, "tpot_mean_s"]
    assert f"TPOT {band.low_ratio:.2f} to {band.high_ratio:.2f}x" in quoted


def test_a_run_in_a_layout_has_a_band_of_its_own(run: MeasuredRun) -> None:
    """Runs whose table says the layout are held against bands of such runs."""
    one = Comparison(run=run, metric="ttft_mean_s", ratio=1.0, profile_set="set")
    laid_out = replace(one, run=replace(run, layouts_said=True))
    apart = replace(run.fleet[0], role=Role.PREFILL)
    assert one.band == ("set", run.gpu, run.model, "ttft_mean_s")
    assert laid_out.band[0] == "set@one"
    assert replace(laid_out, run=replace(laid_out.run, fleet=(apart, *run.fleet))).band[0] == "set@split"


def test_a_band_holds_four_of_five_further_runs(run: MeasuredRun) -> None:
    """Of runs drawn alike, bands around nine of them hold 80 % of further ones, not of the nine alone."""
    rng, held = np.random.default_rng(3), list[bool]()
    for _ in range(600):
        band = bands(compared(run, rng.lognormal(0.0, 0.2, 9).tolist()))[0]
        held.append(band.holds(float(rng.lognormal(0.0, 0.2))))
    assert sum(held) / len(held) == pytest.approx(0.8, abs=0.04)
