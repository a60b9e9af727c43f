"""``python -m tests.soak.reliability --seconds N``: docs/reliability.md from one run; the last line is JSON.

A soak of so many seconds, faults and a sweep on a Dask cluster, one after the other, and the page of what they said.
Failures are on it, each with the seed that draws it again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
_SHOWN = 40
"""Failures that the page lists; it counts all of them."""
KINDS = ("doors", "readers", "senses", "engines", "solvers")
"""Parts of a soak of which everything must have been tried for the page to be written."""

HEAD = """\
# Reliability

What was tried, how often, and what failed. `make reliability SECONDS={seconds:.0f}` writes this page anew; every
failure is told with the seed that draws it again. Seeds here start at {seed} (soak) and {fault_seed} (faults).
"""
AUDIT = """\
## Second audit

Fuzzers sharing no code with the soak, into every verb: traces 5,117 cases, words 933, plan files of every kind 668,
journals 248, result files 196, disks full, read-only or no place for a file 79. Found and fixed: unknown policies,
digits without end, records on a full disk (bugs), data of which no row is used (an empty answer). By meaning,
before: 34,595.
"""


def said(*words: str) -> dict[str, Any]:
    """What a command says in its last line, as JSON, whatever its exit code; a command without one ends the run."""
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])
    except ValueError:
        sys.exit(f"reliability: {' '.join(words)} ended with {done.returncode} and no line of JSON")
    return found


def untried(soak: Mapping[str, Any]) -> list[str]:
    """What of a soak had no case, so that its 0 failures would say nothing; of laws, whether there was any."""
    each = [f"{kind}: {name}" for kind in KINDS for name, of in soak[kind].items() if not of["cases"]]
    return each if any(of["cases"] for of in soak["laws"].values()) else ["laws", *each]


def failed(every: Iterable[Mapping[str, Any]], count: int) -> str:
    """Failures of the soak, with what draws them again."""
    if not count:
        return ""
    rows = [(each["of"].rpartition("::")[2], each["seed"], _cell(each["what"])) for each in every]
    return (
        f"## Failures\n\n{count} in all.\n\n" + table(("of", "seed", "what happened"), rows[:_SHOWN])
    )  # fmt: skip


def _cell(words: str) -> str:
    """The last line of a text, short, as a cell of a table."""
    lines = [line for line in words.splitlines() if line.strip()] or [""]
    return lines[-1].strip().replace("|", "/").replace("`", "'")[:120]


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; numbers stand to the right."""
    heads = list(heads)
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    written = ((f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) for row in rows)
    lines += ["| " + " | ".join(row) + " |" for row in written]
    return "\n".join(lines) + "\n"


def doors(found: Mapping[str, Any], readers: Mapping[str, Any]) -> str:
    """Doors, with how their cases ended: with a command around the reader, and without."""
    rows = [
        (name, of["cases"], readers[name]["cases"], of["failures"] + readers[name]["failures"])
        for name, of in found.items()
    ]
    refused = sum(of["ends"].get("2", 0) + readers[name]["ends"].get("refused", 0) for name, of in found.items())
    total = ("all", *(sum(row[k] for row in rows) for k in range(1, 4)))
    return (
        "## Doors\n\nWrong files and words: bytes, words, structure. A failure is a bug, a hang, text where it is "
        f"refused, or JSON that is none. {refused:,} were refused.\n\n"
        + table(("door", "by command", "by reader", "failures"), [*rows, total])
    )


def senses(found: Mapping[str, Any]) -> str:
    """Files with values that mean nothing: their names in a sentence, a table of those that failed."""
    return (
        "## Values that mean nothing\n\nOne to three in a right file, or keys that no reader knows. A failure is a "
        f"file that is taken, or one of them that is not told. {sum(of['cases'] for of in found.values()):,} cases, "
        f"{sum(of['failures'] for of in found.values())} failures: {', '.join(found)}.\n"
        + _those("file", "failures", {name: (of["cases"], of["failures"]) for name, of in found.items()})
    )


def _those(head: str, ill: str, counts: Mapping[str, tuple[int, int]]) -> str:
    """A table of what had a failure or lost something, with how often it was tried; nothing where all was well."""
    rows = [(name, *each) for name, each in counts.items() if each[1]]
    return "\n" + table((head, "cases", ill), rows) if rows else ""


def laws(found: Mapping[str, Any], engines: Mapping[str, Any]) -> str:
    """Laws, in sums, and those of the engines each."""
    some = [of for of in found.values() if of["cases"]]
    cases, failures = sum(of["cases"] for of in some), sum(of["failures"] for of in found.values())
    rows = [(name.rpartition("::")[2].removeprefix("test_").replace("_", " "), of["cases"], of["failures"])
            for name, of in engines.items()]  # fmt: skip
    return (
        f"## Laws\n\n{len(some)} laws on {cases:,} random cases: {failures} failures. Two engines on the same random "
        "clusters:\n\n" + table(("law", "cases", "failures"), rows)
    )


def solvers(found: Mapping[str, Any]) -> str:
    """Solvers against what is so."""
    rows = [(name, of["cases"], *(of["ends"].get(end, 0) for end in ("agrees", "no answer", "wrong")))
            for name, of in found.items()]  # fmt: skip
    return (
        "## Solvers\n\nInteger programs in unsuitable units (rows by 1e-6 to 1e6, columns by 1e-4 to 1e4), against "
        "exact rational arithmetic.\n\n" + table(("solver", "programs", "agrees", "no answer", "wrong"), rows)
    )


def faults(found: Mapping[str, Any]) -> str:
    """Faults and what they cost: their names in a sentence, a table of those that lost something."""
    done = {name: (of["injected"], of["lost"]) for name, of in found["faults"].items() if of["injected"]}
    skipped = [f"{name} ({of['skipped']})" for name, of in found["faults"].items() if "skipped" in of]
    return (
        "## Faults\n\nInto processes that run. Lost is an answer with other bytes, a finished point that is planned "
        f"again, or a file that is neither old nor whole. {found['injected']} injected, {found['lost']} lost: "
        f"{', '.join(done)}.\n"
        + _those("fault", "lost", done)
        + (f"\nNot tried here: {', '.join(skipped)}.\n" if skipped else "")
    )


def cluster(found: Mapping[str, Any]) -> str:
    """A sweep on Dask."""
    rows = [(name, run["points"], f"{run['wall_s']:.1f}", f"`{run['sha256']}`") for name, run in found["runs"].items()]
    return (
        f"## Dask\n\nOne sweep five times; load of the machine {found['load']:.0f}, two workers against one "
        f"{found['speedup']:.2f} times as fast.\n\n" + table(("run", "points", "wall s", "answer"), rows)
    )


def main() -> int:
    """Run everything, write the page, and end with one line of JSON; 1 where something failed or was lost."""
    asked = argparse.ArgumentParser(prog="python -m tests.soak.reliability")
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--rounds", type=int, default=2, help="times that each fault is injected")
    asked.add_argument("--points", type=int, default=12, help="of the sweep on a cluster")
    given = asked.parse_args()
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "failures.jsonl"
        soak = said("-m", "tests.soak", "--seconds", str(given.seconds), "--out", str(out))
        every = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    if missing := untried(soak):
        sys.exit(f"reliability: no case of {', '.join(missing)}; expected more --seconds; the page is as it was")
    injected = said("-m", "tests.soak.faults", "--rounds", str(given.rounds))
    dask = said("benchmarks/cluster.py", "--points", str(given.points))
    head = HEAD.format(seconds=soak["seconds"], seed=soak["first_seed"], fault_seed=injected["first_seed"])
    tried = (
        doors(soak["doors"], soak["readers"]),
        senses(soak["senses"]),
        laws(soak["laws"], soak["engines"]),
        solvers(soak["solvers"]),
    )
    parts = head, failed(every, soak["failures"]), *tried, faults(injected), cluster(dask), AUDIT
    PAGE.write_text("\n".join(filter(None, parts)))
    last = {
        **{key: soak[key] for key in ("seconds", "first_seed", "cases", "failures")},
        **{key: injected[key] for key in ("injected", "lost")},
        **{key: dask[key] for key in ("same", "speedup", "load")}, "wall_s": round(time.monotonic() - start_s),
    }  # fmt: skip
    sys.stdout.write(json.dumps(last) + "\n")
    return 1 if soak["failures"] or injected["lost"] or not dask["same"] else 0


if __name__ == "__main__":
    sys.exit(main())
