"""Prefix caches: what is found, what is forgotten, where requests go."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.growth import grown
from workloads.prefixes import IDEAL, Prefixes, prefixes_of, repeated_frac
from workloads.traces import Trace, cut, plain_trace

PROMPTS = st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=6), min_size=1, max_size=30)


def prefixes(*hashes: list[int]) -> Prefixes:
    """Of prompts of these blocks."""
    found = prefixes_of(hashes)
    assert found is not None
    return found


def tokens(hashes: list[list[int]], block: int = 100) -> np.ndarray:
    """Prompts of whole blocks."""
    return np.array([block * len(each) for each in hashes])


def test_a_block_is_found_behind_those_before_it() -> None:
    """A prompt finds its blocks up to the first that is not kept, and always computes its last token."""
    hashes = [[1, 2, 3], [1, 2, 9, 3], [7, 2, 3], [1, 2, 3]]
    found = prefixes(*hashes).hits(tokens(hashes), IDEAL)
    assert found.tolist() == [0, 200, 0, 299]


def test_what_was_used_longest_ago_is_forgotten_from_its_end() -> None:
    """A cache of three blocks that holds 1, 2 and takes 5, 6 forgets 2 first: of the first prompt 1 is left."""
    hashes = [[1, 2], [5, 6], [1, 2]]
    assert prefixes(*hashes).hits(tokens(hashes), [300.0]).tolist() == [0, 0, 100]
    assert prefixes(*hashes).hits(tokens(hashes), [200.0]).tolist() == [0, 0, 0]
    assert prefixes(*hashes).hits(tokens(hashes), [400.0]).tolist() == [0, 0, 199]


def test_requests_go_where_least_is_left_to_compute() -> None:
    """A conversation comes back to its instance, unless that has computed more beyond the other than is found there."""
    hashes = [[1, 2], [5], [1, 2, 3], [5, 6]]
    assert prefixes(*hashes).hits(tokens(hashes), [inf, inf]).tolist() == [0, 0, 200, 100]
    busy = [[1], *([n] for n in range(10, 20)), [1]]
    assert prefixes(*busy).hits(tokens(busy), [inf]).tolist()[-1] == 99


@settings(deadline=None)
@given(hashes=PROMPTS, rooms=st.lists(st.floats(0, 3000), min_size=1, max_size=4))
def test_no_cache_finds_more_than_one_that_forgets_nothing(hashes: list[list[int]], rooms: list[float]) -> None:
    """Hits are at most those of an ideal cache, request by request, below the prompt, and none without room."""
    found, lengths = prefixes(*hashes), tokens(hashes)
    best, some = found.hits(lengths, IDEAL), found.hits(lengths, rooms)
    assert (some <= best).all()
    assert (best < lengths).all()
    assert not found.hits(lengths, [0.0]).any()
    assert repeated_frac(found, lengths) == pytest.approx(best.sum() / lengths.sum())


@settings(deadline=None)
@given(hashes=PROMPTS, room=st.integers(0, 20))
def test_a_larger_cache_finds_no_less(hashes: list[list[int]], room: int) -> None:
    """Least recently used with room for more blocks keeps all that it kept before: no prompt finds less."""
    found, lengths = prefixes(*hashes), tokens(hashes)
    assert (found.hits(lengths, [room * 100.0]) <= found.hits(lengths, [room * 100.0 + 100])).all()


def _trace(hashes: list[list[int]]) -> Trace:
    """A request a second."""
    from dataclasses import replace

    made = plain_trace(
        "hashed", np.arange(len(hashes), dtype=float), tokens(hashes), np.ones(len(hashes), np.int64),
        duration_s=float(len(hashes)),
    )  # fmt: skip
    return replace(made, prefixes=prefixes(*hashes))


@settings(deadline=None)
@given(hashes=PROMPTS, factor=st.sampled_from((1.0, 2.0, 3.0)))
def test_growth_brings_prefixes_of_its_own(hashes: list[list[int]], factor: float) -> None:
    """What growth adds shares nothing with what was observed: the requests that were there find what they found."""
    trace = _trace(hashes)
    more = grown(trace, factor, 1)
    assert trace.prefixes is not None
    assert more.prefixes is not None
    before, after = (t.prefixes.hits(t.prompt_tokens, IDEAL) for t in (trace, more) if t.prefixes)
    assert after[more.prefixes.copies == 0].tolist() == before.tolist()
    assert len(more) == factor * len(trace)


def test_a_part_of_a_trace_begins_with_nothing_kept() -> None:
    """A cut keeps the blocks of its requests alone."""
    part = cut(_trace([[1], [1], [2]]), 1.0, 3.0)
    assert part.prefixes is not None
    assert part.prefixes.hits(part.prompt_tokens, IDEAL).tolist() == [0, 0]
