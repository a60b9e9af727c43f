"""Laws of step times: closed forms equal their sums, tables are read as measured and continued beyond their ends."""

from itertools import accumulate, chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.perf.step_time import StepTime
from planner.perf.stretches import Segment, run_s, steps_in_stretch, stretch_s
from tests.planner.toy import toy_profile

TOY = StepTime(toy_profile())
BATCHES = st.integers(1, 300)
CONTEXTS = st.floats(1.0, 150_000.0)


@pytest.fixture(scope="module", params=["toy", "h100-tp4", "h100-tp8"])
def profile(request: pytest.FixtureRequest) -> KernelProfile:
    """Surfaces with corners, and those of a real GPU."""
    if request.param == "toy":
        return toy_profile()
    found = load_profiles(None, model="llama-3.1-70b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    return next(p for p in found if f"h100-tp{p.tp}" == request.param)


def durations(segments: list[Segment]) -> list[float]:
    """The duration of every step, one by one."""
    return list(chain.from_iterable((a + d * j for j in range(n)) for a, d, n in segments))


@given(batch=BATCHES, context=CONTEXTS, steps=st.integers(1, 600))
def test_a_run_lasts_as_long_as_its_steps(batch: int, context: float, steps: int) -> None:
    """The closed form of a decode run is the sum of its steps, each at a context one longer than the last."""
    segments = TOY.decode_segments(batch, context, steps)
    each = [TOY.decode_s(batch, context + j) for j in range(steps)]
    assert durations(segments) == pytest.approx(each, rel=1e-9)
    assert run_s(segments) == pytest.approx(sum(each), rel=1e-9)
    assert len(segments) <= len(TOY.profile.context_tokens)


def test_a_run_on_measured_surfaces_lasts_as_long_as_its_steps(profile: KernelProfile) -> None:
    """The same holds on real tables, whose knots are not where the run begins."""
    step = StepTime(profile)
    for batch, context, steps in [(1, 1.0, 900), (3, 127.3, 5000), (64, 1019.7, 700), (200, 8190.01, 40)]:
        segments = step.decode_segments(batch, context, steps)
        each = [step.decode_s(batch, context + j) for j in range(steps)]
        assert run_s(segments) == pytest.approx(sum(each), rel=1e-9)


@given(stretch=st.tuples(st.floats(1e-3, 0.1), st.floats(-1e-5, 1e-4), st.integers(1, 50)), share=st.floats(0.0, 1.0))
def test_the_next_boundary_is_found(stretch: Segment, share: float) -> None:
    """The boundary after a moment is the first at which at least that much time has passed, to rounding."""
    ends = list(accumulate(durations([stretch])))
    elapsed_s = share * ends[-1]
    found = steps_in_stretch(*stretch, elapsed_s)
    assert 1 <= found <= len(ends)
    assert ends[found - 1] >= elapsed_s - 1e-9
    assert found == 1 or ends[found - 2] < elapsed_s + 1e-9


@given(steps=st.integers(1, 200), at=st.integers(1, 200))
def test_a_boundary_is_its_own(steps: int, at: int) -> None:
    """Work that arrives exactly at a step boundary is noticed there and not a step later."""
    a, d, n = TOY.decode_segments(8, 300.0, steps)[0]
    at = min(at, n)
    assert steps_in_stretch(a, d, n, stretch_s(a, d, at) * (1 - 1e-12)) == at


def test_decode_steps_pass_through_the_measurements(profile: KernelProfile) -> None:
    """At a measured batch and context a decode-only step is overhead + linear + attention, nothing smoothed."""
    step = StepTime(profile)
    for batch in np.intersect1d(profile.batch, profile.attention_batch):
        linear_s = profile.linear_decode_s[profile.batch == batch][0]
        row = profile.decode_attention_s[profile.attention_batch == batch][0]
        for context, attention_s in zip(profile.context_tokens, row, strict=True):
            expected = profile.overhead_s + linear_s + attention_s
            assert step.decode_s(int(batch), float(context)) == pytest.approx(expected, rel=1e-12)


def test_prefill_steps_pass_through_the_measurements(profile: KernelProfile) -> None:
    """At a measured prompt a prefill step is overhead + linear(tokens) + attention(new, past)."""
    step = StepTime(profile)
    linear = dict(zip(profile.tokens.tolist(), profile.linear_prefill_s.tolist(), strict=True))
    for i, new in enumerate(profile.new_tokens.tolist()):
        for j, past in enumerate(profile.past_tokens.tolist()):
            if new in linear:
                expected = profile.overhead_s + linear[new] + profile.prefill_attention_s[i, j]
                assert step.prefill_s([(new, past)]) == pytest.approx(expected, rel=1e-12)


def test_between_measurements_lines_are_straight(profile: KernelProfile) -> None:
    """Halfway between two neighbouring knots the value is halfway between theirs."""
    step = StepTime(profile)
    for low, high in zip(profile.context_tokens[:-1].tolist(), profile.context_tokens[1:].tolist(), strict=True):
        middle = (step.decode_s(8, low) + step.decode_s(8, high)) / 2
        assert step.decode_s(8, (low + high) / 2) == pytest.approx(middle, rel=1e-9)


def test_beyond_the_last_measurement_the_last_slope_goes_on(profile: KernelProfile) -> None:
    """Past the largest batch and token count, and far past the largest context, equal distances cost equal time."""
    step = StepTime(profile)
    context, batch, tokens = int(step.profile.context_tokens[-1]), 10_000, int(profile.tokens[-1])
    a, b, c = (step.decode_s(4, context + k * 5000) for k in (0, 1, 2))
    assert c - b == pytest.approx(b - a, rel=1e-6)
    a, b, c = (step.decode_s(batch + k * 500, 100) for k in (0, 1, 2))
    assert c - b == pytest.approx(b - a, rel=1e-6)
    new = int(profile.new_tokens[-1])
    a, b, c = (step.prefill_s([(max(new, tokens) + k * 1000, 0)]) for k in (0, 1, 2))
    assert c - b == pytest.approx(b - a, rel=1e-6)


@given(batch=st.integers(1, 300), context=st.floats(1.0, 100_000.0), new=st.integers(1, 8000))
def test_slowdowns_reach_their_own_phase_only(batch: int, context: float, new: int) -> None:
    """A power cap stretches the kernels of its phase by its ratio and leaves the other phase and the overhead alone."""
    capped = StepTime(toy_profile(), prefill_slowdown_ratio=1.5)
    assert capped.decode_s(batch, context) == TOY.decode_s(batch, context)
    assert capped.prefill_s([(new, 0)]) == pytest.approx(1.5 * TOY.prefill_s([(new, 0)]), rel=1e-12)
    slow = StepTime(toy_profile(), decode_slowdown_ratio=1.25)
    assert slow.decode_s(batch, context) == pytest.approx(1.25 * TOY.decode_s(batch, context), rel=1e-9)
    assert slow.prefill_s([(new, 0)]) == TOY.prefill_s([(new, 0)])


@given(prompts=st.lists(st.integers(1, 1300), min_size=1, max_size=6), batch=st.integers(0, 64))
def test_a_mixed_step_adds_up(prompts: list[int], batch: int) -> None:
    """A step with prompts and decodes pays the token-wise work of all its tokens once, and everyone's attention."""
    p = TOY.profile
    expected = np.interp(sum(prompts) + batch, p.tokens, p.linear_prefill_s)
    expected += sum(np.interp(prompt, p.new_tokens, p.prefill_attention_s[:, 0]) for prompt in prompts)
    if batch:
        row = [np.interp(batch, p.attention_batch, column) for column in p.decode_attention_s.T]
        expected += np.interp(500.0, p.context_tokens, row)
    assert TOY.prefill_s([(prompt, 0) for prompt in prompts], batch, 500 * batch) == pytest.approx(expected, rel=1e-9)


def test_the_measured_range_is_known(profile: KernelProfile) -> None:
    """The largest batch, token count and context inside the measurements are those of the tables."""
    step = StepTime(profile)
    assert step.max_tokens == profile.tokens[-1]
    assert step.max_batch == min(profile.batch[-1], profile.attention_batch[-1])
    measured = profile.context_tokens[~profile.decode_extrapolated[0]]
    assert step.max_context_tokens == measured[-1]
