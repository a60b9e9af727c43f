"""The neutral plan: what runs, how often, on what, with which engine flags; every stack says it in its own way."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from planner.errors import BadInput
from planner.files.engine_arguments import Instance, arguments, difference, problems
from planner.perf.deploying import JOINS, known_weights, load_limits, pool_limits
from planner.perf.kv import NO_EVICT
from planner.perf.layout import Role
from planner.results.evidence import ValidatedPlan
from planner.results.plan import CandidatePlan, Pool
from planner.results.precision import Served, precision
from planner.scenario import Scenario
from workloads.counts import plural, watts
from workloads.models import ModelSpec, alike


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
        tp: tensor-parallel ways of one instance.
        model: repository of its weights.
        arguments: of the engine, flags and values in order, without the model.
        notes: what an operator has to set by hand, ``key -> value``: locked clocks and power caps.
    """

    name: str
    role: Role
    machine: str
    replicas: int
    nodes: int
    node_gpus: int
    tp: int
    model: str
    arguments: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A plan, ready to be written for any stack.

    Attributes:
        name: a name that Kubernetes takes.
        model: repository of the weights, of workers that decode where phases have weights of their own.
        engine: that every pool runs.
        engine_version: release that the plan was simulated with.
        status: ``validated`` or ``unvalidated``.
        words: the plan in a sentence, for comments.
        served: formats, engine and release in words.
        weights_bytes: what the larger checkpoint takes on disk.
        differences: what the engine does otherwise than the simulation, sentences.
        workers: one per pool, prefill first; of each cell.
        cells: equal deployments that the plan is divided into.
    """

    name: str
    model: str
    engine: str
    engine_version: str
    status: str
    words: str
    served: str
    weights_bytes: float
    differences: tuple[str, ...]
    workers: tuple[Worker, ...]
    cells: int = 1

    def parts(self) -> "Iterator[Deployment]":
        """What is deployed under each name: itself, or one for each cell."""
        if self.cells == 1:
            yield self
            return
        for cell in range(self.cells):
            yield replace(self, name=f"{self.name}-cell-{cell}", cells=1)

    @property
    def weights(self) -> str:
        """Repositories of the weights, with the roles that load them where there are several."""
        roles: dict[str, dict[str, None]] = {}
        for worker in self.workers:
            roles.setdefault(worker.model, {})[str(worker.role)] = None
        return self.model if len(roles) < 2 else ", ".join(f"{name} ({', '.join(of)})" for name, of in roles.items())

    @property
    def cell_words(self) -> tuple[str, ...]:
        """What an operator of cells has to know, in a line; empty of one pool."""
        if self.cells == 1:
            return ()
        return (
            f"Cells: {self.cells} equal deployments, {self.name}-cell-0 to -{self.cells - 1}; as simulated, each "
            "request is sent to one of them by chance: a router in front of them does that, and none is in here.",
        )


def deployment(
    answer: ValidatedPlan | CandidatePlan, scenario: Scenario, *, model: ModelSpec, served: Sequence[Served] = ()
) -> Deployment:
    """The neutral plan.

    Args:
        answer: a validated plan; a bare candidate is exported with the word ``unvalidated``.
        scenario: the question it answers.
        model: what is served.
        served: what each pool serves it with; for a candidate, since a validated plan says so itself.

    Raises:
        BadInput: no flags of the engine make a pool what was simulated, its weights are not known or of another
            format, or its KV cannot travel; names all of it.
    """
    candidate = answer.candidate if isinstance(answer, ValidatedPlan) else answer
    status = "validated" if isinstance(answer, ValidatedPlan) else "unvalidated"
    ways = {way.pool: way for way in (answer.served if isinstance(answer, ValidatedPlan) else served)}
    if missing := [p.spec.name for p in candidate.pools if p.spec.name not in ways]:
        raise BadInput(*(f"{name}: the plan does not say what it is served with; plan again" for name in missing))
    pools = _in_order(candidate)
    first = ways[pools[-1].spec.name]
    instances = _instances(candidate, ways, scenario, model)
    if found := _problems(instances, model, scenario):
        raise BadInput(*found)
    several = {role: sum(p.spec.role is role for p in pools) > 1 for role in Role}
    seen = dict.fromkeys(Role, 0)
    workers = []
    for pool in pools:
        seen[pool.spec.role] += 1
        name = f"{pool.spec.role}-{seen[pool.spec.role]}" if several[pool.spec.role] else str(pool.spec.role)
        workers.append(_worker(name, pool, instances[pool.spec.name], candidate.cells))
    totals = candidate.totals
    words = (
        f"{status}: {plural(totals.machines, 'machine')}, {totals.cost_usd_per_h:,.2f} USD/h, "
        f"{watts(totals.power_w)} rated, policy {candidate.policy}"
    )
    differences = dict.fromkeys(filter(None, map(difference, instances.values())))
    if scenario.prefix_cache.host_gib:
        differences["prefixes were kept on hosts, too; this takes an offloading connector that is not in here"] = None
    if _in_tiers(scenario):
        differences["clients send the priority of each request, to vLLM the smaller number for the higher tier"] = None
    return Deployment(
        name=kubernetes_name(scenario.name), model=first.checkpoint, engine=first.engine,
        engine_version=first.engine_version, status=status, words=words, served=precision(ways.values()),
        weights_bytes=max(model.weight_bytes(way.dtype) for way in ways.values()),
        differences=tuple(differences), workers=tuple(workers), cells=candidate.cells,
    )  # fmt: skip


def refusals(
    candidate: CandidatePlan, scenario: Scenario, *, model: ModelSpec, served: Sequence[Served]
) -> tuple[str, ...]:
    """Why no manifest of an engine is written for a candidate, whatever the stack; arguments as of ``deployment``."""
    return _problems(_instances(candidate, {way.pool: way for way in served}, scenario, model), model, scenario)


def _in_order(candidate: CandidatePlan) -> list[Pool]:
    """Pools as manifests have them: prefill workers first, those that decode last."""
    order = list(Role)
    return sorted(candidate.pools, key=lambda p: (order.index(p.spec.role), p.spec.name))


def _instances(
    candidate: CandidatePlan, ways: Mapping[str, Served], scenario: Scenario, model: ModelSpec
) -> dict[str, Instance]:
    """One instance of each pool, by the pool's name."""
    pools = _in_order(candidate)
    first = ways[pools[-1].spec.name]
    shared = first.checkpoint if len({way.checkpoint for way in ways.values()}) > 1 else ""
    return {p.spec.name: replace(_instance(p, ways[p.spec.name], scenario, model), served_as=shared) for p in pools}


def _instance(pool: Pool, served: Served, scenario: Scenario, model: ModelSpec) -> Instance:
    """One instance of a pool, as it was simulated."""
    knobs, spec = scenario.policy, pool.spec
    return Instance(
        role=spec.role, layout=spec.layout, served=served, step_tokens=spec.chunk_tokens or knobs.max_batch_tokens,
        cuts_prompts=spec.chunk_tokens is not None, requests=knobs.max_batch_size,
        block_tokens=None if model.kv_latent_dim else knobs.block_tokens, memory_frac=knobs.kv_memory_frac,
        nodes=max(1, pool.machines // pool.instances), draft_tokens=scenario.model.draft_tokens,
        keeps_prefixes=scenario.prefix_cache.gib is not None and spec.role is not Role.DECODE,
        by_priority=_in_tiers(scenario), evicts=knobs.kv_admission == "as-needed" and served.engine in NO_EVICT,
    )  # fmt: skip


def _in_tiers(scenario: Scenario) -> bool:
    """Whether requests go by the priority of their class."""
    return len({kind.priority for kind in scenario.classes()}) > 1


def _problems(instances: dict[str, Instance], model: ModelSpec, scenario: Scenario) -> tuple[str, ...]:
    """Everything that keeps the plan from being deployed as it was simulated."""
    found = [f"{name}: {words}" for name, at in instances.items() for words in problems(at)]
    engines = {at.served.engine for at in instances.values()}
    sides = [{at.served for at in instances.values() if (at.role is Role.PREFILL) is first} for first in (True, False)]
    for what in ("engine", "checkpoint", "dtype", "kv_dtype"):
        alike_everywhere = what in ("engine", "kv_dtype") or not engines <= set(JOINS)
        for some in [sides[0] | sides[1]] if alike_everywhere else sides:
            kinds = sorted({getattr(served, what) for served in some})
            if len(kinds) > 1:
                found.append(f"{what}: found {' and '.join(kinds)} in one plan; expected the same in every pool")
    limits = [*pool_limits(model, None, min(engines), [(at.role, at.layout) for at in instances.values()])]
    for at in instances.values():
        served, weights = at.served, known_weights(model, at.served.dtype, scenario.model.checkpoint)
        limits += load_limits(model, weights, at.layout) if weights else ()
        expected = weights.repository if weights else scenario.model.checkpoint or ""
        if served.checkpoint and (
            served.checkpoint != expected or (weights and not alike(weights.dtype, served.dtype))
        ):
            found.append(
                f"weights: found {served.checkpoint}; expected {expected or 'none'}, what is known of {model.name} in "
                f"{served.dtype}: plan again"
            )
    found += [f"{limit.subject}: {limit.reason}" for limit in limits if limit.refused]
    return tuple(dict.fromkeys(found))


def _worker(name: str, pool: Pool, instance: Instance, cells: int) -> Worker:
    """A pool in one of so many cells; files whose cells are not equal are not read."""
    layout = pool.spec.layout
    nodes = instance.nodes
    knobs = (("phasewise/clock-mhz", pool.spec.clock_mhz), ("phasewise/power-cap-w", pool.spec.cap_w))
    return Worker(
        name=name, role=pool.spec.role, machine=pool.spec.machine, replicas=pool.instances // cells, nodes=nodes,
        node_gpus=layout.gpus // nodes, tp=layout.tp, model=instance.served.checkpoint,
        arguments=arguments(instance),
        notes=tuple((key, str(value)) for key, value in knobs if value is not None),
    )  # fmt: skip


def kubernetes_name(name: str) -> str:
    """Lower case, digits and dashes, at most 40 of them, beginning with a letter."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"plan-{plain}")[:40].strip("-")
