"""What a plan draws: at the plugs, in the building, per token."""

from collections.abc import Iterator

from rich.table import Table

from planner.perf.layout import InstanceSpec
from planner.report.tables import table
from planner.report.words import carbon, dollars, number, percent, watts
from planner.results.evidence import Judgement, PowerUse
from planner.results.plan import CandidatePlan, Totals
from planner.scenario import Scenario


def layout_words(spec: InstanceSpec) -> str:
    """``tp8``, and the clock or the power limit its GPUs are set to, where they are."""
    clock = f" {spec.clock_mhz} MHz" if spec.clock_mhz else ""
    cap = f" {spec.cap_w} W" if spec.cap_w else ""
    return spec.layout.name + clock + cap


def rated_words(candidate: CandidatePlan) -> str:
    """What the rated power of a plan counts: nameplates, or enforced caps."""
    capped = [pool for pool in candidate.pools if pool.spec.cap_w is not None]
    if not capped:
        return "rated"
    return "rated under enforced caps" if len(capped) == len(candidate.pools) else "rated, in part under enforced caps"


def expected_words(totals: Totals, scenario: Scenario) -> Iterator[str]:
    """What the plan is expected to draw, and what that costs and emits."""
    drawn, energy = totals.expected_power_w, scenario.energy
    if not drawn:
        return
    hourly = energy.hourly_carbon_g_per_kwh
    moving = f", between {number(min(hourly))} and {number(max(hourly))} g/kWh by the hour" if hourly else ""
    yield (
        f"Expected power: {watts(drawn)} at the machines' plugs, {percent(drawn / totals.power_w)} of the rating; "
        f"{watts(drawn * energy.pue_ratio)} with a PUE of {energy.pue_ratio:g}: "
        f"{dollars(energy.bill_usd_per_h(drawn))} of electricity (not part of the cost) and "
        f"{carbon(totals.carbon_g_per_h)}{moving}."
    )


def power_table(judgement: Judgement) -> Table | None:
    """Watts at the plugs per pool, second by second; None where nothing is known of any."""
    if all(use.power is None for use in judgement.pools):
        return None
    made = table("watts at the plugs", "#mean", "#p50", "#p95", "#p99", "#peak 1 s")
    for use in judgement.pools:
        if p := use.power:
            made.add_row(use.pool, *_seconds(p))
    if (p := judgement.power) and len(judgement.pools) > 1:
        made.add_row("all at once", *_seconds(p))
    return made


def _seconds(use: PowerUse) -> Iterator[str]:
    return (watts(value) for value in (use.mean_w, use.p50_w, use.p95_w, use.p99_w, use.peak_w))


def joules(judgement: Judgement) -> dict[str, float]:
    """What a token of output takes at the plugs, J, by purpose; empty unless the watts of every pool are known."""
    powers, out = [use.power for use in judgement.pools], judgement.output_tokens_per_s
    known = [power for power in powers if power]
    if not known or len(known) < len(powers) or not out:
        return {}
    return {
        "prefill": sum(p.prefill_w for p in known) / out,
        "decode": sum(p.decode_w for p in known) / out,
        "standing by": sum(p.standby_w for p in known) / out,
    }


def joules_words(judgement: Judgement) -> Iterator[str]:
    """Joules of an output token, by what they were spent on."""
    if spent := joules(judgement):
        parts = ", ".join(f"{each_j:.3g} {name}" for name, each_j in spent.items())
        yield f"Energy: {sum(spent.values()):.3g} J per output token at the plugs: {parts}."
