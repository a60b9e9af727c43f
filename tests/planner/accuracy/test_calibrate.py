from pathlib import Path

import pytest

from hw_catalog.engines import EngineTiming, engines_text, load_engines, timing_of
from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from hw_catalog.provenance import Kind, Provenance
from planner.accuracy.calibrate import calibrate
from planner.accuracy.measured import MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.replay import PROFILE_SETS, predicted, profile_of
from planner.accuracy.runs import read_runs
from planner.errors import BadInput
from tests.planner.accuracy.test_accuracy import silent, table
from tests.planner.measured_rows import CLOSED_LOOP
from workloads.models import known_models

CATALOG = load_catalog(None)
KEY = f"{PROFILE_SETS['vllm']}/h100-sxm/llama-3.1-70b"


def invented(tmp_path: Path, truth: EngineTiming) -> list[MeasuredRun]:
    """Runs that an engine of this timing would have had."""
    blank = [{**CLOSED_LOOP, "conc": str(n), "isl": str(isl)} for n, isl in ((1, 256), (4, 1024), (8, 256))]
    runs, _ = read_runs(table(tmp_path, *blank), Known(models=known_models()))
    rows = []
    for row, run in zip(blank, runs, strict=True):
        ours = predicted(run, CATALOG, {KEY: truth})
        times = {"silicon_ttft_ms": ours["ttft_mean_s"] * 1e3, "silicon_tpot_ms": ours["tpot_mean_s"] * 1e3}
        rows.append({**row, **{name: str(ms) for name, ms in times.items()}})
    return read_runs(table(tmp_path, *rows), Known(models=known_models()))[0]


def test_a_slower_engine_is_recognised(tmp_path: Path) -> None:
    """Runs of an engine 15 % slower in decoding move that factor most of the way, and cut the error by far."""
    engines = load_engines()
    base = engines[PROFILE_SETS["vllm"]]
    truth = EngineTiming(
        step_s=base.step_s, step_per_request_s=base.step_per_request_s, decode_ratio=1.15, request_s=base.request_s,
        lag_steps=base.lag_steps, provenance=base.provenance,
    )  # fmt: skip
    found = calibrate(invented(tmp_path, truth), CATALOG, engines, date="2026-01-02", progress=silent)
    assert [c.key for c in found] == [KEY]
    assert 1.05 < found[0].timing.decode_ratio < 1.25
    assert found[0].after_ape < 0.5 * found[0].before_ape
    assert found[0].timing.provenance.kind is Kind.CALIBRATED


def test_doubts_only_shrink(tmp_path: Path) -> None:
    """Measured runs never make a factor less certain than it was."""
    engines = load_engines()
    runs = invented(tmp_path, engines[PROFILE_SETS["vllm"]])
    for factor in calibrate(runs, CATALOG, engines, date="2026-01-02", progress=silent)[0].factors:
        assert 0 < factor.sd <= factor.prior_sd


def test_nothing_to_fit_is_bad_input() -> None:
    """Without a run that can be replayed there is no calibration."""
    with pytest.raises(BadInput, match="found no run"):
        calibrate([], CATALOG, {}, date="2026-01-02", progress=silent)


def test_the_closest_entry_speaks(tmp_path: Path) -> None:
    """A timing of set, GPU and model goes before one of the set; what is written is read back the same."""
    said = Provenance(kind=Kind.CALIBRATED, source="a bench", date="2026-01-02")
    mine = EngineTiming(step_s=0.002, provenance=said)
    (tmp_path / "engines.yaml").write_text(engines_text({KEY: mine}), encoding="utf-8")
    engines = load_engines(tmp_path)
    run = read_runs(table(tmp_path, CLOSED_LOOP), Known(models=known_models()))[0][0]
    profile = profile_of(run, run.fleet[0])
    assert timing_of(engines, profile) == mine
    assert timing_of(load_engines(), profile) == load_engines()[PROFILE_SETS["vllm"]]


@pytest.mark.parametrize("text", ["a: {step_s: -1}", "a: {steps: 1}", "a: [", "[]"])
def test_a_broken_engines_file_is_named(tmp_path: Path, text: str) -> None:
    """A user's file that is no table of timings is refused with its name."""
    (tmp_path / "engines.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"engines\.yaml"):
        load_engines(tmp_path)
