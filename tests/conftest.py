"""What holds for every test."""

import gc
import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.executor import CORES, cores

# A rule is true however busy the machine is: no test may fail for having taken long.
# The same inputs every time, so that a change that passed does not fail later by chance; `make laws` draws new ones.
settings.register_profile("patient", deadline=None, derandomize=True)
settings.register_profile("wide", deadline=None, derandomize=False, max_examples=500)
settings.load_profile(os.environ.get("PHASEWISE_LAWS", "patient"))

# Of processes that test beside each other each has its share of the cores, and so have the commands that it starts:
# what one works out ahead would take time from the other. What several cores change is tested with ``on_cores``.
beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if beside > 1:
    os.environ[CORES] = str(max(1, cores() // beside))


@given(st.none())
def any_law(_: None) -> None:
    """Holds: with it Hypothesis has made all that lasts."""


def pytest_collection_finish() -> None:
    """Modules and collected tests last until the end: the collector looks through them once, not all the time."""
    any_law()  # Hypothesis asks the collector who holds its random numbers; Python 3.14 finds none of them later
    gc.collect()
    gc.freeze()


@pytest.fixture
def on_cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes this machine one of so many cores, whatever it is."""

    def so_many(count: int) -> None:
        monkeypatch.delenv(CORES, raising=False)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)

    return so_many
