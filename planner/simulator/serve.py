"""The door to the simulator: every run of production code is served by the core."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from planner.errors import BadInput
from planner.perf.drafting import steps_of
from planner.perf.layout import Role
from planner.perf.power import InstancePower
from planner.perf.prefixes import found as found_prefixes
from planner.perf.step_time import StepTime
from planner.policies.base import Policy
from planner.policies.batching import Continuous, TokenBatches
from planner.policies.borrowing import Apart, MixedPool
from planner.policies.order import Order
from planner.policies.routing import LeastReserved, ShortestQueue
from planner.policies.topology import Colocated, PhaseSplit
from planner.simulator.books import Window
from planner.simulator.core import run as core
from planner.simulator.core.bodies import STEPS
from planner.simulator.core.cache import LIKELY_COMPILE_S
from planner.simulator.core.machine_code import REPLAY
from planner.simulator.pools import NOTHING, Events, PoolModel, Run, Shift
from workloads.traces import Trace


def serve(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float,
    beside: Events = NOTHING,
) -> Run:  # fmt: skip
    """Serve a trace.

    Args:
        pools: the cluster; a request that needs a role in which no pool serves its class is refused.
        policy: how it serves.
        trace: what arrives.
        window: which arrivals are measured.
        cutoff_s: simulated time at which an overloaded run is cut off.
        beside: what else happens.

    Returns:
        Rows, histograms, meters and what was left over; ``interpreted`` says why it was not compiled, where it was not.

    Raises:
        TypeError: a part of the policy or of the physics is of a kind that the engine does not know, alone or together.
    """
    known(pools, policy, beside.shifts)
    if type(policy.routing) is LeastReserved:
        _knows_reserved(pools, policy, trace, beside=bool(beside.failures or beside.shifts))
    return core.run(pools, policy, _as_served(pools, trace), window, cutoff_s=cutoff_s, beside=beside)


def stepwise(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float,
    beside: Events = NOTHING,
) -> Run:  # fmt: skip
    """The same run by the reference, ten to a thousand times slower; it meters nothing and is not looked at.

    Raises:
        TypeError: as ``serve``.
        BadInput: the reference does not know the policy's routing, or where first tokens come from.
    """
    from planner.simulator import reference  # SimPy is imported only by those who ask for it

    known(pools, policy, beside.shifts)
    if isinstance(policy.topology, PhaseSplit) and policy.topology.answered_by is Role.DECODE:
        raise BadInput("topology: the reference sends first tokens from where they are computed")
    return reference.serve(pools, policy, _as_served(pools, trace), window, cutoff_s=cutoff_s, beside=beside)


def _as_served(pools: Sequence[PoolModel], trace: Trace) -> Trace:
    """The trace as engines see it: prompts with what caches hold of them, outputs as many steps as they take."""
    trace = found_prefixes([(pool.physics, pool.instances) for pool in pools], trace)
    gained = max((pool.physics.step_tokens for pool in pools), default=1.0)
    if gained == 1:
        return trace
    return replace(trace, output_tokens=steps_of(trace.output_tokens, gained))


def known(pools: Sequence[PoolModel], policy: Policy, shifts: Sequence[Shift] = ()) -> None:
    """See to it that the engine knows every part: one that only inherits from a known one may do otherwise.

    Raises:
        TypeError: it does not.
    """
    bodies = [*(p.physics for p in pools), *(s.physics for s in shifts if s.physics)]
    free = [body.power.full_clock for body in bodies if isinstance(body.power, InstancePower)]
    parts: tuple[tuple[str, list[object], tuple[type, ...]], ...] = (
        ("topology", [policy.topology], (Colocated, PhaseSplit)),
        ("batching", [policy.batching], (TokenBatches if type(policy.routing) is LeastReserved else Continuous,)),
        ("order", [policy.order], (Order,)),
        ("routing", [policy.routing], (ShortestQueue, LeastReserved)),
        ("borrowing", [policy.borrowing], (Apart, MixedPool)),
        ("step time", [*(body.step for body in bodies), *free], (StepTime, *STEPS)),
    )
    for name, found, kinds in parts:
        for part in found:
            if type(part) not in kinds:
                names = ", ".join(kind.__name__ for kind in kinds)
                raise TypeError(f"{name}: the simulator knows {names}, not {type(part).__name__}")


def _knows_reserved(pools: Sequence[PoolModel], policy: Policy, trace: Trace, *, beside: bool) -> None:
    """See to it that a run under memory reserved at arrival asks for nothing that those rules leave open.

    Raises:
        TypeError: it does.
    """
    asked = {
        "failures and shifts": beside,
        "an order that moves": policy.order.moves,
        "chunks": any(p.chunk_tokens for p in pools),
        "pipeline stages and streams": any(p.physics.stages.count > 1 for p in pools) or policy.streams,
        "a prefix cache": trace.cached_tokens is not None,
    }
    found = [words for words, there in asked.items() if there]
    if found:
        raise TypeError(f"routing: {type(policy.routing).__name__} does not go with {', '.join(found)}")


def prepare(tell: Callable[[str], None]) -> None:
    """Compile the engine now if it has never been on this machine, and say so first."""
    if not REPLAY.kept:
        tell(f"compiling the simulator (once, about {LIKELY_COMPILE_S:.0f} s)")
