"""Prompts packed into steps by the policy itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity.packing import packed, packed_prefill_s
from tests.planner.toy import toy_physics, toy_policy

PROMPTS = st.lists(st.integers(1, 3000), min_size=1, max_size=60)


@settings(max_examples=30)
@given(prompts=PROMPTS, kv_blocks=st.sampled_from([200, 300, 2500, 10**6]))
def test_steps_shared_by_instances_are_those_of_each(prompts: list[int], kv_blocks: int) -> None:
    """Whole prompts are packed once for all instances; where memory is short, each packs them as it can."""
    body = toy_physics(kv_blocks=kv_blocks)
    batching = toy_policy("splitwise").batching.at(None, body.step)
    steps = packed(batching, prompts, body.kv_blocks)
    one_by_one = sum(body.step.prefill_s(step) for step in steps) / len(prompts)
    found = packed_prefill_s(body, batching, np.array(prompts), whole=True)
    assert found == one_by_one == packed_prefill_s(body, batching, np.array(prompts), whole=False)
    assert [new for step in steps for new, _ in step] == prompts


def test_little_memory_makes_more_steps() -> None:
    """Two prompts that do not fit the memory together are computed one after the other."""
    roomy, short = toy_physics(kv_blocks=6000), toy_physics(kv_blocks=75)
    batching = toy_policy("splitwise").batching.at(None, roomy.step)
    assert len(packed(batching, [900, 900], roomy.kv_blocks)) == 1
    assert len(packed(batching, [900, 900], short.kv_blocks)) == 2
    alike = packed_prefill_s(roomy, batching, np.array([900]), whole=True)
    assert packed_prefill_s(short, batching, np.array([900, 900]), whole=True) == pytest.approx(alike)
