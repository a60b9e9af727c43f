"""The demand of drawn requests: how often each kind was drawn says nothing of its rate, its share does."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workloads.demand import Demand, demand
from workloads.traces import Trace


def at_rate(parts: Sequence[tuple[Trace, float]], rate: float) -> Demand:
    """The demand of drawn requests, each trace counting for its share of the rate that was asked for."""
    kept = [_in_proportion(trace, share, parts) for trace, share in parts]
    prompt, output, index = (
        np.concatenate([getattr(t, column) for t in kept])
        for column in ("prompt_tokens", "output_tokens", "class_index")
    )
    joined = replace(
        parts[0][0], arrival_s=np.arange(len(prompt)) / rate, prompt_tokens=prompt, output_tokens=output,
        class_index=index, duration_s=len(prompt) / rate,
    )  # fmt: skip
    asked = {
        name.name: rate * sum(share * float(np.mean(t.class_index == place)) for t, share in parts if share)
        for place, name in enumerate(joined.classes)
    }
    found = demand(joined)
    classes = (replace(c, rate_req_per_s=asked[c.request_class.name]) for c in found.classes)
    return replace(found, classes=tuple(classes))


def _in_proportion(trace: Trace, share: float, parts: Sequence[tuple[Trace, float]]) -> Trace:
    """A trace with no more requests of a class than its share of all that are drawn of it: the quantiles of the others.

    Every kind is drawn as often as any other, so the rarer one has to be thinned where one class holds several.
    """
    several = [place for place in np.flatnonzero(np.bincount(trace.class_index))
               if sum(bool(other and (t.class_index == place).any()) for t, other in parts) > 1]  # fmt: skip
    if not share or not several:
        return trace
    fewest = min(len(t) / other for t, other in parts if other)
    order = np.argsort(trace.prompt_tokens + trace.output_tokens, kind="stable")
    rows = [order[~np.isin(trace.class_index[order], several)]]
    for place in several:
        mine = order[trace.class_index[order] == place]
        count = max(1, round(len(mine) / len(trace) * share * fewest))
        rows.append(mine[((np.arange(count) + 0.5) * len(mine) / count).astype(int)])
    return _only(trace, np.sort(np.concatenate(rows)))


def longest(trace: Trace) -> Trace:
    """The longest prompt and the longest request of a trace: what its validation will need memory for."""
    rows = {int(np.argmax(trace.prompt_tokens)), int(np.argmax(trace.prompt_tokens + trace.output_tokens))}
    return _only(trace, np.array(sorted(rows)))


def _only(trace: Trace, rows: NDArray[np.int64]) -> Trace:
    """Some requests of a trace."""
    return replace(
        trace, arrival_s=trace.arrival_s[rows], prompt_tokens=trace.prompt_tokens[rows],
        output_tokens=trace.output_tokens[rows], class_index=trace.class_index[rows],
    )  # fmt: skip
