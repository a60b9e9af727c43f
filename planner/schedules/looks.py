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
        self._brief: dict[str, Judgement] = {}

    def of(self, what: str, look: Callable[[Judgement | None], Judgement], *, brief: bool = False) -> Judgement:
        """What is known of something, else what ``look`` says of it.

        Args:
            what: is looked at.
            look: of what a brief look said before, None where there was none.
            brief: enough to go on looking; what such a look finds wrong is wrong in full, as both are patient.
        """
        if what not in self._seen and not (brief and what in self._brief):
            said = self._known(what, brief=brief)
            if said is None:
                said = look(self._brief.get(what))
                if self._looks:
                    self._looks.note(self._name(what, brief=brief and said.valid), said)
            (self._brief if brief and said.valid else self._seen)[what] = said
        return self._seen[what] if what in self._seen else self._brief[what]

    def near(self, what: str, seeds: int) -> bool:
        """Whether a brief look alone is known, which took so many seeds: what is clear of its limits takes fewer."""
        return what not in self._seen and what in self._brief and len(self._brief[what].seeds) >= seeds

    def _known(self, what: str, *, brief: bool) -> Judgement | None:
        """What another run saw."""
        if self._looks is None:
            return None
        said = self._looks.known(self._name(what, brief=False))
        return self._looks.known(self._name(what, brief=True)) if said is None and brief else said

    def _name(self, what: str, *, brief: bool) -> str:
        """What a look is kept under; one that found nothing wrong is not the same in full."""
        return f"{self._whose} {what}{', briefly' if brief else ''}"
