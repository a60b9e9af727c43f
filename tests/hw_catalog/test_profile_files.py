import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import load_profiles, profile_index, write_profiles
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance

BUILT_IN = Path(__file__).parents[2] / "hw_catalog" / "data" / "profiles"
FILES = sorted(BUILT_IN.rglob("*.json"))
TINY = KernelProfile(
    gpu="h100-sxm", model="tiny", dtype="bf16", kv_dtype="bf16", tp=1, ep=1, engine="vllm", engine_version="1",
    profile_set="mine", overhead_s=1e-4, measured_frac=0.75,
    tokens=np.array([1, 64]), linear_prefill_s=np.array([1e-3, 2e-3]),
    batch=np.array([1, 8, 9]), linear_decode_s=np.array([1e-3, 1.2e-3, 1.1e-3]),
    new_tokens=np.array([1, 64]), past_tokens=np.array([0, 64]),
    prefill_attention_s=np.array([[0.0, 1e-6], [1e-5, 2e-5]]),
    attention_batch=np.array([1, 8]), context_tokens=np.array([1, 64]),
    decode_attention_s=np.array([[1e-6, 2e-6], [3e-6, 1e-5]]),
    decode_extrapolated=np.array([[False, False], [False, True]]),
    prefill_extrapolated=np.array([[False, True], [True, True]]),
    provenance=Provenance(kind=Kind.MEASURED, source="a bench", date="2026-01-02", note="größer"),
)  # fmt: skip


def written(tmp_path: Path, *profiles: KernelProfile) -> Path:
    first = profiles[0]
    path = tmp_path / "profiles" / first.profile_set / first.gpu / f"{first.model}.json"
    write_profiles(path, profiles)
    return path


def refusal(tmp_path: Path, model: str = "tiny", **wanted: str) -> str:
    with pytest.raises(CatalogError) as raised:
        load_profiles(tmp_path, model=model, **wanted)
    return "\n".join(raised.value.problems)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_rewriting_a_committed_file_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    """What is read from a committed file writes that file again, byte for byte."""
    profiles = load_profiles(None, model=path.stem, gpu=path.parts[-2], profile_set=path.parts[-3])
    assert written(tmp_path, *reversed(profiles)).read_bytes() == path.read_bytes()


def test_the_committed_profiles_are_small() -> None:
    """A committed file of profiles has less than 24 KiB on average, none has 200 KiB; GPUs may be added."""
    sizes = [path.stat().st_size for path in FILES]
    assert sum(sizes) < 24 * 2**10 * len(sizes)
    assert max(sizes) < 200 * 2**10


def test_the_index_lists_every_file_and_only_what_loads() -> None:
    """The index has one entry per file, with the dtypes and widths that loading it gives."""
    index = profile_index()
    assert {(e.profile_set, e.gpu, e.model) for e in index} == {(*p.parts[-3:-1], p.stem) for p in FILES}
    entry = next(e for e in index if e.model == "mixtral-8x7b" and e.gpu == "h200-sxm")
    profiles = load_profiles(None, model=entry.model, gpu=entry.gpu, profile_set=entry.profile_set)
    assert {p.dtype for p in profiles} == set(entry.dtypes)
    assert {p.tp for p in profiles} == set(entry.tps)
    assert {p.ep for p in profiles} == set(entry.eps)


def test_only_the_files_asked_for_are_read(tmp_path: Path) -> None:
    """A damaged file of another model, GPU or set does no harm."""
    written(tmp_path, TINY)
    for other in ("mine/h100-sxm/other", "mine/l40s/tiny", "theirs/h100-sxm/tiny"):
        path = tmp_path / "profiles" / f"{other}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{", encoding="utf-8")
    assert len(load_profiles(tmp_path, model="tiny", gpu="h100-sxm", profile_set="mine")) == 1


def test_a_users_file_replaces_the_built_in_one(tmp_path: Path) -> None:
    """The user's profiles of a set, GPU and model stand in for the built-in ones; the other GPUs stay."""
    theirs = dataclasses.replace(TINY, model="llama-3.1-70b", profile_set="aiconfigurator-0.12", overhead_s=0.5)
    written(tmp_path, theirs)
    loaded = load_profiles(tmp_path, model="llama-3.1-70b", profile_set="aiconfigurator-0.12")
    assert [p.overhead_s for p in loaded if p.gpu == "h100-sxm"] == [0.5]
    assert {p.gpu for p in loaded} == {p.gpu for p in load_profiles(None, model="llama-3.1-70b")}


Times = st.floats(0, 1e3, allow_subnormal=False)


@settings(max_examples=50, deadline=None)
@given(
    linear=st.lists(st.floats(1e-9, 1e3), min_size=2, max_size=2),
    attention=st.lists(Times, min_size=4, max_size=4),
    mask=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_any_profile_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, linear: list[float], attention: list[float], mask: list[bool]
) -> None:
    """Any consistent profile comes back the same, times to four significant digits; a second trip changes nothing."""
    profile = dataclasses.replace(
        TINY,
        linear_prefill_s=np.array(linear),
        decode_attention_s=np.array(attention).reshape(2, 2),
        decode_extrapolated=np.array(mask).reshape(2, 2),
    )
    directory = tmp_path_factory.mktemp("profiles")
    path = written(directory, profile)
    (back,) = load_profiles(directory, model="tiny")
    np.testing.assert_allclose(back.linear_prefill_s, profile.linear_prefill_s, rtol=5.1e-4)
    np.testing.assert_allclose(back.decode_attention_s, profile.decode_attention_s, rtol=5.1e-4)
    np.testing.assert_array_equal(back.decode_extrapolated, profile.decode_extrapolated)
    assert (back.provenance, back.measured_frac, back.tp) == (TINY.provenance, 0.75, 1)
    once = path.read_bytes()
    assert written(directory, back).read_bytes() == once
    assert [p.name for p in path.parent.iterdir()] == ["tiny.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """An inconsistent profile is refused before anything is written."""
    path = written(tmp_path, TINY)
    before = path.read_bytes()
    broken = dataclasses.replace(TINY, linear_prefill_s=np.array([-1.0, np.nan, 3.0]), tokens=np.array([5, 5]))
    with pytest.raises(CatalogError) as raised:
        write_profiles(path, [broken])
    text = "\n".join(raised.value.problems)
    assert "tokens: knots must increase" in text
    assert "linear_prefill: found shape (3,), expected (2,)" in text
    assert "finite and not negative" in text
    assert path.read_bytes() == before


def test_profiles_of_two_models_do_not_share_a_file(tmp_path: Path) -> None:
    """A file holds one set, GPU and model."""
    with pytest.raises(CatalogError, match="one set, GPU and model"):
        write_profiles(tmp_path / "x.json", [TINY, dataclasses.replace(TINY, model="other")])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("tokens", [2, 1], "tokens: knots must increase"),
        ("linear_decode_us", [1, -2, 3], "linear_decode: times must be finite and not negative"),
        ("linear_prefill_us", [1, 2, 3], "linear_prefill: found shape (3,), expected (2,) from tokens"),
        ("decode_attention_us", [[1], [1, 2]], "found rows of [1, 2] columns"),
        ("prefill_extrapolated", ["0x", "00"], "letters 0 and 1"),
        ("model", "tinny", "speaks of mine/h100-sxm/tinny, its path of mine/h100-sxm/tiny"),
        ("tp", 0, "tp: found 0"),
        ("tp", 2**63, "tp: found 9223372036854775808"),
        ("dtype", "", "dtype: found ''"),
        ("overhead_us", 1e308, "overhead_us: found 1e+308"),
        ("linear_decode_us", [1, 1e18, 3], "linear_decode: times must be finite and not negative, 10000 s at most"),
        ("colour", "red", "colour: unknown key"),
        ("batch", None, "batch: found None"),
    ],
)
def test_a_damaged_file_is_named_with_its_key(tmp_path: Path, key: str, value: object, expected: str) -> None:
    """A file that was edited into nonsense is refused with file, profile and key."""
    path = written(tmp_path, TINY)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["shared"][key] = value
    path.write_text(json.dumps(document), encoding="utf-8")
    text = refusal(tmp_path)
    assert expected in text
    assert "tiny.json: profiles[0]" in text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2, "shared": {}, "profiles": [{}]}'])
def test_a_file_of_another_shape_is_named(tmp_path: Path, text: str) -> None:
    """A file that is no JSON, no profile file, or of another version is refused by name, by reading and by listing."""
    written(tmp_path, TINY).write_text(text, encoding="utf-8")
    assert "tiny.json" in refusal(tmp_path)
    with pytest.raises(CatalogError, match=r"tiny\.json"):
        profile_index(tmp_path)


def test_twins_in_a_file_are_refused(tmp_path: Path) -> None:
    """Two profiles of one dtype and layout in a file are ambiguous."""
    path = written(tmp_path, TINY)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["profiles"] *= 2
    path.write_text(json.dumps(document), encoding="utf-8")
    assert "same dtype, tp and ep" in refusal(tmp_path)


def test_what_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    """An unknown model, GPU or profile set is answered with the nearest that exists for the rest of the question."""
    assert "nearest known: llama-3.1-70b" in refusal(tmp_path, model="llama-3.1-70B")
    assert "gpu 'h100-sxm-cap350' for model gpt-3-175b; nearest known: h100-sxm" in refusal(
        tmp_path, model="gpt-3-175b", gpu="h100-sxm-cap350"
    )
    found = refusal(tmp_path, model="bloom-176b", gpu="h100-sxm", profile_set="splitwise")
    assert "for model bloom-176b, gpu h100-sxm" in found
    assert "splitwise-2023" in found
