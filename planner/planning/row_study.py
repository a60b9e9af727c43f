"""The row that a plan's machines stand in: what is known of them, put together into a question about the row."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hw_catalog.domains import Hierarchy, PowerControls, load_power_delivery
from hw_catalog.machines import Machine
from planner.perf.instance import GpuLimits, InstancePhysics, instance_physics
from planner.perf.layout import Role
from planner.perf.power import curve_of
from planner.perf.response import InstanceResponse, instance_response
from planner.planning.oversubscribe import RowLab, RowQuestion
from planner.policies.power import NoCap, OneThreshold, Polca, PowerPolicy
from planner.resolve.case import Case
from planner.resolve.layouts import settings_of
from planner.resolve.row_checks import A100_CLOCKS_MHZ, A100_MHZ, row_clocks_mhz
from planner.results.plan import CandidatePlan, Pool
from planner.results.row import RowStudy
from planner.scenario.power import PowerSection
from planner.simulator.rows.load import WeeklyLoad, interleaved
from planner.simulator.rows.rows import Floor
from planner.simulator.rows.servers import Kind

Ints = NDArray[np.int64]
Progress = Callable[[str, float], None]

SAMPLES = 2048
SEED = 20230621


def study(case: Case, candidate: CandidatePlan, progress: Progress) -> RowStudy:
    """How many machines like the plan's a row may hold.

    Args:
        case: everything the plan was made from; its scenario has a row limit.
        candidate: the plan.
        progress: takes what is being done, and the share that is.
    """
    asked = case.scenario.power
    limit_w = asked.row_limit_w
    assert limit_w is not None
    machines, pools = _one_size(case, candidate)
    rated_w = _mean_rated_w(machines, pools)
    controls, hierarchy = _delivery(asked)
    by_rating = int(limit_w // rated_w)
    provisioned = asked.provisioned_machines or by_rating
    most = max(provisioned, int(asked.max_ratio * provisioned), by_rating)
    clocks = {name: row_clocks_mhz(asked, machine.gpu, controls.brake_mhz) for name, machine in machines.items()}
    first = next(iter(machines.values()))
    question = RowQuestion(
        floor=_floor(case, machines, pools, most, clocks), limit_w=limit_w, provisioned_machines=provisioned,
        policy=_policy(asked, clocks[first.name]), thresholds_frac=_thresholds(asked), limits_frac=_limits(asked),
        controls=controls, seeds=tuple(range(asked.first_seed, asked.first_seed + asked.weeks)), week_s=asked.week_s,
        tick_s=asked.tick_s,
    )  # fmt: skip
    lab = RowLab(question, lambda words, frac: progress(f"row: {words}", frac))
    holds = lab.largest()
    chosen = max(holds, 1)
    tree = hierarchy.domains(row_limit_w=limit_w, machines=chosen, rated_w=rated_w)
    return RowStudy(
        machine=" + ".join(machines), policy=asked.policy, row_limit_w=limit_w, provisioned_machines=provisioned,
        peak_frac=lab.peak_frac, uncapped_ratio=1 / lab.peak_frac, uncapped_machines=lab.uncapped_machines,
        machines=holds, ratio=holds / provisioned, rise_2s_frac=lab.rise_frac(2.0), rise_40s_frac=lab.rise_frac(40.0),
        trials=tuple(lab.trials[n] for n in sorted(lab.trials)), domains=lab.domains(tree, chosen, rated_w),
        weeks=asked.weeks, week_s=asked.week_s, tick_s=asked.tick_s,
        assumptions=_assumptions(asked, tuple(machines.values()), candidate, pools, most),
        rows=asked.rows, plan_machines=candidate.totals.machines,
        needed_rows=_needed_rows(case, candidate, pools, holds, limit_w),
    )  # fmt: skip


def _needed_rows(case: Case, candidate: CandidatePlan, pools: Sequence[Pool], holds: int, limit_w: float) -> int:
    """Rows that a plan's machines take: those simulated as many to a row as it holds, the others by their rating."""
    known = {o.spec.machine: o.machine for o in case.options}
    parts = [(sum(p.machines for p in pools), holds)]
    for pool in candidate.pools:
        if pool not in pools:
            rated_w = known[pool.spec.machine].provisioned_w(pool.spec.cap_w)
            parts.append((pool.machines, int(limit_w // rated_w)))
    return sum(-(-count // each) for count, each in parts) if all(each for _, each in parts) else 0


def _one_size(case: Case, candidate: CandidatePlan) -> tuple[dict[str, Machine], list[Pool]]:
    """The machines of a row, most of one type first, and their pools: all cut into equally many instances.

    Where the plan's machines are not, those cut as most of them are.
    """
    per = {p.spec.name: case.physics[p.spec.name].instances_per_machine for p in candidate.pools}
    sizes, types = Counter[int](), Counter[str]()
    for pool in candidate.pools:
        sizes[per[pool.spec.name]] += pool.machines
    size = sizes.most_common(1)[0][0]
    pools = [p for p in candidate.pools if per[p.spec.name] == size]
    for pool in pools:
        types[pool.spec.machine] += pool.machines
    known = {o.spec.machine: o.machine for o in case.options}
    return {name: known[name] for name, _ in types.most_common()}, pools


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
            t1_frac=asked.t1_frac, t2_frac=asked.t2_frac, release_frac=asked.release_frac,
            low_t1_mhz=clocks["low_t1_mhz"], low_t2_mhz=clocks["low_t2_mhz"], high_mhz=clocks["high_mhz"],
        )  # fmt: skip
    all_capped = asked.policy == "one-threshold-all"
    return OneThreshold(
        threshold_frac=asked.threshold_frac, release_frac=asked.release_frac, low_mhz=clocks["low_t2_mhz"],
        high_mhz=clocks["low_t2_mhz"] if all_capped else None,
    )  # fmt: skip


def _thresholds(asked: PowerSection) -> tuple[float, ...]:
    if asked.policy == "polca":
        return asked.t1_frac, asked.t2_frac
    return () if asked.policy == "no-cap" else (asked.threshold_frac,)


def _limits(asked: PowerSection) -> dict[str, float]:
    limits = asked.limits
    return {
        "low_p50": limits.low_p50_frac, "low_p99": limits.low_p99_frac, "high_p50": limits.high_p50_frac,
        "high_p99": limits.high_p99_frac,
    }  # fmt: skip


def _floor(
    case: Case, machines: Mapping[str, Machine], pools: Sequence[Pool], most: int,
    clocks: Mapping[str, Mapping[str, float]],
) -> Floor:  # fmt: skip
    """Machines of the plan's pools in their proportion, each pool shared by the two priorities."""
    asked, kinds, shares, peaks = case.scenario.power, [], [], []
    for pool in pools:
        prompts, outputs = _lengths(case, pool)
        machine = machines[pool.spec.machine]
        each = sorted(set(clocks[machine.name].values()), reverse=True)
        bodies = {f: _body(case, machine, pool, f) for f in each}
        response = _response(case, machine, bodies, prompts, outputs)
        for words, low, share in (
            ("low", True, asked.low_priority_frac), ("high", False, 1 - asked.low_priority_frac)
        ):  # fmt: skip
            if share:
                kinds.append(
                    Kind(
                        name=f"{pool.spec.name} {words}", low_priority=low, response=response, prompt_tokens=prompts,
                        output_tokens=outputs, computes_prompts=pool.spec.role is not Role.DECODE,
                        decodes=pool.spec.role is not Role.PREFILL,
                    )
                )  # fmt: skip
                shares.append(share * pool.machines)
                peaks.append(sum(pool.rate_req_per_s.values()) / pool.instances)
    load = WeeklyLoad(**asked.load.model_dump())
    return Floor(
        kinds=tuple(kinds), kind_of=tuple(interleaved(shares, most)), peak_req_per_s=tuple(peaks), load=load,
        instances_per_machine=case.physics[pools[0].spec.name].instances_per_machine,
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
    own = pool.spec.clock_mhz
    return instance_physics(
        case.model,
        machine,
        pool.spec.layout,
        case.profiles[pool.spec.name],
        settings_of(case.scenario.policy),
        limits=GpuLimits(clock_mhz=int(clock_mhz if own is None else min(own, clock_mhz)), cap_w=pool.spec.cap_w),
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
        busy_w = max(0.0, gpus_w - body.power.idle_w)
        return machine.idle_w / body.instances_per_machine + curve_of(machine.gpu).wall_ratio * busy_w

    def idle_w(self, clock_mhz: float) -> float:
        return self._wall_w(0.0, clock_mhz)

    def prefill_w(self, tokens: int, clock_mhz: float) -> float:
        return self._wall_w(self.bodies[clock_mhz].power.prefill_w([(tokens, 0)]), clock_mhz)

    def decode_w(self, batch: int, clock_mhz: float) -> float:
        return self._wall_w(self.bodies[clock_mhz].power.decode_w(batch, self.context_tokens), clock_mhz)

    def prefill_slowdown_ratio(self, clock_mhz: float) -> float:
        prompts = [(self.prompt_tokens, 0)]
        full = self.bodies[max(self.bodies)].step.prefill_s(prompts)
        return max(1.0, self.bodies[clock_mhz].step.prefill_s(prompts) / full)

    def decode_slowdown_ratio(self, batch: int, clock_mhz: float) -> float:
        full = self.bodies[max(self.bodies)].step.decode_s(batch, self.context_tokens)
        return max(1.0, self.bodies[clock_mhz].step.decode_s(batch, self.context_tokens) / full)


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
    asked: PowerSection, machines: Sequence[Machine], candidate: CandidatePlan, pools: Sequence[Pool], most: int
) -> tuple[str, ...]:
    """Inputs that were not measured for this row."""
    load = asked.load
    found = [
        f"load: the planned rate is the peak of the week; peak over valley {load.peak_to_valley_ratio:g}, weekends "
        f"{load.weekend_ratio:g}, noise {load.noise_frac:g} over {load.noise_s:g} s (assumed)",
        f"priorities: {asked.low_priority_frac:.0%} of the machines serve low priority; requests are spread evenly",
        "clock response and watts off the highest clock: as hw_catalog/data/power.yaml says, transferred where not "
        "measured",
        f"up to {most} machines; what holds for a number of machines is taken to hold for fewer",
    ]
    if asked.weeks < 2:
        found.append("the rows behind the UPS all repeat the one week simulated, so they peak together")
    given = [key for key in A100_CLOCKS_MHZ if getattr(asked, key) is None]
    if given and any(machine.gpu.clock_max_mhz != A100_MHZ for machine in machines):
        found.append(f"{', '.join(given)}: POLCA's share of the highest clock of an A100, transferred")
    if len(pools) < len(candidate.pools):
        others = ", ".join(f"{p.machines} {p.spec.machine} ({p.spec.name})" for p in candidate.pools if p not in pools)
        found.append(
            "a row holds machines cut into equally many instances; not in it, and to be studied by themselves: "
            f"{others}"
        )
    if len(machines) > 1:
        names = ", ".join(machine.name for machine in machines)
        found.append(
            f"{names} stand in the row in the plan's proportion, also where it is oversubscribed; ratings are their "
            "mean, and lost clock counts in shares of the first one's"
        )
    if any(p.spec.role is not Role.MIXED for p in pools):
        found.append("prompts and decodes stand in the same row in the plan's proportion; transfers draw nothing")
    return tuple(found)
