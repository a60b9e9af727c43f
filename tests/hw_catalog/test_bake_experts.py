"""Expert kernels of another engine: what stands in, and what stays."""

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
