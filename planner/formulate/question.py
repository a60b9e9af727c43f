"""What every row and column is made from: the question, its column names, and how many machines a load needs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from planner.capacity.envelope import Envelope, Option
from planner.capacity.redundancy import least_spares
from planner.perf.layout import Layout, Role
from planner.scenario.objectives import Budgets, Headroom, Objective

SCALE = "scale"
"""The column of the throughput objective: the factor on every class's rate."""

NO_RATE_REQ_PER_S = 1e-9
"""A rate as small as this, one request in thirty years, is the solver's tolerance, not work."""

WIDE = 1e-6
"""Relative width of the solver's tolerance, in which a count neither needs nor saves a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that rows and columns are written from.

    Attributes:
        options: what may be bought, ordered by name; each serves at least one class of ``rates``.
        rates: class name -> req/s asked.
        budgets: hard limits on the whole plan.
        headroom: how much of each resource may be planned on.
        objective: what is minimised, or for throughput maximised.
        available: machine type -> how many can be had; an unnamed type is unlimited.
        apart: pairs of a prefill and a decode layout between which no KV can travel, each once.
        most: option name -> whole number of machines of which no plan needs more.
        more_spares: machines on top of each pool, beyond those that it needs for its own failures at least.
    """

    options: tuple[Option, ...]
    rates: Mapping[str, float]
    budgets: Budgets
    headroom: Headroom
    objective: Objective
    available: Mapping[str, int]
    apart: tuple[tuple[Layout, Layout], ...]
    most: Mapping[str, float]
    more_spares: int = 0

    @property
    def machine_types(self) -> tuple[str, ...]:
        """The machine types among the options, sorted."""
        return tuple(sorted({option.machine.name for option in self.options}))

    @property
    def parted(self) -> tuple[tuple[Layout, Layout], ...]:
        """Those pairs of ``apart`` of which both layouts are on offer."""
        there = {(option.spec.role, option.spec.layout) for option in self.options}
        return tuple(
            (prefill, decode)
            for prefill, decode in self.apart
            if (Role.PREFILL, prefill) in there and (Role.DECODE, decode) in there
        )

    def served(self, option: Option) -> tuple[str, ...]:
        """The asked classes that ``option`` can serve, in the order of ``rates``."""
        return tuple(name for name in self.rates if name in option.envelopes)


def instances(option: Option) -> str:
    """The column that counts the replicas of an option."""
    return f"instances[{option.spec.name}]"


def machines(option: Option) -> str:
    """The column that counts the machines bought for an option."""
    return f"machines[{option.spec.name}]"


def rate(option: Option, class_name: str) -> str:
    """The column of req/s of a class routed to an option."""
    return f"rate[{option.spec.name},{class_name}]"


def spares(option: Option) -> str:
    """The column that counts those of an option's machines that may be down; only where availability is asked for."""
    return f"spares[{option.spec.name}]"


def kept(option: Option) -> str:
    """The 0/1 column that says whether an option has any machines; likewise."""
    return f"kept[{option.spec.name}]"


def serving(option: Option, values: Mapping[str, float]) -> int:
    """Machines of an option that an allocation needs for the load: all but the spare ones."""
    return round(values[machines(option)] - values.get(spares(option), 0.0))


def spare_line(option: Option, more: int) -> tuple[float, float]:
    """Spare machines of an option at least: so many where there are any; and this share of all its machines."""
    assert option.reliability is not None, "asked only where availability is"
    fixed, ratio = least_spares(option.spec.role, option.machines_per_instance, option.reliability)
    return fixed + more * option.machines_per_instance, ratio


def borrowed(option: Option, class_name: str) -> str:
    """The column of req/s of a class whose other phase an option computes."""
    return f"borrowed[{option.spec.name},{class_name}]"


def used(machine_type: str) -> str:
    """The 0/1 column that says whether a machine type is bought at all."""
    return f"used[{machine_type}]"


def stands(role: Role, layout: Layout) -> str:
    """The 0/1 column that says whether any instance of a role has a layout."""
    return f"stands[{role},{layout.name}]"


def standing(question: Question) -> tuple[str, ...]:
    """The columns of every layout that some other one exchanges no KV with, sorted."""
    pairs = question.parted
    return tuple(
        sorted({stands(Role.PREFILL, one) for one, _ in pairs} | {stands(Role.DECODE, other) for _, other in pairs})
    )


def busy_s(envelope: Envelope) -> float:
    """Busy seconds of an instance per request: prefill work + decode work."""
    return envelope.prefill_s + envelope.decode_s


def kv_share_s(option: Option, envelope: Envelope) -> float:
    """Seconds for which one request would fill the whole KV memory of an instance."""
    return envelope.kv_tokens_s / option.kv_tokens


def link_share_s(option: Option, envelope: Envelope) -> float:
    """Seconds for which one request fills the inter link of a machine."""
    sent = envelope.link_bytes
    return sent / option.machine.inter_link.bandwidth_bytes_per_s if sent else 0.0


def machines_needed(option: Option, rates: Mapping[str, float], headroom: Headroom, *, margin_frac: float) -> int:
    """Machines of an option that carry ``rates`` within the headroom.

    Args:
        option: what they are.
        rates: class name -> req/s; each class is one that the option serves.
        headroom: load limits.
        margin_frac: relative margin on the load before it is rounded up to whole instances and machines.

    Returns:
        The least whole number of machines, at least 1, by the rows load, kv_held, link and whole_machines.
    """
    kinds = (option.envelopes, option.borrowed)
    asked = [(rate * (1 + margin_frac), kind[name]) for name, rate in rates.items() for kind in kinds if name in kind]
    load = sum(value * busy_s(envelope) for value, envelope in asked) / headroom.of(option.spec.role)
    kv = sum(value * kv_share_s(option, envelope) for value, envelope in asked) / headroom.kv_frac
    link = sum(value * link_share_s(option, envelope) for value, envelope in asked) / headroom.link_frac
    span = option.machines_per_instance
    return max(span, math.ceil(max(math.ceil(max(load, kv)) / option.instances_per_machine, link)) * span)
