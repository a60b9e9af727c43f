"""The story of a plan over time: forecast, propose, serve every epoch, provide for more where one misses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from planner.errors import BadInput
from planner.resolve.case import Case
from planner.resolve.inputs import Inputs, inputs_of
from planner.resolve.serving import served_over_time
from planner.results.timetable import Served, Timetable, Tried
from planner.scenario import Scenario
from planner.schedules.available import all_up, studied, with_failures
from planner.schedules.closing import closed
from planner.schedules.fixed import fixed_fleets, simulated
from planner.schedules.groups import Progress
from planner.schedules.kept import Kept, busier, failing, lent
from planner.schedules.less import Trial, rank, seen, value, with_less
from planner.schedules.looks import Looks
from planner.schedules.losses import absent, losses
from planner.schedules.nearest import enough_of
from planner.schedules.peaks import Static
from planner.schedules.programs import proved, solved
from planner.schedules.provision import Provided, between, fewer_watts, level, missed, same
from planner.schedules.question import Opened, opened, policies_of, question_of, ways, without_watts
from planner.schedules.recount import recounted
from planner.schedules.refusal import Refusal, refused
from planner.schedules.rivals import Rows, against_fixed, against_rivals, instead, one_knob, told
from planner.schedules.rows import Study, at_work, busiest_of, in_rows, of_at_most, of_rows
from planner.schedules.serving import Serving
from planner.schedules.struck import Failures
from planner.schedules.together import AnyServing, first_provided, serving_of, within_watts

LENT_FROM = 3
"""Rounds after which epochs that still miss take the pools of a busier epoch that were enough there."""

HALVINGS = 4
"""How often growth of what is provided for is halved where no schedule provides for it."""


def timetable(
    question: Scenario | Inputs, *, progress: Progress, static: Static | None = None, study: Study | None = None,
    looks: Looks | None = None, why: bool = True,
) -> Timetable:  # fmt: skip
    """The best schedule whose epochs, and changes between them, the simulator confirms; of any policy for ``auto``.

    Args:
        question: the scenario; or what was read of it, so that it is not read again.
        progress: told what is happening, and the share of the work that is done.
        static: finds the plan of one load to compare with; None compares with nothing.
        study: of the row that machines stand in; None leaves it out.
        looks: what was simulated of the question before.
        why: where there is none, plan with other limits too, to say how much of them is enough.

    Raises:
        BadInput: see ``opened``.
        WorkloadError: likewise.
    """
    inputs = inputs_of(question)
    progress("options", 0.0)
    best, asked, serving = _standing(inputs, progress, study, looks, why=why)
    if best.schedule is None:
        return (
            best if best.lacking else refused(best, asked, _enough_of(inputs, asked, progress, study) if why else None)
        )
    if asked.rule is not None and best.valid:
        best = told(best, one_knob(asked, best))
    assert best.schedule is not None, "it was there before"
    progress(f"{best.policies}: fixed fleet", 0.95)
    fleets = fixed_fleets(asked, best, static) if best.valid and static else ()
    best = against_fixed(asked, best, fleets, serving, progress)
    assert best.schedule is not None, "one stands, and what takes its place is one"
    notes = (
        *best.schedule.notes, *losses(serving, best.schedule, asked.section), *absent(inputs.scenario, best.schedule)
    )  # fmt: skip
    return replace(
        best,
        schedule=replace(best.schedule, notes=notes),
        simulated=simulated(best.schedule, best.served, asked.case.scenario),
        serves=served_over_time(asked.case, best.schedule),
    )


def _enough_of(
    inputs: Inputs, asked: Opened, progress: Progress, study: Study | None
) -> Callable[[Refusal], Refusal] | None:  # fmt: skip
    """What finds how much of a limit is enough, by planning with it; None of so many epochs that this takes long."""

    def planned(other: Mapping[str, Inputs]) -> bool:
        return _standing(other[""], lambda words, _: progress(f"other limits: {words}", 0.95), study, None)[0].valid

    return enough_of({"": inputs}, asked, planned)


def _standing(
    inputs: Inputs, progress: Progress, study: Study | None, looks: Looks | None, *, why: bool = False
) -> tuple[Timetable, Opened, AnyServing]:  # fmt: skip
    """The best schedule whose machines stand in their rows, where there are any."""
    best, asked, serving = best_of(ways(inputs), progress, looks)
    if study is None or not best.valid or inputs.scenario.power.row_limit_w is None:
        return best, asked, serving
    progress(f"{best.policies}: rows", 0.9)
    tried = [(asked, serving)]

    def again(machines: int) -> tuple[Timetable, Case]:
        fewer, question, served = best_of(ways(of_at_most(inputs, machines)), progress, looks)
        tried.append((question, served))
        return fewer, question.case

    def planned(rows: int) -> bool:
        return why and _standing(of_rows(inputs, rows), progress, study, looks)[0].valid

    best = in_rows(best, asked.case, study, again, planned)
    return best, *tried[-1]


def best_of(
    allowed: Sequence[Opened], progress: Progress, looks: Looks | None
) -> tuple[Timetable, Opened, AnyServing]:  # fmt: skip
    """The best schedule of any precision, engine and policy that is allowed, with its question and what was served.

    Where several are, those that promise most come first; one whose bound is no better than the answer is not served.
    """
    bounds = [_promised(asked) if len(allowed) > 1 else None for asked in allowed]
    order = sorted(range(len(allowed)), key=lambda at: (bounds[at] is None, bounds[at] or 0.0))
    found, tried = list[tuple[Timetable, Opened, AnyServing]](), list[Tried]()
    for at in order:
        asked = allowed[at]
        serving = serving_of(asked, looks)
        best = min(found, key=lambda each: rank(each[0])) if found else None
        if best and _beaten(best[0], bounds[at]):
            tried.append(_tried(asked, None, bounds[at]))
            continue
        found.append((_timetable(asked, serving, progress, looks), asked, serving))
        tried.append(_tried(asked, found[-1][0], bounds[at]))
    best = min(found, key=lambda each: rank(each[0]))
    table = sorted(tried, key=lambda row: (not row.valid, row.cost_usd is None, row.cost_usd or row.bound or 0.0))
    return replace(best[0], tried=tuple(table) if len(allowed) > 1 else ()), best[1], best[2]


def _promised(asked: Opened) -> float | None:
    """Proven least of the first aim with instances full; None where nothing is proven."""
    full = level(asked.load.peak_req_per_s, asked.case.scenario.headroom.mixed_frac)
    return _proposed(without_watts(asked), full, 1.0).termination.bound


def _beaten(best: Timetable, bound: float | None) -> bool:
    """Whether a bound is no better than a validated schedule."""
    return best.valid and bound is not None and bound >= value(best.schedule)[0]


def _tried(asked: Opened, found: Timetable | None, bound: float | None) -> Tried:
    """What a way of serving came to; None is one that was not served."""
    schedule = found.schedule if found else None
    return Tried(
        variant=None if asked.parts else asked.case.variant, policy=asked.ways,
        cost_usd=schedule.cost_usd if schedule else None, energy_j=schedule.energy_j if schedule else None,
        valid=bool(found and found.valid), bound=bound, simulated=bool(found and found.served),
    )  # fmt: skip


def _timetable(asked: Opened, serving: AnyServing, progress: Progress, looks: Looks | None) -> Timetable:
    """The best schedule under one policy; a budget of watts that the best without it keeps changes nothing.

    Planned watts are estimates: what they pass may be kept in simulation.
    """
    if (budget_w := asked.case.scenario.budgets.expected_power_w) is not None:
        free = without_watts(asked)
        found = _planned(free, serving_of(free, looks), progress)
        found = replace(found, served=within_watts(found.served, budget_w))
        if found.valid:
            return found
    return _planned(asked, serving, progress)


def _planned(asked: Opened, serving: AnyServing, progress: Progress) -> Timetable:
    """The best schedule under one policy whose planned watts are within their budget.

    Instances are filled to what they carry at first, without headroom, and as far as a few epochs alone need less: the
    simulator says which epochs and which classes need more. It looks briefly until a schedule may be the answer.
    """
    name = asked.policies
    held: Provided = level(asked.load.peak_req_per_s, asked.case.scenario.headroom.mixed_frac)
    provided = first_provided(asked, serving, lambda words, done: progress(f"{name}: {words}", 0.2 * done))
    watts_ratio, found, little, lenders, more = 1.0, None, held, dict[int, int](), frozenset[int]()
    struck = Failures(asked, serving)
    for turn in range(asked.case.scenario.validation.max_rounds):
        part = _part_of(progress, name, turn)
        part("solving", 0.0)
        lent_of, rest = (lenders if turn >= LENT_FROM and not struck.any else None), struck.rest(found)
        mended = _mended(asked, rest, provided, watts_ratio, lent_of) if rest else None
        proposed, provided = mended or _nearest(asked, held, provided, watts_ratio, prove=not turn)
        if proposed.schedule is None:
            return struck.told(seen(found, serving, part)) if found else proposed
        found, held = seen(proposed, serving, part, brief=True), provided
        if found.valid:
            less, provided = with_less(
                Trial(found=found, provided_ratio=held), little,
                partial(_with_less, asked, found, watts_ratio), serving=serving,
                evaluations=asked.case.scenario.solver.search_evaluations, progress=part, raised=more,
            )  # fmt: skip
            found = less if provided is held else found
        if found.valid:
            standing, rows = against_rivals(
                asked, Trial(found=less, provided_ratio=provided), serving,
                partial(_mended, asked, watts_ratio=watts_ratio, lenders=None), part,
            )  # fmt: skip
            part("proving", 0.9)
            less, provided = standing.found, standing.provided_ratio
            best = found if less is found and not turn else _proved(asked, less, provided, watts_ratio)
            best = _closed(asked, Trial(found=best, provided_ratio=provided), rows, watts_ratio, serving, part)
            best, propose = struck.told(best), partial(_proposed, watts_ratio=watts_ratio, prove=False)
            return with_failures(asked, best, serving, propose, part)
        found, served = _unmet(found, held, struck, serving, part)
        if all(each.valid for each in served):
            break
        little, provided, more = missed(little, held, served), struck.raised(held, served), more | failing(served)
        watts_ratio *= fewer_watts(served)
    assert found is not None
    return struck.told(seen(found, serving, progress))


def _unmet(
    found: Timetable, held: Provided, struck: Failures, serving: AnyServing, progress: Progress
) -> tuple[Timetable, tuple[Served, ...]]:  # fmt: skip
    """A schedule, and its epochs for which more is provided where they miss; in full where a brief look finds none."""
    if all(each.valid for each in struck.others(found, held)):
        found = seen(found, serving, progress)
    return found, struck.others(found, held)


def _closed(
    asked: Opened, standing: Trial, rows: Rows, watts_ratio: float, serving: AnyServing, progress: Progress
) -> Timetable:  # fmt: skip
    """A schedule with its gap closed where that takes seconds, or what that found to be cheaper; with its rows."""
    best, whole = closed(asked, standing.found, watts_ratio)
    if whole and (better := instead(replace(standing, found=best), whole, serving, progress)):
        best, rows = better.found, one_knob(asked, better.found)
    return told(best, rows)


def _mended(
    asked: Opened, found: Timetable, wanted: Provided, watts_ratio: float, lenders: dict[int, int] | None,
    bad: frozenset[int] = frozenset(),
) -> tuple[Timetable, Provided] | None:  # fmt: skip
    """The schedule with those epochs planned anew that missed, and what it provides for; None where there is none.

    A program of many epochs has many answers that cost nearly the same: solved as a whole again it would change pools
    that were served well, which would all have to be served once more.

    Args:
        asked: the question.
        found: a schedule that was served.
        wanted: what to provide for, more than it did where it missed.
        watts_ratio: share of the budget of expected watts that may be planned on.
        lenders: epoch -> the busier epoch whose pools it took last; more are noted in it. None: such are not taken.
        bad: the epochs to plan anew in place of those that missed.
    """
    assert found.schedule is not None, "only a schedule is served"
    if found.schedule.method != "decomposed" or any(each.excess_w for each in found.served):
        return None
    bad = bad or failing(found.served)
    lender = {epoch: epoch for epoch in range(asked.load.epochs) if epoch not in bad}
    if lenders is not None:
        others = {epoch: busier(asked.load, found.served, epoch, lenders.get(epoch, epoch)) for epoch in sorted(bad)}
        lenders |= {epoch: other for epoch, other in others.items() if other is not None}
        lender |= {epoch: lenders[epoch] for epoch, other in others.items() if other is not None}
    wanted = lent(asked.load, wanted, lender)
    kept = Kept(schedule=found.schedule, lender=lender)
    proposed = _proposed(asked, wanted, watts_ratio, prove=False, kept=kept)
    return (proposed, wanted) if proposed.schedule is not None else None


def _with_less(
    asked: Opened, found: Timetable, watts_ratio: float, wanted: Provided, epochs: frozenset[int]
) -> Timetable | None:
    """A schedule for less: planned as a whole, or in some epochs beside the others as they are."""
    if not epochs:
        return _proposed(asked, wanted, watts_ratio, prove=False)
    mended = _mended(asked, found, wanted, watts_ratio, None, epochs)
    return mended[0] if mended else None


def _proved(asked: Opened, found: Timetable, provided: Provided, watts_ratio: float) -> Timetable:
    """The same with a tight bound: rounds before the last need none."""
    assert found.schedule is not None, "only what was served is proved"
    if found.schedule.method != "decomposed":
        return found
    ended = proved(asked, question_of(asked, provided, watts_ratio), found.termination)
    return replace(found, termination=ended, schedule=replace(found.schedule, termination=ended))


def _nearest(
    asked: Opened, held: Provided, wanted: Provided, watts_ratio: float, *, prove: bool
) -> tuple[Timetable, Provided]:  # fmt: skip
    """The schedule that provides for what is wanted, or for as much of it as budgets and availability allow.

    Args:
        asked: the question.
        held: rates over the peak that some schedule provides for.
        wanted: those to provide for.
        watts_ratio: share of the budget of expected watts that may be planned on.
        prove: look for a tight bound too.

    Returns:
        The proposal, None in it where there is none even halfway, and what it provides for.
    """
    proposed = _proposed(asked, wanted, watts_ratio, prove=prove)
    for _ in range(HALVINGS):
        if proposed.schedule is not None or same(held, wanted):
            break
        wanted = between(held, wanted)
        proposed = _proposed(asked, wanted, watts_ratio, prove=prove)
    return proposed, wanted


def serve_again(
    scenario: Scenario, planned: Timetable, *, progress: Progress, epoch: int | None = None, study: Study | None = None
) -> Timetable:
    """What the simulator says of a schedule that exists, asked what ``scenario`` asks.

    Args:
        scenario: the question; its options are those that the schedule is made of.
        planned: the schedule as it was planned, its policy and its precision.
        progress: takes what is served, and the share that is done.
        epoch: only this one, with the change into it.
        study: of the row that its machines stand in; None leaves it out.

    Raises:
        BadInput: the schedule runs what the scenario does not offer, has other epochs, or none of that number.
        WorkloadError: see ``opened``.
    """
    asked = as_planned(scenario, planned)
    case, section, load = asked.case, asked.section, asked.load
    if epoch is not None and not 0 <= epoch < load.epochs:
        raise BadInput(f"--epoch: found {epoch}; expected 0 to {load.epochs - 1}")
    assert planned.schedule is not None, "only a schedule is served"
    schedule = recounted(asked, planned.schedule)
    serving = Serving(case, section, load, asked.options)
    served, unserved = serving.all(schedule, progress) if epoch is None else serving.one(schedule, epoch, progress)
    found = Timetable(
        schedule=schedule, served=served, unserved=unserved, termination=schedule.termination,
        provided_ratio=dict.fromkeys(load.peak_req_per_s, (1.0,) * load.epochs), policy=case.policy.name,
        serves=served_over_time(case, schedule), variant=case.variant,
    )  # fmt: skip
    if asked.rule is not None and epoch is None:
        seen = studied(asked, schedule, serving, progress)
        found = replace(all_up(found, serving, progress), availability=seen.study, over=seen.lines)
    if study is None or scenario.power.row_limit_w is None or epoch is not None:
        return found
    progress("rows", 0.95)
    row, wrong = study(case, at_work(case, busiest_of(schedule), found))
    return replace(found, power=row, over=(*found.over, *filter(None, [wrong])))


def as_planned(scenario: Scenario, planned: Timetable) -> Opened:
    """A question as a schedule answers it: under its policy and in its precision, where it still allows them."""
    inputs, names = inputs_of(scenario), policies_of(scenario)
    variant = planned.variant if planned.variant in inputs.variants else None
    return opened(inputs, planned.policies if planned.policies in names else names[0], variant)


def as_it_stands(scenario: Scenario, found: Timetable) -> Timetable:
    """A plan over time that was edited: with the money and energy of its machines, and without evidence.

    Raises:
        BadInput: see ``serve_again``.
        WorkloadError: see ``opened``.
    """
    assert found.schedule is not None  # files without one are not read
    schedule = recounted(as_planned(scenario, found), found.schedule)
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


def _proposed(
    asked: Opened, provided: Provided, watts_ratio: float, *, prove: bool = True, kept: Kept | None = None
) -> Timetable:  # fmt: skip
    """The schedule that the program finds, beside pools that are kept; not served yet."""
    question = question_of(asked, provided, watts_ratio)
    found = solved(asked, question, prove=prove, kept=kept)
    schedule = found.schedule()
    return Timetable(
        schedule=replace(schedule, notes=asked.notes) if schedule else None, served=(),
        unserved=tuple(range(asked.load.epochs)), termination=found.solution.termination,
        provided_ratio={name: tuple(ratios.tolist()) for name, ratios in provided.items()},
        policy=asked.ways, variant=None if asked.parts else asked.case.variant,
    )  # fmt: skip
