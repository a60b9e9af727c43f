"""Power domains: what feeds a machine, how much it may draw, how fast that is seen and acted upon."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hw_catalog.provenance import Provenance
from hw_catalog.rows import SourceRow
from hw_catalog.strict_files import yaml_document

Delay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDomain:
    """Something with a breaker that feeds machines.

    Attributes:
        name: ``rack``, ``row`` (a PDU or busway) or ``ups``.
        limit_w: what it may draw for longer than the ride-through.
        machines: machines behind it.
    """

    name: str
    limit_w: float
    machines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerControls:
    """How fast the power of a domain is seen, and what can be done about it.

    Attributes:
        telemetry_interval_s: from one reading of the domain's meter to the next.
        telemetry_delay_s: age of a reading when it arrives.
        command_delay_s: from an out-of-band clock command to its effect.
        command_loss_frac: share of commands that are lost without a word.
        brake_delay_s: from pulling the power brake to its effect, which is never lost.
        brake_mhz: SM clock under the brake.
        ride_through_s: how long a UPS bears an overload.
        provenance: field name -> source.
    """

    telemetry_interval_s: float
    telemetry_delay_s: float
    command_delay_s: float
    command_loss_frac: float
    brake_delay_s: float
    brake_mhz: float
    ride_through_s: float
    provenance: Mapping[str, Provenance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """How domains nest.

    Attributes:
        machines: in a rack, >= 1.
        rows: behind one UPS, >= 1.
        provenance: field name -> source.
    """

    machines: int
    rows: int
    provenance: Mapping[str, Provenance]

    def domains(self, *, row_limit_w: float, machines: int, rated_w: float) -> tuple[PowerDomain, ...]:
        """Rack, row and UPS around ``machines`` machines of one type.

        A rack is provisioned for its machines at their rating, a UPS for its rows at their limit.
        """
        return (
            PowerDomain(name="rack", limit_w=self.machines * rated_w, machines=self.machines),
            PowerDomain(name="row", limit_w=row_limit_w, machines=machines),
            PowerDomain(name="ups", limit_w=self.rows * row_limit_w, machines=self.rows * machines),
        )


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ControlsRow(_Row):
    """The entry ``controls``; the fields mean what those of :class:`PowerControls` mean."""

    telemetry_interval_s: Positive
    telemetry_delay_s: Delay
    command_delay_s: Delay
    command_loss_frac: Annotated[float, Field(ge=0, lt=1)]
    brake_delay_s: Delay
    brake_mhz: Positive
    ride_through_s: Delay
    provenance: dict[str, str]


class HierarchyRow(_Row):
    """The entry ``hierarchy``."""

    machines_per_rack: int = Field(ge=1)
    rows_per_ups: int = Field(ge=1)
    provenance: dict[str, str]


class _File(_Row):
    sources: dict[str, SourceRow]
    controls: ControlsRow
    hierarchy: HierarchyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDelivery:
    """The built-in answer to both: how domains nest, and how they are controlled."""

    controls: PowerControls
    hierarchy: Hierarchy


def load_power_delivery() -> PowerDelivery:
    """The built-in delays and hierarchy, each number with its source."""
    text = resources.files("hw_catalog").joinpath("data", "power_delivery.yaml").read_text(encoding="utf-8")
    file = _File.model_validate(yaml_document(text, "built-in power_delivery.yaml")[0])
    known = {
        name: Provenance(kind=row.kind, source=row.source, date=row.date.isoformat(), note=row.note)
        for name, row in file.sources.items()
    }
    controls = file.controls.model_dump(exclude={"provenance"})
    found = {key: known[source] for key, source in file.controls.provenance.items()}
    nested = {key: known[source] for key, source in file.hierarchy.provenance.items()}
    return PowerDelivery(
        controls=PowerControls(**controls, provenance=found),
        hierarchy=Hierarchy(
            machines=file.hierarchy.machines_per_rack, rows=file.hierarchy.rows_per_ups, provenance=nested
        ),
    )
