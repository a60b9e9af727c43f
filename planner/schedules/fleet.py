"""The story of a plan over time of several models: planned as one question, each served on its own pools."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from planner.errors import BadInput
from planner.resolve.inputs import Inputs
from planner.resolve.serving import served_over_time
from planner.results.schedule import Schedule
from planner.results.timetable import ModelOverTime, Timetable
from planner.scenario.fleet import Fleet, served_twice
from planner.schedules.available import all_up, studied
from planner.schedules.fixed import fixed_fleets, simulated
from planner.schedules.groups import Progress
from planner.schedules.joint import as_planned_together, joint_ways
from planner.schedules.looks import Looks
from planner.schedules.losses import absent, losses
from planner.schedules.nearest import enough_of
from planner.schedules.peaks import Static
from planner.schedules.planning import best_of
from planner.schedules.question import Opened
from planner.schedules.recount import recounted
from planner.schedules.refusal import Refusal, refused
from planner.schedules.rivals import against_fixed, one_knob, told
from planner.schedules.together import Together, of_model


def fleet_timetable(
    fleet: Fleet, models: Mapping[str, Inputs], *, progress: Progress, static: Static | None = None,
    looks: Looks | None = None,
) -> Timetable:  # fmt: skip
    """The best schedule of all models on one fleet whose epochs the simulator confirms, model by model.

    Args:
        fleet: the question.
        models: each as it was read, with the shared sections of all.
        progress: told what is happening, and the share of the work that is done.
        static: finds the plans of one load to compare with; None compares with nothing.
        looks: what was simulated of the question before.

    Raises:
        BadInput, WorkloadError: see ``joint_ways``.
    """
    progress("options", 0.0)
    allowed, left_out = joint_ways(fleet, models)
    best, asked, serving = best_of(allowed, progress, looks)
    if best.schedule is None:
        return best if best.lacking else refused(best, asked, _enough_of(fleet, models, asked, progress))
    if asked.rule is not None and best.valid:
        best = told(best, one_knob(asked, best))
        assert best.schedule is not None, "it was there before"
    progress("fixed fleet", 0.95)
    fleets = fixed_fleets(asked, best, static, fleet) if best.valid and static else ()
    best = against_fixed(asked, best, fleets, serving, progress)
    assert best.schedule is not None, "one stands, and what takes its place is one"
    notes = [*best.schedule.notes, *losses(serving, best.schedule, asked.section), *_absent(asked, best.schedule)]
    notes += served_twice(fleet)
    if left_out:
        notes.append(
            f"{left_out} more mixes of policies, precisions and engines of the models were not planned, and the gap is "
            "proven of those that were; name policy.name and model.engine to choose"
        )
    return replace(
        best, schedule=replace(best.schedule, notes=tuple(notes)),
        simulated=simulated(best.schedule, best.served, asked.case.scenario), models=models_of(asked, best.schedule),
    )  # fmt: skip


def _enough_of(
    fleet: Fleet, models: Mapping[str, Inputs], asked: Opened, progress: Progress
) -> Callable[[Refusal], Refusal] | None:  # fmt: skip
    """What finds how much of a limit is enough, by planning with it; None of so many epochs that this takes long."""

    def planned(other: Mapping[str, Inputs]) -> bool:
        allowed, _ = joint_ways(fleet, other)
        return best_of(allowed, lambda words, _: progress(f"other limits: {words}", 0.95), None)[0].valid

    return enough_of(models, asked, planned)


def models_of(asked: Opened, schedule: Schedule) -> tuple[ModelOverTime, ...]:
    """How each model is served."""
    return tuple(
        ModelOverTime(
            name=name, policy=part.case.policy.name, variant=part.case.variant,
            serves=served_over_time(part.case, of_model(schedule, name)),
        )
        for name, part in asked.parts.items()
    )  # fmt: skip


def serve_fleet_again(
    models: Mapping[str, Inputs], planned: Timetable, *, progress: Progress, epoch: int | None = None
) -> Timetable:
    """What the simulator says of a schedule of several models that exists, asked what ``models`` ask.

    Args:
        models: the question; its options are those that the schedule is made of.
        planned: the schedule as it was planned.
        progress: takes what is served, and the share that is done.
        epoch: only this one, with the change into it.

    Raises:
        BadInput: the schedule runs what the question does not offer, has other epochs, or none of that number.
        WorkloadError: see ``opened``.
    """
    asked = as_planned_together(models, planned)
    if epoch is not None and not 0 <= epoch < asked.load.epochs:
        raise BadInput(f"--epoch: found {epoch}; expected 0 to {asked.load.epochs - 1}")
    assert planned.schedule is not None, "only a schedule is served"
    schedule, serving = recounted(asked, planned.schedule), Together(asked)
    served, unserved = serving.all(schedule, progress) if epoch is None else serving.one(schedule, epoch, progress)
    found = Timetable(
        schedule=schedule, served=served, unserved=unserved, termination=schedule.termination,
        provided_ratio=dict.fromkeys(asked.load.peak_req_per_s, (1.0,) * asked.load.epochs), policy=asked.ways,
        models=models_of(asked, schedule),
    )  # fmt: skip
    if asked.rule is None or epoch is not None:
        return found
    seen = studied(asked, schedule, serving, progress)
    return replace(all_up(found, serving, progress), availability=seen.study, over=seen.lines)


def fleet_as_it_stands(models: Mapping[str, Inputs], found: Timetable) -> Timetable:
    """One that was edited: with the money and energy of its machines, and without evidence.

    Raises:
        BadInput, WorkloadError: see ``serve_fleet_again``.
    """
    assert found.schedule is not None  # files without one are not read
    schedule = recounted(as_planned_together(models, found), found.schedule)
    return replace(found, schedule=schedule, served=(), unserved=(), simulated=None, fixed=None)


def _absent(asked: Opened, schedule: Schedule) -> Iterator[str]:
    """Failures that find no machine, full sentences."""
    for name, part in asked.parts.items():
        yield from (f"{name}: {words}" for words in absent(part.case.scenario, of_model(schedule, name)))
