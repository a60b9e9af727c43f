import importlib.util
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.bake import bake, heard, model_config, reason
from hw_catalog.bake_range import experts
from hw_catalog.bake_recipe import read_recipe
from hw_catalog.bake_set import chosen
from hw_catalog.bake_surfaces import (
    ATTENTION_BATCH,
    CONTEXT_TOKENS,
    DISTURBED_RATIO,
    NEW_TOKENS,
    PAST_TOKENS,
    never_cheaper_with_past,
    surfaces,
    undisturbed,
)
from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles, profile_index

INSTALLED = importlib.util.find_spec("aiconfigurator_core") is not None
Operations = Sequence[tuple[str, float, float, str]]


class Physics:
    """A source that prices a step by a formula: 1 ms and 10 us a token; attention 2 ms, 1 ns a pair, 1 us a read."""

    def run_static_per_op(
        self, *, batch_size: int, isl: int, osl: int, prefix: int, mode: str
    ) -> tuple[Operations, Operations]:
        assert (batch_size, osl, mode) == (1, 2, "static_ctx")
        new = isl - prefix
        pairs = new * prefix + new * new / 2
        return [("gemm", 1 + 0.01 * new, 0.0, "silicon"), ("context_attention", 2 + 1e-6 * pairs, 0.0, "mixed")], []

    def decode_step_per_op(self, gen_tokens: int, isl: int, osl: int) -> Operations:
        assert osl == 2
        reads = gen_tokens * (isl + 1)
        return [("gemm", 1 + 0.01 * gen_tokens, 0.0, "silicon"), ("generation_attention", 1e-3 * reads, 0.0, "silicon")]


def test_surfaces_take_a_step_apart() -> None:
    """Reading a source whose prices follow a formula gives back that formula, cut to its measured range."""
    found = surfaces(Physics(), max_tokens=8192)
    assert found.tokens[-1] == 8192
    launch_s = 2e-3 + 1e-9 * 32 * 32 / 2
    np.testing.assert_allclose(found.linear_prefill_s, 1e-3 + 1e-5 * found.tokens + launch_s)
    pairs = np.array([[n * p + n * n / 2 for p in PAST_TOKENS] for n in NEW_TOKENS])
    reads = np.minimum(np.add.outer(NEW_TOKENS, PAST_TOKENS), CONTEXT_TOKENS[-1]) * (np.array(PAST_TOKENS) > 0)
    alone = np.maximum(np.maximum(2e-3 + 1e-9 * pairs, 1e-6 * reads) - launch_s, 0)
    np.testing.assert_allclose(found.prefill_attention_s, np.maximum(alone, 1e-6 * reads), atol=5e-6, rtol=0.01)
    np.testing.assert_allclose(found.decode_attention_s, 1e-6 * np.outer(ATTENTION_BATCH, CONTEXT_TOKENS))
    assert found.disturbed == 0
    assert 0 < found.measured_frac < 1


Table = st.lists(st.floats(1e-6, 1.0), min_size=12, max_size=12).map(lambda cells: np.array(cells).reshape(3, 4))


@given(table=Table)
def test_undisturbed_tables_hardly_fall(table: np.ndarray) -> None:
    """After the repair no entry is more than 25 % above one with more work, and none was raised."""
    found = undisturbed(table)
    assert np.all(found <= table)
    for axis in (0, 1):
        most = np.maximum.accumulate(found, axis=axis)
        assert np.all(most <= DISTURBED_RATIO * found * (1 + 1e-12))


@given(table=Table)
def test_what_rises_is_left_alone(table: np.ndarray) -> None:
    """A table that rises with batch and context is not touched."""
    rising = np.maximum.accumulate(np.maximum.accumulate(table, axis=0), axis=1)
    np.testing.assert_array_equal(undisturbed(rising), rising)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_chunk_reads_its_past(seed: int) -> None:
    """Repaired prefill attention never falls with the past, nor below reading that past, nor below the source."""
    rng = np.random.default_rng(seed)
    source = rng.uniform(0, 1e-2, (len(NEW_TOKENS), len(PAST_TOKENS)))
    reading = rng.uniform(0, 1e-2, len(CONTEXT_TOKENS))  # small kernels are noisy: a longer context may read faster
    found = never_cheaper_with_past(source, reading)
    assert np.all(np.diff(found, axis=1) >= 0)
    assert np.all(found >= source)
    assert found[0, -1] >= reading[-1]
    np.testing.assert_array_equal(found[:, 0], source[:, 0])


def test_the_recipe_fits_the_catalog_and_the_committed_files() -> None:
    """The recipe has every GPU of the catalog but the A6000, and every baked file is of its models and dtypes."""
    recipe = read_recipe()
    assert {*recipe.systems, "a6000"} == {gpu.profile_gpu for gpu in load_catalog().gpus.values()}
    for entry in profile_index():
        if entry.profile_set == "aiconfigurator-0.12":
            assert set(entry.dtypes) <= set(recipe.models[entry.model].dtypes)


@pytest.mark.parametrize(("model", "plain_ffn"), [("bloom-176b", 57344), ("gpt-3-175b", 49152)])
def test_gated_stand_ins_have_the_parameters_of_the_plain_model(model: str, plain_ffn: int) -> None:
    """Where a plain FFN (2 matrices) is baked as a gated one (3), the parameters agree to 0.01 %."""
    config = model_config(model)
    gated, hidden = config["intermediate_size"], config["hidden_size"]
    assert 3 * hidden * gated == pytest.approx(2 * hidden * plain_ffn, rel=1e-4)


def test_experts_are_found_under_each_familys_name() -> None:
    """The number of routed experts is read from whichever key a model family uses; a dense model has none."""
    assert experts({"num_local_experts": 8}) == experts({"n_routed_experts": 8}) == experts({"num_experts": 8}) == 8
    assert experts({"num_experts": None}) == 0


@pytest.mark.parametrize("text", [None, "{", "[]", json.dumps({"hidden_size": 1})])
def test_a_strange_config_is_named(tmp_path: Path, text: str | None) -> None:
    """A config.json that is absent, no JSON, or no language model's is refused by name."""
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"config\.json"):
        model_config("mine", path)


@pytest.mark.skipif(INSTALLED, reason="the extra `bake` is installed")
def test_a_missing_source_says_how_to_get_it() -> None:
    """Without the optional extra, baking is refused with the command that installs it."""
    with pytest.raises(CatalogError, match=r"pip install 'phasewise\[bake\]'"):
        bake("llama-3.1-8b", gpu="h100-sxm", date="2026-11-21")


def test_a_part_of_the_set_is_baked_by_name() -> None:
    """GPUs and models of the recipe may be named to be baked alone; a name that is neither is refused."""
    assert chosen(["h100-sxm", "qwen3-14b"]) == (("h100-sxm",), ("qwen3-14b",))
    assert chosen([]) == ((), ())
    with pytest.raises(CatalogError, match=r"h100: no GPU and no model of bake\.yaml; nearest known: h100-sxm"):
        chosen(["h100"])


@pytest.mark.skipif(not INSTALLED, reason="needs the extra `bake`: pip install 'phasewise[bake]'")
def test_baking_again_gives_the_committed_times() -> None:
    """Baking a committed combination again gives its times, to the digits a file keeps."""
    (again,) = bake("llama-3.1-8b", gpu="h100-sxm", date="2026-11-21", tps=(2,), dtypes=("bf16",)).profiles
    committed = load_profiles(None, model="llama-3.1-8b", gpu="h100-sxm", profile_set=again.profile_set)
    (before,) = [p for p in committed if (p.dtype, p.tp) == ("bf16", 2)]
    np.testing.assert_allclose(again.linear_prefill_s, before.linear_prefill_s, rtol=1e-3)
    np.testing.assert_allclose(again.decode_attention_s, before.decode_attention_s, rtol=1e-3)
    assert again.provenance == before.provenance


def test_what_the_source_says_ends_in_a_word(tmp_path: Path) -> None:
    """Its copy of the configuration has no name there, and what is too long is cut between words."""
    said = reason(ValueError(f"model={tmp_path}:\n not supported; supported: {'Architecture ' * 60}"), tmp_path)
    assert said.startswith("model=config.json: not supported")
    assert said.endswith("Architecture ...")
    assert len(said) < 320
    assert reason(ValueError("no rows"), tmp_path) == "no rows"
    absent = FileNotFoundError("/there/systems/data/a100_sxm/mla/vllm/0.14.0/context_mla_perf.parquet")
    assert reason(absent, tmp_path) == "the source has no table context_mla_perf of this GPU and engine"


def test_remarks_of_the_source_are_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """What a package logs inside is kept, word for word, and reaches neither stream; afterwards it is printed again."""
    source = logging.getLogger("some_source.tables")
    with heard("some_source") as remarks:
        source.warning("rows of %s", "a table")
        source.info("a detail")
    assert remarks == ["rows of a table"]
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("some_source").propagate
    assert not logging.getLogger("some_source").handlers
