"""Trace files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given

from tests.workloads.strategies import traces
from workloads.arrival_times import outliers
from workloads.errors import WorkloadError
from workloads.readers import read_trace
from workloads.trace_formats import FORMATS
from workloads.traces import Trace
from workloads.writers import write_plain_csv

HEADER = "arrival_s,prompt_tokens,output_tokens\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Trace]:
    def read_text(text: str, **options: object) -> Trace:
        file = tmp_path / "trace"
        file.write_text(text)
        return read_trace(file, **options)  # type: ignore[arg-type]

    return read_text


def problems(read: Callable[..., Trace], text: str, **options: object) -> tuple[str, ...]:
    with pytest.raises(WorkloadError) as caught:
        read(text, **options)
    return caught.value.problems


FILES = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.9799600,3180,8\n",
    "mooncake": '{"timestamp": 500, "input_length": 4808, "output_length": 10, "hash_ids": [0, 1]}\n'
    '{"timestamp": 1500, "input_length": 3180, "output_length": 8, "hash_ids": [0]}\n',
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,4808,10,4818,API log\n6,GPT-4,3180,8,3188,API log\n",
    "vidur": "arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,4808,10\n1.25,3180,8\n",
    "splitwise-sim": "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
    "0,2,0,0.25,1,4808,10\n1,2,0,1.25,1,3180,8\n",
    "plain": HEADER + "7.5,4808,10\n8.5,3180,8\n",
}


@pytest.mark.parametrize("name", [f.name for f in FORMATS])
@pytest.mark.parametrize("asked", ["auto", "by name"])
def test_every_format_gives_the_same_requests(read: Callable[..., Trace], name: str, asked: str) -> None:
    """The formats differ in columns, units and time zero only; each is found by its columns or by its name."""
    trace = read(FILES[name], format="auto" if asked == "auto" else name)
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 1.0])
    assert trace.prompt_tokens.tolist() == [4808, 3180]
    assert trace.output_tokens.tolist() == [10, 8]
    assert (trace.name, trace.skipped_rows, trace.duration_s) == ("trace", 0, pytest.approx(2.0))


def test_azure_2024_dates_carry_a_zone_and_uneven_digits(read: Callable[..., Trace]) -> None:
    """Dates with a timezone suffix, with or without a fraction, and Windows line ends are read."""
    trace = read(
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2024-05-10 00:00:00.009930+00:00,2162,5\r\n2024-05-10 00:00:01+00:00,2399,6\r\n"
    )
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 0.99007])


@given(trace=traces())
def test_a_written_trace_reads_back(tmp_path_factory: pytest.TempPathFactory, trace: Trace) -> None:
    """What write_plain_csv writes, read_trace reads, to the last digit."""
    assume(not outliers(trace.arrival_s).any())
    file = tmp_path_factory.mktemp("written") / "trace.csv"
    write_plain_csv(trace, file)
    back = read_trace(file, time_unit="s")
    np.testing.assert_array_equal(back.arrival_s, trace.arrival_s)
    np.testing.assert_array_equal(back.prompt_tokens, trace.prompt_tokens)
    np.testing.assert_array_equal(back.output_tokens, trace.output_tokens)
    assert [p.name for p in file.parent.iterdir()] == ["trace.csv"]


@given(trace=traces())
def test_a_read_trace_spans_as_many_gaps_as_requests(tmp_path_factory: pytest.TempPathFactory, trace: Trace) -> None:
    """The window ends one mean gap after the last arrival, and is one second where all arrive at once."""
    assume(not outliers(trace.arrival_s).any())
    file = tmp_path_factory.mktemp("written") / "trace.csv"
    write_plain_csv(trace, file)
    back, n = read_trace(file, time_unit="s"), len(trace)
    last_s = trace.arrival_s[-1]
    assert back.duration_s == pytest.approx(last_s * n / (n - 1) if last_s > 0 else 1.0)


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    """Where a trace cannot be written, no partial file appears and an older one stays."""
    file = tmp_path / "trace.csv"
    file.write_text("old")
    broken = Trace(
        name="broken",
        arrival_s=np.zeros(2),
        prompt_tokens=np.ones(1, dtype=np.int64),
        output_tokens=np.ones(2, dtype=np.int64),
        class_index=np.zeros(2, dtype=np.int64),
        duration_s=1.0,
    )
    with pytest.raises(ValueError, match="shorter"):
        write_plain_csv(broken, file)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("trace.csv", "old")]


BAD_ROWS = {
    "0,0,5": "prompt_tokens to be a whole number >= 1",
    "0,5,0": "output_tokens to be a whole number >= 1",
    "0,-3,5": "prompt_tokens",
    "0,1.5,5": "prompt_tokens",
    "0,many,5": "prompt_tokens",
    "0,,5": "prompt_tokens",
    "0,nan,5": "prompt_tokens",
    "0,inf,5": "prompt_tokens",
    "0,1e300,5": "prompt_tokens",
    "noon,1,5": "arrival_s to be a time",
    ",1,5": "arrival_s to be a time",
    "0,5": "3 fields",
    "0,1,024,5": "3 fields",
    "": "3 fields",
    '0,"5,5': "prompt_tokens",
    "x,0,0": "arrival_s to be a time and prompt_tokens to be a whole number >= 1 and output_tokens",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_is_named_by_its_line(read: Callable[..., Trace], row: str) -> None:
    """Each kind of bad row is refused with line, text and what was expected, and the rows around it are not blamed."""
    found = problems(read, f"{HEADER}0,1,1\n{row}\n0,1,1\n")
    assert len(found) == 1
    assert f"line 3: found '{row}'; expected {BAD_ROWS[row]}" in found[0]
    assert found[0].endswith("; workload.skip_bad_rows leaves it out")


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_is_left_out_on_request(read: Callable[..., Trace], row: str) -> None:
    """With skip_bad_rows the good rows stay and the bad one is counted."""
    trace = read(f"{HEADER}0,1,1\n{row}\n0,2,2\n", skip_bad_rows=True)
    assert (trace.prompt_tokens.tolist(), trace.skipped_rows) == ([1, 2], 1)


def test_truncated_json_is_named_by_its_line(read: Callable[..., Trace]) -> None:
    """A JSON line cut short, one that is no object, and one with wrong values are each named."""
    good = {"timestamp": 0, "input_length": 5, "output_length": 5}
    lines = [
        json.dumps(good),
        '{"timestamp": 1, "inp',
        "[1]",
        json.dumps({**good, "input_length": [5]}),
        json.dumps(good),
    ]
    found = problems(read, "\n".join(lines))
    assert [problem.split(": ")[1] for problem in found] == ["line 2", "line 3", "line 4"]
    assert [problem.rsplit("expected ")[1] for problem in found] == [
        "a whole JSON object, each key once",
        "a whole JSON object, each key once",
        "input_length to be a whole number >= 1; workload.skip_bad_rows leaves such rows out",
    ]
    assert len(read("\n".join(lines), skip_bad_rows=True)) == 2


@pytest.mark.parametrize(("bad", "good", "told"), [(2, 1, 1), (10, 1, 1), (11, 1, 1), (3, 0, 0), (25, 0, 1)])
def test_bad_rows_come_with_the_way_to_leave_them_out(
    read: Callable[..., Trace], bad: int, good: int, told: int
) -> None:
    """However few rows are bad, the refusal says once how to leave them out; where nothing would be left it does not
    of a file that it shows whole.
    """
    found = problems(read, HEADER + "0,1,1\n" * good + "0,0,0\n" * bad)
    assert sum("workload.skip_bad_rows leaves" in problem for problem in found) == told


def test_ten_bad_rows_are_shown_and_the_rest_counted(read: Callable[..., Trace]) -> None:
    """Of many bad rows the first ten are shown, then how many more there are."""
    found = problems(read, HEADER + "0,1,1\n" + "0,0,0\n" * 25)
    assert [problem.split(": ")[1] for problem in found[:10]] == [f"line {line}" for line in range(3, 13)]
    assert "and 15 more of 26 rows" in found[10]
    assert len(found) == 11


def test_blank_lines_at_the_end_are_no_rows(read: Callable[..., Trace]) -> None:
    """A file may end in blank lines."""
    assert len(read(HEADER + "0,1,1\n\n\n")) == 1


def test_one_request_spans_a_second(read: Callable[..., Trace]) -> None:
    """A single request has no gap; its window is one second."""
    assert read(HEADER + "9,1,1\n").duration_s == 1.0


@pytest.mark.parametrize("text", ["", "\n\n", HEADER, HEADER + "0,0,0\n"])
def test_a_file_without_requests_is_refused(read: Callable[..., Trace], text: str) -> None:
    """An empty file, a lone header, and a file with nothing left after skipping hold no request."""
    assert "expected" in problems(read, text, skip_bad_rows=True)[0]


def test_unknown_columns_are_shown_beside_the_known(read: Callable[..., Trace]) -> None:
    """A file of no known format is refused with its columns and those of every format."""
    (found,) = problems(read, "when,what\n1,2\n")
    assert "found the columns when, what" in found
    for trace_format in FORMATS:
        assert f"{trace_format.name}: {', '.join(trace_format.columns)}" in found


def test_a_format_that_does_not_fit_is_refused(read: Callable[..., Trace]) -> None:
    """A named format must find its columns; a misspelt one is told the nearest."""
    assert "expected those of azure" in problems(read, FILES["plain"], format="azure")[0]
    assert "did you mean 'azure'" in problems(read, FILES["azure"], format="azur")[0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path with no file, or with a directory, is refused by name."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(WorkloadError, match="cannot be read") as caught:
            read_trace(path)
        assert str(path) in caught.value.problems[0]
