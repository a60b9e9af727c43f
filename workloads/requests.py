"""Requests and the classes they fall into."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClass:
    """A kind of request, told apart by its lengths.

    A request belongs to the first class of the list whose ranges hold it.

    Attributes:
        name: for example ``long``.
        prompt_min_tokens: inclusive.
        prompt_max_tokens: inclusive; None is unbounded.
        output_min_tokens: inclusive.
        output_max_tokens: inclusive; None is unbounded.
        priority: larger is served first where a policy uses it.
    """

    name: str
    prompt_min_tokens: int = 0
    prompt_max_tokens: int | None = None
    output_min_tokens: int = 0
    output_max_tokens: int | None = None
    priority: int = 0


ALL_REQUESTS = RequestClass(name="all")
