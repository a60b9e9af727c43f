"""The argument between optimiser and simulator."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from math import ceil, inf

from planner.errors import BadInput
from planner.formulate import BUDGET_FAMILIES, canonical, lift, problem, unservable
from planner.formulate.question import rate
from planner.planning.tighten import FUZZ_FRAC, balanced, excess, fewer_watts, overloads, tighten
from planner.resolve.case import Case
from planner.resolve.workload import Asked
from planner.results.evidence import Evidence, Judgement, NoPlan, Round, Verdict
from planner.results.plan import Budgets, CandidatePlan, Headroom, Objective, Pool
from planner.scenario.sections import FailureSection, slo_of
from planner.simulator.engine import PoolModel
from planner.simulator.failures import Failure
from planner.simulator.judge import Note, judge
from planner.simulator.serve import prepare
from solvers.allocation import Reason, Solution
from solvers.elastic import NotProven, StillInfeasible, smallest_raise
from solvers.problem import Problem
from solvers.solve import solve

Progress = Callable[[str, float], None]
Key = tuple[object, ...]

NO_HEADROOM = Headroom(prefill_frac=1.0, decode_frac=1.0, mixed_frac=1.0, kv_frac=1.0, link_frac=1.0)
"""Every resource planned to the brim: below this bound nothing carries even the mean load."""


NEARLY_FULL_FRAC = 0.9
"""Load limits beyond this are not worth halving once more."""

TIE_GAP_FRAC = 1e-9
"""Relative gap to which plans of equal worth are told apart; for a cluster of 10 MW, 0.01 W."""

FEWEST_BEYOND = 5
"""Observations beyond a percentile that it takes to say anything about it."""


class Argument:
    """One planning run: what was proposed, what was observed, what followed from it.

    Attributes:
        case: what is argued about.
        options: by name.
        rounds: every turn, first to last.
        bound: the optimiser's proven bound with no headroom at all.
        drawn_w: mean watts at the plugs that a plan may draw in simulation; None is unlimited.
    """

    def __init__(self, case: Case, progress: Progress, drawn_w: float | None = None) -> None:
        """Nothing said yet; ``drawn_w`` None is the budget of expected watts."""
        self.case, self._progress = case, progress
        self._planned_w = case.scenario.budgets.expected_power_w  # of the next program; lowered where plans draw more
        self.drawn_w = self._planned_w if drawn_w is None else drawn_w
        self.rounds: list[Round] = []
        self.bound: float | None = None
        self._seen: dict[tuple[Key, bool], Judgement] = {}
        self.options = {o.spec.name: o for o in case.options}
        self._done = 0.0

    # --- propose and tighten ---------------------------------------------------------------------------------------

    def propose_and_tighten(self) -> tuple[CandidatePlan, Judgement] | NoPlan:
        """Solve, simulate, lower the load limits or the watts, until everything holds or the rounds are used up."""
        headroom = start = self.case.scenario.headroom_limits()
        self._progress("solving", 0.02)
        missing = unservable(self.case.options, [c.request_class.name for c in self.case.asked.demand.classes])
        if missing:
            return no_plan(self, "infeasible", _nobody_serves(missing, self.case))
        refused: tuple[Problem, Solution] | None = None
        for _ in range(self.case.scenario.validation.max_rounds):
            program = self.problem(headroom)
            solution = self.canonical(program)
            if self.bound is None:
                self.bound = self.solve(self.problem(NO_HEADROOM)).termination.bound
            if solution.allocation is None:
                refused = refused or (program, solution)
                if self.bound is None or solution.termination.reason is not Reason.INFEASIBLE or start == NO_HEADROOM:
                    return self._without_allocation(*refused)
                headroom = start = less_headroom(start)
                continue
            lifted = lift(solution, self.case.options, headroom=headroom, policy=self.case.policy.name)
            even = balanced(lifted, self.options)  # other machines do more of the work then, at other watts
            candidate = even if self.within_budgets(even, self._budgets()) else lifted
            judgement = self.judged(candidate)
            self.note("plan", candidate, judgement)
            if self.holds(candidate, judgement):
                return candidate, judgement
            if incurable := _incurable(judgement):
                return no_plan(self, "not validated", incurable)
            if holds(candidate, judgement, None) and self._planned_w is not None and self.drawn_w is not None:
                self._planned_w = fewer_watts(self._planned_w, self.drawn_w, candidate, judgement)
            else:
                headroom = tighten(headroom, candidate, judgement)
        rounds = self.case.scenario.validation.max_rounds
        words = f"no candidate met every objective in {rounds} rounds"
        return self._too_many_watts() or no_plan(self, "not validated", (words,))

    def problem(self, headroom: Headroom, objective: Objective | None = None) -> Problem:
        """The integer program at these load limits, for the scenario's objective or another."""
        rates = {c.request_class.name: c.rate_req_per_s for c in self.case.asked.demand.classes}
        return problem(
            self.case.options, rates, budgets=self._budgets(), headroom=headroom,
            objective=objective or self.case.scenario.objective, available=self.case.available,
        )  # fmt: skip

    def _budgets(self) -> Budgets:
        """The scenario's, with as few watts as the simulator has taught."""
        return replace(self.case.scenario.budget(), expected_power_w=self._planned_w)

    def solve(self, program: Problem, gap_frac: float | None = None) -> Solution:
        """Ask the scenario's backend, with the scenario's gap or another."""
        section = self.case.scenario.solver
        return solve(
            program, backend=section.backend, time_limit_s=section.time_limit_s,
            gap_frac=section.gap_frac if gap_frac is None else gap_frac,
        )  # fmt: skip

    def canonical(self, program: Problem) -> Solution:
        """Ask the scenario's backend; of equal answers the one that every backend gives."""
        rates = {c.request_class.name: c.rate_req_per_s for c in self.case.asked.demand.classes}
        return canonical(
            program, self.case.options, rates, solve=self.solve, exact=lambda part: self.solve(part, TIE_GAP_FRAC)
        )

    def _without_allocation(self, program: Problem, solution: Solution) -> NoPlan:
        """Why the optimiser came back with nothing."""
        if solution.termination.reason is not Reason.INFEASIBLE:
            detail = f"{solution.termination.reason}: {solution.termination.detail}".rstrip(": ")
            return no_plan(self, "solver empty-handed", (f"the solver stopped with no allocation ({detail})",))
        if refusal := self._too_many_watts():
            return refusal
        try:
            raises = {
                r.row: (r.limit, r.needed)
                for r in smallest_raise(self._bounded(program), families=BUDGET_FAMILIES, solve=self.solve)
            }  # fmt: skip
        except StillInfeasible as nothing:
            return no_plan(self, "infeasible", (f"no budget that could be raised would help: {nothing}",))
        except (NotProven, ValueError) as stopped:
            words = f"no plan fits the budgets; which of them to raise was not found: {stopped}"
            return no_plan(self, "infeasible", (words,))
        lines = [f"raise {name} from {limit:g} to at least {needed:g}" for name, (limit, needed) in raises.items()]
        if self.rounds:
            verdict = "within the budgets no plan met every objective in simulation; more machines would not fit"
            return no_plan(self, "not validated", (verdict, *lines), raises)
        return no_plan(self, "infeasible", ("no plan fits the budgets", *lines), raises)

    def _too_many_watts(self) -> NoPlan | None:
        """The refusal where plans met every objective, and the only thing wrong was what they drew; None elsewhere."""
        passed = [r.judgement.power for r in self.rounds if holds(r.candidate, r.judgement, None)]
        drawn = [use.mean_w for use in passed if use is not None]
        if not drawn or self.drawn_w is None:
            return None
        needed_w = ceil(min(drawn))
        words = (
            "every plan that met every objective drew more on average in simulation than budgets.expected_power_w",
            f"raise expected_power from {self.drawn_w:g} to at least {needed_w}: what the most frugal of them drew",
        )
        return no_plan(self, "not validated", words, {"expected_power": (self.drawn_w, float(needed_w))})

    def _bounded(self, program: Problem) -> Problem:
        """The program with no more of a class on an option than is asked, so that raises of watts have a bound."""
        if self.case.scenario.objective is Objective.THROUGHPUT:
            return program
        asked = {
            rate(option, part.request_class.name): part.rate_req_per_s
            for option in self.options.values()
            for part in self.case.asked.demand.classes
        }
        columns = tuple(replace(c, upper=min(c.upper, asked.get(c.name, inf))) for c in program.columns)
        return replace(program, columns=columns)

    # --- judge -----------------------------------------------------------------------------------------------------

    def holds(self, candidate: CandidatePlan, judgement: Judgement) -> bool:
        """Whether a candidate is a plan."""
        return holds(candidate, judgement, self.drawn_w)

    def fails(self, candidate: CandidatePlan, judgement: Judgement) -> tuple[str, ...]:
        """Why a candidate is no plan; empty where it is one."""
        return (*failures(judgement), *excess(judgement, self.drawn_w), *overloads(candidate))

    def judged(self, candidate: CandidatePlan, *, early: bool = True, note: Note | None = None) -> Judgement:
        """What the simulator says of a candidate; the same question is simulated once.

        Args:
            candidate: what to simulate.
            early: stop after the first seed if it alone is a clear miss.
            note: is shown what became of the requests, unless that is known already.
        """
        key = (candidate.rate_scale, *((p.spec.name, p.instances, _routed(p)) for p in candidate.pools))
        known = self._seen.get((key, early))
        if known:
            return known
        asked, section = self.case.asked, self.case.scenario.validation
        words = ", ".join(f"{p.machines} {p.spec.machine} {p.spec.role}" for p in candidate.pools)
        self._done += (1 - self._done) * 0.15
        self._progress(f"simulating {words}", self._done)
        pools = self.pools(candidate)
        happening = [f for each in section.failures if (f := outage(each, pools))]
        prepare(lambda doing: self._progress(doing, self._done))
        judgement = judge(
            pools, self.case.policy, lambda seed: asked.draw(seed, candidate.rate_scale),
            self.case.slos, seeds=asked.seeds, workload=_words(asked, candidate, len(happening)), exact=asked.exact,
            warmup_frac=section.warmup_frac, cooldown_frac=section.cooldown_frac,
            confidence_frac=section.confidence_frac, reference=self.case.reference, early=early,
            failures=happening,
            longer=None if happening else asked.longer(candidate.rate_scale), note=note,
        )  # fmt: skip
        self._seen[key, early] = judgement
        return judgement

    def within_budgets(self, candidate: CandidatePlan, budgets: Budgets | None = None) -> bool:
        """Whether a candidate that no solve has seen keeps every budget and finds its machines on the market.

        Args:
            candidate: as planned; what it draws in simulation is not looked at.
            budgets: to keep; None: the scenario's.
        """
        budgets, need = budgets or self.case.scenario.budget(), candidate.totals
        limits = (
            (need.cost_usd_per_h, budgets.cost_usd_per_h),
            (need.power_w, budgets.power_w),
            (need.expected_power_w, budgets.expected_power_w),
            (need.rack_units, budgets.rack_units),
            (need.machines, budgets.machines),
            (len({p.spec.machine for p in candidate.pools}), budgets.machine_types),
        )
        bought = Counter[str]()
        for pool in candidate.pools:
            bought[pool.spec.machine] += pool.machines
        return all(limit is None or value <= limit * (1 + FUZZ_FRAC) for value, limit in limits) and all(
            count <= self.case.available.get(name, count) for name, count in bought.items()
        )

    def pools(self, candidate: CandidatePlan) -> list[PoolModel]:
        """The candidate as the simulator sees it.

        Raises:
            BadInput: the catalog offers no physics for a pool.
        """
        unknown = [p.spec.name for p in candidate.pools if p.spec.name not in self.case.physics]
        if unknown:
            raise BadInput(*(f"{name}: the scenario's catalog offers no such instance" for name in unknown))
        names = [c.name for c in self.case.scenario.classes()]
        return [
            PoolModel(
                name=pool.spec.name, role=pool.spec.role, physics=self.case.physics[pool.spec.name],
                instances=pool.instances, speed=_speed(pool),
                classes=frozenset(i for i, name in enumerate(names) if pool.rate_req_per_s.get(name, 0.0) > 0),
                chunk_tokens=pool.spec.chunk_tokens,
            )
            for pool in candidate.pools
        ]  # fmt: skip

    def note(self, step: str, candidate: CandidatePlan, judgement: Judgement) -> None:
        """Write a turn down."""
        wrong = self.fails(candidate, judgement)
        self.rounds.append(
            Round(step=step, candidate=candidate, judgement=judgement, note="; ".join(wrong) or "every objective met")
        )


def less_headroom(headroom: Headroom) -> Headroom:
    """Half as far from no headroom at all; none where that is near."""
    halved = {f.name: 1 - (1 - getattr(headroom, f.name)) / 2 for f in fields(headroom)}
    return NO_HEADROOM if min(halved.values()) > NEARLY_FULL_FRAC else Headroom(**halved)


def _words(asked: Asked, candidate: CandidatePlan, failures: int) -> str:
    """The workload in words, at the rate that the candidate serves."""
    factor = candidate.rate_scale
    words = asked.words if factor == 1 else f"{asked.words}, times {factor:.4g}"
    return words + (f", while {failures} machine{'s' * (failures > 1)} failed" if failures else "")


def outage(section: FailureSection, pools: Sequence[PoolModel]) -> Failure | None:
    """A failure that a scenario asks for, as it befalls these pools; None where they have no such machine."""
    left, before = section.machine, 0
    for position, pool in enumerate(pools):
        if section.pool in (position, pool.role):
            if left < pool.machines:
                return Failure(machine=before + left, at_s=section.at_s, repair_s=section.repair_s)
            left -= pool.machines
        before += pool.machines
    return None


def _speed(pool: Pool) -> float:
    """Planned rate of an instance, to six digits: a plan read back from a file must route as it did before."""
    return float(f"{sum(pool.rate_req_per_s.values()) / pool.instances:.6g}")


def _routed(pool: Pool) -> tuple[tuple[str, float], ...]:
    """The rates routed to a pool, without the last bits in which two solves differ."""
    return tuple((name, round(rate, 6)) for name, rate in sorted(pool.rate_req_per_s.items()))


def holds(candidate: CandidatePlan, judgement: Judgement, drawn_w: float | None) -> bool:
    """Whether a candidate is a plan: nothing wrong in simulation, and no pool planned beyond what it carries.

    Args:
        candidate: what was simulated.
        judgement: of it.
        drawn_w: mean watts at the plugs that it may draw; None is unlimited.
    """
    return judgement.valid and not excess(judgement, drawn_w) and not overloads(candidate)


def failures(judgement: Judgement) -> tuple[str, ...]:
    """Why a judgement is not valid; empty where it is."""
    lines = [_against(e) for e in judgement.evidence if e.verdict is not Verdict.MET]
    lines += [
        f"{e.n} observations are too few to bound {e.slo}: raise workload.duration_s or validation.seeds"
        for e in _open(judgement)
    ]
    if not judgement.steady:
        lines.append(f"the backlog grows: {judgement.growth}")
    if judgement.unfinished:
        lines.append(f"{judgement.unfinished} requests were left unfinished")
    if judgement.refused:
        lines.append(f"{judgement.refused} requests were too long for the KV memory")
    return tuple(lines)


def _against(found: Evidence) -> str:
    """What was measured of an objective, and its limit."""
    sign = found.unit.symbol
    measured = f"{found.measured:.3g} {sign} [{found.low:.3g}, {found.high:.3g}]"
    return f"{found.slo} {found.verdict}: {measured} against {found.limit:g} {sign}"


def _open(judgement: Judgement) -> list[Evidence]:
    """Objectives that no verdict can be given on, because fewer than a handful of observations may exceed them."""
    if judgement.unfinished or judgement.refused or any(e.verdict is Verdict.MISSED for e in judgement.evidence):
        return []
    return [e for e in judgement.evidence if e.high == inf and e.n * _beyond_frac(e.slo) < FEWEST_BEYOND]


def _beyond_frac(slo: str) -> float:
    """The share of observations that an objective allows to exceed its limit."""
    return 1 - slo_of(slo.rpartition(":")[2], 1.0).percentile / 100


def _incurable(judgement: Judgement) -> tuple[str, ...]:
    """What is wrong with a judgement that no number of machines can mend; empty where some may."""
    if judgement.refused:
        return (f"{judgement.refused} requests are longer than the KV memory of the instances they reached",)
    unmet = [e for e in judgement.evidence if e.verdict is not Verdict.MET]
    hidden = [e for e in _open(judgement) if e.measured <= e.limit]
    return failures(judgement) if hidden and unmet == hidden and judgement.steady else ()


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
        excuses=argument.case.excuses, judgement=rounds[-1].judgement if rounds else None,
    )  # fmt: skip


def _nobody_serves(missing: tuple[str, ...], case: Case) -> tuple[str, ...]:
    """Why a class has no option at all."""
    reasons = tuple(f"{e.option}: {e.reason}" for e in case.excuses)
    lines = [f"no option can serve {name}{_in_which_role(name, case)}" for name in missing]
    binding = {e.bottleneck for e in case.excuses}
    return (*lines, *reasons, *(words for bottleneck, words in _REMEDIES.items() if bottleneck in binding))


def _in_which_role(class_name: str, case: Case) -> str:
    """The roles that nothing is left for, where others have something."""
    have = {o.spec.role for o in case.options if class_name in o.envelopes}
    lacking = [role for role in case.policy.topology.roles() if role not in have]
    return f" in the role {', '.join(lacking)}" if have else ""


_REMEDIES: Mapping[str, str] = {
    "memory": "for more KV memory: more GPUs per instance (catalog.tp, catalog.pp), a larger policy.kv_memory_frac, a "
    "smaller model.kv_dtype or model.dtype, or another machine",
    "link": "where no KV cache can travel: policy.name colocated, or a machine with a link (its inter_link)",
}
"""Bottleneck of an excuse -> what would help, where it is in the reader's hands."""
