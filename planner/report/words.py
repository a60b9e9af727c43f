"""Numbers as people read them, each with its unit."""

import math
import re
from collections.abc import Callable

from planner.results.evidence import PeakShare, ValidatedPlan
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import IN_JOULES, Objective
from planner.scenario.policy_section import PolicySection, own_order
from workloads.counts import from_to, number, percent, plural, rounded_up, watts
from workloads.slo import Metric, Slo, Unit

_PROVEN_FRAC = 1e-6
"""Shares below it are those that rounding leaves."""


def seconds(value_s: float) -> str:
    """``61.0 ms``, ``1.20 s``, ``14.2 s``; ``never`` for a percentile among requests that did not finish."""
    if math.isinf(value_s):
        return "never"
    return f"{value_s * 1e3:.3g} ms" if abs(value_s) < 0.9995 else f"{number(value_s)} s"


def short_metric(metric: Metric) -> str:
    """What a metric is called beside numbers."""
    return "longest gap" if metric is Metric.STALL else metric.upper()


def objective_words(key: str) -> str:
    """An objective as readers of a page know it: ``chat TTFT P99`` for ``chat:ttft_p99_s``."""
    try:
        found = Slo.named(key, 1.0)
    except ValueError:
        return key
    after = " slowdown" if found.unit is Unit.SLOWDOWN else ""
    before = "" if found.request_class is None else f"{found.request_class} "
    return f"{before}{short_metric(found.metric)} P{found.percentile:g}{after}"


def amount(value: float, unit: Unit) -> str:
    """A bound or what was measured against it: seconds, or a slowdown such as ``1.25 ×``."""
    if unit is Unit.SECONDS or math.isinf(value):
        return seconds(value)
    return f"{value:.2f} {unit.symbol}" if value < 10 else f"{number(value)} {unit.symbol}"


def bias(ratio: float) -> str:
    """On which side of what was measured a prediction lies, for example ``+3 %``."""
    off = round(100 * (ratio - 1))
    return f"{off:+d} %" if off else "0 %"


def dollars(value_usd_per_h: float) -> str:
    """A price per hour."""
    return f"${value_usd_per_h:,.2f}/h"


def carbon(value_g_per_h: float) -> str:
    """CO2 per hour, in kg from 1000 g on."""
    return f"{number(value_g_per_h / 1e3)} kg CO2/h" if value_g_per_h >= 1e3 else f"{number(value_g_per_h)} g CO2/h"


def rate(value_req_per_s: float) -> str:
    """Requests per second."""
    return f"{number(value_req_per_s)} req/s"


def budget(key: str, value: float) -> str:
    """The value of a budget, named by its key or by the row of the program that holds it."""
    if key.startswith("cost"):
        return dollars(value)
    return watts(value) if key.removesuffix("_w").endswith("power") else number(value)


def raised(row: str, limit: float, needed: float) -> tuple[str, str]:
    """A budget and what is needed of it: what is read of the latter is enough, and more than is read of the former."""
    money, power = row.startswith("cost"), row.removesuffix("_w").endswith("power")
    enough = math.ceil(needed * 100 * (1 - 1e-12)) / 100 if money else rounded_up(needed, 4) if power else needed
    shown = budget(row, limit), budget(row, enough)
    if shown[0] != shown[1]:
        return shown
    before, after = ("$", "/h") if money else ("", " W" * power)
    low, high = from_to(limit, needed)
    return f"{before}{low}{after}", f"{before}{high}{after}"


def limit_words(row: str) -> str:
    """What a row of the program holds, as a reader sets it: stock and rows by their keys, budgets by their names."""
    if row == "rows":
        return "power.rows"
    return re.sub(r"^availability\[(.*)\]$", r"catalog.available.\1", row)


def valued(objective: Objective | str, value: float) -> str:
    """The value of an objective, in its unit."""
    shown: dict[Objective, Callable[[float], str]] = {
        Objective.COST: dollars, Objective.POWER: watts, Objective.MACHINES: number, Objective.THROUGHPUT: rate,
        Objective.ENERGY: watts, Objective.CARBON: carbon,
    }  # fmt: skip
    if (over_time := str(objective).removeprefix(OVER_TIME)) != objective:
        return _over_time(over_time, value)
    return shown.get(Objective(objective), number)(value)


OVER_TIME = "schedule's "
"""How the name of an aim begins that counts a whole schedule, for example ``schedule's energy``."""


def goal_words(scenario: Scenario | Fleet) -> str:
    """What is minimised or maximised: the objective, or the first aim of a schedule."""
    if scenario.schedule is None:
        return str(scenario.objective)
    return OVER_TIME + str((scenario.schedule.objectives or (scenario.objective,))[0])


def _over_time(aim: str, value: float) -> str:
    """What a schedule comes to in an aim: dollars, kWh, kg of CO2, or the mean of its epochs."""
    shown: dict[str, Callable[[float], str]] = {
        "cost": lambda usd: f"${usd:,.2f}" if abs(usd) < 1e3 else f"${usd:,.0f}",
        "energy": lambda kwh: f"{number(kwh)} kWh", "carbon": lambda kg: f"{number(kg)} kg CO2",
        "power": lambda mean_w: f"{watts(mean_w)} rated",
        "machines": lambda mean: f"{number(mean)} machine{'s' * (mean != 1)}",
    }  # fmt: skip
    return shown[aim](value)


def is_best(plan: ValidatedPlan) -> bool:
    """Whether a bound leaves no better plan."""
    gap_frac = plan.certificate.gap_frac
    return plan.certificate.bound is not None and gap_frac is not None and gap_frac < _PROVEN_FRAC


def gap_words(objective: Objective | str, value: float, gap_frac: float, *, metered: bool) -> str:
    """How far a value may be from the best; of watts also what it is of: ``10 % of 15.6 kW simulated``.

    Args:
        objective: what is counted.
        value: of the plan, or of several together.
        gap_frac: from the bound to it.
        metered: whether its watts were simulated; else they are as planned.
    """
    of = f" of {valued(objective, value)} {'simulated' if metered else 'planned'}"
    return f"{percent(gap_frac)}{of if Objective(objective) in IN_JOULES else ''}"


def plan_gap(plan: ValidatedPlan) -> str:
    """The gap of a plan in words; empty where nothing is proven."""
    gap_frac, metered = plan.certificate.gap_frac, plan.judgement.mean_w is not None
    return "" if gap_frac is None else gap_words(plan.objective, plan.objective_value, gap_frac, metered=metered)


def change(objective: Objective | str, value: float) -> str:
    """A change of an objective with its sign, for example ``+$10.20/h``; ``none`` for 0."""
    if value == 0:
        return "none"
    return ("+" if value > 0 else "-") + valued(objective, abs(value))


def planned_load(frac: float) -> str:
    """The planned load of a pool; beyond its capacity it is an estimate: whether it is carried is simulated."""
    return percent(frac) if frac <= 1 else f"est. {percent(frac)}"


def spares_down(spare_machines: int) -> str:
    """That a load margin is what a plan carries with its spare machines down; nothing where it has none."""
    return f"with {plural(spare_machines, 'spare machine')} down: " if spare_machines else ""


def peak_words(peak: PeakShare) -> str:
    """How hard a pool works its GPUs, in a sentence."""
    kinds = (("prompt", peak.prompt_tokens_per_s), ("output", peak.output_tokens_per_s))
    tokens = " and ".join(f"{number(value)} {kind}" for kind, value in kinds if value)
    shares = (
        f"at least {percent(peak.flops_frac)} of peak arithmetic, {percent(peak.hbm_frac)} of peak memory bandwidth"
    )
    return f"Each GPU of {peak.pool}: {tokens} tokens/s, {shares}."


def policy_words(name: str, section: PolicySection) -> str:
    """A policy, with the order of prompts where that is not the policy's own."""
    return f"policy {name}" + (f", order {section.order}" if section.order not in (None, own_order(name)) else "")
