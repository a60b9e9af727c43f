"""What a machine costs an hour: the scenario's word before the catalog's price."""

from dataclasses import replace
from pathlib import Path

from hw_catalog.load import load_catalog
from hw_catalog.machines import Machine, Price
from hw_catalog.provenance import Kind, Provenance
from planner.scenario import Scenario

_ASKED = Provenance(kind=Kind.VENDOR, source="catalog.price_usd_per_h of the scenario", date="as asked")
_DRAWN = Provenance(
    kind=Kind.DERIVED, source="nameplate watts times energy.usd_per_kwh and energy.pue_ratio", date="as asked",
    note="the machine itself is paid: catalog.price_usd_per_h says power",
)  # fmt: skip


def price_of(scenario: Scenario, machine: Machine, channel: str | None = None) -> Price | None:
    """The price that a machine is planned at; None where nothing is known of its channel.

    Args:
        scenario: the question, with its channel, its own prices, which are of that channel, and its factors on prices.
        machine: of the catalog.
        channel: another one, of machines beside those of the question's.
    """
    offered = scenario.catalog
    own = offered.price_usd_per_h if channel in (None, offered.channel) else {}
    asked, scale = own.get(machine.name), offered.price_scale.get(machine.name, 1.0)
    if asked is None:
        found = machine.price(channel or offered.channel)
    elif isinstance(asked, str):
        usd_per_h = scenario.energy.bill_usd_per_h(machine.rated_w)
        found = Price(channel=offered.channel, usd_per_h=usd_per_h, provenance=_DRAWN)
    else:
        found = Price(channel=offered.channel, usd_per_h=asked, provenance=_ASKED)
    return found if found is None or scale == 1 else _scaled(found, scale)


def prices_of(scenario: Scenario) -> dict[str, float]:
    """USD an hour of each machine type of a scenario; types that are not sold through its channel are left out.

    Raises:
        CatalogError: its catalog cannot be read.
    """
    directory = scenario.catalog.directory
    machines = load_catalog(Path(directory) if directory else None).machines
    found = {name: price_of(scenario, machines[name]) for name in scenario.catalog.machines if name in machines}
    return {name: price.usd_per_h for name, price in found.items() if price}


def _scaled(price: Price, scale: float) -> Price:
    """A price times a factor of the scenario: a number of the scenario's own, no longer what its source says."""
    said = price.provenance
    mine = replace(said, kind=Kind.DERIVED, source=f"catalog.price_scale {scale:g} times: {said.source}")
    return replace(price, usd_per_h=price.usd_per_h * scale, provenance=mine)
