"""The row that the machines of plans stand in: what is known of them, put together into a question about the row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hw_catalog.domains import Hierarchy, PowerControls, load_power_delivery
from hw_catalog.machines import Machine
from planner.perf.instance import GpuLimits, InstancePhysics, Streaming, instance_physics
from planner.perf.layout import Role
from planner.perf.power import curve_of
from planner.perf.response import InstanceResponse, instance_response
from planner.planning.oversubscribe import RowLab, RowQuestion
from planner.policies.power import NoCap, OneThreshold, Polca, PowerPolicy
from planner.resolve.case import Case
from planner.resolve.layouts import settings_of
from planner.resolve.long_context import group_tokens
from planner.resolve.row_checks import A100_CLOCKS_MHZ, A100_MHZ, row_clocks_mhz
from planner.results.fleet import machines_of
from planner.results.plan import CandidatePlan, Pool
from planner.results.row import RowStudy
from planner.scenario.power import PowerSection
from planner.simulator.rows.load import WeeklyLoad, interleaved
from planner.simulator.rows.rows import Floor
from planner.simulator.rows.servers import Kind
from workloads.counts import percent, plural

Ints = NDArray[np.int64]
Progress = Callable[[str, float], None]

SAMPLES = 2048
SEED = 20230621

ALIKE_LOW_FRAC = 0.5
"""Assumed share of the machines that serve low priority where all requests have the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """The plan of one model whose machines stand in rows.

    Attributes:
        case: everything the plan was made from.
        candidate: the plan.
        model: what the model is called where those of several stand in a row; empty where it is the only one.
    """

    case: Case
    candidate: CandidatePlan
    model: str = ""

    def called(self, pool: Pool) -> str:
        """The name of one of its pools among those of all models."""
        return f"{self.model}: {pool.spec.name}" if self.model else pool.spec.name


def study(case: Case, candidate: CandidatePlan, progress: Progress, *, held_only: bool = False) -> RowStudy:
    """How many machines like the plan's a row may hold.

    Args:
        case: everything the plan was made from; its scenario has a row limit.
        candidate: the plan.
        progress: takes what is being done, and the share that is.
        held_only: no more is asked than whether the rows hold them.
    """
    return shared_study((Tenant(case=case, candidate=candidate),), case.scenario.power, progress, held_only=held_only)


def shared_study(
    tenants: Sequence[Tenant], asked: PowerSection, progress: Progress, *, held_only: bool = False
) -> RowStudy:  # fmt: skip
    """How many machines a row may hold that has those of several models in the proportion of their plans.

    Args:
        tenants: the plans.
        asked: the rows, with a limit.
        progress: takes what is being done, and the share that is.
        held_only: no more is asked than whether the rows hold them; so it is of several plans, which are made again.
    """
    limit_w = asked.row_limit_w
    assert limit_w is not None
    machines, pools = _by_type(tenants), [pool for tenant in tenants for pool in tenant.candidate.pools]
    rated_w = _mean_rated_w(machines, pools)
    controls, hierarchy = _delivery(asked)
    by_rating = int(limit_w // rated_w)
    provisioned = asked.provisioned_machines or by_rating
    count = sum(pool.machines for pool in pools)
    enough = -(-count // asked.rows)
    one_more = provisioned + (asked.max_ratio > 1)  # a row meant for one machine may hold two
    most = max(one_more, int(asked.max_ratio * provisioned), by_rating)
    most = min(most, max(provisioned, enough)) if held_only or len(tenants) > 1 else most
    clocks = {name: row_clocks_mhz(asked, machine.gpu, controls.brake_mhz) for name, machine in machines.items()}
    first = pools[0].spec.machine  # orders name its clocks; other types follow by place
    low_fracs = _low_priority_fracs(tenants, asked)
    question = RowQuestion(
        floor=_floor(tenants, asked, machines, most, clocks, low_fracs), limit_w=limit_w,
        provisioned_machines=provisioned, policy=NoCap(release_frac=asked.release_frac), thresholds_frac=(),
        limits_frac=_limits(asked), controls=controls,
        seeds=tuple(range(asked.first_seed, asked.first_seed + asked.weeks)), week_s=asked.week_s, tick_s=asked.tick_s,
    )  # fmt: skip
    control, lab, holds = _best(asked, question, clocks[first], enough, progress)
    chosen, needed_rows = max(holds, 1), -(-count // holds) if holds else 0
    tree = hierarchy.domains(row_limit_w=limit_w, machines=chosen, rated_w=rated_w)
    return RowStudy(
        machine=" + ".join(machines), policy=str(control.policy), thresholds_frac=_thresholds(control),
        row_limit_w=limit_w, provisioned_machines=provisioned,
        peak_frac=lab.peak_frac, uncapped_ratio=1 / lab.peak_frac, uncapped_machines=lab.uncapped_machines,
        machines=holds, ratio=holds / provisioned, rise_2s_frac=lab.rise_frac(2.0), rise_40s_frac=lab.rise_frac(40.0),
        trials=tuple(lab.trials[n] for n in sorted(lab.trials)), domains=lab.domains(tree, chosen, rated_w),
        weeks=asked.weeks, week_s=asked.week_s, tick_s=asked.tick_s,
        assumptions=_assumptions(asked, tuple(machines.values()), pools, most, _low_words(tenants, low_fracs)),
        rows=asked.rows, plan_machines=count, needed_rows=needed_rows,
        placed=_placed([(t.called(p), p.machines) for t in tenants for p in t.candidate.pools], needed_rows),
        series=lab.series.get(chosen, lab.series.get(min(lab.series, default=0))),
    )  # fmt: skip


def _best(
    asked: PowerSection, question: RowQuestion, clocks: Mapping[str, float], enough: int, progress: Progress
) -> tuple[PowerSection, RowLab, int]:
    """The first control under which a row holds enough machines for the plan, else that under which it holds most.

    Those that slow down least are tried first.

    Returns:
        The control, its trials, and how many it holds.
    """
    found: tuple[PowerSection, RowLab, int] | None = None
    for control in asked.controls():
        own = replace(question, policy=_policy(control, clocks), thresholds_frac=_thresholds(control))
        lab = RowLab(own, lambda words, frac: progress(f"row: {words}", frac), found[1] if found else None)
        holds = lab.largest()
        if found is None or holds > found[2]:
            found = control, lab, holds
        if holds >= enough:
            break
    assert found is not None, "a control is always named"
    return found


def _low_priority_fracs(tenants: Sequence[Tenant], asked: PowerSection) -> tuple[float, ...]:
    """Share of each plan's machines that serve low priority.

    As given for all, else that of its requests below the highest priority of any model's.
    """
    if asked.low_priority_frac is not None:
        return (asked.low_priority_frac,) * len(tenants)
    kinds = [tenant.case.asked.demand.classes for tenant in tenants]
    highest = max(kind.request_class.priority for own in kinds for kind in own)
    found = []
    for own in kinds:
        below = sum(kind.rate_req_per_s for kind in own if kind.request_class.priority < highest)
        found.append(below / sum(kind.rate_req_per_s for kind in own))
    return tuple(found) if any(found) else (ALIKE_LOW_FRAC,) * len(tenants)


def _low_words(tenants: Sequence[Tenant], fracs: Sequence[float]) -> str:
    """Which machines serve low priority."""
    if len(tenants) == 1:
        return f"{percent(fracs[0])} of the machines serve low priority"
    each = ", ".join(f"{percent(frac)} of those of {t.model}" for t, frac in zip(tenants, fracs, strict=True))
    return f"low priority, compared across models, is served by {each}"


def _placed(pools: Sequence[tuple[str, int]], rows: int) -> tuple[Mapping[str, int], ...]:
    """The machines of each row by pool: the plans' mix in every row, as nearly as whole machines can have it."""
    if not rows:
        return ()
    counts = [count for _, count in pools]
    order = interleaved([float(count) for count in counts], sum(counts))
    blocks = np.array_split(np.array(order), rows)
    return tuple({pools[k][0]: int((block == k).sum()) for k in sorted(set(block.tolist()))} for block in blocks)


def _by_type(tenants: Sequence[Tenant]) -> dict[str, Machine]:
    """The machine types of all plans, the one with most machines first."""
    types = machines_of(tenant.candidate for tenant in tenants)
    known = {o.spec.machine: o.machine for tenant in tenants for o in tenant.case.options}
    return {name: known[name] for name, _ in types.most_common()}


def _mean_rated_w(machines: Mapping[str, Machine], pools: Sequence[Pool]) -> float:
    """Power provided for a machine of the row, in the plan's proportion, enforced caps counted."""
    rated_w = sum(p.machines * machines[p.spec.machine].provisioned_w(p.spec.cap_w) for p in pools)
    return rated_w / sum(p.machines for p in pools)


def _delivery(asked: PowerSection) -> tuple[PowerControls, Hierarchy]:
    """The catalog's delays and hierarchy, where the scenario has none of its own."""
    delivery = load_power_delivery()
    controls, nested = delivery.controls, delivery.hierarchy
    loss = controls.command_loss_frac if asked.command_loss_frac is None else asked.command_loss_frac
    return (
        replace(controls, command_loss_frac=loss),
        Hierarchy(
            machines=asked.machines_per_rack or nested.machines, rows=asked.rows_per_ups or nested.rows,
            provenance=nested.provenance,
        ),
    )  # fmt: skip


def _policy(asked: PowerSection, clocks: Mapping[str, float]) -> PowerPolicy:
    """The control law that the scenario names."""
    if asked.policy == "no-cap":
        return NoCap(release_frac=asked.release_frac)
    if asked.policy == "polca":
        return Polca(
            t1_frac=asked.t1_frac, t2_frac=asked.second_thresholds[0], release_frac=asked.release_frac,
            low_t1_mhz=clocks["low_t1_mhz"], low_t2_mhz=clocks["low_t2_mhz"], high_mhz=clocks["high_mhz"],
        )  # fmt: skip
    all_capped = asked.policy == "one-threshold-all"
    return OneThreshold(
        threshold_frac=asked.threshold_frac, release_frac=asked.release_frac, low_mhz=clocks["low_t2_mhz"],
        high_mhz=clocks["low_t2_mhz"] if all_capped else None,
    )  # fmt: skip


def _thresholds(asked: PowerSection) -> tuple[float, ...]:
    if asked.policy == "polca":
        return asked.t1_frac, asked.second_thresholds[0]
    return () if asked.policy == "no-cap" else (asked.threshold_frac,)


def _limits(asked: PowerSection) -> dict[str, float]:
    limits = asked.limits
    return {
        "low_p50": limits.low_p50_frac, "low_p99": limits.low_p99_frac, "high_p50": limits.high_p50_frac,
        "high_p99": limits.high_p99_frac,
    }  # fmt: skip


def _floor(
    tenants: Sequence[Tenant], asked: PowerSection, machines: Mapping[str, Machine], most: int,
    clocks: Mapping[str, Mapping[str, float]], low_fracs: Sequence[float],
) -> Floor:  # fmt: skip
    """Machines of the plans' pools in their proportion, each pool shared by the two priorities."""
    kinds, shares, peaks, cut = [], [], [], []
    standing = [(t, low, pool) for t, low in zip(tenants, low_fracs, strict=True) for pool in t.candidate.pools]
    for tenant, low_frac, pool in standing:
        case, machine = tenant.case, machines[pool.spec.machine]
        prompts, outputs = _lengths(case, pool)
        each = sorted(set(clocks[machine.name].values()), reverse=True)
        bodies = {f: _body(case, machine, pool, f) for f in each}
        response = _response(case, machine, bodies, prompts, outputs)
        for low, share in ((True, low_frac), (False, 1 - low_frac)):
            if share:
                kinds.append(
                    Kind(
                        name=tenant.called(pool), low_priority=low, response=response,
                        prompt_tokens=prompts, output_tokens=outputs,
                        computes_prompts=pool.spec.role is not Role.DECODE,
                        decodes=pool.spec.role is not Role.PREFILL,
                    )
                )  # fmt: skip
                shares.append(share * pool.machines)
                peaks.append(sum(pool.rate_req_per_s.values()) / pool.instances)
                cut.append(case.physics[pool.spec.name].instances_per_machine)
    load = WeeklyLoad(**asked.load.model_dump())
    return Floor(
        kinds=tuple(kinds), kind_of=tuple(interleaved(shares, most)), peak_req_per_s=tuple(peaks), load=load,
        instances_per_machine=tuple(cut),
    )  # fmt: skip


def _lengths(case: Case, pool: Pool) -> tuple[Ints, Ints]:
    """Lengths of the requests of a pool, its classes in the proportion of their rates."""
    rng = np.random.default_rng(SEED)
    classes = [c for c in case.asked.demand.classes if pool.rate_req_per_s.get(c.request_class.name)]
    rates = np.array([pool.rate_req_per_s[c.request_class.name] for c in classes])
    which = rng.choice(len(classes), SAMPLES, p=rates / rates.sum())
    rows = [int(rng.integers(len(classes[k].prompt_tokens))) for k in which]
    lengths = [(classes[k].prompt_tokens[r], classes[k].output_tokens[r]) for k, r in zip(which, rows, strict=True)]
    prompts, outputs = np.array(lengths, np.int64).T
    return prompts, outputs


def _body(case: Case, machine: Machine, pool: Pool, clock_mhz: float) -> InstancePhysics:
    """An instance of a pool at a clock, or at its own where that is lower."""
    own, name, streaming = pool.spec.clock_mhz, pool.spec.name, None
    if case.policy.of(name in case.beside).streams:
        streaming = Streaming(group_tokens=group_tokens(case.scenario.policy, pool.spec.layout, case.asked.demand))
    return instance_physics(
        case.model,
        machine,
        pool.spec.layout,
        case.profiles[name],
        settings_of(case.scenario.policy),
        limits=GpuLimits(clock_mhz=int(clock_mhz if own is None else min(own, clock_mhz)), cap_w=pool.spec.cap_w),
        streaming=streaming,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """Watts of an instance with its share of the machine around it, and what its clocks cost.

    wall = idle of the machine, shared + wall ratio · (watts of its GPUs - their idle watts)
    """

    machine: Machine
    bodies: Mapping[float, InstancePhysics]
    prompt_tokens: int
    context_tokens: float

    def _wall_w(self, gpus_w: float, clock_mhz: float) -> float:
        body, machine = self.bodies[clock_mhz], self.machine
        busy_w = max(0.0, gpus_w - body.power.idle_w) / body.machines_per_instance
        return machine.idle_w / body.instances_per_machine + curve_of(machine.gpu).wall_ratio * busy_w

    def idle_w(self, clock_mhz: float) -> float:
        return self._wall_w(0.0, clock_mhz)

    def prefill_w(self, tokens: int, clock_mhz: float) -> float:
        return self._wall_w(self.bodies[clock_mhz].power.prefill_w([(tokens, 0)]), clock_mhz)

    def decode_w(self, batch: int, clock_mhz: float) -> float:
        power, lanes = self.bodies[clock_mhz].power, self.bodies[clock_mhz].stages.count
        above_w = power.decode_w(-(-batch // lanes), self.context_tokens) - power.idle_w
        return self._wall_w(power.idle_w + above_w * min(1.0, batch / lanes), clock_mhz)

    def prefill_slowdown_ratio(self, clock_mhz: float) -> float:
        prompts = [(self.prompt_tokens, 0)]
        full = self.bodies[max(self.bodies)].step.prefill_s(prompts)
        return max(1.0, self.bodies[clock_mhz].step.prefill_s(prompts) / full)

    def decode_slowdown_ratio(self, batch: int, clock_mhz: float) -> float:
        part = -(-batch // self.bodies[clock_mhz].stages.count)
        full = self.bodies[max(self.bodies)].step.decode_s(part, self.context_tokens)
        return max(1.0, self.bodies[clock_mhz].step.decode_s(part, self.context_tokens) / full)


def _response(
    case: Case, machine: Machine, bodies: Mapping[float, InstancePhysics], prompts: Ints, outputs: Ints,
) -> InstanceResponse:  # fmt: skip
    """The tables of a pool's instances."""
    full = bodies[max(bodies)]
    longest = float((prompts + outputs).max())
    context = float(prompts.mean() + outputs.mean() / 2)
    return instance_response(
        full, _Shared(machine=machine, bodies=bodies, prompt_tokens=int(prompts.mean()), context_tokens=context),
        tuple(bodies), max_batch=case.scenario.policy.max_batch_size, context_tokens=(1.0, max(longest, 2.0)),
    )  # fmt: skip


def _assumptions(
    asked: PowerSection, machines: Sequence[Machine], pools: Sequence[Pool], most: int, low_words: str
) -> tuple[str, ...]:  # fmt: skip
    """Inputs that were not measured for this row."""
    load = asked.load
    found = [
        f"load: the planned rate is the peak of the week; peak over valley {load.peak_to_valley_ratio:g}, weekends "
        f"{load.weekend_ratio:g}, noise {load.noise_frac:g} over {load.noise_s:g} s (assumed)",
        f"priorities: {low_words}; requests are spread evenly",
        "clock response and watts off the highest clock: as hw_catalog/data/power.yaml says, transferred where not "
        "measured",
        f"up to {plural(most, 'machine')}; what holds for a number of machines is taken to hold for fewer",
    ]
    if asked.weeks < 2:
        found.append("the rows behind the UPS all repeat the one week simulated, so they peak together")
    given = [key for key in A100_CLOCKS_MHZ if getattr(asked, key) is None]
    if given and any(machine.gpu.clock_max_mhz != A100_MHZ for machine in machines):
        found.append(f"{', '.join(given)}: POLCA's share of the highest clock of an A100, transferred")
    if len(machines) > 1:
        names = ", ".join(machine.name for machine in machines)
        found.append(
            f"{names} stand in the row in the plan's proportion, also where it is oversubscribed; ratings are their "
            "mean, and lost clock counts in shares of the first one's"
        )
    if any(p.spec.layout.pp > 1 or p.spec.layout.gpus > machines[0].gpus for p in pools):
        found.append(
            "a pipeline is one server that is free again after its share of a traversal; where it spans machines each "
            "draws an equal part, at moments of its own"
        )
    if any(p.spec.role is not Role.MIXED for p in pools):
        found.append("prompts and decodes stand in the same row in the plan's proportion; transfers draw nothing")
    return tuple(found)
