"""Routing: the queues a policy chooses from, the instances that are lent, and those that are down."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.perf.layout import Role
from planner.policies.base import Policy
from planner.simulator.pools import UNLIMITED
from tests.oracle.instance import Instance
from tests.oracle.records import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An instance as the router sees it.

    Attributes:
        instance: the instance.
        speed: relative planned speed, > 0; queues are compared in units of it.
        classes: indices of the request classes it serves.
    """

    instance: Instance
    speed: float
    classes: frozenset[int]


class _Queue:
    """The pending tokens of the instances that take one phase of one class, over their planned speed."""

    __slots__ = ("instances", "loads", "places", "tokens", "weights")

    def __init__(self, members: list[Member]) -> None:
        """Nothing pending."""
        self.instances = [m.instance for m in members]
        self.weights = [1.0 / m.speed for m in members]
        self.tokens, self.loads = [0] * len(members), [0.0] * len(members)
        self.places = {instance.index: i for i, instance in enumerate(self.instances)}

    def add(self, instance: int, tokens: int) -> None:
        """Note ``tokens`` more (or fewer) pending at an instance, if it is a member."""
        place = self.places.get(instance)
        if place is not None:
            self.tokens[place] += tokens  # whole: rounding must not tell equals apart
            self.loads[place] = self.tokens[place] * self.weights[place]

    def clear(self, instance: int) -> None:
        """Nothing is pending at an instance any more."""
        place = self.places[instance]
        self.tokens[place], self.loads[place] = 0, 0.0


class Router:
    """Who takes a request.

    An instance is lent while it holds a guest: a request that it took for the other phase. A guest is computed and
    decoded where it is, so nothing of it moves and no two instances ever wait for each other's memory.

    Attributes:
        first: role of the first phase.
        then: role of the next, where there is one.
    """

    def __init__(self, members: Sequence[Member], policy: Policy, classes: int) -> None:
        """Nothing pending, nobody lent, nobody down.

        Args:
            members: all instances, by index.
            policy: chooses.
            classes: number of request classes.
        """
        self._routing, self._lending = policy.routing, policy.lending
        roles = policy.topology.roles()
        self.first, self.then = roles[0], policy.topology.next_hop(roles[0])
        self._queues = [
            {role: _Queue([m for m in members if m.instance.role is role and index in m.classes]) for role in roles}
            for index in range(classes)
        ]
        self._of_instance = [
            [q for c in self._queues for q in c.values() if m.instance.index in q.places] for m in members
        ]
        self._guests = [0] * len(members)
        self._outages = [0] * len(members)
        self._closed = [False] * len(members)
        self._all_up = True

    def serves(self, request: Request, request_class: int) -> bool:
        """Whether the plan has instances for every phase of a request.

        A class whose requests all end with their first token may have none for a second phase.
        """
        queues = self._queues[request_class]
        ends_here = self.then is None or request.output_tokens <= 1
        return bool(queues[self.first].instances) and (ends_here or bool(queues[self.then or self.first].instances))

    def choose(self, request: Request, request_class: int) -> dict[Role, Instance]:
        """The instance of every phase, chosen at arrival; empty while a phase has none that is up.

        Where one phase borrows, one and the same instance does both.
        """
        queues, chosen = self._queues[request_class], {}
        for role, queue in queues.items():
            if not queue.instances:
                continue
            own = self._shortest(queue)
            if self._lending.borrows(role, self._pressure_tokens(role, own)):
                lender = self._lender(role, queues, request, at_any_cost=own is None)
                if lender is not None:
                    return dict.fromkeys(queues, lender)
            if own is None:
                return {}
            chosen[role] = own
        return chosen

    def resume(self, request_class: int) -> Instance | None:
        """The instance that continues a request whose prompt is computed; None while there is none that is up."""
        return self._shortest(self._queues[request_class][self.then or self.first])

    def pend(self, instance: int, tokens: int) -> None:
        """Change the pending tokens of an instance in every queue it is a member of."""
        for queue in self._of_instance[instance]:
            queue.add(instance, tokens)

    def welcome(self, request: Request) -> None:
        """An instance takes a request for the other phase: it is lent until all such work is done."""
        request.guest = True
        self._guests[request.sent_by] += 1

    def farewell(self, request: Request) -> None:
        """The work that a guest was taken for is done."""
        if request.guest:
            request.guest = False
            self._guests[request.sent_by] -= 1

    @property
    def lent(self) -> int:
        """Instances that hold guests."""
        return sum(guests > 0 for guests in self._guests)

    def down(self, instance: int) -> None:
        """An instance has failed: it holds nothing and takes nothing."""
        self._outages[instance] += 1
        self._guests[instance] = 0
        self._all_up = False
        for queue in self._of_instance[instance]:
            queue.clear(instance)

    def up(self, instance: int) -> None:
        """An instance is repaired, as often as it has failed."""
        self._outages[instance] -= 1
        self._all_up = not any(self._outages)

    def close(self, instance: int) -> None:
        """An instance takes nothing new; closed twice is closed once."""
        if not self._closed[instance]:
            self._closed[instance] = True
            self._outages[instance] += 1
            self._all_up = False

    def open(self, instance: int) -> None:
        """A closed instance takes requests again."""
        if self._closed[instance]:
            self._closed[instance] = False
            self.up(instance)

    def _shortest(self, queue: _Queue) -> Instance | None:
        """The instance of a queue that the policy chooses among those that are up."""
        if self._all_up and queue.instances:
            return queue.instances[self._routing.choose(queue.loads)]
        return self._among(queue, [i for i in queue.instances if not self._outages[i.index]])

    def _among(self, queue: _Queue, some: list[Instance]) -> Instance | None:
        """The instance that the policy chooses among some of a queue."""
        return some[self._routing.choose([queue.loads[queue.places[i.index]] for i in some])] if some else None

    def _lender(
        self, role: Role, queues: dict[Role, _Queue], request: Request, *, at_any_cost: bool
    ) -> Instance | None:
        """Who helps out: of the other phase's instances one that is lent already, else one that is not.

        None where none could hold the whole request, or all are under pressure themselves and need not help
        ``at_any_cost``.
        """
        others = [queue for other, queue in queues.items() if other is not role]
        for lent in (True, False):
            for queue in others:
                found = self._among(
                    queue,
                    [
                        i for i in queue.instances
                        if bool(self._guests[i.index]) is lent and not self._outages[i.index]
                        and i.memory.blocks(request.prompt_tokens + request.output_tokens + 1) <= i.memory.total
                    ],
                )  # fmt: skip
                pressed = any(self._lending.borrows(r, self._pressure_tokens(r, found)) for r in queues)
                if found and (at_any_cost or not pressed):
                    return found
        return None

    def _pressure_tokens(self, role: Role, instance: Instance | None) -> int:
        """Prompt tokens that wait at an instance for a phase, to be computed or for memory; without one, no end."""
        if instance is None:
            return UNLIMITED
        return instance.uncomputed_tokens if role is self.first else instance.landing_tokens
