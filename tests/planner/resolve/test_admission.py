"""Memory for whole answers, set aside before a decode starts: by engine, and as asked."""

from dataclasses import replace

import numpy as np
import pytest

from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.perf.kv import promised_requests
from planner.perf.layout import Role
from planner.resolve.case import Case, open_case
from planner.resolve.inputs import read_inputs
from planner.simulator.books import window
from planner.simulator.serve import serve, stepwise
from tests.planner.small import small
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools


def resolved(*words: str) -> Case:
    """Llama-3.1-8B on eight H100s."""
    return open_case(read_inputs(small("catalog.machines=[dgx-h100]", *words)), "colocated")


def test_an_engine_has_an_admission_of_its_own() -> None:
    """TensorRT-LLM decodes as many requests as whole answers fit, or as asked; vLLM as memory goes."""
    ours = resolved("model.engine=trtllm")
    mean_tokens = ours.asked.demand.mean_tokens
    for body in ours.physics.values():
        assert body.promised_requests == int(body.kv_tokens / mean_tokens) > 0
    for words in (("model.engine=vllm",), ("model.engine=trtllm", "policy.kv_admission=as-needed")):
        assert {body.promised_requests for body in resolved(*words).physics.values()} == {0}
    asked = resolved("model.engine=trtllm", "policy.kv_admission=whole-answers")
    assert [b.promised_requests for b in asked.physics.values()] == [b.promised_requests for b in ours.physics.values()]


def test_engines_that_cannot_set_aside_are_named() -> None:
    """Whole answers are refused where an engine in question takes memory block by block."""
    with pytest.raises(BadInput, match=r"policy.kv_admission: found whole-answers with vllm, .* model.engine=trtllm"):
        read_inputs(small("policy.kv_admission=whole-answers"))


@pytest.mark.parametrize("name", ["colocated", "splitwise"])
def test_what_is_set_aside_is_never_taken(name: str) -> None:
    """Memory being short, requests wait for it where others lose theirs, in the engine and in the reference alike."""
    trace, free = random_trace(3, 200, 60.0), toy_physics(kv_blocks=120)
    rules, longest = toy_policy(name), float(np.max(trace.prompt_tokens + trace.output_tokens))

    def served(body: InstancePhysics) -> tuple[int, float]:
        pools, measured = toy_pools(name, physics=body), window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
        run = serve(pools, rules, trace, measured, cutoff_s=1e6)
        again = stepwise(pools, rules, trace, measured, cutoff_s=1e6)
        assert np.asarray(run.ledger.e2e_s) == pytest.approx(np.asarray(again.ledger.e2e_s), rel=1e-9)
        lost = sum(meter.preemptions for meters in run.meters.values() for meter in meters)
        return lost, float(np.max(run.ledger.max_gap_s))

    lost, gap_s = served(free)
    kept, kept_gap_s = served(replace(free, promised_requests=promised_requests(free.kv_tokens, longest, 1)))
    assert kept == 0 < lost
    assert kept_gap_s < gap_s


def test_prefill_workers_promise_nothing() -> None:
    """A prefill worker has no answers to keep memory for; every attention rank may decode one request."""
    first, then = toy_pools("splitwise", physics=replace(toy_physics(), promised_requests=3))
    assert (first.role, first.slots(64), then.slots(64)) == (Role.PREFILL, 64, 3)
    assert promised_requests(100.0, 1000.0, 8) == 8
