"""Demand: what a workload asks per class, as rates and joint length samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.requests import RequestClass
from workloads.traces import Trace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassDemand:
    """The demand of one class.

    Attributes:
        request_class: which.
        rate_req_per_s: mean arrival rate, > 0.
        prompt_tokens: (k,) a joint sample of lengths, with ``output_tokens``.
        output_tokens: (k,).
        cached_tokens: (k,) of each prompt, the tokens that a prefix cache holds at best; None where there is none.
    """

    request_class: RequestClass
    rate_req_per_s: float
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64] | None = None

    @property
    def computed_tokens(self) -> NDArray[np.int64]:
        """(k,) tokens of each prompt that are left to compute."""
        return self.prompt_tokens if self.cached_tokens is None else self.prompt_tokens - self.cached_tokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """Every class of a workload that has requests."""

    classes: tuple[ClassDemand, ...]

    @property
    def rate_req_per_s(self) -> float:
        """Rate of all classes together."""
        return sum(c.rate_req_per_s for c in self.classes)

    @property
    def mean_output_tokens(self) -> float:
        """Mean output of the requests of all classes, tokens; 0 where there are none."""
        total = sum(c.rate_req_per_s * float(c.output_tokens.mean()) for c in self.classes)
        return total / self.rate_req_per_s if self.rate_req_per_s else 0.0

    @property
    def mean_tokens(self) -> float:
        """Mean prompt and output together, tokens; at least 1."""
        total = sum(
            c.rate_req_per_s * (float(c.prompt_tokens.mean()) + float(c.output_tokens.mean())) for c in self.classes
        )
        return max(1.0, total / self.rate_req_per_s) if self.rate_req_per_s else 1.0


def demand(trace: Trace, *, sample: int = 2000) -> Demand:
    """The demand a trace makes: mean rate, and an evenly spaced sample of about ``sample`` requests per class.

    The sample always holds the longest prompt and the longest request: what serves the sample has memory for all.
    """
    classes = []
    for index, request_class in enumerate(trace.classes):
        rows = np.flatnonzero(trace.class_index == index)
        if not len(rows):
            continue
        rate = len(rows) / trace.duration_s
        if len(rows) > sample:
            rows = _sampled(trace, rows, sample)
        classes.append(
            ClassDemand(
                request_class=request_class,
                rate_req_per_s=rate,
                prompt_tokens=trace.prompt_tokens[rows],
                output_tokens=trace.output_tokens[rows],
                cached_tokens=None if trace.cached_tokens is None else trace.cached_tokens[rows],
            )
        )
    return Demand(classes=tuple(classes))


def _sampled(trace: Trace, rows: NDArray[np.int64], sample: int) -> NDArray[np.int64]:
    """Evenly spaced rows, with the longest ones among them."""
    prompts = trace.prompt_tokens[rows]
    longest = [np.argmax(prompts), np.argmax(prompts + trace.output_tokens[rows])]
    return rows[np.unique(np.append(np.linspace(0, len(rows) - 1, sample).astype(np.int64), longest))]
