"""Numbers that look like a slip of the unit: 500 for 0.5 s, watts for kilowatts, prices of a month for an hour's."""

from collections.abc import Iterable, Iterator, Sequence

from hw_catalog.machines import Machine
from planner.resolve.prices import price_of
from planner.scenario import Scenario
from planner.scenario.sections import POWER
from workloads.demand import Demand
from workloads.slo import Metric, Unit

USUAL_S = {
    Metric.TTFT: (0.01, 120.0), Metric.TBT: (0.001, 5.0), Metric.TPOT: (0.001, 5.0), Metric.STALL: (0.001, 60.0),
    Metric.E2E: (0.05, 86400.0),
}  # fmt: skip
"""Objectives on latency that people ask for; assumed, a hint and no limit."""

USUAL_USD_PER_GPU_H = (0.05, 40.0)
"""What a GPU-hour costs, from old cards on a spot market to the newest on demand; assumed."""

MOST_TOKENS_PER_S = 5e6
"""Prompt and output tokens: more than any published cluster serves of one model; assumed."""

SLOW_PREFILL_S = 0.001
"""A prompt token on the slowest machine that people use: a first token of a very long prompt may take its time."""

MOST_USD_PER_KWH, MOST_PUE, LEAST_CARBON_G_PER_KWH = 2.0, 3.0, 2.0
"""Beyond any tariff, building and grid: 0.03 to 0.5 $/kWh, 1.05 to 2 and 20 to 900 g/kWh are usual; assumed."""

_MONTH_H, _KILO, _MINUTE_S = 730.0, 1000.0, 60.0


def slips(scenario: Scenario, machines: Iterable[Machine], demand: Demand) -> tuple[str, ...]:
    """Every number that is out of the usual range and would be in it in another unit, a full sentence each.

    Args:
        scenario: the question.
        machines: types it may buy.
        demand: the workload.
    """
    types = tuple(machines)
    return (
        *_latency(scenario, demand),
        *_rate(scenario, demand),
        *_prices(scenario, types),
        *_budget(scenario, types),
        *_energy(scenario),
        *watt_slips(scenario, types),
    )


def _latency(scenario: Scenario, demand: Demand) -> Iterator[str]:
    """Limits in seconds that were meant in milliseconds, or that were divided by 1000 once too often."""
    longest = {each.request_class.name: int(each.prompt_tokens.max()) for each in demand.classes}
    for slo in scenario.slos():
        if slo.unit is not Unit.SECONDS:
            continue
        low, high = USUAL_S[slo.metric]
        prompt = longest.get(slo.request_class, 0) if slo.request_class else max(longest.values())
        high = max(high, prompt * SLOW_PREFILL_S)
        key = slo.name.rpartition(":")[2]
        name = f"slo_by_class.{slo.request_class}.{key}" if slo.request_class else f"slo.{key}"
        if slo.limit > high:
            meant = f"were {slo.limit:g} ms meant, which are {slo.limit / _KILO:g}?"
            yield f"{name}: {slo.limit:g} s is a limit that no request comes near; the key is in seconds: {meant}"
        elif slo.limit < low:
            meant = f"were {slo.limit * _KILO:g} s meant?" if slo.limit * _KILO <= high else "is the unit right?"
            yield f"{name}: {slo.limit:g} s is below what any engine takes; the key is in seconds: {meant}"


def _rate(scenario: Scenario, demand: Demand) -> Iterator[str]:
    """Requests per minute for requests per second."""
    tokens = sum(c.rate_req_per_s * float(c.prompt_tokens.mean() + c.output_tokens.mean()) for c in demand.classes)
    if tokens > MOST_TOKENS_PER_S:
        rate = demand.rate_req_per_s
        key = "workload.rate_req_per_s" if scenario.workload.rate_req_per_s else "workload.trace"
        yield (
            f"{key}: {rate:.4g} req/s are {tokens:.3g} tokens/s, more than any known cluster serves; the rate is per "
            f"second: were {rate:.4g} a minute meant, which are {rate / _MINUTE_S:.4g}?"
        )


def _prices(scenario: Scenario, machines: Iterable[Machine]) -> Iterator[str]:
    """Prices of a month for those of an hour, and of a GPU for those of a machine."""
    low, high = USUAL_USD_PER_GPU_H
    for machine in machines:
        price = price_of(scenario, machine)
        if price is None or scenario.catalog.price_usd_per_h.get(machine.name) == POWER:
            continue
        usd = price.usd_per_h
        each = usd / machine.gpus
        words = f"{machine.name}: {usd:g} $/h are {each:.3g} $ per GPU, outside {low:g} to {high:g}; usd_per_h is"
        if each > high:
            yield f"{words} per machine and hour: was the price of a month meant, which is {usd / _MONTH_H:.3g} $/h?"
        elif each < low:
            yield f"{words} per machine and hour: is it in dollars, and of the whole machine?"


def _budget(scenario: Scenario, machines: Sequence[Machine]) -> Iterator[str]:
    """A month's budget for an hour's: more than all machines that can be had cost in an hour, and less in a month."""
    budget, most_machines = scenario.budgets.cost_usd_per_h, scenario.budgets.machines
    prices = {machine.name: price_of(scenario, machine) for machine in machines}
    usd = {name: price.usd_per_h for name, price in prices.items() if price is not None}
    if budget is None or len(usd) < len(machines):
        return
    limits = {m.name: scenario.catalog.available.get(m.name, m.available) for m in machines}
    known = [limit for limit in limits.values() if limit is not None]
    fleets = [most_machines * max(usd.values())] if most_machines else []
    fleets += [sum(usd[name] * (limit or 0) for name, limit in limits.items())] if len(known) == len(machines) else []
    fleet = min(fleets, default=0.0)
    if budget > fleet > 0 and budget / _MONTH_H <= fleet:
        yield (
            f"budgets.cost_usd_per_h: {budget:g} $/h is more than all machines that can be had cost ({fleet:.4g} $/h); "
            f"the key is per hour: was the budget of a month meant, which is {budget / _MONTH_H:.4g} $/h?"
        )


def _energy(scenario: Scenario) -> Iterator[str]:
    """Cents or a megawatt-hour's price for dollars per kWh, per cent for a ratio, kilograms for grams."""
    energy = scenario.energy
    if (price := energy.usd_per_kwh) > MOST_USD_PER_KWH:
        other = ("cents", 100.0) if price <= 100 * MOST_USD_PER_KWH else ("$ per MWh", _KILO)
        meant = f"were {price:g} {other[0]} meant, which are {price / other[1]:g}?"
        yield f"energy.usd_per_kwh: {price:g} $/kWh is more than any tariff; the key is in dollars: {meant}"
    if (pue := energy.pue_ratio) > MOST_PUE:
        meant = (
            f"were {pue:g} % meant, which are {pue / 100:g}?" if pue >= 100 else "is it over the machines' own watts?"
        )
        yield f"energy.pue_ratio: {pue:g} is more than any building takes; the key is a ratio: {meant}"
    carbon = max(energy.carbon_g_per_kwh, *energy.hourly_carbon_g_per_kwh, 0.0)
    if 0 < carbon < LEAST_CARBON_G_PER_KWH:
        meant = f"were {carbon:g} kg meant, which are {carbon * _KILO:g}?"
        yield f"energy.carbon_g_per_kwh: {carbon:g} g/kWh is cleaner than any grid; the key is in grams: {meant}"


def watt_slips(scenario: Scenario, machines: Iterable[Machine]) -> Iterator[str]:
    """Kilowatts under keys in watts."""
    types = tuple(machines)
    if not types:
        return
    smallest = min(types, key=lambda machine: machine.rated_w)
    limits = {
        "budgets.power_w": scenario.budgets.power_w,
        "budgets.expected_power_w": scenario.budgets.expected_power_w,
    }  # the limit of a row is judged with its machines
    for key, limit in limits.items():
        if limit is not None and 0 < limit < smallest.idle_w:
            yield (
                f"{key}: {limit:g} W do not even power an idle {smallest.name} ({smallest.idle_w:g} W); the key is in "
                f"watts: were {limit:g} kW meant, which are {limit * _KILO:g}?"
            )
    for machine in types:
        if machine.rated_w / machine.gpus < machine.gpu.idle_w:
            yield (
                f"{machine.name}: rated_w of {machine.rated_w:g} W is less than its {machine.gpus} GPUs draw idle; the "
                f"key is in watts: were {machine.rated_w:g} kW meant, which are {machine.rated_w * _KILO:g}?"
            )
