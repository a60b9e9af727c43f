"""A question over time: read in, and as one that a program is written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from planner.capacity.envelope import Option
from planner.capacity.redundancy import Rule
from planner.errors import BadInput
from planner.formulate import EpochQuestion, thinned
from planner.formulate.epoch_program import served
from planner.policies.presets import NAMES
from planner.resolve.availability import rule_of
from planner.resolve.case import Case, open_case
from planner.resolve.epoch_options import epoch_options, fleet, unsold_on_top, with_spares
from planner.resolve.inputs import Inputs, inputs_of, scenario_of
from planner.resolve.left_out import left_out
from planner.resolve.over_time import aims_of, hourly_carbon_g_per_kwh
from planner.resolve.spared import spared
from planner.resolve.workload import Asked
from planner.results.precision import Variant
from planner.results.schedule import EpochOption, Tariff, scoped
from planner.results.timetable import Way
from planner.scenario import Scenario
from planner.scenario.choices import listed
from planner.scenario.objectives import Transitions
from planner.scenario.schedule_section import ScheduleSection
from planner.schedules.provision import Provided
from workloads.load import Load, binned, from_factors, hedged, template


class Uncarried(BadInput):
    """No option carries a class within its objectives: nothing is wrong with the question, it has no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A question over time, read in under one policy; what ``check`` and ``plan`` both begin with.

    Attributes:
        case: the scenario with everything it names.
        section: how it asks over time.
        load: what is asked in each epoch.
        options: what may run in an epoch, ordered by name.
        notes: what a reader should know beforehand, full sentences.
        rule: what is asked of the machines of every epoch together; None where availability is not asked for.
        parts: of several models, the question of each alone, by its name; the case is what they share.
    """

    case: Case
    section: ScheduleSection
    load: Load
    options: tuple[EpochOption, ...]
    notes: tuple[str, ...]
    rule: Rule | None = None
    parts: Mapping[str, "Opened"] = field(default_factory=dict)

    @property
    def policies(self) -> str:
        """The policy, or those of several models, in a word."""
        parts = [part.case.policy.name for part in self.parts.values()]
        return ", ".join(parts) if parts else self.case.policy.name

    @property
    def ways(self) -> Way:
        """The policy; of several models the policy, precision and engine of each."""
        words = [f"{name} {p.case.policy.name} in {p.case.variant.words}" for name, p in self.parts.items()]
        return tuple(words) or self.case.policy.name


def parts_of(asked: Opened) -> Mapping[str, Opened]:
    """The question of each model; of one alone without a name."""
    return asked.parts or {"": asked}


def stood_on(asked: Opened) -> dict[str, Option]:
    """What pools of a question are made of, with how often its machines are gone: as a pool is called -> that."""
    return {scoped(name, o.spec.name): o for name, part in parts_of(asked).items() for o in part.case.options}


def opened(question: Scenario | Inputs, policy: str, variant: Variant | None = None) -> Opened:
    """Read a question over time in.

    Args:
        question: the scenario, or what was read of it.
        policy: one that it allows.
        variant: precision and engine; None is what the scenario names first.

    Raises:
        BadInput: it has no schedule, asks what no schedule honours, or a class is carried by no option.
        WorkloadError: epochs do not cover the trace, or do not divide the hours.
    """
    scenario = scenario_of(question)
    if scenario.schedule is None:
        raise BadInput("schedule: missing; expected the section that says which hours to plan")
    inputs = inputs_of(question)
    _covers(inputs.asked, scenario.schedule)
    case = spared(open_case(inputs, policy, variant))
    load, options = load_of(case, scenario.schedule), epoch_options(case)
    lost = [name for name, rates in load.peak_req_per_s.items() if rates.max() > 0 and not served(options, name)]
    if lost:
        raise Uncarried(*(f"schedule: no option carries class '{name}'; expected one that does" for name in lost))
    if late := [each for each in scenario.validation.failures if each.at_s >= load.duration_s]:
        ends = f"expected below {load.duration_s:g} s, where the last epoch ends"
        raise BadInput(*(f"validation.failures: found at_s {each.at_s:g}; {ends}" for each in late))
    return Opened(
        case=case, section=scenario.schedule, load=load, options=options,
        notes=(*case.asked.doubts, *unsold_on_top(case, scenario.schedule)),
        rule=rule_of(scenario) if scenario.availability.asked else None,
    )  # fmt: skip


def at_target(asked: Opened, target_frac: float, recovery_s: float) -> Opened:
    """The same question for another share of time, with seconds that are lost after each failure."""
    case = spared(asked.case, target_frac)
    rule = replace(rule_of(case.scenario, target_frac), recovery_s=recovery_s)
    return replace(asked, case=case, options=with_spares(asked.options, case), rule=rule)


def ways(inputs: Inputs) -> list[Opened]:
    """The question in every precision, on every engine and under every policy that it allows and that can serve it.

    Raises:
        BadInput, WorkloadError: see ``opened``; no way can serve it, with what keeps the first.
    """
    found, wrong = list[Opened](), list[BadInput]()
    for variant in inputs.variants:
        for name in policies_of(inputs.scenario):
            try:
                found.append(opened(inputs, name, variant))
            except BadInput as why:
                wrong.append(why)
    if not found:
        raise wrong[0]
    absent = tuple(left_out([each.case for each in found]))
    return [replace(each, notes=(*each.notes, *absent)) for each in found]


def policies_of(scenario: Scenario) -> tuple[str, ...]:
    """The policies that a schedule is made under, to take the best."""
    return NAMES if scenario.policy.name == "auto" else listed(scenario.policy.name)


def _covers(asked: Asked, section: ScheduleSection) -> None:
    """Refuse a load of a trace where there is none; told before options are opened, which takes seconds.

    Raises:
        BadInput: the workload is no trace that is replayed whole.
    """
    if section.load == "trace" and not (asked.exact_at(1.0) or (asked.whole and asked.aligned_at(1.0))):
        raise BadInput(
            "schedule.load: trace needs a workload that is a trace file, replayed whole (grown: with growth shared)"
        )


def load_of(case: Case, section: ScheduleSection) -> Load:
    """What is asked in each epoch, forecast errors provided for."""
    means = {part.request_class.name: part.rate_req_per_s for part in case.asked.demand.classes}
    if section.load == "trace":
        load = binned(case.asked.draw(case.asked.seeds[0], 1.0, 1.0), epoch_s=section.epoch_s, epochs=section.epochs)
    else:
        hours = template(section.load) if isinstance(section.load, str) else np.asarray(section.load, float)
        load = from_factors(means, hours, epoch_s=section.epoch_s)
    return hedged(
        load, forecast_sigma_frac=section.forecast_sigma_frac, confidence_frac=min(section.confidence_frac, 0.9999)
    )  # fmt: skip


def question_of(asked: Opened, provided: Provided | None = None, watts_ratio: float = 1.0) -> EpochQuestion:
    """The question over time, each epoch's peak times the rate that is ``provided`` for.

    Args:
        asked: the question.
        provided: rate provided for over the peak.
        watts_ratio: share of the budget of expected watts that may be planned on.
    """
    case, section, load = asked.case, asked.section, asked.load
    hours, energy = np.asarray(hourly_carbon_g_per_kwh(case.scenario), float), case.scenario.energy
    at = (np.arange(load.epochs) * load.epoch_s / 3600).astype(int) % len(hours)
    if provided is not None:
        load = replace(load, peak_req_per_s={name: peak * provided[name] for name, peak in load.peak_req_per_s.items()})
    apart, budgets = tuple(dict.fromkeys(pair for pair, _ in case.apart)), case.scenario.budget()
    kept = thinned(asked.options, tuple(load.peak_req_per_s), apart)
    if budgets.expected_power_w is not None:
        budgets = replace(budgets, expected_power_w=budgets.expected_power_w * watts_ratio)
    return EpochQuestion(
        options=kept, fleet=tuple(fleet(case, section, [o.spec.machine for o in kept])), load=load,
        transitions=Transitions(
            start_s=section.start_s, start_usd=section.start_usd, min_up_epochs=section.min_up_epochs,
            ramp_machines=section.ramp_machines, churn_machines=section.churn_machines, cyclic=section.load != "trace",
        ),
        tariff=Tariff(
            usd_per_kwh=energy.usd_per_kwh, carbon_g_per_kwh=tuple(hours[at].tolist()), pue_ratio=energy.pue_ratio
        ),
        aims=aims_of(case.scenario), budgets=budgets, apart=apart,
    )  # fmt: skip


def without_watts(asked: Opened) -> Opened:
    """The same question without a budget of expected watts, of every model."""
    scenario = asked.case.scenario
    budgets = scenario.budgets.model_copy(update={"expected_power_w": None})
    free = replace(asked.case, scenario=scenario.model_copy(update={"budgets": budgets}))
    return replace(asked, case=free, parts={name: without_watts(part) for name, part in asked.parts.items()})


def alone(asked: Opened, epoch: int, provided: Provided | None = None) -> EpochQuestion:
    """One epoch as a question of its own, without changes into it."""
    return one_epoch(question_of(asked, provided), epoch)


def one_epoch(question: EpochQuestion, epoch: int) -> EpochQuestion:
    """One epoch of a question, without changes into it."""
    load, part = question.load, slice(epoch, epoch + 1)
    return replace(
        question,
        load=replace(
            load,
            mean_req_per_s={name: rates[part] for name, rates in load.mean_req_per_s.items()},
            peak_req_per_s={name: rates[part] for name, rates in load.peak_req_per_s.items()},
        ),
        tariff=replace(question.tariff, carbon_g_per_kwh=question.tariff.carbon_g_per_kwh[part]),
        transitions=Transitions(start_s=0.0, cyclic=False),
    )
