"""A few cases of every door, always the same; ``make soak`` tries others for as long as it is given."""

from pathlib import Path

import pytest

from tests.soak.soak import Door, attempt, doors, right
from tests.soak.tally import Tally, patience

CASES = 4


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Door, ...]]:
    folder = tmp_path_factory.mktemp("soak")
    return folder, doors(folder)


def test_right_input_is_read(tried: tuple[Path, tuple[Door, ...]]) -> None:
    """Every command of every door takes the right input: what is refused afterwards is refused for what was spoilt."""
    folder, every = tried
    ends = {(door.name, command): end for door in every for command, end in right(door, folder)}
    unread = {key for key, (code, _) in ends.items() if code}
    assert {name for name, _ in unread} <= {"config"}, {key: ends[key] for key in unread}


def test_wrong_input_is_refused(tried: tuple[Path, tuple[Door, ...]]) -> None:
    """No wrong input of any door ends as a bug, hangs, writes to stdout where it is refused, or prints broken JSON."""
    folder, every = tried
    failures = []
    for door in every:
        tally = Tally()
        for seed in range(CASES):
            with patience():
                attempt(door, seed, folder, tally)
        failures += tally.failures
        assert tally.ends.total() == CASES
    assert not failures
