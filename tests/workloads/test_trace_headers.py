"""Trace files with other separators, spellings and names than those of their format."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from workloads.errors import WorkloadError
from workloads.readers import read_trace
from workloads.trace_formats import FORMATS, SEPARATORS, UNITS
from workloads.traces import Trace

TIMES_S = (7.25, 8.5, 11.75)
TOKENS = ((4808, 10), (3180, 8), (17, 900))


def read(path: Path, text: str | bytes, **options: str) -> Trace:
    """A file with this text, read."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_trace(path, **options)  # type: ignore[arg-type]


def refusal(path: Path, text: str | bytes) -> str:
    """The one line that refuses a file with this text."""
    with pytest.raises(WorkloadError) as caught:
        read(path, text)
    (line,) = caught.value.problems
    return line


def is_right(trace: Trace) -> bool:
    """Whether a trace holds the requests of this module."""
    arrival_s = [time - TIMES_S[0] for time in TIMES_S]
    tokens = [tuple(pair) for pair in zip(trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)]
    return trace.arrival_s.tolist() == pytest.approx(arrival_s) and tokens == list(TOKENS)


def table(columns: Sequence[str], between: str, tick_s: float = 1.0, quote: str = "", point: str = ".") -> str:
    """The requests as a CSV file."""
    times = [f"{time / tick_s:.3f}" if tick_s == 1 else f"{time / tick_s:.0f}" for time in TIMES_S]
    rows = [columns, *([t.replace(".", point), str(a), str(b)] for t, (a, b) in zip(times, TOKENS, strict=True))]
    return "\n".join(between.join(f"{quote}{field}{quote}" for field in row) for row in rows)


@given(
    form=st.sampled_from(FORMATS), between=st.sampled_from(sorted(SEPARATORS)), quote=st.sampled_from(["", '"']),
    respell=st.sampled_from([str, str.upper, str.lower, str.title]), blank=st.sampled_from([" ", "_", "-", ""]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)  # fmt: skip
def test_how_a_header_is_written_changes_nothing(  # type: ignore[no-untyped-def]
    tmp_path_factory: pytest.TempPathFactory, form, between, quote, respell, blank, end
) -> None:
    """Separator, quotes, line ends, case and punctuation of column names say nothing about the requests."""
    columns = [respell(name).replace("_", blank).replace(" ", blank) for name in form.columns]
    text = table(columns, between, UNITS[form.unit], quote).replace("\n", end)
    assert is_right(read(tmp_path_factory.mktemp("t") / "trace", text, time_unit=form.unit))


def test_a_scenario_is_no_trace(tmp_path: Path) -> None:
    """A scenario in the place of a trace is called what it is, and not taken for a file of unknown columns."""
    with pytest.raises(WorkloadError, match=r"my\.yaml: found YAML, such as a scenario; expected a trace"):
        read(tmp_path / "my.yaml", "schema_version: 1\nname: mine\n")


def test_decimal_commas_are_read_where_they_cannot_be_anything_else(tmp_path: Path) -> None:
    """A comma in a time is a point where fields end otherwise, unless it may stand between thousands."""
    columns = ("arrival_s", "prompt_tokens", "output_tokens")
    half = table(columns, ";", point=",").replace("7,250", "7,25")
    assert is_right(read(tmp_path / "t", half))
    with pytest.raises(WorkloadError, match="expected arrival_s to be a time"):
        read(tmp_path / "t", table(columns, ";", point=","))
    with pytest.raises(WorkloadError, match="expected prompt_tokens to be a whole number"):
        read(tmp_path / "t", table(columns, ";").replace("4808", "4,000"))  # a prompt of four tokens to some readers


NAMES = {
    "arrival": ("request_timestamp", "time", "arrival_time", "created_at", "arival_s"),
    "prompt": ("input_tokens", "isl", "prompt_len", "num_prompt_tokens"),
    "output": ("completion_tokens", "osl", "OutputLen", "num_output_tokens"),
}


@given(*(st.sampled_from(names) for names in NAMES.values()))
def test_columns_of_another_name_are_refused_with_the_nearest(
    tmp_path_factory: pytest.TempPathFactory, arrival: str, prompt: str, output: str
) -> None:
    """One line tells what was found, which column to rename or which key says so, and that a time has a unit."""
    line = refusal(tmp_path_factory.mktemp("t") / "trace", table((arrival, prompt, output), ";"))
    assert f"found the columns {arrival}, {prompt}, {output}" in line
    renamed = f"rename '{arrival}' to arrival_s (s, or arrival_ms, arrival_us, arrival_ns), '{prompt}' to prompt_tokens"
    keys = f"workload.columns={{arrival: {arrival}, prompt: {prompt}, output: {output}}}"
    assert line.endswith(f"; nearest: {renamed}, '{output}' to output_tokens, or say {keys}")


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    """No header, one object for all, an archive or another encoding: the line says what was found."""
    found = {
        "numbers": "1.5,100,20\n2.5,100,20", "one JSON object (requests)": json.dumps({"requests": []}, indent=1),
        "text in UTF-16": "arrival_s".encode("utf-16"),
        "the column prompt_tokens, Prompt_Tokens twice": "ARRIVAL_S,prompt_tokens,Prompt_Tokens,output_tokens\n1,2,3,4",
    }  # fmt: skip
    for words, text in found.items():
        assert f"found {words}" in refusal(tmp_path / "t", text)


def test_each_door_names_its_own_key(tmp_path: Path) -> None:
    """A scenario has workload.time_unit, `workload stats` has --time-unit; neither names the other's."""
    path = tmp_path / "t.csv"
    path.write_text("arrival_s,prompt_tokens,output_tokens\n" + "".join(f"{i * 200},100,20\n" for i in range(1500)))
    with pytest.raises(WorkloadError, match=r"expected workload\.time_unit to say which"):
        read_trace(path)
    done = CliRunner().invoke(build(), ["workload", "stats", str(path)])
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "expected --time-unit to say which" in " ".join(done.stderr.split())


def test_a_packed_trace_is_the_trace(tmp_path: Path) -> None:
    """A gzip file is read as what it holds, whatever its name; one that is cut off is refused."""
    plain, packed = tmp_path / "trace.csv", tmp_path / "trace.csv.gz"
    plain.write_text("arrival_s,prompt_tokens,output_tokens\n0,10,20\n1,30,40\n3,30,40\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    read, unpacked = read_trace(plain), read_trace(packed)
    assert (unpacked.arrival_s.tolist(), unpacked.prompt_tokens.tolist()) == ([0, 1, 3], [10, 30, 30])
    assert read.output_tokens.tolist() == unpacked.output_tokens.tolist()
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(WorkloadError, match=r"trace\.csv\.gz: no valid gzip file"):
        read_trace(packed)


def test_a_pipe_is_no_trace(tmp_path: Path) -> None:
    """A named pipe, at which a reader would wait for ever, is refused at once."""
    pipe = tmp_path / "trace.csv"
    os.mkfifo(pipe)
    with pytest.raises(WorkloadError, match="found a pipe or a device, which may never end"):
        read_trace(pipe)
