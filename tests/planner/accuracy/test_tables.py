"""Tables that others wrote: whatever is in them, every row is a run or a reason."""

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.accuracy.measured import Exclusion, MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.runs import read_runs
from planner.accuracy.table import accuracy
from planner.cli import build
from planner.errors import BadInput, ExitCode
from tests.planner.measured_rows import APART, AT_ONCE, CLOSED_LOOP, OPEN_LOOP
from workloads.models import known_models

KINDS = (OPEN_LOOP, CLOSED_LOOP, APART, AT_ONCE)
MODELS = Known(models=known_models())


def text_of(*rows: Mapping[str, str], columns: list[str] | None = None, end: str = "\n") -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator=end, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read(directory: Path, content: bytes | str, name: str = "runs.csv") -> tuple[list[MeasuredRun], list[Exclusion]]:
    file = directory / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_runs(file, MODELS)


@pytest.mark.parametrize("row", KINDS)
def test_the_dress_of_a_table_does_not_matter(tmp_path: Path, row: Mapping[str, str]) -> None:
    """Order of columns, columns of one's own, byte-order mark, line ends, blank lines, gzip: nothing changes."""
    plain = read(tmp_path, text_of(row))
    mine = {"note": "x", **row}
    turned = text_of(mine, columns=[*sorted(mine, reverse=True)], end="\r\n").replace("note", " note ") + "\r\n\r\n"
    assert len(plain[0]) == 1
    assert read(tmp_path, b"\xef\xbb\xbf" + turned.encode()) == plain
    assert read(tmp_path, gzip.compress(text_of(row).encode()), "runs.csv.gz")[0][0].figures == plain[0][0].figures


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "there is no row in it"),
        (text_of(OPEN_LOOP).splitlines()[0].encode(), "there is no row in it"),
        (b"\xff\xfe\x00rubbish\n1,2", "cannot be read as CSV"),
        (b"a,b\n1,2\n", "no known table"),
    ],
)
def test_a_file_without_runs_is_left_out_as_a_whole(tmp_path: Path, content: bytes, says: str) -> None:
    """Empty files, bytes that are no text and tables of something else are one reason each, and no failure."""
    runs, (excluded,) = read(tmp_path, content)
    assert not runs
    assert says in excluded.reason


def test_a_damaged_archive_is_left_out(tmp_path: Path) -> None:
    """What is called gzip and is not, or ends early, is a reason."""
    for content in (b"not gzip", gzip.compress(text_of(OPEN_LOOP).encode())[:30]):
        assert "cannot be read as CSV" in read(tmp_path, content, "runs.csv.gz")[1][0].reason


def test_a_table_of_which_no_row_is_used_is_refused(tmp_path: Path) -> None:
    """Where no row can be compared the end is exit code 2 with the reason of each row, and no empty table."""
    (tmp_path / "rows.csv").write_text(text_of(*[{**OPEN_LOOP, "model": "no-such-model"}] * 30))
    done = CliRunner().invoke(build(), ["accuracy", "--data", str(tmp_path / "rows.csv"), "--json", "--quiet"])
    assert (done.exit_code, done.stdout) == (ExitCode.BAD_INPUT, "")
    assert "rows.csv: found no row that can be compared" in done.stderr
    assert "rows.csv:2: " in done.stderr
    assert "and 10 more rows" in done.stderr


def test_foreign_files_of_a_directory_are_listed(tmp_path: Path) -> None:
    """In a directory only tables and result files are read; the others are named among what is left out."""
    (tmp_path / "notes.md").write_text("# notes")
    (tmp_path / "deeper").mkdir()
    runs, excluded = (read(tmp_path, text_of(CLOSED_LOOP)), read_runs(tmp_path, MODELS))[1]
    assert len(runs) == 1
    assert [e.row for e in excluded] == ["notes.md"]


def test_refusals_name_the_option(tmp_path: Path) -> None:
    """What cannot be found is bad input under the name of the option that asked for it."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput, match=r"--measurements .*no such table or result file"):
            read_runs(path, MODELS, option="--measurements")


CELLS = st.one_of(
    st.sampled_from(["", "0", "-1", "1e-308", "1e400", "nan", "inf", "3.7", "yes", "1,024", "99999999", "None", "é"]),
    st.text(max_size=6),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.sampled_from(KINDS), data=st.data())
def test_no_cell_makes_reading_fail(tmp_path: Path, row: Mapping[str, str], data: st.DataObject) -> None:
    """Whatever stands in whichever cells, a row is read or left out with a reason."""
    spoiled = dict(row)
    for column in data.draw(st.lists(st.sampled_from(sorted(row)), min_size=1, max_size=4)):
        spoiled[column] = data.draw(CELLS)
    runs, excluded = read(tmp_path, text_of(spoiled))
    assert len(runs) + len(excluded) >= 1
    assert all(e.reason for e in excluded)
    assert all(value >= 1e-12 for run in runs for value in run.figures.values())


def test_unknown_names_are_counted_not_guessed(tmp_path: Path) -> None:
    """Models, GPUs, engines and formats that the catalog does not know are reasons, row by row."""
    strange = [
        {**CLOSED_LOOP, column: value}
        for column, value in (("model_path", "a/B"), ("system", "tpu"), ("backend", "mlc"), ("precision", "int3"))
    ]
    (tmp_path / "runs.csv").write_text(text_of(*strange))
    found = accuracy(tmp_path, progress=lambda _words, _done_frac: None)
    assert not found.groups
    assert [e.row for e in found.excluded] == ["runs.csv:2", "runs.csv:3", "runs.csv:5", "runs.csv:4"]
