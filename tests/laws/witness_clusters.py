"""Random clusters, traces, failures and shifts, for laws that hold two simulators together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Layout, Role
from planner.perf.pipeline import Stages, TraversalTime
from planner.perf.power import InstancePower, Unmetered
from planner.perf.step_time import StepTime
from planner.perf.stream import StreamTime, Way
from planner.policies.base import Policy
from planner.simulator.books import Window, window
from planner.simulator.pools import Events, Failure, PoolModel, Shift
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_profile
from workloads.models import load_model
from workloads.requests import RequestClass
from workloads.traces import Trace, classify

CLASSES = (RequestClass(name="short", prompt_max_tokens=200), RequestClass(name="long", prompt_min_tokens=201))
MODEL, GPU = load_model("llama-3.1-8b"), load_catalog().gpus["h100-sxm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a simulator is asked.

    Attributes:
        pools: the cluster.
        policy: how it serves.
        trace: what arrives.
        failures: machines that fail.
        shifts: instances that come, go or change their clock.
        clients: most requests in flight; None is an open loop.
        cutoff_s: when it is cut off.
    """

    pools: list[PoolModel]
    policy: Policy
    trace: Trace
    failures: Sequence[Failure] = ()
    shifts: Sequence[Shift] = ()
    clients: int | None = None
    cutoff_s: float = 1e5

    def measured(self) -> Window:
        """The window."""
        return window(self.trace, warmup_frac=0.1, cooldown_frac=0.05, slices=3)

    def rest(self) -> dict[str, Any]:
        """When it ends, and what happens meanwhile."""
        beside = Events(failures=self.failures, shifts=self.shifts, clients=self.clients)
        return {"cutoff_s": self.cutoff_s, "beside": beside}


def body(draw: st.DrawFn, kind: str) -> InstancePhysics:
    """An instance with little or plenty of memory on a fast or slow link; plain, of stages in turn, or of streams."""
    profile = toy_profile(
        bend=draw(st.booleans()), context_s=draw(st.sampled_from([0.0, 1e-8, 1e-6])), short=draw(st.booleans())
    )
    found = toy_physics(
        kv_blocks=draw(st.sampled_from([70, 90, 150, 400, 10_000])),
        bandwidth_bytes_per_s=draw(st.sampled_from([1e6, 1e7, 1e9])),
        instances_per_machine=draw(st.integers(1, 3)), profile=profile,
    )  # fmt: skip
    found = replace(
        found, request_s=draw(st.sampled_from([0.0, 0.01])), lag_steps=draw(st.sampled_from([0.0, 1.5])),
        link_queues=draw(st.sampled_from([True, True, False])),
    )  # fmt: skip
    layout = Layout(tp=1)
    if kind == "stages":
        stages = Stages(
            count=draw(st.integers(2, 4)), hop_latency_s=draw(st.sampled_from([0.0, 1e-3])), hop_token_s=1e-6
        )
        found = replace(found, stages=stages, step=TraversalTime(profile, stages))
        layout = Layout(tp=1, pp=stages.count)
    elif kind == "streams":
        layout = Layout(tp=1, pp=draw(st.integers(1, 3)), kvp=draw(st.integers(1, 4)))
        way = Way(
            model=MODEL, layout=layout, max_batch_tokens=draw(st.sampled_from([128, 512])),
            group_tokens=draw(st.sampled_from([1, 64, 500])), hop_latency_s=1e-3, hop_token_s=1e-6,
            merge_latency_s=1e-5, merge_bytes_per_s=1e10,
        )  # fmt: skip
        if layout.pp * layout.kvp > 1:
            found = replace(found, step=StreamTime(profile, way))
    power = InstancePower(MODEL, GPU, layout, found.step, clock_mhz=draw(st.sampled_from([None, 1200.0])))
    return replace(found, power=power if kind == "plain" and draw(st.booleans()) else Unmetered())


@st.composite
def clusters(draw: st.DrawFn, kinds: Sequence[str] = ("plain", "stages", "streams")) -> tuple[list[PoolModel], Policy]:
    """Pools and a policy: every knob at values that make it matter."""
    name = draw(st.sampled_from(["colocated", "sarathi", "splitwise", "splitwise", "mnemosyne"]))
    limits = {"": 0.5} if draw(st.booleans()) else {"short": 0.2, "long": 2.0}
    policy = toy_policy(
        name, max_batch_size=draw(st.sampled_from([2, 7, 64])), mixed_pool=name == "splitwise" and draw(st.booleans()),
        kv_transfer=draw(st.sampled_from(["auto", "serialized", "layerwise"])),
        max_preemptions=draw(st.sampled_from([0, 1, 4])), recovery=draw(st.sampled_from(["restart", "checkpoint"])),
        prefill_threshold_tokens=draw(st.sampled_from([0, 500, 3000])),
        decode_threshold_tokens=draw(st.sampled_from([0, 300, 1000])),
        tbt_target_s=draw(st.sampled_from([0.01, 0.035, 0.06, 0.2])),
        order=draw(st.sampled_from([None, "fifo", "lars"])),
        chunk_form=draw(st.sampled_from(["stall-free", "decode-maximal", "adaptive", "prefill-first"])),
        ttft_limits_s=draw(st.sampled_from([{}, limits])), foresee_output=draw(st.booleans()),
        output_tokens=draw(st.sampled_from([0.0, 30.0, 2000.0])),
        long=name != "mnemosyne" and draw(st.booleans()),
        priorities=draw(st.sampled_from([{}, {"short": 1}, {"long": 5}, {"short": -2, "long": -1}])),
    )  # fmt: skip
    every = frozenset({0, 1})
    pools = [
        PoolModel(
            name=f"{role}{n}", role=role, physics=body(draw, draw(st.sampled_from(kinds))),
            instances=draw(st.integers(1, 3)), speed=draw(st.sampled_from([0.3, 1.0, 2.5])),
            chunk_tokens=draw(st.sampled_from([None, None, 20, 96, 512, 1 << 40])),
            classes=every if n == 0 else draw(st.sampled_from([every, frozenset({0}), frozenset({1})])),
        )
        for role in policy.topology.roles()
        for n in range(draw(st.integers(1, 2)))
    ]  # fmt: skip
    if policy.long:  # the first pools of the others may leave a class to it
        kept = draw(st.sampled_from([every, frozenset({0})]))
        pools = [replace(pool, classes=pool.classes & kept) for pool in pools]
        pools.append(
            PoolModel(
                name="long", role=Role.MIXED, physics=body(draw, draw(st.sampled_from(kinds))),
                instances=draw(st.integers(1, 2)), speed=draw(st.sampled_from([0.3, 1.0, 2.5])),
                chunk_tokens=draw(st.sampled_from([20, 96, 512])), classes=frozenset({1}), beside=True,
            )
        )  # fmt: skip
    return pools, policy


@st.composite
def traces(draw: st.DrawFn, most: int = 40) -> Trace:
    """Arrivals from idle to overload, alone or several at the same moment, in two classes, some cached in part."""
    trace = random_trace(
        draw(st.integers(0, 10_000)), draw(st.integers(1, most)), draw(st.floats(1.0, 200.0)), prompt_max=1000,
        output_max=60,
    )  # fmt: skip
    if draw(st.booleans()):
        trace.arrival_s[:] = np.round(trace.arrival_s, 1)
    trace = classify(trace, CLASSES)
    if draw(st.booleans()):
        return trace
    share = np.random.default_rng(len(trace)).uniform(-0.5, 1.0, len(trace)).clip(0.0)
    return replace(trace, cached_tokens=(share * trace.prompt_tokens).astype(np.int64))


@st.composite
def moves(draw: st.DrawFn, pools: Sequence[PoolModel]) -> list[Shift]:
    """Instances that come, go and change their clock."""
    shifts, first = list[Shift](), 0
    for pool in pools:
        plain = type(pool.physics.step) is StepTime
        slower = replace(pool.physics, step=StepTime(toy_profile(bend=True, context_s=3e-6)), request_s=0.02)
        for i in range(pool.instances):
            for at_s in draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.25, 3.0, 4.0]), max_size=3)):
                physics = draw(st.sampled_from([None, slower, pool.physics])) if plain else None
                opens = draw(st.sampled_from([None, True, False]))
                shifts.append(Shift(at_s=at_s, instance=first + i, opens=opens, physics=physics))
        first += pool.instances
    return shifts


@st.composite
def questions(draw: st.DrawFn, kinds: Sequence[str] = ("plain", "stages", "streams"), most: int = 40) -> Asked:
    """A cluster, what it is asked, and what befalls it."""
    pools, policy = draw(clusters(kinds))
    machines = sum(pool.machines for pool in pools)
    repair_s = st.none() | st.floats(0.001, 5.0)
    failure = st.builds(
        Failure, machine=st.integers(0, machines - 1), at_s=st.floats(0.001, 4.0), repair_s=repair_s
    )  # fmt: skip
    befalls = draw(st.sampled_from(["nothing", "failures", "shifts", "clients", "all"]))
    return Asked(
        pools=pools, policy=policy, trace=draw(traces(most)),
        failures=draw(st.lists(failure, max_size=3)) if befalls in ("failures", "all") else (),
        shifts=draw(moves(pools)) if befalls in ("shifts", "all") else (),
        clients=draw(st.integers(1, 20)) if befalls == "clients" else None,
        cutoff_s=draw(st.sampled_from([1e4, 1e4, 3.0])),
    )  # fmt: skip
