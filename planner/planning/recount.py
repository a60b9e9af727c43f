"""What a plan comes to as it stands, whatever a file says of it."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from planner.capacity.envelope import Option
from planner.errors import BadInput
from planner.planning.served import NOT_OFFERED
from planner.planning.tighten import at_rates
from planner.resolve.case import Case, case_of
from planner.results.plan import CandidatePlan, Totals
from planner.scenario import Scenario
from workloads.counts import plural

CLOSE_FRAC = 1e-6
"""Within which two sums agree: files keep nine digits."""


def recounted(case: Case, candidate: CandidatePlan) -> CandidatePlan:
    """The same machines with the loads, money and watts that they have on the workload of the case.

    Raises:
        BadInput: the catalog offers no such instance, or not so many of them on the machines of a pool.
    """
    options = {option.spec.name: option for option in case.options}
    problems = tuple(_unlike(candidate, options))
    if problems:
        raise BadInput(*problems)
    asked = {c.request_class.name: c.rate_req_per_s * candidate.rate_scale for c in case.asked.demand.classes}
    return at_rates(candidate, asked, options)


def as_it_stands(scenario: Scenario, candidate: CandidatePlan) -> CandidatePlan:
    """A plan that was edited, with the figures that its machines have on the workload of its own scenario.

    Raises:
        BadInput: see ``recounted`` and ``case_of``.
    """
    return recounted(case_of(scenario, candidate), candidate)


def disagreements(said: Totals, found: Totals) -> str:
    """The totals of a file that are not those of its machines, in a line; empty where all are."""
    pairs = {field.name: (getattr(said, field.name), getattr(found, field.name)) for field in fields(Totals)}
    apart = {name: pair for name, pair in pairs.items() if abs(pair[0] - pair[1]) > CLOSE_FRAC * max(map(abs, pair))}
    words = ", ".join(f"{name} {before:g} (now {now:g})" for name, (before, now) in apart.items())
    return f"plan.candidate.totals of the file are not those of its machines: {words}" if apart else ""


def _unlike(candidate: CandidatePlan, options: Mapping[str, Option]) -> Iterator[str]:
    """Pools that the catalog does not have as they are said to be."""
    for pool in candidate.pools:
        name = pool.spec.name
        if name not in options:
            yield f"{name}: {NOT_OFFERED}"
        elif pool.instances > (most := options[name].instances_on(pool.machines)):
            found = f"{plural(pool.instances, 'instance')} on {plural(pool.machines, 'machine')}"
            yield f"{name}: found {found}; expected at most {most}"
