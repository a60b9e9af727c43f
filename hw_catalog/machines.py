"""Machines: what is bought, racked and paid for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hw_catalog.gpus import Gpu
from hw_catalog.links import Link
from hw_catalog.provenance import Provenance

PUBLISHED = ("splitwise-sim", "splitwise-table-1", "splitwise-table-5")
"""Price sets of publications, to compare with what was published at them."""

Channel = Literal["on-demand", "reserved", "spot", "owned", "splitwise-sim", "splitwise-table-1", "splitwise-table-5"]
"""How machines are paid for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one machine costs through one channel.

    Attributes:
        channel: ``on-demand``, ``reserved``, ``spot`` or ``owned``; or the name of a publication, whose prices do not
            age.
        usd_per_h: dollars per machine-hour.
        provenance: dated source.
    """

    channel: str
    usd_per_h: float
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine type.

    Attributes:
        name: catalog id, for example ``dgx-h100``.
        gpu: the GPU it holds.
        gpus: how many of them, >= 1.
        rated_w: power to provision for one machine (nameplate).
        idle_w: power of the whole machine with no work.
        rack_units: space, in rack units (0 for a cloud shape).
        intra_link: between its GPUs.
        inter_link: to other machines; the bandwidth is that of the whole machine.
        prices: one per channel at most.
        available: how many can be had; None is unlimited.
        provenance: field name -> source, one entry for every numeric field.
        domain_gpus: GPUs that the link between its GPUs joins, those of other machines of the type included; None is
            its own alone. What spans machines of one domain is placed in one rack.
        host_gib: memory of its host, GiB; None where it is not said.
    """

    name: str
    gpu: Gpu
    gpus: int
    rated_w: float
    idle_w: float
    rack_units: float
    intra_link: Link
    inter_link: Link
    prices: tuple[Price, ...]
    available: int | None
    provenance: Mapping[str, Provenance]
    domain_gpus: int | None = None
    host_gib: float | None = None

    def provisioned_w(self, cap_w: float | None) -> float:
        """Power to provide for one machine whose GPUs are held to a power limit, W.

        The nameplate counts every GPU at its rating, so an enforced limit takes the difference off for each of them.
        What power supplies and fans save with it is left in: nothing was measured of that.

        Args:
            cap_w: enforced limit of each GPU, W; None is the board's own, which leaves the nameplate.
        """
        return self.rated_w - (0.0 if cap_w is None else self.gpus * max(0.0, self.gpu.tdp_w - cap_w))

    def price(self, channel: str) -> Price | None:
        """The price through ``channel``, or None where this machine is not sold that way."""
        return next((price for price in self.prices if price.channel == channel), None)
