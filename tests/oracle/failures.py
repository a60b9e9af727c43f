"""Machines that fail: what is lost with them, and what becomes of the requests."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import simpy

from planner.simulator.pools import Failure
from tests.oracle.instance import Instance
from tests.oracle.records import Request
from tests.oracle.router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class Outages:
    """Failures at work on a cluster.

    A request is lost with a machine that holds any of it: where it waits, is computed, decodes, has landed, or where
    its KV cache comes from or goes to. One that only was to move there later gets another home.

    Attributes:
        env: the clock.
        instances: by index.
        router: who takes new requests.
        flights: KV caches on the link, by request.
        rehome: finds another home for a request that has not left its prefill instance.
        restart: what becomes of a lost request.
        repaired: called when instances are back.
    """

    env: simpy.Environment
    instances: Sequence[Instance]
    router: Router
    flights: dict[int, Request]
    rehome: Callable[[Request], None]
    restart: Callable[[Request], None]
    repaired: Callable[[], None]

    def happen(self, failure: Failure) -> Generator[simpy.Event, None, None]:
        """Let one failure happen, and its repair."""
        yield self.env.timeout(failure.at_s)
        dead = [i for i in self.instances if i.stands_on(failure.machine)]
        self._strike(dead)
        if failure.repair_s is not None:
            yield self.env.timeout(failure.repair_s)
            for instance in dead:
                self.router.up(instance.index)
            self.repaired()

    def _strike(self, dead: list[Instance]) -> None:
        """Lose everything on some instances.

        The books are put right everywhere before anyone is woken: whoever wakes acts on them.
        """
        gone = {i.index for i in dead}
        for instance in dead:
            self.router.down(instance.index)
        held = [r for i in dead for r in i.landing if r.sent_by not in gone]
        lost = [r for i in dead for r in (*i.landing, *i.fail())]
        promised = [r for r in lost if self._up(r.home, gone) and r.transfer_end_s >= 0]
        for request in [r for r in self.flights.values() if gone & {r.home, r.sent_by}]:
            del self.flights[request.index]
            lost.append(request)
            if self._up(request.home, gone):
                promised.append(request)
            elif self._up(request.sent_by, gone):
                held.append(request)
        missed = self._missed(gone)
        lost += missed
        for request in lost:
            if self._up(request.home, gone):
                self.router.pend(request.home, -request.prompt_tokens)
        for request in held:
            self.instances[request.sent_by].release(request.prefill_tokens)
        for request in promised:
            self.instances[request.home].cancel(request)
        for request in missed:  # whoever waited behind it may fit
            self.instances[request.home].admit_landing()
        for request in sorted(lost, key=lambda r: r.index):
            self.restart(request)

    @staticmethod
    def _up(instance: int, gone: set[int]) -> bool:
        """Whether there is such an instance and it is not among those that fail."""
        return instance >= 0 and instance not in gone

    def _missed(self, gone: set[int]) -> list[Request]:
        """Requests that wait elsewhere for a KV cache that is lost; those with only a lost future get another."""
        lost = []
        for instance in self.instances:
            if instance.index in gone:
                continue
            for request in [r for r in instance.landing if r.sent_by in gone]:
                instance.withdraw(request)
                lost.append(request)
            for request in instance.uncomputed():
                if request.home in gone:
                    self.rehome(request)
        return lost
