"""The section ``availability``: the share of time in which every objective has to be met, and what may fail."""

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from planner.perf.layout import Role
from planner.scenario.numbers import Budget, Count, Number, Positive
from planner.scenario.section import Section

_SPARES = re.compile(r"[nN]\+(\d+)")

GPU_MTBF_H = 50_700.0
"""Mean GPU hours between failures. Measured, transferred: 419 unexpected interruptions of 16,384 H100 in 54 days of
training, 54 · 24 · 16,384 / 419. Source: The Llama 3 Herd of Models (arXiv 2407.21783), Table 5; second-hand."""

RACK_MTBF_H, RACK_MTTR_H = 19_700.0, 3.5
"""Measured, transferred: 20 racks of 40 machines fail in the first year of a cluster of 1,800, for 1 to 6 hours. The
hours are recalled. Source: J. Dean, Google I/O 2008, second-hand."""

DOMAIN_MTBF_H, DOMAIN_MTTR_H = 21_000.0, 6.0
"""Likewise: one power distribution unit, 500 to 1,000 of 1,800 machines, fails in a year, for about 6 hours."""

MOST_DOMAINS = 1000
"""Domains that may be asked for: of more, the ways in which half of them fail are no floating-point number."""

MACHINE_MTTR_H = 24.0
"""Assumed: a machine is repaired or replaced within a day."""

SPOT_PER_H = 0.01
"""Assumed: a spot machine is taken back every hundred hours. Providers publish bands per month, not rates."""


def _share(value: object) -> object:
    """A share of time below 1; of percent, and of one, it is said what was meant."""
    if isinstance(value, bool) or not isinstance(value, int | float) or 0 < value < 1:
        return value
    meant = f": were {value:g} % meant, which are {value / 100:g}?" if 1 < value < 100 else ""
    raise ValueError(f"a share of time above 0 and below 1, for example 0.999{meant}")


def _count(value: object) -> object:
    """``n+1`` is one machine on top."""
    if isinstance(value, str):
        found = _SPARES.fullmatch(value)
        if not found:
            raise ValueError("n+<machines>, for example n+1, or a whole number")
        return int(found[1])
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        raise ValueError("a number of spare machines from 0, or n+<machines>, for example n+1")
    return value


def _of_every_pool(value: object) -> object:
    """One number, or one word, for the pools of every role."""
    if isinstance(value, str) or type(value) is int:
        return dict.fromkeys((role.value for role in Role), value)
    return value


def _words_too(schema: dict[str, Any]) -> None:
    mapping = {key: schema.pop(key) for key in ("type", "additionalProperties", "propertyNames") if key in schema}
    words = {"type": "string", "pattern": r"^[nN]\+\d+$"}
    schema["anyOf"] = [mapping, {"type": "integer", "minimum": 0}, words]


Spare = Annotated[int, BeforeValidator(_count), Field(strict=True, ge=0)]


class MachineFaults(Section):
    """A machine that fails alone."""

    gpu_mtbf_h: Positive = Field(GPU_MTBF_H, description="mean GPU hours between failures; a machine has its GPUs'")
    mtbf_h: Positive | None = Field(None, description="mean hours between failures of a machine; null: from gpu_mtbf_h")
    mttr_h: Positive = Field(MACHINE_MTTR_H, description="mean hours until it serves again (assumed)")


class RackFaults(Section):
    """Machines that fail together with their rack; the pools are spread evenly over the racks."""

    machines: Count | None = Field(None, description="in a rack, at most; null: the catalog's")
    mtbf_h: Positive = Field(RACK_MTBF_H, description="mean hours between failures of a rack")
    mttr_h: Positive = Field(RACK_MTTR_H, description="mean hours until it is back")


class DomainFaults(Section):
    """Racks that fail together: a power distribution unit, a room, a zone."""

    count: Annotated[Count, Field(le=MOST_DOMAINS)] | None = Field(
        None, description="domains the racks are spread over; null: as few as the share of time needs"
    )
    mtbf_h: Positive = Field(DOMAIN_MTBF_H, description="mean hours between failures of a domain")
    mttr_h: Positive = Field(DOMAIN_MTTR_H, description="mean hours until it is back")


class SpotFaults(Section):
    """Machines that a provider takes back, where catalog.channel is spot."""

    interruptions_per_h: Budget = Field(SPOT_PER_H, description="how often one is taken back, per hour (assumed)")
    start_s: Budget = Field(420.0, description="until another serves in its place, s")


class Maintenance(Section):
    """Machines that are taken out of service one after another; their requests are moved before."""

    every_h: Positive | None = Field(None, description="hours between two turns of a machine; null: no maintenance")
    duration_h: Positive = Field(4.0, description="hours of a turn (assumed)")

    @model_validator(mode="after")
    def _is_over_before_the_next(self) -> Self:
        if self.every_h is not None and self.duration_h >= self.every_h:
            raise ValueError(f"duration_h below every_h, not {self.duration_h:g} and {self.every_h:g}")
        return self

    @property
    def share_frac(self) -> float:
        """Share of the machines that are out of service at any time."""
        return 0.0 if self.every_h is None else self.duration_h / self.every_h


class AvailabilitySection(Section):
    """Machines beyond those that the objectives need, so that enough are up; `availability: 0.999` sets the first."""

    target_frac: Annotated[Number, BeforeValidator(_share), Field(gt=0, lt=1)] | None = Field(
        None, description="share of time in which every objective is met; null: not asked"
    )
    spares: Annotated[dict[Role, Spare], BeforeValidator(_of_every_pool)] = Field(
        {}, description="role -> machines on top, at least, of each of its pools; n+1 stands for one in every pool",
        json_schema_extra=_words_too,
    )  # fmt: skip
    machine: MachineFaults = Field(MachineFaults(), description="machines that fail alone")
    rack: RackFaults = Field(RackFaults(), description="racks that fail")
    domain: DomainFaults = Field(DomainFaults(), description="domains that fail")
    spot: SpotFaults = Field(SpotFaults(), description="spot machines that are taken back")
    maintenance: Maintenance = Field(Maintenance(), description="machines that are out of service by turns")

    @property
    def asked(self) -> bool:
        """Whether any machine may have to be on top."""
        return self.target_frac is not None or any(self.spares.values())


def short(value: object) -> object:
    """A number alone is the share of time."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"target_frac": value}
    return value


def number_too(schema: dict[str, Any]) -> None:
    """In a file the share of time may stand in the place of the section."""
    kept = {key: schema.pop(key) for key in ("$ref", "allOf") if key in schema}
    schema["anyOf"] = [kept, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}]


Availability = Annotated[AvailabilitySection, BeforeValidator(short)]
