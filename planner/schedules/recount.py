"""What a plan over time comes to as it stands, whatever a file says of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from planner.errors import BadInput
from planner.formulate.epoch_program import counted
from planner.formulate.epoch_question import EpochQuestion
from planner.resolve.epoch_options import fleet
from planner.results.schedule import EpochOption, Run, Schedule
from planner.schedules.question import Opened, question_of
from workloads.counts import plural


def recounted(asked: Opened, schedule: Schedule) -> Schedule:
    """The same machines and instances with the changes, money and energy that they come to under a question.

    Raises:
        BadInput: it runs what the question does not offer, has other epochs, or more instances than its machines hold.
    """
    case = asked.case
    types = fleet(case, asked.section, [option.spec.machine for option in asked.options])
    question = replace(question_of(asked), fleet=tuple(types))
    problems = tuple(_unlike(question, asked.options, schedule))
    if problems:
        raise BadInput(*problems)
    machines, runs = [each.machines for each in schedule.epochs], [each.runs for each in schedule.epochs]
    return counted(question, asked.options, schedule, machines, runs)


def machines_for(asked: Opened, runs: Iterable[Run]) -> dict[str, int]:
    """Machine type -> how many the pools of one moment need: they share machines, but where availability is asked for.

    Args:
        asked: the question whose options they are.
        runs: the pools, of all models.
    """
    options, gpus = {option.name: option for option in asked.options}, Counter[str]()
    own = {option.machine.name: option.machine.gpus for option in asked.case.options}
    for run in runs:
        option, needed = options[run.name], run.instances - run.spare_instances
        whole = option.machines_for(needed) + run.spare_machines
        gpus[run.spec.machine] += (
            run.instances * option.gpus if option.spares is None else whole * own[run.spec.machine]
        )
    return {name: -(-count // own[name]) for name, count in gpus.items()}


def _unlike(question: EpochQuestion, options: Sequence[EpochOption], schedule: Schedule) -> Iterator[str]:
    """What a schedule has that its question does not."""
    strangers = {run.name for each in schedule.epochs for run in each.runs} - {option.name for option in options}
    yield from (f"schedule: it runs {name}, which the scenario does not offer" for name in sorted(strangers))
    gpus = {kind.machine: kind.gpus for kind in question.fleet}
    types = {name for each in (*(e.machines for e in schedule.epochs), schedule.base_machines) for name in each}
    yield from (f"schedule: it has {name}, which the scenario does not offer" for name in sorted(types - gpus.keys()))
    if question.load.epochs != len(schedule.epochs):
        yield f"schedule: found {plural(len(schedule.epochs), 'epoch')}; the scenario has {question.load.epochs}"
    for number, epoch in enumerate(schedule.epochs):
        for machine, count in epoch.machines.items():
            used = sum(run.instances * run.spec.layout.gpus for run in epoch.runs if run.spec.machine == machine)
            whole = {option.name: option for option in options if option.spares is not None}
            standing = sum(
                whole[run.name].machines_for(run.instances - run.spare_instances) + run.spare_machines
                for run in epoch.runs if run.spec.machine == machine and run.name in whole
            )  # fmt: skip
            if standing > count:
                yield f"schedule.epochs.{number}: found pools of {standing} {machine}; expected at most {count}"
            if used > (most := count * gpus.get(machine, used)):
                words = f"found {plural(used, 'GPU')} in use on {count} {machine}; expected at most {most}"
                yield f"schedule.epochs.{number}: {words}"
