"""The planning loop between optimiser and simulator."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil, inf

from planner.capacity.envelope import Option
from planner.capacity.totals import spare_machines
from planner.executor.ahead import Ahead
from planner.formulate import BUDGET_FAMILIES, BUDGETS, canonical, lift, problem
from planner.planning.foresight import LOOK, Foresight
from planner.planning.headroom import NO_HEADROOM, less_headroom
from planner.planning.learned import Learned
from planner.planning.limits import parted
from planner.planning.overloads import FUZZ_FRAC, overloads
from planner.planning.refusals import bounded, raise_words, unserved
from planner.planning.screen import Screen
from planner.planning.served import Key, key_of, pools_of, serve, words_of
from planner.planning.tighten import balanced, excess, fewer_watts, pace, tighten
from planner.resolve.case import Case
from planner.results.evidence import Judgement, NoPlan, Round
from planner.results.failings import failures, incurable
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Budgets, Headroom, Objective
from planner.simulator.judge import Note
from planner.simulator.outages import absent
from planner.simulator.pools import PoolModel
from planner.simulator.serve import prepare
from planner.simulator.traffic import Judging
from solvers.allocation import Limit, Reason, Solution, Termination
from solvers.elastic import NotProven, StillInfeasible, smallest_raise
from solvers.problem import Problem
from solvers.solve import solve
from workloads.counts import plural

Progress = Callable[[str, float], None]

TIE_GAP_FRAC = 1e-9
"""Relative gap to which plans of equal worth are told apart; for a cluster of 10 MW, 0.01 W."""


class PlanningLoop(Foresight):
    """One planning run: what was proposed, what was observed, what followed from it.

    Attributes:
        case: the resolved scenario to plan.
        options: by name.
        least: the same with the least work that requests can take: nothing beyond what they carry is a plan.
        rounds: every turn, first to last.
        bound: proven: no plan has a better objective, whatever its latencies.
        drawn_w: mean watts at the wall that a plan may draw in simulation; None is unlimited.
        alike: what looks at candidates depend on besides the case.
        clocked: programs whose solve the clock ended.
    """

    def __init__(self, case: Case, progress: Progress, drawn_w: float | None = None) -> None:
        """Nothing said yet; ``drawn_w`` None is the budget of expected watts."""
        self.case, self.progress = case, progress
        self._planned_w = case.scenario.budgets.expected_power_w  # of the next program; lowered where plans draw more
        self._more_spares = 0  # likewise; raised where plans need more than it asks for
        self.drawn_w = self._planned_w if drawn_w is None else drawn_w
        self.rounds: list[Round] = []
        self.bound: float | None = None
        self._proof: Termination | None = None
        self._seen, self._full = dict[tuple[Key, bool], Judgement](), set[tuple[Key, bool]]()  # in full: a part of them
        self._ahead, self.clocked = Ahead[Judgement](), set[str]()
        self.options = {o.spec.name: o for o in case.options}
        self.least = {o.spec.name: o for o in case.least}
        self._done, self._screen, self._guesses = 0.0, Screen(case), False
        self.alike: object = case.asked, case.scenario.validation.model_dump_json()  # what else looks depend on

    def guessing(self) -> "PlanningLoop | None":
        """The same by the busiest stretches of the first trace alone, which may call a plan what is none.

        None where it does so already, where traces are short, or where busy stretches tell little: of mean watts, or
        of the most requests served.
        """
        objective = self.case.scenario.objective
        if self._guesses or objective is Objective.THROUGHPUT or self.drawn_w is not None:
            return None
        if not self._screen.applies(1.0):
            return None
        other = PlanningLoop(self.case, self.progress, self.drawn_w)
        other.rounds, other._screen, other._guesses = self.rounds, self._screen, True
        other._proof, other.bound, other.alike = self._proof, self.bound, (self.alike, True)
        other.clocked = self.clocked
        return other

    def without_knobs(self) -> "PlanningLoop | None":
        """The same with no clock and no cap to choose, sharing what was simulated; None where there is none anyway."""
        plain = {o.spec.name for o in self.case.options if o.spec.clock_mhz is None and o.spec.cap_w is None}
        return None if len(plain) == len(self.case.options) else self.among(plain)

    def among(self, names: Collection[str]) -> "PlanningLoop":
        """The same with these options alone, sharing what was simulated."""
        kept, least = ([o for o in every if o.spec.name in names] for every in (self.case.options, self.case.least))
        other = PlanningLoop(replace(self.case, options=tuple(kept), least=tuple(least)), self.progress, self.drawn_w)
        other._seen, other._full, other._ahead = self._seen, self._full, self._ahead
        other._screen, other._guesses, other.clocked = self._screen, self._guesses, self.clocked
        return other

    @property
    def learned(self) -> Learned:
        """What was found out so far."""
        return Learned(
            rounds=tuple(self.rounds), proof=self._proof, seen=self._seen, full=frozenset(self._full),
            planned_w=self._planned_w, more_spares=self._more_spares, clocked=frozenset(self.clocked),
        )  # fmt: skip

    def learn(self, found: Learned) -> None:
        """Go on from what the same run found out in a copy of this process."""
        self.rounds[:] = found.rounds
        self._seen |= found.seen
        self._full |= found.full
        self.clocked |= found.clocked
        self._planned_w, self._more_spares, self._proof = found.planned_w, found.more_spares, found.proof
        self.bound = None if found.proof is None else found.proof.bound

    # --- propose and tighten ---------------------------------------------------------------------------------------

    def propose_and_tighten(self, *, hurried: bool = False) -> tuple[CandidatePlan, Judgement] | NoPlan:
        """Solve, simulate, lower the load limits or the watts, until everything holds or the rounds are used up.

        ``hurried`` lowers load limits by ever more at once.
        """
        headroom = start = self.case.scenario.headroom_limits()
        self.progress("solving", 0.02)
        if missing := unserved(self.case):
            return no_plan(self, "infeasible", missing)
        proof = self.prove()
        for turn in range(self.case.scenario.validation.max_rounds):
            solution = self.canonical(self.problem(headroom))
            if solution.allocation is None:
                stopped = solution.termination.reason is not Reason.INFEASIBLE
                if stopped or proof.reason is Reason.INFEASIBLE or start == NO_HEADROOM:
                    return self._without_allocation(solution)
                headroom = start = less_headroom(start)
                continue
            lifted = self.lifted(solution, headroom)
            even = balanced(lifted, self.options, self.least)  # other machines do more of the work then, at other watts
            candidate = even if self.within_budgets(even, self._budgets()) else lifted
            if any(self.spare_machines(candidate)) and not self.within_budgets(candidate):
                self._more_spares += 1
                continue
            judgement = self.judged(candidate, brief=True)
            self.note("plan", candidate, judgement)
            if self.holds(candidate, judgement):
                return candidate, judgement
            if lasting := incurable(judgement) or self._unstruck(candidate):
                return no_plan(self, "not validated", lasting)
            carried = judgement.valid and not self.overloads(candidate)
            if carried and self._planned_w is not None and self.drawn_w is not None:
                self._planned_w = fewer_watts(self._planned_w, self.drawn_w, candidate, judgement)
            else:
                headroom = tighten(headroom, candidate, judgement, times=pace(turn) if hurried else 1)
        rounds = self.case.scenario.validation.max_rounds
        words = f"no candidate met every objective in {plural(rounds, 'round')}"
        return self._too_many_watts() or no_plan(self, "not validated", (words,))

    def prove(self) -> Termination:
        """How good any plan could be: by the least work of requests, with no headroom at all."""
        if self._proof is None:
            self._proof = self.solve(self.problem(NO_HEADROOM, options=self.case.least)).termination
            self.bound = self._proof.bound
        return self._proof

    def problem(
        self, headroom: Headroom, objective: Objective | None = None, options: Sequence[Option] | None = None
    ) -> Problem:
        """The integer program at these load limits, for the scenario's objective and options or others."""
        rates = {c.request_class.name: c.rate_req_per_s for c in self.case.asked.demand.classes}
        return problem(
            self.case.options if options is None else options, rates, budgets=self._budgets(), headroom=headroom,
            objective=objective or self.case.scenario.objective, available=self.case.available,
            apart=[pair for pair, _ in self.case.apart], more_spares=self._more_spares,
        )  # fmt: skip

    def _budgets(self) -> Budgets:
        """The scenario's, with as few watts as the simulator has taught."""
        return replace(self.case.scenario.budget(), expected_power_w=self._planned_w)

    def solve(self, program: Problem, gap_frac: float | None = None) -> Solution:
        """Ask the scenario's backend, with the scenario's gap or another."""
        section = self.case.scenario.solver
        gap = section.gap_frac if gap_frac is None else gap_frac
        found = solve(program, backend=section.backend, time_limit_s=section.time_limit_s, gap_frac=gap)
        if found.termination.limit is Limit.TIME:
            self.clocked.add(program.name)
        return found

    def canonical(self, program: Problem) -> Solution:
        """Ask the scenario's backend; of equal answers the one that every backend gives."""
        rates = {c.request_class.name: c.rate_req_per_s for c in self.case.asked.demand.classes}
        return canonical(
            program, self.case.options, rates, solve=self.solve, exact=lambda part: self.solve(part, TIE_GAP_FRAC)
        )

    @property
    def serves(self) -> bool:
        """Whether every class has an option, and two that work together where its phases are split."""
        return not unserved(self.case)

    @property
    def proven_infeasible(self) -> bool:
        """Whether no plan at all fits the budgets, which is proven."""
        return self._proof is not None and self._proof.reason is Reason.INFEASIBLE

    @property
    def simulated_requests(self) -> int:
        """Requests that were served so far."""
        return sum(judgement.arrived for judgement in self._seen.values())

    def lifted(self, solution: Solution, headroom: Headroom) -> CandidatePlan:
        """The plan of an allocation at load limits."""
        return lift(solution, self.case.options, headroom=headroom, policy=self.case.policy.name)

    def _without_allocation(self, solution: Solution) -> NoPlan:
        """Why the optimiser came back with nothing."""
        if solution.termination.reason is not Reason.INFEASIBLE:
            detail = f"{solution.termination.reason}: {solution.termination.detail}".rstrip(": ")
            return no_plan(self, "no plan in time", (f"the solver stopped with no allocation ({detail})",))
        if refusal := self._too_many_watts():
            return refusal
        program = bounded(self.case, self.problem(NO_HEADROOM, options=self.case.least))
        try:
            found = smallest_raise(program, families=BUDGET_FAMILIES, solve=self.solve)
        except StillInfeasible as nothing:
            return no_plan(self, "infeasible", (f"no budget that could be raised would help: {nothing}",))
        except (NotProven, ValueError) as stopped:
            words = f"no plan fits the budgets; which of them to raise was not found: {stopped}"
            return no_plan(self, "infeasible" if self.proven_infeasible else "not validated", (words,))
        raises = {each.row: (each.limit, each.needed) for each in found}
        lines = raise_words(raises)
        if self._fits_without_spares():
            verdict = "no plan with the spares of each pool fits; one pool standing in for another is not tried"
            return no_plan(self, "not validated", (verdict, *lines), raises)
        if self.rounds or not raises:
            verdict = "within the budgets no plan met every objective in simulation; more machines would not fit"
            return no_plan(self, "not validated", (verdict, *lines), raises)
        return no_plan(self, "infeasible", ("no plan fits the budgets", *lines), raises)

    def _fits_without_spares(self) -> bool:
        """Whether spares alone, counted pool by pool, keep plans from fitting: that is no proof that there is none."""
        bare = tuple(replace(option, reliability=None) for option in self.case.least)
        if bare == tuple(self.case.least):
            return False
        return self.solve(bounded(self.case, self.problem(NO_HEADROOM, options=bare))).allocation is not None

    def _too_many_watts(self) -> NoPlan | None:
        """The refusal where plans met every objective, and the only thing wrong was what they drew; None elsewhere."""
        passed = [r.judgement.power for r in self.rounds if r.judgement.valid and not self.overloads(r.candidate)]
        drawn = [use.mean_w for use in passed if use is not None]
        if not drawn or self.drawn_w in (None, inf):
            return None
        needed_w = ceil(min(drawn))
        words = (
            "every plan that met every objective drew more on average in simulation than budgets.expected_power_w",
            f"raise budgets.expected_power_w from {self.drawn_w:g} to at least {needed_w}: the least that one drew",
        )
        return no_plan(self, "not validated", words, {"expected_power": (self.drawn_w, float(needed_w))})

    # --- judge -----------------------------------------------------------------------------------------------------

    def holds(self, candidate: CandidatePlan, judgement: Judgement) -> bool:
        """Whether a candidate is a plan."""
        return not self.fails(candidate, judgement)

    def fails(self, candidate: CandidatePlan, judgement: Judgement) -> tuple[str, ...]:
        """Why a candidate is no plan; empty where it is one."""
        wrong = (*failures(judgement), *excess(judgement, self.drawn_w), *self.overloads(candidate))
        return (*wrong, *self._unstruck(candidate))

    def _unstruck(self, candidate: CandidatePlan) -> tuple[str, ...]:
        """Machines that are to fail and that a candidate does not have."""
        asked = self.case.scenario.validation.failures
        return absent(asked, self.pools(candidate)) if asked else ()

    def overloads(self, candidate: CandidatePlan) -> tuple[str, ...]:
        """Pools that are asked for more than they can carry, and those that exchange no KV."""
        return (*overloads(candidate, self.least), *parted(candidate, self.case.apart))

    def judged(
        self, candidate: CandidatePlan, *, early: bool = True, brief: bool = False, note: Note | None = None,
        stepwise: bool = False,
    ) -> Judgement:  # fmt: skip
        """What the simulator says of a candidate; the same question is simulated once.

        Args:
            candidate: what to simulate.
            early: stop after the first seed if it alone is a clear miss.
            brief: enough to go on looking; what becomes an answer is looked at in full, which may refuse it.
            note: is shown what became of the requests, unless that is known already.
            stepwise: the reference serves.
        """
        key = key_of(candidate, stepwise), early
        known = self._seen.get(key)
        if known and (brief or key in self._full or not known.valid):
            return known
        judging = replace(LOOK, early=early, brief=brief and early, stepwise=stepwise)
        self._say(candidate, judging)
        look, asked = partial(self._looked, candidate, judging, note, known), (self.alike, key, judging)
        said = (self.case.looks.get(asked) if note is None else None) or self._ahead.fetch((key, judging), look)
        self._seen[key] = self.case.looks[asked] = said
        if not judging.brief:
            self._full.add(key)
        return said

    def _say(self, candidate: CandidatePlan, judging: Judging) -> None:
        """Tell what is simulated now."""
        words = ", ".join(f"{p.machines} {p.spec.machine} {p.spec.role}" for p in candidate.pools)
        self._done += (1 - self._done) * 0.15
        self.progress(f"simulating {words}{', step by step' if judging.stepwise else ''}", self._done)
        prepare(lambda doing: self.progress(doing, self._done))

    def _looked(
        self, candidate: CandidatePlan, judging: Judging, note: Note | None = None, brief: Judgement | None = None
    ) -> Judgement:
        """What a simulation says of a candidate, after a brief look or without: of its arguments alone."""
        pools, scale = self.pools(candidate), candidate.rate_scale
        if brief is not None and not self._guesses:
            return serve(self.case, candidate, pools, judging, brief=brief)
        if judging.early and candidate.cells == 1 and self._screen.applies(scale):
            told = words_of(self.case.asked, candidate)
            seen = self._screen.look(pools, scale, told, first_alone=self._guesses)
            if self._guesses or not seen.valid:
                return seen
        return serve(self.case, candidate, pools, judging, note=note)

    def within_budgets(self, candidate: CandidatePlan, budgets: Budgets | None = None) -> bool:
        """Whether a candidate that no solve has seen keeps every budget and finds its machines on the market."""
        return not self.exceeded(candidate, budgets)

    def exceeded(
        self, candidate: CandidatePlan, budgets: Budgets | None = None, mean_w: float | None = None
    ) -> dict[str, tuple[float, float]]:
        """Name of every budget that a candidate exceeds -> (the limit, what it needs), machines on the market included.

        Args:
            candidate: as planned.
            budgets: to keep; None: the scenario's.
            mean_w: what it draws in simulation, which its mean watts are then judged by; None: as planned.
        """
        budgets, spent = budgets or self.case.scenario.budget(), candidate.spent(mean_w)
        bought = Counter[str]()
        for pool, more in zip(candidate.pools, self.spare_machines(candidate), strict=True):
            bought[pool.spec.machine] += pool.machines + more
        limits = {
            **{family: (getattr(budgets, each.key), spent[each.key]) for family, each in BUDGETS.items()},
            **{f"availability[{name}]": (self.case.available.get(name), count) for name, count in bought.items()},
        }
        return {
            name: (float(limit), float(value))
            for name, (limit, value) in limits.items()
            if limit is not None and value > limit * (1 + FUZZ_FRAC)
        }

    def spare_machines(self, candidate: CandidatePlan) -> tuple[int, ...]:
        """Machines on top of those of each pool, which are simulated alone: availability asks for them."""
        return spare_machines([(self.options[pool.spec.name], pool.machines) for pool in candidate.pools])

    def pools(self, candidate: CandidatePlan) -> list[PoolModel]:
        """The candidate as the simulator sees it; see ``pools_of``."""
        return pools_of(self.case, candidate)

    def note(self, step: str, candidate: CandidatePlan, judgement: Judgement) -> None:
        """Write a turn down."""
        wrong = self.fails(candidate, judgement)
        good = "every objective met" + " in the busiest stretches alone" * self._guesses
        self.rounds.append(Round(step=step, candidate=candidate, judgement=judgement, note="; ".join(wrong) or good))


def no_plan(
    loop: PlanningLoop,
    reason: str,
    explanation: tuple[str, ...],
    raises: Mapping[str, tuple[float, float]] | None = None,
) -> NoPlan:
    """The honest other answer, with everything that was tried."""
    rounds = tuple(loop.rounds)
    return NoPlan(
        reason=reason, explanation=explanation, raises=dict(raises or {}), rounds=rounds,
        excuses=loop.case.excuses, judgement=rounds[-1].judgement if rounds else None,
    )  # fmt: skip
