"""Failures that a question injects: those that never come, and what the others cost."""

from collections.abc import Callable
from dataclasses import replace

from planner.resolve.case import Case
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario.objectives import Objective
from workloads.counts import plural

Answer = ValidatedPlan | NoPlan


def cost_of_failures(case: Case, best: ValidatedPlan, planned: Callable[[Case], Answer]) -> tuple[str, ...]:
    """That failures buy more machines than those that fail, and what of the window they leave; nothing elsewhere.

    A percentile leaves so many of a window's requests late: the shorter the window, the fewer of them wait for what a
    failure interrupts, and machines are bought until so few do.

    Args:
        case: of the plan, with its failures.
        best: the plan.
        planned: plans a case.
    """
    section = case.scenario.validation
    if not section.failures or case.scenario.objective is Objective.THROUGHPUT or not case.slos:
        return ()
    plain = planned(replace(case, scenario=case.scenario.changed(["validation.failures=[]"])))
    if not isinstance(plain, ValidatedPlan):
        return ()
    machines, without = best.candidate.totals.machines, plain.candidate.totals.machines
    failing = len({(each.pool, each.machine) for each in section.failures})
    if machines <= without + failing:
        return ()
    window_s = window_of_s(case)
    before, after = case.asked.unmeasured_at(1.0, section)
    strictest = max(case.slos, key=lambda slo: slo.percentile)
    left_s = (1 - strictest.percentile / 100) * (1 - before - after) * window_s
    return (
        f"validation.failures: without them {plural(without, 'machine')} would do, not {machines}; of a window of "
        f"{window_s:g} s {strictest.name} leaves as many requests late as come in {left_s:.2g} s. Where a failure "
        "takes longer to recover from, a longer workload.duration_s asks for fewer machines",
    )


def too_late(case: Case) -> tuple[str, ...]:
    """Failures after the last request: a plan would be sold as surviving what never came."""
    failures = case.scenario.validation.failures
    if not failures or case.scenario.schedule is not None:
        return ()
    window_s = window_of_s(case)
    return tuple(
        f"validation.failures: found at_s {each.at_s:g}; expected below {window_s:g}, the seconds that a simulation "
        "lasts (workload.duration_s)"
        for each in failures
        if each.at_s >= window_s
    )


def window_of_s(case: Case) -> float:
    """Seconds in which requests come, of the first seed."""
    return case.asked.draw(case.asked.seeds[0], 1.0, 1.0).duration_s
