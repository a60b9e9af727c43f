"""A rule of long work: what ends its workers is named, and costs nothing else."""

from pathlib import Path

import pytest

from planner.compare.journal import Journal
from planner.compare.outcome import silent
from planner.compare.runner import Task, perform
from planner.errors import BadInput
from planner.executor import executor
from tests.planner.executor.work import deadly


def test_what_ends_its_workers_costs_nothing_else(tmp_path: Path) -> None:
    """A task that takes its workers with it is named, and all others are in the journal."""
    tasks = [Task(digest=str(k), name=f"point {k}", act=deadly, arguments=(k,)) for k in range(5)]
    with Journal() as journal, executor(workers=2) as crew:
        with pytest.raises(BadInput, match="point 3: ended 2 workers that worked on it"):
            perform(tasks, journal=journal, executor=crew, progress=silent, common=(tmp_path, 3, 99))
        assert sorted(journal.elapsed_s) == ["0", "1", "2", "4"]
