"""What a plan draws: wall power, in the building, per token."""

from collections.abc import Iterator

from planner.perf.layout import InstanceSpec
from planner.report.page import Lines, Section, Table, Tile, columns, section
from planner.report.rows import OVER_RATING_FRAC
from planner.report.words import carbon, dollars
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan, Totals
from planner.results.use import PowerUse
from planner.scenario import Scenario
from workloads.counts import number, percent, watts

PEAKS = (
    "A simulated board never draws more than its rating; readings of one second do: 434 W of an A100 rated 400 W "
    f"(measured, one run). Leave {percent(OVER_RATING_FRAC)} above the peaks of boards at their rating for a breaker "
    "that trips within seconds."
)
"""What the highest readings leave out."""


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


def expected_words(totals: Totals, judgement: Judgement, scenario: Scenario) -> Iterator[str]:
    """What the plan draws on average, and what that costs and emits: as simulated, else as planned."""
    use, energy = judgement.power, scenario.energy
    drawn = use.mean_w if use else totals.expected_power_w
    if not drawn:
        return
    hourly = energy.hourly_carbon_g_per_kwh
    moving = f", between {number(min(hourly))} and {number(max(hourly))} g/kWh by the hour" if hourly else ""
    planned = f" in simulation ({watts(totals.expected_power_w)} planned)" if use else ""
    yield (
        f"Mean power: {watts(drawn)} at the wall{planned}, {percent(drawn / totals.power_w)} of the rating; "
        f"{watts(drawn * energy.pue_ratio)} with a PUE of {energy.pue_ratio:g}: "
        f"{dollars(energy.bill_usd_per_h(drawn))} of electricity (not part of the cost) and "
        f"{carbon(drawn * energy.carbon_g_per_j * 3600)}{moving}."
    )


def energy_tile(judgement: Judgement, totals: Totals) -> Iterator[Tile]:
    """Joules of an output token: metered where the watts of every pool are known, else no more than the rating says."""
    spent, out = joules(judgement), judgement.output_tokens_per_s
    if out <= 0:
        return
    total_j = sum(spent.values()) if spent else totals.power_w / out
    value, where = (f"{number(total_j, 3)} J", "wall power") if spent else (f"≤ {number(total_j)} J", "at rated power")
    yield Tile(label="Energy per output token", value=value, note=f"{where}; {number(total_j / 3.6)} kWh a million")


def powered(judgement: Judgement, candidate: CandidatePlan, scenario: Scenario) -> Iterator[Section]:
    """Watts per pool, what a token takes, and what the electricity costs; nothing where no watts are known."""
    table = power_table(judgement)
    if table is None:
        return
    words = Lines(lines=(*joules_words(judgement), *expected_words(candidate.totals, judgement, scenario), PEAKS))
    yield from section("power", "Power and energy", table, words)


def power_table(judgement: Judgement) -> Table | None:
    """Wall watts per pool, second by second, and what the mean is made of; None where nothing is known of any."""
    rows = [
        (use.pool, *_seconds(p), *(watts(value) for value in (p.standby_w, p.prefill_w, p.decode_w)))
        for use in judgement.pools
        if (p := use.power)
    ]
    if not rows:
        return None
    if (p := judgement.power) and len(judgement.pools) > 1:
        rows.append(("all at once", *_seconds(p), "", "", ""))
    headings = ("wall power", "#mean", "#p50", "#p95", "#p99", "#peak 1 s", "#idle", "#of prefill", "#of decode")
    return Table(columns=columns(*headings), rows=rows, caption="watts drawn, second by second; idle, prefill and "
                 "decode are parts of the mean")  # fmt: skip


def _seconds(use: PowerUse) -> Iterator[str]:
    return (watts(value) for value in (use.mean_w, use.p50_w, use.p95_w, use.p99_w, use.peak_w))


def joules(judgement: Judgement) -> dict[str, float]:
    """What a token of output takes at the wall, J, by purpose; empty unless the watts of every pool are known."""
    powers, out = [use.power for use in judgement.pools], judgement.output_tokens_per_s
    known = [power for power in powers if power]
    if not known or len(known) < len(powers) or not out:
        return {}
    return {
        "prefill": sum(p.prefill_w for p in known) / out,
        "decode": sum(p.decode_w for p in known) / out,
        "idle": sum(p.standby_w for p in known) / out,
    }


def joules_words(judgement: Judgement) -> Iterator[str]:
    """Joules of an output token, by what they were spent on."""
    if spent := joules(judgement):
        parts = ", ".join(f"{number(each_j, 3)} {name}" for name, each_j in spent.items())
        yield f"Energy: {number(sum(spent.values()), 3)} J per output token (wall power): {parts}."
