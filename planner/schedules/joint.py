"""Several models over time as one question: options and classes of all, on one fleet, within one set of budgets.

Budgets, base fleet, machines on top, starts and bounds are joint because the program is one. Options and classes are
named after their models; what instances of a model do is asked of its own question.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from math import inf, prod

import numpy as np

from planner.errors import BadInput
from planner.formulate import epoch_problem
from planner.resolve.inputs import Inputs
from planner.results.schedule import EpochOption, scoped
from planner.results.timetable import Timetable
from planner.scenario.fleet import Fleet
from planner.schedules.question import Opened, alone, at_target, opened, policies_of, question_of, ways
from solvers.direct import relax
from workloads.counts import plural
from workloads.load import Floats, Load

MOST_WAYS = 8
"""Ways of serving all models up to which each is planned; of more, those that mix what promises most alone.

Of programs with instances full the best of 8 is within 0.2 % of the best of 32, less than ``schedule.gap_frac``.
"""


def joined(parts: Mapping[str, Opened]) -> Opened:
    """The question about all models, each of which was read in.

    Raises:
        BadInput: their epochs are not as many, or engines of one move no KV cache between some of its layouts.
    """
    if problems := tuple(_unlike(parts)):
        raise BadInput(*problems)
    first = next(iter(parts.values()))
    offered = {option.machine.name: option for part in parts.values() for option in part.case.options}
    options = sorted((_named(name, o) for name, part in parts.items() for o in part.options), key=lambda o: o.name)
    mean, peak = dict[str, Floats](), dict[str, Floats]()
    for name, part in parts.items():
        mean |= {scoped(name, kind): rates for kind, rates in part.load.mean_req_per_s.items()}
        peak |= {scoped(name, kind): rates for kind, rates in part.load.peak_req_per_s.items()}
    common = [note for note in first.notes if all(note in part.notes for part in parts.values())]
    own = (f"{name}: {note}" for name, part in parts.items() for note in part.notes if note not in common)
    return Opened(
        case=replace(first.case, options=tuple(offered.values()), apart=()), section=first.section,
        load=Load(epoch_s=first.load.epoch_s, mean_req_per_s=mean, peak_req_per_s=peak), options=tuple(options),
        notes=(*common, *own), parts=parts, rule=first.rule,
    )  # fmt: skip


def aimed_at(asked: Opened, target_frac: float, recovery_s: float) -> Opened:
    """The same question for another share of time, with seconds that are lost after each failure; of all models."""
    if not asked.parts:
        return at_target(asked, target_frac, recovery_s)
    return joined({name: at_target(part, target_frac, recovery_s) for name, part in asked.parts.items()})


def joint_ways(fleet: Fleet, models: Mapping[str, Inputs]) -> tuple[list[Opened], int]:
    """The question in every mix of the ways that each model can be served in, and how many mixes were left out.

    Args:
        fleet: the question.
        models: each as it was read.

    Raises:
        BadInput: see ``refused`` and ``joined``; or a model cannot be served in any way.
        WorkloadError: see ``opened``.
    """
    if problems := tuple(refused(fleet)):
        raise BadInput(*problems)
    each = {name: _of_model(name, inputs) for name, inputs in models.items()}
    if prod(len(found) for found in each.values()) > MOST_WAYS:
        each = {name: _ranked(found) for name, found in each.items()}
    mixes = sorted(product(*(range(len(found)) for found in each.values())), key=lambda places: (sum(places), places))
    made, wrong = list[Opened](), list[BadInput]()
    for places in mixes:
        if len(made) == MOST_WAYS:
            break
        try:
            made.append(joined({name: found[at] for (name, found), at in zip(each.items(), places, strict=True)}))
        except BadInput as why:
            wrong.append(why)
    if not made:
        raise wrong[0]
    return made, len(mixes) - len(made) - len(wrong)


def promise(asked: Opened) -> float:
    """The least that the busiest epoch alone comes to in the first aim, counts not whole; inf where none serves it."""
    busiest = int(np.argmax(np.sum(list(asked.load.peak_req_per_s.values()), axis=0)))
    found = relax(epoch_problem(alone(asked, busiest)))
    return found.bound if found else inf


def _ranked(found: list[Opened]) -> list[Opened]:
    """Ways of serving a model: of each policy the one that promises most, then what promises next of each.

    Estimates err alike under one policy: what misses in the simulator under one may be met under another.
    """
    order, seen = sorted(found, key=promise), Counter[str]()
    turns = list[tuple[int, int]]()
    for at, way in enumerate(order):
        turns.append((seen[way.policies], at))
        seen[way.policies] += 1
    return [order[at] for _, at in sorted(turns)]


def as_planned_together(models: Mapping[str, Inputs], planned: Timetable) -> Opened:
    """A question about several models as a schedule answers it: each in its way, where the question still allows it.

    Raises:
        BadInput, WorkloadError: see ``joined`` and ``opened``.
    """
    parts, known = dict[str, Opened](), {each.name: each for each in planned.models}
    if set(known) != set(models):
        raise BadInput(f"models: found {', '.join(models)}; expected {', '.join(known)}, which the schedule serves")
    for name, inputs in models.items():
        policies, made = policies_of(inputs.scenario), known[name]
        variant = made.variant if made.variant in inputs.variants else None
        parts[name] = opened(inputs, made.policy if made.policy in policies else policies[0], variant)
    return joined(parts)


def refused(fleet: Fleet) -> Iterator[str]:
    """Keys that one model over time honours and several do not, each with the reason."""
    if fleet.schedule is None:
        yield "schedule: missing; expected the section that says which hours to plan"
        return
    if fleet.power.row_limit_w is not None:
        yield (
            "power.row_limit_w: found beside models and schedule; expected none: the row is studied with the machines "
            "of one model"
        )
    for name, part in fleet.parts().items():
        if part.schedule is not None and part.schedule.load == "trace":
            yield (
                f"models, {name}: schedule.load: found trace; expected hours beside models: traces of several models "
                "have no common beginning"
            )


def _of_model(name: str, inputs: Inputs) -> list[Opened]:
    try:
        return ways(inputs)
    except BadInput as wrong:
        raise type(wrong)(*(f"models, {name}: {problem}" for problem in wrong.problems)) from None


def _named(name: str, option: EpochOption) -> EpochOption:
    """An option of a model beside those of others."""
    return replace(
        option, model=name, capacity_req_per_s={scoped(name, k): v for k, v in option.capacity_req_per_s.items()},
        request_j={scoped(name, kind): joules for kind, joules in option.request_j.items()},
    )  # fmt: skip


def _unlike(parts: Mapping[str, Opened]) -> Iterator[str]:
    """What keeps questions from being one."""
    first, *others = parts
    expected = parts[first].load.epochs
    for name in others:
        if (found := parts[name].load.epochs) != expected:
            yield (
                f"models, {name}: load: found {plural(found, 'epoch')}; expected {expected}, as many as {first} has: "
                "give every model as many hours"
            )
    for name, part in parts.items():
        if question_of(part).parted:
            yield (
                f"models, {name}: policy.name: found {part.case.policy.name}, under which the engine moves no KV cache "
                "between some layouts on offer; expected catalog.tp and pp of layouts that exchange it, or a policy "
                "whose instances do both phases"
            )
