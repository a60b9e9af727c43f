"""Rules of worlds drawn from what a scenario is not sure of."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.compare.worlds import worlds
from planner.errors import BadInput
from planner.report.regrets import least
from planner.report.sweeps import whatif_page
from planner.results.sweep import VALIDATED
from tests.planner.compare.test_whatif import asked, run
from tests.planner.small import small, write_small

UNSURE = ["uncertainty={workload.rate_scale: [0.5, 2.0], workload.prompt_scale: [1.0, 1.1]}"]


@given(st.integers(1, 12), st.integers(0, 99))
def test_worlds_fill_their_intervals(count: int, seed: int) -> None:
    """Every drawn value lies within its interval, one in each stratum, and the scenario as given comes first."""
    drawn, points = worlds(small().changed(UNSURE), count, seed=seed)
    assert [p.name for p in points] == ["as given", *(f"world {n + 1}" for n in range(count))]
    assert points[0].settings["workload.rate_scale"] == "1.0"
    for knob, (low, high) in zip(drawn, ((1.0, 1.1), (0.5, 2.0)), strict=True):
        shares = sorted((float(v) - low) / (high - low) * count for v in knob.values)
        assert all(n - 0.01 * count <= share <= n + 1 + 0.01 * count for n, share in enumerate(shares))


def test_worlds_are_weighed_against_the_scenario_as_given() -> None:
    """A sweep over worlds plans for each of them and for the scenario as given, and says what each would regret."""
    found = asked(small().changed(UNSURE[:1]), drawn_worlds=2)
    assert [p.name for p in found.points] == ["as given", "world 1", "world 2"]
    assert {r.bought for r in found.regret} == {p.name for p in found.points if p.outcome.verdict == VALIDATED}


def test_worlds_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text and page name the plan that is regretted least, each world with what was drawn, and a slider along them."""
    monkeypatch.chdir(tmp_path)
    done = run(
        "whatif",
        write_small(tmp_path),
        "--set",
        UNSURE[0],
        "--worlds",
        2,
        "--report",
        "w.html",
        "--quiet",
        "--sections",
        "plans",
    )
    assert done.exit_code == 0
    assert "least regret: " in done.stdout
    assert "least regret: " in (tmp_path / "w.html").read_text(encoding="utf-8")
    assert done.stdout.index("as given  1.0") < done.stdout.index("  2  ")


def test_least_regret_is_the_least_of_the_worst() -> None:
    """Of all plans the one whose worst regret is smallest is named; one that no addition saves in a world never is."""
    found = asked(small().changed(UNSURE[:1]), drawn_worlds=2)
    worst = dict[str, float]()
    for each in found.regret:
        assert each.regret is not None
        worst[each.bought] = max(each.regret, worst.get(each.bought, 0.0))
    best = least(found)
    assert best is not None
    assert best[1] == min(worst.values()) == worst[best[0]]
    lost = tuple(replace(r, regret=None) if r.bought == best[0] else r for r in found.regret)
    other = least(replace(found, regret=lost))
    assert other is None or other[0] != best[0]
    assert not found.is_grid
    assert f"({best[0]})" in whatif_page(found).headline


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "the scenario gives no uncertainty"),
        (["uncertainty={workload.rate: [1, 2]}"], "rate"),
        (["uncertainty={workload.rate_scale: [-1, 0]}"], "rate_scale"),
    ],
)
def test_worlds_of_what_is_not_there_are_bad_input(words: list[str], expected: str) -> None:
    """Without intervals, with unknown keys, or with values a key cannot take, no world is drawn."""
    with pytest.raises(BadInput, match=expected):
        worlds(small().changed(words), 3)


def test_an_interval_rises() -> None:
    """An interval whose high end is below its low end is refused with its key."""
    with pytest.raises(BadInput, match="high not below low"):
        small().changed(["uncertainty={workload.rate_scale: [2, 1]}"])
