"""Rules of what is said of a path that leads nowhere."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import WorkloadError
from workloads.models import load_model
from workloads.near_files import meant_instead

NAMES = ("config.json", "my-moe", "params-of-mine.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files and a directory that may hold a configuration, and one that may not."""
    made = tmp_path_factory.mktemp("models")
    (made / "my-moe").mkdir()
    for name in ("config.json", "my-moe/config.json", "params-of-mine.json", "config.yaml"):
        (made / name).write_text("{}")
    return made


@given(name=st.sampled_from(NAMES), at=st.integers(0, 40), way=st.sampled_from(["drop", "double", "swap", "upper"]))
def test_one_slip_in_a_path_is_answered_with_the_file(folder: Path, name: str, at: int, way: str) -> None:
    """A letter left out, doubled, swapped with the next or written large: the file that is there is named.

    What is no configuration is not offered, however alike.
    """
    place = at % len(Path(name).stem)
    wrong = {
        "drop": name[:place] + name[place + 1 :], "double": name[: place + 1] + name[place:],
        "swap": name[:place] + name[place : place + 2][::-1] + name[place + 2 :],
        "upper": name[:place] + name[place].upper() + name[place + 1 :],
    }[way]  # fmt: skip
    if wrong == name or (folder / wrong).exists():
        return
    with pytest.raises(WorkloadError) as told:
        load_model(folder / wrong)
    assert f"did you mean '{folder / name}'" in str(told.value)
    assert "yaml" not in str(told.value)


def test_where_no_file_is_alike_those_there_are_told(folder: Path) -> None:
    """Far from every name: what the folder holds, that it holds none, or that there is no such folder."""
    assert meant_instead(folder / "zzzz", Path.is_dir) == f"there are '{folder / 'my-moe'}'"
    assert meant_instead(folder / "zzzz", lambda _: False) == f"there is none in '{folder}'"
    assert meant_instead(folder / "no" / "x.json", Path.is_file) == f"there is no folder '{folder / 'no'}'"


def test_names_of_models_are_not_taken_for_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is nearly a known model's, or a hub's, is answered with known models."""
    monkeypatch.chdir(folder)
    for name in ("llama-3-1-70b", "meta-llama/Llama-3.1-70B-Instruct"):
        with pytest.raises(WorkloadError, match=r"did you mean 'llama-3\.1-70b'"):
            load_model(name)
    with pytest.raises(WorkloadError, match="did you mean 'my-moe'"):
        load_model("mymoe")
