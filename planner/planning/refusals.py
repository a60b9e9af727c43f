"""Words of refusals: classes that no option serves, and budgets to raise; and the program that these are asked of."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import inf

from planner.formulate import unservable
from planner.formulate.budgets import BUDGETS
from planner.formulate.question import rate
from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.results.evidence import NoPlan
from planner.scenario.objectives import Objective
from solvers.problem import Problem
from workloads.counts import from_to


def unserved(case: Case) -> tuple[str, ...]:
    """Why a class has no option at all, or no two that work together; empty where every class has."""
    chief, further = chief_and_further(case)
    return (*chief, *further)


def chief_and_further(case: Case) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why, as ``unserved``: what is refused with the nearest reason and what would help, then the other reasons."""
    missing = unservable(case.options, [c.request_class.name for c in case.asked.demand.classes])
    if not missing:
        return _unpaired(case)[:_PAIR], _unpaired(case)[_PAIR:]
    # what the reader set, the nearest first, before what is there
    ordered = sorted(case.excuses, key=lambda e: (e.bottleneck != "latency", e.over_ratio or inf))
    alike: dict[str, list[str]] = {}
    for each in ordered:
        alike.setdefault(each.reason, []).append(each.option)
    reasons = tuple(f"{_names(options)}: {reason}" for reason, options in alike.items())
    lines = [f"no option can serve {name}{_in_which_role(name, case)}" for name in missing]
    binding = dict.fromkeys(e.bottleneck for e in ordered)
    remedies = (_REMEDIES[bottleneck] for bottleneck in binding if bottleneck in _REMEDIES)
    return (*lines, *reasons[:1], *remedies), reasons[1:]


_PAIR = 2
"""Lines of layouts that do not go together: that there is no pair, and why the first is none."""


def _names(options: Sequence[str]) -> str:
    """The first of options of one reason, and how many more there are."""
    return options[0] if len(options) == 1 else f"{options[0]} and {len(options) - 1} more"


_REFUSALS = ("not validated", "no plan in time", "infeasible")
"""Reasons for no plan, the least final first: all policies together are proven infeasible only if each of them is."""


def of_several(answers: Sequence[tuple[str, str, NoPlan]]) -> NoPlan:
    """The least final of several refusals, with the words of each, and the least that any of them needs raised.

    Args:
        answers: policy, precision and engine, and how these refuse; one at least.
    """
    told = [answer for _, _, answer in answers]
    nearest = min(told, key=lambda answer: (_REFUSALS.index(answer.reason), raised(answer.raises)))
    if len(answers) == 1:
        return nearest
    least = min((answer.raises for answer in told), key=raised)
    return replace(nearest, explanation=_of_all(answers), raises=least)


def _of_all(answers: Sequence[tuple[str, str, NoPlan]]) -> tuple[str, ...]:
    """The words of several refusals, the nearest to a plan first; what more of them say is said once."""
    said: dict[str, list[tuple[str, str]]] = {}
    for policy, variant, answer in sorted(answers, key=lambda each: _nearest(each[2])):
        for line in answer.explanation:
            said.setdefault(line, []).append((policy, variant))
    every = [(policy, variant) for policy, variant, _ in answers]
    return tuple(f"{_who(who, every)}{line}" for line, who in said.items())


def _who(named: Sequence[tuple[str, str]], every: Sequence[tuple[str, str]]) -> str:
    """Who says a line; those who do not where these are fewer, and nothing where all do."""
    variants = {variant for _, variant in every}
    if len(variants) == 1:
        return f"{', '.join(dict.fromkeys(policy for policy, _ in named))}: "
    silent = [each for each in every if each not in named]
    shown = silent if len(silent) < len(named) else named
    policies: dict[str, list[str]] = {}
    for policy, variant in dict.fromkeys(shown):
        policies.setdefault(variant, []).append(policy)
    names = "; ".join(f"{variant} ({', '.join(each)})" for variant, each in policies.items())
    return f"{'all but ' * (shown is silent)}{names}: " if names else ""


def _nearest(answer: NoPlan) -> float:
    """How many times a limit the option that comes nearest is; no end where none misses one."""
    return min((each.over_ratio for each in answer.excuses if each.over_ratio is not None), default=inf)


def bounded(case: Case, program: Problem) -> Problem:
    """A program of the least work with no more of a class on an option than is asked: raises of watts have a bound."""
    if case.scenario.objective is Objective.THROUGHPUT:
        return program
    asked = {
        rate(option, part.request_class.name): part.rate_req_per_s
        for option in case.least
        for part in case.asked.demand.classes
    }
    columns = tuple(replace(c, upper=min(c.upper, asked.get(c.name, inf))) for c in program.columns)
    return replace(program, columns=columns)


def unstruck(case: Case) -> tuple[str, ...]:
    """Failures of roles that no pool of the policy has: a plan under it would be sold as surviving what never came."""
    roles = [role.value for role in case.policy.roles]
    return tuple(
        f"validation.failures: policy {case.policy.name} has no {each.pool} pool; expected {' or '.join(roles)}"
        for each in case.scenario.validation.failures
        if isinstance(each.pool, str) and each.pool not in roles
    )


def _unpaired(case: Case) -> tuple[str, ...]:
    """Why no prefill pool on offer can hand its KV to a decode pool on offer; empty where one can."""
    layouts = {role: {o.spec.layout for o in case.options if o.spec.role is role} for role in Role}
    pairs = set(product(layouts[Role.PREFILL], layouts[Role.DECODE]))
    refused = dict(case.apart)
    if layouts[Role.MIXED] or not pairs or not pairs <= refused.keys():
        return ()
    found = (f"prefill {p.name} to decode {d.name}: {reason}" for (p, d), reason in refused.items())
    return ("no prefill layout on offer can send its KV to a decode layout on offer", *found)


def _in_which_role(class_name: str, case: Case) -> str:
    """The roles that nothing is left for, where others have something."""
    have = {o.spec.role for o in case.options if class_name in o.envelopes}
    lacking = [role for role in case.policy.roles if role not in have]
    return f" in the role {', '.join(lacking)}" if have else ""


_REMEDIES: Mapping[str, str] = {
    "memory": "for more KV memory: more GPUs per instance (catalog.tp, catalog.pp), a larger policy.kv_memory_frac, a "
    "smaller model.kv_dtype or model.dtype, or another machine",
    "latency": "for lower latency: a looser limit (slo), more GPUs per instance (catalog.tp), or a faster machine "
    "(catalog.machines)",
    "link": "where no KV cache can travel: policy.name colocated, or a machine with a link (its inter_link)",
}
"""Bottleneck of an excuse -> what would help, where it is in the reader's hands."""


def raise_words(raises: Mapping[str, tuple[float, float]]) -> list[str]:
    """Budgets to raise, one a sentence; what is needed is rounded up, so that the number that is read is enough."""
    told = ((limit_key(name), *from_to(limit, needed)) for name, (limit, needed) in raises.items())
    return [f"raise {key} from {limit} to at least {needed}" for key, limit, needed in told]


def raised(raises: Mapping[str, tuple[float, float]]) -> tuple[int, float]:
    """How much a set of raises asks for, to compare: few budgets before many, then by share; none told comes last."""
    return len(raises) or sys.maxsize, sum(needed / limit for limit, needed in raises.values() if limit)


def limit_key(family: str) -> str:
    """The key of a scenario that a family of rows, or a row of machines on the market, holds."""
    if family.startswith("availability["):
        return f"catalog.available.{family.removeprefix('availability[').removesuffix(']')}"
    if family == "rows":
        return "power.rows"
    return f"budgets.{BUDGETS[family].key}" if family in BUDGETS else family
