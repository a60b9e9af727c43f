"""The story of a plan over time: forecast, propose, serve every epoch, provide for more where one misses."""

from dataclasses import replace

import numpy as np

from planner.errors import BadInput
from planner.formulate import lift_schedule
from planner.resolve.case import Case
from planner.resolve.inputs import Inputs, inputs_of
from planner.resolve.serving import served_over_time
from planner.results.evidence import Verdict
from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.scenario.objectives import Aim
from planner.scenario.schedule_section import ScheduleSection
from planner.schedules.fixed import Static, fixed_fleet, simulated
from planner.schedules.question import Opened, opened, policies_of, question_of, solved
from planner.schedules.recount import recounted
from planner.schedules.refusal import refusal
from planner.schedules.rows import Study, in_rows, of_at_most
from planner.schedules.serving import Progress, Serving
from solvers.allocation import Reason
from workloads.load import Floats

MORE_RATIO = 1 / 0.85
"""By which the rate that an epoch provides for grows each time that the simulator finds an objective missed in it; by
its root up to the peak, where the usual headroom is."""

HALVINGS = 4
"""How often that growth is halved where no schedule provides for it."""

LEAST_WATTS_STEP = 0.995
"""By which planned watts fall below the metered share of their budget when the simulator finds it passed."""


def timetable(
    question: Scenario | Inputs, *, progress: Progress, static: Static | None = None, study: Study | None = None
) -> Timetable:
    """The best schedule whose epochs, and changes between them, the simulator confirms; of any policy for ``auto``.

    Args:
        question: the scenario; or what was read of it, so that it is not read again.
        progress: told what is happening, and the share of the work that is done.
        static: finds the plan of one load to compare with; None compares with nothing.
        study: of the row that machines stand in; None leaves it out.

    Raises:
        BadInput: see ``opened``.
        WorkloadError: likewise.
    """
    inputs = inputs_of(question)
    best, asked, serving = _standing(inputs, progress, study)
    if best.schedule is None:
        return best if best.lacking else _refused(best, asked)
    progress(f"{best.policy}: fixed fleet", 0.95)
    fixed = fixed_fleet(asked, best.schedule, static) if best.valid and static else None
    notes = (*best.schedule.notes, *_losses(serving, best.schedule, asked.section))
    return replace(
        best,
        schedule=replace(best.schedule, notes=notes),
        simulated=simulated(best.schedule, best.served, asked.case.scenario),
        fixed=fixed,
        serves=served_over_time(asked.case, best.schedule),
    )


def _standing(inputs: Inputs, progress: Progress, study: Study | None) -> tuple[Timetable, Opened, Serving]:
    """The best schedule whose machines stand in their rows, where there are any."""
    best, asked, serving = _best(inputs, progress)
    if study is None or not best.valid or inputs.scenario.power.row_limit_w is None:
        return best, asked, serving
    progress(f"{best.policy}: rows", 0.9)
    tried = [(asked, serving)]

    def again(machines: int) -> tuple[Timetable, Case]:
        fewer, question, served = _best(of_at_most(inputs, machines), progress)
        tried.append((question, served))
        return fewer, question.case

    best = in_rows(best, asked.case, study, again)
    return best, *tried[-1]


def _best(inputs: Inputs, progress: Progress) -> tuple[Timetable, Opened, Serving]:
    """The best schedule of any policy that is asked for, with its question and what was served."""
    found = []
    for name in policies_of(inputs.scenario):
        progress(f"{name}: options", 0.0)
        asked = opened(inputs, name)
        serving = Serving(asked.case, asked.section, asked.load, asked.options)
        found.append((_timetable(asked, serving, progress), asked, serving))
    return min(found, key=lambda each: _worth(each[0]))


def _refused(found: Timetable, asked: Opened) -> Timetable:
    """No schedule, with what the budgets lack where the solver proved that its program has none."""
    if found.termination.reason is not Reason.INFEASIBLE:
        return found
    why = refusal(asked)
    return replace(found, lacking=why.lines, proven=why.proven)


def _losses(serving: Serving, schedule: Schedule, section: ScheduleSection) -> tuple[str, ...]:
    """What machines that are taken away do to the objectives, where that is more than nothing; full sentences."""
    if section.top_channel == "spot" and not section.interruptions_per_h_ratio:
        return (
            "schedule.top_channel is spot and schedule.interruptions_per_h_ratio is 0: no machine is ever taken away, "
            "and none is spare",
        )
    struck = serving.lost(schedule)
    if struck is None or struck[2].valid:
        return ()
    epoch, machine, said = struck
    missed = ", ".join(f"{each.key} {each.verdict.words}" for each in said.evidence if each.verdict is not Verdict.MET)
    return (
        f"schedule.interruptions_per_h_ratio: a {machine} taken away in epoch {epoch} leaves "
        f"{missed or 'a growing backlog'} for the {section.start_s:g} s (schedule.start_s) until a spare serves",
    )


def _worth(found: Timetable) -> tuple[object, ...]:
    """The smaller, the better: validated before not, a schedule before none, then by the aims."""
    return (not found.valid, found.schedule is None, _value(found.schedule))


def _value(schedule: Schedule | None) -> tuple[float, ...]:
    """What a schedule comes to in the aims, in their order."""
    if schedule is None:
        return ()
    worth = {Aim.COST: schedule.cost_usd, Aim.ENERGY: schedule.energy_j, Aim.CARBON: schedule.carbon_g,
             Aim.POWER: schedule.rated_w, Aim.MACHINES: schedule.powered_machines}  # fmt: skip
    return tuple(worth[aim] for aim in schedule.aims)


def _timetable(asked: Opened, serving: Serving, progress: Progress) -> Timetable:
    """The best schedule under one policy.

    Instances are filled to what they carry at first, without headroom: the simulator says which epochs need it.
    """
    brim = asked.case.scenario.headroom.mixed_frac
    held = provided = np.full(asked.load.epochs, brim)
    watts_ratio, found = 1.0, None
    for turn in range(asked.case.scenario.validation.max_rounds):
        part = _part_of(progress, asked.case.policy.name, turn)
        part("solving", 0.0)
        proposed, provided = _nearest(asked, held, provided, watts_ratio)
        if proposed.schedule is None:
            return found or proposed
        found, held = proposed, provided.copy()
        served, unserved = serving.all(proposed.schedule, part)
        found = replace(found, served=served, unserved=unserved)
        if found.valid:
            return found
        provided = held.copy()
        for each in served:
            if not each.served_well:
                missed = list(each.epochs)
                provided[missed] *= np.where(provided[missed] < 1, MORE_RATIO**0.5, MORE_RATIO)
        passed = [
            each.limit_w / each.simulated_w for each in served if each.excess_w and each.limit_w and each.simulated_w
        ]
        watts_ratio *= LEAST_WATTS_STEP * min(passed) if passed else 1.0
    assert found is not None
    return found


def _nearest(asked: Opened, held: Floats, wanted: Floats, watts_ratio: float) -> tuple[Timetable, Floats]:
    """The schedule that provides for what is wanted, or for as much of it as budgets and availability allow.

    Args:
        asked: the question.
        held: (epochs,) rates over the peak that some schedule provides for.
        wanted: (epochs,) those to provide for.
        watts_ratio: share of the budget of expected watts that may be planned on.

    Returns:
        The proposal, None in it where there is none even halfway, and what it provides for.
    """
    proposed = _proposed(asked, wanted, watts_ratio)
    for _ in range(HALVINGS):
        if proposed.schedule is not None or np.array_equal(held, wanted):
            break
        wanted = (held + wanted) / 2
        proposed = _proposed(asked, wanted, watts_ratio)
    return proposed, wanted


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
    asked = opened(scenario, policy if policy in policies_of(scenario) else policies_of(scenario)[0])
    case, section, load = asked.case, asked.section, asked.load
    if epoch is not None and not 0 <= epoch < load.epochs:
        raise BadInput(f"--epoch: found {epoch}; expected 0 to {load.epochs - 1}")
    schedule = recounted(asked, schedule)
    serving = Serving(case, section, load, asked.options)
    served, unserved = serving.all(schedule, progress) if epoch is None else serving.one(schedule, epoch, progress)
    return Timetable(
        schedule=schedule, served=served, unserved=unserved, termination=schedule.termination,
        provided_ratio=(1.0,) * load.epochs, policy=case.policy.name, serves=served_over_time(case, schedule),
    )  # fmt: skip


def as_it_stands(scenario: Scenario, found: Timetable) -> Timetable:
    """A plan over time that was edited: with the money and energy of its machines, and without evidence.

    Raises:
        BadInput: see ``serve_again``.
        WorkloadError: see ``opened``.
    """
    assert found.schedule is not None  # files without one are not read
    schedule = recounted(opened(scenario, found.policy), found.schedule)
    return replace(found, schedule=schedule, served=(), unserved=(), simulated=None, fixed=None)


def _part_of(progress: Progress, policy: str, turn: int) -> Progress:
    """Progress of one round: the first is most of the work."""
    begin = 1 - 0.5**turn

    def tell(words: str, done_frac: float) -> None:
        progress(
            f"{policy}: {words}" if not turn else f"{policy}, round {turn + 1}: {words}",
            begin + (1 - begin) / 2 * done_frac,
        )

    return tell


def _proposed(asked: Opened, provided: Floats, watts_ratio: float) -> Timetable:
    """The schedule that the program finds; not served yet."""
    question = question_of(asked, provided, watts_ratio)
    solution, later, method = solved(asked, question)
    schedule = None
    if solution.allocation is not None:
        schedule = replace(
            lift_schedule(question, solution.allocation.values, solution.termination, method=method, later=later),
            notes=asked.notes,
        )
    return Timetable(
        schedule=schedule, served=(), unserved=tuple(range(asked.load.epochs)), termination=solution.termination,
        provided_ratio=tuple(provided.tolist()), policy=asked.case.policy.name,
    )  # fmt: skip
