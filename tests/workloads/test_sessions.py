"""Sessions of several turns: arrivals, whole prompts, shared prefixes."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import WorkloadError
from workloads.readers import read_trace
from workloads.traces import Trace

TURNS = [
    {"session_id": "a", "timestamp": 0, "input_length": 400, "output_length": 50},
    {"session_id": "a", "delay": 2000, "input_length": 600, "output_length": 50},
    {"session_id": "b", "timestamp": 100, "input_length": 300, "output_length": 30},
]


def read(path: Path, turns: Sequence[object], **options: object) -> Trace:
    path.write_text("\n".join(map(json.dumps, turns)))
    return read_trace(path, **options)  # type: ignore[arg-type]


def test_a_turn_comes_its_delay_after_the_answer_before(tmp_path: Path) -> None:
    """50 tokens at 20 ms, then 2,000 ms: the second turn comes at 3 s, with both turns and the answer as its prompt."""
    trace = read(tmp_path / "t", TURNS)
    assert trace.arrival_s.tolist() == [0.0, 0.1, 3.0]
    assert trace.prompt_tokens.tolist() == [400, 300, 400 + 50 + 600]
    assert "2 sessions" in trace.notes[0]
    assert "0.02 s a token (assumed: workload.answer_s_per_token)" in trace.notes[0]
    slower = read(tmp_path / "t", TURNS, answer_s_per_token=0.1)
    assert slower.arrival_s.tolist() == [0.0, 0.1, 7.0]
    assert "0.1 s a token (stated" in slower.notes[0]


def test_turns_may_lie_inside_their_session(tmp_path: Path) -> None:
    """A list of turns in one object is the same session."""
    bare = [{key: value for key, value in turn.items() if key != "session_id"} for turn in TURNS]
    nested = read(tmp_path / "t", [{"session_id": "a", "turns": bare[:2]}, {"session_id": "b", "turns": bare[2:]}])
    assert nested.prompt_tokens.tolist() == read(tmp_path / "u", TURNS).prompt_tokens.tolist()


@given(added=st.lists(st.integers(64, 3000), min_size=2, max_size=5), others=st.integers(1, 3))
def test_what_a_session_said_before_is_what_a_cache_finds(
    tmp_path_factory: pytest.TempPathFactory, added: list[int], others: int
) -> None:
    """An unbounded cache finds the prompt before, to a block; sessions share nothing."""
    turns = [
        {"session_id": s, **({"timestamp": s} if not k else {"delay": 9}), "input_length": n, "output_length": 10}
        for s in range(others) for k, n in enumerate(added)
    ]  # fmt: skip
    trace = read(tmp_path_factory.mktemp("t") / "t", turns)
    prompts = [sum(added[: k + 1]) + 10 * k for k in range(len(added))]
    assert sorted(trace.prompt_tokens.tolist()) == sorted(prompts * others)
    again = others * sum(prompts[:-1])
    assert trace.repeated_frac is not None
    assert trace.repeated_frac * others * sum(prompts) == pytest.approx(again, abs=others * 64 * len(added))


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        (
            [{"session_id": "a", "delay": 5, "input_length": 4, "output_length": 5}],
            "no timestamp of any session's first",
        ),
        ([*TURNS[:1], {**TURNS[1], "input_length": 0}], "expected input_length to be a whole number >= 1"),
        ([*TURNS[:1], {**TURNS[1], "delay": "x"}], "expected timestamp to be a time"),
        ([*TURNS[:1], {**TURNS[1], "delay": 10**400}], "expected timestamp to be a time"),
    ],
)
def test_a_wrong_turn_is_named(tmp_path: Path, turns: list[object], words: str) -> None:
    """One line; nothing is guessed."""
    with pytest.raises(WorkloadError) as caught:
        read(tmp_path / "t", turns)
    (line,) = caught.value.problems
    assert words in line


def test_delays_that_sum_to_no_number_are_no_time(tmp_path: Path) -> None:
    """Two numbers may each be finite and their sum be endless: it is told as any other wrong time is."""
    far = {**TURNS[1], "delay": 1.7e308}
    with pytest.raises(WorkloadError) as caught:
        read(tmp_path / "t", [*TURNS[:1], far, far])
    assert ["expected timestamp to be a time" in line for line in caught.value.problems] == [True, True]


def test_turns_after_a_wrong_one_are_left_out_with_it(tmp_path: Path) -> None:
    """When they come and what they hold hangs on it; other sessions stay."""
    wrong = {**TURNS[1], "output_length": -1}
    trace = read(tmp_path / "t", [TURNS[0], wrong, TURNS[1], TURNS[2]], skip_bad_rows=True)
    assert (len(trace), trace.skipped_rows) == (2, 2)
