"""What a plan draws, spends and emits."""

from collections.abc import Iterable, Sequence

from planner.results.bill import Bill
from planner.results.evidence import Judgement, ValidatedPlan
from planner.results.plan import Totals
from planner.scenario.energy import JOULES_PER_KWH, EnergySection

MILLION = 1e6


def bill_of(plan: ValidatedPlan, energy: EnergySection) -> Bill:
    """The bill of a validated plan, at the prices and intensities of its own question."""
    made = bill(plan.candidate.totals, plan.judgement, energy)
    row = plan.power
    if row is None:
        return made
    fields = {name: getattr(made, name) for name in Bill.__dataclass_fields__}
    return Bill(**{**fields, "row_machines": row.machines, "row_ratio": row.ratio})


def bill_of_all(plans: Sequence[ValidatedPlan], energy: EnergySection) -> Bill:
    """The bill of plans of several models; their highest seconds need not be one, so those are not known."""
    bills = [bill_of(plan, energy) for plan in plans]

    def added(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(bills) else None

    mean_w = added(each.mean_w for each in bills)
    tokens_per_s = sum(plan.judgement.output_tokens_per_s for plan in plans)
    token_j = mean_w / tokens_per_s if mean_w is not None and tokens_per_s else None
    token_kwh = None if token_j is None else energy.pue_ratio * token_j * MILLION / JOULES_PER_KWH
    return Bill(
        rated_w=sum(each.rated_w for each in bills), expected_w=added(each.expected_w for each in bills),
        mean_w=mean_w, p99_w=None, peak_w=None, token_j=token_j,
        electricity_usd_per_h=added(each.electricity_usd_per_h for each in bills),
        carbon_g_per_h=added(each.carbon_g_per_h for each in bills),
        million_tokens_usd=None if token_kwh is None else token_kwh * energy.usd_per_kwh,
        million_tokens_g=None if token_kwh is None else token_kwh * energy.carbon_g_per_kwh_mean,
    )  # fmt: skip


def bill(totals: Totals, judgement: Judgement, energy: EnergySection) -> Bill:
    """The bill of machines that were simulated.

    Cost and carbon are those of the simulated mean where there is one, of the planned rates otherwise; both count the
    building's share.

    Args:
        totals: of the candidate.
        judgement: of it.
        energy: prices and intensities.
    """
    use, expected_w = judgement.power, totals.expected_power_w or None
    drawn_w = use.mean_w if use else expected_w
    token_j = use.mean_w / judgement.output_tokens_per_s if use and judgement.output_tokens_per_s else None
    token_kwh = None if token_j is None else energy.pue_ratio * token_j * MILLION / JOULES_PER_KWH
    return Bill(
        rated_w=totals.power_w, expected_w=expected_w, mean_w=use.mean_w if use else None,
        p99_w=use.p99_w if use else None, peak_w=use.peak_w if use else None, token_j=token_j,
        electricity_usd_per_h=None if drawn_w is None else energy.bill_usd_per_h(drawn_w),
        carbon_g_per_h=None if drawn_w is None else drawn_w * energy.carbon_g_per_j * 3600,
        million_tokens_usd=None if token_kwh is None else token_kwh * energy.usd_per_kwh,
        million_tokens_g=None if token_kwh is None else token_kwh * energy.carbon_g_per_kwh_mean,
    )  # fmt: skip
