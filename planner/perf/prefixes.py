"""What prompts find in the prefix caches of the instances that compute them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isinf

import numpy as np

from planner.perf.instance import InstancePhysics
from workloads.prefixes import IDEAL
from workloads.traces import Trace


def caches_of(pools: Iterable[tuple[InstancePhysics, int]]) -> tuple[float, ...]:
    """Tokens that each prefix cache of a cluster keeps: one an attention rank, or one for all that forgets nothing.

    Args:
        pools: physics and number of instances.
    """
    known = tuple(pools)
    if any(isinf(body.prefix_tokens) for body, _ in known):
        return IDEAL
    return tuple(
        body.prefix_tokens / body.ranks
        for body, instances in known
        if body.prefix_tokens
        for _ in range(instances * body.ranks)
    )


def found(pools: Sequence[tuple[InstancePhysics, int]], trace: Trace) -> Trace:
    """The trace with what is found of its prompts; itself where nothing is kept or nothing tells what begins alike.

    What has to be loaded is counted as tokens that are computed in the time.
    """
    caches = caches_of(pools) if trace.prefixes else ()
    if not caches or trace.prefixes is None:
        return trace
    hits = trace.prefixes.hits(trace.prompt_tokens, caches)
    loading_frac = max(body.prefix_load_frac for body, _ in pools)
    return replace(trace, cached_tokens=(hits * (1 - loading_frac)).astype(np.int64) if loading_frac else hits)
