"""Simulated epochs in a journal: a plan over time that was interrupted goes on with what it simulated."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter

from planner.compare.journal import Digests, Entry, Journal
from planner.errors import BadInput
from planner.files.plan_file import exact, plain
from planner.results.evidence import Judgement
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet

_JUDGEMENT = TypeAdapter(Judgement)


@dataclass(frozen=True, slots=True)
class KeptEpochs:
    """What a journal holds of one question.

    Attributes:
        journal: where it is kept.
        question: digest of the question and of the files that it names.
    """

    journal: Journal
    question: str

    def known(self, what: str) -> Judgement | None:
        """What was noted, bit for bit; None where nothing was."""
        found = self.journal.known(self._digest(what))
        return None if found is None else _JUDGEMENT.validate_python(found.result)

    def note(self, what: str, said: Judgement) -> None:
        """Keep what a simulation said.

        Raises:
            BadInput: the disk is full, or the file cannot be written to any more.
        """
        entry = Entry(digest=self._digest(what), name=said.workload, elapsed_s=0.0, result=plain(said, exact))
        self.journal.note(entry)

    def _digest(self, what: str) -> str:
        return sha256(f"{self.question} {what}".encode()).hexdigest()


def kept_epochs(journal: Journal, scenario: Scenario | Fleet) -> KeptEpochs:
    """What a journal holds of a scenario."""
    return KeptEpochs(journal, Digests().of("plan over time", scenario))


def expect_epochs(question: Scenario | Fleet, journal: Path | str | None, word: str) -> None:
    """That a journal has something to keep.

    Raises:
        BadInput: one is named, by ``word``, and the plan is of one load.
    """
    if journal is not None and getattr(question, "schedule", None) is None:
        raise BadInput(f"{word} {journal}: a plan of one load is simulated in one go; expected a plan over time")
