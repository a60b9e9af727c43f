"""Arrival times as they were meant: units, order, dates, and rows far from all others."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import WorkloadError
from workloads.readers import read_trace
from workloads.trace_formats import UNITS
from workloads.traces import Trace

Write = Callable[..., Path]
SECONDS = np.round(np.cumsum(np.random.default_rng(7).exponential(0.25, 400)), 3)
"""Four requests a second, to the millisecond."""

RATE = 399 / float(SECONDS[-1] - SECONDS[0])


@pytest.fixture
def csv(tmp_path: Path) -> Write:
    def write(times: Sequence[object], column: str = "arrival_s", tokens: str = "500,200") -> Path:
        heads = {"arrived_at": "num_prefill_tokens,num_decode_tokens", "TIMESTAMP": "ContextTokens,GeneratedTokens"}
        head = f"{column},{heads.get(column, 'prompt_tokens,output_tokens')}"
        file = tmp_path / "trace.csv"
        file.write_text("\n".join((head, *(f"{time},{tokens}" for time in times))))
        return file

    return write


def mooncake(path: Path, times: Sequence[float]) -> Path:
    rows = [{"timestamp": time, "input_length": 500, "output_length": 200} for time in times]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def rate(trace: Trace) -> float:
    return (len(trace) - 1) / float(trace.arrival_s[-1])


def refusal(path: Path, **options: str | bool) -> str:
    with pytest.raises(WorkloadError) as caught:
        read_trace(path, **options)  # type: ignore[arg-type]
    (problem,) = caught.value.problems
    return problem


def test_seconds_under_a_format_of_whole_milliseconds_are_read_with_a_reason(tmp_path: Path) -> None:
    """Fractions and an impossible rate together tell that another program wrote seconds; the trace says so."""
    trace = read_trace(mooncake(tmp_path / "t.jsonl", SECONDS.tolist()))
    assert rate(trace) == pytest.approx(RATE)
    assert "read as seconds, though ms is mooncake's unit" in trace.notes[0]


def test_whole_seconds_under_a_format_of_milliseconds_are_asked_for(tmp_path: Path) -> None:
    """The rate alone is no proof: the unit is asked for, with the rate that each would give."""
    file = mooncake(tmp_path / "t.jsonl", np.floor(SECONDS).astype(int).tolist())
    problem = refusal(file)
    assert "faster than any known log" in problem
    assert "workload.time_unit" in problem
    assert " s" in problem
    assert rate(read_trace(file, time_unit="s")) == pytest.approx(RATE, rel=0.05)


def test_fractions_of_milliseconds_at_a_plausible_rate_are_asked_for(tmp_path: Path) -> None:
    """A sparse log in seconds under a format of whole milliseconds is as plausible in both: a question, no guess."""
    assert "writes whole numbers" in refusal(mooncake(tmp_path / "t.jsonl", (SECONDS * 10).tolist()))


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("column", ["arrival_s", "arrived_at"])
def test_smaller_units_under_a_name_of_seconds_are_asked_for(csv: Write, unit: str, column: str) -> None:
    """Whole numbers that would be hours between requests are asked for, and the unit that fits is named."""
    file = csv(np.rint(SECONDS / UNITS[unit]).astype(np.int64), column)
    problem = refusal(file)
    assert "slower than any known log" in problem
    assert rate(read_trace(file, time_unit=unit)) == pytest.approx(RATE, rel=1e-6)


@pytest.mark.parametrize("smaller", ["us", "ns"])
def test_smaller_units_under_a_format_of_whole_numbers_are_asked_for(tmp_path: Path, smaller: str) -> None:
    """Whole microseconds under Mooncake's milliseconds are hours between requests: a question, no guess."""
    file = mooncake(tmp_path / "t.jsonl", np.rint(SECONDS / UNITS[smaller]).astype(np.int64).tolist())
    assert f"ms or {smaller}" in refusal(file).replace("ms or us or ns", "ms or ns")
    assert rate(read_trace(file, time_unit=smaller)) == pytest.approx(RATE, rel=1e-6)


def test_milliseconds_under_a_format_of_whole_seconds_are_asked_for(tmp_path: Path) -> None:
    """BurstGPT writes whole seconds; whole milliseconds under its names are not read as a trickle."""
    file = tmp_path / "t.csv"
    rows = (f"{time},500,200\n" for time in np.rint(SECONDS * 1000).astype(np.int64))
    file.write_text("Timestamp,Request tokens,Response tokens\n" + "".join(rows))
    assert "s or ms" in refusal(file)
    assert rate(read_trace(file, time_unit="ms")) == pytest.approx(RATE, rel=1e-6)


def test_fractions_of_milliseconds_under_a_name_without_a_unit_are_remarked(csv: Write) -> None:
    """A request every four minutes is possible: it is read as the format says, and what else it may be is said."""
    trace = read_trace(csv(np.round(SECONDS * 1000 + 0.25, 2), "arrived_at"))
    assert rate(trace) == pytest.approx(RATE / 1000, rel=1e-3)
    (note,) = trace.notes
    assert "read as seconds" in note
    assert "as milliseconds" in note
    assert read_trace(csv(np.round(SECONDS * 1000 + 0.25, 2))).notes == ()


@given(unit=st.sampled_from(list(UNITS)), since_1970=st.booleans())
def test_the_unit_in_a_columns_name_is_what_it_says(
    tmp_path_factory: pytest.TempPathFactory, unit: str, since_1970: bool
) -> None:
    """arrival_s, arrival_ms, arrival_us and arrival_ns give the same requests, from zero or since 1970."""
    start = 1.7e9 if since_1970 else 0.0
    times = np.rint((SECONDS + start) * 1000).astype(np.int64) * (1e-3 / UNITS[unit])
    file = tmp_path_factory.mktemp("named") / "t.csv"
    file.write_text(f"arrival_{unit},prompt_tokens,output_tokens\n" + "".join(f"{t:.3f},500,200\n" for t in times))
    trace = read_trace(file)
    np.testing.assert_allclose(trace.arrival_s, SECONDS - SECONDS[0], atol=1e-4)
    assert trace.notes == ()


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_dates_since_1970_tell_their_unit(tmp_path: Path, unit: str) -> None:
    """Numbers that are this century in one unit only are read in it, and that is said."""
    times = ((np.rint(SECONDS * 1000) + 1.7e12) * (1e-3 / UNITS[unit])).tolist()
    trace = read_trace(mooncake(tmp_path / "t.jsonl", times))
    np.testing.assert_allclose(trace.arrival_s, SECONDS - SECONDS[0], atol=1e-5)
    assert "since 1970" in trace.notes[0]


def test_dates_since_1970_that_contradict_the_columns_name_are_asked_for(csv: Write) -> None:
    """Milliseconds since 1970 under arrival_s are refused, not read as the year 55,000."""
    assert "milliseconds since 1970" in refusal(csv(np.rint(SECONDS * 1000).astype(np.int64) + 1_700_000_000_000))


def test_a_stated_unit_is_taken_and_an_unlikely_one_is_remarked(csv: Write) -> None:
    """What the user states is done; where it is implausible the trace says so."""
    trace = read_trace(csv(SECONDS), time_unit="ms")
    assert rate(trace) == pytest.approx(1000 * RATE)
    assert "as stated" in trace.notes[0]


@given(order=st.permutations(range(60)))
def test_the_order_of_rows_does_not_matter(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    """A log in order of completion gives the same requests as one in order of arrival, and the trace says so."""
    lines = [f"{float(SECONDS[i])!r},{500 + i},{i + 1}" for i in range(60)]
    folder = tmp_path_factory.mktemp("order")
    for name, rows in (("sorted", lines), ("other", [lines[i] for i in order])):
        (folder / name).write_text("\n".join(("arrival_s,prompt_tokens,output_tokens", *rows)))
    expected, found = read_trace(folder / "sorted"), read_trace(folder / "other")
    for column in ("arrival_s", "prompt_tokens", "output_tokens"):
        np.testing.assert_array_equal(getattr(found, column), getattr(expected, column))
    assert (found.duration_s, found.skipped_rows) == (expected.duration_s, 0)
    assert bool(found.notes) == (order != list(range(60)))


@pytest.mark.parametrize("far", [[1e8], [0.0], [0.0, 1.7e9], [3e7, 1e8], [5000.0]])
@pytest.mark.parametrize("place", [0, 17, 400])
def test_rows_dated_far_from_all_others_are_named_or_left_out(csv: Write, far: list[float], place: int) -> None:
    """A row dated years away is refused with its line; on request it alone is left out, and that is said."""
    near = (SECONDS + 1000).tolist()
    file = csv([*near[:place], *far, *near[place:]])
    problem = refusal(file)
    assert f"line {place + 2}:" in problem
    assert "skip_bad_rows" in problem
    trace = read_trace(file, skip_bad_rows=True)
    assert (len(trace), trace.skipped_rows) == (400, len(far))
    assert trace.duration_s == pytest.approx(SECONDS[-1] - SECONDS[0], rel=0.01)
    assert f"line {place + 2}:" in trace.notes[0]


def test_a_pause_is_no_outlier(csv: Write) -> None:
    """Two busy hours a week apart are a trace with a pause, whatever their share."""
    both = [*SECONDS[:300], *(SECONDS[300:] + 604800)]
    assert len(read_trace(csv(both), time_unit="s")) == 400


def test_dates_with_zones_are_moments(csv: Write) -> None:
    """The same moment in three time zones, and over the end of daylight saving, arrives once."""
    dates = ["2024-10-27T02:59:59+02:00", "2024-10-27T02:00:00.500+01:00", "2024-10-27T01:00:01Z"]
    trace = read_trace(csv(dates, "TIMESTAMP"))
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 1.5, 2.0])


def test_dates_without_a_zone_are_not_mixed_with_dates_that_have_one(csv: Write) -> None:
    """Local time and moments in one column contradict each other."""
    assert "with a time zone" in refusal(csv(["2024-10-27T02:59:59", "2024-10-27T03:00:00Z"], "TIMESTAMP"))


def test_local_time_set_back_by_an_hour_is_asked_for(csv: Write) -> None:
    """A log in local time that goes back by an hour once is not sorted into a busy hour and a pause."""
    dates = [f"2024-10-27T02:{m:02}:00" for m in range(60)] + [f"2024-10-27T02:{m:02}:00" for m in range(60)]
    assert "daylight saving" in refusal(csv(dates, "TIMESTAMP"))


def test_numbers_in_a_column_of_dates_are_read_as_numbers(csv: Write) -> None:
    """Seconds since 1970 under TIMESTAMP are no dates of the form YYYYMMDDHH."""
    trace = read_trace(csv(np.rint(SECONDS).astype(int) + 2_023_111_600, "TIMESTAMP"))
    assert rate(trace) == pytest.approx(RATE, rel=0.05)


def test_a_unit_beside_dates_is_refused(csv: Write) -> None:
    """Dates state themselves."""
    assert "holds dates" in refusal(csv(["2024-10-27T02:59:59Z"], "TIMESTAMP"), time_unit="ms")


def test_a_json_list_reads_as_its_lines(tmp_path: Path) -> None:
    """The same objects in one list give the same requests."""
    lines = mooncake(tmp_path / "lines", (SECONDS * 1000).round().tolist())
    whole = tmp_path / "whole"
    whole.write_text("[" + ",\n".join(lines.read_text().splitlines()) + "]")
    np.testing.assert_array_equal(read_trace(whole).arrival_s, read_trace(lines).arrival_s)


def test_what_cannot_be_a_trace_is_refused_in_one_short_line(tmp_path: Path) -> None:
    """Conversations and sessions are named for what they are; long columns are cut."""
    file = tmp_path / "t"
    for text, expected in (
        (json.dumps([{"id": "x", "conversations": [{"value": "hi " * 50_000}]}]), "without an answer"),
        ('{"session_id": 1, "input_length": 4, "output_length": 5}\n'
         '{"session_id": 1, "delay": 9, "input_length": 4, "output_length": 5}', "no timestamp"),
        ("x" * 120_000 + "\n1", "columns"),
        ("[" * 100_000, "JSON list"),
    ):  # fmt: skip
        file.write_text(text)
        problem = refusal(file)
        assert expected in problem
        assert len(problem) < 1000


def test_keys_given_twice_in_a_row_spoil_it(tmp_path: Path) -> None:
    """Of two prompts of one request none is right."""
    file = tmp_path / "t"
    file.write_text('{"timestamp": 0, "input_length": 4, "input_length": 5, "output_length": 5}')
    with pytest.raises(WorkloadError):
        read_trace(file)


def test_repeated_prefixes_are_counted(tmp_path: Path) -> None:
    """Blocks count where all blocks before them were seen too; of a prompt seen whole the last token is computed."""
    blocks = [[1, 2, 3, 4], [1, 2, 9, 4], [7, 2, 3, 4], [1, 2, 3, 4]]
    rows = [{"timestamp": i, "input_length": 400, "output_length": 1, "hash_ids": b} for i, b in enumerate(blocks)]
    file = tmp_path / "t"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    assert read_trace(file).repeated_frac == pytest.approx((200 + 0 + 399) / 1600)


def test_traces_without_hashes_say_nothing_of_prefixes(csv: Write) -> None:
    """Unknown is not zero."""
    assert read_trace(csv(SECONDS)).repeated_frac is None
