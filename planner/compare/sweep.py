"""A sweep: plan every point, weigh every plan in every future, move one thing at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from planner.compare.grid import AS_GIVEN, Asked, grid, knobs, setting
from planner.compare.journal import Digests, Journal
from planner.compare.outcome import planning, point
from planner.compare.regret import WEIGHED, Bought, Trials, regrets, same_clusters, tried
from planner.compare.regret_over_time import on_owned, regrets_over_time
from planner.compare.runner import Progress, Task, perform
from planner.compare.sensitivity import Pair, ordered, shadow_price, shadows, swing, tornado
from planner.compare.worlds import worlds
from planner.errors import BadInput
from planner.executor import Executor
from planner.files.plan_file import dumps
from planner.results.sweep import Knob, Point, Regret, WhatIf
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Everything a what-if will plan, checked, with nothing planned yet.

    Attributes:
        scenario: as given.
        knobs: what is varied.
        grid: their product; empty without knobs.
        base: the scenario as given; None where it is not asked for.
        tornado: one-at-a-time moves; empty where not asked for.
        tornado_frac: how far each is moved; None where not asked for.
        shadows: budgets a step up and down; empty where not asked for.
        regret: weigh every plan in every scenario of the grid.
    """

    scenario: Scenario | Fleet
    knobs: tuple[Knob, ...]
    grid: tuple[Asked, ...]
    base: Asked | None
    tornado: tuple[Pair, ...]
    tornado_frac: float | None
    shadows: tuple[Pair, ...]
    regret: bool

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Every scenario to plan."""
        pairs = (*self.tornado, *self.shadows)
        sides = tuple(side for pair in pairs for side in (pair.low, pair.high))
        return (*self.grid, *(() if self.base is None else (self.base,)), *sides)


def sweep(
    scenario: Scenario | Fleet,
    vary: Sequence[str] = (),
    *,
    tornado_frac: float | None = None,
    shadow: bool = False,
    regret: bool = True,
    drawn_worlds: int | None = None,
) -> Sweep:
    """What a what-if would plan.

    Args:
        scenario: the question as given.
        vary: ``dotted.key=value,value`` words; the grid is the product of all of them.
        tornado_frac: move load, lengths, prices, budgets and objectives by this share, one at a time; None: not.
        shadow: plan with each finite budget one step larger and smaller.
        regret: weigh every plan of the grid in every other scenario of it.
        drawn_worlds: draw as many worlds from the scenario's uncertainty in place of a grid; None: not.

    Raises:
        BadInput: with every problem of any point.
    """
    varied = knobs(vary)
    points = grid(scenario, varied) if varied else ()
    if drawn_worlds is not None:
        if varied:
            raise BadInput("--worlds and --vary: expected one of the two")
        varied, points = worlds(scenario, drawn_worlds)
    sides = tornado(scenario, tornado_frac) if tornado_frac is not None else ()
    steps = shadows(scenario) if shadow else ()
    return Sweep(
        scenario=scenario, knobs=varied, grid=points,
        base=setting(scenario, AS_GIVEN, {}) if tornado_frac is not None or shadow else None,
        tornado=sides, tornado_frac=tornado_frac, shadows=steps, regret=regret,
    )  # fmt: skip


def swept(wanted: Sweep, *, journal: Journal, executor: Executor, progress: Progress) -> WhatIf:
    """Plan everything a sweep asks for, and compare.

    Args:
        wanted: the sweep.
        journal: of what is finished already, and of what will be.
        executor: works the points off.
        progress: told how far it is.

    Raises:
        Interrupted: by Ctrl-C; the same sweep with the same journal continues.
        BadInput: a point names something that is not there.
    """
    digests = Digests()
    tasks = [planning(each, digests) for each in wanted.asked]
    results = perform(tasks, journal=journal, executor=executor, progress=_part(progress, "plans", 0.0, 0.8))
    found = dict(zip((id(each) for each in wanted.asked), (results[t.digest] for t in tasks), strict=True))

    def at(each: Asked) -> Point:
        return point(each, found[id(each)])

    points = tuple(at(each) for each in wanted.grid)
    base = None if wanted.base is None else at(wanted.base)
    weigh = wanted.regret and wanted.scenario.objective in WEIGHED and wanted.scenario.schedule is None
    trials = (
        _trials(wanted.grid, points, digests, journal, executor, _part(progress, "futures", 0.8, 0.2)) if weigh else {}
    )
    return WhatIf(
        scenario=wanted.scenario, knobs=wanted.knobs, points=points, base=base,
        regret=regrets(points, trials) if trials else _over_time(
            wanted, points, digests, journal, executor, _part(progress, "futures", 0.8, 0.2)
        ),
        tornado=() if base is None else ordered([swing(p, at(p.low), at(p.high), base) for p in wanted.tornado]),
        tornado_frac=wanted.tornado_frac,
        shadow_prices=() if base is None else tuple(
            shadow_price(p, wanted.scenario, at(p.low), at(p.high), base) for p in wanted.shadows
        ),
    )  # fmt: skip


def _trials(
    asked: Sequence[Asked],
    points: Sequence[Point],
    digests: Digests,
    journal: Journal,
    executor: Executor,
    progress: Progress,
) -> dict[str, Trials]:
    """Every plan of the points tried on every scenario that has a plan; equal clusters are tried once."""
    planned = [(each, point.outcome.bought) for each, point in zip(asked, points, strict=True) if point.outcome.bought]
    clusters: dict[tuple[object, ...], Bought] = {}
    for _, bought in planned:
        clusters.setdefault(same_clusters(bought), bought)
    distinct = tuple(clusters.values())
    if len(planned) < 2:
        return {}
    content = dumps(distinct)
    tasks = [
        Task(
            digest=digests.of("try", each.scenario, content), name=f"plans tried at {each.name}", act=tried,
            arguments=(each.scenario,),
        )
        for each, _ in planned
    ]  # fmt: skip
    results = perform(tasks, journal=journal, executor=executor, progress=progress, common=(distinct,))
    which = [list(clusters).index(same_clusters(bought)) for _, bought in planned]
    return {
        each.name: _spread(results[task.digest], which) for (each, _), task in zip(planned, tasks, strict=True)
    }  # fmt: skip


def _over_time(
    wanted: Sweep, points: Sequence[Point], digests: Digests, journal: Journal, executor: Executor, progress: Progress
) -> tuple[Regret, ...]:  # fmt: skip
    """The base fleet of every schedule in every other future, for least cost; nothing of other objectives."""
    planned = [(each, p.outcome.over_time) for each, p in zip(wanted.grid, points, strict=True) if p.outcome.over_time]
    cheapest = wanted.scenario.objective is Objective.COST
    if not wanted.regret or not cheapest or len(planned) < 2 or not all(over.ways for _, over in planned if over):
        return ()
    fleets = [dict(over.base_machines) for _, over in planned if over]
    tasks = [
        Task(
            digest=digests.of("own", each.scenario, dumps([over, fleets])), name=f"base fleets tried at {each.name}",
            act=on_owned, arguments=(each.scenario, over, fleets),
        )
        for each, over in planned
    ]  # fmt: skip
    results = perform(tasks, journal=journal, executor=executor, progress=progress)
    return regrets_over_time(
        points, {each.name: results[task.digest] for (each, _), task in zip(planned, tasks, strict=True)}
    )


def _spread(result: Any, which: Sequence[int]) -> Trials:  # noqa: ANN401  JSON has no narrower type
    """Trials of distinct clusters as trials of every plan."""
    found = TypeAdapter(Trials).validate_python(result)
    return Trials(trials=tuple(found.trials[index] for index in which), weights=found.weights)


def _part(progress: Progress, words: str, start_frac: float, share_frac: float) -> Progress:
    """Progress of one part of the work."""

    def tell(message: str, done_frac: float) -> None:
        progress(f"{words}: {message}", start_frac + share_frac * done_frac)

    return tell
