"""Cluster designs by name: which machine type computes prompts, which generates tokens.

A design is short for keys of a scenario: ``catalog.machines``, ``catalog.roles`` and ``policy.name``. It is spelled out
before anything else looks at the scenario.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hw_catalog.strict_files import spell
from planner.errors import BadInput, nearest
from planner.scenario.reading import Document, Path_

A100 = "dgx-a100"
H100 = "dgx-h100"
H100_CAPPED = "dgx-h100-cap350"
PAIR = "splitwise:"
"""Begins the design of any two machine types: ``splitwise:<prefill machine>+<decode machine>``."""

_KEY: Path_ = ("catalog", "design")


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A machine type for each phase.

    Attributes:
        name: for example ``Splitwise-HA``.
        prompt_machine: computes prompts, and in a colocated design tokens too.
        token_machine: generates tokens; None where one machine does both.
    """

    name: str
    prompt_machine: str
    token_machine: str | None = None

    @property
    def roles(self) -> dict[str, list[str]]:
        """``catalog.roles`` of the design."""
        if self.token_machine is None:
            return {self.prompt_machine: ["mixed"]}
        if self.token_machine == self.prompt_machine:
            return {self.prompt_machine: ["prefill", "decode"]}
        return {self.prompt_machine: ["prefill"], self.token_machine: ["decode"]}

    @property
    def policies(self) -> tuple[str, ...]:
        """``policy.name`` that can run it, the usual one first."""
        return ("splitwise", "splitwise-sim", "auto") if self.token_machine else ("colocated", "sarathi", "auto")


DESIGNS = (
    Design(name="Baseline-A100", prompt_machine=A100),
    Design(name="Baseline-H100", prompt_machine=H100),
    Design(name="Splitwise-AA", prompt_machine=A100, token_machine=A100),
    Design(name="Splitwise-HH", prompt_machine=H100, token_machine=H100),
    Design(name="Splitwise-HA", prompt_machine=H100, token_machine=A100),
    Design(name="Splitwise-HHcap", prompt_machine=H100, token_machine=H100_CAPPED),
)
"""The designs of Splitwise (Patel et al., ISCA'24)."""


def spelled_out(document: Document) -> tuple[Document, tuple[str, ...]]:
    """The scenario with the keys that its design stands for in the design's place.

    A design that was typed on the command line replaces those keys of the file. Beside keys written in the same place,
    and below keys that were typed, it would contradict them.

    Returns:
        The scenario, and what is wrong: there is no such design, or it contradicts a key beside it. What else is wrong
        can still be told of the scenario.
    """
    catalog = document.data.get("catalog")
    if not isinstance(catalog, Mapping) or catalog.get("design") is None:
        return document, ()
    place = document.places.get(_KEY, document.place(_KEY))
    try:
        made = _named(catalog["design"], place)
    except BadInput as wrong:
        if catalog.get("machines") is None:
            document = document.completed(("catalog", "machines"), [H100], place)
        return document.completed(_KEY, None, place), wrong.problems
    usual, *others = made.policies
    problems: list[str] = []
    for path, value, allowed in (
        (("catalog", "machines"), list(made.roles), [list(made.roles)]),
        (("catalog", "roles"), made.roles, [made.roles, {}]),
        (("policy", "name"), usual, [usual, *others]),
    ):
        found = _at(document.data, path)
        if path == ("policy", "name") and found in allowed:
            continue
        if found is not None and found not in allowed and not _replaced(document, path, place):
            wanted = " or ".join(str(each) for each in allowed if each)
            problems.append(
                f"{document.place(path)}: {spell(path)}: found {found}; expected {wanted}, or no such key: "
                f"{spell(_KEY)} {made.name.lower()} stands for it"
            )
        document = document.completed(path, value, place)
    return document.completed(_KEY, None, place), tuple(problems)


def _named(word: object, place: str) -> Design:
    """The design of that name, whatever its case, or of that pair of machine types."""
    text = word.strip() if isinstance(word, str) else str(word)
    known = {design.name.lower(): design for design in DESIGNS}
    if text.lower() in known:
        return known[text.lower()]
    prompt, plus, token = text.removeprefix(PAIR).partition("+")
    if text.startswith(PAIR):
        if plus and prompt.strip() and token.strip() and "+" not in token:
            return Design(name=text, prompt_machine=prompt.strip(), token_machine=token.strip())
        raise BadInput(f"{place}: {spell(_KEY)}: found {word!r}; expected {PAIR}<prefill machine>+<decode machine>")
    pair = f"or {PAIR}<prefill machine>+<decode machine>"
    raise BadInput(f"{place}: {spell(_KEY)}: found {word!r}; {nearest(text.lower(), known)} {pair}")


def _at(data: Mapping[str, Any], path: Path_) -> object:
    """What stands at a path; None for nothing."""
    section = data.get(str(path[0]))
    return section.get(str(path[1])) if isinstance(section, Mapping) else None


def _replaced(document: Document, path: Path_, place: str) -> bool:
    """Whether a key was written in the file and the design was typed on the command line, so that the design wins."""
    return place.startswith("--") and not document.places.get(path, "").startswith("--")
