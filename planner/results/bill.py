"""The numbers by which two plans are compared in watts."""

from dataclasses import dataclass

MONTH_H = 730.0
"""Hours of a mean month: 8,760 a year by 12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Watts of a plan, joules of a token, and what they cost and emit.

    Attributes:
        rated_w: nameplates; what the room must be built for.
        expected_w: mean at the wall at the planned rates; None where nothing is known of its GPUs' watts.
        mean_w: the same in simulation, over all pools; None where that kept no joules.
        p99_w: of 100 simulated seconds, 99 draw no more, all pools at once.
        peak_w: highest simulated second.
        token_j: at the wall for every token put out, idle machines included; None where nothing was simulated.
        electricity_usd_per_h: electricity of the building, no part of the machines' prices.
        carbon_g_per_h: CO2 of the building's electricity.
        million_tokens_usd: electricity of a million output tokens.
        million_tokens_g: CO2 of a million output tokens.
        row_machines: that its row may hold; None where no row was asked about.
        row_ratio: the same over the machines that the row is meant for.
    """

    rated_w: float
    expected_w: float | None
    mean_w: float | None
    p99_w: float | None
    peak_w: float | None
    token_j: float | None
    electricity_usd_per_h: float | None
    carbon_g_per_h: float | None
    million_tokens_usd: float | None
    million_tokens_g: float | None
    row_machines: int | None = None
    row_ratio: float | None = None
