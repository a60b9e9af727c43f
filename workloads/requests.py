"""Requests and the classes they fall into."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClass:
    """A kind of request, told apart by its lengths and its label; or a share of all requests.

    A request belongs to the first class of the list whose label and ranges hold it.

    Attributes:
        name: for example ``long``.
        prompt_min_tokens: inclusive.
        prompt_max_tokens: inclusive; None is unbounded.
        output_min_tokens: inclusive.
        output_max_tokens: inclusive; None is unbounded.
        priority: the larger goes first at an instance.
        label: of its requests in a trace file; None holds every label.
        share_frac: of all requests, in (0, 1): which ones is chance; None where that is not how classes are told apart.
    """

    name: str
    prompt_min_tokens: int = 0
    prompt_max_tokens: int | None = None
    output_min_tokens: int = 0
    output_max_tokens: int | None = None
    priority: int = 0
    label: str | None = None
    share_frac: float | None = None

    @property
    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Lowest and highest tokens of the prompt and of the output, both inclusive."""
        prompt_max = inf if self.prompt_max_tokens is None else self.prompt_max_tokens
        output_max = inf if self.output_max_tokens is None else self.output_max_tokens
        return (self.prompt_min_tokens, prompt_max), (self.output_min_tokens, output_max)

    def holds(self, prompt_tokens: NDArray[np.int64], output_tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which requests lie in both ranges, (n,)."""
        (prompt_min, prompt_max), (output_min, output_max) = self.ranges
        prompt_fits = (prompt_min <= prompt_tokens) & (prompt_tokens <= prompt_max)
        return prompt_fits & (output_min <= output_tokens) & (output_tokens <= output_max)


ALL_REQUESTS = RequestClass(name="all")


def check_classes(classes: Sequence[RequestClass]) -> None:
    """A list of classes in which every request has at most one natural home.

    A later class may enclose an earlier one (it then takes the rest); any other overlap is refused, since which class a
    request falls into would hang on the order of the list alone.

    Raises:
        WorkloadError: there is no class, a name occurs twice, a range is empty, or two classes overlap; all are listed.
    """
    problems = [] if classes else ["found none, expected at least one"]
    names = [c.name for c in classes]
    problems += [
        f"class '{name}': the name is used twice, expected one class of that name"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    for c in classes:
        for kind, (low, high) in zip(("prompt", "output"), c.ranges, strict=True):
            if high < max(low, 1):
                problems.append(
                    f"class '{c.name}': {kind} range {low:g} to {high:g} holds no request, expected low <= high"
                )
    shared = [c for c in classes if c.share_frac is not None]
    problems += _share_problems(classes, shared) if shared else []
    for first, second in combinations(classes, 2):
        both = tuple(zip(first.ranges, second.ranges, strict=True))
        overlap = all(max(a[0], b[0]) <= min(a[1], b[1]) for a, b in both)
        encloses = all(b[0] <= a[0] and a[1] <= b[1] for a, b in both) and second.label in (None, first.label)
        overlap = overlap and (None in (first.label, second.label) or first.label == second.label)
        if overlap and not shared and (not encloses or (first.ranges, first.label) == (second.ranges, second.label)):
            problems.append(
                f"class '{second.name}': its ranges overlap those of '{first.name}' before it, "
                f"expected ranges apart from each other or a class that encloses '{first.name}'"
            )
    if problems:
        raise WorkloadError(*(f"workload.classes: {problem}" for problem in problems))


def _share_problems(classes: Sequence[RequestClass], shared: Sequence[RequestClass]) -> list[str]:
    """What is wrong with classes of which some are shares of all requests."""
    plain = RequestClass(name="")
    told = [c.name for c in classes if (c.ranges, c.label) != (plain.ranges, None)]
    total, rest = sum(c.share_frac or 0.0 for c in shared), len(classes) - len(shared)
    found = [
        f"class '{name}': has ranges or a label beside shares; expected classes told apart in one way" for name in told
    ]
    if rest > 1:
        found.append(f"share_frac: {rest} classes have none; expected one at most, which takes the rest")
    if (rest and not total < 1 - 1e-9) or (not rest and abs(total - 1) > 1e-9):
        found.append(f"share_frac: {total:g} together; expected {'less than 1' if rest else 'exactly 1'}")
    return found
