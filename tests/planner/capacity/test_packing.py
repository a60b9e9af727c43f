"""Prompts packed into steps by the policy itself."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity.packing import packed, packed_prefill_s
from tests.planner.toy import toy_physics, toy_policy

PROMPTS = st.lists(st.integers(1, 3000), min_size=1, max_size=60)


@settings(max_examples=30)
@given(prompts=PROMPTS, kv_blocks=st.sampled_from([200, 300, 2500, 10**6]))
def test_every_prompt_is_computed_once_in_its_turn(prompts: list[int], kv_blocks: int) -> None:
    """Steps hold all prompts in their order, and busy seconds are the sum of those that each step takes alone."""
    body = toy_physics(kv_blocks=kv_blocks)
    batching = toy_policy("splitwise").batching.at(None, body.step)
    steps = packed(batching, prompts, body.kv_blocks)
    assert [new for step in steps for new, _ in step] == prompts
    one_by_one = sum(toy_physics().step.prefill_s(step) for step in steps) / len(prompts)
    assert packed_prefill_s(body, batching, np.array(prompts)) == one_by_one


def test_little_memory_makes_more_steps() -> None:
    """Two prompts that do not fit the memory together are computed one after the other."""
    roomy, short = toy_physics(kv_blocks=6000), toy_physics(kv_blocks=75)
    batching = toy_policy("splitwise").batching.at(None, roomy.step)
    assert len(packed(batching, [900, 900], roomy.kv_blocks)) == 1
    assert len(packed(batching, [900, 900], short.kv_blocks)) == 2
