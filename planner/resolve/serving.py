"""What a plan serves the model with: checkpoint, formats, engine, longest request; and what speaks against that."""

from collections.abc import Iterable
from dataclasses import replace

from planner.perf.deploying import context_tokens, handshake_limits, in_words, known_weights, pool_limits
from planner.perf.layout import InstanceSpec, Role
from planner.resolve.case import Case
from planner.resolve.weights import weights_doubt
from planner.results.plan import CandidatePlan, Pool
from planner.results.precision import Served
from planner.results.schedule import Run, Schedule


def served_as(case: Case, candidate: CandidatePlan) -> tuple[Served, ...]:
    """What each pool of a plan serves the model in, and how long a request it takes."""
    return tuple(_served(case, pool) for pool in candidate.pools)


def served_over_time(case: Case, schedule: Schedule) -> tuple[Served, ...]:
    """What each option that a schedule ever runs serves the model in, ordered by name."""
    runs: dict[str, Run] = {}
    for epoch in schedule.epochs:
        for run in epoch.runs:
            rates = {**(runs[run.spec.name].rate_req_per_s if run.spec.name in runs else {}), **run.rate_req_per_s}
            runs[run.spec.name] = replace(run, rate_req_per_s=rates)
    return tuple(_served(case, run) for _, run in sorted(runs.items()))


def _served(case: Case, pool: Pool | Run) -> Served:
    """The same of one pool."""
    name, named = pool.spec.name, case.scenario.model.checkpoint
    profile = case.profiles[name]
    weights = known_weights(case.model, profile.dtype, named)
    (longest, needed), held = _longest(case, pool), case.physics[name].kv_tokens
    return Served(
        pool=name, dtype=profile.dtype, kv_dtype=profile.kv_dtype, engine=profile.engine,
        engine_version=profile.engine_version, checkpoint=weights.repository if weights else named or "",
        stored=(weights or case.model.checkpoint(profile.dtype)).stored.name, method=weights.method if weights else "",
        scaled_kv=(weights.kv_dtype or "") if weights else "", longest_tokens=needed,
        context_tokens=context_tokens(longest, needed, held, case.model.max_context_tokens),
    )  # fmt: skip


def _longest(case: Case, pool: Pool | Run) -> tuple[int, int]:
    """Tokens of the workload's longest request, and of the longest KV that this pool has to hold of one."""
    classes = case.asked.demand.classes
    mine = [c for c in classes if c.request_class.name in pool.rate_req_per_s] or list(classes)
    if pool.spec.role is Role.PREFILL:  # an engine computes the first token of a prompt, too
        held = max(int(c.prompt_tokens.max()) + 1 for c in mine)
    else:
        held = max(int((c.prompt_tokens + c.output_tokens).max()) for c in mine)
    return max(int((c.prompt_tokens + c.output_tokens).max()) for c in classes), held


def serving_doubts(case: Case, specs: Iterable[InstanceSpec]) -> tuple[str, ...]:
    """What stands between these pools, or between pairs of these options, and their deployment; full sentences."""
    known, named = tuple(specs), case.scenario.model.checkpoint
    weights = known_weights(case.model, case.dtype, named)
    layouts = [(spec.role, spec.layout) for spec in known]
    found = [*weights_doubt(case.model, case.dtype, named)]
    timed = {case.profiles[spec.name].model for spec in known} - {case.model.name}
    found += [f"kernel times of {case.model.name}: those of {name}, whose layers have the same shape" for name in timed]
    for engine in sorted({case.profiles[spec.name].engine for spec in known}):
        found += in_words(pool_limits(case.model, weights, engine, layouts))
    return tuple(dict.fromkeys(found))


def plan_doubts(case: Case, candidate: CandidatePlan) -> tuple[str, ...]:
    """The same of a plan, with what both sides of its KV transfer have to agree on."""
    specs = [pool.spec for pool in candidate.pools]
    machines = {o.machine.name: o.machine.gpu.name for o in case.options}
    served = served_as(case, candidate)
    if not served:
        return ()
    split = any(spec.role is not Role.MIXED for spec in specs)
    gpus = [machines[spec.machine] for spec in specs if spec.machine in machines]
    agreed = handshake_limits(served[0].engine, [way.engine_version for way in served], gpus, split=split)
    return (*serving_doubts(case, specs), *agreed)
