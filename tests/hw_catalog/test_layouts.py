"""Profiles of the layouts of measured clusters, and what was found to be left out of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw_catalog.bake_layouts import exchange_of, read_layouts, ways_of
from hw_catalog.engines import NOTHING_LEFT_OUT, layout_kind, layout_name, load_engines, load_layout_timings, timing_of
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import MEASURED, load_profiles, write_profiles
from hw_catalog.profiles import KernelProfile

ROOT = Path(__file__).parents[2] / "hw_catalog" / "data" / "layouts"
FILES = sorted(ROOT.glob("*/*/*.json"))
CATALOG = load_catalog()


def profiles(path: Path) -> tuple[KernelProfile, ...]:
    """Of one file."""
    return load_profiles(None, model=path.stem, gpu=path.parts[-2], profile_set=path.parts[-3], of=MEASURED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_file_is_written_as_it_is_read_and_its_times_are_times(path: Path, tmp_path: Path) -> None:
    """Rewriting gives the same bytes; token-wise work takes time, more for the largest step than for the smallest."""
    found = profiles(path)
    copy = tmp_path / path.relative_to(ROOT)
    write_profiles(copy, found)
    assert copy.read_bytes() == path.read_bytes()
    for p in found:
        assert p.gpu in CATALOG.gpus
        assert (p.tp * p.dp) % p.ep == 0
        assert p.linear_prefill_s[-1] > p.linear_prefill_s[0] > 0
        assert p.linear_decode_s[-1] > p.linear_decode_s[0] > 0
        assert np.all(p.decode_attention_s >= 0)


def test_the_layouts_are_small() -> None:
    """All together stay below 4 MiB."""
    assert sum(path.stat().st_size for path in FILES) < 4 * 2**20


def test_plans_do_not_read_them() -> None:
    """A profile of attention ranks is found only where it is asked for."""
    for set_dir in {path.parts[-3] for path in FILES}:
        try:
            mine = load_profiles(None, model="deepseek-v3", profile_set=set_dir)
        except Exception:
            continue
        assert {p.dp for p in mine} == {1}


@pytest.mark.parametrize(
    ("name", "ways"), [("tp8", (8, 1, 1)), ("tp8ep8", (8, 1, 8)), ("tp1dp8ep8", (1, 8, 8)), ("tp2dp4", (2, 4, 1))]
)
def test_a_layout_is_known_by_its_name(name: str, ways: tuple[int, int, int]) -> None:
    """Tensor parallelism, attention ranks and experts stand in the name; what is one does not."""
    assert ways_of(name) == ways


def test_a_misspelt_layout_is_refused() -> None:
    """The message shows names that are right."""
    with pytest.raises(ValueError, match="tp1dp8ep8"):
        ways_of("dp8")


def test_all_to_all_stands_in_where_the_source_has_none() -> None:
    """GB300 takes the GB200's tables, 48 ways those of 32; layouts in one machine and other GPUs take their own."""
    recipe = read_layouts()
    found = exchange_of(recipe, "sglang", "gb300", "fp8", 48, 48)
    assert found is not None
    assert (found.system, found.decode, found.ways) == ("gb200", "deepep_ll", 32)
    assert exchange_of(recipe, "trtllm", "gb200", "fp4", 8, 8) is None
    assert exchange_of(recipe, "trtllm", "b200-sxm", "fp4", 16, 16) is None


def test_timings_of_layouts_are_looked_for_first_and_only_where_asked() -> None:
    """An entry names profile set, GPU, weights and kind of layout, each with a profile; of instances that do both
    phases model and layout stand in it, and it holds for those alone.
    """
    timings, known = load_layout_timings(), dict[str, KernelProfile]()
    for p in (p for path in FILES for p in profiles(path)):
        known[f"{p.profile_set}/{p.gpu}/{p.dtype}/{layout_kind(p)}"] = p
        known[f"{p.profile_set}/{p.gpu}/{p.model}/{p.dtype}/{layout_name(p)}"] = p
    assert set(timings) <= set(known)
    engines = {**load_engines(), **timings}
    for key, timing in timings.items():
        together = key.count("/") == 4
        assert timing_of(engines, known[key], layouts=True, together=together) == timing
        assert timing_of(engines, known[key]) != timing or timing == NOTHING_LEFT_OUT
        if together:
            assert timing_of(engines, known[key], layouts=True) != timing
        assert 0.1 < timing.decode_ratio < 3
        assert 0.2 < timing.prefill_ratio < 13


def test_gathered_prompts_are_no_factor_on_kernels() -> None:
    """Attention ranks of TensorRT-LLM on one instance take the kernels of split ones: what their prompts wait until
    every rank has one is counted in steps, never in slower prompts and faster tokens.
    """
    timings = load_layout_timings()
    gathering = [key for key in timings if "trtllm/" in key and key.count("/") == 4 and "dp" in key.split("/")[-1]]
    assert gathering
    for key in gathering:
        profile_set, gpu, _, dtype, _ = key.split("/")
        split = timings[f"{profile_set}/{gpu}/{dtype}/dpep"]
        assert replace(timings[key], hold_steps=0, provenance=split.provenance) == split
        assert timings[key].hold_steps == 60


def test_a_gpu_has_a_mode_of_its_own() -> None:
    """Of entries for a run, the one that names more of model and GPU goes first, and of those the one of its mode."""
    profile = next(iter(load_profiles(None, model="llama-3.1-8b", gpu="h200-sxm", profile_set="aiconfigurator-0.12")))
    entries = {
        key: replace(NOTHING_LEFT_OUT, step_s=1.0 + number)
        for number, key in enumerate(["set", "set@serial", "set/gpu", "set/gpu@serial", "set/gpu/model"])
    }
    named = {k.replace("set", profile.profile_set).replace("gpu", profile.gpu).replace("model", profile.model): v
             for k, v in entries.items()}  # fmt: skip
    for mode, order in {
        "serial": ["set/gpu/model", "set/gpu@serial", "set/gpu", "set@serial", "set"],
        "": ["set/gpu/model", "set/gpu", "set"],
    }.items():
        left = dict(zip(entries, named, strict=True))
        for key in order:
            assert timing_of({name: named[name] for name in left.values()}, profile, mode=mode) == entries[key]
            del left[key]
