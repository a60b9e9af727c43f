"""A measured run, served again in the simulator as it was served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw_catalog.engines import PROFILE_SETS, EngineTiming, timing_of
from hw_catalog.errors import CatalogError
from hw_catalog.load import Catalog
from hw_catalog.machines import Machine
from hw_catalog.profile_files import MEASURED, PLANNED, load_profiles
from hw_catalog.profiles import KernelProfile
from planner.accuracy.measured import MeasuredRun, Workers
from planner.perf.drafting import Drafting, drafting, steps_of, tokens_per_step
from planner.perf.instance import InstancePhysics, instance_physics
from planner.perf.kv import NO_EVICT, EngineSettings, promised_requests
from planner.perf.layout import Layout, Role
from planner.policies.batching import ChunkForm
from planner.policies.presets import policy
from planner.policies.topology import PhaseSplit
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import window
from planner.simulator.pools import Events, PoolModel
from planner.simulator.serve import serve
from workloads.errors import WorkloadError
from workloads.models import load_model
from workloads.traces import Trace, plain_trace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CUTOFF_S = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Where kernel profiles come from.

    Attributes:
        directory: of the user's catalog files, on top of the built-in ones; None is those alone.
        profile_set: for every run, whatever its engine; None takes that of its engine.
        read: profiles of files that were read, by model, GPU, set and kind.
    """

    directory: Path | None = None
    profile_set: str | None = None
    read: dict[tuple[str, ...], tuple[KernelProfile, ...]] = field(default_factory=dict, compare=False, repr=False)


BUILT_IN = Tables()
"""What ships with phasewise."""
MAX_BATCH = 2048
"""Most requests in a batch: above what the tables' runs had in flight."""


class Unmatched(ValueError):  # noqa: N818  an answer, not a failure
    """A run that no profile describes; says why."""


def predicted(
    found: MeasuredRun, catalog: Catalog, engines: Mapping[str, EngineTiming], tables: Tables = BUILT_IN
) -> Mapping[str, float]:
    """Every metric of a run, as the simulator has it.

    Raises:
        Unmatched: no kernel profile has its model, GPU, engine, layout and number format, or it does not fit.
    """
    pools = [_pool(found, workers, catalog, engines, tables) for workers in found.fleet]
    if found.kind == "maximum load":
        found = _saturated(found, pools)
    trace = _trace(found, pools)
    split = any(w.role is Role.PREFILL for w in found.fleet)
    rules = policy(
        "splitwise" if split else "colocated",
        PolicySection(max_batch_tokens=found.step_tokens, max_batch_size=MAX_BATCH),
        form=found.form or ChunkForm.STALL_FREE,  # SGLang's prompts first is no choice of a scenario
    )
    if isinstance(rules.topology, PhaseSplit):
        rules = replace(rules, topology=replace(rules.topology, answered_by=found.answered_by))
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.1, slices=1)
    books = serve(pools, rules, trace, measured, cutoff_s=CUTOFF_S, beside=Events(clients=found.clients)).ledger
    if books.refused:
        raise Unmatched("its requests do not fit the KV memory that the weights leave")
    rows = _reported(found, len(trace))
    ttft, e2e = np.asarray(books.ttft_s[rows]), np.asarray(books.e2e_s[rows])
    outputs = _lengths(found)[1][rows]
    return {
        "ttft_mean_s": float(np.mean(ttft)),
        "tpot_mean_s": float(np.mean((e2e - ttft) / np.maximum(1, outputs - 1))),
        "e2e_mean_s": float(np.mean(e2e)),
        "output_tokens_per_s_per_gpu": _speed_tokens_per_s(found, e2e, outputs) / found.gpus,
        **_tails(np.asarray(books.ttft_s), np.asarray(books.e2e_s)),
    }


def _tails(ttft_s: Floats, e2e_s: Floats) -> dict[str, float]:
    """Percentiles of a whole run: its first requests, which find no prefix kept, are in its tail."""
    return {
        f"{name}_p{percent}_s": float(np.quantile(values, percent / 100))
        for name, values in (("ttft", ttft_s), ("e2e", e2e_s))
        for percent in (90, 99)
    }


def _reported(found: MeasuredRun, n: int) -> slice:
    """Which requests the measured values are means of."""
    if not found.warm:
        return slice(0, n)
    if found.clients is not None:
        return slice(2 * found.clients, n - found.clients)
    return slice(n // 10, n - n // 10)


def _saturated(found: MeasuredRun, pools: Sequence[PoolModel]) -> MeasuredRun:
    """All requests at once, seen from the middle: as many in flight as memory and batch hold, more always waiting."""
    held = found.prompt_tokens + found.output_tokens // 2
    clients = max(1, sum(p.instances * min(MAX_BATCH, p.physics.kv_tokens // held) for p in pools))
    return replace(found, clients=clients, requests=4 * clients, warm=True)


def _speed_tokens_per_s(found: MeasuredRun, e2e_s: Floats, outputs: Ints) -> float:
    """Output tokens per second: at a rate what comes in, in a closed loop by Little's law."""
    if found.rate_req_per_s is not None:
        return found.rate_req_per_s * float(np.mean(outputs))
    return (found.clients or 0) * float(np.mean(outputs)) / float(np.mean(e2e_s))


def _trace(found: MeasuredRun, pools: Sequence[PoolModel]) -> Trace:
    """What was asked, and which part of it a prefix cache held already."""
    n = found.requests
    prompts, outputs = _lengths(found)
    first = found.distinct_prompts or 0
    prompts[:first] = np.rint(prompts[:first] * found.cold_ratio)
    if found.draft_tokens:
        outputs = steps_of(outputs, tokens_per_step(found.draft_tokens))
    rate = found.rate_req_per_s
    arrivals = np.arange(n) / rate if rate else np.zeros(n)
    if rate and found.poisson:
        arrivals = np.cumsum(np.random.default_rng(2).exponential(1 / rate, n))
    trace = plain_trace(
        found.row, arrivals, prompts, outputs, duration_s=max(n / rate, float(arrivals[-1])) if rate else 1.0
    )
    return replace(trace, cached_tokens=_cached(found, prompts, pools[0].physics.block_tokens))


def _lengths(found: MeasuredRun) -> tuple[Ints, Ints]:
    """Prompts and answers, tokens."""
    share = np.random.default_rng(1).uniform(found.shortest_frac, 1.0, (2, found.requests))
    prompts = np.maximum(1, np.rint(found.prompt_tokens * share[0]).astype(np.int64))
    return prompts, np.maximum(1, np.rint(found.output_tokens * share[1]).astype(np.int64))


def _cached(found: MeasuredRun, prompts: Ints, block: int) -> Ints:
    """Whole blocks that were seen before: of the system prompt at first, of everything once the prompts come again.

    The last token of a prompt is always computed, because its logits are wanted.
    """
    held: Ints = np.full(len(prompts), found.shared_tokens)
    if found.distinct_prompts is not None:
        held[found.distinct_prompts :] = prompts[found.distinct_prompts :]
    whole: Ints = np.minimum(held, prompts - 1) // block * block
    return whole


def _pool(
    found: MeasuredRun, workers: Workers, catalog: Catalog, engines: Mapping[str, EngineTiming], tables: Tables
) -> PoolModel:
    """Equal workers as a pool."""
    physics = physics_of(found, workers, catalog, engines, tables)
    return PoolModel(
        name=workers.role.value, role=workers.role, physics=physics,
        instances=workers.workers, speed=1.0, classes=frozenset({0}),
        chunk_tokens=found.step_tokens if found.form else None,
        max_batch_size=min(workers.max_batch_size or MAX_BATCH * workers.dp, _promised(found, workers, physics)),
        max_batch_tokens=workers.max_batch_tokens,
    )  # fmt: skip


def _promised(found: MeasuredRun, workers: Workers, physics: InstancePhysics) -> int:
    """Requests that a worker has memory for if that of whole answers is set aside, as TensorRT-LLM does.

    The other engines take memory block by block.
    """
    if found.engine not in NO_EVICT or workers.role is Role.PREFILL:
        return MAX_BATCH * workers.dp
    mean_tokens = (found.prompt_tokens + found.output_tokens) * (1 + found.shortest_frac) / 2
    return promised_requests(physics.kv_tokens, mean_tokens, workers.dp)


def physics_of(
    found: MeasuredRun,
    workers: Workers,
    catalog: Catalog,
    engines: Mapping[str, EngineTiming],
    tables: Tables = BUILT_IN,
) -> InstancePhysics:
    """One worker.

    Raises:
        Unmatched: no kernel profile describes it, or its weights do not fit.
    """
    machine = machine_of(found.gpu, workers.tp * workers.dp, catalog)
    profile, model = profile_of(found, workers, tables), load_model(found.model)
    timing = timing_of(
        engines, profile, mode=found.mode, layouts=found.layouts_said, together=workers.role is Role.MIXED
    )
    if found.draft_tokens and workers.role is not Role.PREFILL:
        gained = tokens_per_step(found.draft_tokens)
        profile = drafting(
            profile, Drafting(draft_tokens=found.draft_tokens, step_tokens=gained), layers=model.layers,
            ahead_tokens=(1 - 1 / gained) * found.output_tokens * (1 + found.shortest_frac) / 4,
        )  # fmt: skip
    body = instance_physics(
        model,
        machine,
        Layout(tp=workers.tp, ep=workers.ep, dp=workers.dp),
        profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=_longest_step(found, workers), block_tokens=16),
        timing=replace(timing, lag_steps=timing.lag_steps + found.wait_steps),
    )
    if found.layouts_said and body.kv_tokens < found.prompt_tokens + found.output_tokens:
        body = replace(body, kv_blocks=_served_blocks(found, workers))
    if not body.kv_blocks:
        raise Unmatched("the weights leave no GPU memory for a KV cache")
    return body


def _served_blocks(found: MeasuredRun, workers: Workers) -> int:
    """Blocks of a worker that served although its weights seem to leave no room: what its clients hold."""
    requests = -(-(found.clients or 1) // workers.workers) + workers.dp
    return requests * -(-(found.prompt_tokens + found.output_tokens + 2) // 16)


def _longest_step(found: MeasuredRun, workers: Workers) -> int:
    """Tokens of the longest step of one attention rank: where it only decodes, its requests and their drafts."""
    if workers.role is Role.DECODE and workers.max_batch_size:
        return max(1, workers.max_batch_size // workers.dp) * (1 + found.draft_tokens)
    return workers.max_batch_tokens or found.step_tokens


def machine_of(gpu: str, gpus: int, catalog: Catalog) -> Machine:
    """A machine type with these GPUs: the smallest that joins as many as a worker spans, else one that several make up.

    Raises:
        Unmatched: none does.
    """
    machines = sorted((m for m in catalog.machines.values() if m.gpu.name == gpu), key=lambda m: (m.gpus, m.name))
    joined = [m for m in machines if m.gpus >= gpus]
    spanned = [m for m in machines if gpus % m.gpus == 0 and m.inter_link.exists]
    if not joined and not spanned:
        raise Unmatched(f"no machine in the catalog joins {gpus} {gpu}")
    return joined[0] if joined else spanned[-1]


def profile_set_of(found: MeasuredRun, tables: Tables = BUILT_IN) -> str:
    """The profile set that a run is replayed on; empty where its engine has none."""
    return tables.profile_set or PROFILE_SETS.get(found.engine, "")


def profile_of(found: MeasuredRun, workers: Workers, tables: Tables = BUILT_IN) -> KernelProfile:
    """The kernel profile of a worker.

    Raises:
        Unmatched: there is none.
    """
    profile_set = profile_set_of(found, tables)
    if not profile_set:
        raise Unmatched(f"engine {found.engine} has no kernel tables")
    words = (
        f"{found.dtype} {found.model}, {found.kv_dtype} KV cache, on {found.gpu} at {workers.layout} in {profile_set}"
    )
    try:
        name = load_model(found.model).name
    except WorkloadError as error:
        raise Unmatched(str(error)) from None
    mine = [p for of in (PLANNED, MEASURED) for p in _profiles(tables, name, found.gpu, profile_set, of)]
    wanted = (workers.tp, workers.dp, found.dtype, workers.ep, found.kv_dtype)
    fitting = [p for p in mine if (p.tp, p.dp, p.dtype, p.ep, p.kv_dtype) == wanted]
    if not fitting:
        raise Unmatched(f"no kernel profile of {words}")
    return fitting[0]


def _profiles(tables: Tables, model: str, gpu: str, profile_set: str, of: str) -> tuple[KernelProfile, ...]:
    """The profiles of one file; none where there is no such file."""
    file = (model, gpu, profile_set, of)
    if file not in tables.read:
        try:
            found = load_profiles(tables.directory, model=model, gpu=gpu, profile_set=profile_set, of=of)
        except CatalogError:
            found = ()
        tables.read[file] = found
    return tables.read[file]
