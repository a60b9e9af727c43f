"""What a scenario may run in an epoch: machine types, layouts and clocks, with what each carries and draws."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hw_catalog.machines import Machine
from planner.capacity.envelope import Unfit, envelope
from planner.perf.instance import InstancePhysics, instance_physics
from planner.perf.operating import operating
from planner.resolve.case import Case
from planner.resolve.interruptions import spare_line
from planner.results.plan import InstanceSpec, Role
from planner.results.schedule import EpochOption, FleetType
from planner.scenario.schedule_section import ScheduleSection
from workloads.demand import ClassDemand

SAMPLE = 200
"""Requests of a class that stand for it: an option is tried at many clocks, and means move by a few per cent."""

WALL_RATIO = 1.21
"""Watts at the wall per watt of the GPUs beyond the idle draw. Source: MLPerf v4.1 H200 wall readings, derived."""

ANY = 10_000
"""More machines than anyone has."""

Kind = tuple[EpochOption, InstancePhysics]


def epoch_kinds(case: Case, section: ScheduleSection) -> tuple[Kind, ...]:
    """Every option at every clock asked for that carries a class, with its physics, ordered by name."""
    found = []
    for base in case.options:
        if base.spec.role is not Role.MIXED:
            continue
        for clock in section.clocks_mhz or (None,):
            body, spec = _at_clock(case, base.spec, base.machine, clock)
            if (kind := _kind(case, spec, body)) is not None:
                found.append((kind, body))
    return tuple(sorted(found, key=lambda pair: pair[0].name))


def _at_clock(
    case: Case, spec: InstanceSpec, machine: Machine, clock: int | None
) -> tuple[InstancePhysics, InstanceSpec]:
    if clock is None:
        return case.physics[spec.name], spec
    knobs = case.scenario.policy
    body = instance_physics(
        case.model, machine, spec.layout, case.profiles[spec.name], memory_frac=knobs.kv_memory_frac,
        max_batch_tokens=spec.chunk_tokens or knobs.max_batch_tokens, block_tokens=knobs.block_tokens, clock_mhz=clock,
    )  # fmt: skip
    slower = InstanceSpec(
        role=spec.role, machine=spec.machine, layout=spec.layout, chunk_tokens=spec.chunk_tokens, clock_mhz=clock
    )
    return body, slower


def _kind(case: Case, spec: InstanceSpec, body: InstancePhysics) -> EpochOption | None:
    """The option at its working points; None where it carries no class."""
    headroom = case.scenario.headroom_limits()
    capacity, request_j = {}, {}
    for part in map(_thin, case.asked.demand.classes):
        try:
            carried = envelope(Role.MIXED, body, case.policy, part, case.slos, case.reference)
        except Unfit:
            continue
        busy, held = carried.prefill_s + carried.decode_s, carried.kv_tokens_s / body.kv_tokens
        name, rate = part.request_class.name, min(headroom.mixed_frac / busy, headroom.kv_frac / max(held, 1e-9))
        table = operating(
            body, part.prompt_tokens, part.output_tokens, max_batch_size=case.scenario.policy.max_batch_size
        )
        capacity[name] = rate
        request_j[name] = WALL_RATIO * max(0.0, table.watts_at(rate) - table.idle_w) / rate
    return (
        EpochOption(spec=spec, gpus=spec.layout.gpus, capacity_req_per_s=capacity, request_j=request_j)
        if capacity
        else None
    )


def _thin(part: ClassDemand) -> ClassDemand:
    """The class by fewer of its requests, the longest among them."""
    size = len(part.prompt_tokens)
    if size <= SAMPLE:
        return part
    longest = [np.argmax(part.prompt_tokens), np.argmax(part.prompt_tokens + part.output_tokens)]
    rows = np.unique(np.append(np.linspace(0, size - 1, SAMPLE).astype(np.int64), longest))
    return ClassDemand(
        request_class=part.request_class, rate_req_per_s=part.rate_req_per_s, prompt_tokens=part.prompt_tokens[rows],
        output_tokens=part.output_tokens[rows],
    )  # fmt: skip


def fleet(case: Case, section: ScheduleSection, names: Sequence[str]) -> Iterator[FleetType]:
    """The machine types that some option stands on; one that the top channel does not sell stays in the base fleet."""
    machines: Mapping[str, Machine] = {option.machine.name: option.machine for option in case.options}
    fixed, ratio = spare_line(section.interruptions_per_h_ratio, section.start_s, section.spare_confidence_frac)
    for name in sorted(set(names)):
        machine = machines[name]
        base, top = machine.price(case.scenario.catalog.channel), machine.price(section.top_channel)
        assert base is not None  # an option is offered only where it has a price
        available = case.available.get(name, ANY)
        lost = 1 + section.interruptions_per_h_ratio * section.start_s / 3600
        yield FleetType(
            machine=name, gpus=machine.gpus, idle_w=machine.idle_w, base_usd_per_h=base.usd_per_h,
            top_usd_per_h=lost * (top.usd_per_h if top else 10 * base.usd_per_h),
            most_base_machines=min(available, ANY if section.base_machines is None else section.base_machines),
            available=available, spare_machines=fixed, spare_ratio=ratio,
        )  # fmt: skip
