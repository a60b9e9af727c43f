"""A trace divided among equal cells, and put together again: each request is sent to one cell, by chance."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workloads.growth import picked
from workloads.traces import Trace


def cell_of_each(requests: int, cells: int, seed: int) -> NDArray[np.int64]:
    """(requests,) cell that each is sent to: by chance, whatever else is sent there."""
    return np.random.default_rng([seed, 3, cells]).integers(0, cells, requests)


def share(trace: Trace, cells: int, cell: int, seed: int) -> Trace:
    """The requests of a trace that are sent to one of so many cells, at their own times.

    What the trace has more of in one minute than in another, every cell has more of in that minute: bursts are shared.

    Args:
        trace: of all cells.
        cells: >= 1; of one, the trace is whole.
        cell: from 0.
        seed: of the router; with the same one each request is in exactly one cell.
    """
    if cells == 1:
        return trace
    return picked(trace, np.flatnonzero(cell_of_each(len(trace), cells, seed) == cell))


def together(traces: Sequence[Trace]) -> Trace:
    """The requests of several traces of one window in the order of their arrival; of equal times the first trace's."""
    order = np.argsort(np.concatenate([t.arrival_s for t in traces]), kind="stable")
    cached = [t.cached_tokens for t in traces if t.cached_tokens is not None]
    return replace(
        traces[0], arrival_s=np.concatenate([t.arrival_s for t in traces])[order],
        prompt_tokens=np.concatenate([t.prompt_tokens for t in traces])[order],
        output_tokens=np.concatenate([t.output_tokens for t in traces])[order],
        class_index=np.concatenate([t.class_index for t in traces])[order],
        cached_tokens=np.concatenate(cached)[order] if len(cached) == len(traces) else None, prefixes=None, labels=None,
    )  # fmt: skip
