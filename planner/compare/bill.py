"""What a plan draws, spends and emits."""

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
