"""Laws on inputs drawn anew: as many cases of each as its time allows, counted.

What a seed draws depends on how many cases are asked for at once, so a failure is told with both:
``python -m tests.soak.laws FILE::LAW SEED CASES`` draws it again.
"""

import contextlib
import io
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, core, settings

from tests.soak.tally import Failure, Tally, patience

ROOT = Path(__file__).parents[2]
ENGINES = ("tests/laws/test_witness.py", "tests/laws/test_two_engines.py", "tests/planner/simulator/test_clusters.py")
"""Where two engines serve the same random cluster."""


FEW = 3
"""Cases in the first round of a law."""


def files() -> dict[str, int]:
    """Files with laws, by path below the root -> how many laws."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        laws = len(re.findall(r"^@given\(", path.read_text(), re.MULTILINE))
        if laws:
            found[str(path.relative_to(ROOT))] = laws
    return found


class _Counter:
    """A plugin of pytest that runs every law again and again for its time, on other seeds, and counts the cases."""

    def __init__(self, *, seconds: float, cases: int, seed: int, slow: bool, first: int) -> None:
        """So much time for all laws, and so many cases of each at most; slow laws only where they are asked for."""
        self.end_s, self.cases, self.seed, self.slow = time.monotonic() + seconds, cases, seed, slow
        self.first, self.drawn = first, (seed, first)
        self.tallies: dict[str, Tally] = {}
        self._law, self._left = "", 0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep laws, each with a counter inside."""
        kept = [item for item in items if hasattr(getattr(item, "obj", None), "hypothesis")]
        items[:] = [item for item in kept if self.slow or not item.get_closest_marker("slow")]
        self._left = len(items)
        for test in {item.obj for item in items}:  # type: ignore[attr-defined]  parameters share a function
            test.hypothesis.inner_test = self._counted(test.hypothesis.inner_test)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Run a law a few cases at a time: Hypothesis itself knows no limit of time."""
        self._law, law = pyfuncitem.nodeid, pyfuncitem.obj
        tally = self.tallies[self._law] = Tally()
        given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        start_s, seed = time.monotonic(), self.seed
        law_s, self._left = (self.end_s - start_s) / self._left, self._left - 1
        few = self.first if law_s > 0 else 0
        while few and tally.ends.total() < self.cases:
            law._hypothesis_internal_use_settings = settings(
                law._hypothesis_internal_use_settings, max_examples=few, derandomize=False, database=None,
                phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            core.global_force_seed, self.drawn = seed, (seed, few)
            law(**given)
            took_s = time.monotonic() - start_s
            each_s = took_s / max(1, tally.ends.total())
            few, seed = min(10 * few, self.cases - tally.ends.total(), int((law_s - took_s) / each_s)), seed + 1
            few = max(0, few)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What became of a law."""
        if report.failed:
            seed, few = self.drawn
            command = f"python -m tests.soak.laws '{report.nodeid}' {seed} {few}"
            failure = Failure(of=report.nodeid, seed=seed, command=command, what=report.longreprtext[-3000:], data="")
            self.tallies.setdefault(report.nodeid, Tally()).failures.append(failure)

    def _counted(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(inner)
        def counted(*args: object, **named: object) -> object:
            with patience():
                done = inner(*args, **named)
            self.tallies[self._law].ends[0] += 1
            return done

        return counted


def tried(
    file: str, *, seconds: float, cases: int, seed: int, slow: bool = False, first: int = FEW
) -> dict[str, Tally]:  # fmt: skip
    """Every law of a file, its cases drawn from a seed: law -> what became of it.

    Loading the file counts; each law has an equal share of the time that is left, and none is started after it.

    Args:
        file: below the root; with ``::`` and a name for one law.
        seconds: for all of them.
        cases: of each, at most.
        seed: of the first round of each law; the next rounds have the next ones.
        slow: with the laws that are marked slow.
        first: cases in the first round.
    """
    counter = _Counter(seconds=seconds, cases=cases, seed=seed, slow=slow, first=first)
    words = [str(ROOT / file), "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", f"--rootdir={ROOT}"]
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # loaded by the piece before
    with _silent() as said:
        ended = pytest.main(words, plugins=[counter])
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        failure = Failure(of=file, seed=seed, command=" ".join(words), what=said.getvalue()[-3000:], data="")
        counter.tallies[file] = Tally(failures=[failure])
    return counter.tallies


@contextlib.contextmanager
def _silent() -> Iterator[io.StringIO]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        yield out


def order(seed: int) -> list[tuple[str, int]]:
    """Files with laws and how many, in an order of the seed's: a short soak tries others each time."""
    found = [each for each in files().items() if each[0] not in ENGINES]
    random.Random(seed).shuffle(found)
    return found


def main() -> int:
    """One law with a seed and so many cases at once, as a soak told a failure: what is wrong, and 1; else 0."""
    law, seed, cases = sys.argv[1:]
    found = tried(law, seconds=3600.0, cases=int(cases), seed=int(seed), slow=True, first=int(cases))
    failures = [each for tally in found.values() for each in tally.failures]
    sys.stdout.writelines(f"{each.what}\n" for each in failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
