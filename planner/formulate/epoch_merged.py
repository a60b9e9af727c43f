"""A question over epochs with fewer options that promise more: its bound is one of the whole, and soon found.

An option takes another of its machine type in when its instances carry as much per GPU, at no more joules and no higher
floor, as the better of the two. What is lost is what only one option has: a clock that is dearer and faster, say.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from planner.formulate.epoch_pricing import Pairs, Prices
from planner.formulate.epoch_question import EpochQuestion
from planner.results.schedule import EpochOption
from solvers.problem import INF
from workloads.load import Floats


def cheapest(table: Pairs, prices: Prices, gpu_worth: Floats) -> list[int]:
    """Options that are cheapest for a class among those of their machine type and role.

    Args:
        table: all pairs.
        prices: at which they are compared.
        gpu_worth: (machine types, epochs) of a GPU, also of types that no relaxation has.
    """
    each, found = _priced(table, replace(prices, gpu_worth=gpu_worth)), set[int]()
    for group in _alike(table.question).values():
        best = np.array(group)[each[group].argmin(axis=0)]
        found |= {int(at) for at, least in zip(best, each[group].min(axis=0), strict=True) if np.isfinite(least)}
    return sorted(found)


def merged(table: Pairs, kept: Sequence[int]) -> EpochQuestion:
    """The question in some of its options, each other one taken in by that which it adds least to.

    An option stays itself where none of these on its type and in its role has as many GPUs, or a fraction that divides
    them. None is left out that another beats in some classes: whole instances may have room for just those.
    """
    question, options = table.question, list[EpochOption]()
    for group in _alike(question).values():
        there = {at: question.options[at] for at in group if at in kept}
        for other in (question.options[at] for at in group if at not in there):
            fit = [at for at, own in there.items() if other.gpus % own.gpus == 0]
            if fit:
                to = min(fit, key=lambda at: _promised(there[at], other))
                there[to] = _taken_in(there[to], other)
            else:
                options.append(other)
        options += there.values()
    return replace(question, options=tuple(sorted(options, key=lambda option: option.name)))


def _alike(question: EpochQuestion) -> Mapping[tuple[str, str, str], list[int]]:
    """Options by machine type, role and model."""
    found = defaultdict[tuple[str, str, str], list[int]](list)
    for at, option in enumerate(question.options):
        found[option.spec.machine, option.spec.role, option.model].append(at)
    return found


def _priced(table: Pairs, prices: Prices) -> Floats:
    """(options, classes) what all requests of all epochs count at prices; infinite: not served."""
    found = np.full(table.capacity.shape, INF)
    for at in range(len(table.question.options)):
        classes, reduced = table.reduced(prices, at)
        found[at, classes] = (np.where(np.isfinite(reduced), reduced, 0.0) * table.peak[classes]).sum(axis=1)
    return found


def _taken_in(own: EpochOption, other: EpochOption) -> EpochOption:
    """An option that does all that another of as many GPUs, or a multiple, does, too, at no more."""
    times = other.gpus // own.gpus
    capacity, request_j = dict(own.capacity_req_per_s), dict(own.request_j)
    for name, carried in other.capacity_req_per_s.items():
        capacity[name] = max(carried / times, capacity.get(name, 0.0))
        request_j[name] = min(other.request_j[name], request_j.get(name, INF))
    floor_w = min(own.floor_w, other.floor_w / times)
    return replace(own, capacity_req_per_s=capacity, request_j=request_j, floor_w=floor_w)


def _promised(own: EpochOption, other: EpochOption) -> float:
    """How much more rate per GPU and how much less energy an option promises once it takes another in; 0 is nothing."""
    after, more = _taken_in(own, other), 0.0
    for name, carried in after.capacity_req_per_s.items():
        if name not in own.capacity_req_per_s:
            more += 1.0
            continue
        before, spent = own.request_j[name], after.request_j[name]
        more += carried / own.capacity_req_per_s[name] - 1 + ((before - spent) / before if before > 0 else 0.0)
    return more
