"""Runs of the simulator's core for tests."""

from collections.abc import Sequence

from planner.policies.base import Policy
from planner.simulator.books import Window
from planner.simulator.core import run as core
from planner.simulator.pools import UNLIMITED, Events, Failure, PoolModel, Run, Shift
from workloads.traces import Trace


def run(
    pools: Sequence[PoolModel],
    policy: Policy,
    trace: Trace,
    measured: Window,
    *,
    cutoff_s: float,
    max_run_steps: int = UNLIMITED,
    failures: Sequence[Failure] = (),
    shifts: Sequence[Shift] = (),
    clients: int | None = None,
    interpreted: bool = False,
) -> Run:
    """Serve a trace; step by step where ``max_run_steps`` is 1."""
    return core.run(
        pools, policy, trace, measured, cutoff_s=cutoff_s, max_run_steps=max_run_steps, interpreted=interpreted,
        beside=Events(failures=failures, shifts=shifts, clients=clients),
    )  # fmt: skip
