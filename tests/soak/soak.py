"""Trying doors: every case is a command with one wrong file, and what became of it."""

import contextlib
import io
import json
import os
import random
import shlex
import tempfile
import time
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from planner.cli import build
from tests.soak.doors import VARY, Door, catalog_doors, more_traces, plan_doors, simple_doors, word_doors, write_right
from tests.soak.tally import Failure, HangError, Tally, patience

DOCUMENTED = (0, 2, 3, 4, 5)


def doors(folder: Path) -> tuple[Door, ...]:
    """Every door; the files that phasewise writes are made first, in the folder."""
    write_right(folder)
    right = folder / "right.yaml"
    week = "--set schedule.load=[1,2,3,2,1,1] --set workload.duration_s=60"
    run(f"plan {right} --out {folder}/plan.json --quiet")
    run(f"plan {right} --out {folder}/schedule.json --quiet {week}")
    run(f"{VARY.format(folder=folder)} --journal {folder}/made.jsonl")
    made = [(folder / name).read_bytes() for name in ("plan.json", "schedule.json", "made.jsonl")]
    found = (*simple_doors(), *more_traces(), *word_doors(), *catalog_doors(), *plan_doors(*made))
    for door in found:
        write_right(folder / door.name, made[0])
    return found


def run(command: str, *more: str) -> tuple[int, str, str]:
    """A command line in this process.

    Returns:
        Exit code, stdout, stderr; the traceback at the end of stderr where it ended as a bug.
    """
    out, err = io.StringIO(), io.StringIO()
    words = [*shlex.split(command), *more]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            ended = _command().main([*words, "--debug"], prog_name="phasewise", standalone_mode=False)
            code = ended if isinstance(ended, int) else 0
        except HangError:
            code, _ = 1, err.write("no answer in time")
        except Exception as error:  # whatever it is, it is the finding
            usage = getattr(error, "exit_code", None)
            code = usage if isinstance(usage, int) else 1
            err.write(str(error) if code != 1 else traceback.format_exc())
    return code, out.getvalue(), err.getvalue()


@cache
def _command() -> Any:
    """The command line, made once: that takes longer than reading most files."""
    return get_command(build())


def right(door: Door, folder: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    """Every command of a door on its right input: exit code and the end of stderr."""
    for command in door.commands:
        words, more = _written(door, door.right, command, folder / door.name)
        with _as_stdin(folder / door.name / door.file if door.file == "stdin" else None):
            code, _, err = run(words, *more)
        yield command, (code, err[-500:])


def _written(door: Door, data: bytes, command: str, folder: Path) -> tuple[str, tuple[str, ...]]:
    """The words of a command, and the one that is no file, with the file written."""
    path = folder / door.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    words = command.format(file=path, folder=folder, text="{text}", words="{words}")
    if words.endswith("{words}"):
        return words.removesuffix("{words}"), tuple(json.loads(data))
    text = (data.decode("utf-8", "replace"),) if words.endswith("{text}") else ()
    return words.removesuffix("{text}"), text


def attempt(door: Door, seed: int, folder: Path, tally: Tally) -> None:
    """One case of a door: spoil, write, run, judge."""
    draw = random.Random(seed)
    data = door.spoil(door.right, draw)
    command = draw.choice(door.commands)
    code, what = ended(door, data, command, folder / door.name)
    tally.ends[code] += 1
    if what:
        shown = data[:4000].decode("utf-8", "replace")
        tally.failures.append(Failure(of=door.name, seed=seed, command=command, what=what, data=shown))


def ended(door: Door, data: bytes, command: str, folder: Path) -> tuple[int, str]:
    """A command of a door on some input: its exit code, and what is wrong with how it ended; empty: nothing."""
    words, more = _written(door, data, command, folder)
    with _as_stdin(folder / door.file if door.file == "stdin" else None):
        code, out, err = run(words, *more)
    return code, _wrong(code, out, err, json_asked="--json" in words)


@contextlib.contextmanager
def _as_stdin(path: Path | None) -> Iterator[None]:
    """A file in place of this process's stdin."""
    if path is None:
        yield
        return
    before = os.dup(0)
    try:
        with path.open("rb") as file:
            os.dup2(file.fileno(), 0)
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


def _wrong(code: int, out: str, err: str, *, json_asked: bool) -> str:
    """What is wrong with the end of a command; empty where nothing is."""
    if code not in DOCUMENTED:
        return f"exit {code}: {err[-1500:]}"
    if code == 2 and (out or not err):
        return f"refused, with stdout {out[:200]!r} and stderr {err[:200]!r}"
    if code == 0 and json_asked:
        try:
            json.loads(out, parse_constant=_no_number)
        except ValueError as error:
            return f"stdout is no JSON: {error}"
    return ""


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def tried(door: Door, plan: bytes, first: int, seconds: float, most: int) -> Tally:
    """Cases of a door from a seed on, until the time is over; ``plan`` lies beside the file that is tried."""
    tally, end_s = Tally(), time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        write_right(Path(name) / door.name, plan)
        for seed in range(first, first + most):
            if time.monotonic() > end_s:
                break
            with patience():
                attempt(door, seed, Path(name), tally)
    return tally
