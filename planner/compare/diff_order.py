"""The order of moves from one plan to another in which nothing breaks during the migration."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from planner.results.difference import Move
from planner.results.evidence import Evidence
from planner.results.plan import Totals

Standing = Mapping[str, int]
"""Spec name -> machines that serve; pools without machines are left out."""

MOST_CHECKS = 200
"""Clusters that are looked at before the search for an order gives up."""

_CHECKS_WITHOUT_RENT = 40
"""Clusters that are looked at for an order that needs no more machines of a type at once than one of the plans has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is known of one cluster during the migration.

    Attributes:
        fails: what breaks; empty where it is safe.
        evidence: of a simulation; empty where there was none.
        totals: what it needs.
    """

    fails: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    totals: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """Moves in order, and why they end short of the goal where they do."""

    moves: tuple[Move, ...]
    explanation: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A move that might be made: what stands after it, and what must stand while it is made."""

    sign: str
    pool: str
    source: str | None
    machines: int
    after: Standing
    during: Standing | None


class Search:
    """A depth-first search for a safe order, the moves that cost least trust first.

    Machines are added before others are removed, unless more of a type would stand at once than in either plan: these
    would have to be rented, so that an order without them is looked for first. Where that, or the power limit, forbids
    to add, machines are removed, or turned from one pool into another of the same type, as soon as what is left still
    serves.
    """

    def __init__(
        self,
        check: Callable[[Standing], Check],
        *,
        goal: Standing,
        machine_of: Mapping[str, str],
        power_limit_w: float | None,
        checked_by: str,
    ) -> None:
        """Nothing looked at yet.

        Args:
            check: what is known of a cluster, by simulation or by its planned loads.
            goal: what stands in the end.
            machine_of: spec name -> machine type.
            power_limit_w: of everything that stands at any time; None is unlimited.
            checked_by: ``simulation`` or ``envelope``.
        """
        self._check, self._goal, self._machine_of = check, goal, machine_of
        self._limit_w, self._checked_by = power_limit_w, checked_by
        self._known: dict[frozenset[tuple[str, int]], Check] = {}
        self._left: set[frozenset[tuple[str, int]]] = set()
        self._best: tuple[Move, ...] = ()
        self._kept: Counter[str] | None = None
        self._most_checks = MOST_CHECKS
        self._nearest = -1
        self._refused: dict[str, None] = {}

    def migration(self, start: Standing) -> Migration:
        """A safe order from ``start`` to the goal; else the order that comes furthest, and what stopped it."""
        first = self._look(start)
        if first.fails:
            words = tuple(f"what stands now: {line}" for line in first.fails)
            return Migration(moves=(), explanation=("The migration starts where this load is not served.", *words))
        self._nearest = self._distance(start)
        found = self._without_rent(start)
        if found is None:
            found = self._on(start, ())
        if found is not None:
            return Migration(moves=found, explanation=())
        tried = f"No safe order was found among {len(self._known)} clusters that were looked at."
        return Migration(moves=self._best, explanation=(tried, *self._refused))

    def _without_rent(self, start: Standing) -> tuple[Move, ...] | None:
        """The moves of an order in which no more of a type stands at once than in one of the plans.

        None where the first clusters that were looked at do not lead to one: the search among all orders starts anew.
        """
        self._kept, self._most_checks = self._of_types(start) | self._of_types(self._goal), _CHECKS_WITHOUT_RENT
        found = self._on(start, ())
        self._kept, self._most_checks = None, MOST_CHECKS
        self._left.clear()
        return found

    def _of_types(self, standing: Standing) -> Counter[str]:
        """Machine type -> machines, of all pools."""
        counts = Counter[str]()
        for name, count in standing.items():
            counts[self._machine_of[name]] += count
        return counts

    def _rents(self, standing: Standing) -> bool:
        """Whether a cluster has more machines of a type than may be had without renting."""
        kept = self._kept
        return kept is not None and any(count > kept[name] for name, count in self._of_types(standing).items())

    def _on(self, standing: Standing, so_far: tuple[Move, ...]) -> tuple[Move, ...] | None:
        """The moves from here on, or None where none is safe."""
        if dict(standing) == dict(self._goal):
            return so_far
        key = frozenset(standing.items())
        if key in self._left or len(self._known) >= self._most_checks:
            return None
        self._left.add(key)
        for step in self._steps(standing):
            if self._rents(step.after):
                continue
            move = self._made(step)
            if not move.safe:
                self._refused |= dict.fromkeys(f"{_words(step)}: {line}" for line in move.fails)
                continue
            moves = (*so_far, move)
            if self._distance(step.after) < self._nearest:
                self._nearest, self._best = self._distance(step.after), moves
            if (found := self._on(step.after, moves)) is not None:
                return found
        return None

    def _steps(self, standing: Standing) -> Iterator[_Step]:
        """What might be done next: add, then remove, then turn; large steps before small ones."""
        lacking = {n: k - standing.get(n, 0) for n, k in sorted(self._goal.items()) if k > standing.get(n, 0)}
        surplus = {n: k - self._goal.get(n, 0) for n, k in sorted(standing.items()) if k > self._goal.get(n, 0)}
        for name, count in lacking.items():
            for part in _parts(count):
                after = _moved(standing, name, part)
                yield _Step(sign="+", pool=name, source=None, machines=part, after=after, during=None)
        for name, count in surplus.items():
            for part in _parts(count):
                after = _moved(standing, name, -part)
                yield _Step(sign="-", pool=name, source=None, machines=part, after=after, during=None)
        for source, spare in surplus.items():
            for name, count in lacking.items():
                if self._machine_of[source] == self._machine_of[name]:
                    for part in _parts(min(spare, count)):
                        during = _moved(standing, source, -part)
                        after = _moved(during, name, part)
                        yield _Step(sign="~", pool=name, source=source, machines=part, after=after, during=during)

    def _made(self, step: _Step) -> Move:
        """A step with what is known of it; a cluster that draws too much is not even served on."""
        after = self._look(step.after)
        fails = after.fails
        if step.during is not None and not fails:
            fails = tuple(f"while it is turned: {line}" for line in self._look(step.during).fails)
        return Move(
            sign=step.sign, pool=step.pool, source=step.source, machines=step.machines, totals=after.totals,
            safe=not fails, checked_by=self._checked_by, evidence=after.evidence, fails=fails,
        )  # fmt: skip

    def _look(self, standing: Standing) -> Check:
        """What is known of a cluster; each is looked at once."""
        key = frozenset(standing.items())
        if key not in self._known:
            self._known[key] = self._within(standing)
        return self._known[key]

    def _within(self, standing: Standing) -> Check:
        found = self._check(standing)
        needed = found.totals.power_w
        if self._limit_w is not None and needed > self._limit_w * (1 + 1e-9):
            beyond = f"it would draw {needed:g} W rated, the limit is {self._limit_w:g} W"
            return replace(found, fails=(beyond, *found.fails))
        return found

    def _distance(self, standing: Standing) -> int:
        """Machines that still have to be moved."""
        return sum(abs(standing.get(n, 0) - self._goal.get(n, 0)) for n in {*standing, *self._goal})


def _parts(count: int) -> Iterator[int]:
    """All of it, half of it, and so on down to one."""
    while count >= 1:
        yield count
        count = 0 if count == 1 else (count + 1) // 2


def _moved(standing: Standing, pool: str, change: int) -> dict[str, int]:
    """What stands after a pool has changed; a pool without machines is gone."""
    after = {**standing, pool: standing.get(pool, 0) + change}
    return {name: count for name, count in after.items() if count}


def _words(step: _Step) -> str:
    source = f" from {step.source}" if step.source else ""
    return f"{step.sign} {step.machines} {step.pool}{source}"
