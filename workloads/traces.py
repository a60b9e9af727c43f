"""Traces: requests in columns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.prefixes import Prefixes
from workloads.requests import ALL_REQUESTS, RequestClass, check_classes

_SHARE_SEED = 20_260
"""Of the classes that are told apart by share: no draw of a workload has it."""

_SHOWN = 12

MOST_TOKENS = 1 << 30
"""Of a prompt or an output: a hundred times the longest context that any model is said to have."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """Requests in the order of arrival.

    Attributes:
        name: file name or built-in id.
        arrival_s: (n,) seconds from the start, non-decreasing, >= 0.
        prompt_tokens: (n,) >= 1.
        output_tokens: (n,) >= 1.
        class_index: (n,) position in ``classes``.
        classes: the classes; one that holds everything where none were given.
        duration_s: length of the observed window, >= the last arrival, > 0.
        skipped_rows: rows of the file that were left out on request.
        cached_tokens: (n,) of each prompt, the tokens whose KV a prefix cache holds already, >= 0 and below its length;
            None where there is no prefix cache.
        notes: what was inferred or repaired when the trace was read, full sentences.
        repeated_frac: share of prompt tokens whose KV an unbounded prefix cache would hold; None where the file does
            not say.
        prefixes: blocks of the prompts, by which caches find those that begin alike; None where the file does not say.
        timed: whether the file says when requests arrive; where not, all stand at 0 s.
        labels: (n,) what the file calls the kind of each request; None where that was not read, or is done with.
    """

    name: str
    arrival_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    class_index: NDArray[np.int64]
    classes: tuple[RequestClass, ...] = (ALL_REQUESTS,)
    duration_s: float
    skipped_rows: int = 0
    cached_tokens: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    repeated_frac: float | None = None
    prefixes: Prefixes | None = None
    timed: bool = True
    labels: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.arrival_s)

    @property
    def rate_req_per_s(self) -> float:
        """Mean arrival rate."""
        return len(self) / self.duration_s


def plain_trace(
    name: str,
    arrival_s: NDArray[np.float64],
    prompt_tokens: NDArray[np.int64],
    output_tokens: NDArray[np.int64],
    *,
    duration_s: float,
    skipped_rows: int = 0,
) -> Trace:
    """A trace whose requests are all of one kind; the columns are those of ``Trace``."""
    return Trace(
        name=name,
        arrival_s=arrival_s,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        class_index=np.zeros(len(arrival_s), dtype=np.int64),
        duration_s=duration_s,
        skipped_rows=skipped_rows,
    )


def classify(trace: Trace, classes: Sequence[RequestClass]) -> Trace:
    """The same requests, each in the first class whose label and ranges hold it; or at random by the classes' shares.

    Raises:
        WorkloadError: the classes contradict each other, a request fits into none of them, or no request has a label.
    """
    check_classes(classes)
    class_index = np.full(len(trace), -1, dtype=np.int64)
    if any(c.share_frac is not None for c in classes):
        class_index = _by_share(len(trace), classes)
    else:
        for index, request_class in enumerate(classes):
            fits = request_class.holds(trace.prompt_tokens, trace.output_tokens) & _labelled(trace, request_class)
            class_index[fits & (class_index < 0)] = index
    homeless = np.flatnonzero(class_index < 0)
    if len(homeless):
        row = homeless[0]
        raise WorkloadError(
            f"{trace.name}: {len(homeless)} of {len(trace):,} requests fit no class, for example request {row + 1:,} "
            f"with {trace.prompt_tokens[row]:,} prompt and {trace.output_tokens[row]:,} output tokens"
            f"{_called(trace, row)}; expected the ranges of {', '.join(c.name for c in classes)} to hold every request"
        )
    return replace(trace, class_index=class_index, classes=tuple(classes), labels=None)


def _labelled(trace: Trace, request_class: RequestClass) -> NDArray[np.bool_]:
    """Which requests have the label of a class; all where it has none."""
    if request_class.label is None:
        return np.ones(len(trace), np.bool_)
    if trace.labels is None:
        raise WorkloadError(
            f"workload.classes: class '{request_class.name}': found the label '{request_class.label}', but the "
            f"requests of {trace.name} have none; expected a replayed trace file with a column of "
            "labels, ranges of lengths, or share_frac"
        )
    fits: NDArray[np.bool_] = trace.labels == request_class.label
    if not fits.any():
        known = ", ".join(f"'{each}'" for each in np.unique(trace.labels)[:_SHOWN])
        raise WorkloadError(
            f"workload.classes: class '{request_class.name}': no request of {trace.name} has the label "
            f"'{request_class.label}'; its labels are {known}"
        )
    return fits


def _called(trace: Trace, row: np.int64) -> str:
    """The label of a request, in words."""
    return "" if trace.labels is None else f" and the label '{trace.labels[row]}'"


def _by_share(requests: int, classes: Sequence[RequestClass]) -> NDArray[np.int64]:
    """A class for each of so many requests, at random and in the classes' shares; the same each time it is asked.

    The shares are exact to one request, as those of a sample drawn request by request are not.
    """
    given = sum(c.share_frac or 0.0 for c in classes)
    shares = [max(0.0, 1 - given) if c.share_frac is None else c.share_frac for c in classes]
    ends = np.cumsum(shares[:-1])
    place = (np.random.default_rng(_SHARE_SEED).permutation(requests) + 0.5) / max(1, requests)
    return np.searchsorted(ends, place, side="right").astype(np.int64)


def cut(trace: Trace, begin_s: float, end_s: float) -> Trace:
    """The requests that arrive from ``begin_s`` on and before ``end_s``, which becomes a trace of its own."""
    here = slice(*np.searchsorted(trace.arrival_s, (begin_s, end_s)))
    return replace(
        trace, arrival_s=trace.arrival_s[here] - begin_s, prompt_tokens=trace.prompt_tokens[here],
        output_tokens=trace.output_tokens[here], class_index=trace.class_index[here], duration_s=end_s - begin_s,
        cached_tokens=None if trace.cached_tokens is None else trace.cached_tokens[here],
        prefixes=trace.prefixes and trace.prefixes.picked(np.arange(len(trace))[here]),
    )  # fmt: skip


def of_classes(trace: Trace, indices: Collection[int]) -> Trace:
    """The requests of some classes, which arrive when they did."""
    here = np.flatnonzero(np.isin(trace.class_index, sorted(indices)))
    return replace(
        trace, arrival_s=trace.arrival_s[here], prompt_tokens=trace.prompt_tokens[here],
        output_tokens=trace.output_tokens[here], class_index=trace.class_index[here],
        cached_tokens=None if trace.cached_tokens is None else trace.cached_tokens[here],
        prefixes=trace.prefixes and trace.prefixes.picked(here),
        labels=None if trace.labels is None else trace.labels[here],
    )  # fmt: skip


def joined(first: Trace, then: Trace) -> Trace:
    """One trace after the other; both of the same classes."""

    def both(column: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(first, column), getattr(then, column)])

    return replace(
        then, arrival_s=np.concatenate([first.arrival_s, then.arrival_s + first.duration_s]),
        prompt_tokens=both("prompt_tokens"), output_tokens=both("output_tokens"), class_index=both("class_index"),
        duration_s=first.duration_s + then.duration_s, cached_tokens=None, prefixes=None,
    )  # fmt: skip


def scale_lengths(trace: Trace, prompt_scale: float, output_scale: float) -> Trace:
    """The same requests with longer or shorter prompts and outputs.

    Args:
        trace: any.
        prompt_scale: factor on every prompt, > 0; at least one token is left.
        output_scale: the same for outputs.
    """
    if prompt_scale == output_scale == 1:
        return trace
    prompt, output = (
        np.clip(np.rint(tokens * factor), 1, MOST_TOKENS).astype(np.int64)
        for tokens, factor in ((trace.prompt_tokens, prompt_scale), (trace.output_tokens, output_scale))
    )
    return replace(trace, prompt_tokens=prompt, output_tokens=output)


def shortened(trace: Trace, most_tokens: int) -> Trace:
    """The same requests, those of more tokens with a shorter prompt, and where that is not enough a shorter output.

    Args:
        trace: any.
        most_tokens: prompt and output together, at least 2.
    """
    if int((trace.prompt_tokens + trace.output_tokens).max(initial=0)) <= most_tokens:
        return trace
    output = np.minimum(trace.output_tokens, most_tokens - 1)
    return replace(trace, prompt_tokens=np.minimum(trace.prompt_tokens, most_tokens - output), output_tokens=output)
