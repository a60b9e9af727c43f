"""The energy section of a scenario: what a kilowatt-hour costs, and emits."""

from typing import Annotated

from pydantic import Field, field_validator

from planner.scenario.numbers import Number
from planner.scenario.section import Section

NotNegative = Annotated[Number, Field(ge=0)]
JOULES_PER_KWH = 3.6e6
HOURS = (24, 168)


class EnergySection(Section):
    """What energy costs and emits; it is reported, and no part of the machines' prices."""

    pue_ratio: Annotated[Number, Field(ge=1)] = Field(
        1.2, description="power of the whole building over that of the machines (assumed; Google about 1.1, mean 1.54)"
    )
    usd_per_kwh: NotNegative = Field(
        0.0871, description="dollars per kilowatt-hour (US industrial, May 2026, second-hand; commercial 0.1354)"
    )
    carbon_g_per_kwh: NotNegative = Field(
        380.0,
        description="grams of CO2 per kilowatt-hour (US mean, recalled; France about 50, Germany 350, world 480)",
    )
    hourly_carbon_g_per_kwh: tuple[NotNegative, ...] = Field(
        (), description="the same by the hour, 24 or 168 numbers; empty: it does not change"
    )

    @field_validator("hourly_carbon_g_per_kwh")
    @classmethod
    def _a_day_or_a_week(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value and len(value) not in HOURS:
            raise ValueError(f"{HOURS[0]} or {HOURS[1]} numbers, one per hour, not {len(value)}")
        return value

    @property
    def carbon_g_per_kwh_mean(self) -> float:
        """Mean over the day or week."""
        each = self.hourly_carbon_g_per_kwh or (self.carbon_g_per_kwh,)
        return sum(each) / len(each)

    @property
    def carbon_g_per_j(self) -> float:
        """CO2 of one joule at the wall, the building's share included."""
        return self.pue_ratio * self.carbon_g_per_kwh_mean / JOULES_PER_KWH

    def bill_usd_per_h(self, expected_power_w: float) -> float:
        """Dollars per hour of so many watts at the wall, the building's share included."""
        return self.pue_ratio * self.usd_per_kwh * expected_power_w / 1000
