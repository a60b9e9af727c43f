"""Laws that every committed profile obeys, with the tolerance its measurements need."""

from collections.abc import Callable

import numpy as np
import pytest

from hw_catalog.check import check_profiles, large_prefill_s
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles, profile_index
from hw_catalog.profiles import Floats, KernelProfile
from hw_catalog.provenance import Kind

PROFILES = [p for model in sorted({e.model for e in profile_index()}) for p in load_profiles(None, model=model)]
BAKED = [p for p in PROFILES if p.profile_set == "aiconfigurator-0.12"]
CATALOG = load_catalog()
SMALL_DIP, LARGE_DIP = 0.10, 0.55
FEW_TOKENS = 32


def name(p: KernelProfile) -> str:
    return f"{p.profile_set}/{p.gpu}/{p.model} {p.dtype} tp {p.tp} ep {p.ep}"


def dip(times: Floats, axis: int = 0) -> float:
    """How far a surface falls below what less work took, as a share."""
    most = np.maximum.accumulate(times, axis=axis)
    return float(np.max(np.divide(most - times, most, out=np.zeros_like(most), where=most > 0)))


def worst(profiles: list[KernelProfile], measure: Callable[[KernelProfile], float]) -> tuple[float, str]:
    return max((measure(p), name(p)) for p in profiles)


def test_times_are_positive() -> None:
    """Token-wise work always takes time; attention never takes less than none."""
    for p in PROFILES:
        assert np.all(p.linear_prefill_s > 0), name(p)
        assert np.all(p.linear_decode_s > 0), name(p)
        assert np.all(p.prefill_attention_s >= 0), name(p)
        assert np.all(p.decode_attention_s >= 0), name(p)


def test_more_tokens_take_no_less_time() -> None:
    """Token-wise time rises with tokens: half of all profiles never dip by 10 %; none by 45 % from 32 tokens on.

    A tile that fills up makes a larger batch cheaper; below 32 tokens the fp8 kernels of Blackwell halve at 4 to 16.
    """
    dips = np.array([dip(p.linear_prefill_s) for p in BAKED])
    assert np.median(dips) < SMALL_DIP
    assert worst(BAKED, lambda p: dip(p.linear_prefill_s))[0] < LARGE_DIP
    assert worst(BAKED, lambda p: dip(p.linear_decode_s))[0] < LARGE_DIP
    assert worst(BAKED, lambda p: dip(p.linear_prefill_s[p.tokens >= FEW_TOKENS]))[0] < 0.45


def test_prefill_attention_never_falls_with_the_past() -> None:
    """A chunk on a longer past costs at least as much, to the rounding of the file."""
    assert worst(PROFILES, lambda p: dip(p.prefill_attention_s, axis=1))[0] < 1e-3


def test_prefill_attention_rises_with_new_tokens() -> None:
    """From 2048 tokens on, a longer chunk takes more attention time; from 256 on, it never takes 10 % less."""
    assert worst(BAKED, lambda p: dip(p.prefill_attention_s[p.new_tokens >= 2048]))[0] == 0
    assert worst(BAKED, lambda p: dip(p.prefill_attention_s[p.new_tokens >= 256]))[0] < 0.10


def test_decode_attention_rises_with_context_and_batch() -> None:
    """A longer context or larger batch never takes 20 % less decode attention: the noise of small kernels, no more."""
    for axis in (0, 1):
        found, where = worst(PROFILES, lambda p, axis=axis: dip(p.decode_attention_s, axis=axis))  # type: ignore[misc]
        assert found < 0.2, where


def test_wider_is_faster_where_gpus_are_joined_by_nvlink() -> None:
    """With NVLink, twice the GPUs never slow a large prefill by more than 5 %; PCIe hosts may (and are reported)."""
    slower = [f.subject for f in check_profiles(PROFILES) if f.rule == "wider-is-slower"]
    gpus = {subject.split("/")[1] for subject in slower}
    assert gpus <= {"l40s", "rtx-pro-6000", "gb200"}
    assert len([s for s in slower if "gb200" in s]) <= 2


@pytest.mark.parametrize(("older", "newer"), [("a100-sxm", "h100-sxm"), ("h100-sxm", "h200-sxm")])
def test_the_newer_gpu_is_no_slower(older: str, newer: str) -> None:
    """At a large prefill H100 beats A100 by far, and H200 is within 5 % of H100 or better, in every shared layout."""
    known = {(p.profile_set, p.model, p.dtype, p.tp, p.ep, p.gpu): p for p in PROFILES}
    pairs = [(p, known[*key[:-1], newer]) for key, p in known.items() if p.gpu == older and (*key[:-1], newer) in known]
    assert len(pairs) > 30
    for old, new in pairs:
        assert large_prefill_s(new) < 1.05 * large_prefill_s(old), name(new)
    if newer == "h100-sxm":
        assert np.median([large_prefill_s(new) / large_prefill_s(old) for old, new in pairs]) < 0.5


def test_no_step_beats_the_memory() -> None:
    """A decode step of one request takes no less than 80 % of the time that reading its share of the weights takes.

    Dense Llama-3.1-70B in bf16 is 141e9 bytes; a faster step would mean a mistake in units or in tensor parallelism.
    """
    for p in BAKED:
        if p.model == "llama-3.1-70b":
            read_bytes = 141e9 * {"bf16": 1.0, "fp8": 0.5, "fp4": 0.25}[p.dtype] / p.tp
            floor_s = read_bytes / CATALOG.gpus[p.gpu].hbm_bytes_per_s
            assert p.linear_decode_s[0] > 0.8 * floor_s, name(p)


def test_profiles_speak_of_gpus_that_exist_and_can() -> None:
    """Every profile is of a catalog GPU, fp8 only where it has fp8, and measured in part unless it says transferred."""
    for p in PROFILES:
        assert p.gpu in CATALOG.gpus
        assert p.dtype != "fp8" or CATALOG.gpus[p.gpu].fp8_flops > 0, name(p)
        assert 0.3 < p.measured_frac <= 1 or (p.provenance.kind is Kind.TRANSFERRED and p.measured_frac == 0), name(p)
        assert p.provenance.source
        assert p.provenance.date


def test_measured_and_extrapolated_do_not_mix() -> None:
    """Along the past and the context, the measured entries come first: a longer sequence is never better known."""
    for p in PROFILES:
        for mask in (p.prefill_extrapolated, p.decode_extrapolated):
            assert np.all(np.diff(mask.astype(int), axis=1) >= 0), name(p)


def test_grouped_query_decoding_was_measured() -> None:
    """For models with grouped or latent KV, decoding at context 2048 was measured up to batch 64 on every GPU."""
    for p in BAKED:
        if p.model not in ("bloom-176b", "gpt-3-175b", "llama-2-7b"):
            rows, columns = p.attention_batch <= 64, p.context_tokens <= 2048
            assert not p.decode_extrapolated[np.ix_(rows, columns)].any(), name(p)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.1-70b", "qwen3-32b"])
def test_dense_models_are_profiled_on_every_gpu(model: str) -> None:
    """The common dense models have a profile on every GPU but the A6000, known by published figures alone, and the B300
    and GB300, whose profiles are those of measured clusters.
    """
    gpus = {gpu.profile_gpu for gpu in CATALOG.gpus.values()} - {"a6000", "b300-sxm", "gb300"}
    assert {p.gpu for p in load_profiles(None, model=model, profile_set="aiconfigurator-0.12")} == gpus
