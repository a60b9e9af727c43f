"""``python -m tests.soak.reliability SOAK FAULTS CLUSTER``: docs/reliability.md, from last lines of three commands."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
HEAD = """\
# Reliability

What was tried, how often, and what failed. `make reliability SECONDS={seconds:.0f}` writes this page anew; every
failure is told with the seed that draws it again. Seeds here start at {seed} (soak) and {fault_seed} (faults).
"""


def last(path: Path) -> dict[str, Any]:
    """The last line of a file, as JSON."""
    found: dict[str, Any] = json.loads(path.read_text().rstrip("\n").rpartition("\n")[2])
    return found


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; numbers stand to the right."""
    heads = list(heads)
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    written = ((f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) for row in rows)
    lines += ["| " + " | ".join(row) + " |" for row in written]
    return "\n".join(lines) + "\n"


def doors(found: Mapping[str, Any]) -> str:
    """Doors, with how their cases ended."""
    rows = [
        (name, of["cases"], of["ends"].get("2", 0), of["cases"] - of["ends"].get("2", 0), of["failures"])
        for name, of in found.items()
    ]
    total = ("all", *(sum(row[k] for row in rows) for k in range(1, 5)))
    return (
        "## Doors\n\nWrong files and words: bytes, words, structure. A failure is a bug, a hang, text where it is "
        "refused, or JSON that is none.\n\n" + table(("door", "cases", "refused", "read", "failures"), [*rows, total])
    )


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
        "exhaustive search in suitable ones.\n\n" + table(("solver", "programs", "agrees", "no answer", "wrong"), rows)
    )


def faults(found: Mapping[str, Any]) -> str:
    """Faults and what they cost."""
    rows = [(name, of["injected"], of["lost"]) for name, of in found["faults"].items()]
    skipped = [f"{name} ({of['skipped']})" for name, of in found["faults"].items() if "skipped" in of]
    return (
        "## Faults\n\nInto processes that run. Lost is an answer with other bytes, a finished point that is planned "
        "again, or a file that is neither old nor whole.\n\n"
        + table(("fault", "injected", "lost"), [*rows, ("all", found["injected"], found["lost"])])
        + (f"\nNot tried here: {', '.join(skipped)}.\n" if skipped else "")
    )


def cluster(found: Mapping[str, Any]) -> str:
    """A sweep on Dask."""
    rows = [(name, run["points"], f"{run['wall_s']:.1f}", f"`{run['sha256']}`") for name, run in found["runs"].items()]
    return (
        f"## Dask\n\nOne sweep five times; load of the machine {found['load']:.0f}, two workers against one "
        f"{found['speedup']:.2f} times as fast.\n\n" + table(("run", "points", "wall s", "answer"), rows)
    )


def main() -> None:
    """Write the page."""
    soak, injected, dask = (last(Path(name)) for name in sys.argv[1:4])
    head = HEAD.format(seconds=soak["seconds"], seed=soak["first_seed"], fault_seed=injected["first_seed"])
    tried = doors(soak["doors"]), laws(soak["laws"], soak["engines"]), solvers(soak["solvers"])
    parts = head, *tried, faults(injected), cluster(dask)
    PAGE.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
