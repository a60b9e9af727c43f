"""What prompts add to a step together, from kernels that were timed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.added_attention import with_least_added
from hw_catalog.profile_files import load_profiles, profile_index
from hw_catalog.profiles import Floats, Ints, KernelProfile

NEW, PAST = np.array([1, 32, 128, 512, 2048]), np.array([0, 512, 1024, 1536, 4096])
BATCH, CONTEXT = np.array([1, 8, 64]), np.array([1, 512, 2048, 8192])
BAKED = [
    p for model in sorted({e.model for e in profile_index()}) for p in load_profiles(None, model=model)
    if p.profile_set.startswith("aiconfigurator")
]  # fmt: skip


def again(p: KernelProfile) -> Floats:
    """The rule once more, on what it made."""
    grid = (p.new_tokens, p.past_tokens, p.decode_attention_s, p.attention_batch, p.context_tokens)
    return with_least_added(p.prefill_attention_s, *grid)


def physics(launch_s: float, pair_s: float, read_s: float) -> tuple[Floats, Floats, Ints]:
    """Kernels that end within their launch, or as their work does: prefill less the launch, decode, pairs of tokens."""
    pairs = np.multiply.outer(NEW, PAST) + (NEW[:, None] ** 2) / 2
    read = np.add.outer(NEW, PAST) * (PAST > 0)
    alone = np.maximum(launch_s, np.maximum(pair_s * pairs, read_s * read)) - launch_s
    decode = np.maximum(launch_s, read_s * np.multiply.outer(BATCH, CONTEXT))
    return alone, decode, pairs


@given(st.floats(1e-6, 1e-3), st.floats(1e-13, 1e-8), st.floats(1e-12, 1e-8))
def test_prompts_add_no_less_than_their_work(launch: float, pair: float, read: float) -> None:
    """Where others share the launch, a prompt adds what reading its past takes, whatever the launch hid of it alone.

    In chunks (4 times 512 tokens) it adds no less than at once (2,048). Whole prompts stay as they were measured.
    """
    alone, decode, _ = physics(launch, pair, read)
    found = with_least_added(alone, NEW, PAST, decode, BATCH, CONTEXT)
    least_read_s = np.interp(np.add.outer(NEW, PAST[1:]), CONTEXT, (decode / BATCH[:, None]).min(axis=0))
    assert np.all(found[:, 1:] >= least_read_s)
    assert found[3, :4].sum() >= alone[4, 0] * (1 - 1e-9)
    assert np.all(found >= alone)
    np.testing.assert_array_equal(found[:, 0], alone[:, 0])
    assert np.all(np.diff(found, axis=1) >= 0)


def test_a_short_chunk_on_a_long_past_is_not_free() -> None:
    """1 us of launch hides 32 tokens on 4,096 (131,584 pairs of 1 ps); beside others it adds them: 0.13 us, not 0."""
    alone, decode, pairs = physics(1e-6, 1e-12, 1e-15)
    assert alone[1, 4] == 0
    found = with_least_added(alone, NEW, PAST, decode, BATCH, CONTEXT)
    assert found[1, 4] == pytest.approx(1e-12 * pairs[1, 4], rel=0.5)
    assert found[1, 4] > 0.05e-6


@given(st.floats(1e-6, 1e-3), st.floats(1e-13, 1e-8), st.floats(1e-12, 1e-8))
def test_the_rule_twice_is_the_rule_once(launch: float, pair: float, read: float) -> None:
    """What it made needs no more."""
    alone, decode, _ = physics(launch, pair, read)
    once = with_least_added(alone, NEW, PAST, decode, BATCH, CONTEXT)
    np.testing.assert_array_equal(with_least_added(once, NEW, PAST, decode, BATCH, CONTEXT), once)


def test_a_table_without_whole_prompts_is_left_alone() -> None:
    """Where no prompt without a past was measured there is nothing to compare with."""
    alone, decode, _ = physics(1e-6, 1e-12, 1e-15)
    np.testing.assert_array_equal(with_least_added(alone, NEW, PAST + 1, decode, BATCH, CONTEXT), alone)


def test_committed_profiles_let_no_chunk_be_free() -> None:
    """In every baked profile a chunk on a past takes time, and what the rule asks, to the rounding of the file."""
    assert len(BAKED) > 900
    for p in BAKED:
        assert np.all(p.prefill_attention_s[:, 1:] > 0), (p.profile_set, p.gpu, p.model, p.tp)
        assert np.all(again(p) <= p.prefill_attention_s * 1.001 + 1e-9), (p.profile_set, p.gpu, p.model, p.tp)
