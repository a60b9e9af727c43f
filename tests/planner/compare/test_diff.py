"""Rules of differences between plans, and of the migration from one to the other."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.cli import build
from planner.compare import diff_order
from planner.compare.diff import diff
from planner.compare.diff_changes import changes, most, notes, purchases
from planner.compare.diff_order import Check, Migration, Search
from planner.compare.outcome import silent
from planner.errors import ExitCode
from planner.files.plan_file import read_plan, write_plan
from planner.planning import plan as planning
from planner.report.differences import purchase_words
from planner.report.screen import LINES
from planner.results.difference import Diff, Move
from planner.results.evidence import ValidatedPlan
from planner.results.plan import CandidatePlan, Totals
from tests.planner import plans
from tests.planner.small import small

WATTS = {"a/x": 10.0, "b/x": 10.0, "c/y": 25.0}
PRICES = {"x": 2.5, "y": 4.0}
MACHINE_OF = {name: name[-1] for name in WATTS}
Standing = Mapping[str, int]


def totals(standing: Standing) -> Totals:
    watts = sum(n * WATTS[name] for name, n in standing.items())
    count = sum(standing.values())
    return Totals(cost_usd_per_h=1.0 * count, power_w=watts, rack_units=0.0, machines=count, gpus=count)


def serving(least: int) -> Callable[[Standing], Check]:
    """A cluster serves as long as it has enough machines, a ``c/y`` counting twice."""

    def check(standing: Standing) -> Check:
        strength = sum(n * (2 if name == "c/y" else 1) for name, n in standing.items())
        return Check(fails=() if strength >= least else ("too small",), evidence=(), totals=totals(standing))

    return check


def migration(start: Standing, goal: Standing, *, least: int, limit_w: float | None) -> Migration:
    search = Search(serving(least), goal=goal, machine_of=MACHINE_OF, power_limit_w=limit_w, checked_by="envelope")
    return search.migration(start)


def walk(start: Standing, found: Migration) -> list[dict[str, int]]:
    """What stands after every move."""
    standing, seen = dict(start), []
    for move in found.moves:
        if move.source:
            standing[move.source] -= move.machines
        change = -move.machines if move.sign == "-" else move.machines
        standing[move.pool] = standing.get(move.pool, 0) + change
        standing = {name: n for name, n in standing.items() if n}
        seen.append(dict(standing))
    return seen


def of_types(standing: Standing) -> Counter[str]:
    """Machines by type."""
    return sum((Counter({MACHINE_OF[name]: n}) for name, n in standing.items()), Counter())


def reachable(start: Standing, goal: Standing, *, least: int, limit_w: float, rent: bool = True) -> bool:
    """Whether any order of single machines is safe, without more of a type than ever needed but to rent: all tried."""
    check, kept = serving(least), of_types(start) | of_types(goal)

    def safe(standing: Standing) -> bool:
        return (
            not check(standing).fails and totals(standing).power_w <= limit_w and (rent or of_types(standing) <= kept)
        )

    key = tuple(start.get(n, 0) for n in WATTS)
    end = tuple(goal.get(n, 0) for n in WATTS)
    if not safe(start):
        return False
    todo, seen = [key], {key}
    while todo:
        at = todo.pop()
        if at == end:
            return True
        for i, name in enumerate(WATTS):
            if at[i] == end[i]:
                continue
            step = 1 if at[i] < end[i] else -1
            nexts = [(*at[:i], at[i] + step, *at[i + 1 :])]
            if step < 0:
                for j, other in enumerate(WATTS):
                    if (
                        MACHINE_OF[other] == MACHINE_OF[name]
                        and at[j] < end[j]
                        and safe(dict(zip(WATTS, nexts[0], strict=True)))
                    ):
                        turned = list(nexts[0])
                        turned[j] += 1
                        nexts.append(tuple(turned))
            for new in nexts:
                if new not in seen and safe(dict(zip(WATTS, new, strict=True))):
                    seen.add(new)
                    todo.append(new)
    return False


stands = st.fixed_dictionaries({name: st.integers(0, 3) for name in WATTS}).map(
    lambda d: {name: n for name, n in d.items() if n}
)


SPECS = {
    "a/x": replace(plans.PREFILL, machine="x"), "b/x": replace(plans.DECODE, machine="x"),
    "c/y": replace(plans.DECODE, machine="y"),
}  # fmt: skip


def plan_of(standing: Standing) -> CandidatePlan:
    """A plan of as many machines in pools of their own."""
    base = plans.candidate()
    pools = [replace(base.pools[0], spec=SPECS[name], machines=count) for name, count in standing.items()]
    return replace(base, pools=tuple(pools))


def moves_of(found: Migration) -> list[Move]:
    """The moves, by the names of the plans' pools."""
    return [
        replace(move, pool=SPECS[move.pool].name, source=SPECS[move.source].name if move.source else None)
        for move in found.moves
    ]


@given(stands, stands)
def test_what_is_bought_and_retired_is_the_difference_of_the_machines(start: Standing, goal: Standing) -> None:
    """By type, what is bought less what is retired is what the second plan has more; no type is both.

    A machine that only changes its pool is neither.
    """
    found = purchases(plan_of(start), plan_of(goal), (), PRICES)
    for each in found:
        counts = [sum(n for name, n in s.items() if MACHINE_OF[name] == each.machine) for s in (start, goal)]
        assert [each.before, each.after] == counts
        assert each.buy - each.retire == each.after - each.before
        assert not (each.buy and each.retire)
    assert {each.machine for each in found} == {MACHINE_OF[name] for name in (*start, *goal)}


def test_the_most_that_stands_is_no_less_than_anything_that_does() -> None:
    """Every quantity of the most that stands during a migration is the largest of all fleets."""
    found = most([totals({"a/x": 3}), totals({"c/y": 2}), totals({"a/x": 1, "b/x": 1})])
    assert (found.machines, found.power_w) == (3, 50.0)


@settings(deadline=None)
@given(stands, stands, st.integers(1, 5), st.floats(20, 120))
def test_a_safe_order_is_found_where_there_is_one(start: Standing, goal: Standing, least: int, limit_w: float) -> None:
    """An order is found exactly where trying every order of single machines finds one, and nothing breaks on it."""
    found = migration(start, goal, least=least, limit_w=limit_w)
    assert (not found.explanation) == reachable(start, goal, least=least, limit_w=limit_w)
    states = walk(start, found)
    for move, standing in zip(found.moves, states, strict=True):
        assert move.safe
        assert not serving(least)(standing).fails
        assert move.totals == totals(standing)
        assert move.totals.power_w <= limit_w * (1 + 1e-9)
    if not found.explanation:
        assert (states[-1] if states else dict(start)) == goal


@settings(deadline=None)
@given(stands, stands, st.integers(1, 5), st.floats(20, 120))
def test_what_is_rented_is_what_stands_beyond_both_plans(
    start: Standing, goal: Standing, least: int, limit_w: float
) -> None:
    """By type, the larger plan's machines and the rented ones are the most that stand after any move.

    Rented ones stand during the moves that are named, and during no other, and cost what their type does.
    """
    found = migration(start, goal, least=least, limit_w=limit_w)
    states = [of_types(standing) for standing in walk(start, found)]
    for each in purchases(plan_of(start), plan_of(goal), moves_of(found), PRICES):
        kept = max(each.before, each.after)
        assert each.rent_usd_per_h == each.rent * PRICES[each.machine]
        counts = [state[each.machine] for state in states]
        assert kept + each.rent == max([kept, *counts])
        beyond = {at for at, count in enumerate(counts, 1) if count > kept}
        first, last = each.rent_moves or (0, 0)
        assert (min(beyond, default=0), bool(beyond)) == (first, each.rent_moves is not None)
        assert all(first <= at <= last for at in beyond)
        assert not beyond or last == len(counts) or counts[last - 1] <= kept


@settings(deadline=None)
@given(stands, stands, st.integers(1, 5), st.floats(20, 120))
def test_no_machine_is_rented_where_another_order_needs_none(
    start: Standing, goal: Standing, least: int, limit_w: float
) -> None:
    """Where an order of single machines without renting is safe, the one that is found rents nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diff_order, "_CHECKS_WITHOUT_RENT", diff_order.MOST_CHECKS)
        found = migration(start, goal, least=least, limit_w=limit_w)
    kept = of_types(start) | of_types(goal)
    if reachable(start, goal, least=least, limit_w=limit_w, rent=False):
        assert all(of_types(standing) <= kept for standing in walk(start, found))


def test_machines_are_added_first_where_power_allows() -> None:
    """With power to spare all new machines come before an old one goes; without, as many as fit."""
    free = migration({"a/x": 2}, {"c/y": 2}, least=2, limit_w=None)
    assert [(m.sign, m.machines, m.pool) for m in free.moves] == [("+", 2, "c/y"), ("-", 2, "a/x")]
    tight = migration({"a/x": 4}, {"c/y": 2}, least=2, limit_w=65.0)
    assert [(m.sign, m.machines, m.pool) for m in tight.moves] == [("+", 1, "c/y"), ("-", 4, "a/x"), ("+", 1, "c/y")]


def test_machines_are_turned_where_nothing_may_be_added() -> None:
    """At the power limit a machine becomes one of the other pool, as long as the rest serves meanwhile."""
    found = migration({"a/x": 3, "b/x": 1}, {"a/x": 2, "b/x": 2}, least=3, limit_w=40.0)
    assert [(m.sign, m.pool, m.source) for m in found.moves] in (
        [("-", "a/x", None), ("+", "b/x", None)],
        [("~", "b/x", "a/x")],
    )
    stuck = migration({"a/x": 3, "b/x": 1}, {"a/x": 2, "b/x": 2}, least=4, limit_w=40.0)
    assert not stuck.moves
    assert any("too small" in line or "limit" in line for line in stuck.explanation)


def test_a_migration_starts_where_the_load_is_served() -> None:
    """What stands and does not serve is said to be the reason, not some move."""
    assert (
        "starts where this load is not served"
        in migration({"a/x": 1}, {"a/x": 3}, least=2, limit_w=None).explanation[0]
    )


def test_what_must_be_rented_is_said_first() -> None:
    """Four machines that all change their pool under a load that four must serve: the fifth is rented, and until when.

    The sentence names the type, the moves in between and what the rented ones cost together while they stand.
    """
    found = migration({"a/x": 4}, {"a/x": 3, "b/x": 1}, least=4, limit_w=None)
    bought = purchases(plan_of({"a/x": 4}), plan_of({"a/x": 3, "b/x": 1}), moves_of(found), PRICES)
    assert [(each.machine, each.buy, each.retire, each.rent, each.rent_moves) for each in bought] == [
        ("x", 0, 0, 1, (1, 2))
    ]
    assert purchase_words(bought) == "buy nothing, retire nothing, rent 1 x for moves 1 to 2 at $2.50/h"
    roomy = migration({"a/x": 4}, {"a/x": 3, "b/x": 1}, least=3, limit_w=None)
    told = purchases(plan_of({"a/x": 4}), plan_of({"a/x": 3, "b/x": 1}), moves_of(roomy), PRICES)
    assert purchase_words(told) == "buy nothing, retire nothing"


def test_every_pool_has_one_sign() -> None:
    """New, gone, changed and unchanged pools are told apart, and unchanged plans have no changes."""
    one = plans.plan()
    assert {change.sign for change in changes(one, one)} == {"="}
    fewer = replace(one, candidate=plans.candidate(3))
    assert {(c.pool, c.sign) for c in changes(one, fewer)} == {(plans.DECODE.name, "~"), (plans.PREFILL.name, "=")}
    gone = replace(one, candidate=replace(one.candidate, pools=one.candidate.pools[:1]))
    assert [c.sign for c in changes(one, gone)] == ["=", "-"]
    assert [c.sign for c in changes(gone, one)] == ["=", "+"]


def test_questions_that_differ_are_noted() -> None:
    """Every key that differs between the two scenarios is told with both values."""
    told = notes(small(), small("workload.rate_scale=2", "budgets.power_w=1000", "name=other"))
    assert told == ("budgets.power_w: nothing before, 1000.0 after", "workload.rate_scale: 1.0 before, 2.0 after")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plan files: ``a`` for a load, ``b`` for 15 times as much, ``s`` for that load split by phase."""
    directory = tmp_path_factory.mktemp("plans")
    asked = {"a": (), "b": ("workload.rate_scale=15",), "s": ("workload.rate_scale=15", "policy.name=splitwise")}
    for name, words in asked.items():
        scenario = small(*words)
        answer = planning.plan(scenario, progress=silent)
        assert isinstance(answer, ValidatedPlan)
        write_plan(directory / f"{name}.json", scenario, answer, planning.digests(scenario))
    return directory


def shown(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(build(), ["diff", *(str(word) for word in words)])
    return result.exit_code, result.output


def test_growing_is_safe_and_shrinking_too(planned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a small plan to a large one and back there is a safe order, simulated at the lighter load."""
    monkeypatch.setenv("COLUMNS", "80")
    a, b = planned / "a.json", planned / "b.json"
    code, text = shown(a, b)
    assert (code, "a safe order of 1 move" in text, "checked by" in text) == (ExitCode.VALIDATED, True, True)
    assert all(len(line) <= 80 and line == line.rstrip() for line in text.splitlines())
    assert len(text.splitlines()) <= LINES
    assert "workload.rate_scale: 1.0 before, 15.0 after" in text
    every = shown(a, b, "--sections", "all")[1]
    assert all(words in every for words in ("To buy and to retire", "Order of moves", "Totals", "Margins"))
    assert "Order of moves" not in shown(a, b, "--sections", "totals")[1]
    assert "no such section; did you mean 'totals'?" in shown(a, b, "--sections", "total")[1]
    data = json.loads(shown(b, a, "--json")[1])
    assert sorted(data) == sorted(Diff.__dataclass_fields__)
    assert (data["safe"], [m["sign"] for m in data["moves"]]) == (True, ["-"])
    assert data["moves"][0]["checked_by"] == "simulation"
    assert data["load"].startswith("40 req/s")
    assert shown(a, a)[1].startswith("NO CHANGES")


def test_a_difference_can_be_forwarded(planned: Path, tmp_path: Path) -> None:
    """The page of a difference says what the terminal does, its moves in words."""
    page = tmp_path / "moves.html"
    code, text = shown(planned / "a.json", planned / "b.json", "--quick", "--quiet", "--report", page)
    assert code == ExitCode.VALIDATED
    words = page.read_text(encoding="utf-8")
    assert text.splitlines()[0].split(": ", 1)[1] in re.sub("<[^>]+>", "", words)  # numbers are kept with their units
    assert ">add</td>" in words
    assert "add" in text
    assert "✗" not in words


def test_a_quick_look_simulates_nothing(planned: Path) -> None:
    """With --quick the migration is checked by planned loads alone, and says so."""
    data = json.loads(shown(planned / "a.json", planned / "b.json", "--quick", "--json")[1])
    assert data["safe"]
    assert {m["checked_by"] for m in data["moves"]} == {"envelope"}


def test_other_policies_are_built_side_by_side(planned: Path) -> None:
    """From mixed machines to split ones, the new cluster stands whole before the old one goes, or it is refused."""
    b, s = planned / "b.json", planned / "s.json"
    data = json.loads(shown(b, s, "--json")[1])
    assert data["safe"]
    signs = [m["sign"] for m in data["moves"]]
    assert signs == sorted(signs)  # + before -
    assert data["moves"][-1]["totals"] == data["after"]
    code, text = shown(b, s, "--power-limit", 20000)
    assert (code, "different policies" in text) == (ExitCode.NOT_VALIDATED, True)


@pytest.mark.parametrize("changed", ["model", "engine"])
def test_plans_that_serve_another_thing_share_no_instance(changed: str, planned: Path) -> None:
    """Pools of one name under another model or engine are not kept: no order of moves is called safe."""
    before, after = (read_plan(planned / f"{name}.json") for name in ("a", "b"))
    if changed == "engine":
        other = tuple(replace(s, engine="trtllm") for s in after.plan.served)
        after = after.model_copy(update={"plan": replace(after.plan, served=other)})
    else:
        model = after.scenario.model.model_copy(update={"name": "bloom-176b"})
        after = after.model_copy(update={"scenario": after.scenario.model_copy(update={"model": model})})
    found = diff(before, after, quick=True, power_limit_w=None, progress=lambda *_: None)
    assert (found.safe, found.moves, found.load) == (False, (), "")
    assert ("trtllm" if changed == "engine" else "bloom-176b") in found.explanation[0]


def test_both_files_are_checked(tmp_path: Path) -> None:
    """Two files that are no plans are two problems, told at once."""
    code, text = shown(tmp_path / "a.json", tmp_path / "b.json")
    assert (code, text.count("cannot be read")) == (ExitCode.BAD_INPUT, 2)
