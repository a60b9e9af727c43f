"""Descent: other machines next to a plan that holds, tried in the simulator as far as a budget of judgements goes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import ceil, inf

from planner.planning.loop import PlanningLoop
from planner.planning.shrink import RATE_STEP_FRAC, stretch
from planner.planning.tighten import cluster, price
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Objective
from solvers.search import search

SLACK_FRAC = 0.02
"""A plan this much dearer than the best may still be a step to a cheaper one."""

FEWER, MORE = (1, 2, 4), (0, 1, 2)
"""Machines that a step takes from one pool, and that it adds to another."""

SEARCH_REQUESTS = 1_200_000
"""Requests that a search may have simulated where the scenario does not say: some seconds of compiled code."""

FEWEST_EVALUATIONS, MOST_EVALUATIONS = 4, 32
"""Plans that a search tries at least, and at most."""

Held = tuple[CandidatePlan, Judgement]
Machines = tuple[tuple[str, int], ...]
"""(option, machines) of every pool, ordered by name."""


def evaluations(loop: PlanningLoop, held: Held) -> int:
    """Plans that a search may simulate: as many as the scenario says, else as many as some seconds allow.

    The time is counted in requests, which are the same on every machine, so that the same question has the same answer.
    """
    asked = loop.case.scenario.solver.search_evaluations
    if asked is not None:
        return asked
    return min(MOST_EVALUATIONS, max(FEWEST_EVALUATIONS, SEARCH_REQUESTS // max(1, held[1].arrived)))


def descend(loop: PlanningLoop, held: Held, most: int) -> Held:
    """The cheapest plan that the simulator confirms around one that holds, found by asking it so many times.

    A step takes machines from a pool, or moves work to another option, of which the plan may have none yet: another
    machine type, layout, chunk size, clock or cap. Nothing is simulated that is dearer, over budget, planned beyond
    what it can carry, below the proven bound, or no larger in any pool than what failed.

    Returns:
        What was given, or something better at the same objective.
    """
    made = Neighbourhood(loop, held)
    found = search(
        made.start, made.neighbours, made.worth, made.holds,
        evaluations=most, slack_frac=SLACK_FRAC,
        bound=(loop.bound or 0.0) * (1 - 1e-9), below=_below,
    )  # fmt: skip
    for point in found.path:
        loop.note("search", made.plan(point), made.judged(point))
    return (made.plan(found.best), made.judged(found.best)) if found.path else held


def climb(loop: PlanningLoop, held: Held, most: int) -> Held:
    """The most requests a second that the simulator confirms around a throughput plan, by as many judgements.

    A step is one of ``descend``: machines leave one pool for another within the budgets. It is taken where it serves
    ``RATE_STEP_FRAC`` more than the best plan; then its rate is stretched as far as it goes. The plan whose fullest
    pool is least full by the optimiser's estimate is tried first.

    Returns:
        What was given, or a plan that serves more.
    """
    left, failed = most, set[tuple[Machines, float]]()
    found: Held | None = held
    while found and left > 0:
        held, found = found, None
        target = held[0].rate_scale * (1 + RATE_STEP_FRAC)
        made = Neighbourhood(loop, held, scale=target)
        tried = sorted(made.neighbours(made.start), key=lambda point: (made.fullest(point), point))
        made.expect(tried)
        for point in tried:
            if left == 0 or (point, target) in failed:
                continue
            left -= 1
            if made.holds(point):
                found = stretch(loop, (made.plan(point), made.judged(point)))[0]
                loop.note("search", *found)
                break
            failed.add((point, target))
    return found or held


def _below(one: Machines, other: Machines) -> bool:
    """Whether no pool of the first has more machines than it has in the second."""
    most = dict(other)
    return all(count <= most.get(name, 0) for name, count in one)


class Neighbourhood:
    """Machines as points, with what they cost and what the simulator says of them."""

    def __init__(self, loop: PlanningLoop, held: Held, *, scale: float | None = None) -> None:
        """Around a plan that holds, at ``scale`` times the workload's rate; None: what the plan serves."""
        self._scale = held[0].rate_scale if scale is None else scale
        self._loop, self._given = loop, held[0]
        self._objective = loop.case.scenario.objective
        asked = loop.case.asked.demand.classes
        self._rates = {c.request_class.name: c.rate_req_per_s * self._scale for c in asked}
        self.start: Machines = tuple(sorted((p.spec.name, p.machines) for p in held[0].pools))
        self._plans: dict[Machines, CandidatePlan | None] = {self.start: held[0]}
        self._order, self._failed, self._best = list[Machines](), list[Machines](), self.worth(self.start)

    def made(self, point: Machines) -> CandidatePlan | None:
        """The plan of these machines; None where it is none to try."""
        if point not in self._plans:
            made = cluster(self._given.policy, dict(point), self._rates, self._loop.options)
            self._plans[point] = None
            if not isinstance(made, str) and not self._loop.overloads(made) and self._loop.within_budgets(made):
                self._plans[point] = replace(made, termination=self._given.termination, rate_scale=self._scale)
        return self._plans[point]

    def plan(self, point: Machines) -> CandidatePlan:
        """The plan of machines that are one."""
        found = self.made(point)
        assert found is not None, "only plans become points"
        return found

    def fullest(self, point: Machines) -> float:
        """How full the fullest pool of a plan is, by the optimiser's estimate."""
        return max(max(pool.load_frac, pool.kv_load_frac) for pool in self.plan(point).pools)

    def worth(self, point: Machines) -> float:
        """What the objective counts."""
        return price(self._objective, self.plan(point).totals)

    def weight(self, point: Machines) -> float:
        """What the objective counts of machines, be they a plan or not; no end where they serve not every class."""
        known = self._plans.get(point)
        made = known or cluster(self._given.policy, dict(point), self._rates, self._loop.options)
        return inf if isinstance(made, str) else price(self._objective, made.totals)

    def affordable(self, point: Machines) -> bool:
        """Whether machines serve every class and keep every budget."""
        made = cluster(self._given.policy, dict(point), self._rates, self._loop.options)
        return not isinstance(made, str) and self._loop.within_budgets(made)

    def judged(self, point: Machines) -> Judgement:
        """What the simulator says."""
        return self._loop.judged(self.plan(point), brief=True)

    def holds(self, point: Machines, *, in_full: bool = False) -> bool:
        """Whether it is a plan, on a longer look too where that is asked.

        What will be judged next where it is none is looked at meanwhile.
        """
        plan = self.plan(point)
        self._loop.look_ahead(self._next(point), beside=plan)
        found = self._loop.holds(plan, self.judged(point))
        if found:
            self._best = min(self._best, self.worth(point))
        else:
            self._failed.append(point)
        return found and (not in_full or self._loop.holds(plan, self._loop.judged(plan)))

    def expect(self, points: Sequence[Machines]) -> None:
        """In which order plans will be asked for."""
        self._order = list(points)

    def _next(self, point: Machines) -> Iterator[CandidatePlan]:
        """What comes after a point that fails, as far as it is worth trying then."""
        limit = max(self._best, self.worth(point))
        most = self._objective is Objective.THROUGHPUT  # the order alone says what is tried
        for other in self._order[self._order.index(point) + 1 :] if point in self._order else ():
            if (most or self.worth(other) < limit) and not any(_below(other, bad) for bad in (point, *self._failed)):
                yield self.plan(other)

    def neighbours(self, point: Machines) -> Iterator[Machines]:
        """Every plan a step away, the dearest first: if it fails, what is smaller need not be tried."""
        steps = {step for step in self._steps(point) if step != point and self.made(step)}
        self.expect(sorted(steps, key=lambda step: (-self.worth(step), step)))
        yield from self._order

    def _steps(self, point: Machines) -> Iterator[Machines]:
        """Some machines less here, some more there: the same few, or as many as the money buys."""
        options = self._loop.options
        for (gone, count), name in product(point, sorted(options)):
            ratio = options[gone].price_usd_per_h / max(1e-9, options[name].price_usd_per_h)
            spanned = options[gone].machines_per_instance
            for fewer in {count, *(few * spanned for few in FEWER if few * spanned < count)}:
                for more in {*MORE, ceil(fewer * ratio) - 1, ceil(fewer * ratio)}:
                    changed = dict(point)
                    changed[gone] -= fewer
                    changed[name] = changed.get(name, 0) + more
                    changed[name] -= changed[name] % options[name].machines_per_instance
                    yield tuple(sorted((option, left) for option, left in changed.items() if left > 0))
