"""The door to the simulator: the compiled replay where it can, the event engine where it must."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from planner.perf.power import InstancePower, Unmetered, Watts
from planner.perf.step_time import StepTime
from planner.policies.base import Policy
from planner.policies.batching import ChunkForm, Continuous
from planner.policies.lending import Apart, MixedPool
from planner.policies.order import Fifo
from planner.policies.routing import ShortestQueue
from planner.policies.topology import Colocated, PhaseSplit
from planner.simulator import engine
from planner.simulator.core import run as core
from planner.simulator.core.cache import LIKELY_COMPILE_S
from planner.simulator.core.machine_code import REPLAY
from planner.simulator.engine import PoolModel, Run
from planner.simulator.failures import Failure
from planner.simulator.records import Window
from planner.simulator.shifts import Shift, in_order
from workloads.traces import Trace

EVENTS = "event engine"


def serve(
    pools: Sequence[PoolModel],
    policy: Policy,
    trace: Trace,
    window: Window,
    *,
    cutoff_s: float,
    failures: Sequence[Failure] = (),
    shifts: Sequence[Shift] = (),
    clients: int | None = None,
) -> Run:
    """Serve a trace; the arguments are those of ``engine.run``.

    Returns:
        What ``engine.run`` would, to rounding; its ``engine`` says who did it, and why if it was not the compiled
        replay.
    """
    reason = unsupported(pools, policy, failures)
    if shifts and not (type(policy.lending) is Apart and always_open(pools, policy, trace, shifts)):
        reason = reason or "instances that come and go"
    if not all(_known(s.physics.power) for s in shifts if s.physics):
        reason = reason or "watts of its own"
    if not reason:
        return core.run(pools, policy, trace, window, cutoff_s=cutoff_s, shifts=shifts, clients=clients)
    done = engine.run(
        pools, policy, trace, window, cutoff_s=cutoff_s, failures=failures, shifts=shifts, clients=clients
    )
    return replace(done, engine=f"{EVENTS}: {reason}")


def unsupported(pools: Sequence[PoolModel], policy: Policy, failures: Sequence[Failure] = ()) -> str:
    """Why a run is not one for the compiled replay, in a few words; empty where it is."""
    needs: tuple[tuple[bool, str], ...] = (
        (not failures, "machines fail"),
        (type(policy.topology) in (Colocated, PhaseSplit), "a topology of its own"),
        (type(policy.batching) is Continuous, "a batching of its own"),
        (all(p.physics.stages.count == 1 for p in pools), "pipelines"),
        (getattr(policy.batching, "form", None) is not ChunkForm.PREFILL_FIRST, "decodes that stand still"),
        (type(policy.order) is Fifo, "prompts that pass each other"),
        (type(policy.routing) is ShortestQueue, "a routing of its own"),
        (type(policy.lending) in (Apart, MixedPool), "a lending of its own"),
        (all(type(p.physics.step) is StepTime for p in pools), "a step time of its own"),
        (all(_known(p.physics.power) for p in pools), "watts of its own"),
        (len(pools) > 0, "no pools"),
    )
    return next((words for holds, words in needs if not holds), "")


def _known(power: Watts) -> bool:
    """Whether the compiled replay can meter it."""
    return type(power) is Unmetered or (type(power) is InstancePower and type(power.full_clock) is StepTime)


def always_open(pools: Sequence[PoolModel], policy: Policy, trace: Trace, shifts: Sequence[Shift]) -> bool:
    """Whether every phase has an instance that takes a class whenever a request of it comes, if it ever has one."""
    groups = [
        (kind, [n for n, pool in enumerate(pools) if pool.role is role and kind in pool.classes])
        for role in policy.topology.roles()
        for kind in range(len(trace.classes))
    ]
    pool_of = [n for n, pool in enumerate(pools) for _ in range(pool.instances)]
    taking, closed = [pool.instances for pool in pools], set[int]()
    ordered = [shift for shift in in_order(shifts) if shift.opens is not None]
    for place, shift in enumerate(ordered):
        if shift.opens is (shift.instance in closed):
            closed ^= {shift.instance}
            taking[pool_of[shift.instance]] += 1 if shift.opens else -1
        until_s = ordered[place + 1].at_s if place + 1 < len(ordered) else inf
        if until_s <= max(0.0, shift.at_s):
            continue
        missing = [kind for kind, members in groups if members and not any(taking[n] for n in members)]
        here = slice(*np.searchsorted(trace.arrival_s, (shift.at_s, until_s))) if missing else slice(0, 0)
        if np.isin(trace.class_index[here], missing).any():
            return False
    return True


def prepare(tell: Callable[[str], None]) -> None:
    """Compile the replay now if it has never been on this machine, and say so first."""
    if not REPLAY.kept:
        tell(f"compiling the simulator (once, about {LIKELY_COMPILE_S:.0f} s)")
