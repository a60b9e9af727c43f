"""A few cases of every subject, always the same; ``make soak`` tries others for as long as it is given."""

from pathlib import Path

import pytest

from tests.soak.senses import Subject, once
from tests.soak.subjects import subjects

CASES = 12
PLAN = Path(__file__).parents[1] / "golden" / "plan.json"


@pytest.mark.parametrize("subject", list(subjects(PLAN.read_bytes())), ids=lambda subject: subject.name)
def test_every_value_of_no_meaning_is_told(subject: Subject, tmp_path: Path) -> None:
    """Right files are read; of one to three values that mean nothing, or keys that no reader knows, each is told."""
    for document in subject.right[:1]:
        path = tmp_path / subject.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(subject.text(document), encoding="utf-8")
        subject.read(path)
    assert not [what for seed in range(CASES) if (what := once(subject, tmp_path, seed)[0])]


def test_a_reader_that_takes_anything_is_found(tmp_path: Path) -> None:
    """A file that is taken, and a problem that is not told, are failures."""
    one = next(each for each in subjects() if each.draw is None)
    lax = Subject(name="lax", file="x.yaml", right=one.right, text=one.text, read=lambda _: None)
    assert once(lax, tmp_path, 1)[0].endswith(": taken")
