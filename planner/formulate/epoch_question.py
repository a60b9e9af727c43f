"""A question over time that rows and columns are written from, and the names of its columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from planner.formulate.question import stands
from planner.perf.layout import Layout, Role
from planner.results.schedule import EpochOption, FleetType, SpareLine, Tariff
from planner.scenario.objectives import Aim, Budgets, Transitions
from workloads.load import Load


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochQuestion:
    """A question over time that rows and columns are written from.

    Attributes:
        options: kinds of instances, ordered by name.
        fleet: the machine types that they stand on, ordered by name.
        load: what is asked in each epoch.
        transitions: what changes cost.
        tariff: what energy costs.
        aims: what is minimised, each among what keeps those before it.
        budgets: hard limits, kept in every epoch.
        apart: pairs of a prefill and a decode layout between which no KV can travel, each once.
        least_spares: (option name, epoch) -> spare machines that its pool has there at least, where it has any.
    """

    options: tuple[EpochOption, ...]
    fleet: tuple[FleetType, ...]
    load: Load
    transitions: Transitions
    tariff: Tariff
    aims: tuple[Aim, ...]
    budgets: Budgets = field(default_factory=Budgets)
    apart: tuple[tuple[Layout, Layout], ...] = ()
    least_spares: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def peak(self, name: str, epoch: int) -> float:
        """Rate to provide for."""
        return float(self.load.peak_req_per_s[name][epoch])

    def served(self, option: EpochOption, epoch: int) -> tuple[str, ...]:
        """The classes that an option serves and that are asked for in the epoch."""
        asked = self.load.peak_req_per_s
        return tuple(name for name in asked if name in option.capacity_req_per_s and asked[name][epoch] > 0)

    def running(self, epoch: int) -> Iterator[EpochOption]:
        """The options that have something to serve in the epoch."""
        return (option for option in self.options if self.served(option, epoch))

    def most_instances(self, option: EpochOption, epoch: int) -> float:
        """Instances of an option that carry all it serves in an epoch: none needs more."""
        full = sum(self.peak(n, epoch) / option.capacity_req_per_s[n] for n in self.served(option, epoch))
        return float(ceil(full + 1e-6))

    def spare_line(self, option: EpochOption, epoch: int) -> SpareLine:
        """Spare machines of an option's pool at least."""
        assert option.spares is not None, "asked only where availability is"
        least = self.least_spares.get((option.name, epoch), 0)
        return replace(option.spares, machines=max(option.spares.machines, float(least)))

    def most_placed(self, option: EpochOption, epoch: int) -> float:
        """Machines of an option, spare ones too, beyond which none needs any."""
        line, span = self.spare_line(option, epoch), option.machines_per_instance
        needed = ceil(self.most_instances(option, epoch) / option.instances_per_machine) * span
        return float(ceil((needed + line.machines) / (1 - line.ratio) + span))

    @property
    def parted(self) -> tuple[tuple[Layout, Layout], ...]:
        """Those pairs of ``apart`` of which both layouts are on offer."""
        there = {(option.spec.role, option.spec.layout) for option in self.options}
        return tuple(p for p in self.apart if (Role.PREFILL, p[0]) in there and (Role.DECODE, p[1]) in there)

    @property
    def standing(self) -> tuple[str, ...]:
        """The 0/1 columns of the layouts of such pairs, sorted."""
        names = ((stands(Role.PREFILL, one), stands(Role.DECODE, other)) for one, other in self.parted)
        return tuple(sorted({name for pair in names for name in pair}))

    def before(self, epoch: int) -> int | None:
        """The epoch before; None where the horizon begins."""
        return (epoch - 1) % self.load.epochs if self.transitions.cyclic or epoch else None

    def rents(self, kind: FleetType, epoch: int) -> bool:
        """Whether rent of machines that are newly on top there, paid until they serve, counts in any aim."""
        price = kind.top_usd_per_h * self.transitions.start_s if kind.most_top_machines else 0.0
        return price > 0 and Aim.COST in self.aims and self.before(epoch) not in (None, epoch)


def rate(option: EpochOption, name: str, epoch: int) -> str:
    """The column of req/s of a class on an option."""
    return f"rate[{option.name},{name},{epoch}]"


def instances(option: EpochOption, epoch: int) -> str:
    """The column that counts the instances of an option."""
    return f"instances[{option.name},{epoch}]"


def placed(option: EpochOption, epoch: int) -> str:
    """The column that counts an option's machines; only where availability is asked for."""
    return f"placed[{option.name},{epoch}]"


def held(option: EpochOption, epoch: int) -> str:
    """The column that counts those of them that may be down; likewise."""
    return f"held[{option.name},{epoch}]"


def kept(option: EpochOption, epoch: int) -> str:
    """The 0/1 column that says whether an option has any machines; likewise."""
    return f"kept[{option.name},{epoch}]"


def of_type(word: str, machine: str, epoch: int) -> str:
    """A column of a machine type in an epoch: on, top, spare, topped, start, rented or stop."""
    return f"{word}[{machine},{epoch}]"


def base(machine: str) -> str:
    """The column that counts the base fleet of a machine type."""
    return f"base[{machine}]"


def used(machine: str) -> str:
    """The 0/1 column that says whether a machine type is ever powered."""
    return f"used[{machine}]"
