"""The nouns of a plan over time: what may run in an epoch, what a change costs, and what is run when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from planner.perf.layout import InstanceSpec
from planner.scenario.objectives import Aim
from solvers.allocation import Termination


def scoped(model: str, name: str) -> str:
    """What a class or an instance is called beside those of other models: ``<model>/<name>``; as it is of the only one.

    Signs that part the names of columns are written as in a URL.
    """
    return f"{quote(model, safe=' :+@&=')}/{name}" if model else name


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareLine:
    """Spare machines that a pool has at least, whatever the others have.

    Attributes:
        machines: so many, where it has any machine;
        ratio: and this share of all its machines.
    """

    machines: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochOption:
    """A kind of instance that a class's pool may run in an epoch.

    Attributes:
        spec: machine type, layout and clock.
        gpus: GPUs of one instance.
        capacity_req_per_s: class name -> rate that one instance carries within its headroom; absent: not served.
        request_j: class name -> energy of one request at the wall, above the idle draw and the floor.
        floor_w: what a busy instance draws at the wall above its machine's idle draw, however little it serves.
        machines_per_instance: that one instance stands on, 1 where several share a machine.
        instances_per_machine: that share a machine, 1 where one stands on several.
        spares: least spare machines of its pools; None where availability is not asked for.
        model: of several models, the one that it serves; its classes are ``scoped``.
    """

    spec: InstanceSpec
    gpus: int
    capacity_req_per_s: Mapping[str, float]
    request_j: Mapping[str, float]
    floor_w: float = 0.0
    machines_per_instance: int = 1
    instances_per_machine: int = 1
    spares: SpareLine | None = None
    model: str = ""

    @property
    def name(self) -> str:
        """As the instance is called."""
        return scoped(self.model, self.spec.name)

    @property
    def spare_w(self) -> float:
        """What a spare machine draws above its idle draw: its instances serve too."""
        return self.floor_w * self.instances_per_machine / self.machines_per_instance

    def instances_on(self, machines: int) -> int:
        """Instances that so many machines hold."""
        return machines // self.machines_per_instance * self.instances_per_machine

    def machines_for(self, instances: int) -> int:
        """Machines that so many instances need, no other kind on them."""
        return -(-instances // self.instances_per_machine) * self.machines_per_instance


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetType:
    """A machine type, and the two ways of having it.

    Attributes:
        machine: catalog id.
        gpus: of one machine.
        idle_w: draw of a powered machine with no work, at the meter.
        base_usd_per_h: price of a machine of the base fleet, paid around the clock, powered or not.
        top_usd_per_h: price of a machine on top, paid while it is powered or, newly on top, starts.
        most_base_machines: largest base fleet.
        available: most machines powered at once.
        most_top_machines: of them, on top of the base fleet.
        rated_w: nameplate draw of a machine.
        rack_units: space of a machine.
        spare_machines: of those on top, how many may be missing, interrupted: so many,
        spare_ratio: and this share of them.
    """

    machine: str
    gpus: int
    idle_w: float
    base_usd_per_h: float
    top_usd_per_h: float
    most_base_machines: int
    available: int
    most_top_machines: int
    rated_w: float = 0.0
    rack_units: float = 0.0
    spare_machines: float = 0.0
    spare_ratio: float = 0.0

    @property
    def interrupted(self) -> bool:
        """Whether machines on top may be taken away."""
        return self.spare_machines > 0 or self.spare_ratio > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What a joule costs.

    Attributes:
        usd_per_kwh: dollars per kWh.
        carbon_g_per_kwh: grams of CO₂ per kWh, one per epoch.
        pue_ratio: energy at the site's meter over energy at the machines, >= 1.
    """

    usd_per_kwh: float
    carbon_g_per_kwh: tuple[float, ...]
    pue_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A pool of equal instances during an epoch.

    Attributes:
        spec: what each is.
        instances: how many.
        rate_req_per_s: class name -> rate at the epoch's peak; several classes share what each leaves of an instance.
        spare_machines: of its machines, how many may be down at once while the others meet every objective.
        spare_instances: of the instances, those on them. All of them serve.
        model: of several models, the one that it serves; its classes are ``scoped``.
    """

    spec: InstanceSpec
    instances: int
    rate_req_per_s: Mapping[str, float]
    spare_machines: int = 0
    spare_instances: int = 0
    model: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """As its option is called."""
        return scoped(self.model, self.spec.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What is powered and run in one epoch.

    Attributes:
        start_s: from the beginning of the horizon.
        machines: machine type -> machines powered.
        top_machines: machine type -> how many of them are on top of the base fleet.
        started: machine type -> machines started to be ready at its beginning.
        stopped: machine type -> machines stopped at its beginning.
        runs: pools, sorted by class and instance.
        energy_j: at the meter, starts included.
        carbon_g: of that energy.
        cost_usd: machines and energy.
    """

    start_s: float
    machines: Mapping[str, int]
    top_machines: Mapping[str, int]
    started: Mapping[str, int]
    stopped: Mapping[str, int]
    runs: tuple[Run, ...]
    energy_j: float
    carbon_g: float
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A plan over time.

    Attributes:
        epoch_s: length of an epoch.
        aims: what was minimised, the first before the second.
        base_machines: machine type -> base fleet.
        epochs: in time.
        energy_j: over the horizon, at the meter.
        carbon_g: over the horizon.
        cost_usd: over the horizon.
        churn_machines: starts and stops.
        termination: how the solve of the first aim ended; its bound and gap are proven.
        method: ``monolithic`` or ``decomposed``.
        notes: what a reader should know, full sentences.
        later: how the solves of the other aims ended, each with those before it kept.
        rated_w: of powered machines, the mean of all epochs.
    """

    epoch_s: float
    aims: tuple[Aim, ...]
    base_machines: Mapping[str, int]
    epochs: tuple[Epoch, ...]
    energy_j: float
    carbon_g: float
    cost_usd: float
    churn_machines: int
    termination: Termination
    method: str
    notes: tuple[str, ...] = field(default=())
    later: tuple[Termination, ...] = field(default=())
    rated_w: float = 0.0

    @property
    def powered_machines(self) -> float:
        """Machines that are powered, the mean of all epochs."""
        return sum(sum(epoch.machines.values()) for epoch in self.epochs) / len(self.epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a horizon comes to.

    Attributes:
        cost_usd: machines and energy.
        energy_j: at the meter.
        carbon_g: of that energy.
    """

    cost_usd: float
    energy_j: float
    carbon_g: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OneKnob:
    """The fleet of the peak with one knob that follows the load; planned for the schedule's rates, not simulated.

    Attributes:
        knob: machines, clock or layout.
        spent: over the same horizon, as planned.
    """

    knob: str
    spent: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedFleet:
    """The fleet for the peak, always powered.

    Attributes:
        machines: machine type -> how many, paid as the base fleet.
        runs: pools, at the rate of the peak.
        spent: over the same horizon, with the watts of the simulator.
        served_epochs: which epochs the simulator served; watts of the others are on the line between them.
        valid: those epochs keep every objective too.
        outside: why it is no answer of the question, whatever it comes to, in words; empty where it is one.
    """

    machines: Mapping[str, int]
    runs: tuple[Run, ...]
    spent: Spent
    served_epochs: tuple[int, ...]
    valid: bool
    outside: str = ""
