"""The table of alternatives: what other precisions, engines and policies would come to, simulated or not."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from math import inf

import numpy as np

from planner.errors import BadInput
from planner.perf.layout import Role
from planner.planning.cells import of_cells
from planner.planning.in_rows import prepared
from planner.planning.loop import PlanningLoop
from planner.planning.one import First, confirmed, worth
from planner.planning.refusals import unstruck
from planner.planning.search import Contender, Key, estimate, find_start, key_of, signed
from planner.policies.presets import NAMES
from planner.resolve.case import open_case
from planner.resolve.cells import cell_case
from planner.resolve.inputs import Inputs
from planner.results.choice import Choice, Standing, per_million
from planner.results.evidence import Judgement, ValidatedPlan
from planner.results.plan import CandidatePlan, Pool
from planner.scenario.policy_section import SPLIT

MOST_REQUESTS = {"short": 1_500_000, "full": 12_000_000}
"""Requests that rows of a table may have simulated: some seconds, or under a minute. Counted in requests, the same
question has the same table on every machine."""


COUNTERPART = {"splitwise": "sarathi", "colocated": "splitwise", "sarathi": "splitwise"}
"""The policy that a short table prices beside a plan's: of those that do not split, the one that engines start with."""

MOST_ROWS = 3
"""Rows of a short table that are simulated."""


class Depth(StrEnum):
    """How much a table of alternatives tells."""

    NONE = "none"
    """The plan itself, its money divided between prompts and outputs."""
    SHORT = "short"
    """What was searched, the plan's precision split or not, the other way round than the plan is, and every other
    precision and engine under the plan's policy; the best of these simulated."""
    FULL = "full"
    """Every precision, engine and policy, all of them simulated as far as some ten seconds go."""


def choices(inputs: Inputs, searched: Sequence[Contender], best: ValidatedPlan, depth: Depth) -> tuple[Choice, ...]:
    """The plan and everything else that was or might have been allowed, the best first.

    Args:
        inputs: the question.
        searched: what it allows.
        best: the answer.
        depth: what to look at besides, and what of it to simulate.

    Returns:
        One row a precision, engine and policy; those that cannot serve the workload are left out.
    """
    if depth is Depth.NONE:
        own = next(contender.loop for contender in searched if contender.key == key_of(best))
        return (figures(own, best.candidate, best.judgement, Standing.CHOSEN, allowed=True),)
    allowed = {contender.key for contender in searched}
    every = [*searched, *_others(inputs, allowed, key_of(best), depth)]
    rows = [_Row(c, c.key in allowed, best.candidate.cells) for c in every if c.loop.serves]
    rows = [row for row in rows if isinstance(row.contender.start, First) or row.optimum is not None]
    _simulate(rows, best, depth)
    told = [row.told(best) for row in rows]
    return tuple(sorted(told, key=lambda row: _order(searched[0].loop, row)))


class _Row:
    """A precision, engine and policy of the table."""

    def __init__(self, contender: Contender, allowed: bool, cells: int) -> None:
        """Nothing priced yet."""
        self.contender, self.allowed, self._cells = contender, allowed, cells
        self._optimum: CandidatePlan | None = None
        self._priced = False

    @property
    def planned(self) -> bool:
        """Whether plans of it were looked for."""
        return self.contender.start is not None

    @property
    def optimum(self) -> CandidatePlan | None:
        """The program's optimum at the load limits of the scenario, in as many cells as the plan; None without any."""
        if not self._priced:
            whole, self._priced = self.contender.loop, True
            loop = whole if self._cells == 1 else PlanningLoop(cell_case(whole.case, self._cells), _silent)
            headroom = loop.case.scenario.headroom_limits()
            solution = loop.canonical(loop.problem(headroom))
            found = None if solution.allocation is None else loop.lifted(solution, headroom)
            self._optimum = found if found is None or self._cells == 1 else of_cells(found, self._cells, loop)
        return self._optimum

    @property
    def promise(self) -> float:
        """Worth of the program's optimum with every resource full, to be minimised: the load limits are guesses."""
        if self.contender.optimum is None:
            estimate(self.contender)
        return self.contender.full

    def told(self, best: ValidatedPlan) -> Choice:
        """The plan of it where it has one, else the program's optimum."""
        loop, start, answer = self.contender.loop, self.contender.start, self.contender.answer
        loop.prove()
        if self.contender.key == key_of(best):
            return figures(loop, best.candidate, best.judgement, Standing.CHOSEN, allowed=self.allowed)
        if isinstance(answer, ValidatedPlan):
            return figures(loop, answer.candidate, answer.judgement, Standing.VALIDATED, allowed=self.allowed)
        if isinstance(start, First) and (held := confirmed(loop, start)):
            return figures(loop, *held, Standing.VALIDATED, allowed=self.allowed)
        standing = Standing.BOUND if start is None else Standing.REFUSED
        planned = self.optimum or (start.held[0] if isinstance(start, First) else None)
        assert planned is not None, "rows that cannot serve the workload were left out"
        return figures(loop, planned, None, standing, allowed=self.allowed)


def _order(loop: PlanningLoop, row: Choice) -> tuple[object, ...]:
    variant = row.variant
    return signed(loop, row.objective_value), variant.profile_set, variant.dtype, variant.kv_dtype, row.policy


def _others(inputs: Inputs, allowed: Iterable[Key], chosen: Key, depth: Depth) -> Iterator[Contender]:
    """Precisions, engines and policies that the question does not allow.

    Of a short table the plan's own precision has one policy more, that splits phases where the plan does not; none
    where the question allows one.
    """
    served, policy = chosen
    known = set(allowed)
    every, other = tuple(dict.fromkeys((policy, *NAMES))) if policy in NAMES else (policy,), COUNTERPART.get(policy)
    compared = any((name in SPLIT) != (policy in SPLIT) for variant, name in known if variant == served)
    beside = (policy,) if other is None or compared else (policy, other)
    for variant in (*inputs.variants, *inputs.others):
        for name in every if depth is Depth.FULL else beside if variant == served else (policy,):
            if (variant, name) in known:
                continue
            try:
                case = open_case(inputs, name, variant)
            except BadInput:  # for example KV groups, which one policy alone has
                continue
            if not unstruck(case):
                yield Contender(loop=PlanningLoop(prepared(case), _silent))


def _silent(_words: str, _done_frac: float) -> None:
    """Nothing is told: a row takes a moment."""


def _simulate(rows: Sequence[_Row], best: ValidatedPlan, depth: Depth) -> None:
    """Look for plans of rows, the most promising first: of all, or of a few not allowed that may be better."""
    if best.candidate.cells > 1:  # looked for cell by cell; a row that is not would be simulated as one pool
        return
    open_rows = sorted((row for row in rows if not row.planned), key=lambda row: row.promise)
    if depth is Depth.SHORT:
        likely = [row for row in open_rows if not row.allowed and row.promise < _worth_of(row, best)]
        open_rows = likely[:MOST_ROWS] if best.judgement.arrived <= MOST_REQUESTS[depth] // 10 else []
    left = MOST_REQUESTS[depth]
    for row in open_rows:
        if left <= 0:
            break
        find_start(row.contender)
        left -= row.contender.loop.simulated_requests


def _worth_of(row: _Row, best: ValidatedPlan) -> float:
    """Worth of the answer, to be minimised."""
    return signed(row.contender.loop, best.objective_value)


def figures(
    loop: PlanningLoop, plan: CandidatePlan, seen: Judgement | None, standing: Standing, *, allowed: bool
) -> Choice:
    """What a plan comes to; of one that no simulation has seen, as planned."""
    case, totals = loop.case, plan.totals
    profile = case.profiles[plan.pools[0].spec.name]
    prompt, output = _tokens_per_s(loop, plan)
    good_prompt, good_output = prompt, output
    if seen and seen.good_prompt_tokens_per_s is not None and seen.good_output_tokens_per_s is not None:
        good_prompt, good_output = seen.good_prompt_tokens_per_s, seen.good_output_tokens_per_s
    prefill_usd = sum(_prefill_frac(loop, pool) * _usd_per_h(loop, pool) for pool in plan.pools)
    return Choice(
        variant=case.variant, engine=profile.engine, engine_version=profile.engine_version, policy=case.policy.name,
        allowed=allowed, standing=standing, objective_value=abs(worth(loop, plan)), bound=loop.bound,
        cost_usd_per_h=totals.cost_usd_per_h, power_w=totals.power_w, machines=totals.machines, gpus=totals.gpus,
        gpu_tokens_per_s=(seen.output_tokens_per_s if seen else output) / max(1, totals.gpus),
        user_tokens_per_s=_per_user(loop, plan, seen),
        usd_per_million_prompt_tokens=per_million(prefill_usd, good_prompt),
        usd_per_million_output_tokens=per_million(totals.cost_usd_per_h - prefill_usd, good_output),
    )  # fmt: skip


def _tokens_per_s(loop: PlanningLoop, plan: CandidatePlan) -> tuple[float, float]:
    """Prompt and output tokens of the planned rates."""
    parts = {part.request_class.name: part for part in loop.case.asked.demand.classes}
    rates = [(c, rate) for p in plan.pools if p.spec.role is not Role.DECODE for c, rate in p.rate_req_per_s.items()]
    prompt = sum(rate * float(np.mean(parts[c].prompt_tokens)) for c, rate in rates)
    return prompt, sum(rate * float(np.mean(parts[c].output_tokens)) for c, rate in rates)


def _usd_per_h(loop: PlanningLoop, pool: Pool) -> float:
    """Price of a pool's machines."""
    return pool.machines * loop.options[pool.spec.name].price_usd_per_h


def _prefill_frac(loop: PlanningLoop, pool: Pool) -> float:
    """Share of a pool's instance time that computes prompts."""
    envelopes = loop.options[pool.spec.name].envelopes
    work = [(rate, envelopes[c]) for c, rate in pool.rate_req_per_s.items() if c in envelopes]
    prefill_s = sum(rate * each.prefill_s for rate, each in work)
    return prefill_s / max(1e-12, prefill_s + sum(rate * each.decode_s for rate, each in work))


def _per_user(loop: PlanningLoop, plan: CandidatePlan, seen: Judgement | None) -> float | None:
    """Output tokens a second that one request gets: of the median, or by the steps that were planned with."""
    if seen:
        gap_s = seen.latency_s.get("tpot_p50_s", 0.0)
        return 1 / gap_s if 0 < gap_s < inf else None
    steps = [
        (rate, loop.options[p.spec.name].envelopes[c].tbt_s)
        for p in plan.pools if p.spec.role is not Role.PREFILL for c, rate in p.rate_req_per_s.items()
        if c in loop.options[p.spec.name].envelopes
    ]  # fmt: skip
    mean_s = sum(rate * step for rate, step in steps) / max(1e-12, sum(rate for rate, _ in steps))
    return 1 / mean_s if mean_s > 0 else None
