"""The story of a plan over time: forecast, propose, serve the busiest epochs, provide for more where they miss."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from planner.case.case import Case, open_case
from planner.case.epoch_options import Kind, epoch_kinds, fleet
from planner.errors import BadInput
from planner.evidence import Judgement
from planner.formulate import EpochQuestion, epoch_problem, lift_schedule, place, thinned
from planner.perf.instance import InstancePhysics
from planner.plan import Role
from planner.scenario import Scenario
from planner.scenario.schedule_section import ScheduleSection
from planner.schedule import Epoch, EpochOption, Schedule, Tariff, Transitions
from planner.simulator.engine import PoolModel
from planner.simulator.judge import judge
from solvers.allocation import Termination
from solvers.decomposition import solve_decomposed
from solvers.solve import solve
from workloads.load import Load, binned, from_factors, hedged, template
from workloads.traces import Trace

Progress = Callable[[str, float], None]

WHOLE_EPOCHS = 4
"""Up to this many epochs the whole model is solved at once."""

ROUNDS = 4
TIGHTER_RATIO = 0.85
"""Capacity is counted as this share of what it was, each time that the simulator finds an objective missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An epoch that the simulator served at its peak rate."""

    epoch: int
    judgement: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """A schedule and what speaks for it.

    Attributes:
        schedule: the plan over time; None where there is none.
        served: epochs that the simulator served; the others rest on the same capacities, unserved.
        termination: how the last solve ended.
        capacity_ratio: of what envelopes claim, that the plan counts on.
    """

    schedule: Schedule | None
    served: tuple[Served, ...]
    termination: Termination
    capacity_ratio: float

    @property
    def valid(self) -> bool:
        """Whether there is a schedule and every epoch that was served kept every objective."""
        return self.schedule is not None and all(each.judgement.valid for each in self.served)


def timetable(scenario: Scenario, *, progress: Progress) -> Timetable:
    """The best schedule whose busiest epochs the simulator confirms.

    Raises:
        BadInput: the scenario has no schedule section, a policy that splits phases, or a clock that fits no option.
        WorkloadError: epochs do not cover the trace.
    """
    section = scenario.schedule
    if section is None:
        raise BadInput("schedule: missing; expected the section that says which hours to plan")
    if scenario.policy.name in ("splitwise", "auto"):
        raise BadInput(
            f"policy.name: found '{scenario.policy.name}'; expected a policy whose instances do both phases, such as "
            "colocated: a plan over time has pools of these"
        )
    progress("options", 0.0)
    case = open_case(scenario, scenario.policy.name)
    load = load_of(case, section)
    kinds = epoch_kinds(case, section)
    if not kinds:
        raise BadInput("schedule: no option carries any class; `phasewise check` says why")
    ratio, found = 1.0, None
    for turn in range(ROUNDS):
        progress(f"epochs, round {turn + 1}", 0.2 + 0.8 * turn / ROUNDS)
        found = _proposed(case, section, load, kinds, ratio)
        if found.schedule is None:
            return found
        found = replace(found, served=tuple(_served(case, section, load, kinds, found.schedule)))
        if found.valid:
            return found
        ratio *= TIGHTER_RATIO
    assert found is not None
    return found


def load_of(case: Case, section: ScheduleSection) -> Load:
    """What is asked in each epoch, forecast errors provided for."""
    means = {part.request_class.name: part.rate_req_per_s for part in case.asked.demand.classes}
    if section.load == "trace":
        if not case.asked.exact:
            raise BadInput("schedule.load: trace needs a workload that is a trace file, replayed whole")
        load = binned(case.asked.draw(case.asked.seeds[0], 1.0), epoch_s=section.epoch_s, epochs=section.epochs)
    else:
        hours = template(section.load) if isinstance(section.load, str) else np.asarray(section.load, float)
        load = from_factors(means, hours, epoch_s=section.epoch_s)
    return hedged(
        load, forecast_sigma_frac=section.forecast_sigma_frac, confidence_frac=min(section.confidence_frac, 0.9999)
    )  # fmt: skip


def question_of(
    case: Case, section: ScheduleSection, load: Load, options: Sequence[EpochOption], ratio: float
) -> EpochQuestion:
    """The question over time, capacities at a share of what they claim."""
    hours = np.asarray(section.carbon_g_per_kwh, float)
    at = (np.arange(load.epochs) * load.epoch_s / 3600).astype(int) % len(hours)
    counted = tuple(
        replace(o, capacity_req_per_s={n: rate * ratio for n, rate in o.capacity_req_per_s.items()}) for o in options
    )
    kept = thinned(counted, tuple(load.peak_req_per_s))
    return EpochQuestion(
        options=kept, fleet=tuple(fleet(case, section, [o.spec.machine for o in kept])), load=load,
        transitions=Transitions(
            start_s=section.start_s, start_usd=section.start_usd, min_up_epochs=section.min_up_epochs,
            ramp_machines=section.ramp_machines, churn_machines=section.churn_machines, cyclic=section.load != "trace",
        ),
        tariff=Tariff(
            usd_per_kwh=section.usd_per_kwh, carbon_g_per_kwh=tuple(hours[at].tolist()), pue_ratio=section.pue_ratio
        ),
        aims=section.objectives,
    )  # fmt: skip


def _proposed(case: Case, section: ScheduleSection, load: Load, kinds: Sequence[Kind], ratio: float) -> Timetable:
    question = question_of(case, section, load, [option for option, _ in kinds], ratio)
    try:
        problem = epoch_problem(question)
    except ValueError as fault:
        raise BadInput(*(f"schedule: {line}" for line in str(fault).splitlines())) from None
    limit_s = case.scenario.solver.time_limit_s
    whole = load.epochs <= WHOLE_EPOCHS
    if whole:
        solution = solve(problem, backend=case.scenario.solver.backend, time_limit_s=limit_s, gap_frac=section.gap_frac)
    else:
        solution = solve_decomposed(problem, place, time_limit_s=limit_s, gap_frac=section.gap_frac)
    schedule = None
    if solution.allocation is not None:
        method = "monolithic" if whole else "decomposed"
        schedule = lift_schedule(question, solution.allocation.values, solution.termination, method=method)
    return Timetable(schedule=schedule, served=(), termination=solution.termination, capacity_ratio=ratio)


def _served(
    case: Case, section: ScheduleSection, load: Load, kinds: Sequence[Kind], schedule: Schedule
) -> list[Served]:
    """The busiest epochs with different fleets, each served at its peak rate by the simulator."""
    total = np.sum(list(load.peak_req_per_s.values()), axis=0)
    busiest = sorted(range(load.epochs), key=lambda epoch: -float(total[epoch]))
    picked: dict[str, int] = {}
    for epoch in busiest:
        picked.setdefault(str([(r.spec.name, r.instances) for r in schedule.epochs[epoch].runs]), epoch)
    names, physics = [c.name for c in case.scenario.classes()], {option.name: body for option, body in kinds}
    mean, checks = case.asked.demand.rate_req_per_s, case.scenario.validation
    done = []
    for epoch in list(picked.values())[: section.validated_epochs]:
        factor = float(total[epoch]) / mean
        pools = _pools(schedule.epochs[epoch], names, physics)

        def draw(seed: int, factor: float = factor) -> Trace:
            return case.asked.draw(seed, factor)

        judgement = judge(
            pools, case.policy, draw, case.slos, seeds=case.asked.seeds,
            workload=f"epoch {epoch} at its peak, {total[epoch]:.4g} req/s", exact=False,
            warmup_frac=checks.warmup_frac, cooldown_frac=checks.cooldown_frac,
            confidence_frac=checks.confidence_frac, reference=case.reference,
        )  # fmt: skip
        done.append(Served(epoch=epoch, judgement=judgement))
    return done


def _pools(epoch: Epoch, names: Sequence[str], physics: Mapping[str, InstancePhysics]) -> list[PoolModel]:
    """The pools of an epoch as the simulator sees them."""
    return [
        PoolModel(
            name=f"{run.spec.name}#{place}", role=Role.MIXED, physics=physics[run.spec.name],
            instances=run.instances, speed=max(1e-9, sum(run.rate_req_per_s.values()) / run.instances),
            classes=frozenset(names.index(name) for name in run.rate_req_per_s), chunk_tokens=run.spec.chunk_tokens,
        )
        for place, run in enumerate(epoch.runs)
    ]  # fmt: skip


def read_schedule(path: Path) -> Schedule | None:
    """The schedule in a file that ``plan --out`` wrote; None where it holds no plan over time.

    Raises:
        BadInput: it holds one that is broken.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # whoever reads it as a plan says what is wrong with it
    if not isinstance(data, dict) or "timetable" not in data:
        return None
    try:
        return TypeAdapter(Schedule).validate_python(data["timetable"]["schedule"])
    except (ValidationError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: timetable: no schedule as `plan --out` writes it: {error}") from None


def schedule_csv(schedule: Schedule) -> str:
    """The schedule for an autoscaler: one line per epoch and pool, machines of its type beside it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["epoch", "start_s", "machine", "layout", "clock_mhz", "classes", "instances", "rate_req_per_s", "machines_on",
         "machines_on_top", "machines_started", "machines_stopped"]
    )  # fmt: skip
    for number, epoch in enumerate(schedule.epochs):
        for run in epoch.runs:
            machine = run.spec.machine
            rows.writerow(
                [number, f"{epoch.start_s:g}", machine, run.spec.layout.name, run.spec.clock_mhz or "",
                 " ".join(sorted(run.rate_req_per_s)), run.instances, f"{sum(run.rate_req_per_s.values()):.6g}",
                 epoch.machines[machine], epoch.top_machines[machine], epoch.started[machine], epoch.stopped[machine]]
            )  # fmt: skip
    return text.getvalue()
