"""Power curves against the measurements they come from, where those are at hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from power_fit import (
    Balance,
    anchors_of,
    batch_left_out,
    fit_balance,
    fit_surface,
    fit_swing,
    held_out_times,
    left_out,
    mean_error_frac,
    surface_w,
)
from power_points import (
    ClockPoint,
    Point,
    clock_points,
    mlenergy_points,
    mlenergy_v2_points,
    splitwise_points,
)

from hw_catalog.load import load_catalog
from hw_catalog.power import NUMBERS, PowerCurve, Utilisation, assumed_curve, expert_work

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CATALOG = load_catalog()
FITTED_MHZ = (900.0, 1500.0, 2520.0)
SATURATED = Utilisation(weights_frac=0.01, compute_frac=0.68, bandwidth_frac=0.1, output_tokens_per_s=0.0)


def table(*parts: str) -> Path:
    """A public table beside the repository."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here: the power curves are NOT checked against it")
    return path


def saturated(tdp_w: float) -> list[Point]:
    """A GEMM at the board's limit, counted as docs/power.md says."""
    return [Point(model="gemm", layout="gemm", batch=1, load=SATURATED, watts_w=0.985 * tdp_w)] * 27


def test_held_out_clocks_are_predicted_within_three_percent() -> None:
    """Times at the clocks of the L40S table that were not fitted, row by row and phase by phase."""
    points = clock_points(table("power", "l40s_qwen25_7b_dvfs.csv"))
    for phase in ("decode", "prefill"):
        pairs = [(c.step_s, t) for c, t in held_out_times(points, FITTED_MHZ) if c.phase == phase]
        assert len(pairs) >= 18
        assert mean_error_frac(pairs) <= 0.03


def test_the_voltage_curve_of_the_catalog_is_the_fitted_one() -> None:
    """Knee and lowest voltage of the L40S are those that its table gives."""
    swing = fit_swing(clock_points(table("power", "l40s_qwen25_7b_dvfs.csv")), 72.0)
    curve = CATALOG.gpus["l40s"].power
    assert curve is not None
    assert swing.error_frac < 0.02
    assert curve.v_min_ratio == pytest.approx(swing.v_min_ratio, abs=0.005)
    assert curve.knee_mhz / 2520 == pytest.approx(swing.knee_ratio, abs=0.005)


@pytest.mark.parametrize(("name", "mark", "batch_frac"), [("h100-sxm", "H100", 0.05), ("b200-sxm", "B200", 0.05)])
def test_batches_left_out_are_predicted(name: str, mark: str, batch_frac: float) -> None:
    """Watts of a batch that neither surface nor anchors have seen."""
    gpu = CATALOG.gpus[name]
    points = mlenergy_points(table("power", "mlenergy_v3_llm_configs.csv"), gpu, mark)
    found = batch_left_out(points, gpu.idle_w, gpu.tdp_w)
    assert len(found) > 0.9 * len(points)
    assert mean_error_frac((p.watts_w, w) for p, w in found) <= batch_frac


def test_models_left_out_whole_are_predicted_within_ten_percent() -> None:
    """H100 watts of models that the surface has never seen: all rows, the dense ones, the mixtures of experts."""
    gpu = CATALOG.gpus["h100-sxm"]
    points = mlenergy_points(table("power", "mlenergy_v3_llm_configs.csv"), gpu, "H100")
    found = left_out(points, lambda p: p.model, gpu.idle_w, gpu.tdp_w, saturated(gpu.tdp_w))
    pairs = [(p.watts_w, w) for p, w in zip(points, found, strict=True)]
    assert len(pairs) == 274
    assert mean_error_frac(pairs) <= 0.10
    for sparse in (False, True):
        assert mean_error_frac(x for p, x in zip(points, pairs, strict=True) if p.sparse == sparse) <= 0.10


@pytest.mark.parametrize(("name", "mark"), [("h100-sxm", "H100"), ("b200-sxm", "B200"), ("a100-sxm", "")])
def test_the_surfaces_of_the_catalog_are_the_fitted_ones(name: str, mark: str) -> None:
    """The committed coefficients are what the tables give, and so are the anchors of Llama-3.1-70B."""
    gpu = CATALOG.gpus[name]
    curve = gpu.power
    assert curve is not None
    if mark:
        points = mlenergy_points(table("power", "mlenergy_v3_llm_configs.csv"), gpu, mark)
        fitted = fit_surface([*points, *saturated(gpu.tdp_w)], gpu.idle_w)
        key, tp = ("llama-3.1-70b/bf16/tp4", "tp4") if mark == "H100" else ("llama-3.1-70b/bf16/tp2", "tp2")
        mine = [p for p in points if "Llama-3.1-70B" in p.model and p.layout == f"lm-arena-chat/bf16/{tp}"]
        for (batch, ratio), (known, stored) in zip(
            anchors_of(mine, fitted, gpu.idle_w), curve.anchors[key], strict=True
        ):
            assert (known, stored) == (batch, pytest.approx(ratio, abs=6e-4))
    else:
        chat = table("power", "mlenergy_v2_llm_chat_a100_h100.csv")
        points = splitwise_points(table("profiles", "splitwise_perf_model.csv"), gpu)
        points += mlenergy_v2_points(chat, gpu, "A100")
        fitted = fit_surface(points, gpu.idle_w)
    for term, watts in fitted.items():
        assert getattr(curve, term) == pytest.approx(watts, abs=0.06)


def test_a_known_surface_is_found_again() -> None:
    """Points made from coefficients give these coefficients back, zeros included."""
    made = {"busy_w": 100.0, "weights_w": 0.0, "compute_w": 400.0, "bandwidth_w": 50.0, "tokens_w": 0.0}
    loads = [
        Utilisation(weights_frac=w / 10, compute_frac=c / 10, bandwidth_frac=b / 10, output_tokens_per_s=t)
        for w, c, b, t in ((1, 2, 9, 10), (4, 1, 3, 500), (2, 7, 1, 0), (8, 3, 6, 2000), (5, 5, 2, 90), (3, 9, 4, 7))
    ]
    points = [
        Point(model="m", layout="l", batch=1, load=load, watts_w=surface_w(made, load, 80.0, 1e9)) for load in loads
    ]
    found = fit_surface(points, 80.0)
    assert found == pytest.approx(made, abs=1e-6)


def test_a_known_clock_response_is_found_again() -> None:
    """Rows made with two numbers for all give these numbers back, from three clocks."""
    truth = Balance(floor_ratio=0.35, compute_ratio=1.5)
    points = [
        ClockPoint(
            phase="decode", tokens=batch, clock_mhz=mhz, watts_w=100.0,
            step_s=0.02 * truth.slowdown_ratio(batch / 100, mhz / 2000),
        )
        for batch in (1, 32, 64, 128) for mhz in (800.0, 1400.0, 2000.0)
    ]  # fmt: skip
    found = fit_balance(points, lambda c: c.tokens / 100)
    assert (found.floor_ratio, found.compute_ratio) == pytest.approx((0.35, 1.5))


def test_every_number_of_every_curve_has_a_source() -> None:
    """Every GPU of the catalog has a curve, and every number of it a source with a date."""
    for gpu in CATALOG.gpus.values():
        assert isinstance(gpu.power, PowerCurve)
        free = {"free_clock"} if gpu.power.free_clock else set()
        assert set(gpu.power.provenance) == {*NUMBERS, *free}
        assert all(p.source and p.date for p in gpu.power.provenance.values())
        assert 0 < gpu.power.knee_mhz <= gpu.clock_max_mhz
        assert gpu.power.cap_min_w <= gpu.tdp_w


def test_corrections_are_interpolated_and_held_beyond_the_ends() -> None:
    """Between measured batches a correction is linear in log2; beyond them it stays; an unmeasured layout has none."""
    curve = replace(assumed_curve(700.0, 100.0, 2000.0), anchors={"m/bf16/tp1": ((8.0, 1.2), (32.0, 0.8))})
    assert [curve.correction_ratio("m/bf16/tp1", b) for b in (1, 8, 16, 32, 900)] == pytest.approx(
        [1.2, 1.2, 1.0, 0.8, 0.8]
    )
    assert curve.correction_ratio("other", 8) == 1.0


def test_power_below_the_knee_is_proportional_to_the_clock() -> None:
    """Where the voltage is lowest, half the clock is half the clocked watts; at the top it is all of them."""
    curve = assumed_curve(700.0, 100.0, 2000.0)
    assert curve.swing_ratio(1.0, 2000.0) == pytest.approx(1.0)
    assert curve.swing_ratio(0.2, 2000.0) == pytest.approx(curve.swing_ratio(0.4, 2000.0) / 2)


@given(
    tokens=st.floats(0.01, 1e5), experts=st.integers(2, 512), share=st.floats(0.0, 1.0),
    tile=st.sampled_from([1, 16, 64]),
)  # fmt: skip
def test_experts_compute_at_least_what_is_sent_to_them(tokens: float, experts: int, share: float, tile: int) -> None:
    """No expert that is touched computes less than a tile, all together no less than the tokens routed to them."""
    used = max(1, int(share * experts))
    touched, rows = expert_work(tokens, experts, used, tile)
    assert 0 < touched <= 1
    assert rows >= tile
    assert touched * rows >= tokens * used / experts * (1 - 1e-9)


@given(tokens=st.floats(1.0, 1e4), more=st.floats(1.0, 10.0))
def test_more_tokens_touch_no_fewer_experts_and_compute_no_less(tokens: float, more: float) -> None:
    """Touched experts and computed rows grow with the tokens of a step."""
    (touched, rows), (later, most) = (expert_work(n, 128, 8, 16) for n in (tokens, tokens * more))
    assert later >= touched
    assert later * most >= touched * rows * (1 - 1e-9)
