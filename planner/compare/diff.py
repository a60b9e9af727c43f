"""Two plan files compared, and the way from one to the other."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from planner.capacity.totals import NO_WORK, totals
from planner.compare.bill import bill_of
from planner.compare.diff_changes import changes, margins, notes
from planner.compare.diff_order import Check, Search, Standing, Way
from planner.errors import BadInput
from planner.files.plan_file import PlanFile
from planner.perf.layout import Role
from planner.planning.failings import failures
from planner.planning.loop import Argument
from planner.planning.tighten import cluster
from planner.resolve.case import open_case
from planner.results.difference import Diff, Move
from planner.results.plan import CandidatePlan, Totals
from planner.scenario import Scenario

Progress = Callable[[str, float], None]


def diff(before: PlanFile, after: PlanFile, *, quick: bool, power_limit_w: float | None, progress: Progress) -> Diff:
    """What it takes to get from one plan to the other.

    The way is checked at the lighter of the two loads: one moves before the load grows, or after it has fallen.

    Args:
        before: what stands.
        after: what shall stand.
        quick: look at planned loads only, do not simulate the clusters on the way.
        power_limit_w: what may be drawn on the way; None: the budget of the second question, else of the first.
        progress: told which cluster is being looked at.

    Raises:
        BadInput: a plan has an instance that neither question's catalog offers.
    """
    limit_w = power_limit_w
    for scenario in (after.scenario, before.scenario):
        limit_w = scenario.budgets.power_w if limit_w is None else limit_w
    yard = _Yard(before, after, quick=quick, progress=progress)
    same = before.plan.candidate.policy == after.plan.candidate.policy
    way = _in_place(yard, limit_w) if same else _side_by_side(yard, limit_w)
    return Diff(
        before=before.plan.candidate.totals, after=after.plan.candidate.totals,
        changes=changes(before.plan, after.plan), margins=margins(before.plan, after.plan), moves=way.moves,
        safe=not way.explanation, load=yard.load, power_limit_w=limit_w, explanation=way.explanation,
        bill_before=bill_of(before.plan, before.scenario.energy), bill_after=bill_of(after.plan, after.scenario.energy),
        notes=notes(before.scenario, after.scenario),
    )  # fmt: skip


class _Yard:
    """Both plans on the load of the way."""

    def __init__(self, before: PlanFile, after: PlanFile, *, quick: bool, progress: Progress) -> None:
        """Open the question with the lighter load, with everything that either plan is made of on offer."""
        self.before, self.after = before.plan.candidate, after.plan.candidate
        self._progress, self.quick, self._looks = progress, quick, 0
        files = (before, after)
        cases = [open_case(_widened(file, before, after), file.plan.candidate.policy) for file in files]
        rates = [
            case.asked.rate_req_per_s * file.plan.candidate.rate_scale for case, file in zip(cases, files, strict=True)
        ]
        lighter = 0 if rates[0] <= rates[1] else 1
        self._rate_scale = files[lighter].plan.candidate.rate_scale
        self._scenario, asked = cases[lighter].scenario, cases[lighter].asked
        self._arguments = {cases[lighter].policy.name: Argument(cases[lighter], _silent)}
        self.load = f"{rates[lighter]:.4g} req/s: {asked.words}"
        self.rates = {c.request_class.name: c.rate_req_per_s * self._rate_scale for c in asked.demand.classes}
        self._limits = {role: max(c.headroom.of(role) for c in (self.before, self.after)) for role in Role}

    def argument_of(self, policy: str) -> Argument:
        """The load of the way under a policy."""
        if policy not in self._arguments:
            self._arguments[policy] = Argument(open_case(self._scenario, policy), _silent)
        argument = self._arguments[policy]
        plans = [c for c in (self.before, self.after) if c.policy == policy]
        absent = sorted({p.spec.name for c in plans for p in c.pools} - set(argument.options))
        reasons = {e.option: e.reason for e in argument.case.excuses}
        if absent:
            raise BadInput(
                *(f"{name}: {reasons.get(name, 'no catalog of the two plans offers it')}" for name in absent)
            )
        return argument

    def check(self, policy: str) -> Callable[[Standing], Check]:
        """What is known of a cluster that runs under a policy."""
        argument = self.argument_of(policy)

        def look(standing: Standing) -> Check:
            self._looks += 1
            self._progress(f"cluster {self._looks}: " + ", ".join(f"{n} {name}" for name, n in standing.items()), 0.5)
            stands = cluster(policy, standing, self.rates, argument.options)
            if isinstance(stands, str):
                return Check(fails=(stands,), evidence=(), totals=_idle(standing, argument))
            fails = self._too_busy(stands) if self.quick else argument.overloads(stands)
            if self.quick or fails:
                return Check(fails=fails, evidence=(), totals=stands.totals)
            judged = argument.judged(replace(stands, rate_scale=self._rate_scale))
            return Check(fails=failures(judged), evidence=judged.evidence, totals=stands.totals)

        return look

    def _too_busy(self, stands: CandidatePlan) -> tuple[str, ...]:
        """Pools that would be planned fuller than in either plan."""
        return tuple(
            f"{p.spec.name} would be planned at {max(p.load_frac, p.kv_load_frac):.0%}, the plans allow "
            f"{self._limits[p.spec.role]:.0%}"
            for p in stands.pools
            if p.load_frac > self._limits[p.spec.role] + 1e-9 or p.kv_load_frac > 1
        )


def _in_place(yard: _Yard, limit_w: float | None) -> Way:
    """Pool by pool, under the policy that both plans share."""
    start, goal = _standing(yard.before), _standing(yard.after)
    machine_of = {p.spec.name: p.spec.machine for c in (yard.before, yard.after) for p in c.pools}
    search = Search(
        yard.check(yard.before.policy), goal=goal, machine_of=machine_of, power_limit_w=limit_w,
        checked_by="envelope" if yard.quick else "simulation",
    )  # fmt: skip
    return search.way(start)


def _side_by_side(yard: _Yard, limit_w: float | None) -> Way:
    """Two policies cannot run in one cluster: the second is built whole beside the first, then takes over."""
    old, new = _standing(yard.before), _standing(yard.after)
    checks = [yard.check(yard.before.policy)(old), yard.check(yard.after.policy)(new)]
    both = checks[0].totals + checks[1].totals
    if limit_w is not None and both.power_w > limit_w * (1 + 1e-9):
        words = f"both together would draw {both.power_w:g} W rated, the limit is {limit_w:g} W"
        policies = f"{yard.before.policy} and {yard.after.policy}"
        return Way(moves=(), explanation=(f"The plans run under different policies ({policies}); {words}.",))
    if wrong := (*checks[0].fails, *checks[1].fails):
        return Way(moves=(), explanation=("One of the two plans does not hold at this load.", *wrong))
    by = "envelope" if yard.quick else "simulation"
    moves, standing_now = [], checks[0].totals
    pools: list[tuple[str, Mapping[str, int], CandidatePlan, Check]] = [
        ("+", new, yard.after, checks[0]), ("-", old, yard.before, checks[1])
    ]  # fmt: skip
    for sign, standing, plan, serving in pools:
        rates = {pool.spec.name: pool.rate_req_per_s for pool in plan.pools}
        for name, count in sorted(standing.items()):
            option, serves = yard.argument_of(plan.policy).options[name], rates[name]
            part = totals([(option, count, serves)])
            standing_now = standing_now + part if sign == "+" else standing_now - part
            move = Move(
                sign=sign, pool=name, source=None, machines=count, totals=standing_now, safe=True, checked_by=by,
                evidence=serving.evidence, fails=(),
            )  # fmt: skip
            moves.append(move)
    moves[-1] = replace(moves[-1], totals=yard.after.totals)
    return Way(moves=tuple(moves), explanation=())


def _standing(candidate: CandidatePlan) -> dict[str, int]:
    """Spec name -> machines of a plan."""
    return {pool.spec.name: pool.machines for pool in candidate.pools}


def _idle(standing: Standing, argument: Argument) -> Totals:
    """What machines need that serve nothing."""
    return totals((argument.options[name], count, NO_WORK) for name, count in standing.items())


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
    """The argument's own progress is too fine here."""
