"""Search over what a question leaves open besides machines: precision, engine and policy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from planner.executor.copies import Copies
from planner.planning.headroom import NO_HEADROOM
from planner.planning.learned import Learned, by_clock
from planner.planning.load_margin import margin
from planner.planning.loop import PlanningLoop
from planner.planning.one import First, finished, first, told_worth, worth
from planner.planning.proven import certified
from planner.planning.refusals import of_several
from planner.planning.tighten import balanced, faster
from planner.resolve.case import Case
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan
from planner.results.precision import Variant
from planner.scenario.objectives import Objective

Progress = Callable[[str, float], None]
Key = tuple[Variant, str]
"""Precision and engine, and the policy."""

CLOSE_FRAC = 0.02
"""A first plan so much worse than the best may be the better one after a search around it."""

CROWDED_FRACS = (CLOSE_FRAC, 0.07, 0.15)
"""How much busier than is estimated instances are tried, until the machines left are worth less than the best plan."""

_LIKELY_FRAC = 0.2
"""Share by which an estimate may be worse than the best one and be looked at in a copy before the best has a plan."""

FUZZ_FRAC = 1e-9
"""Share by which a bound may miss the best plan through rounding alone."""


_Started = tuple[First | NoPlan, Learned]
_Estimated = tuple[CandidatePlan | None, Learned]


@dataclass(slots=True, kw_only=True)
class Contender:
    """One precision, engine and policy in a search.

    Attributes:
        loop: of it.
        optimum: of the program with every resource full; None where there is none or it was not asked.
        start: a first plan of it, or why there is none; None where it was not looked for.
        answer: its plan after a search around the first; None where that was not made.
    """

    loop: PlanningLoop
    optimum: CandidatePlan | None = None
    start: First | NoPlan | None = None
    answer: ValidatedPlan | NoPlan | None = None

    @property
    def key(self) -> Key:
        """What it is a contender in."""
        return self.loop.case.variant, self.loop.case.policy.name

    @property
    def full(self) -> float:
        """Worth of the optimum, to be minimised; inf where there is none."""
        return inf if self.optimum is None else worth(self.loop, self.optimum)

    @property
    def bound(self) -> float | None:
        """Proven: no plan is worth less, to be minimised; None where nothing is proven."""
        return None if self.loop.bound is None else signed(self.loop, self.loop.bound)

    @property
    def held(self) -> float:
        """Worth of its best plan so far as planned, to be minimised; inf where it has none, or a refusal."""
        if self.answer is not None:
            return worth(self.loop, self.answer.candidate) if isinstance(self.answer, ValidatedPlan) else inf
        return worth(self.loop, self.start.held[0]) if isinstance(self.start, First) else inf

    @property
    def told(self) -> float:
        """The same as it is told: of mean watts those simulated, which are paid for and which bounds hold of."""
        if self.answer is not None:
            return signed(self.loop, self.answer.objective_value) if isinstance(self.answer, ValidatedPlan) else inf
        return told_worth(self.loop, self.start.held) if isinstance(self.start, First) else inf


Foreseen = Callable[[Contender, int], None]
"""Is told what an answer is likely to be of, and the cells of its fleet, before it is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """An answer, and everything that it is the best of."""

    answer: ValidatedPlan | NoPlan
    contenders: tuple[Contender, ...]

    @property
    def cases(self) -> tuple[Case, ...]:
        """What was searched."""
        return tuple(contender.loop.case for contender in self.contenders)

    def contender_of(self, plan: ValidatedPlan) -> Contender:
        """Whose a plan of it is."""
        return next(contender for contender in self.contenders if contender.key == key_of(plan))

    def loop_of(self, plan: ValidatedPlan) -> PlanningLoop:
        """What a plan of it was planned in."""
        return self.contender_of(plan).loop

    def case_of(self, plan: ValidatedPlan) -> Case:
        """What a plan of it is a plan of."""
        return self.loop_of(plan).case


def signed(loop: PlanningLoop, value: float) -> float:
    """A value of the objective, to be minimised."""
    return -value if loop.case.scenario.objective is Objective.THROUGHPUT else value


def search(
    cases: Iterable[Case], progress: Progress, *, with_margin: bool, drawn_w: float | None,
    foreseen: Foreseen | None = None, cells: int = 1,
) -> Searched:  # fmt: skip
    """The best plan in any precision, on any engine, under any policy that is allowed, whatever its row.

    All of them are proven a bound and estimated by the program. They are planned, the best estimate first, where bound,
    estimate and a simulation of as much as would beat the best plan leave a chance. What has the best estimate, and
    the cells of the fleet, are told to ``foreseen`` before anything is planned.
    """
    every = tuple(cases)
    told = [_part_of(progress, case, place, every) for place, case in enumerate(every)]
    contenders = [Contender(loop=PlanningLoop(c, t, drawn_w)) for c, t in zip(every, told, strict=True)]
    if len(contenders) > 1:
        _estimate_all(contenders)
    if foreseen is not None:
        foreseen(min(contenders, key=lambda contender: contender.full), cells)
    _look(contenders)
    answer = _answer(contenders)
    if isinstance(answer, ValidatedPlan) and with_margin:
        loop = next(c.loop for c in contenders if c.key == key_of(answer))
        answer = replace(answer, margin=margin(loop, answer.candidate))
    return Searched(answer=answer, contenders=tuple(contenders))


def looked_again(searched: Searched, *, worse: bool) -> Searched:
    """The search after one of its answers was changed; the others follow where it is ``worse`` than it was."""
    if worse:
        _look(searched.contenders)
    return replace(searched, answer=_answer(searched.contenders))


def overtaken(searched: Searched, best: ValidatedPlan, *, with_margin: bool) -> Searched | None:
    """The search with those finished that were found to be better than its answer since; None where there are none.

    A contender that was thought to have no better plan may be simulated later, for a table.
    """
    held = signed(searched.loop_of(best), best.objective_value)
    rivals = [c for c in searched.contenders if c.answer is None and c.told < held - CLOSE_FRAC * abs(held)]
    for rival in rivals:
        assert rival.start is not None
        rival.answer = finished(rival.loop, rival.start)
    answer = _best(searched.contenders) if rivals else best
    if not rivals or not isinstance(answer, ValidatedPlan) or key_of(answer) == key_of(best):
        return None
    if with_margin:
        answer = replace(answer, margin=margin(searched.loop_of(answer), answer.candidate))
    return replace(searched, answer=answer)


def key_of(plan: ValidatedPlan) -> Key:
    """What a plan is in."""
    assert plan.candidate.variant is not None, "whatever is planned names its precision"
    return plan.candidate.variant, plan.candidate.policy


def find_start(contender: Contender) -> None:
    """Look for a first plan, unless that was done."""
    if contender.start is None:
        contender.start = first(contender.loop)


def estimate(contender: Contender) -> None:
    """Prove a bound, and ask the program for its optimum with every resource full."""
    loop = contender.loop
    if not loop.serves:
        return
    loop.prove()
    solution = loop.canonical(loop.problem(NO_HEADROOM))
    if solution.allocation is not None:
        contender.optimum = loop.lifted(solution, NO_HEADROOM)


def _estimate_all(contenders: Sequence[Contender]) -> None:
    """``estimate`` of each, by copies of this process as far as there are cores."""
    ahead = Copies[_Estimated]()
    for contender in contenders[1:]:
        ahead.start(contender.key, partial(_estimated, contender))
    for contender in contenders:
        contender.loop.progress("pricing", 0.0)
        contender.optimum, learned = ahead.fetch(contender.key, partial(_estimated, contender))
        contender.loop.learn(learned)


def _estimated(contender: Contender) -> _Estimated:
    """An optimum, or that there is none, and what its loop has learned."""
    estimate(contender)
    return contender.optimum, contender.loop.learned


def _look(contenders: Sequence[Contender]) -> None:
    """Plan those that may have the best plan; all of them where none has one.

    Copies of this process look for first plans of those that come next.
    """
    unseen = [contender for contender in contenders if contender.answer is None]
    order = sorted(unseen, key=lambda c: c.full)  # stable: equal ones in the order of the question
    ahead = Copies[_Started]()
    for contender in order[1:]:
        if contender.start is None and contender.full < order[0].full + _LIKELY_FRAC * abs(order[0].full):
            ahead.start(contender.key, partial(_started_silently, contender))
    for place, contender in enumerate(order):
        best, told = min(c.held for c in contenders), min(c.told for c in contenders)
        for later in order[place:]:
            if best < inf and (_beaten(later, told) or later.full >= best):
                ahead.drop(later.key)
        if best < inf and (_beaten(contender, told) or not (contender.full < best or _challenges(contender, best))):
            continue
        contender.start, learned = ahead.fetch(contender.key, partial(_started, contender))
        contender.loop.learn(learned)
        near = contender.full < best or min(contender.held - best, contender.told - told) <= CLOSE_FRAC * abs(best)
        if isinstance(contender.start, NoPlan) or near:
            contender.answer = finished(contender.loop, contender.start, share=1 if best == inf else 2)


def _started(contender: Contender) -> _Started:
    """A first plan, or why there is none, and what its loop has learned."""
    find_start(contender)
    assert contender.start is not None
    return contender.start, contender.loop.learned


def _started_silently(contender: Contender) -> _Started:
    """The same without a word: in a copy, what draws progress may be locked by a thread that is not there."""
    told, contender.loop.progress = contender.loop.progress, _untold
    try:
        return _started(contender)
    finally:
        contender.loop.progress = told


def _untold(_words: str, _done_frac: float) -> None:
    """Progress of a copy."""


def _beaten(contender: Contender, told: float) -> bool:
    """Whether it is proven that nothing better than what is told of a plan is among it."""
    return contender.bound is not None and contender.bound >= told - FUZZ_FRAC * abs(told)


def _challenges(contender: Contender, best: float) -> bool:
    """Whether machines that would beat the best plan hold in simulation, though the program asks for more.

    The program's estimate of what instances carry is no bound; one simulation tells where it is too careful. Where it
    has no plan within the budgets a first one is looked for: that begins without them.
    """
    loop = contender.loop
    if contender.optimum is None:
        return best > 0 and loop.serves and not loop.proven_infeasible
    less = _worth_trying(contender, best)
    if less is None or not worth(loop, less) < best or not loop.within_budgets(less) or loop.overloads(less):
        return False
    return loop.holds(less, loop.judged(less, brief=True))


def _worth_trying(contender: Contender, best: float) -> CandidatePlan | None:
    """The optimum at a higher rate, or with instances busier than they are thought to be able, as far as beats a plan.

    None where there is none.
    """
    loop = contender.loop
    if contender.optimum is None:
        return None
    if best < 0:
        return faster(contender.optimum, abs(best / contender.full) * (1 + CLOSE_FRAC), loop.options)
    for more_frac in CROWDED_FRACS:  # one machine less may take much more than a nearly as good estimate
        ratio = contender.full / best * (1 + more_frac)
        crowded = replace(NO_HEADROOM, prefill_frac=ratio, decode_frac=ratio, mixed_frac=ratio)
        solution = loop.canonical(loop.problem(crowded))
        if solution.allocation is None:
            return None
        less = balanced(loop.lifted(solution, crowded), loop.options, loop.least)
        if worth(loop, less) < best:
            return less
    return None


def _answer(contenders: Sequence[Contender]) -> ValidatedPlan | NoPlan:
    """The best plan; or the refusal, with what may be wrong with the question."""
    answer = _best(contenders)
    if isinstance(answer, ValidatedPlan):
        return answer
    stopped = dict.fromkeys(words for contender in contenders for words in by_clock(contender.loop.clocked))
    verdict, *reasons = answer.explanation
    return replace(answer, explanation=(verdict, *contenders[0].loop.case.slips, *stopped, *reasons))


def _best(contenders: Sequence[Contender]) -> ValidatedPlan | NoPlan:
    """The best validated plan, certified among all contenders; else the least final refusal."""
    plans = [c for c in contenders if isinstance(c.answer, ValidatedPlan)]
    if not plans:
        told = [(c.key[1], c.key[0].words, c.answer) for c in contenders if isinstance(c.answer, NoPlan)]
        return of_several(told)
    best = min(plans, key=lambda c: c.told)
    assert isinstance(best.answer, ValidatedPlan)
    return best.answer if len(contenders) == 1 else with_bound(best.answer, contenders)


def with_bound(plan: ValidatedPlan, contenders: Sequence[Contender]) -> ValidatedPlan:
    """The plan with the bound of the whole question: the best that is proven of any contender."""
    able = [c for c in contenders if c.loop.serves and not c.loop.proven_infeasible]
    bounds = [c.bound for c in able]
    known = [bound for bound in bounds if bound is not None]
    least = abs(min(known)) if known and len(known) == len(bounds) else None
    certificate = certified(plan.certificate, plan.objective, plan.objective_value, least)
    policies: dict[str, list[str]] = {}
    for contender in able:
        variant, policy = contender.key
        policies.setdefault(f"{variant.words}", []).append(policy)
    among = tuple(f"{words} ({', '.join(names)})" for words, names in policies.items())
    return replace(plan, certificate=replace(certificate, among=among))


def _part_of(progress: Progress, case: Case, place: int, every: Sequence[Case]) -> Progress:
    """Progress of one contender as a part of the whole."""
    several = len({c.variant for c in every}) > 1
    name = f"{case.policy.name}, {case.variant.words}" if several else case.policy.name

    def tell(words: str, done_frac: float) -> None:
        progress(f"{name}: {words}", (place + done_frac) / len(every))

    return tell
