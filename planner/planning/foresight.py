"""Looks at what will be judged next, taken by copies of this process while it judges something else."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from planner.executor.ahead import Ahead
from planner.planning.served import Key, key_of
from planner.resolve.case import Case
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan
from planner.simulator.judge import Note
from planner.simulator.traffic import Judging

LOOK = Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95)
"""A look whose shares and confidence are those of the case."""

BRIEF, FULL = replace(LOOK, early=True, brief=True), replace(LOOK, early=True)
"""A look that is enough to go on looking, and one at what becomes an answer."""


class Foresight(ABC):
    """What a planning run has seen, and what copies of it look at already.

    Attributes:
        case: that is planned.
        alike: what looks at candidates depend on besides the case.
    """

    case: Case
    alike: object
    _seen: dict[tuple[Key, bool], Judgement]
    _full: set[tuple[Key, bool]]
    _ahead: Ahead[Judgement]

    @abstractmethod
    def _looked(
        self, candidate: CandidatePlan, judging: Judging, note: Note | None = None, brief: Judgement | None = None
    ) -> Judgement:
        """What a simulation says of a candidate, after a brief look or without: of its arguments alone."""

    def look_ahead(self, candidates: Iterable[CandidatePlan | None], *, beside: CandidatePlan) -> None:
        """Start to look briefly at what will be judged next if all goes as expected, as far as cores are idle.

        Args:
            candidates: the likeliest first.
            beside: is judged meanwhile. Where that takes no time nothing is started: this process is next to do it.
        """
        if self._looked_at(beside):
            return
        for candidate in filter(None, candidates):
            if not self._ahead.idle:
                return
            if not self._looked_at(candidate):
                key = key_of(candidate, stepwise=False), True
                self._ahead.start((key, BRIEF), partial(self._looked, candidate, BRIEF))

    def look_ahead_in_full(self, candidate: CandidatePlan) -> None:
        """Start the longer look at a candidate that a brief one found valid, if a core is idle."""
        key = key_of(candidate, stepwise=False), True
        known = self._seen.get(key)
        if known and known.valid and key not in self._full and (self.alike, key, FULL) not in self.case.looks:
            self._ahead.start((key, FULL), partial(self._looked, candidate, FULL, None, known))

    def _looked_at(self, candidate: CandidatePlan) -> bool:
        """Whether a brief look at a candidate has been taken, be it by a copy."""
        key = key_of(candidate, stepwise=False), True
        return key in self._seen or (self.alike, key, BRIEF) in self.case.looks or self._ahead.told((key, BRIEF))
