"""Multi-token prediction in a scenario: how a model drafts, what of it is accepted, and where it is not simulated."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hw_catalog.profiles import KernelProfile
from planner.perf.drafting import MEASURED, MEASURED_SOURCE, TOKENS_PER_STEP, Drafting, drafting
from planner.perf.instance import InstancePhysics
from planner.scenario import Scenario
from planner.scenario.choices import listed
from planner.scenario.model_section import Model
from workloads.demand import Demand
from workloads.models import ModelSpec


def drafting_of(served: Model) -> Drafting | None:
    """How a model drafts; None where it does not.

    A step gains one token and the accepted share of those drafted; where none is stated, what was measured.
    """
    if not served.draft_tokens:
        return None
    gained = TOKENS_PER_STEP.get(served.draft_tokens, 1.0)
    if served.acceptance_frac is not None:
        gained = 1 + served.acceptance_frac * served.draft_tokens
    return Drafting(draft_tokens=served.draft_tokens, step_tokens=gained)


def drafted(profile: KernelProfile, how: Drafting, model: ModelSpec, demand: Demand) -> KernelProfile:
    """The profile of steps that draft, at the contexts of a demand."""
    ahead = (1 - 1 / how.step_tokens) * _half_tokens(demand)
    return drafting(profile, how, layers=model.layers, ahead_tokens=ahead)


def stepping(body: InstancePhysics, how: Drafting, demand: Demand) -> InstancePhysics:
    """An instance whose requests end after as many steps as their outputs take.

    A request that is simulated step by step holds a token a step, not all that a step gains; memory is as much smaller.
    """
    in_steps, whole = (
        sum(
            c.rate_req_per_s * float(np.mean((c.prompt_tokens + c.output_tokens / gained / 2) * c.output_tokens))
            for c in demand.classes
        )
        for gained in (how.step_tokens, 1.0)
    )
    return replace(body, step_tokens=how.step_tokens, kv_blocks=int(body.kv_blocks * in_steps / whole))


def _half_tokens(demand: Demand) -> float:
    """Half the output of a request that decodes at a random moment: E[o²] / E[o] / 2."""
    squares, sums = (
        sum(c.rate_req_per_s * float(np.mean(c.output_tokens.astype(np.float64) ** power)) for c in demand.classes)
        for power in (2, 1)
    )
    return squares / sums / 2


def draft_words(served: Model) -> Iterator[str]:
    """What a plan with drafts rests on, a full sentence."""
    how = drafting_of(served)
    if how is None:
        return
    source = f"measured: {MEASURED_SOURCE}" if served.acceptance_frac is None else "model.acceptance_frac"
    yield (
        f"model.draft_tokens: a decode step verifies {how.draft_tokens} drafted tokens and gains {how.step_tokens:.3g} "
        f"({source}); the limits of tbt hold between steps, in which that many tokens come at once"
    )
    if served.name not in MEASURED:
        yield (
            f"model.draft_tokens: {served.name} is assumed to have prediction layers of its own, each as large as a "
            f"layer of it, and engines are started with these; known to have some: {', '.join(sorted(MEASURED))}"
        )


def draft_problems(scenario: Scenario, model: ModelSpec) -> tuple[str, ...]:
    """Where drafts are asked for that nothing is known of, or where they are not simulated."""
    served, catalog = scenario.model, scenario.catalog
    if not served.draft_tokens:
        if served.acceptance_frac is None:
            return ()
        return ("model.acceptance_frac: found without drafts; expected model.draft_tokens beside it",)
    found = []
    known = model.name in MEASURED and served.draft_tokens in TOKENS_PER_STEP
    if served.acceptance_frac is None and not known:
        lengths = ", ".join(map(str, TOKENS_PER_STEP))
        found.append(
            f"model.acceptance_frac: found none; expected the share of {served.draft_tokens} drafted tokens that is "
            f"accepted: measured are drafts of {lengths} of {', '.join(sorted(MEASURED))}"
        )
    beside = {
        "schedule": scenario.schedule is not None, "power.row_limit_w": scenario.power.row_limit_w is not None,
        "catalog.pp": max(catalog.pp) > 1, "catalog.kvp": max(catalog.kvp) > 1,
        "policy.name mnemosyne": "mnemosyne" in listed(scenario.policy.name),
        "model.reading as-published": served.reading == "as-published",
    }  # fmt: skip
    found += [
        f"model.draft_tokens: found {served.draft_tokens} beside {key}; expected 0, drafts are not simulated with it"
        for key, there in beside.items()
        if there
    ]
    return tuple(found)
