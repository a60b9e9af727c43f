"""Two plan files compared, and the migration from one to the other."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from planner.capacity.totals import NO_WORK, totals
from planner.compare.bill import bill_of
from planner.compare.diff_changes import changes, margins, most, notes, purchases
from planner.compare.diff_order import Check, Migration, Search, Standing
from planner.errors import BadInput
from planner.files.plan_file import PlanFile
from planner.perf.layout import Role
from planner.planning.loop import PlanningLoop
from planner.planning.recount import CLOSE_FRAC
from planner.planning.tighten import cluster
from planner.resolve.case import case_of, open_case
from planner.resolve.prices import prices_of
from planner.results.bill import MONTH_H
from planner.results.difference import Diff, Move
from planner.results.failings import failures
from planner.results.plan import CandidatePlan, Totals
from planner.scenario import Scenario
from workloads.counts import number, percent

Progress = Callable[[str, float], None]


def diff(before: PlanFile, after: PlanFile, *, quick: bool, power_limit_w: float | None, progress: Progress) -> Diff:
    """What it takes to get from one plan to the other.

    The migration is checked at the lighter of the two loads: one moves before the load grows, or after it has fallen.

    Args:
        before: what stands.
        after: what shall stand.
        quick: look at planned loads only, do not simulate the clusters during the migration.
        power_limit_w: what may be drawn meanwhile; None: the budget of the second question, else of the first.
        progress: told which cluster is being looked at.

    Raises:
        BadInput: a plan has an instance that neither question's catalog offers.
    """
    limit_w = power_limit_w
    for scenario in (after.scenario, before.scenario):
        limit_w = scenario.budgets.power_w if limit_w is None else limit_w
    load, migration = "", _unlike(before, after)
    if migration is None:
        compared = _Comparison(before, after, quick=quick, progress=progress)
        same = before.plan.candidate.policy == after.plan.candidate.policy
        load, migration = compared.load, _in_place(compared, limit_w) if same else _side_by_side(compared, limit_w)
    old, new = (file.plan.candidate.totals for file in (before, after))
    usd_per_h = new.cost_usd_per_h - old.cost_usd_per_h
    return Diff(
        before=old, after=new,
        changes=changes(before.plan, after.plan), margins=margins(before.plan, after.plan), moves=migration.moves,
        safe=not migration.explanation, load=load, power_limit_w=limit_w, explanation=migration.explanation,
        bill_before=bill_of(before.plan, before.scenario.energy), bill_after=bill_of(after.plan, after.scenario.energy),
        purchases=purchases(
            before.plan.candidate, after.plan.candidate, migration.moves,
            {**prices_of(before.scenario), **prices_of(after.scenario)},
        ),
        change_usd_per_h=usd_per_h,
        month_change_usd=usd_per_h * MONTH_H,
        most=most([old, new, *(move.totals for move in migration.moves)]),
        notes=notes(before.scenario, after.scenario),
    )  # fmt: skip


class _Comparison:
    """Both plans on the load of the migration."""

    def __init__(self, before: PlanFile, after: PlanFile, *, quick: bool, progress: Progress) -> None:
        """Open the question with the lighter load, with everything that either plan is made of on offer."""
        self.before, self.after = before.plan.candidate, after.plan.candidate
        self._progress, self.quick, self._looks = progress, quick, 0
        files = (before, after)
        cases = [case_of(_widened(file, before, after), file.plan.candidate) for file in files]
        rates = [
            case.asked.rate_req_per_s * file.plan.candidate.rate_scale for case, file in zip(cases, files, strict=True)
        ]
        lighter = 0 if rates[0] <= rates[1] else 1
        self._rate_scale = files[lighter].plan.candidate.rate_scale
        self._scenario, asked = cases[lighter].scenario, cases[lighter].asked  # the scenario names one precision
        self._loops = {cases[lighter].policy.name: PlanningLoop(cases[lighter], _silent)}
        self.load = f"{number(rates[lighter])} req/s: {asked.words}"
        self.rates = {c.request_class.name: c.rate_req_per_s * self._rate_scale for c in asked.demand.classes}
        loads = [(p.spec.role, p.load_frac) for c in (self.before, self.after) for p in c.pools]
        self._limits = {  # estimates: a plan that the simulator confirms may be fuller than they allow
            role: max(
                *(c.headroom.of(role) for c in (self.before, self.after)), *(load for of, load in loads if of is role)
            )
            for role in Role
        }

    def loop_of(self, policy: str) -> PlanningLoop:
        """The load of the migration under a policy."""
        if policy not in self._loops:
            self._loops[policy] = PlanningLoop(open_case(self._scenario, policy), _silent)
        loop = self._loops[policy]
        plans = [c for c in (self.before, self.after) if c.policy == policy]
        absent = sorted({p.spec.name for c in plans for p in c.pools} - set(loop.options))
        reasons = {e.option: e.reason for e in loop.case.excuses}
        if absent:
            raise BadInput(
                *(f"{name}: {reasons.get(name, 'no catalog of the two plans offers it')}" for name in absent)
            )
        return loop

    def check(self, policy: str) -> Callable[[Standing], Check]:
        """What is known of a cluster that runs under a policy."""
        loop = self.loop_of(policy)

        def look(standing: Standing) -> Check:
            self._looks += 1
            self._progress(f"cluster {self._looks}: " + ", ".join(f"{n} {name}" for name, n in standing.items()), 0.5)
            stands = cluster(policy, standing, self.rates, loop.options)
            if isinstance(stands, str):
                return Check(fails=(stands,), evidence=(), totals=_idle(standing, loop))
            fails = self._too_busy(stands) if self.quick else loop.overloads(stands)
            if self.quick or fails:
                return Check(fails=fails, evidence=(), totals=stands.totals)
            judged = loop.judged(replace(stands, rate_scale=self._rate_scale))
            return Check(fails=failures(judged), evidence=judged.evidence, totals=stands.totals)

        return look

    def _too_busy(self, stands: CandidatePlan) -> tuple[str, ...]:
        """Pools that would be planned fuller than in either plan."""
        return tuple(
            f"{p.spec.name} would be planned at {percent(max(p.load_frac, p.kv_load_frac))}, the plans allow "
            f"{percent(self._limits[p.spec.role])}"
            for p in stands.pools
            if p.load_frac > self._limits[p.spec.role] * (1 + CLOSE_FRAC) or p.kv_load_frac > 1 + CLOSE_FRAC
        )


def _unlike(before: PlanFile, after: PlanFile) -> Migration | None:
    """No move at all between plans that serve another model, in another precision or by another engine; None if alike.

    Their pools may bear the same names: an instance of one is still none of the other, and takes no KV cache from it.
    """
    old, new = (_serving(file) for file in (before, after))
    if not (before.plan.served and after.plan.served):  # files of versions that did not say
        old, new = {before.scenario.model.name}, {after.scenario.model.name}
    if old == new:
        return None
    words = f"The first plan serves {'; '.join(sorted(old))}, the second {'; '.join(sorted(new))}"
    why = "no instance of one is one of the other, whatever the names of their pools: build the second beside the first"
    return Migration(moves=(), explanation=(f"{words}; {why}.",))


def _serving(file: PlanFile) -> set[str]:
    """Model, precision and engine of every pool."""
    name = file.scenario.model.name
    return {f"{name} with {s.dtype} weights, {s.kv_dtype} KV cache, {s.engine}" for s in file.plan.served}


def _in_place(compared: _Comparison, limit_w: float | None) -> Migration:
    """Pool by pool, under the policy that both plans share."""
    start, goal = _standing(compared.before), _standing(compared.after)
    machine_of = {p.spec.name: p.spec.machine for c in (compared.before, compared.after) for p in c.pools}
    search = Search(
        compared.check(compared.before.policy), goal=goal, machine_of=machine_of, power_limit_w=limit_w,
        checked_by="envelope" if compared.quick else "simulation",
    )  # fmt: skip
    return search.migration(start)


def _side_by_side(compared: _Comparison, limit_w: float | None) -> Migration:
    """Two policies cannot run in one cluster: the second is built whole beside the first, then takes over."""
    old, new = _standing(compared.before), _standing(compared.after)
    checks = [compared.check(compared.before.policy)(old), compared.check(compared.after.policy)(new)]
    both = checks[0].totals + checks[1].totals
    if limit_w is not None and both.power_w > limit_w * (1 + 1e-9):
        words = f"both together would draw {both.power_w:g} W rated, the limit is {limit_w:g} W"
        policies = f"{compared.before.policy} and {compared.after.policy}"
        return Migration(moves=(), explanation=(f"The plans run under different policies ({policies}); {words}.",))
    if wrong := (*checks[0].fails, *checks[1].fails):
        return Migration(moves=(), explanation=("One of the two plans does not hold at this load.", *wrong))
    by = "envelope" if compared.quick else "simulation"
    moves, standing_now = [], checks[0].totals
    pools: list[tuple[str, Mapping[str, int], CandidatePlan, Check]] = [
        ("+", new, compared.after, checks[0]), ("-", old, compared.before, checks[1])
    ]  # fmt: skip
    for sign, standing, plan, serving in pools:
        rates = {pool.spec.name: pool.rate_req_per_s for pool in plan.pools}
        for name, count in sorted(standing.items()):
            option, serves = compared.loop_of(plan.policy).options[name], rates[name]
            part = totals([(option, count, serves)])
            standing_now = standing_now + part if sign == "+" else standing_now - part
            move = Move(
                sign=sign, pool=name, source=None, machines=count, totals=standing_now, safe=True, checked_by=by,
                evidence=serving.evidence, fails=(),
            )  # fmt: skip
            moves.append(move)
    moves[-1] = replace(moves[-1], totals=compared.after.totals)
    return Migration(moves=tuple(moves), explanation=())


def _standing(candidate: CandidatePlan) -> dict[str, int]:
    """Spec name -> machines of a plan."""
    return {pool.spec.name: pool.machines for pool in candidate.pools}


def _idle(standing: Standing, loop: PlanningLoop) -> Totals:
    """What machines need that serve nothing."""
    return totals((loop.options[name], count, NO_WORK) for name, count in standing.items())


def _widened(file: PlanFile, before: PlanFile, after: PlanFile) -> Scenario:
    """The question of a plan, with the machines and layouts of both on offer, and without limits on their number."""
    pools = [p for each in (before, after) for p in each.plan.candidate.pools]
    machines = dict.fromkeys([*file.scenario.catalog.machines, *(p.spec.machine for p in pools)])
    tp = sorted({*file.scenario.catalog.tp, *(p.spec.layout.tp for p in pools)})
    return file.scenario.changed(
        [f"catalog.machines={_listed(machines)}", f"catalog.tp={tp}", "catalog.roles={}"]
    )  # fmt: skip


def _listed(names: Mapping[str, None]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _silent(_words: str, _done_frac: float) -> None:
    """The loop's own progress is too fine here."""
