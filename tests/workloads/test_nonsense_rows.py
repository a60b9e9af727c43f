"""Values of a trace file that mean nothing are refused with their line, whatever the format and the packing."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import WorkloadError
from workloads.readers import read_trace
from workloads.trace_formats import FORMATS

NO_TIME = (
    -1,
    -0.5,
    -1e9,
    1e300,
    "",
    " ",
    "never",
    "nan",
    "inf",
    "-inf",
    "2023-02-30",
    "2023-11-16 25:00:00",
    "16/11/2023",
)
NO_TOKENS = (
    -1, 0, 0.5, 3.25, 1e18, 2**52, "", "many", "nan", "inf", "0x10", "1_000", "50%", "300ms", "None", "=1+1", "-0",
)  # fmt: skip
ROWS = 6


def written(folder: Path, columns: tuple[str, ...], rows: list[list[object]], kind: str) -> Path:
    """A trace file of one kind."""
    path = folder / f"trace.{kind}"
    if kind.startswith("csv"):
        text = "\n".join(",".join(map(str, row)) for row in ([*columns], *rows)) + "\n"
    else:
        text = "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    return path


@given(
    form=st.sampled_from(FORMATS), kind=st.sampled_from(("csv", "csv.gz", "jsonl")), row=st.integers(0, ROWS - 1),
    fault=st.one_of(
        st.tuples(st.just(0), st.sampled_from(NO_TIME)), st.tuples(st.sampled_from((1, 2)), st.sampled_from(NO_TOKENS))
    ),
)  # fmt: skip
def test_a_value_that_means_nothing_is_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, form: object, kind: str, row: int, fault: tuple[int, object]
) -> None:
    """No time below zero, no date that does not exist, no count that is no whole number from 1 on becomes a request."""
    columns = form.columns  # type: ignore[attr-defined]
    rows: list[list[object]] = [[k * 1000, 300 + k, 40] for k in range(ROWS)]
    column, value = fault
    rows[row][column] = value
    path = written(tmp_path_factory.mktemp("t"), columns, rows, kind)
    line = row + (1 if kind == "jsonl" else 2)
    with pytest.raises(WorkloadError, match=rf"line {line}\b"):
        read_trace(path, format=form.name, time_unit="ms")  # type: ignore[attr-defined]


@pytest.mark.parametrize("last", [1e12, 4e17])
def test_a_trace_of_many_years_is_refused(tmp_path: Path, last: float) -> None:
    """A row dated years away is no log of a service, however few the rows are."""
    rows: list[list[object]] = [[k, 300, 40] for k in range(4)] + [[last, 300, 40]]
    path = written(tmp_path, ("arrival_s", "prompt_tokens", "output_tokens"), rows, "csv")
    with pytest.raises(WorkloadError, match=r"span .* years; expected less than 10"):
        read_trace(path)


@pytest.mark.parametrize("columns", [
    {"prompt": "output_tokens", "output": "prompt_tokens"}, {"arrival": "prompt_tokens", "prompt": "arrival_s"},
    {"prompt": "GeneratedTokens"}, {"output": "input_length"},
])  # fmt: skip
def test_columns_that_are_swapped_are_refused(tmp_path: Path, columns: Mapping[str, str]) -> None:
    """A column whose name says outputs is not read as prompts: every length of the plan would be another's."""
    names = ("arrival_s", "prompt_tokens", "output_tokens", "GeneratedTokens", "input_length")
    path = written(tmp_path, names, [[k, 300, 40, 40, 300] for k in range(4)], "csv")
    with pytest.raises(WorkloadError, match=r"workload.columns.\w+: found '\w+', a name of"):
        read_trace(path, columns=columns)


@pytest.mark.parametrize("key", ["timestamp", "input_length", "output_length"])
@pytest.mark.parametrize("as_list", [False, True])
def test_a_whole_number_beyond_every_float_is_a_wrong_row(tmp_path: Path, key: str, as_list: bool) -> None:
    """JSON has whole numbers of any length; one that no float holds is named with its row, as 1e999 is."""
    right = {"timestamp": 0, "input_length": 300, "output_length": 40}
    items = [right | {"timestamp": 1000 * k} for k in range(4)]
    items[2] = items[2] | {key: 10**400}
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(items) if as_list else "".join(f"{json.dumps(item)}\n" for item in items))
    with pytest.raises(WorkloadError, match=f"expected {key} to be"):
        read_trace(path)
    assert len(read_trace(path, skip_bad_rows=True)) == 3


@pytest.mark.parametrize("ids", ["abc", [1.5], [True], {"a": 1}, [None], list(range(400)), 7])
def test_blocks_of_a_prompt_are_whole_numbers_and_no_more_than_its_tokens(tmp_path: Path, ids: object) -> None:
    """A row whose blocks cannot be read is refused: left out in silence, its prompt would find nothing in a cache."""
    right = {"timestamp": 0, "input_length": 300, "output_length": 40, "hash_ids": [1, 2]}
    lines = [right | {"timestamp": 1000 * k} for k in range(4)]
    lines[2] = lines[2] | {"hash_ids": ids}
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(WorkloadError, match=r"line 3: .*hash_ids"):
        read_trace(path)


@pytest.mark.parametrize(("said", "key"), [
    ({"bytes_per_token": 3.0}, "bytes_per_token"), ({"answer_s_per_token": 0.1}, "answer_s_per_token"),
])  # fmt: skip
def test_what_a_file_has_no_use_for_is_refused(tmp_path: Path, said: Mapping[str, float], key: str) -> None:
    """Bytes of a token are for text, the time of an answer for turns: beside token counts and times both do nothing."""
    rows: list[list[object]] = [[k, 300, 40] for k in range(4)]
    path = written(tmp_path, ("arrival_s", "prompt_tokens", "output_tokens"), rows, "csv")
    with pytest.raises(WorkloadError, match=rf"workload\.{key}"):
        read_trace(path, **said)  # type: ignore[arg-type]


def test_a_conversation_has_no_columns_and_no_unit_of_time(tmp_path: Path) -> None:
    """Keys that say where tokens and times stand are refused for text, which has neither."""
    path = tmp_path / "chat.json"
    turns = [{"from": "human", "value": "what is this"}, {"from": "gpt", "value": "a test of what is read"}]
    path.write_text(json.dumps([{"conversations": turns}] * 3))
    assert len(read_trace(path)) == 3
    with pytest.raises(WorkloadError, match=r"workload\.time_unit, workload\.columns"):
        read_trace(path, time_unit="ms", columns={"arrival": "t"})
