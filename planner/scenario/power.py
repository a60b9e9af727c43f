"""The section ``power``: a row with a breaker, and who gives way when it nears its limit."""

from typing import Annotated, Self

from pydantic import Field, PlainValidator, model_validator

from planner.scenario.choices import AS_IT_IS, Several, listed, one_or_several
from planner.scenario.numbers import Count, Limit, Number, Positive, Whole
from planner.scenario.section import Section

Share = Annotated[Number, Field(ge=0, le=1)]

CONTROLS = ("no-cap", "one-threshold-low", "polca", "one-threshold-all")
"""Controls of a row, those that slow down least first."""

ANY = "any"


def _controls(value: object) -> Several:
    """A control, a list of them, or any; null is none of these."""
    found = one_or_several(value, CONTROLS, ANY)
    if found is None:
        raise ValueError(f"one of {', '.join(CONTROLS)}, a list of these, or {ANY}")
    return found


Controls = Annotated[Several, AS_IT_IS, PlainValidator(_controls)]

MOST_WEEKS = 1000
"""Each is simulated."""

MIN_WEEK_S = 60.0
"""Shortest week: less its warm-up, a quarter, it must hold the rise of the load over 40 s that is reported."""


class RowLoadSection(Section):
    """How the load moves over a week; the rate that was planned for is its peak. All assumed: put in your own."""

    peak_to_valley_ratio: Annotated[Number, Field(ge=1)] = Field(
        3.3, description="highest over lowest rate of a working day; 3.3: Azure's conversation service, second-hand"
    )
    peak_at_s: Annotated[Number, Field(ge=0, lt=86400)] = Field(54000.0, description="time of day of the peak, s")
    weekend_ratio: Positive = Field(0.9, description="rate on days six and seven over that of the others")
    noise_frac: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.05, description="standard deviation of what all machines' rates share beyond the template"
    )
    noise_s: Positive = Field(300.0, description="seconds over which that forgets itself")


class LossLimits(Section):
    """Most that control may add to the time from arrival to last token, against the same load without control."""

    high_p50_frac: Share = Field(0.01, description="median of high priority")
    high_p99_frac: Share = Field(0.05, description="99th percentile of high priority")
    low_p50_frac: Share = Field(0.05, description="median of low priority")
    low_p99_frac: Share = Field(0.5, description="99th percentile of low priority")


class PowerSection(Section):
    """A row of machines behind a breaker, and what its manager does as it nears the limit."""

    row_limit_w: Positive | None = Field(None, description="what the row's breaker bears, W")
    provisioned_machines: Count | None = Field(
        None, description="machines the limit was meant for; null: as many as it bears at their rating"
    )
    rows: Count = Field(1, description="rows with that limit, at most")
    policy: Controls = Field(
        "polca",
        description="polca: two thresholds by priority; one-threshold-low, for low priority only; one-threshold-all; "
        "no-cap: the brake alone; a list, or any: the one that slows down least of those that hold the plan",
    )
    t1_frac: Limit = Field(0.8, description="share of the limit beyond which low priority slows")
    t2_frac: Limit | Annotated[tuple[Limit, ...], Field(min_length=1)] = Field(
        0.89, description="share beyond which it slows down more, and then high priority; or a list to choose from"
    )
    threshold_frac: Limit = Field(0.89, description="the threshold of the policies that have one")
    release_frac: Share = Field(0.05, description="how far below a threshold its caps are lifted, share of the limit")
    low_t1_mhz: Positive | None = Field(None, description="low priority beyond t1; null: 0.904 of the highest clock")
    low_t2_mhz: Positive | None = Field(None, description="low priority beyond t2; null: 0.787 of the highest clock")
    high_mhz: Positive | None = Field(None, description="high priority beyond t2; null: 0.926 of the highest clock")
    low_priority_frac: Share | None = Field(
        None,
        description="share of the machines that serve low priority; null: that of the requests below the highest "
        "priority of workload.classes, 0.5 where all have one (assumed)",
    )
    limits: LossLimits = Field(LossLimits(), description="latency that control may cost")
    load: RowLoadSection = Field(RowLoadSection(), description="how the load moves")
    weeks: Annotated[Count, Field(le=MOST_WEEKS)] = Field(2, description="weeks simulated, each drawn anew")
    first_seed: Whole = Field(1, description="seed of the first week")
    week_s: Annotated[Number, Field(ge=MIN_WEEK_S)] = Field(604800.0, description="length of a week, s")
    tick_s: Annotated[Number, Field(gt=0, le=2)] = Field(2.0, description="resolution of the simulated row, s")
    max_ratio: Annotated[Number, Field(ge=1, le=3)] = Field(
        1.5, description="most machines looked at over those meant; one more at least"
    )
    command_loss_frac: Annotated[Number, Field(ge=0, lt=1)] | None = Field(
        None, description="share of clock commands that are lost; null: the catalog's"
    )
    machines_per_rack: Count | None = Field(None, description="null: the catalog's")
    rows_per_ups: Count | None = Field(None, description="null: the catalog's")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        problems = []
        if self.row_limit_w is None and (unused := self._unused()):
            problems.append(f"row_limit_w beside {', '.join(unused)}: without it machines stand in no rows")
        if not self.t1_frac < min(self.second_thresholds):
            problems.append(f"t1_frac below t2_frac, not {self.t1_frac:g} and {min(self.second_thresholds):g}")
        if not self.release_frac < min(self.t1_frac, self.threshold_frac):
            problems.append(f"release_frac below every threshold, not {self.release_frac:g}")
        slow, slower = self.low_t1_mhz, self.low_t2_mhz
        if slow is not None and slower is not None and slower > slow:
            problems.append(f"low_t2_mhz not above low_t1_mhz, not {slower:g} and {slow:g}")
        if slower is not None and self.high_mhz is not None and self.high_mhz < slower:
            problems.append(
                f"high_mhz not below low_t2_mhz, not {self.high_mhz:g} and {slower:g}: low priority gives way first"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unused(self) -> list[str]:
        """Keys that say something of rows."""
        fields = type(self).model_fields.items()
        return [key for key, field in fields if getattr(self, key) != field.default]

    @property
    def second_thresholds(self) -> tuple[float, ...]:
        """The values of ``t2_frac`` that may be chosen."""
        return self.t2_frac if isinstance(self.t2_frac, tuple) else (self.t2_frac,)

    def controls(self) -> tuple[Self, ...]:
        """The section once for each control that may be chosen, those that ask least of the machines first."""
        names = CONTROLS if self.policy == ANY else tuple(name for name in CONTROLS if name in listed(self.policy))
        return tuple(
            self.model_copy(update={"policy": name, "t2_frac": t2})
            for name in names
            for t2 in (self.second_thresholds if name == "polca" else self.second_thresholds[:1])
        )
