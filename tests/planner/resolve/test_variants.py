"""Precisions and engines that a question leaves open."""

import json
from pathlib import Path

import pytest

from hw_catalog.engines import PROFILE_SETS
from planner.errors import BadInput
from planner.resolve.case import case_of, open_case
from planner.resolve.inputs import inputs_of
from planner.results.precision import Variant
from tests.planner import plans
from tests.planner.small import small
from workloads.models import model_cards

MACHINES = "catalog.machines=[hgx-h200, dgx-b200]"
QWEN = ("model.name=qwen3-235b-a22b", "model.engine=auto", MACHINES)


def _variants(*words: str) -> tuple[Variant, ...]:
    return inputs_of(small(*QWEN, *words)).variants


def test_engines_are_open_and_the_precision_is_not() -> None:
    """Left out, weights and KV cache have one format and every engine with kernel profiles of it is looked at."""
    found = _variants()
    assert {(v.dtype, v.kv_dtype) for v in found} == {("fp8", "bf16")}
    assert [v.profile_set for v in found] == list(PROFILE_SETS.values())
    others = inputs_of(small(*QWEN)).others
    assert others
    assert not set(others) & set(found)


@pytest.mark.parametrize(
    "words",
    [("model.engine=trtllm",), ("model.profile_set=aiconfigurator-0.12-trtllm",), ("model.engine=[trtllm]",)],
)
def test_what_is_fixed_stays_fixed(words: tuple[str, ...]) -> None:
    """An engine or a family of profiles that is named is the only one."""
    assert {v.profile_set for v in _variants(*words)} == {"aiconfigurator-0.12-trtllm"}


def test_lists_and_any_open_precisions() -> None:
    """A list allows what it names, any what was measured; the first of a list comes first."""
    assert {v.kv_dtype for v in _variants("model.kv_dtype=any")} == {"bf16", "fp8"}
    assert [v.kv_dtype for v in _variants("model.kv_dtype=[fp8, bf16]", "model.engine=vllm")] == ["fp8", "bf16"]
    llama = small("model.name=llama-3.1-70b", MACHINES, "model.dtype=any", "model.kv_dtype=any", "model.engine=vllm")
    assert {v.dtype for v in inputs_of(llama).variants} == {"bf16", "fp8", "fp4"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model.engine=vlm",), "model.engine: found 'vlm'; did you mean 'vllm'?"),
        (("model.engine=[vllm, tensorrt]",), "model.engine: found 'tensorrt'; "),
        (("model.dtype=[fp8, fp4]",), "model.dtype: found 'fp4' in the list; did you mean 'fp8'?"),
        (("model.kv_dtype=[fp8, int8]",), "model.kv_dtype: found 'int8' in the list; "),
        (("model.checkpoint=Qwen/Qwen3-235B-A22B-FP8", "model.name=llama-3.1-70b", "model.dtype=any"),
         "expected model.dtype to name it, not to leave bf16, fp4, fp8 open"),
    ],
)  # fmt: skip
def test_what_was_not_measured_is_refused_with_the_nearest(words: tuple[str, ...], said: str) -> None:
    """Engines and formats of a list that no profile has are bad input; all of them are named at once."""
    with pytest.raises(BadInput) as refused:
        inputs_of(small(*QWEN, *words))
    assert any(said in problem for problem in refused.value.problems)


def test_a_model_in_a_format_that_no_machine_serves_is_refused_with_the_nearest(tmp_path: Path) -> None:
    """Own int4 weights without a profile are bad input that names the nearest format, the smallest of no fewer bits."""
    config = dict(model_cards()["llama-3.1-70b"].config)
    config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
    (tmp_path / "own.json").write_text(json.dumps(config))
    words = (f"model.name={tmp_path}/own.json", "model.engine=auto", "catalog.machines=[dgx-h100]")
    with pytest.raises(BadInput) as refused:
        inputs_of(small(*words))
    (problem,) = refused.value.problems
    assert "null is int4" in problem
    assert "expected fp8 or bf16" in problem
    assert "--set model.dtype=fp8" in problem
    assert {v.dtype for v in inputs_of(small(*words, "model.dtype=fp8")).variants} == {"fp8"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.dtype=pf8", "model.dtype: found 'pf8'; expected one of fp32"),
        ("model.dtype=[]", "a list of these, or any"),
        ("model.kv_dtype=3", "model.kv_dtype: found 3; expected one of fp32"),
        ("model.profile_set=3", "model.profile_set: found 3; expected a name, or a list of names"),
        ("policy.name=[sarathi, splitwize]", "a list of these, or auto; did you mean 'splitwise'?"),
        ("policy.name=[null]", "policy.name: found [null]; expected one of splitwise"),
    ],
)
def test_words_that_open_nothing_are_refused(word: str, said: str) -> None:
    """What is no format, name or policy, nor a list of them, is refused with what may stand there."""
    with pytest.raises(BadInput) as refused:
        small(word)
    assert any(said in problem for problem in refused.value.problems)


def test_a_plan_is_opened_in_its_own_precision() -> None:
    """A plan that names an allowed precision is reopened in it; one that the question no longer allows is not."""
    other = Variant(profile_set="aiconfigurator-0.12-trtllm", dtype="fp8", kv_dtype="bf16")
    candidate = plans.candidate()
    made = type(candidate)(**{name: getattr(candidate, name) for name in candidate.__slots__} | {"variant": other})
    assert case_of(small(*QWEN), made).variant == other
    assert case_of(small(*QWEN, "model.engine=vllm"), made).variant.profile_set == "aiconfigurator-0.12"
    assert case_of(small(*QWEN), candidate).variant == open_case(small(*QWEN), "splitwise").variant
