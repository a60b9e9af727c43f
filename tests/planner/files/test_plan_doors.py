"""Plan files edited by hand: refused where they are nonsense, unvalidated where they are not."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.files.plan_file import EDITED, plan_text, read_plan
from tests.planner import plans

Edit = Callable[[dict[str, Any]], object]


def text() -> str:
    return plan_text(plans.scenario(), plans.plan(), plans.DIGESTS)


def edited(path: Path, edit: Edit) -> Path:
    data = json.loads(text())
    edit(data)
    path.write_text(json.dumps(data))
    return path


def pool(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["plan"]["candidate"]["pools"][0]
    return found


def test_a_plan_as_written_is_not_edited(tmp_path: Path) -> None:
    """The digest is of what the file says, not of how its lines are laid out."""
    file = tmp_path / "plan.json"
    file.write_text(text())
    assert not read_plan(file).edited
    file.write_text(json.dumps(json.loads(text()), separators=(",", ":")))
    assert not read_plan(file).edited


NONSENSE: dict[str, Edit] = {
    "plan.candidate.pools.0.load_frac: found -3": lambda d: pool(d).update(load_frac=-3.0),
    "plan.candidate.pools.0.kv_load_frac: found 40": lambda d: pool(d).update(kv_load_frac=40.0),
    "plan.candidate.pools.0.instances: found 0": lambda d: pool(d).update(instances=0),
    "plan.candidate.pools.0.instances: found True": lambda d: pool(d).update(instances=True),
    "plan.candidate.pools.0.load_frac: found '0.5'": lambda d: pool(d).update(load_frac="0.5"),
    "plan.candidate.totals.power_w: found -1": lambda d: d["plan"]["candidate"]["totals"].update(power_w=-1.0),
    "limit 0; expected a number above 0": lambda d: d["plan"]["judgement"]["evidence"][0].update(limit=0),
    "the number NaN": lambda d: pool(d).update(load_frac=float("nan")),
    "the number Infinity": lambda d: d["plan"]["candidate"]["totals"].update(power_w=float("inf")),
    "schema_version: found True": lambda d: d.update(schema_version=True),
    "plan.candidate.pools": lambda d: d["plan"]["candidate"].update(pools={}),
    "extra": lambda d: d.update(extra=1),
}


@pytest.mark.parametrize("words", NONSENSE)
def test_nonsense_in_a_plan_is_refused(tmp_path: Path, words: str) -> None:
    """Loads below zero, pools of nothing, words for numbers, NaN and infinities are refused with their key."""
    with pytest.raises(BadInput) as caught:
        read_plan(edited(tmp_path / "plan.json", NONSENSE[words]), edited_too=True)
    assert any(words in problem for problem in caught.value.problems), caught.value.problems


def test_all_nonsense_is_named_at_once(tmp_path: Path) -> None:
    """Two wrong numbers are two problems of one refusal."""
    with pytest.raises(BadInput) as caught:
        read_plan(edited(tmp_path / "plan.json", lambda d: pool(d).update(load_frac=-3, kv_load_frac=-1, x=1)))
    assert len(caught.value.problems) >= 3


def test_a_plausible_edit_leaves_a_plan_unvalidated(tmp_path: Path) -> None:
    """A number that could be true, but is not what was simulated: shown as unvalidated, and exported by nobody."""
    file = edited(tmp_path / "plan.json", lambda d: pool(d).update(load_frac=0.123))
    assert read_plan(file, edited_too=True).edited
    with pytest.raises(BadInput, match="edited since it was simulated"):
        read_plan(file)
    assert "edited since it was simulated" in EDITED


def test_a_plan_without_a_digest_counts_as_edited(tmp_path: Path) -> None:
    """Taking the digest away does not make an edit unseen."""
    file = edited(tmp_path / "plan.json", lambda d: d.pop("content_sha256"))
    assert read_plan(file, edited_too=True).edited


def leaves(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path] if not isinstance(data, dict | list) else [p for k, v in items for p in leaves(v, (*path, k))]


@given(choice=st.integers(0, 10**6), value=st.sampled_from([-1, 0, 1e9, True, None, "x", [], {}, 2.5]))
def test_no_edit_passes_as_validated_or_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, choice: int, value: object
) -> None:
    """Whatever value is changed to whatever else, the file is refused or known to be edited."""
    data = json.loads(text())
    paths = leaves(data)
    *path, last = paths[choice % len(paths)]
    inner: Any = data
    for step in path:
        inner = inner[step]
    same = type(inner[last]) is type(value) and inner[last] == value
    inner[last] = value
    file = tmp_path_factory.mktemp("edit") / "plan.json"
    file.write_text(json.dumps(data))
    with suppress(BadInput):
        assert read_plan(file, edited_too=True).edited or same
