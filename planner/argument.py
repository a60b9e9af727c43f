"""The argument between optimiser and simulator."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from planner.case.case import Case
from planner.errors import BadInput
from planner.formulate import BUDGET_FAMILIES, lift, problem, unservable
from planner.plan import CandidatePlan, Headroom, Judgement, Neighbour, NoPlan, Round, Verdict
from planner.revise import smaller, tighten
from planner.simulator.engine import PoolModel
from planner.simulator.judge import judge
from solvers.allocation import Reason, Solution
from solvers.elastic import NoRaise, smallest_raise
from solvers.problem import Problem
from solvers.solve import solve

Progress = Callable[[str, float], None]
Key = tuple[tuple[tuple[str, int], ...], float]

RATE_STEP_FRAC = 0.02
"""How closely the throughput objective is followed up: the neighbour of a plan serves this share more."""


class Argument:
    """One planning run: what was proposed, what was observed, what followed from it.

    Attributes:
        rounds: every turn, first to last.
        first_bound: the optimiser's proven bound at the loosest headroom.
    """

    def __init__(self, case: Case, progress: Progress) -> None:
        """Nothing said yet."""
        self._case, self._progress = case, progress
        self.rounds: list[Round] = []
        self.first_bound: float | None = None
        self._seen: dict[tuple[Key, bool], Judgement] = {}
        self._options = {o.spec.name: o for o in case.options}
        self._done = 0.0

    # --- propose and tighten ---------------------------------------------------------------------------------------

    def propose_and_tighten(self) -> tuple[CandidatePlan, Judgement] | NoPlan:
        """Solve, simulate, lower the load limits, until every objective holds or the rounds are used up."""
        headroom = self._case.scenario.headroom_limits()
        missing = unservable(self._case.options, self._case.asked.demand, self._case.policy.topology.roles())
        if missing:
            return no_plan(self, "infeasible", _nobody_serves(missing, self._case))
        for _ in range(self._case.scenario.validation.max_rounds):
            program = self._problem(headroom)
            solution = self._solve(program)
            if solution.allocation is None:
                return self._without_allocation(program, solution)
            if self.first_bound is None:
                self.first_bound = solution.termination.bound
            candidate = lift(
                solution, self._case.options, headroom=headroom, policy=self._case.policy.name
            )  # fmt: skip
            judgement = self.judged(candidate)
            self._note("plan", candidate, judgement)
            if judgement.valid:
                return candidate, judgement
            if judgement.refused:
                line = f"{judgement.refused} requests are longer than the KV memory of the instances they reached"
                return no_plan(self, "not validated", (line,))
            headroom = tighten(headroom, candidate, judgement)
        rounds = self._case.scenario.validation.max_rounds
        return no_plan(self, "not validated", (f"no candidate met every objective in {rounds} rounds",))

    def _problem(self, headroom: Headroom) -> Problem:
        """The integer program at these load limits."""
        rates = {c.request_class.name: c.rate_req_per_s for c in self._case.asked.demand.classes}
        return problem(
            self._case.options, rates, budgets=self._case.scenario.budget(), headroom=headroom,
            objective=self._case.scenario.objective, available=self._case.available,
        )  # fmt: skip

    def _solve(self, program: Problem) -> Solution:
        """Ask the scenario's backend."""
        section = self._case.scenario.solver
        return solve(program, backend=section.backend, time_limit_s=section.time_limit_s, gap_frac=section.gap_frac)

    def _without_allocation(self, program: Problem, solution: Solution) -> NoPlan:
        """Why the optimiser came back with nothing."""
        if solution.termination.reason is not Reason.INFEASIBLE:
            detail = f"{solution.termination.reason}: {solution.termination.detail}".rstrip(": ")
            return no_plan(self, "solver empty-handed", (f"the solver stopped with no allocation ({detail})",))
        try:
            raises = {
                r.row: (r.limit, r.needed)
                for r in smallest_raise(program, families=BUDGET_FAMILIES, solve=self._solve)
            }  # fmt: skip
        except NoRaise as nothing:
            return no_plan(self, "infeasible", (f"no budget that could be raised would help: {nothing}",))
        lines = [f"raise {name} from {limit:g} to at least {needed:g}" for name, (limit, needed) in raises.items()]
        if self.rounds:
            verdict = "within the budgets no plan met every objective in simulation; more machines would not fit"
            return no_plan(self, "not validated", (verdict, *lines), raises)
        return no_plan(self, "infeasible", ("no plan fits the budgets", *lines), raises)

    # --- shrink and certify ----------------------------------------------------------------------------------------

    def shrink(self, candidate: CandidatePlan, judgement: Judgement) -> tuple[CandidatePlan, Judgement]:
        """Take machines away, dearest first, until every plan one machine smaller fails."""
        changed = True
        while changed:
            changed = False
            for name in self._by_price(candidate):
                found = self._fewest(candidate, name)
                if found:
                    candidate, judgement = found
                    self._note("shrink", candidate, judgement)
                    changed = True
        return candidate, judgement

    def _by_price(self, candidate: CandidatePlan) -> list[str]:
        """Pools of a candidate, the dearest machine first."""
        price = {p.spec.name: self._options[p.spec.name].price_usd_per_h for p in candidate.pools}
        return sorted(price, key=lambda name: (-price[name], name))

    def _fewest(self, candidate: CandidatePlan, pool: str) -> tuple[CandidatePlan, Judgement] | None:
        """The valid candidate with most machines taken from one pool: doubling steps, then bisection."""
        best: tuple[CandidatePlan, Judgement] | None = None
        good, fewer, bad = 0, 1, None
        while bad is None or bad - good > 1:
            less = smaller(candidate, pool, fewer, self._options) if self._has(candidate, pool, fewer) else None
            judgement = self.judged(less) if less else None
            if less and judgement and judgement.valid:
                best, good = (less, judgement), fewer
            else:
                bad = fewer
            fewer = good * 2 if bad is None else (good + bad) // 2
            fewer = max(fewer, 1)
        return best

    @staticmethod
    def _has(candidate: CandidatePlan, pool: str, machines: int) -> bool:
        """Whether a pool has that many machines to give."""
        return any(p.spec.name == pool and p.machines >= machines for p in candidate.pools)

    def neighbours(self, candidate: CandidatePlan) -> tuple[Neighbour, ...]:
        """Every plan one machine smaller, and what it misses."""
        found = []
        for pool in candidate.pools:
            less = smaller(candidate, pool.spec.name, 1, self._options)
            judgement = self.judged(less) if less else None
            fails = failures(judgement) if judgement else ("no other pool can take over its work",)
            found.append(
                Neighbour(pool=pool.spec.name, machines=pool.machines - 1, judgement=judgement, fails=fails)
            )  # fmt: skip
        return tuple(found)

    def stretch(
        self, candidate: CandidatePlan, judgement: Judgement
    ) -> tuple[CandidatePlan, Judgement, tuple[Neighbour, ...]]:
        """Raise the rate of a throughput plan as far as its machines carry it, to within ``RATE_STEP_FRAC``."""
        good, bad = candidate.rate_scale, candidate.rate_scale * (1 + RATE_STEP_FRAC)
        while True:
            more = replace(candidate, rate_scale=bad)
            found = self.judged(more)
            if not found.valid:
                break
            candidate, judgement, good = more, found, bad
            self._note("stretch", candidate, judgement)
            bad = good * (1 + RATE_STEP_FRAC)
        name = f"the same machines at {1 + RATE_STEP_FRAC:g} times the rate"
        machines = candidate.totals.machines
        return (
            candidate,
            judgement,
            (Neighbour(pool=name, machines=machines, judgement=found, fails=failures(found)),),
        )

    # --- judge -----------------------------------------------------------------------------------------------------

    def judged(self, candidate: CandidatePlan, *, early: bool = True) -> Judgement:
        """What the simulator says of a candidate; the same question is simulated once.

        Args:
            candidate: what to simulate.
            early: stop after the first seed if it alone is a clear miss.
        """
        key = (tuple((p.spec.name, p.instances) for p in candidate.pools), candidate.rate_scale)
        known = self._seen.get((key, early))
        if known:
            return known
        asked, section = self._case.asked, self._case.scenario.validation
        words = ", ".join(f"{p.machines} {p.spec.machine} {p.spec.role}" for p in candidate.pools)
        self._done += (1 - self._done) * 0.15
        self._progress(f"simulating {words}", self._done)
        judgement = judge(
            self._pools(candidate), self._case.policy, lambda seed: asked.draw(seed, candidate.rate_scale),
            self._case.slos, seeds=asked.seeds, workload=asked.words, exact=asked.exact,
            warmup_frac=section.warmup_frac, cooldown_frac=section.cooldown_frac,
            confidence_frac=section.confidence_frac, early=early,
        )  # fmt: skip
        self._seen[key, early] = judgement
        return judgement

    def _pools(self, candidate: CandidatePlan) -> list[PoolModel]:
        """The candidate as the simulator sees it.

        Raises:
            BadInput: the catalog offers no physics for a pool.
        """
        unknown = [p.spec.name for p in candidate.pools if p.spec.name not in self._case.physics]
        if unknown:
            raise BadInput(*(f"{name}: the scenario's catalog offers no such instance" for name in unknown))
        names = [c.name for c in self._case.scenario.classes()]
        return [
            PoolModel(
                name=pool.spec.name, role=pool.spec.role, physics=self._case.physics[pool.spec.name],
                instances=pool.instances, speed=sum(pool.rate_req_per_s.values()) / pool.instances,
                classes=frozenset(i for i, name in enumerate(names) if pool.rate_req_per_s.get(name, 0.0) > 0),
            )
            for pool in candidate.pools
        ]  # fmt: skip

    def _note(self, step: str, candidate: CandidatePlan, judgement: Judgement) -> None:
        """Write a turn down."""
        wrong = failures(judgement)
        self.rounds.append(
            Round(step=step, candidate=candidate, judgement=judgement, note="; ".join(wrong) or "every objective met")
        )


def failures(judgement: Judgement) -> tuple[str, ...]:
    """Why a judgement is not valid; empty where it is."""
    lines = [
        f"{e.slo} {e.verdict}: {e.measured_s:.3g} s [{e.low_s:.3g}, {e.high_s:.3g}] against {e.limit_s:g} s"
        for e in judgement.evidence
        if e.verdict is not Verdict.MET
    ]
    if not judgement.steady:
        lines.append("the backlog grows: the second half of the window misses an objective")
    if judgement.unfinished:
        lines.append(f"{judgement.unfinished} requests were left unfinished")
    if judgement.refused:
        lines.append(f"{judgement.refused} requests were too long for the KV memory")
    return tuple(lines)


def no_plan(
    argument: Argument,
    reason: str,
    explanation: tuple[str, ...],
    raises: Mapping[str, tuple[float, float]] | None = None,
) -> NoPlan:
    """The honest other answer, with everything that was tried."""
    rounds = tuple(argument.rounds)
    return NoPlan(
        reason=reason, explanation=explanation, raises=dict(raises or {}), rounds=rounds,
        excuses=argument.excuses, judgement=rounds[-1].judgement if rounds else None,
    )  # fmt: skip


def _nobody_serves(missing: tuple[str, ...], case: Case) -> tuple[str, ...]:
    """Why a class has no option at all."""
    reasons = tuple(f"{e.option}: {e.reason}" for e in case.excuses)
    return (*(f"no option can serve {name}" for name in missing), *reasons)
