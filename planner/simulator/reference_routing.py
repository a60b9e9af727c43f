"""The reference, who takes a request: the shortest queue, or one of the other phase where a phase is under pressure."""

from collections.abc import Sequence

from planner.perf.layout import Role
from planner.policies.base import Borrowing
from planner.simulator.reference_instance import Instance, Request

ENDLESS = 1 << 60
"""Tokens that wait for a phase of which no instance is up."""


class Router:
    """Chooses among the instances of a cluster.

    Attributes:
        instances: all of them.
        roles: of the phases, in their order.
        borrowing: when a phase borrows.
    """

    def __init__(self, instances: Sequence[Instance], roles: Sequence[Role], borrowing: Borrowing) -> None:
        """Over the instances as they are from now on."""
        self.instances, self.roles, self.borrowing = instances, roles, borrowing

    def serves(self, request: Request) -> bool:
        """Whether the plan has an instance for every phase of a request, or one that does both."""
        needed = self.roles if request.output_tokens > 1 else self.roles[:1]
        split = all(self.members(role, request) for role in needed)
        return split or bool(self.members(Role.MIXED, request))

    def members(self, role: Role, request: Request) -> list[Instance]:
        """Instances of a role that serve the class of a request."""
        return [i for i in self.instances if i.role is role and request.kind in i.pool.classes]

    def chosen(self, request: Request) -> list[Instance]:
        """The shortest queue of every phase, or one that does both; under pressure one of the other phase for both."""
        chosen = list[Instance]()
        both = self.shortest(self.members(Role.MIXED, request))
        if both:
            rival = self.shortest(self.members(self.roles[0], request))
            if not rival or self._load(both) < self._load(rival):
                return [both]
        for role in self.roles:
            members = self.members(role, request)
            own = self.shortest(members)
            if members and self._pressed(role, own):
                helper = self._helper(role, request, at_any_cost=own is None)
                if helper:
                    return [helper, helper]
            if members and not own:
                return [both] if both else []
            chosen += [own] if own else []
        return chosen

    def _helper(self, role: Role, request: Request, *, at_any_cost: bool) -> Instance | None:
        """One that is borrowed already, else one that is not, under no pressure itself where there is a choice."""
        others = [i for other in self.roles if other is not role for i in self.members(other, request)]
        for borrowed in (True, False):
            some = [i for i in others if bool(i.borrowed) is borrowed and self.fits(request, i, request.output_tokens)]
            best = self.shortest(some)
            if best and (at_any_cost or not any(self._pressed(one, best) for one in self.roles)):
                return best
        return None

    def _pressed(self, role: Role, instance: Instance | None) -> bool:
        """Whether more prompt tokens wait for a phase than may, to be computed or for memory; or none is up."""
        if not instance:
            return self.borrowing.borrows(role, ENDLESS)
        waiting = instance.uncomputed_tokens() if role is self.roles[0] else instance.landing_tokens()
        return self.borrowing.borrows(role, waiting)

    @staticmethod
    def shortest(members: list[Instance]) -> Instance | None:
        """Least pending tokens over planned speed, the first of equals, of those that are up."""
        able = [i for i in members if not i.down and not i.closed]
        return min(able, key=Router._load, default=None)

    @staticmethod
    def _load(instance: Instance) -> float:
        """Pending tokens over planned speed."""
        return instance.pending * (1 / instance.pool.speed)

    @staticmethod
    def fits(request: Request, instance: Instance, output_tokens: int) -> bool:
        """Whether a request alone fits the memory of an instance."""
        return request.prompt_tokens + output_tokens + 1 <= instance.body.kv_tokens
