"""The integer programs of plans over time: written in the kinds that are worth having, solved, lifted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from planner.formulate import (
    EpochQuestion,
    Few,
    beside,
    epoch_problem,
    few,
    later_aims,
    lift_schedule,
    place,
    whole_sets,
)
from planner.formulate.epoch_question import base
from planner.results.schedule import Schedule
from planner.scenario.objectives import Aim
from planner.schedules.base_fleet import base_fleet
from planner.schedules.kept import Kept
from planner.schedules.question import Opened, stood_on
from planner.schedules.spares import too_few
from solvers.allocation import Limit, Reason, Solution, Termination, answered, empty_handed
from solvers.decomposition import proven, solve_beside, solve_decomposed, solve_in_turn
from solvers.direct import relax
from solvers.lexicographic import lexicographic
from solvers.problem import INF, Problem
from solvers.solve import solve
from solvers.stages import Staged, solve_staged

WHOLE_EPOCHS = 4
"""Up to this many epochs the whole model is solved at once."""

MOST_STAGED = 1_000
"""Machine types times epochs whose machines are decided in one program."""

MOST_SPARED = 8
"""Programs that are solved until the pools of every epoch have enough spare machines."""

UNSPARED = "no number of spare machines was found with which every epoch is up as often as availability asks"

LATER_S = 10.0
"""Limit of each solve after the first aim's: it begins with an allocation, and whatever it finds is no worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a program over epochs is solved.

    Attributes:
        time_limit_s: of each solve, counted as work.
        gap_frac: that is enough.
        backend: who solves a whole model.
        prove: look for a tight bound too.
    """

    time_limit_s: float
    gap_frac: float
    backend: str = "highs"
    prove: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What a program over epochs came to.

    Attributes:
        question: in the kinds that the program was written in.
        solution: its allocation, and how the solve of the first aim ended; the bound is one of all kinds.
        later: how the solves of the later aims ended.
        method: whole, or taken apart by epoch.
    """

    question: EpochQuestion
    solution: Solution
    later: Sequence[Termination]
    method: str

    def schedule(self) -> Schedule | None:
        """The allocation as a schedule; None without one."""
        if self.solution.allocation is None:
            return None
        values, ended = self.solution.allocation.values, self.solution.termination
        return lift_schedule(self.question, values, ended, method=self.method, later=self.later)


def solved(asked: Opened, question: EpochQuestion, *, prove: bool = True, kept: Kept | None = None) -> Solved:
    """The best allocation of a question's program.

    Its pools have the spare machines that availability asks for: where those that a program knows of are too few, it is
    solved again with more. What is proven is proven of the first.

    Args:
        asked: the question.
        question: its program.
        prove: look for a tight bound too, which ``proved`` does later.
        kept: pools that epochs run whatever else is planned.
    """
    section = asked.case.scenario.solver
    limits = Limits(
        time_limit_s=section.time_limit_s, gap_frac=asked.section.gap_frac, backend=section.backend, prove=prove
    )  # fmt: skip
    found = first = programmed(question, limits, kept=kept)
    for _ in range(MOST_SPARED):
        if asked.rule is None or found.solution.allocation is None:
            return found
        more = too_few(stood_on(asked), question, found.solution.allocation.values, asked.rule)
        if more is None:
            break
        if not more:
            ended = replace(found.solution.termination, bound=first.solution.termination.bound)
            return replace(found, solution=replace(found.solution, termination=ended))
        question = replace(question, least_spares={**question.least_spares, **more})
        found = programmed(question, replace(limits, prove=False), kept=kept)
    return replace(found, solution=empty_handed(Reason.NO_SOLUTION_FOUND, backend="", detail=UNSPARED))


def programmed(question: EpochQuestion, limits: Limits, *, kept: Kept | None = None) -> Solved:
    """The best allocation of a program: in few kinds where it is large, in all where these have none.

    The few are first those alone that the relaxation uses; where these leave a gap, what they come to is bettered in
    more, so that more kinds never cost more. Where machines are few, those of all epochs are decided first, or smaller
    ones beside those are tried in its place.
    """
    if parts := whole_sets(question):
        if kept is None:
            return _best_of(parts, limits)
        question = next((part for part in parts if kept.names <= {o.name for o in part.options}), question)
    if kept is None and limits.backend == "highs" and (some := few(question)):
        if some.mixed and question.aims[0] is Aim.COST and (staged := _in_stages(some, question, limits)):
            return staged
        found = _programmed(some.used, limits, bound=some.bound)
        if found.solution.termination.reason is Reason.OPTIMAL:
            return found
        if some.mixed and question.aims[0] is Aim.COST:
            found = _in_turn(some.mixed, found, limits, some.bound)
            ended = found.solution.termination
            ended = _in_whole(ended, some, limits.gap_frac) if limits.prove else ended
            return replace(found, solution=replace(found.solution, termination=ended))
        begin = found.solution.allocation.values if found.solution.allocation else {}
        found = _programmed(some.question, limits, bound=some.bound, begin=begin)
        if found.solution.allocation is not None:
            return found
    return _programmed(question, limits, pools=kept.values(question) if kept else {})


def _best_of(parts: Sequence[EpochQuestion], limits: Limits) -> Solved:
    """The best of several questions one of which has to hold; the bound is the least of theirs.

    They are solved in the order of their relaxations; one whose relaxation is no better than an answer is not solved.
    """
    relaxed = [relax(epoch_problem(part)) for part in parts]
    order = sorted((at for at, each in enumerate(relaxed) if each), key=lambda at: relaxed[at].bound)  # type: ignore[union-attr]
    best, bounds = None, list[float | None]()
    for at in order:
        promised = relaxed[at]
        assert promised is not None, "others are left out"
        value = best.solution.termination.objective if best else None
        if value is not None and promised.bound >= (1 - limits.gap_frac) * value:
            bounds.append(promised.bound)
            continue
        found = programmed(parts[at], limits)
        bounds.append(found.solution.termination.bound)
        if best is None or _worth(found) < _worth(best):
            best = found
    if best is None:
        return programmed(parts[0], limits)
    least = None if None in bounds else min(each for each in bounds if each is not None)
    return replace(best, solution=_of_all(best.solution, least, limits.gap_frac)) if len(order) > 1 else best


def _worth(found: Solved) -> float:
    """The first aim of an answer; infinity without one."""
    value = found.solution.termination.objective
    return INF if value is None else value


def _programmed(
    question: EpochQuestion, limits: Limits, *, bound: float | None = None,
    begin: Mapping[str, float] = MappingProxyType({}), pools: Mapping[str, float] = MappingProxyType({}),
) -> Solved:  # fmt: skip
    """The same in the kinds of the question.

    Args:
        question: what is asked.
        limits: of its solves.
        bound: one of more kinds than those; None where there are none.
        begin: an allocation in some of them to better; what it does not name is 0.
        pools: columns that keep their values.
    """
    whole, gap_frac = question.load.epochs <= WHOLE_EPOCHS or limits.backend != "highs", limits.gap_frac
    first = epoch_problem(question)
    known = {column.name: begin.get(column.name, 0.0) for column in first.columns} if begin else {}

    def solver(part: Problem, start: Mapping[str, float]) -> Solution:
        limit_s = limits.time_limit_s if not start else min(limits.time_limit_s, LATER_S)
        if pools:
            return solve_beside(
                part, place, pools, time_limit_s=limit_s, gap_frac=gap_frac, start=start, beside=beside
            )  # fmt: skip
        if whole:
            found = solve(part, backend=limits.backend, time_limit_s=limit_s, gap_frac=gap_frac)
        else:
            found = solve_decomposed(
                part, place, time_limit_s=limit_s, gap_frac=gap_frac, start=start, known=None if start else known,
                prove=limits.prove and bound is None, beside=beside,
            )  # fmt: skip
        return found if bound is None else _of_all(found, None if start else bound, gap_frac)

    solution, later = lexicographic(first, later_aims(question), solver, gap_frac=gap_frac)
    return Solved(
        question=question, solution=solution, later=[each.termination for each in later],
        method="monolithic" if whole else "decomposed",
    )  # fmt: skip


def _in_turn(question: EpochQuestion, found: Solved, limits: Limits, bound: float) -> Solved:
    """What was found in fewer kinds, or epoch after epoch beside a base fleet that is decided first, bettered in more.

    Args:
        question: what is asked, in these kinds; its first aim is money, so that a base fleet counts.
        found: in some of them.
        limits: of its solves.
        bound: one of all kinds.
    """
    limit_s, gap_frac, first = limits.time_limit_s, limits.gap_frac / 4, epoch_problem(question)
    how = partial(solve_in_turn, place=place, beside=beside, time_limit_s=limit_s, gap_frac=gap_frac)
    fleet = base_fleet(question, time_limit_s=limit_s, gap_frac=gap_frac)
    made = how(first, decided=fleet, passes=0) if fleet else None
    known = found.solution.allocation.values if found.solution.allocation else None
    whole = {column.name: known.get(column.name, 0.0) for column in first.columns} if known else None
    begin = min((each for each in (made, whole) if each), key=first.objective, default=None)
    if begin is None:
        return found
    return _bettered(question, begin, how, lambda made: _of_all(made, bound, limits.gap_frac), limits.gap_frac)


def _in_stages(some: Few, question: EpochQuestion, limits: Limits) -> Solved | None:
    """Machines of all epochs first, of every type; or epoch after epoch beside that base fleet; the better, bettered.

    The first stage is above lines of options that promise more than all there are, so it bounds all kinds.

    Args:
        some: the question in few kinds; its first aim is money, so that a base fleet counts.
        question: in all.
        limits: of its solves.

    Returns:
        None where machines of all types and epochs are too many for a program, or nothing is found.
    """
    if len(question.fleet) * question.load.epochs > MOST_STAGED:
        return None
    limit_s, gap_frac, (real, promised) = limits.time_limit_s, limits.gap_frac, some.apart()
    below = epoch_problem(promised)
    if (relaxed := relax(below)) is None:
        return None
    staged = solve_staged(
        epoch_problem(real), place, relaxed, time_limit_s=limit_s, gap_frac=gap_frac, below=below
    )  # fmt: skip
    if staged is None or not staged.first:
        return None
    wide, bound = some.of_types(_powered(staged)), max(some.bound, staged.bound)
    first = epoch_problem(wide)
    how = partial(solve_in_turn, place=place, beside=beside, time_limit_s=limit_s, gap_frac=gap_frac / 4)
    made = how(first, decided={base(kind.machine): staged.first[base(kind.machine)] for kind in wide.fleet}, passes=0)
    there = {column.name: staged.values.get(column.name, 0.0) for column in first.columns} if staged.values else None
    begin = min((each for each in (made, there) if each), key=first.objective, default=None)

    def of_all(found: Solution) -> Solution:
        return replace(found, termination=_bounded(found.termination, bound, gap_frac, by="whole machines"))

    return _bettered(wide, begin, how, of_all, gap_frac) if begin else None


def _powered(staged: Staged) -> set[str]:
    """The machine types that are ever powered, as first decided or in the answer."""
    every = (*staged.first.items(), *(staged.values or {}).items())
    return {name[len("on[") :].rpartition(",")[0] for name, value in every if name.startswith("on[") and value > 0.5}


def _bettered(
    question: EpochQuestion, begin: Mapping[str, float], how: Callable[..., Mapping[str, float] | None],
    of_all: Callable[[Solution], Solution], gap_frac: float,
) -> Solved:  # fmt: skip
    """An allocation that is bettered epoch after epoch, in each aim in turn.

    Args:
        question: what is asked.
        begin: the allocation.
        how: betters one.
        of_all: adds a bound of all kinds on the first aim.
        gap_frac: relative gap that is enough.
    """

    def solver(part: Problem, start: Mapping[str, float]) -> Solution:
        values = how(part, decided={}, start=start or begin)
        assert values, "what is bettered is there"
        made = answered(part, values, reason=Reason.FEASIBLE, limit=Limit.OTHER, backend="highs")
        return _of_all(made, None, gap_frac) if start else of_all(made)

    solution, later = lexicographic(epoch_problem(question), later_aims(question), solver, gap_frac=gap_frac)
    return Solved(
        question=question, solution=solution, later=[each.termination for each in later], method="decomposed"
    )  # fmt: skip


def _in_whole(ended: Termination, some: Few, gap_frac: float) -> Termination:
    """How a solve ended, where its gap is open with a bound of all kinds in whole machines."""
    if ended.reason is Reason.OPTIMAL or not some.mixed or (bound := some.whole()) <= (ended.bound or 0.0):
        return ended
    return _bounded(ended, bound, gap_frac, by="whole machines")


def _of_all(found: Solution, bound: float | None, gap_frac: float) -> Solution:
    """What was found in few kinds, with a bound of all of them; None is none, and proves nothing."""
    return replace(found, termination=_bounded(found.termination, bound, gap_frac, by="the relaxation"))


def _bounded(ended: Termination, bound: float | None, gap_frac: float, *, by: str) -> Termination:
    """How a solve in few kinds ended, with a bound of all of them; None is none, and proves nothing."""
    if ended.objective is None:
        return ended
    least = None if bound is None else min(bound, ended.objective)
    closed = least is not None and ended.objective - least <= gap_frac * max(1e-9, abs(ended.objective))
    limit = Limit.NONE if closed else ended.limit if ended.limit is not Limit.NONE else Limit.OTHER
    return replace(
        ended, bound=least, reason=Reason.OPTIMAL if closed else Reason.FEASIBLE, limit=limit,
        detail=f"bound by {by} in all kinds" if least is not None else "in few kinds",
    )  # fmt: skip


def proved(asked: Opened, question: EpochQuestion, found: Termination) -> Termination:
    """How a solve that was taken apart ended, with a tight bound; in few kinds that of whole machines."""
    limit_s, gap_frac = asked.case.scenario.solver.time_limit_s, asked.section.gap_frac
    if some := few(question):
        return _in_whole(found, some, gap_frac)
    ended = [
        proven(epoch_problem(part), place, found, time_limit_s=limit_s, gap_frac=gap_frac)
        for part in whole_sets(question) or (question,)
    ]
    return min(ended, key=lambda each: -INF if each.bound is None else each.bound)
