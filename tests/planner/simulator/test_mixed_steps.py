"""What a step that carries prompts and decodes takes beyond its parts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.perf.step_time import StepTime
from planner.simulator.books import window
from planner.simulator.serve import serve, stepwise
from tests.planner.toy import toy_physics, toy_policy, toy_pools, toy_profile
from workloads.traces import plain_trace

MIXED_S = 0.003
PLAIN, MIXED = (StepTime(replace(toy_profile(), mixed_s=s)) for s in (0.0, MIXED_S))


@given(new=st.integers(1, 5000), past=st.integers(0, 5000), batch=st.integers(0, 200), context=st.integers(1, 4000))
def test_it_is_paid_once_where_both_are_there(new: int, past: int, batch: int, context: int) -> None:
    """Steps with prompts and decodes take so much more, however they are asked for; steps of one kind take nothing."""
    more_s = MIXED_S if batch else 0.0
    prompt, held = [(new, past)], batch * context
    assert MIXED.prefill_s(prompt, batch, held) - PLAIN.prefill_s(prompt, batch, held) == pytest.approx(more_s)
    each = [step.each_s(np.array([new]), np.array([past]), batch, held)[0] for step in (MIXED, PLAIN)]
    whole = [step.besides_s(np.array([new]), np.array([batch]), [context])[0, 0] for step in (MIXED, PLAIN)]
    assert each[0] - each[1] == pytest.approx(more_s)
    assert whole[0] - whole[1] == pytest.approx(more_s)
    assert whole[0] == MIXED.prefill_s([(new, 0)], batch, held)
    assert MIXED.decode_s(batch + 1, context) == PLAIN.decode_s(batch + 1, context)


@pytest.mark.parametrize("chunk", [None, 256])
def test_the_engine_pays_what_the_reference_pays(chunk: int | None) -> None:
    """Every request ends when the reference says, and later than where sharing a step is free."""
    trace = plain_trace(
        "busy", np.arange(40) * 0.05, np.arange(40) * 37 % 900 + 50, np.arange(40) * 13 % 60 + 2, duration_s=2.0
    )  # fmt: skip
    seen = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    name = "sarathi" if chunk else "colocated"
    rules = toy_policy(name)
    pools = [
        toy_pools(name, prefills=1, decodes=0, physics=replace(toy_physics(), step=step), chunk_tokens=chunk)
        for step in (PLAIN, MIXED)
    ]
    free, fast = (serve(pool, rules, trace, seen, cutoff_s=1e4).ledger.e2e_s for pool in pools)
    slow = stepwise(pools[1], rules, trace, seen, cutoff_s=1e4).ledger.e2e_s
    np.testing.assert_allclose(fast, slow, rtol=1e-9)
    assert fast.sum() > free.sum() + MIXED_S
