"""What in the file of a plan cannot be true: figures that follow from others, worked out again."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from planner.errors import nearest
from planner.files.observed import CLOSE_FRAC, judgement_faults
from planner.policies.presets import KNOWN
from planner.results.availability import Availability, Nine
from planner.results.drawn import as_drawn
from planner.results.evidence import Evidence, ValidatedPlan, Verdict
from planner.results.plan import CandidatePlan, Totals
from planner.results.row import RowStudy
from planner.scenario import Scenario
from planner.scenario.availability_section import AvailabilitySection
from planner.scenario.objectives import Objective
from planner.scenario.power import CONTROLS, PowerSection
from workloads.counts import plural
from workloads.slo import Slo

_DIGITS = 9
_SIGNED = ("gap_frac", "bound", "objective_value")
_AT_LEAST_ONE = re.compile(r"pools\.\d+\.(?:instances|machines)$|cells$|\.layout\.[a-z]+$")
_MOST = 1e17
"""Tokens, joules and bytes of a plan over time stay below."""

_BUSIEST_FRAC = 20.0
"""A load above this is no estimate: the estimate keeps percentiles by formula, and the simulator may confirm several
times as much."""


def plan_faults(scenario: Scenario, plan: ValidatedPlan) -> Iterator[str]:
    """What a hand that edits one number of a plan forgets to edit elsewhere, a sentence each.

    Args:
        scenario: the question in the file.
        plan: the answer beside it.
    """
    yield from _totals(plan.candidate)
    if scenario.policy.cells not in (None, plan.candidate.cells):
        yield f"plan.candidate.cells: found {plan.candidate.cells}; expected {scenario.policy.cells}, as was asked"
    yield from _worth(scenario, plan)
    yield from evidence_faults(scenario.slos(), plan.judgement.evidence, "plan.judgement.evidence")
    names = (pool.spec.name for pool in plan.candidate.pools)
    yield from judgement_faults(plan.judgement, names, "plan.judgement")
    yield from _too_rarely_up(scenario.availability, plan)
    if not plan.judgement.valid:
        yield "plan.judgement: found an objective that is not met, or unfinished requests; a validated plan has none"


def impossible(data: object, path: str = "") -> Iterator[str]:
    """What no claims of a plan have: numbers below zero or beyond all scale, pools of nothing, unknown policies.

    Args:
        data: the file as it was written.
        path: of this part in it.
    """
    if isinstance(data, Mapping):
        for key, value in data.items():
            where = f"{path}.{key}" if path else key
            if where in ("digests", "scenario", "plan.certificate", "plan.margin") or key.endswith("loss_frac"):
                continue  # a loss may be below zero: a gain
            known = CONTROLS if "row_limit_w" in data else KNOWN  # of a row of machines, or of requests
            several = data.get("variant", "") is None and "pools" not in data  # models over time: in words, of each
            if key == "policy" and not several and isinstance(value, str) and value not in known:
                yield f"{where}: found {value[:30]!r}; {nearest(value, known)}"
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and value < 0 and key not in _SIGNED:
                yield f"{where}: found {str(value)[:30]}; expected a number >= 0"
            elif number and value < 1 and _AT_LEAST_ONE.search(where):
                yield f"{where}: found {value:g}; expected at least 1"
            elif number and value > _MOST:
                yield f"{where}: found {str(value)[:30]}; expected a number up to {_MOST:g}"
            elif number and key in ("load_frac", "kv_load_frac") and value > _BUSIEST_FRAC:
                yield f"{where}: found {value:g}; expected a share of at most {_BUSIEST_FRAC:g}"
            else:
                yield from impossible(value, where)
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from impossible(value, f"{path}.{place}")


def study_faults(scenario: Scenario, plan: ValidatedPlan) -> Iterator[str]:
    """What bound, availability and rows say of a plan that is not this one; an edited plan has those of the old one.

    Args:
        scenario: the question in the file.
        plan: the answer beside it.
    """
    yield from bound_faults(
        plan.objective, plan.objective_value, plan.certificate.bound, plan.certificate.gap_frac, "plan.certificate"
    )
    if plan.availability and scenario.availability.asked:
        yield from _own_nine(plan.availability, scenario.availability.target_frac, plan.candidate)
    yield from row_faults(scenario.power, plan.power, plan.candidate.totals.machines, "plan.power")


def _totals(candidate: CandidatePlan) -> Iterator[str]:
    """Sums over the pools that are none."""
    totals, machines = candidate.totals, sum(pool.machines for pool in candidate.pools)
    if machines != totals.machines:
        yield f"plan.candidate.totals.machines: found {totals.machines}; expected {machines}, the sum over the pools"
    used = sum(pool.instances * pool.spec.layout.gpus for pool in candidate.pools)
    if used > totals.gpus:
        yield f"plan.candidate.totals.gpus: found {totals.gpus}; expected at least {used}, what the instances use"
    for pool in candidate.pools:
        for what in ("machine", "instance"):
            if (count := getattr(pool, f"{what}s")) % candidate.cells:
                words = f"found {candidate.cells}, {plural(count, what)} of {pool.spec.name}"
                yield f"plan.candidate.cells: {words}; expected equal cells"
        if pool.spares >= pool.machines:
            words = f"found {plural(pool.spares, 'spare')} of {plural(pool.machines, 'machine')}"
            yield f"plan.candidate.pools: {words}; expected fewer"


def _worth(scenario: Scenario, plan: ValidatedPlan) -> Iterator[str]:
    """Another objective, a value that is not that of the totals, a bound beyond it, or more than a budget."""
    totals = plan.candidate.totals
    if plan.objective != scenario.objective:
        yield f"plan.objective: found {plan.objective}; expected the scenario's {scenario.objective}"
    value = {
        Objective.COST: totals.cost_usd_per_h, Objective.POWER: totals.power_w,
        Objective.MACHINES: float(totals.machines), Objective.ENERGY: totals.expected_power_w,
        Objective.CARBON: totals.carbon_g_per_h,
    }.get(scenario.objective, plan.objective_value)  # fmt: skip
    mean_w = plan.judgement.mean_w
    told = as_drawn(scenario.objective, value, totals, mean_w)
    if not math.isclose(told, plan.objective_value, rel_tol=CLOSE_FRAC):
        whose = "as in the totals" if told == value else "as simulated"
        yield f"plan.objective_value: found {plan.objective_value:g}; expected {told:g}, {whose}"
    judged = totals if mean_w is None else replace(totals, expected_power_w=mean_w)  # simulated watts are what counts
    yield from over_budgets(asdict(scenario.budget()), judged, "plan.candidate.totals.", "")


def bound_faults(
    objective: str, value: float, bound: float | None, gap_frac: float | None, where: str
) -> Iterator[str]:
    """A bound that the plan itself refutes, and a gap that is not the one between them.

    Args:
        objective: what the plan is the best in.
        value: of the plan.
        bound: said to be proven.
        gap_frac: said to be left.
        where: these are in the file.
    """
    if bound is None:
        return
    most = objective == Objective.THROUGHPUT
    if (bound < value if most else bound > value) and not math.isclose(bound, value, rel_tol=CLOSE_FRAC):
        yield f"{where}.bound: found {bound:g}; expected at {'least' if most else 'most'} {value:g}, what the plan has"
    gap = abs(value - bound) / max(1e-9, abs(value))
    if gap_frac is not None and not math.isclose(gap, gap_frac, rel_tol=1e-3, abs_tol=CLOSE_FRAC):
        yield f"{where}.gap_frac: found {gap_frac:g}; expected {gap:g}, from the bound to the plan"


def over_budgets(budgets: dict[str, float | None], totals: Totals, where: str, whose: str) -> Iterator[str]:
    """Totals beyond their budgets, by the names that both have."""
    for key, limit in budgets.items():
        needed = getattr(totals, key, 0)
        if limit is not None and needed > limit * (1 + CLOSE_FRAC):
            yield f"{where}{key}: found {needed:g}{whose}; expected at most the budget of {limit:g}"


def evidence_faults(slos: Sequence[Slo], evidence: Sequence[Evidence], where: str) -> Iterator[str]:
    """Evidence of other objectives than were asked for, and verdicts that their own figures refute.

    Args:
        slos: of the question.
        evidence: of the plan.
        where: this is in the file.
    """
    asked = {slo.name: f"{slo.limit:.{_DIGITS}g} {slo.unit}" for slo in slos}
    shown = {each.key: f"{each.limit:.{_DIGITS}g} {each.unit}" for each in evidence}
    if asked != shown:
        yield f"{where}: found {shown}; expected one entry per objective of the scenario, {asked}"
    for each in evidence:
        if each.verdict is Verdict.MET and not each.high <= each.limit:
            yield f"{where}: {each.key}: met, though {each.high:g} > {each.limit:g}"


def _too_rarely_up(asked: AvailabilitySection, plan: ValidatedPlan) -> Iterator[str]:
    """A share of time below that which was asked for, or none."""
    target, found = asked.target_frac, plan.availability
    if not asked.asked and (spare := sum(pool.spares for pool in plan.candidate.pools)):
        yield f"plan.candidate.pools: found {plural(spare, 'spare')}; expected none: availability was not asked"
    if target is not None and (found is None or found.up_frac < target * (1 - 1e-9)):
        yield f"plan.availability.up_frac: found {found.up_frac if found else 'none'}; expected at least {target:g}"


def _own_nine(found: Availability, target_frac: float | None, candidate: CandidatePlan) -> Iterator[str]:
    """The plan among the shares of time that are priced: it is one of them where it was asked for."""
    if not math.isclose(found.target_frac, target_frac or 0.0, rel_tol=1e-9):
        yield f"plan.availability.target_frac: found {found.target_frac:g}; expected {target_frac or 0:g}, as was asked"
    spares = sum(pool.spares for pool in candidate.pools)
    if found.spare_machines != spares:
        yield f"plan.availability.spare_machines: found {found.spare_machines}; expected {spares}, the sum of the pools"
    chosen = [nine for nine in found.nines if nine.chosen]
    if bool(found.target_frac) != (len(chosen) == 1):
        yield f"plan.availability.nines: found {len(chosen)} chosen; expected {int(bool(found.target_frac))}"
        return
    for nine in chosen:
        if (nine.target_frac, nine.up_frac) != (found.target_frac, found.up_frac):
            words = f"found {found.up_frac:.9g} of {found.target_frac:g}; expected {nine.up_frac:.9g} of "
            yield f"plan.availability.up_frac: {words}{nine.target_frac:g}, as among nines"
        yield from nine_faults(nine, candidate.totals, "plan.availability.nines")


def nine_faults(nine: Nine, totals: Totals, where: str) -> Iterator[str]:
    """The price of the plan among those of other shares of time."""
    for key in ("machines", "cost_usd_per_h", "power_w"):
        said, expected = getattr(nine, key), getattr(totals, key)
        if not math.isclose(said, expected, rel_tol=CLOSE_FRAC):
            yield f"{where}: found {key} {said:g} of the plan; expected {expected:g}, as in the totals"


def row_faults(asked: PowerSection, row: RowStudy | None, machines: int, where: str) -> Iterator[str]:
    """Rows that are not those of the question, do not hold the machines, or have them in no place.

    Args:
        asked: the rows of the question.
        row: their study; None where there is none.
        machines: that stand in them.
        where: it is in the file.
    """
    if row is None or asked.row_limit_w is None:
        if (row is None) != (asked.row_limit_w is None):
            yield f"{where}: found {'none' if row is None else 'one'}; expected one where power.row_limit_w is given"
        return
    placed = sum(sum(each.values()) for each in row.placed)
    held = next((trial for trial in row.trials if trial.machines == row.machines), None)
    for key, found, expected in (
        ("row_limit_w", row.row_limit_w, asked.row_limit_w), ("rows", row.rows, asked.rows),
        ("plan_machines", row.plan_machines, machines), ("placed", placed, machines),
        ("needed_rows", row.needed_rows, -(-machines // row.machines) if row.machines else 0),
    ):  # fmt: skip
        if found != expected:
            yield f"{where}.{key}: found {found:g}; expected {expected:g}"
    if not row.fits:
        needed = plural(row.needed_rows, "row")
        yield f"{where}: found {needed} needed of {row.rows}; a validated plan stands in its rows"
    yield from _series_faults(row, f"{where}.series")
    if held is None or held.fails:
        yield f"{where}.machines: found {row.machines}; expected a number that was tried and held"


def _series_faults(row: RowStudy, where: str) -> Iterator[str]:
    """A draw over time that is not that of the number of machines it is said to be of."""
    if row.series is None:
        return
    of = next((trial for trial in row.trials if trial.machines == row.series.machines), None)
    peak = max(row.series.peak_frac, default=0.0)
    if of is None:
        yield f"{where}.machines: found {row.series.machines}; expected a number that was tried"
    elif not math.isclose(peak, of.peak_frac, abs_tol=1e-4):
        yield f"{where}.peak_frac: found a peak of {peak:g}; expected {of.peak_frac:g}, as in its trial"
