"""A law of streamed steps: many at once take what each of them takes alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.perf.stream import StreamTime
from tests.planner.policies.test_cuts import BODIES, body

STREAMED = [shape for shape in BODIES if shape[1] * shape[2] > 1]


@settings(deadline=None, max_examples=60)
@given(
    shape=st.sampled_from(STREAMED), group=st.sampled_from([1, 20_000, 131_072]), context=st.floats(1.0, 300_000.0),
    steps=st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 400_000), st.integers(0, 40)), min_size=1),
)  # fmt: skip
def test_steps_at_once_take_what_each_takes_alone(
    shape: tuple[int, int, int], group: int, context: float, steps: list[tuple[int, int, int]]
) -> None:
    """To the last bit, beside batches of any size and at any past, in stages and groups."""
    step = body(*shape, group).step
    assert isinstance(step, StreamTime)
    new, past, batch = np.array(steps, np.int64).T
    alone = [step.prefill_s([(n, p)], b, b * context) for n, p, b in steps]
    assert step.packed_s((new, past), new, batch, [context, context]).tolist() == [alone, alone]
    whole = [step.prefill_s([(n, 0)], b, b * context) for n, _, b in steps]
    assert step.besides_s(new, batch, [context])[0].tolist() == whole
    same = [step.prefill_s([(n, p)], 3, 3 * context) for n, p, _ in steps]
    assert step.each_s(new, past, 3, 3 * context).tolist() == same
