"""What a scenario with a schedule may not ask: keys that no plan over time honours, each with the reason."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from hw_catalog.machines import Machine
from planner.errors import BadInput
from planner.policies.presets import LONG, NAMES
from planner.resolve.interruptions import spare_line
from planner.scenario import Scenario
from planner.scenario.choices import listed
from planner.scenario.objectives import Aim, Objective
from planner.scenario.schedule_section import ScheduleSection

REFUSED: Mapping[str, str] = {
    "solver.gap_frac": "schedule.gap_frac is the gap of a schedule",
}
"""Keys, or all keys of a section, that must keep their default beside a schedule, and why."""

SERVED = (*NAMES, LONG, "auto")
"""Policies that a schedule may name."""

_MOVING = ("diurnal", "profile")


def schedule_problems(scenario: Scenario, machines: Sequence[Machine]) -> tuple[str, ...]:
    """Every key of a scenario that its schedule cannot honour; none where it has no schedule.

    Args:
        scenario: the question.
        machines: that may be bought.
    """
    if scenario.schedule is None:
        return ()
    return (*_refused(scenario), *_objective(scenario), *_policy(scenario), *_arrivals(scenario),
            *_machine_names(scenario, machines), *_spares(scenario.schedule))  # fmt: skip


def aims_of(scenario: Scenario) -> tuple[Aim, ...]:
    """What a schedule makes small, in order: its own list, else the scenario's objective and then cost (or energy).

    Cost comes last where a list leaves it out: of schedules that are equal in what is asked the cheapest is wanted.
    """
    assert scenario.schedule is not None, "asked of a schedule only"
    if asked := scenario.schedule.objectives:
        return asked if Aim.COST in asked else (*asked, Aim.COST)
    first = Aim(scenario.objective.value)
    return (first, Aim.ENERGY if first is Aim.COST else Aim.COST)


def hourly_carbon_g_per_kwh(scenario: Scenario) -> tuple[float, ...]:
    """Grams of CO2 per kWh by the hour, repeated for as long as the schedule is."""
    assert scenario.schedule is not None, "asked of a schedule only"
    return (
        scenario.schedule.carbon_g_per_kwh
        or scenario.energy.hourly_carbon_g_per_kwh
        or (scenario.energy.carbon_g_per_kwh,)
    )


def _refused(scenario: Scenario) -> Iterator[str]:
    """Keys that differ from their defaults and would be ignored."""
    for key, reason in REFUSED.items():
        section, _, name = key.partition(".")
        part: BaseModel = getattr(scenario, section)
        fields = type(part).model_fields
        for each in fields if name == "*" else (name,):
            yield from (
                f"{section}.{key}: found {shown}; expected it left out beside schedule: {reason}"
                for key, shown in _given(part, each)
            )


def _given(part: BaseModel, name: str) -> Iterator[tuple[str, object]]:
    """A key of a section, or the keys below it, that differ from their defaults, and what stands there."""
    found, field = getattr(part, name), type(part).model_fields[name]
    if found == field.get_default(call_default_factory=True):
        return
    if isinstance(found, BaseModel):
        inner = (given for each in type(found).model_fields for given in _given(found, each))
        yield from ((f"{name}.{key}", shown) for key, shown in inner)
    else:
        yield name, found if isinstance(found, int | float | str) else "a value"


def _objective(scenario: Scenario) -> Iterator[str]:
    """More throughput is no aim of a schedule, whose load is given."""
    if scenario.objective is Objective.THROUGHPUT:
        yield (
            f"objective: found throughput; expected {', '.join(aim.value for aim in Aim)} beside schedule: the load of "
            "every epoch is given"
        )


def _policy(scenario: Scenario) -> Iterator[str]:
    """Rules that promise memory at arrival, which no instance could keep that goes."""
    for name in (name for name in listed(scenario.policy.name) if name not in SERVED):
        yield (
            f"policy.name: found '{name}'; expected {', '.join(SERVED)} beside schedule: under {name} memory is "
            "promised at arrival for the whole request, and instances come and go"
        )


def _arrivals(scenario: Scenario) -> Iterator[str]:
    """Arrivals that move by themselves, beside hours that say how the load moves."""
    asked, process = scenario.schedule, scenario.workload.arrivals.process
    if asked is not None and process in _MOVING:
        yield (
            f"workload.arrivals.process: found {process}; expected poisson, gamma or replay beside schedule: "
            "schedule.load says how the rate moves"
        )


def _spares(section: ScheduleSection) -> tuple[str, ...]:
    """Machines on top that are gone so often that no number of them is enough."""
    try:
        spare_line(section.interruptions_per_h_ratio, section.start_s, section.spare_confidence_frac)
    except BadInput as wrong:
        return wrong.problems
    return ()


def _machine_names(scenario: Scenario, machines: Sequence[Machine]) -> Iterator[str]:
    """Clocks by type name machine types that the catalog section lists."""
    asked = scenario.schedule.clocks_mhz if scenario.schedule else ()
    known = sorted({machine.name for machine in machines})
    if isinstance(asked, Mapping):
        for name in sorted(set(asked) - set(known)):
            yield f"schedule.clocks_mhz.{name}: no such machine type in catalog.machines; expected {', '.join(known)}"
