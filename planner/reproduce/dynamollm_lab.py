"""The set-up of DynamoLLM's comparison, as far as it is public: pools, objectives, and a week of load."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hw_catalog.load import load_catalog
from hw_catalog.machines import Machine
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.perf.instance import GpuLimits, InstancePhysics, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout
from planner.perf.operating import Floats, Ints, operating
from planner.policies.control import BASELINES, Control, Knob
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.weeks.flows import Week, WeekPool, courses
from planner.simulator.weeks.serve import Stage
from workloads.builtin import load_builtin
from workloads.load import WEEK_HOURS, nine_classes, template
from workloads.models import ModelSpec, load_model

MODEL = "llama-2-70b"
MACHINE = "dgx-h100"
CLOCKS_MHZ = (800, 1000, 1200, 1400, 1600, 1800, 1980)
TTFT_S = {"S": 0.25, "M": 0.4, "L": 2.0}
"""By length of the prompt; recalled."""
TPOT_S = 0.1
"""Recalled as a bound on the time between tokens; read as the time per token of a request, since whole prompts are
computed between tokens here and a bound on single gaps would be one on prompts."""
PEAK_SERVERS = 40
SAMPLE = 400
STEPS_PER_HOUR = 720
MAX_BATCH = 256
RULES = policy(
    "colocated",
    PolicySection(max_batch_tokens=8192, max_batch_size=MAX_BATCH),
)
"""How requests are served: whole prompts between tokens, as engines did it then."""
SERVICES = {"conversation": "azure-conv-2023", "coding": "azure-code-2023"}
"""Shape of the week -> built-in workload whose lengths it has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lab:
    """One service on one kind of server.

    Attributes:
        machine: the server.
        shares_frac: class name -> share of requests.
        knobs: pool name (a class, or ``all``) -> settings.
        bodies: (GPUs, clock) -> the instance of that setting.
        lengths: pool name -> prompt and output tokens of its requests.
        rate_req_per_s: all classes together, at the peak.
    """

    machine: Machine
    shares_frac: Mapping[str, float]
    knobs: Mapping[str, tuple[Knob, ...]]
    bodies: Mapping[tuple[int, int], InstancePhysics]
    lengths: Mapping[str, tuple[Ints, Ints]]
    rate_req_per_s: float

    @property
    def idle_w(self) -> float:
        """What the GPUs of a machine draw without work."""
        return self.machine.gpus * max(body.power.idle_w / tp for (tp, _), body in self.bodies.items())

    def pools(self, control: Control, factors: Floats) -> list[WeekPool]:
        """The pools of a control, in the order of their requests' work, at factors on the rate."""
        names = list(self.shares_frac) if control.pools else ["all"]
        found = []
        for name in names:
            share = self.shares_frac[name] if control.pools else 1.0
            wide = self.knobs[name] if control.shards else tuple(k for k in self.knobs[name] if k.tp == 8)
            found.append(
                WeekPool(
                    name=name, rate_req_per_s=factors * self.rate_req_per_s * share,
                    provided_req_per_s=self.rate_req_per_s * share,
                    ttft_p99_s=TTFT_S["L" if name == "all" else name[0]], tpot_s=TPOT_S,
                    knobs=tuple(k for k in wide if k.capacity_req_per_s > 0),
                )
            )  # fmt: skip
        return sorted(found, key=lambda p: -max(k.capacity_req_per_s / k.tp for k in p.knobs))

    def run(self, control: Control, factors: Floats, *, seed: int = 1, misplaced_frac: float = 0.0) -> Week:
        """A horizon under a control."""
        return self.staged(control, factors, seed=seed, misplaced_frac=misplaced_frac)[0]

    def staged(
        self, control: Control, factors: Floats, *, seed: int = 1, misplaced_frac: float = 0.0
    ) -> tuple[Week, Stage]:
        """A horizon under a control as flows, and what it takes to serve the same one request by request."""
        host_w = self.machine.idle_w - self.machine.gpus * self.machine.gpu.idle_w
        found, took = courses(
            self.pools(control, factors), control, machine_gpus=self.machine.gpus, host_w=max(0.0, host_w),
            host_ratio=0.21, seed=seed, misplaced_frac=misplaced_frac,
        )  # fmt: skip
        return found, Stage(
            courses=took, step_s=control.instance_period_s, bodies=self.bodies,
            lengths=tuple(self.lengths[course.pool.name] for course in took), policy=RULES,
            machine_gpus=self.machine.gpus, seed=seed,
        )  # fmt: skip

    def all(self, factors: Floats) -> dict[str, Week]:
        """A horizon under every published control."""
        return {name: self.run(control, factors) for name, control in BASELINES.items()}


def open_lab(service: str, *, servers: int = PEAK_SERVERS) -> Lab:
    """The lab of a service; at its peak rate a single pool at the highest clock fills so many servers."""
    machine, model = load_catalog(None).machines[MACHINE], load_model(MODEL)
    profiles = load_profiles(None, model=MODEL, profile_set="aiconfigurator-0.12")
    mine = {p.tp: p for p in profiles if p.gpu == machine.gpu.profile_gpu and p.dtype == "bf16" and p.ep == 1}
    prompts, outputs = load_builtin(SERVICES[service]).lengths.sample(20_000, np.random.default_rng(1))
    lengths: dict[str, tuple[Ints, Ints]] = {"all": (prompts, outputs)}
    shares: dict[str, float] = {}
    for kind in nine_classes():
        rows = np.flatnonzero(kind.holds(prompts, outputs))
        if len(rows) >= 20:  # fewer say nothing of a 99th percentile
            shares[kind.name] = float(len(rows))
            lengths[kind.name] = (prompts[rows], outputs[rows])
    whole = sum(shares.values())
    shares = {name: count / whole for name, count in shares.items()}
    bodies = _bodies(machine, model, mine)
    knobs = {
        name: _knobs(bodies, name, prompts[:SAMPLE], outputs[:SAMPLE]) for name, (prompts, outputs) in lengths.items()
    }
    each = max(k.capacity_req_per_s for k in knobs["all"] if k.tp == machine.gpus)
    rate = servers * each * (1 - BASELINES["SinglePool"].margin_frac)
    return Lab(
        machine=machine, shares_frac=shares, knobs=knobs, bodies=bodies, lengths=lengths, rate_req_per_s=rate
    )  # fmt: skip


def _bodies(
    machine: Machine, model: ModelSpec, profiles: Mapping[int, KernelProfile]
) -> dict[tuple[int, int], InstancePhysics]:
    """Every layout at every clock."""
    settings = EngineSettings(memory_frac=0.9, max_batch_tokens=8192)
    return {
        (tp, clock): instance_physics(
            model, machine, Layout(tp=tp), profiles[tp], settings, limits=GpuLimits(clock_mhz=clock)
        )
        for tp in (2, 4, 8)
        if tp in profiles
        for clock in CLOCKS_MHZ
    }


def _knobs(
    bodies: Mapping[tuple[int, int], InstancePhysics], name: str, prompts: Ints, outputs: Ints
) -> tuple[Knob, ...]:
    """Every setting whose memory holds the requests."""
    found = []
    for (tp, clock), body in bodies.items():
        if body.kv_tokens < 2 * int(np.max(prompts + outputs)):
            continue
        table = operating(body, prompts, outputs, max_batch_size=MAX_BATCH)
        limit = TTFT_S["L" if name == "all" else name[0]]
        capacity = table.capacity_req_per_s(ttft_p99_s=limit, tpot_s=TPOT_S)
        found.append(Knob(tp=tp, clock_mhz=clock, table=table, capacity_req_per_s=capacity))
    return tuple(found)


def week_factors(service: str) -> Floats:
    """The template as shares of its peak, one per step, hours joined by straight lines."""
    hours = template(service)
    steps = np.arange(WEEK_HOURS * STEPS_PER_HOUR) / STEPS_PER_HOUR
    joined = np.interp(steps, np.arange(WEEK_HOURS + 1), np.append(hours, hours[0]))
    return np.asarray(joined / hours.max(), float)


def steady_factors(level: float, hours: float = 1.0) -> Floats:
    """A steady load."""
    return np.full(round(hours * STEPS_PER_HOUR), level)


def saving(weeks: Mapping[str, Week], name: str, against: str = "SinglePool", *, wall: bool = False) -> float:
    """Share of energy that a control saves."""

    def spent(w: Week) -> float:
        return w.energy_j + (w.host_j if wall else 0.0)

    return 1 - spent(weeks[name]) / spent(weeks[against])


def mean_machines(found: Week) -> float:
    """Servers powered on average."""
    return float(np.mean(found.machines))


def percentile_w(found: Week, percentile: float) -> float:
    """Draw of all GPUs."""
    return float(np.percentile(found.power_w, percentile))
