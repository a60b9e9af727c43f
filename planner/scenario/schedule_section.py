"""The section of a scenario that asks for a plan over time."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from planner.scenario.numbers import LEAST_CONFIDENCE, Budget, Confidence, Count, Number, Positive, Whole, Word
from planner.scenario.objectives import Aim, Transitions
from planner.scenario.section import Section
from workloads.load import DAY_HOURS, WEEK_HOURS

_CHANGES = Transitions()
Hours = tuple[Annotated[Number, Field(ge=0)], ...]
Shape = Literal["conversation", "coding", "trace"] | Hours


class ScheduleSection(Section):
    """A plan over epochs instead of one for all time."""

    load: Shape = Field(
        "conversation",
        description="hours on the workload's mean rate: a week of that shape, a factor an hour, or the trace itself",
    )
    epoch_s: Positive = Field(3600.0, description="length of an epoch, s")
    epochs: Count | None = Field(None, description="how many, with load: trace; null: as many as the trace needs")
    objectives: tuple[Aim, ...] | None = Field(
        None,
        description="minimised, in this order: cost, energy, carbon, power, machines; cost is the last where left out; "
        "null: the scenario's objective (and after cost energy)",
    )
    clocks_mhz: tuple[Count, ...] | dict[Word, Annotated[tuple[Count, ...], Field(min_length=1)]] = Field(
        (),
        description="SM clocks to try beside the driver's and catalog.clocks_mhz, for all types or by type",
    )
    top_channel: Literal["on-demand", "reserved", "spot", "owned"] = Field(
        "on-demand", description="how machines on top of the base fleet are paid for; catalog.channel pays for that"
    )
    base_machines: Whole | None = Field(None, description="largest base fleet of a type")
    interruptions_per_h_ratio: Budget = Field(0.0, description="how often a machine on top is taken away, per hour")
    spare_confidence_frac: Confidence = Field(
        0.99, description="chance that no more machines on top are gone at once than are spare"
    )
    start_s: Budget = Field(_CHANGES.start_s, description="order of a machine to its first request, s")
    start_usd: Budget = Field(_CHANGES.start_usd, description="fee of a start, dollars")
    min_up_epochs: Count = Field(_CHANGES.min_up_epochs, description="epochs that a started machine stays powered")
    ramp_machines: Whole | None = Field(None, description="most starts, and stops, of a type between epochs")
    churn_machines: Whole | None = Field(None, description="most starts and stops over the whole horizon")
    usd_per_kwh: Budget | None = Field(
        None, description="price of electricity, 0 where the machine's price holds it; null: energy.usd_per_kwh"
    )
    carbon_g_per_kwh: Hours | None = Field(
        None, description="grams of CO2 per kWh by the hour, 24 or 168; null: energy's"
    )
    pue_ratio: Annotated[Number, Field(ge=1)] | None = Field(
        None, description="energy of the site over that of the machines; null: energy.pue_ratio"
    )
    forecast_sigma_frac: Budget = Field(0.0, description="standard deviation of the forecast's relative error")
    confidence_frac: Annotated[Number, Field(ge=LEAST_CONFIDENCE, le=1)] = Field(
        0.95, description="share of epochs whose forecast error is provided for, from 0.5"
    )
    gap_frac: Annotated[Number, Field(gt=0, lt=1)] = Field(0.01, description="proven gap that is enough")
    start_late_s: Budget = Field(0.0, description="by how much starts come later than planned where epochs are served")
    validated_epochs: Count | None = Field(
        None, description="how many different epochs the simulator serves, the busiest first; null: all"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.start_late_s > self.epoch_s:
            raise ValueError(f"start_late_s of at most epoch_s, {self.epoch_s:g} s: later is no start of that epoch")
        if self.start_s > self.epoch_s:
            raise ValueError(f"start_s of at most epoch_s, {self.epoch_s:g} s: a start may not outlast an epoch")
        if self.carbon_g_per_kwh is not None and len(self.carbon_g_per_kwh) not in (DAY_HOURS, WEEK_HOURS):
            raise ValueError(f"{DAY_HOURS} or {WEEK_HOURS} hours of carbon_g_per_kwh, not {len(self.carbon_g_per_kwh)}")
        if not isinstance(self.load, str) and not any(self.load):
            raise ValueError("at least one hour of load above 0")
        if self.epochs is not None and self.load != "trace":
            raise ValueError("epochs only with load: trace; hours have as many as they need")
        if self.objectives is not None and not 0 < len(set(self.objectives)) == len(self.objectives):
            raise ValueError("at least one objective, and every objective once")
        return self
