"""A prefix cache in a scenario: what traces and prompts find in it, and the memory that instances give for it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from hw_catalog.machines import Machine
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Layout, Role
from planner.perf.prefixes import caches_of
from planner.scenario import Scenario
from planner.scenario.choices import listed
from planner.scenario.prefix_section import IDEAL, PrefixSection
from workloads.counts import percent
from workloads.demand import Demand
from workloads.models import ModelSpec
from workloads.prefixes import IDEAL as ONE_CACHE
from workloads.traces import Trace

GIB = 2**30

HOST_BYTES_PER_S = 32e9
"""From the host to a GPU. Assumed: PCIe 4, the slowest of hw_catalog/data/links.yaml, everywhere."""

TYPICAL_TOKENS = 4096
"""Prompt by which computing KV is compared with loading it."""

_TURN_SEED = 17
"""Of the turns that requests are: no draw of a workload has it."""

Ints = NDArray[np.int64]


def stated(section: PrefixSection, prompt_tokens: Ints) -> Ints | None:
    """Tokens of each prompt that are found as a scenario states it; None where hashes tell, or nothing is kept.

    Of the prompt of turn k of a conversation, taken for k turns of one length, all but the last is found.
    """
    share = None
    if section.hit_frac is not None:
        share = np.full(len(prompt_tokens), section.hit_frac)
    elif section.turns is not None:
        turn = np.random.default_rng(_TURN_SEED).integers(1, section.turns + 1, len(prompt_tokens))
        share = (turn - 1) / turn
    return None if share is None else np.minimum(prompt_tokens - 1, (share * prompt_tokens).astype(np.int64))


def served_from(section: PrefixSection, trace: Trace) -> Trace:
    """A trace with what is found of its prompts, where that does not depend on who computes them."""
    found = stated(section, trace.prompt_tokens)
    return trace if found is None else replace(trace, cached_tokens=found, prefixes=None)


def at_best(section: PrefixSection, trace: Trace) -> Trace:
    """A trace with what one cache that forgets nothing would hold, where its hashes tell."""
    if section.gib is None or trace.prefixes is None or stated(section, trace.prompt_tokens) is not None:
        return trace
    return replace(trace, cached_tokens=trace.prefixes.hits(trace.prompt_tokens, ONE_CACHE))


def demand_from(section: PrefixSection, asked: Demand) -> Demand:
    """A demand with what is found of its prompts, where a scenario states it."""
    if section.hit_frac is None and section.turns is None:
        return asked
    return Demand(classes=tuple(replace(c, cached_tokens=stated(section, c.prompt_tokens)) for c in asked.classes))


def keeping(
    body: InstancePhysics, section: PrefixSection, model: ModelSpec, layout: Layout, role: Role
) -> InstancePhysics:
    """An instance that keeps prefixes: what it gives for them is not there for requests.

    Args:
        body: without a cache.
        section: says how much it keeps.
        model: whose KV is kept.
        layout: over which it is spread, or copied.
        role: instances that only decode keep none.
    """
    if section.gib is None or role is Role.DECODE:
        return body
    if section.gib == IDEAL:
        return replace(body, prefix_tokens=inf)
    held = model.kv_shards(layout.tp) * layout.dp * layout.pp * layout.kvp / layout.gpus
    tokens = section.gib * GIB / body.kv_bytes_per_token * held
    left = int(body.kv_blocks - tokens / body.block_tokens)
    more = tokens * section.host_gib / section.gib
    body = replace(body, prefix_tokens=tokens + more, kv_blocks=max(0, left))
    if not more:
        return body
    load_s = body.kv_bytes_per_token / (HOST_BYTES_PER_S * layout.gpus * held)
    computed_s = body.step.prefill_s([(TYPICAL_TOKENS, 0)]) / TYPICAL_TOKENS
    return replace(body, prefix_load_frac=min(1.0, load_s / computed_s))


def prefix_problems(scenario: Scenario, machines: Sequence[Machine], *, hashed: bool) -> tuple[str, ...]:
    """Caches that no GPU or no host holds, prefixes that nothing tells of, and what they are not simulated with.

    Args:
        scenario: the question.
        machines: that may be bought.
        hashed: whether the trace tells which prompts begin alike.
    """
    section = scenario.prefix_cache
    if section.gib is None:
        return ()
    found = []
    if section.hit_frac is None and section.turns is None and not hashed:
        found.append(
            "prefix_cache: found no hash_ids in the workload; expected prefix_cache.hit_frac or prefix_cache.turns, or "
            "a trace that is replayed and has them"
        )
    most = max((m.gpus * m.gpu.hbm_bytes / GIB for m in machines), default=inf)
    if section.gib != IDEAL and section.gib > most:
        found.append(
            f"prefix_cache.gib: found {section.gib:g}; expected at most {most:,.0f}, the memory of all GPUs of "
            f"{' or '.join(sorted({m.name for m in machines}))}"
        )
    host = max((inf if m.host_gib is None else m.host_gib for m in machines), default=inf)
    if section.host_gib > host:
        found.append(
            f"prefix_cache.host_gib: found {section.host_gib:g}; expected at most {host:,.0f}, the memory of the host "
            f"of {' or '.join(sorted({m.name for m in machines}))}"
        )
    beside = {
        "schedule": scenario.schedule is not None, "power.row_limit_w": scenario.power.row_limit_w is not None,
        "policy.name splitwise-sim": "splitwise-sim" in listed(scenario.policy.name),
    }  # fmt: skip
    found += [
        f"prefix_cache.gib: found {section.gib} beside {key}; expected null, prefix caches are not simulated with it"
        for key, there in beside.items()
        if there
    ]
    return tuple(found)


def prefix_words(section: PrefixSection, trace: Trace, pools: Sequence[tuple[InstancePhysics, int]]) -> Iterator[str]:
    """What a plan with a prefix cache finds in it, and what its queues leave out; full sentences.

    Args:
        section: says what is kept.
        trace: the first that is served.
        pools: physics and instances of the plan.
    """
    size = "an ideal cache" if section.gib == IDEAL else f"{section.gib:g} GiB of KV memory of every instance"
    size += f" and {section.host_gib:g} GiB of its host" if section.host_gib else ""
    total = float(trace.prompt_tokens.sum())
    if trace.prefixes is None or trace.cached_tokens is not None:
        share = 0.0 if trace.cached_tokens is None else float(trace.cached_tokens.sum()) / total
        yield f"prefix cache: {percent(share)} of prompt tokens are found, as stated; {size}"
        return
    caches = caches_of(pools)
    share, best = (float(trace.prefixes.hits(trace.prompt_tokens, each).sum()) / total for each in (caches, ONE_CACHE))
    yield (
        f"prefix cache: {percent(share)} of prompt tokens are found (an ideal cache: {percent(best)}), {size}; "
        "requests go where fewest tokens are to be computed, hits and what was computed there counted, while their "
        f"queues are simulated as the shortest{_LEAST if share < best else ''}"
    )


_LEAST = "; loads of the pools are planned with what an ideal cache finds: at least so much"
