"""The story of a plan over time: forecast, propose, serve every epoch, provide for more where one misses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from planner.errors import BadInput
from planner.formulate import EpochQuestion, epoch_problem, later_aims, lift_schedule, place, thinned
from planner.resolve.case import Case, open_case
from planner.resolve.epoch_options import epoch_options, fleet, unsold_on_top
from planner.resolve.over_time import BOTH_PHASES, aims_of, hourly_carbon_g_per_kwh
from planner.results.schedule import Aim, EpochOption, Schedule, Tariff, Transitions
from planner.scenario import Scenario
from planner.scenario.schedule_section import ScheduleSection
from planner.schedules.serving import Progress, Served, Serving
from solvers.allocation import Solution, Termination
from solvers.decomposition import solve_decomposed
from solvers.lexicographic import lexicographic
from solvers.problem import Problem
from solvers.solve import solve
from workloads.load import Floats, Load, binned, from_factors, hedged, template

WHOLE_EPOCHS = 4
"""Up to this many epochs the whole model is solved at once."""

LATER_S = 10.0
"""Limit of each solve after the first aim's: it begins with an allocation, and whatever it finds is no worse."""

MORE_RATIO = 1 / 0.85
"""By which the rate that an epoch provides for grows each time that the simulator finds an objective missed in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """A schedule and what speaks for it.

    Attributes:
        schedule: the plan over time; None where there is none.
        served: what the simulator said, epochs that are alike together.
        unserved: epochs that rest on the same capacities and were not simulated.
        termination: how the last solve ended.
        provided_ratio: rate that each epoch provides for over its peak; above 1 where the simulator asked for more.
        policy: how instances serve.
    """

    schedule: Schedule | None
    served: tuple[Served, ...]
    unserved: tuple[int, ...]
    termination: Termination
    provided_ratio: tuple[float, ...]
    policy: str

    @property
    def valid(self) -> bool:
        """Whether there is a schedule and every epoch that was served kept every objective."""
        return self.schedule is not None and all(each.valid for each in self.served)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A question over time, read in under one policy; what ``check`` and ``plan`` both begin with.

    Attributes:
        case: the scenario with everything it names.
        section: how it asks over time.
        load: what is asked in each epoch.
        options: what may run in an epoch, ordered by name.
        notes: what a reader should know beforehand, full sentences.
    """

    case: Case
    section: ScheduleSection
    load: Load
    options: tuple[EpochOption, ...]
    notes: tuple[str, ...]


def opened(scenario: Scenario, policy: str) -> Opened:
    """Read a question over time in.

    Raises:
        BadInput: it has no schedule, asks what no schedule honours, or a class is carried by no option.
        WorkloadError: epochs do not cover the trace, or do not divide the hours.
    """
    if scenario.schedule is None:
        raise BadInput("schedule: missing; expected the section that says which hours to plan")
    case = open_case(scenario, policy)
    load, options = load_of(case, scenario.schedule), epoch_options(case)
    carried = {name for option in options for name in option.capacity_req_per_s}
    lost = [name for name, rates in load.peak_req_per_s.items() if rates.max() > 0 and name not in carried]
    if lost:
        raise BadInput(*(f"schedule: no option carries class '{name}'; expected one that does" for name in lost))
    return Opened(
        case=case, section=scenario.schedule, load=load, options=options,
        notes=(*case.asked.doubts, *unsold_on_top(case, scenario.schedule)),
    )  # fmt: skip


def policies_of(scenario: Scenario) -> tuple[str, ...]:
    """The policies that a schedule is made under, to take the best."""
    return BOTH_PHASES if scenario.policy.name == "auto" else (scenario.policy.name,)


def timetable(scenario: Scenario, *, progress: Progress) -> Timetable:
    """The best schedule whose epochs, and changes between them, the simulator confirms; of any policy for ``auto``.

    Raises:
        BadInput: see ``opened``.
        WorkloadError: likewise.
    """
    found = []
    for name in policies_of(scenario):
        progress(f"{name}: options", 0.0)
        found.append(_timetable(opened(scenario, name), progress))
    return min(found, key=lambda each: (not each.valid, each.schedule is None, _value(each.schedule)))


def _value(schedule: Schedule | None) -> tuple[float, ...]:
    """What a schedule comes to in the aims, in their order."""
    if schedule is None:
        return ()
    worth = {Aim.COST: schedule.cost_usd, Aim.ENERGY: schedule.energy_j, Aim.CARBON: schedule.carbon_g,
             Aim.POWER: schedule.rated_w, Aim.MACHINES: schedule.powered_machines}  # fmt: skip
    return tuple(worth[aim] for aim in schedule.aims)


def _timetable(asked: Opened, progress: Progress) -> Timetable:
    """The best schedule under one policy."""
    policy, load = asked.case.policy.name, asked.load
    serving = Serving(asked.case, asked.section, load, asked.case.physics)
    provided, found = np.ones(load.epochs), None
    for turn in range(asked.case.scenario.validation.max_rounds):
        part = _part_of(progress, policy, turn)
        part("solving", 0.0)
        found = _proposed(asked, provided)
        if found.schedule is None:
            return found
        served, unserved = serving.all(found.schedule, part)
        found = replace(found, served=served, unserved=unserved)
        if found.valid:
            return found
        for each in served:
            if not each.valid:
                provided[list(each.epochs)] *= MORE_RATIO
    assert found is not None
    return found


def serve_again(
    scenario: Scenario, schedule: Schedule, policy: str, *, progress: Progress, epoch: int | None = None
) -> Timetable:
    """What the simulator says of a schedule that exists, asked what ``scenario`` asks.

    Args:
        scenario: the question; its options are those that the schedule is made of.
        schedule: as it was planned.
        policy: under which.
        progress: takes what is served, and the share that is done.
        epoch: only this one, with the change into it.

    Raises:
        BadInput: the schedule runs what the scenario does not offer, has other epochs, or none of that number.
        WorkloadError: see ``opened``.
    """
    asked = opened(scenario, policy if scenario.policy.name == "auto" else scenario.policy.name)
    case, section, load = asked.case, asked.section, asked.load
    offered = {option.name for option in asked.options}
    strangers = sorted({run.spec.name for each in schedule.epochs for run in each.runs} - offered)
    problems = [f"schedule: it runs {name}, which the scenario does not offer" for name in strangers]
    if load.epochs != len(schedule.epochs):
        problems.append(f"schedule: found {len(schedule.epochs)} epochs; the scenario has {load.epochs}")
    if epoch is not None and not 0 <= epoch < load.epochs:
        problems.append(f"--epoch: found {epoch}; expected 0 to {load.epochs - 1}")
    if problems:
        raise BadInput(*problems)
    serving = Serving(case, section, load, case.physics)
    served, unserved = serving.all(schedule, progress) if epoch is None else serving.one(schedule, epoch, progress)
    return Timetable(
        schedule=schedule, served=served, unserved=unserved, termination=schedule.termination,
        provided_ratio=(1.0,) * load.epochs, policy=case.policy.name,
    )  # fmt: skip


def _part_of(progress: Progress, policy: str, turn: int) -> Progress:
    """Progress of one round: the first is most of the work."""
    begin = 1 - 0.5**turn

    def tell(words: str, done_frac: float) -> None:
        progress(
            f"{policy}: {words}" if not turn else f"{policy}, round {turn + 1}: {words}",
            begin + (1 - begin) / 2 * done_frac,
        )

    return tell


def load_of(case: Case, section: ScheduleSection) -> Load:
    """What is asked in each epoch, forecast errors provided for."""
    means = {part.request_class.name: part.rate_req_per_s for part in case.asked.demand.classes}
    if section.load == "trace":
        if not case.asked.exact:
            raise BadInput("schedule.load: trace needs a workload that is a trace file, replayed whole")
        load = binned(case.asked.draw(case.asked.seeds[0], 1.0), epoch_s=section.epoch_s, epochs=section.epochs)
    else:
        hours = template(section.load) if isinstance(section.load, str) else np.asarray(section.load, float)
        load = from_factors(means, hours, epoch_s=section.epoch_s)
    return hedged(
        load, forecast_sigma_frac=section.forecast_sigma_frac, confidence_frac=min(section.confidence_frac, 0.9999)
    )  # fmt: skip


def question_of(asked: Opened, provided: Floats | None = None) -> EpochQuestion:
    """The question over time, each epoch's peak times the rate that is ``provided`` for."""
    case, section, load = asked.case, asked.section, asked.load
    hours, energy = np.asarray(hourly_carbon_g_per_kwh(case.scenario), float), case.scenario.energy
    at = (np.arange(load.epochs) * load.epoch_s / 3600).astype(int) % len(hours)
    if provided is not None:
        load = replace(load, peak_req_per_s={name: peak * provided for name, peak in load.peak_req_per_s.items()})
    kept = thinned(asked.options, tuple(load.peak_req_per_s))
    return EpochQuestion(
        options=kept, fleet=tuple(fleet(case, section, [o.spec.machine for o in kept])), load=load,
        transitions=Transitions(
            start_s=section.start_s, start_usd=section.start_usd, min_up_epochs=section.min_up_epochs,
            ramp_machines=section.ramp_machines, churn_machines=section.churn_machines, cyclic=section.load != "trace",
        ),
        tariff=Tariff(
            usd_per_kwh=energy.usd_per_kwh, carbon_g_per_kwh=tuple(hours[at].tolist()), pue_ratio=energy.pue_ratio
        ),
        aims=aims_of(case.scenario), budgets=case.scenario.budget(),
    )  # fmt: skip


def _proposed(asked: Opened, provided: Floats) -> Timetable:
    question, case, section = question_of(asked, provided), asked.case, asked.section
    problem, limits = epoch_problem(question), case.scenario.solver
    whole = asked.load.epochs <= WHOLE_EPOCHS or limits.backend != "highs"

    def solver(part: Problem, start: Mapping[str, float]) -> Solution:
        limit_s = limits.time_limit_s if not start else min(limits.time_limit_s, LATER_S)
        if whole:
            return solve(part, backend=limits.backend, time_limit_s=limit_s, gap_frac=section.gap_frac)
        return solve_decomposed(part, place, time_limit_s=limit_s, gap_frac=section.gap_frac, start=start)

    solution, later = lexicographic(problem, later_aims(question), solver, gap_frac=section.gap_frac)
    schedule = None
    if solution.allocation is not None:
        schedule = lift_schedule(
            question, solution.allocation.values, solution.termination,
            method="monolithic" if whole else "decomposed", later=[each.termination for each in later],
        )  # fmt: skip
        schedule = replace(schedule, notes=asked.notes)
    return Timetable(
        schedule=schedule, served=(), unserved=tuple(range(asked.load.epochs)), termination=solution.termination,
        provided_ratio=tuple(provided.tolist()), policy=case.policy.name,
    )  # fmt: skip
