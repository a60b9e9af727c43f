"""Questions over time made of simple numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from planner.formulate.epoch_question import EpochQuestion
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.schedule import EpochOption, FleetType, Tariff
from planner.scenario.objectives import Aim, Transitions
from workloads.load import Floats, Load


def kind(name: str, *, price: float = 10.0, idle_w: float = 1000.0, most: int = 6) -> FleetType:
    """A machine of eight GPUs, half as dear again on top."""
    return FleetType(
        machine=name, gpus=8, idle_w=idle_w, base_usd_per_h=price, top_usd_per_h=price * 1.5, most_base_machines=most,
        available=12, most_top_machines=12, rated_w=2 * idle_w, rack_units=8.0,
    )  # fmt: skip


def choice(
    machine: str,
    tp: int,
    capacity: dict[str, float],
    *,
    clock_mhz: int = 1980,
    j: float = 500.0,
    floor_w: float = 100.0,
    role: Role = Role.MIXED,
) -> EpochOption:
    """An option whose energy per request is ``j`` in every class."""
    spec = InstanceSpec(role=role, machine=machine, layout=Layout(tp=tp), clock_mhz=clock_mhz)
    return EpochOption(spec=spec, gpus=tp, capacity_req_per_s=capacity, request_j=dict.fromkeys(capacity, j),
                       floor_w=floor_w)  # fmt: skip


def question(
    rates: dict[str, Sequence[float]], *, aims: tuple[Aim, ...] = (Aim.COST,), epoch_s: float = 3600.0, **changes: Any
) -> EpochQuestion:
    """Two machine types, the faster with two clocks; peaks a tenth above the means."""
    names = tuple(rates)
    fast, slow = kind("fast", price=20.0, idle_w=2000.0), kind("slow")
    options = (
        choice("fast", 4, dict.fromkeys(names, 2.0), clock_mhz=1200, j=300.0),
        choice("fast", 4, dict.fromkeys(names, 3.0)),
        choice("slow", 8, dict.fromkeys(names, 2.5), j=800.0),
    )
    mean = {name: np.asarray(values, float) for name, values in rates.items()}
    epochs = len(next(iter(mean.values())))
    return EpochQuestion(
        options=options, fleet=(fast, slow),
        load=Load(epoch_s=epoch_s, mean_req_per_s=mean, peak_req_per_s={n: v * 1.1 for n, v in mean.items()}),
        transitions=Transitions(**changes),
        tariff=Tariff(
            usd_per_kwh=0.1, carbon_g_per_kwh=tuple(100.0 + 50 * (t % 3) for t in range(epochs)), pue_ratio=1.2
        ),
        aims=aims,
    )  # fmt: skip


def split(asked: EpochQuestion, *names: str) -> EpochQuestion:
    """The same with prefill and decode instances for these classes, and those of both phases for the others alone."""
    others = tuple(
        replace(o, capacity_req_per_s={n: c for n, c in o.capacity_req_per_s.items() if n not in names},
                request_j={n: j for n, j in o.request_j.items() if n not in names})
        for o in asked.options
    )  # fmt: skip
    pools = (
        choice("fast", 4, dict.fromkeys(names, 6.0), role=Role.PREFILL, j=200.0),
        choice("fast", 2, dict.fromkeys(names, 2.0), role=Role.DECODE, j=300.0),
        choice("slow", 4, dict.fromkeys(names, 2.0), role=Role.DECODE, j=400.0),
    )
    return replace(asked, options=(*pools, *(o for o in others if o.capacity_req_per_s)))


def coarser(load: Load, times: int) -> Load:
    """The same load in epochs ``times`` as long: means averaged, peaks the highest."""

    def grouped(values: Floats) -> Floats:
        return values.reshape(-1, times)

    return Load(
        epoch_s=load.epoch_s * times,
        mean_req_per_s={name: grouped(values).mean(axis=1) for name, values in load.mean_req_per_s.items()},
        peak_req_per_s={name: grouped(values).max(axis=1) for name, values in load.peak_req_per_s.items()},
    )
