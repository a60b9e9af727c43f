"""Whether a serving stack can start what is planned, told before and with the plan; `export` refuses what is told."""

from collections.abc import Iterator, Sequence

from planner.files.engine_arguments import Instance, problems
from planner.files.workers import refusals
from planner.perf.deploying import known_weights
from planner.perf.layout import Layout, Role
from planner.resolve.case import Case
from planner.resolve.inputs import Inputs
from planner.resolve.serving import served_as
from planner.results.plan import CandidatePlan
from planner.results.precision import Served, Variant


def unstartable(inputs: Inputs) -> Iterator[str]:
    """That no plan for a question can be exported as a manifest, with the first reason.

    What depends on a layout is told with the plan. Plans over time are left out: no format of theirs starts an engine.
    """
    every = [_reasons(inputs, variant) for variant in inputs.variants]
    if inputs.scenario.schedule is None and all(every):
        yield _line("any plan for this question", every[0])


def refused(case: Case, candidate: CandidatePlan) -> Iterator[str]:
    """That a plan cannot be exported as a manifest, with the first reason."""
    if found := refusals(candidate, case.scenario, model=case.model, served=served_as(case, candidate)):
        yield _line("this plan", found)


def _reasons(inputs: Inputs, variant: Variant) -> tuple[str, ...]:
    """What an engine cannot be told about a precision, whatever the layout; reasons of one of its releases."""
    scenario, model = inputs.scenario, inputs.model
    named = scenario.model.checkpoint if variant.dtype == inputs.variants[0].dtype else None
    weights = known_weights(model, variant.dtype, named)
    releases = {(p.engine, p.engine_version) for p in inputs.profiles if p.profile_set == variant.profile_set}
    tiers = len({kind.priority for kind in scenario.classes()}) > 1
    found = [
        problems(Instance(
            role=Role.MIXED, layout=Layout(tp=1), step_tokens=1, cuts_prompts=False, requests=1, block_tokens=None,
            memory_frac=scenario.policy.kv_memory_frac, by_priority=tiers,
            served=Served(
                pool="", dtype=variant.dtype, kv_dtype=variant.kv_dtype, engine=engine, engine_version=version,
                checkpoint=weights.repository if weights else named or "",
                stored=(weights or model.checkpoint(variant.dtype)).stored.name,
                method=weights.method if weights else "", scaled_kv=(weights.kv_dtype or "") if weights else "",
                longest_tokens=1, context_tokens=1,
            ),
        ))
        for engine, version in sorted(releases)
    ]  # fmt: skip
    return min(found, key=len, default=())


def _line(what: str, reasons: Sequence[str]) -> str:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"export: {what} is refused as a manifest: {reasons[0]}{more}"
