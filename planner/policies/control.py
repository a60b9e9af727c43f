"""The control seam: what may change with time, and what a change costs. Pure decisions; the simulator keeps the clock.

Three loops, slow to fast, as in DynamoLLM: machines of a pool by forecast (cluster), tensor-parallel ways by load
(pool), SM clock by load (instance). Each can be switched off; a baseline is what is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from planner.perf.operating import Operating


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Which knobs follow the load, how often, and how long each change takes.

    Attributes:
        name: for example ``DynamoLLM``.
        pools: classes have pools of their own; else all share one.
        instances: the number of machines follows the forecast.
        shards: tensor-parallel ways follow the load.
        clock: the SM clock follows the load.
        cluster_period_s: between decisions on machines.
        pool_period_s: between decisions on tensor-parallel ways.
        instance_period_s: between decisions on clocks; the simulation's step.
        start_s: from the order of a machine to its first request.
        reshard_s: for which an instance stands still while its weights move.
        clock_s: for which an instance stands still while its clock changes.
        margin_frac: share of its capacity that a decision leaves free.

    The periods are published (second-hand); a start takes 6 to 8 min, moving weights 50 to 100 ms, a clock 50 to 80 ms
    (second-hand): the defaults are the middle. The margin is assumed.
    """

    name: str
    pools: bool
    instances: bool
    shards: bool
    clock: bool
    cluster_period_s: float = 1800.0
    pool_period_s: float = 300.0
    instance_period_s: float = 5.0
    start_s: float = 420.0
    reshard_s: float = 0.075
    clock_s: float = 0.065
    margin_frac: float = 0.1


BASELINES: Mapping[str, Control] = {
    control.name: control
    for control in (
        Control(name="SinglePool", pools=False, instances=False, shards=False, clock=False),
        Control(name="MultiPool", pools=True, instances=False, shards=False, clock=False),
        Control(name="ScaleInst", pools=True, instances=True, shards=False, clock=False),
        Control(name="ScaleShard", pools=True, instances=False, shards=True, clock=False),
        Control(name="ScaleFreq", pools=True, instances=False, shards=False, clock=True),
        Control(name="DynamoLLM", pools=True, instances=True, shards=True, clock=True),
    )
}
"""The published comparison, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One setting of a pool's instances: how it behaves, and the rate at which it keeps the class's objectives.

    Attributes:
        tp: GPUs of an instance.
        clock_mhz: SM clock.
        table: its operating points.
        capacity_req_per_s: of one instance within the objectives; 0 where it never keeps them.
    """

    tp: int
    clock_mhz: int
    table: Operating
    capacity_req_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """What a pool's controllers know.

    Attributes:
        machine_gpus: GPUs of a machine.
        machines: machines that serve.
        knobs: every setting the pool may have.
        forecast_req_per_s: highest rate expected until the next decision on machines.
        rate_req_per_s: highest rate expected until the next decision on shards.
    """

    machine_gpus: int
    machines: int
    knobs: Sequence[Knob]
    forecast_req_per_s: float
    rate_req_per_s: float


def best_rate(state: PoolState) -> float:
    """The most that one machine of the pool carries within its objectives."""
    return max((k.capacity_req_per_s * (state.machine_gpus // k.tp) for k in state.knobs), default=0.0)


def machines_needed(state: PoolState, control: Control) -> int:
    """Machines for the forecast: ⌈peak / most of one machine⌉, the margin kept, at least one."""
    most = best_rate(state) * (1 - control.margin_frac)
    return max(1, ceil(state.forecast_req_per_s / most - 1e-9)) if most else 1


def spilled(states: Sequence[PoolState], control: Control) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Machines of pools that are ordered small to large, only the last of which may provide more than it needs.

    Each pool but the last gets whole machines for what fills them; the rest of its load moves up to the next.

    Returns:
        Machines per pool, and the share of each pool's load that moves up to the next.
    """
    counts: list[int] = []
    moved: list[float] = []
    carried = 0.0
    for position, state in enumerate(states):
        most = best_rate(state) * (1 - control.margin_frac)
        own = state.forecast_req_per_s / most if most else 0.0
        wanted = own + carried
        last = position == len(states) - 1
        count = max(1, ceil(wanted - 1e-9)) if last else floor(wanted + 1e-9)
        carried = 0.0 if last else max(0.0, wanted - count)  # whole but for rounding, nothing is left to move
        moved.append(carried / wanted if wanted > 0 else 0.0)
        counts.append(count)
    return tuple(counts), tuple(moved)


def shard(state: PoolState, control: Control) -> Knob:
    """The layout that draws least at the rate, among those whose instances carry it; else the one that carries most.

    Instances that are not needed idle: their GPUs draw what GPUs draw with a model loaded.
    """
    gpus = state.machines * state.machine_gpus
    fitting = []
    for knob in state.knobs:
        count = gpus // knob.tp
        each = state.rate_req_per_s / max(1, count)
        if count and each <= knob.capacity_req_per_s * (1 - control.margin_frac):
            fitting.append((count * float(knob.table.watts_at(each)), knob.tp, knob.clock_mhz, knob))
    if fitting:
        return min(fitting, key=lambda item: item[:3])[3]
    return max(state.knobs, key=lambda k: (k.capacity_req_per_s / k.tp, k.tp, k.clock_mhz))


def moves(state: PoolState, control: Control, now: Knob) -> tuple[int, int]:
    """Machines and tensor-parallel ways that the control wants next."""
    machines = machines_needed(state, control) if control.instances else state.machines
    return machines, (shard(state, control).tp if control.shards else now.tp)
