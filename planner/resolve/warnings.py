"""What a buyer should know before trusting a plan."""

from collections.abc import Iterator

from hw_catalog.provenance import Kind
from planner.perf.layout import Role
from planner.perf.pipeline import TraversalTime
from planner.perf.power import curve_of
from planner.perf.step_time import StepTime
from planner.resolve import long_context as long
from planner.resolve.case import Case
from planner.resolve.drafts import draft_words
from planner.resolve.prefix_cache import prefix_words
from planner.resolve.serving import plan_doubts
from planner.results.plan import CandidatePlan
from workloads.counts import percent


def doubts(case: Case, candidate: CandidatePlan) -> tuple[str, ...]:
    """What a buyer should know before trusting a plan, full sentences."""
    found = [*case.slips, *case.asked.doubts, *draft_words(case.scenario.model)]
    every = {c.request_class.name: int((c.prompt_tokens + c.output_tokens).max()) for c in case.asked.demand.classes}
    found += long.doubt(case.model, max(every.values()))
    steps = [(pool.spec.name, case.physics[pool.spec.name].step, pool.rate_req_per_s) for pool in candidate.pools]
    steps += [("the reference", case.reference.step, every)] if case.reference else []
    for name, step, served in steps:
        measured, longest = step.max_context_tokens, max((every[c] for c in served if c in every), default=0)
        if longest > measured and not name.startswith(Role.PREFILL):
            found.append(
                f"{name}: requests of up to {longest:,} tokens exceed the {measured:,} tokens the source "
                f"measured; decode attention beyond that is extrapolated{_how(step, longest)}"
            )
        if isinstance(step, TraversalTime):
            found.append(f"{name}: its stages take their share of the step measured without stages (derived)")
        if step.profile.measured_frac < 0.5:
            found.append(f"{name}: only {percent(step.profile.measured_frac)} of its step time comes from measurements")
    found += _carried_over(case, candidate)
    found += _prompt_doubts(case, candidate)
    found += _prefix_doubts(case, candidate)
    found += _clock_doubts(case, candidate)
    found += plan_doubts(case, candidate)
    return tuple(dict.fromkeys(found))


def _carried_over(case: Case, candidate: CandidatePlan) -> Iterator[str]:
    """Where the step times of a pool were measured on another GPU than its own."""
    gpus = {o.spec.name: o.machine.gpu for o in case.options}
    for name, role in ((pool.spec.name, pool.spec.role) for pool in candidate.pools):
        gpu = gpus.get(name)
        if gpu is None or gpu.profile_gpu == gpu.name:
            continue
        ratios = {"prefill": gpu.prefill_slowdown_ratio, "decode": gpu.decode_slowdown_ratio}
        of = [phase for phase in ratios if role in (phase, Role.MIXED)]
        factors = ", ".join(
            f"{phase} x {ratios[phase]:g} ({gpu.provenance[f'{phase}_slowdown_ratio'].kind})" for phase in of
        )
        yield f"{name}: its step times are those of {gpu.profile_gpu}, {factors}; none was measured on {gpu.name}"


def _how(step: StepTime, longest_tokens: int) -> str:
    """How the step time goes on beyond the source's table, where a request does."""
    if longest_tokens <= step.max_table_tokens:
        return ""
    if step.splits_kv:
        return " from batches of as many tokens in all (assumes a kernel that splits a request's KV cache: split-KV)"
    return " along its last slope (this kernel does not split a request's KV cache)"


def _prompt_doubts(case: Case, candidate: CandidatePlan) -> Iterator[str]:
    """Where a plan computes prompts that are longer, or cut later, than the source measured."""
    for pool in candidate.pools:
        spec, step = pool.spec, case.physics[pool.spec.name].step
        mine = [c for c in case.asked.demand.classes if c.request_class.name in pool.rate_req_per_s]
        if spec.role is Role.DECODE or not mine:
            continue
        longest = max(int(c.prompt_tokens.max()) for c in mine)
        whole = longest if spec.chunk_tokens is None else min(longest, spec.chunk_tokens)
        if whole > step.max_prompt_tokens:
            words = f"prompts of up to {whole:,} tokens computed at once exceed the {step.max_prompt_tokens:,} tokens"
            yield f"{spec.name}: {words} the source measured; prefill attention beyond that is extrapolated"
        if longest - whole > step.max_past_tokens:
            most = f"{step.max_past_tokens:,} tokens"
            words = f"chunks of prompts of up to {longest:,} tokens attend to more than the {most}"
            yield f"{spec.name}: {words} the source measured; prefill attention beyond that is extrapolated"


def _prefix_doubts(case: Case, candidate: CandidatePlan) -> Iterator[str]:
    """What a plan finds in its prefix cache."""
    section = case.scenario.prefix_cache
    if section.gib is not None:
        trace = case.asked.draw(case.asked.seeds[0], candidate.rate_scale, 1.0)
        yield from prefix_words(section, trace, [(case.physics[p.spec.name], p.instances) for p in candidate.pools])


def _clock_doubts(case: Case, candidate: CandidatePlan) -> Iterator[str]:
    """Where a locked clock or a cap rests on another GPU's response."""
    gpus = {o.spec.name: o.machine.gpu for o in case.options}
    for spec in (pool.spec for pool in candidate.pools):
        source = curve_of(gpus[spec.name]).provenance["floor_ratio"] if spec.name in gpus else None
        if source and (spec.clock_mhz or spec.cap_w) and source.kind is not Kind.MEASURED:
            yield f"{spec.name}: how its time and power answer to the clock is {source.kind}: {source.source}"
