"""The neutral plan: what runs, how often, on what, with which engine flags; every stack says it in its own way."""

import re
from dataclasses import dataclass

from planner.errors import BadInput
from planner.perf.layout import Role
from planner.results.evidence import ValidatedPlan
from planner.results.plan import CandidatePlan, Pool
from planner.scenario import Scenario

_HUB = re.compile(r"Hugging Face ([\w.-]+/[\w.-]+)")
_KV_TRANSFER = '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'
_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One pool as it is deployed.

    Attributes:
        name: of the pool in the manifest: its role, with a number where there are several of that role.
        role: phase it works on.
        machine: catalog name of the machine type, asked for by the node label ``phasewise/machine``.
        replicas: instances.
        nodes: machines one instance spans, >= 1.
        node_gpus: GPUs of one instance on each of them.
        arguments: of ``vllm serve``, flags and values in order.
        notes: what an operator has to set by hand, ``key -> value``: locked clocks and power caps.
    """

    name: str
    role: Role
    machine: str
    replicas: int
    nodes: int
    node_gpus: int
    arguments: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A plan, ready to be written for any stack.

    Attributes:
        name: a name that Kubernetes takes.
        model: id on the Hugging Face hub where it is known, else the id in the scenario.
        status: ``validated`` or ``unvalidated``.
        words: the plan in a sentence, for comments.
        workers: one per pool, prefill first.
    """

    name: str
    model: str
    status: str
    words: str
    workers: tuple[Worker, ...]


def deployment(answer: ValidatedPlan | CandidatePlan, scenario: Scenario, *, model_source: str) -> Deployment:
    """The neutral plan.

    Args:
        answer: a validated plan; a bare candidate is exported with the word ``unvalidated``.
        scenario: the question it answers.
        model_source: where the model's configuration was read; names its id on the hub.

    Raises:
        BadInput: a pool is laid out as no engine flag can say; names every one.
    """
    validated = isinstance(answer, ValidatedPlan)
    candidate = answer.candidate if isinstance(answer, ValidatedPlan) else answer
    odd = [p.spec.name for p in candidate.pools if p.spec.layout.kvp > 1]
    if odd:
        raise BadInput(*(f"{name}: kvp: no engine flag shares the KV cache of a request over replicas" for name in odd))
    order = list(Role)
    pools = sorted(candidate.pools, key=lambda p: (order.index(p.spec.role), p.spec.name))
    several = {role: sum(p.spec.role is role for p in pools) > 1 for role in Role}
    seen = dict.fromkeys(Role, 0)
    workers = []
    for pool in pools:
        seen[pool.spec.role] += 1
        name = f"{pool.spec.role}-{seen[pool.spec.role]}" if several[pool.spec.role] else str(pool.spec.role)
        workers.append(_worker(name, pool, scenario))
    totals = candidate.totals
    status = "validated" if validated else "unvalidated"
    words = (
        f"{status}: {totals.machines} machines, {totals.cost_usd_per_h:.2f} USD/h, {totals.power_w:.0f} W rated, "
        f"policy {candidate.policy}"
    )
    hub = _HUB.search(model_source)
    return Deployment(
        name=_kubernetes_name(scenario.name), model=hub[1] if hub else scenario.model.name, status=status, words=words,
        workers=tuple(workers),
    )  # fmt: skip


def _worker(name: str, pool: Pool, scenario: Scenario) -> Worker:
    layout = pool.spec.layout
    nodes = max(1, pool.machines // pool.instances)
    knobs = (("phasewise/clock-mhz", pool.spec.clock_mhz), ("phasewise/power-cap-w", pool.spec.cap_w))
    return Worker(
        name=name, role=pool.spec.role, machine=pool.spec.machine, replicas=pool.instances, nodes=nodes,
        node_gpus=layout.gpus // nodes, arguments=_arguments(pool, scenario),
        notes=tuple((key, str(value)) for key, value in knobs if value is not None),
    )  # fmt: skip


def _arguments(pool: Pool, scenario: Scenario) -> tuple[str, ...]:
    """Flags of ``vllm serve`` that make an instance what was simulated."""
    spec, knobs, model = pool.spec, scenario.policy, scenario.model
    flags = ["--tensor-parallel-size", str(spec.layout.tp)]
    if spec.layout.pp > 1:
        flags += ["--pipeline-parallel-size", str(spec.layout.pp)]
    if spec.layout.ep > 1:
        flags += ["--enable-expert-parallel"]
    flags += ["--max-num-batched-tokens", str(spec.chunk_tokens or knobs.max_batch_tokens)]
    flags += ["--max-num-seqs", str(knobs.max_batch_size)]
    flags += ["--block-size", str(knobs.block_tokens)]
    flags += ["--gpu-memory-utilization", f"{knobs.kv_memory_frac:g}"]
    if model.dtype in _DTYPES:
        flags += ["--dtype", _DTYPES[str(model.dtype)]]
    elif model.dtype is not None:
        flags += ["--quantization", model.dtype]
    if model.kv_dtype not in _DTYPES:
        flags += ["--kv-cache-dtype", model.kv_dtype]
    if spec.role is not Role.MIXED:
        flags += ["--kv-transfer-config", _KV_TRANSFER]
    return tuple(flags)


def _kubernetes_name(name: str) -> str:
    """Lower case, digits and dashes, at most 40 of them, beginning with a letter."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"plan-{plain}")[:40].strip("-")
