"""Simulated requests as a file."""

import csv
import resource
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.files import records
from planner.files.records import COLUMNS, expect_records, record_file
from planner.simulator.judge import judge
from planner.simulator.pools import Events, Failure, Run
from planner.simulator.traffic import Judging, Traffic
from tests.planner.toy import random_trace, toy_policy, toy_pools
from workloads.requests import RequestClass
from workloads.slo import Metric, Slo
from workloads.traces import Trace, classify

SUFFIXES = (".csv", ".parquet")
NEEDS_PYARROW = pytest.mark.skipif(find_spec("pyarrow") is None, reason="the extra `parquet` is not installed")
CLASSES = (RequestClass(name="short", prompt_max_tokens=200), RequestClass(name="long", prompt_min_tokens=201))
SLO = Slo(metric=Metric.E2E, percentile=90.0, limit=1e3)


def trace_of(seed: int) -> Trace:
    """Two classes, some prompts cached in part, one that no memory holds."""
    trace = classify(random_trace(seed, 120, 20.0), CLASSES)
    trace.prompt_tokens[7], trace.class_index[7] = 1_000_000, 1
    return replace(trace, cached_tokens=trace.prompt_tokens // 3)


def simulated(path: Path, failures: Sequence[Failure] = ()) -> tuple[list[tuple[int, Trace, Run]], dict[str, float]]:
    """What was simulated of two seeds, their records being written, and the percentiles that are told of it."""
    seen: list[tuple[int, Trace, Run]] = []
    pools = [replace(p, classes=frozenset({0, 1})) for p in toy_pools("splitwise")]
    with record_file(path) as note:
        assert note is not None

        def both(seed: int, trace: Trace, run: Run) -> None:
            seen.append((seed, trace, run))
            note(seed, trace, run)

        said = judge(
            pools,
            toy_policy("splitwise"),
            Traffic(draw=trace_of, seeds=(3, 4), workload="toy", exact=True),
            [SLO],
            Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95),
            events=Events(failures=failures),
            note=both,
        )
    return seen, dict(said.latency_s)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; None where nothing is told."""
    if path.suffix == ".parquet":
        from pyarrow import parquet

        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return rows
    with path.open(newline="", encoding="utf-8") as text:
        return [{name: _value(word) for name, word in row.items()} for row in csv.DictReader(text)]


def _value(word: str) -> object:
    """What a word of a CSV file stands for."""
    if word in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[word]
    try:
        return float(word)
    except ValueError:
        return word


@pytest.mark.parametrize("suffix", [".csv", pytest.param(".parquet", marks=NEEDS_PYARROW)])
def test_every_request_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Rows tell every request of every seed in order, as it was simulated, whatever the size of the blocks."""
    monkeypatch.setattr(records, "BLOCK_ROWS", 50)
    path = tmp_path / f"requests{suffix}"
    seen, told = simulated(path)
    rows = rows_of(path)
    assert list(rows[0]) == list(COLUMNS)
    assert [(r["seed"], r["request"]) for r in rows] == [(s, n) for s, trace, _ in seen for n in range(len(trace))]
    for row, (trace, books, n) in zip(rows, ((t, r.ledger, n) for _, t, r in seen for n in range(len(t))), strict=True):
        assert row["arrival_s"] == trace.arrival_s[n]
        assert row["class"] == trace.classes[trace.class_index[n]].name
        assert (row["prompt_tokens"], row["output_tokens"]) == (trace.prompt_tokens[n], trace.output_tokens[n])
        assert trace.cached_tokens is not None
        assert row["cached_tokens"] == trace.cached_tokens[n]
        if n == 7:
            assert {row[name] for name in ("ttft_s", "e2e_s", "max_gap_s", "prompt_instance")} == {None}
        else:
            assert (row["ttft_s"], row["e2e_s"], row["max_gap_s"]) == (
                books.ttft_s[n], books.e2e_s[n], books.max_gap_s[n],
            )  # fmt: skip
            assert row["prompt_instance"] in ("prefill/toy/tp1#0", "prefill/toy/tp1#1")
            decoded = ("decode/toy/tp1#0", "decode/toy/tp1#1") if row["output_tokens"] > 1 else (None,)
            assert row["decode_instance"] in decoded
    ended = [r["e2e_s"] for r in rows if r["measured"] and r["e2e_s"] is not None]
    assert told["e2e_p50_s"] == pytest.approx(np.quantile(ended, 0.5), rel=0.05)


@NEEDS_PYARROW
def test_both_kinds_of_file_tell_the_same(tmp_path: Path) -> None:
    """CSV and Parquet hold the same values, those that are not told included; failures leave their rows too."""
    failures = (Failure(machine=0, at_s=1.0, repair_s=1.0),)
    for suffix in SUFFIXES:
        simulated(tmp_path / f"requests{suffix}", failures)
    one, other = (rows_of(tmp_path / f"requests{suffix}") for suffix in SUFFIXES)
    assert one == other


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    """Where a simulation fails, neither the file nor a part of it stays behind."""
    with pytest.raises(ZeroDivisionError), record_file(tmp_path / "requests.csv"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".csv", pytest.param(".parquet", marks=NEEDS_PYARROW)])
def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    """Records that do not fit are told by their option's name; an old file, and one beside it, are as they were."""
    path, beside = tmp_path / f"all{suffix}", tmp_path / f"all{suffix}.partial"
    simulated(path)
    path.write_text("old")
    beside.write_text("beside")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(BadInput, match=r"--records .*: cannot be written: .*; nothing was written"):
            simulated(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {path.name: "old", beside.name: "beside"}


def test_what_cannot_be_written_is_said_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another suffix is bad input, and so is Parquet without its library, which names the extra."""
    asked = ["simulate", str(tmp_path / "plan.json"), "--records", str(tmp_path / "x.xlsx")]
    ended = CliRunner().invoke(build(), asked)
    assert ended.exit_code == ExitCode.BAD_INPUT
    assert "--records" in ended.stderr
    with pytest.raises(BadInput, match=r"found '\.xlsx'; expected a name that ends in \.csv or \.parquet"):
        expect_records(tmp_path / "x.xlsx")
    monkeypatch.setattr("planner.files.records.find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"expected the extra `parquet`"):
        expect_records(tmp_path / "x.parquet")
    expect_records(tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_rows_are_those_of_the_run_that_was_weighed() -> None:
    """A run that was given up early and then served to its end is told once, as it ended."""

    def long_lived(seed: int) -> Trace:
        drawn = random_trace(seed, 40, 20.0)
        drawn.output_tokens[::4] = 6_000
        return drawn

    seen: list[tuple[int, Trace, Run]] = []
    said = judge(
        toy_pools("splitwise", decodes=4), toy_policy("splitwise"),
        Traffic(draw=long_lived, seeds=(3, 4), workload="toy", exact=True),
        [Slo(metric=Metric.E2E, percentile=50.0, limit=10.0)],
        Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95), note=lambda *each: seen.append(each),
    )  # fmt: skip
    assert [seed for seed, _, _ in seen] == [3, 4]
    assert sum(int(np.isfinite(run.ledger.e2e_s).sum()) for _, _, run in seen) == said.finished == said.arrived
