"""Weights of prefill workers in a format of their own."""

import pytest

from planner.errors import BadInput
from planner.perf.layout import Role
from planner.planning.plan import plan
from planner.resolve.case import case_of, open_case
from planner.resolve.inputs import read_inputs
from planner.resolve.serving import served_as
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario
from tests.planner.resolve.test_rank_layouts import question

APART = ("catalog.machines=[dgx-b200]", "catalog.tp=[8]", "policy.name=splitwise")


def asked(*words: str) -> Scenario:
    """DeepSeek-V3 on DGX B200 under TensorRT-LLM, fp8 weights and KV, phases apart."""
    return question(*APART, *words)


def formats(scenario: Scenario) -> set[tuple[Role, str]]:
    """Phase and format of the weights of everything on offer, whatever the precision."""
    inputs = read_inputs(scenario)
    cases = [open_case(inputs, "splitwise", variant) for variant in inputs.variants]
    return {(o.spec.role, case.profiles[o.spec.name].dtype) for case in cases for o in case.options}


def test_phases_have_weights_in_formats_of_their_own() -> None:
    """Prefill workers are offered in the format that is asked for, decode workers in that of the model; any is both."""
    assert formats(asked("model.prefill_dtype=fp4")) == {(Role.PREFILL, "fp4"), (Role.DECODE, "fp8")}
    assert (
        formats(asked("model.prefill_dtype=fp8")) == formats(asked()) == {(Role.PREFILL, "fp8"), (Role.DECODE, "fp8")}
    )
    assert formats(asked("model.prefill_dtype=any")) >= {
        (Role.PREFILL, "fp4"),
        (Role.PREFILL, "fp8"),
        (Role.DECODE, "fp8"),
    }


def test_a_plan_chooses_and_says_the_formats_of_its_phases() -> None:
    """Of both formats the plan takes one at no higher cost than either alone, and tells of each pool what it serves."""
    found = [
        plan(asked(f"model.prefill_dtype={dtype}", "workload.rate_req_per_s=60"), progress=_silent, with_margin=False)
        for dtype in ("any", "fp8", "fp4")
    ]
    either, *alone = [p for p in found if isinstance(p, ValidatedPlan)]
    assert len(alone) == 2
    assert either.objective_value <= min(p.objective_value for p in alone) + 1e-9
    mixed = alone[1].candidate
    assert mixed.variant is not None
    assert mixed.variant.words.startswith("fp4 prefill, fp8 decode weights, fp8 KV cache")
    case = case_of(asked("model.prefill_dtype=fp4", "workload.rate_req_per_s=60"), mixed)
    assert {(s.pool.partition("/")[0], s.dtype) for s in served_as(case, mixed)} == {
        ("prefill", "fp4"),
        ("decode", "fp8"),
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("model.prefill_dtype=fp4", "policy.name=auto"), "expected a policy with phases apart: splitwise"),
        (
            ("model.prefill_dtype=fp4", "model.engine=vllm"),
            "vLLM's NIXL workers refuse peers that serve another checkpoint",
        ),
        (
            ("model.prefill_dtype=fp4", "model.engine=sglang"),
            "whether SGLang joins workers of unlike weights is not known",
        ),
        (("model.prefill_dtype=fp4", "policy.mixed_pool=true"), "beside policy.mixed_pool, under which a machine"),
        (("model.prefill_dtype=fp4", "policy.name=splitwise-sim"), "beside policy.name splitwise-sim, under which"),
        (("model.prefill_dtype=int8",), "model.prefill_dtype: found 'int8'"),
        (("model.prefill_dtype=fp4", "model.checkpoint=a/B"), "beside model.checkpoint"),
    ],
)
def test_what_cannot_be_joined_is_refused(words: tuple[str, ...], reason: str) -> None:
    """Phases that are not apart, engines that ask for the same weights on both sides, formats that nothing is in."""
    with pytest.raises(BadInput, match=reason.replace("(", r"\(").replace(".", r"\.")):
        read_inputs(asked(*words))


def _silent(_words: str, _done_frac: float) -> None:
    """Said to no one."""


def test_a_pool_that_borrows_has_one_format() -> None:
    """A worker that serves the other phase does so with the weights it has: two formats would answer unlike."""
    with pytest.raises(BadInput, match=r"model.prefill_dtype: found fp4 beside policy.mixed_pool"):
        read_inputs(asked("model.prefill_dtype=fp4", "policy.mixed_pool=true"))
