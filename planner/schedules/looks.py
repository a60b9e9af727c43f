"""What was simulated of a question over time, so that nothing is simulated twice, in one run or in the next."""

from collections.abc import Callable
from typing import Protocol

from planner.results.evidence import Judgement


class Looks(Protocol):
    """What was simulated of a question before, kept beyond one run."""

    def known(self, what: str) -> Judgement | None:
        """What was noted; None where nothing was."""

    def note(self, what: str, said: Judgement) -> None:
        """Keep what a simulation said."""


class Memory:
    """What was simulated under one policy and in one precision."""

    def __init__(self, whose: str, looks: Looks | None) -> None:
        """Nothing seen yet in this run.

        Args:
            whose: the policy and the precision.
            looks: what other runs saw; None keeps nothing for them.
        """
        self._whose, self._looks = whose, looks
        self._seen: dict[str, Judgement] = {}

    def of(self, what: str, look: Callable[[], Judgement]) -> Judgement:
        """What is known of something, else what ``look`` says of it."""
        if what not in self._seen:
            whole = f"{self._whose} {what}"
            said = self._looks.known(whole) if self._looks else None
            if said is None:
                said = look()
                if self._looks:
                    self._looks.note(whole, said)
            self._seen[what] = said
        return self._seen[what]
