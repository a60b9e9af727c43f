"""Frontiers: what one quantity costs in terms of another, every point a validated plan."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from pydantic import TypeAdapter

from planner.compare.axis import Axis
from planner.compare.frontier_over_time import (
    AXES_OVER_TIME,
    TOTALS,
    aims,
    at_price,
    between,
    expect_no_bound,
)
from planner.compare.frontier_over_time import (
    problems as problems_over_time,
)
from planner.compare.grid import Asked, setting
from planner.compare.journal import Digests, Journal
from planner.compare.outcome import outcome, planned, refused, served_req_per_s, silent
from planner.compare.over_time import scheduled
from planner.compare.regret import same_machines
from planner.compare.runner import Progress, Task, perform
from planner.errors import BadInput, nearest
from planner.executor import Executor
from planner.planning import plan as planning
from planner.planning.failings import met
from planner.results.drawn import as_drawn
from planner.results.evidence import NoPlan
from planner.results.fleet import together
from planner.results.frontier import Design, Frontier
from planner.results.plan import CandidatePlan
from planner.results.sweep import VALIDATED, Outcome
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective
from solvers.frontier import Placed, Walk, efficient, walk
from workloads.counts import watts

_BOUND_DIGITS = 6
"""Of a bound in words: one just below a design is not to look like it."""

EXACT_FRAC = 1e-4
"""Costs or watts that differ by no more than this share count as equal: the solver's rows hold to no more."""


AXES: Mapping[str, Axis] = {
    "cost": Axis(unit="USD/h", objective=Objective.COST, total="cost_usd_per_h", budget="cost_usd_per_h"),
    "power": Axis(unit="W", objective=Objective.POWER, total="power_w", budget="power_w"),
    "machines": Axis(unit="machines", objective=Objective.MACHINES, total="machines", budget="machines", whole=True),
    "energy": Axis(unit="W", objective=Objective.ENERGY, total="expected_power_w", budget="expected_power_w"),
    "carbon": Axis(unit="g/h", objective=Objective.CARBON, total="carbon_g_per_h"),
    "throughput": Axis(unit="req/s", objective=Objective.THROUGHPUT),
}
"""What can be an axis. Everything but throughput is better the smaller it is."""

_OPTIMISED = ("throughput", "carbon")
"""Axes that no budget bounds."""

_AS_GIVEN: Mapping[str, str] = {}
_BRIM = {f"headroom.{role}_frac": "1.0" for role in ("prefill", "decode", "mixed", "kv")}
"""Load limits to propose with where those of the scenario leave nothing: then the simulator alone says what is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A candidate that held in simulation before the planning loop found a better one, and the mean watts it drew."""

    candidate: CandidatePlan
    mean_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """One bounded question: its answer, and the valid candidates found before it."""

    outcome: Outcome
    passed: tuple[Passed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A frontier to be walked, checked, with nothing planned yet.

    Attributes:
        scenario: as given.
        x: first axis.
        y: second axis.
        goal: the one that is optimised.
        bounded: the other.
        start: first bound; inf where there is none.
        step: smallest change of the bounded axis to look for; None: any.
        most: designs after which to stop.
    """

    scenario: Scenario | Fleet
    x: str
    y: str
    goal: str
    bounded: str
    start: float
    step: float | None
    most: int


def route(
    scenario: Scenario | Fleet, x: str, y: str, *, limit: float | None = None, step: float | None = None, most: int = 50
) -> Route:
    """What a frontier would walk along.

    Args:
        scenario: the question; its objective does not matter.
        x: first axis, one of ``AXES``.
        y: second axis.
        limit: largest value of the bounded axis (throughput is never the bounded one); None: the scenario's budget.
        step: smallest change of the bounded axis to look for; None: any.
        most: designs after which to stop.

    Raises:
        BadInput: an axis is unknown or not available, both are the same, or throughput would grow without end.
    """
    axes = axes_of(scenario)
    if problems := tuple(_problems(scenario, x, y)):
        raise BadInput(*problems)
    optimised = _OPTIMISED if scenario.schedule is None else TOTALS
    goal, bounded = (y, x) if y in optimised else (x, y)
    if not axes[bounded].budget:
        expect_no_bound(x, y, limit)
        return Route(scenario=scenario, x=x, y=y, goal=x, bounded="", start=inf, step=step, most=most)
    given = getattr(scenario.budgets, axes[bounded].budget)
    start = limit if limit is not None else given
    if start is None and goal == "throughput":
        key = AXES[bounded].budget
        raise BadInput(f"frontier: throughput grows with {bounded} without end; expected --limit or budgets.{key}")
    return Route(
        scenario=scenario, x=x, y=y, goal=goal, bounded=bounded, start=inf if start is None else float(start),
        step=step, most=most,
    )  # fmt: skip


def axes_of(scenario: Scenario | Fleet) -> Mapping[str, Axis]:
    """What can be an axis of a question's plans, or of its schedules."""
    return AXES if scenario.schedule is None else AXES_OVER_TIME


def _problems(scenario: Scenario | Fleet, x: str, y: str) -> Iterator[str]:
    """What two axes cannot be of a question."""
    axes = axes_of(scenario)
    for flag, name in (("--x", x), ("--y", y)):
        if name not in AXES:
            yield f"{flag} {name}: no such axis; {nearest(name, axes)}"
    if x == y:
        yield f"--y {y}: the same as --x; expected another axis"
    elif scenario.schedule is not None and {x, y} <= set(AXES):
        yield from problems_over_time(x, y)
    elif {x, y} == {"throughput", "carbon"}:
        yield "frontier: no budget bounds carbon, and throughput grows with it; expected energy instead"


def walked(wanted: Route, *, journal: Journal, executor: Executor, progress: Progress) -> Frontier:
    """Walk along a frontier: the best goal under the first bound, then under ever tighter ones.

    Args:
        wanted: the route.
        journal: of what is finished already, and of what will be.
        executor: plans, one design after the other: each bound is that of the design before.
        progress: told how far it is; how far it will be is not known.

    Raises:
        KeyboardInterrupt: by Ctrl-C; the same walk with the same journal continues.
        BadInput: the scenario names something that is not there.
    """
    if not wanted.bounded:
        return _of_totals(wanted, journal, executor, progress)
    digests, ends, designs = Digests(), [""], list[Design]()
    axis = axes_of(wanted.scenario)[wanted.bounded]

    def solve(bound: float) -> Placed[None] | None:
        told = _told(progress, len(designs), wanted.most)
        found = _explored(wanted, bound, digests, journal, executor, told)
        one_load = wanted.scenario.schedule is None  # perhaps not with headroom to spare; the simulator may allow more
        if found.outcome.verdict != VALIDATED and one_load:
            found = _explored(wanted, bound, digests, journal, executor, told, headroom=_BRIM)
        if found.outcome.verdict != VALIDATED:
            ends[0] = _why_it_ended(wanted, bound, found.outcome)
            return None
        limit = None if bound == inf else bound
        designs.extend(_design(wanted, (each.candidate,), each.mean_w, limit) for each in found.passed)
        design = _designed(wanted, found.outcome, limit)
        designs.append(design)
        goal = design.values[wanted.goal]
        return Placed(
            goal=-goal if wanted.goal == "throughput" else goal, bounded=design.values[wanted.bounded], answer=None
        )  # fmt: skip

    done = walk(solve, start=wanted.start, step=_stride(axis, wanted.step), most=wanted.most)
    return _frontier(wanted, done, _weighed(wanted, designs), ends[0])


def _of_totals(wanted: Route, journal: Journal, executor: Executor, progress: Progress) -> Frontier:
    """Schedules of the least of either total, and between those of cost and energy by prices of electricity."""
    digests, at_meter, made = Digests(), wanted.scenario.energy.usd_per_kwh, list[Outcome]()
    missing = list[str]()

    def solve(name: str, settings: Mapping[str, str], more_usd_per_kwh: float = 0.0) -> Outcome | None:
        asked = setting(wanted.scenario, name, settings)
        found = _looked(asked, digests, journal, executor).outcome
        progress(name, min(1.0, (len(made) + 1) / wanted.most))
        made.append(at_price(found, more_usd_per_kwh))
        if found.verdict != VALIDATED:
            missing.append(f"{name[0].upper()}{name[1:]}: {_why_none(found)}")
            return None
        return made[-1]

    def least(first: str, second: str, more: float = 0.0) -> Outcome | None:
        usd = {"energy.usd_per_kwh": f"{at_meter + more:.9g}", "schedule.usd_per_kwh": "null"} if more else {}
        return solve(f"least {first}{f' at {more:g} USD/kWh more' * bool(more)}", {**aims(first, second), **usd}, more)

    ends = [least(wanted.x, wanted.y), *([least(wanted.y, wanted.x)] if wanted.most > 1 else [])]
    known = [each for each in ends if each is not None]
    if len(known) == 2 and {wanted.x, wanted.y} == {"cost", "energy"}:
        cheapest, thriftiest = known if wanted.x == "cost" else reversed(known)
        between(cheapest, thriftiest, lambda more: least("cost", "energy", more), wanted.most - 2)
    designs = _weighed(wanted, [_designed(wanted, each, None) for each in made if each.verdict == VALIDATED])
    words = f"Between least {wanted.x} and least {wanted.y} only schedules of least cost at another price are found."
    done: Walk[None] = Walk(visited=(), complete=len(made) < max(3, wanted.most))
    return _frontier(wanted, done, designs, words if known else _why_none(made[0]), missing if known else ())


def _frontier(
    wanted: Route, done: Walk[None], designs: tuple[Design, ...], ended: str, missing: Sequence[str] = ()
) -> Frontier:
    """What the walk found, with why it ended and, a sentence each, what of it has no plan."""
    longer = f"Stopped after {wanted.most} designs, as asked; --most allows more, --step takes longer strides."
    axes = (wanted.x, wanted.y)
    return Frontier(
        scenario=wanted.scenario, x=wanted.x, y=wanted.y, bounded=wanted.bounded,
        units={name: axes_of(wanted.scenario)[name].unit for name in axes},
        best={name: "most" if name == "throughput" else "least" for name in axes},
        designs=designs, step=wanted.step, complete=done.complete,
        ended=" ".join((ended if done.complete else longer, *missing)),
    )  # fmt: skip


def explored(scenario: Scenario | Fleet, digest: str) -> Explored:
    """Plan one bounded question, and keep every valid candidate that the loop passes.

    Args:
        scenario: the question.
        digest: of it.

    Raises:
        BadInput: it names something that is not there.
    """
    if scenario.schedule is not None:
        return Explored(outcome=scheduled(scenario, digest), passed=())
    if isinstance(scenario, Fleet):
        return Explored(outcome=planned(scenario, digest, why=False), passed=())
    answer = planning.plan(scenario, progress=silent, with_margin=False)
    if isinstance(answer, NoPlan):
        return Explored(outcome=refused(answer, digest), passed=())
    held = [each for each in answer.rounds if met(each.judgement, scenario.budgets.expected_power_w)]
    ways = {same_machines(each.candidate): each for each in held}
    ways.pop(same_machines(answer.candidate), None)
    passed = tuple(Passed(candidate=each.candidate, mean_w=each.judgement.mean_w) for each in ways.values())
    return Explored(outcome=outcome(answer, scenario, digest), passed=passed)


def _explored(
    wanted: Route,
    bound: float,
    digests: Digests,
    journal: Journal,
    executor: Executor,
    progress: Progress,
    *,
    headroom: Mapping[str, str] = _AS_GIVEN,
) -> Explored:
    """The answer under a bound, from the journal where it is known."""
    axis = axes_of(wanted.scenario)[wanted.bounded]
    over_time = wanted.scenario.schedule is not None
    settings = {**(aims(wanted.goal) if over_time else {"objective": str(AXES[wanted.goal].objective)}), **headroom}
    if bound != inf:
        settings[f"budgets.{axis.budget}"] = str(int(max(bound, 0))) if axis.whole else f"{max(bound, 0.0):.12g}"
    asked = setting(wanted.scenario, f"{wanted.bounded} at most {bound:g}", settings)
    found = _looked(asked, digests, journal, executor)
    progress(asked.name, 1.0)
    return found


def _looked(asked: Asked, digests: Digests, journal: Journal, executor: Executor) -> Explored:
    """The answer of one question, from the journal where it is known."""
    digest = digests.of("explore", asked.scenario)
    task = Task(digest=digest, name=asked.name, act=explored, arguments=(asked.scenario, digest))
    try:
        result: Any = perform([task], journal=journal, executor=executor, progress=silent)[digest]
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped at {asked.name}") from None
    return TypeAdapter(Explored).validate_python(result)


def _told(progress: Progress, found: int, most: int) -> Progress:
    """Progress of a walk: its length is not known in advance, but at most ``most``."""
    return lambda name, _: progress(f"{found + 1} designs, at most {most}; last {name}", min(1.0, (found + 1) / most))


def _stride(axis: Axis, step: float | None) -> Callable[[float], float]:
    """How much less to ask for after a design."""
    if axis.whole:
        return lambda _: max(1.0, float(round(step or 1.0)))
    return lambda value: step if step is not None else max(1e-9, EXACT_FRAC * value)


def _why_it_ended(wanted: Route, bound: float, found: Outcome) -> str:
    """Why there is no design under a bound."""
    unit = axes_of(wanted.scenario)[wanted.bounded].unit
    most = watts(bound, _BOUND_DIGITS) if unit == "W" else f"{bound:.{_BOUND_DIGITS}g} {unit}"
    return f"With {wanted.bounded} at most {most}: {_why_none(found)}"


def _why_none(found: Outcome) -> str:
    """Why there is no plan or schedule, in a sentence."""
    return f"{found.verdict}; {found.explanation[0] if found.explanation else found.verdict}."


def _designed(wanted: Route, found: Outcome, bound: float | None) -> Design:
    """A validated plan or schedule placed on both axes."""
    over = found.over_time
    if over is None:
        mean_w = found.bill.mean_w if found.bill else None
        return _design(wanted, tuple(found.bought.values()), mean_w, bound, found)
    values = {name: AXES_OVER_TIME[name].value(over, 0.0) for name in (wanted.x, wanted.y)}
    return Design(values=values, efficient=False, bound=bound, outcome=found, machines=over.most_machines)


def _design(
    wanted: Route, candidates: Sequence[CandidatePlan], mean_w: float | None, bound: float | None,
    found: Outcome | None = None,
) -> Design:  # fmt: skip
    """What is bought for all models placed on both axes, of mean watts by the simulated ones; not yet compared."""
    served, totals = sum(map(served_req_per_s, candidates)), together(candidates)
    machines: Counter[str] = Counter()
    for pool in (pool for candidate in candidates for pool in candidate.pools):
        machines[f"{pool.spec.role} {pool.spec.machine}"] += pool.machines
    planned = {name: AXES[name].value(totals, served) for name in (wanted.x, wanted.y)}
    values = {name: as_drawn(AXES[name].objective, value, totals, mean_w) for name, value in planned.items()}
    return Design(values=values, efficient=False, bound=bound, outcome=found, machines=dict(machines))


def _weighed(wanted: Route, designs: list[Design]) -> tuple[Design, ...]:
    """Each design once, by x, with whether another beats it; a final answer goes before an intermediate one."""
    unique: dict[tuple[float, ...], Design] = {}
    for design in sorted(designs, key=lambda each: each.outcome is None):
        unique.setdefault(tuple(float(f"{value:.6g}") for value in design.values.values()), design)
    signs = [-1.0 if name == "throughput" else 1.0 for name in (wanted.x, wanted.y)]
    places = [(signs[0] * x, signs[1] * y) for x, y in unique]
    kept = [
        Design(values=d.values, efficient=good, bound=d.bound, outcome=d.outcome, machines=d.machines)
        for d, good in zip(unique.values(), efficient(places), strict=True)
    ]
    return tuple(sorted(kept, key=lambda each: (each.values[wanted.x], each.values[wanted.y])))
