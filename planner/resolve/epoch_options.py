"""What a scenario may run in an epoch: machine types, layouts and clocks, with what each carries and draws."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from hw_catalog.machines import Machine
from planner.capacity.envelope import Envelope, Option
from planner.capacity.redundancy import least_spares
from planner.capacity.waiting import most_busy_frac
from planner.perf.layout import Role
from planner.perf.operating import operating
from planner.resolve.case import Case
from planner.resolve.interruptions import spare_line
from planner.resolve.prices import price_of
from planner.results.schedule import EpochOption, FleetType, SpareLine
from planner.scenario.schedule_section import ScheduleSection
from workloads.demand import ClassDemand
from workloads.slo import Metric, Slo, Unit

SAMPLE = 200
"""Requests of a class that its watts are computed from."""

ANY = 10_000
"""More machines than anyone has."""


def epoch_options(case: Case, names: Collection[str] | None = None) -> tuple[EpochOption, ...]:
    """Every option, or those of some names, at what one instance carries and draws, ordered by name."""
    thin = {part.request_class.name: _thin(part) for part in case.asked.demand.classes}
    own = {name for option in case.options if option.spec.name in case.beside for name in option.envelopes}
    some = [option for option in case.options if names is None or option.spec.name in names]
    kept = [(option, carried) for option in some if (carried := _carried(case, option, own))]
    return tuple(_epoch_option(case, replace(option, envelopes=carried), thin) for option, carried in kept)


def _carried(case: Case, option: Option, own: Collection[str]) -> dict[str, Envelope]:
    """The classes that an option carries beside others.

    Classes share instances, and any of their steps may be a full chunk of another's prompts: where that alone takes
    longer than a class's limit on the time of a token, the class is not carried, unless it is the only one. A class of
    long contexts that has instances ``own`` is on no others: a few of them would decide how long the others wait, and
    what so few requests meet is told over a window of their own.
    """
    if option.spec.name in case.beside:
        return dict(option.envelopes)
    mine = {name: each for name, each in option.envelopes.items() if name not in own}
    chunk = option.spec.chunk_tokens
    if chunk is None or option.spec.role is not Role.MIXED or len(mine) <= 1:
        return mine
    step_s = case.physics[option.spec.name].step.prefill_s([(chunk, 0)])
    return {name: each for name, each in mine.items() if step_s <= _token_limit_s(case, name)}


def _token_limit_s(case: Case, name: str) -> float:
    """The tightest objective of a class on the time of a token, s."""
    mine = (s for s in case.slos if s.request_class in (None, name) and s.unit is Unit.SECONDS)
    return min((s.limit for s in mine if s.metric is Metric.TPOT or s.metric.bounds_gaps), default=inf)


def _epoch_option(case: Case, option: Option, demand: Mapping[str, ClassDemand]) -> EpochOption:
    """The option by the instance.

    Watts of an instance above its machine's idle draw: floor + sum over classes of joules of a request · rate. Classes
    have floors of their own; the lowest is the instance's, and what others draw more is spread over their requests at
    the rate that fills the instance.
    """
    rates = {name: part.rate_req_per_s for name, part in demand.items()}
    capacity = {name: _capacity_req_per_s(case, option, name, e, rates[name]) for name, e in option.envelopes.items()}
    lines = {name: _watts_line(case, option, demand[name], rate) for name, rate in capacity.items()}
    floor_w = min(floor for floor, _ in lines.values())
    request_j = {name: work_j + (floor - floor_w) / capacity[name] for name, (floor, work_j) in lines.items()}
    return EpochOption(
        spec=option.spec, gpus=option.spec.layout.gpus, capacity_req_per_s=capacity, floor_w=floor_w,
        request_j=request_j, machines_per_instance=option.machines_per_instance,
        instances_per_machine=option.instances_per_machine, spares=_spare_line(option),
    )  # fmt: skip


def with_spares(options: Iterable[EpochOption], case: Case) -> tuple[EpochOption, ...]:
    """Options with the spare machines that a case asks of their pools."""
    lines = {option.spec.name: _spare_line(option) for option in case.options}
    return tuple(replace(option, spares=lines[option.name]) for option in options)


def _spare_line(option: Option) -> SpareLine | None:
    """Spare machines of a pool of an option at least; None where availability is not asked for."""
    if option.reliability is None:
        return None
    fixed, ratio = least_spares(option.spec.role, option.machines_per_instance, option.reliability)
    return SpareLine(machines=fixed, ratio=ratio)


def _watts_line(case: Case, option: Option, part: ClassDemand, full_req_per_s: float) -> tuple[float, float]:
    """Watts at the wall above the machine's idle draw as a line over the rate: (at no rate, joules of a request).

    Where phases are split they are those of its envelope, as in a plan of one load.

    Watts rise steeply with the first requests and slowly after. The line is through half of the rate that fills the
    instance and all of it, between which instances are run; below it is higher than what is drawn.
    """
    body, name = case.physics[option.spec.name], part.request_class.name
    if option.spec.role is not Role.MIXED:
        return option.wall_ratio * option.envelopes[name].floor_w, option.work_j(name)
    table = operating(body, part.prompt_tokens, part.output_tokens, max_batch_size=case.scenario.policy.max_batch_size)
    half_w, full_w = (
        option.wall_ratio * max(0.0, table.watts_at(rate) - table.idle_w)
        for rate in (full_req_per_s / 2, full_req_per_s)
    )
    return max(0.0, 2 * half_w - full_w), min(full_w, 2 * (full_w - half_w)) / full_req_per_s


def _thin(part: ClassDemand) -> ClassDemand:
    """The class by fewer of its requests."""
    size = len(part.prompt_tokens)
    if size <= SAMPLE:
        return part
    rows = np.linspace(0, size - 1, SAMPLE).astype(np.int64)
    return replace(part, prompt_tokens=part.prompt_tokens[rows], output_tokens=part.output_tokens[rows])


def _capacity_req_per_s(case: Case, option: Option, name: str, carried: Envelope, rate_req_per_s: float) -> float:
    """Rate of one class alone that fills an instance, its memory or its share of the link within its headroom.

    Or at which too many prompts wait too long: a slow instance that needs most of a limit on the first token for the
    prompt itself leaves little of it to wait, and is run emptier than a fast one.
    """
    headroom, link = case.scenario.headroom_limits(), option.machine.inter_link
    busy_s, held = carried.prefill_s + carried.decode_s, carried.kv_tokens_s / option.kv_tokens
    sent_s = carried.link_bytes / link.bandwidth_bytes_per_s if carried.link_bytes else 0.0
    shared_s = sent_s * option.instances_per_machine / headroom.link_frac
    waited = (
        carried.prefill_s / _patient_frac(slo, carried, rate_req_per_s) for slo in case.slos
        if slo.metric is Metric.TTFT and slo.unit is Unit.SECONDS and slo.request_class in (None, name)
    )  # fmt: skip
    full = (busy_s / headroom.of(option.spec.role), held / headroom.kv_frac, shared_s)
    return 1 / max(*full, *waited, 1e-9)


def _patient_frac(slo: Slo, carried: Envelope, rate_req_per_s: float) -> float:
    """Share of its time that an instance may compute prompts, so that few wait for longer than a limit leaves them."""
    if not carried.prefill_s:
        return 1.0
    patience_ratio = max(0.0, slo.limit - carried.ttft_s) / carried.prefill_s
    return most_busy_frac(rate_req_per_s * carried.prefill_s, patience_ratio, 1 - slo.percentile / 100)


def fleet(case: Case, section: ScheduleSection, names: Sequence[str]) -> Iterator[FleetType]:
    """The machine types that some option stands on; one that the top channel does not sell stays in the base fleet."""
    machines: Mapping[str, Machine] = {option.machine.name: option.machine for option in case.options}
    fixed, ratio = spare_line(section.interruptions_per_h_ratio, section.start_s, section.spare_confidence_frac)
    for name in sorted(set(names)):
        machine = machines[name]
        base, top = price_of(case.scenario, machine), price_of(case.scenario, machine, section.top_channel)
        assert base is not None  # an option is offered only where it has a price
        available = case.available.get(name, ANY)
        # each a start: what the new one costs and draws until it serves, the one that is gone does not
        fees = section.interruptions_per_h_ratio * section.start_usd
        yield FleetType(
            machine=name, gpus=machine.gpus, idle_w=machine.idle_w, base_usd_per_h=base.usd_per_h,
            top_usd_per_h=top.usd_per_h + fees if top else 0.0,
            most_base_machines=min(available, ANY if section.base_machines is None else section.base_machines),
            available=available, most_top_machines=available if top else 0, rated_w=machine.rated_w,
            rack_units=machine.rack_units or 0.0, spare_machines=fixed, spare_ratio=ratio,
        )  # fmt: skip


def unsold_on_top(case: Case, section: ScheduleSection) -> tuple[str, ...]:
    """Full sentences on machine types that the channel for machines on top does not sell."""
    machines = {option.machine.name: option.machine for option in case.options}
    found = []
    for name, machine in sorted(machines.items()):
        if price_of(case.scenario, machine, section.top_channel) is None:
            sold = ", ".join(sorted({price.channel for price in machine.prices})) or "none"
            found.append(
                f"{name} has no {section.top_channel} price, so it is only in the base fleet, paid around the clock "
                f"through {case.scenario.catalog.channel} (schedule.top_channel; it has prices for: {sold})"
            )
    return tuple(found)
