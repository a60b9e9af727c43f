"""The peak of a question over time as a question about one load, of one model or of several."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from planner.resolve.inputs import Inputs
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective
from planner.scenario.sections import Catalog
from planner.schedules.question import Opened
from workloads.load import Floats, Load

Peak = Mapping[str, tuple[Inputs, CandidatePlan]]
"""By model (one alone has no name) its question about one load and the validated plan of that; empty without one."""

Static = Callable[[Scenario | Fleet, Sequence[Objective]], Iterable[Peak]]
"""Finds the plans of one load for each objective; what they are asked of is read once."""


def total(load: Load, rates: Mapping[str, Floats]) -> Floats:
    """(epochs,) rate of all classes together."""
    return np.asarray(np.sum(np.array(list(rates.values())), axis=0), np.float64) if rates else np.zeros(load.epochs)


def busiest(asked: Opened) -> int:
    """The epoch of the highest rate of all classes together."""
    return int(np.argmax(total(asked.load, asked.load.peak_req_per_s)))


def peak_ratio(asked: Opened) -> float:
    """The rate of the busiest epoch over the mean rate of the workload; of a trace 1: it is served whole."""
    if asked.section.load == "trace":
        return 1.0
    return float(total(asked.load, asked.load.peak_req_per_s).max()) / asked.case.asked.demand.rate_req_per_s


def requests_of(asked: Opened) -> float:
    """Requests of one simulation of the peak of one model, all seeds together."""
    workload = asked.case.asked
    if asked.section.load == "trace":
        return float(len(workload.draw(workload.seeds[0], 1.0, 1.0)))
    return float(len(workload.draw(workload.seeds[0], peak_ratio(asked), 1.0)) * len(workload.seeds))


def at_the_peak(asked: Opened) -> Scenario:
    """The same question about one load, that of the busiest epoch, or about the whole trace.

    Failures strike epochs, which are not in it.
    """
    scenario = asked.case.scenario
    shared = {"schedule": None, "catalog": _clocked(asked)}
    unstruck = scenario.validation.model_copy(update={"failures": ()})
    return scenario.model_copy(update={**shared, "validation": unstruck, **_at_its_peak(asked)})


def models_at_the_peak(asked: Opened, fleet: Fleet) -> Fleet:
    """The same of several models, each at its own peak, whenever that is."""
    models = tuple(each.model_copy(update={**_at_its_peak(asked.parts[each.name]), "load": None, "failures": ()})
                   for each in fleet.models)  # fmt: skip
    catalog = fleet.catalog
    for part in asked.parts.values():
        clocks_mhz = {**catalog.clocks_mhz, **_clocked(part).clocks_mhz}
        catalog = catalog.model_copy(update={"clocks_mhz": clocks_mhz})
    return fleet.model_copy(update={"schedule": None, "catalog": catalog, "models": models})


def _at_its_peak(asked: Opened) -> dict[str, Any]:
    """The sections of a model's own that its peak changes."""
    workload, policy = asked.case.scenario.workload, asked.case.scenario.policy
    return {
        "workload": workload.model_copy(update={"rate_scale": workload.rate_scale * peak_ratio(asked)}),
        "policy": policy.model_copy(update={"name": asked.case.policy.name}),
    }


def _clocked(asked: Opened) -> Catalog:
    """The catalog with the clocks that the options of a schedule are locked at."""
    offered = asked.case.scenario.catalog
    clocks_mhz = dict(offered.clocks_mhz)
    own = {(option.spec.machine, option.spec.clock_mhz) for option in asked.case.options if option.spec.clock_mhz}
    for name in sorted({machine for machine, _ in own}):
        if clocks_mhz.get(name) != "auto":
            clocks_mhz[name] = tuple(sorted(clock for machine, clock in own if machine == name))
    return offered.model_copy(update={"clocks_mhz": clocks_mhz})
