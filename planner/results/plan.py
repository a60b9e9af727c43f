"""The nouns of a plan: what is bought, and what it is claimed to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from solvers.allocation import Termination


class Role(StrEnum):
    """What phase of a request an instance works on."""

    PREFILL = "prefill"
    DECODE = "decode"
    MIXED = "mixed"


class Objective(StrEnum):
    """What the optimiser makes as small (throughput: as large) as it can."""

    COST = "cost"
    """USD/h of the whole plan."""
    POWER = "power"
    """Rated watts of the whole plan: nameplates, less what enforced caps take off."""
    ENERGY = "energy"
    """Expected watts of the whole plan at the machines' plugs, idle machines included."""
    CARBON = "carbon"
    """Grams of CO2 per hour that these watts and the cooling for them cause."""
    MACHINES = "machines"
    """Machines bought."""
    THROUGHPUT = "throughput"
    """Requests per second, the workload's mix of classes kept, within the budgets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one replica of the model is spread over GPUs.

    Attributes:
        tp: tensor-parallel ways, >= 1.
        pp: pipeline stages, >= 1; a long prompt may stream through them chunk by chunk (sequence parallelism).
        ep: expert-parallel ways inside the tensor-parallel group, >= 1.
        kvp: groups that share the KV cache of one request along its sequence, >= 1.
    """

    tp: int
    pp: int = 1
    ep: int = 1
    kvp: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of one replica (experts are spread over the tensor-parallel GPUs)."""
        return self.tp * self.pp * self.kvp

    @property
    def name(self) -> str:
        """For example ``tp8``, ``tp4pp2``, ``tp8ep8``, ``tp8pp4kvp2``."""
        ways = (("pp", self.pp), ("ep", self.ep), ("kvp", self.kvp))
        return f"tp{self.tp}" + "".join(f"{word}{count}" for word, count in ways if count > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    """One replica of the model: its role, its machine type, its layout, and the knobs it is run with.

    Attributes:
        role: phase it works on.
        machine: machine type.
        layout: how it is spread over GPUs.
        chunk_tokens: most tokens in one step, prompts cut to fit; None computes whole prompts.
        clock_mhz: SM clock its GPUs are locked at; None leaves the clock to the driver.
        cap_w: power limit of each of its GPUs; None is the board's own.
    """

    role: Role
    machine: str
    layout: Layout
    chunk_tokens: int | None = None
    clock_mhz: int | None = None
    cap_w: int | None = None

    @property
    def name(self) -> str:
        """For example ``prefill/dgx-h100/tp8`` or ``decode/dgx-h100/tp8/1200mhz``; unique in a scenario."""
        knobs = (("chunk", self.chunk_tokens, ""), ("", self.clock_mhz, "mhz"), ("", self.cap_w, "w"))
        set_knobs = "".join(f"/{before}{value}{after}" for before, value, after in knobs if value is not None)
        return f"{self.role}/{self.machine}/{self.layout.name}{set_knobs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Equal instances.

    Attributes:
        spec: what each is.
        instances: replicas of the model, >= 1.
        machines: machines they fill, >= 1.
        rate_req_per_s: class name -> rate the optimiser routes here.
        load_frac: busy share of an instance (before headroom) by the optimiser's estimate; above 1 where the simulator
            confirmed more than was estimated.
        kv_load_frac: share of its KV tokens held on average, by the same estimate.
    """

    spec: InstanceSpec
    instances: int
    machines: int
    rate_req_per_s: Mapping[str, float]
    load_frac: float
    kv_load_frac: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """The largest average load each resource may be planned at, all in (0, 1]; 1 leaves no headroom."""

    prefill_frac: float = 0.85
    decode_frac: float = 0.95
    mixed_frac: float = 0.85
    kv_frac: float = 0.9
    link_frac: float = 0.5

    def of(self, role: Role) -> float:
        """The load limit of instances in ``role``."""
        return {Role.PREFILL: self.prefill_frac, Role.DECODE: self.decode_frac, Role.MIXED: self.mixed_frac}[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Hard limits on the whole plan; None is unlimited. ``power_w`` is rated power: nameplates, less enforced caps."""

    cost_usd_per_h: float | None = None
    power_w: float | None = None
    expected_power_w: float | None = None
    rack_units: float | None = None
    machines: int | None = None
    machine_types: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a plan needs of each budgeted quantity.

    Attributes:
        cost_usd_per_h: of all machines.
        power_w: rated: nameplates, or what enforced caps leave of them.
        rack_units: space.
        machines: bought.
        gpus: in them.
        expected_power_w: mean watts at the machines' plugs at the planned rates, idle time included.
        carbon_g_per_h: CO2 that these watts and the cooling for them cause.
    """

    cost_usd_per_h: float
    power_w: float
    rack_units: float
    machines: int
    gpus: int
    expected_power_w: float = 0.0
    carbon_g_per_h: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePlan:
    """What the optimiser proposes; not yet a plan anyone should buy.

    Attributes:
        policy: name of the policy it was made for.
        pools: at least one, ordered by spec name.
        totals: what it needs.
        headroom: that it was planned with.
        rate_scale: factor on the workload's rate that it serves (other than 1 for the throughput objective).
        termination: how the solve ended.
    """

    policy: str
    pools: tuple[Pool, ...]
    totals: Totals
    headroom: Headroom
    rate_scale: float
    termination: Termination
