"""Expert kernels of another engine: what stands in, and what stays."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from hw_catalog.bake import loaded
from hw_catalog.bake_experts import OtherExperts
from hw_catalog.bake_recipe import read_recipe
from hw_catalog.bake_surfaces import Operations, decode_step, prefill_step
from hw_catalog.profile_files import load_profiles


class Fixed:
    """A compiled model of two operations and a share of experts."""

    def __init__(self, experts_ms: float, rest_ms: float) -> None:
        """Milliseconds of the experts and of the projection."""
        self.of = experts_ms, rest_ms

    def run_static_per_op(self, **_: object) -> tuple[Operations, Operations]:
        """A prefill step."""
        return [("context_moe", self.of[0], 0.0, "silicon"), ("context_qkv_gemm", self.of[1], 0.0, "silicon")], []

    def decode_step_per_op(self, *_: int) -> Operations:
        """A decode step."""
        return [("generation_moe", self.of[0], 0.0, "silicon"), ("generation_qkv_gemm", self.of[1], 0.0, "silicon")]


def test_only_the_experts_are_of_the_other_engine() -> None:
    """A step is the engine's own but for its experts, in prompts and in decode steps."""
    mixed = OtherExperts(Fixed(5.0, 2.0), Fixed(3.0, 100.0))
    assert decode_step(mixed, 8, 100).linear_s == 0.005
    assert prefill_step(mixed, 100, 0).linear_s == 0.005


def test_a_profile_says_whose_experts_it_has() -> None:
    """gpt-oss under vLLM on B200 is launched with a kernel that only SGLang was measured with: the note says so."""
    stands_in = read_recipe().models["gpt-oss-120b"].experts_on["vllm/b200-sxm"]
    profiles = load_profiles(None, model="gpt-oss-120b", gpu="b200-sxm", profile_set="aiconfigurator-0.12")
    assert {p.kv_dtype for p in profiles} == {"bf16", "fp8"}
    for profile in profiles:
        assert f"{stands_in.moe} transferred from {stands_in.engine}" in profile.provenance.note


def test_a_load_is_told_to_the_source_while_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named distribution holds for the models compiled inside, no name leaves the source's own, and nothing stays."""
    engine = ModuleType("aiconfigurator_core.sdk.engine")
    engine.build_model_config = lambda **options: SimpleNamespace(workload_distribution="power_law", **options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, engine.__name__, engine)
    monkeypatch.setitem(sys.modules, "aiconfigurator_core", ModuleType("aiconfigurator_core"))
    monkeypatch.setitem(sys.modules, "aiconfigurator_core.sdk", ModuleType("aiconfigurator_core.sdk"))
    own = engine.build_model_config
    for name, found in (("balanced", "balanced"), ("", "power_law")):
        with loaded(name):
            made = engine.build_model_config(tp_size=2)
        assert (made.workload_distribution, made.tp_size) == (found, 2)
        assert engine.build_model_config is own


def test_profiles_of_an_even_router_are_measured_under_an_even_load() -> None:
    """Mixtral's profiles say so where the source has such measurements, and more requests never cost it 20 % more."""
    for model in ("mixtral-8x7b", "mixtral-8x22b"):
        for where, load in read_recipe().models[model].load_on.items():
            dtype, gpu = where.split("/")
            for profile in load_profiles(None, model=model, gpu=gpu, profile_set="aiconfigurator-0.12"):
                assert (f"under a {load} load" in profile.provenance.note) == (profile.dtype == dtype)
    profiles = load_profiles(None, model="mixtral-8x7b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    mine = next(p for p in profiles if (p.tp, p.ep, p.dtype) == (2, 1, "bf16"))
    ten, hundred = np.interp((10, 100), mine.batch, mine.linear_decode_s)
    assert 1.0 <= hundred / ten < 1.2  # all eight experts are read from a few requests on; 1.22 under the skewed load
