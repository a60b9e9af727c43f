"""A measured run, served again in the simulator as it was served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw_catalog.engines import EngineTiming, timing_of
from hw_catalog.errors import CatalogError
from hw_catalog.load import Catalog
from hw_catalog.machines import Machine
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.accuracy.measured import MeasuredRun, Workers
from planner.perf.instance import InstancePhysics, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout, Role
from planner.policies.batching import ChunkForm
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import window
from planner.simulator.pools import PoolModel
from planner.simulator.serve import serve
from workloads.errors import WorkloadError
from workloads.models import load_model
from workloads.traces import Trace, plain_trace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PROFILE_SETS = {
    "vllm": "aiconfigurator-0.12",
    "trtllm": "aiconfigurator-0.12-trtllm",
    "sglang": "aiconfigurator-0.12-sglang",
}
"""Kernel tables of each engine."""
CUTOFF_S = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Where kernel profiles come from.

    Attributes:
        directory: of the user's catalog files, on top of the built-in ones; None is those alone.
        profile_set: for every run, whatever its engine; None takes that of its engine.
    """

    directory: Path | None = None
    profile_set: str | None = None


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
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.1, slices=1)
    books = serve(pools, rules, trace, measured, cutoff_s=CUTOFF_S, clients=found.clients).ledger
    if books.refused:
        raise Unmatched("its requests do not fit the KV memory that the weights leave")
    rows = _reported(found, len(trace))
    ttft, e2e = np.asarray(books.ttft_s[rows]), np.asarray(books.e2e_s[rows])
    outputs = trace.output_tokens[rows]
    return {
        "ttft_mean_s": float(np.mean(ttft)),
        "tpot_mean_s": float(np.mean((e2e - ttft) / np.maximum(1, outputs - 1))),
        "e2e_mean_s": float(np.mean(e2e)),
        "output_tokens_per_s_per_gpu": _speed_tokens_per_s(found, e2e, outputs) / found.gpus,
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
    share = np.random.default_rng(1).uniform(found.shortest_frac, 1.0, (2, n))
    prompts = np.maximum(1, np.rint(found.prompt_tokens * share[0]).astype(np.int64))
    outputs = np.maximum(1, np.rint(found.output_tokens * share[1]).astype(np.int64))
    rate = found.rate_req_per_s
    arrivals = np.arange(n) / rate if rate else np.zeros(n)
    if rate and found.poisson:
        arrivals = np.cumsum(np.random.default_rng(2).exponential(1 / rate, n))
    trace = plain_trace(
        found.row, arrivals, prompts, outputs, duration_s=max(n / rate, float(arrivals[-1])) if rate else 1.0
    )
    return replace(trace, cached_tokens=_cached(found, prompts, pools[0].physics.block_tokens))


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
    return PoolModel(
        name=workers.role.value, role=workers.role, physics=_physics(found, workers, catalog, engines, tables),
        instances=workers.workers, speed=1.0, classes=frozenset({0}),
        chunk_tokens=found.step_tokens if found.form else None,
    )  # fmt: skip


def _physics(
    found: MeasuredRun, workers: Workers, catalog: Catalog, engines: Mapping[str, EngineTiming], tables: Tables
) -> InstancePhysics:
    """One worker."""
    machine = machine_of(found.gpu, workers.tp, catalog)
    profile = profile_of(found, workers, tables)
    timing = timing_of(engines, profile, mode=found.mode)
    body = instance_physics(
        load_model(found.model),
        machine,
        Layout(tp=workers.tp, ep=workers.ep),
        profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=found.step_tokens, block_tokens=16),
        timing=replace(timing, lag_steps=timing.lag_steps + found.wait_steps),
    )
    if not body.kv_blocks:
        raise Unmatched("the weights leave no GPU memory for a KV cache")
    return body


def machine_of(gpu: str, gpus: int, catalog: Catalog) -> Machine:
    """A machine type with these GPUs, the first by name that joins as many as one worker spans.

    Raises:
        Unmatched: none does.
    """
    machines = [m for _, m in sorted(catalog.machines.items()) if m.gpu.name == gpu and m.gpus >= gpus]
    if not machines:
        raise Unmatched(f"no machine in the catalog joins {gpus} {gpu}")
    return machines[0]


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
    layout = f"tp{workers.tp} ep{workers.ep}"
    words = f"{found.dtype} {found.model}, {found.kv_dtype} KV cache, on {found.gpu} at {layout} in {profile_set}"
    try:
        name = load_model(found.model).name
        mine = load_profiles(tables.directory, model=name, gpu=found.gpu, profile_set=profile_set)
    except CatalogError:
        raise Unmatched(f"no kernel profile of {words}") from None
    except WorkloadError as error:
        raise Unmatched(str(error)) from None
    wanted = (workers.tp, found.dtype, workers.ep, found.kv_dtype)
    fitting = [p for p in mine if (p.tp, p.dtype, p.ep, p.kv_dtype) == wanted]
    if not fitting:
        raise Unmatched(f"no kernel profile of {words}")
    return fitting[0]
