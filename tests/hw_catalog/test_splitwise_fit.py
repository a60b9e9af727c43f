from pathlib import Path

import numpy as np
import pytest

from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import load_profiles, write_profiles
from hw_catalog.splitwise_fit import PROFILE_SET, fit_splitwise

ROOT = Path(__file__).parents[2]
TABLE = ROOT.parent / "shared" / "data" / "profiles" / "splitwise_perf_model.csv"


def test_fitting_again_gives_the_committed_files(tmp_path: Path) -> None:
    """The committed Splitwise profiles are what the fit gives on the published table, byte for byte."""
    if not TABLE.exists():
        pytest.skip("the Splitwise table is not at ../shared/data/profiles: the fit cannot be repeated")
    fitted = fit_splitwise(TABLE, date="2026-11-21")
    committed = sorted((ROOT / "hw_catalog" / "data" / "profiles" / PROFILE_SET).rglob("*.json"))
    assert {(p.gpu, p.model) for p in fitted} == {(f.parts[-2], f.stem) for f in committed}
    for file in committed:
        again = tmp_path / file.parts[-2] / file.name
        write_profiles(again, [p for p in fitted if (p.gpu, p.model) == (file.parts[-2], file.stem)])
        assert again.read_bytes() == file.read_bytes()


def test_the_published_medians_are_found_again() -> None:
    """BLOOM on DGX-H100 prefills 2048 tokens in 252.0 ms and decodes one request in 36.1 ms and 64 in 63.8 ms."""
    (p,) = load_profiles(None, model="bloom-176b", gpu="h100-sxm", profile_set=PROFILE_SET)
    assert np.interp(2048, p.tokens, p.linear_prefill_s) == pytest.approx(0.2520, rel=2e-3)
    assert p.linear_decode_s[[0, -1]] == pytest.approx([0.0361, 0.0638], rel=5e-3)
    assert p.batch[-1] == 64


def test_the_broken_runs_are_left_out() -> None:
    """At TP2 the table's 32768-token runs are missing, so prompt time rises with tokens in every Splitwise profile."""
    for model in ("llama-2-70b", "bloom-176b"):
        for p in load_profiles(None, model=model, profile_set=PROFILE_SET):
            assert p.tokens[-1] == (16384 if p.tp == 2 else 32768)
            assert np.all(np.diff(p.linear_prefill_s[1:]) > 0)


def test_the_derived_part_is_flagged_and_linear() -> None:
    """Decode attention beyond the sweep is flagged, and proportional to batch and to the context above 576 tokens."""
    for p in load_profiles(None, model="llama-2-70b", profile_set=PROFILE_SET):
        work = np.outer(p.attention_batch, np.maximum(0, p.context_tokens - 576))
        np.testing.assert_allclose(p.decode_attention_s, p.decode_attention_s[-1, -1] * work / work[-1, -1], rtol=2e-3)
        assert not p.decode_extrapolated[:, p.context_tokens <= 576].any()
        assert p.decode_extrapolated[-1, p.context_tokens > 576].all()


@pytest.mark.parametrize("text", [None, "model,hardware\nllama2-70b,a100-80gb\n"])
def test_another_table_is_refused(tmp_path: Path, text: str | None) -> None:
    """A missing file, or one without the columns of the published table, is refused by name."""
    path = tmp_path / "table.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"table\.csv"):
        fit_splitwise(path, date="2026-11-21")
