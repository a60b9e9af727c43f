"""Availability: the spare machines that a plan needs, how often it is up with them, and the price of each nine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from planner.capacity.redundancy import (
    Reliability,
    Rule,
    Stock,
    failures_per_h,
    racks,
    spares,
    up_frac,
)
from planner.capacity.strikes import Strike, strikes
from planner.capacity.totals import counted
from planner.planning.loop import PlanningLoop
from planner.planning.refusals import raise_words
from planner.planning.served import key_of
from planner.planning.tighten import resized, totals_of
from planner.resolve.availability import NINES, assumptions, rule_of
from planner.resolve.case import Case
from planner.resolve.spared import spared
from planner.results.availability import Availability, Nine, Outage
from planner.results.evidence import Judgement, ValidatedPlan
from planner.results.fleet import machines_of
from planner.results.plan import CandidatePlan
from planner.simulator.recovery import Stage, struck_and_seen
from planner.simulator.traffic import Traffic
from workloads.counts import plural

Progress = Callable[[str, float], None]


def too_rarely_up(case: Case, candidate: CandidatePlan, progress: Progress) -> tuple[str, ...]:
    """Why a plan as it stands does not meet every objective as often as its scenario asks; empty where it does.

    The machines of a pool that are not spare are those that the objectives need.
    """
    if not case.scenario.availability.asked:
        return ()
    made = Made(PlanningLoop(spared(case), progress), candidate)
    outages = tuple(outage for outage, _ in made.outages(candidate))
    longest_s = max((each.recovery_s for each in outages if each.single), default=0.0)
    up, target = made.up(candidate, longest_s), made.rule.target_frac
    lines = [f"{each.words}: {line}" for each in outages for line in each.fails]
    if up < target:
        spare = sum(pool.spares for pool in candidate.pools)
        lines.append(
            f"availability.target_frac is {target:g}; with {plural(spare, 'machine')} spare the plan has {up:.6g}"
        )
    short = [p for p in candidate.pools if p.spares < made.rule.spares.get(p.spec.role, 0)]
    lines += [f"availability.spares: {p.spec.name} has {p.spares}" for p in short]
    return tuple(lines)


def study(
    made: "Made", standing: CandidatePlan, outages: tuple[Outage, ...], recovery_s: float
) -> Availability:  # fmt: skip
    """How often a plan is up, and what other shares of time cost."""
    return Availability(
        target_frac=made.rule.target_frac, up_frac=made.up(standing, recovery_s),
        spare_machines=sum(pool.spares for pool in standing.pools),
        racks=racks(standing.totals.machines, made.rule), domains=made.rule.domains,
        failures_per_h=failures_per_h(made.stocks(standing), made.rule), recovery_s=recovery_s,
        nines=tuple(made.nines(standing, recovery_s)), outages=outages,
        assumptions=assumptions(made.alone.case.scenario, made.reliability(standing), made.rule),
    )  # fmt: skip


def stated_again(case: Case, plan: ValidatedPlan) -> Availability:
    """The availability of a plan, counted again from its machines and the recovery that was simulated.

    What other shares of time cost, and where rates are from, is left as it is stated: plans of other machines, and
    words that know which keys of the question were written out.

    Raises:
        AssertionError: the plan has none.
    """
    said, standing = plan.availability, plan.candidate
    assert said is not None, "asked only of plans that state it"
    made = Made(PlanningLoop(spared(case), lambda *_: None), standing)
    now = study(made, standing, said.outages, said.recovery_s)
    chosen = {nine.target_frac: nine for nine in now.nines if nine.chosen}
    nines = tuple(chosen.get(nine.target_frac, nine) if nine.chosen else nine for nine in said.nines)
    return replace(now, nines=nines, assumptions=said.assumptions)


class Made:
    """The machines that the objectives need, and what may be made of them."""

    def __init__(self, loop: PlanningLoop, needed: CandidatePlan) -> None:
        """Of a plan whose pools have the machines that the objectives need."""
        first = loop.case.options[0].reliability
        assert first is not None, "made only where availability is asked for"
        self.rule, self._spared, self._needed = first.rule, loop.options, needed
        plain = replace(
            loop.case, options=tuple(replace(o, reliability=None) for o in loop.case.options),
            least=tuple(replace(o, reliability=None) for o in loop.case.least),
        )  # fmt: skip
        self.alone = PlanningLoop(plain, loop.progress, loop.drawn_w)

    def reliability(self, candidate: CandidatePlan) -> Mapping[str, Reliability]:
        """Machine type -> how often one of a plan's is gone."""
        found = {pool.spec.machine: self._spared[pool.spec.name].reliability for pool in candidate.pools}
        return {name: each for name, each in found.items() if each is not None}

    def stocks(self, standing: CandidatePlan, rule: Rule | None = None) -> list[Stock]:
        """The machines of each pool, those that may be down counted."""
        return [
            Stock(
                machines=pool.machines, needed=pool.machines - pool.spares,
                span=self._spared[pool.spec.name].machines_per_instance,
                each=replace(self.reliability(standing)[pool.spec.machine], rule=rule or self.rule),
            )
            for pool in standing.pools
        ]  # fmt: skip

    def up(self, standing: CandidatePlan, recovery_s: float) -> float:
        """Share of time in which a plan meets every objective."""
        rule = replace(self.rule, recovery_s=recovery_s)
        return up_frac(self.stocks(standing, rule), rule)

    def _with(self, rule: Rule) -> CandidatePlan | None:
        """The machines with the spare ones that a rule asks for; None where no number is enough."""
        pools, options = self._needed.pools, self._spared
        needed = [
            (pool.spec.role, stock, counted(options[pool.spec.name], rule.objective))
            for pool, stock in zip(pools, self.stocks(self._needed, rule), strict=True)
        ]
        on_top = spares(needed)
        if on_top is None:
            return None
        more = tuple(
            replace(resized(pool, pool.machines + count, options[pool.spec.name]), spares=count)
            for pool, count in zip(pools, on_top, strict=True)
        )
        return replace(self._needed, pools=more, totals=totals_of(more, self.alone.options))

    def standing(self, recovery_s: float) -> CandidatePlan | str:
        """The plan with its spare machines; a sentence where there is none."""
        found = self._with(replace(self.rule, recovery_s=recovery_s))
        if found is None:
            after = f" with {recovery_s:g} s of missed objectives after each failure" if recovery_s else ""
            return f"no number of machines is up {self.rule.target_frac:g} of the time{after}"
        over = self.alone.exceeded(found)
        return "; ".join(raise_words(over)) if over else found

    def nines(self, standing: CandidatePlan, recovery_s: float) -> Iterator[Nine]:
        """What shares of time cost, the smallest first."""
        asked = self.rule.target_frac
        for target in sorted({*NINES, *([asked] if asked else [])}):
            rule = replace(rule_of(self.alone.case.scenario, target), recovery_s=recovery_s)
            rule = replace(self.rule, recovery_s=recovery_s) if target == asked else rule
            plan = standing if target == asked else self._with(rule)
            totals = plan.totals if plan else None
            yield Nine(
                target_frac=target, chosen=target == asked, domains=rule.domains,
                up_frac=up_frac(self.stocks(plan, rule), rule) if plan else 0.0,
                machines=totals.machines if totals else 0,
                spare_machines=sum(pool.spares for pool in plan.pools) if plan else 0,
                cost_usd_per_h=totals.cost_usd_per_h if totals else 0.0, power_w=totals.power_w if totals else 0.0,
                machine_types=dict(machines_of([plan])) if plan else {},
                over=tuple(raise_words(self.alone.exceeded(plan))) if plan else (),
            )  # fmt: skip

    def outages(self, standing: CandidatePlan) -> Iterator[tuple[Outage, Judgement]]:
        """Every failure that the plan must survive, injected into a run, with what is seen right after it."""
        names = [pool.spec.name for pool in standing.pools]
        for strike in dict.fromkeys(strikes(names, self.stocks(standing), self.rule)):
            self.alone.progress(strike.words, 0.96)
            asked = self.alone.alike, key_of(standing, stepwise=False), strike
            if asked not in self.alone.case.outages:
                self.alone.case.outages[asked] = _struck(self.alone, standing, strike)
            yield self.alone.case.outages[asked]


def _struck(loop: PlanningLoop, standing: CandidatePlan, strike: Strike) -> tuple[Outage, Judgement]:
    """A failure injected into a run of a plan, and what is seen right after it."""
    asked, scale, section = loop.case.asked, standing.rate_scale, loop.case.scenario.validation
    times, seeds = 1.0 if asked.longer(scale) is None else 2.0, asked.seeds_at(scale)
    stage = Stage(
        pools=loop.pools(standing), policy=loop.case.policy, trace=asked.draw(seeds[0], scale, times),
        traffic=Traffic(
            draw=asked.drawing(scale, times), seeds=seeds, workload=strike.words, exact=asked.exact_at(scale),
            aligned=asked.aligned_at(scale),
        ),
        slos=loop.case.slos, reference=loop.case.reference, cooldown_frac=asked.unmeasured_at(scale, section)[1],
        confidence_frac=section.confidence_frac,
    )  # fmt: skip
    return struck_and_seen(stage, strike.words, strike.before, strike.failing, single=strike.single)
