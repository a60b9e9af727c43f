"""Traces: requests in columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.requests import ALL_REQUESTS, RequestClass


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
    """

    name: str
    arrival_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    class_index: NDArray[np.int64]
    classes: tuple[RequestClass, ...] = (ALL_REQUESTS,)
    duration_s: float
    skipped_rows: int = 0

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.arrival_s)

    @property
    def rate_req_per_s(self) -> float:
        """Mean arrival rate."""
        return len(self) / self.duration_s
