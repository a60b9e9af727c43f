"""The set-up of DynamoLLM's comparison, as far as it is public, as questions over time that the planner answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import as_file, files

import numpy as np

from planner.formulate import EpochQuestion
from planner.formulate.epoch_program import counted
from planner.perf.layout import InstanceSpec
from planner.resolve.inputs import inputs_of
from planner.results.schedule import Schedule
from planner.results.timetable import Served, Timetable
from planner.scenario import Scenario
from planner.schedules.groups import Progress
from planner.schedules.knobs import on_fleet
from planner.schedules.planning import timetable
from planner.schedules.programs import solved
from planner.schedules.question import Opened, one_epoch, opened, question_of
from planner.schedules.serving import Serving
from workloads.load import DAY_HOURS, WEEK_HOURS, Floats, from_factors, template

EXAMPLE, POLICY = "dynamollm-nine.yaml", "sarathi"
"""Scenario that is asked, and how its instances serve."""

CLOCKS_MHZ = (795, 1200, 1605, 1980)
"""Every other one of the published 800 to 1,980 MHz in steps of 200; the nearest that the GPU has."""

TOP_MHZ, WIDE = CLOCKS_MHZ[-1], 8
"""Clock and tensor-parallel ways of the baselines."""

CHUNK_TOKENS = 512
"""Of every instance; whole prompts beside others would keep short ones waiting for longer than their 0.25 s."""

PEAK_SERVERS = 40
"""That a single pool fills at the peak of the week."""

APART_HOURS = 21
"""Between the hours of the week that are planned: eight of 168, every third hour of the day, over all seven days."""

SERVICES = {"conversation": "azure-conv-2023", "coding": "azure-code-2023"}
"""Shape of the week -> built-in workload whose lengths it has."""

THREE = (
    "workload.classes=[{name: S, prompt_max_tokens: 255}, {name: M, prompt_max_tokens: 1023}, {name: L}]",
    "slo_by_class={S: {ttft_p99_s: 0.25, tpot_p99_s: 0.1}, M: {ttft_p99_s: 0.4, tpot_p99_s: 0.1}, "
    "L: {ttft_p99_s: 2.0, tpot_p99_s: 0.1}}",
)
"""Classes by prompt, with the recalled objectives: three of the nine by prompt and output, which have the same."""

ONE = ("workload.classes=[]", "slo={ttft_p99_s: 2.0, tpot_p99_s: 0.1}", "slo_by_class={}")
"""One pool for all, with the objectives of the longest prompts."""


def day_hours(service: str) -> list[int]:
    """The hours of the week that are planned, by the hour of the day."""
    assert service in SERVICES, f"service: found {service}; expected one of {', '.join(SERVICES)}"
    return sorted(range(0, WEEK_HOURS, APART_HOURS), key=lambda hour: hour % DAY_HOURS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lab:
    """One service on one kind of server.

    Attributes:
        classes: the question with three classes, every layout and every clock.
        single: the question with one class, on the layout and at the clock of the baselines.
        found: the validated answer to the first.
        made: control -> what was planned under it.
    """

    classes: Opened
    single: Opened
    found: Timetable
    made: dict[str, Schedule] = field(default_factory=dict)

    @property
    def gpus_idle_w(self) -> float:
        """What the GPUs of an idle server draw, with what they add at the wall."""
        machine, body = self.classes.case.options[0].machine, self.classes.case.physics[self.classes.options[0].name]
        return machine.gpus * machine.gpu.idle_w * body.power.wall_ratio

    def planned(self, control: str) -> Schedule:
        """The schedule of least energy where the knobs of a control follow the load, energy being that of GPUs."""
        if control not in self.made:
            self.made[control] = self._counted(control, self._planned(control))
        return self.made[control]

    def saved_frac(self, control: str, against: str = "SinglePool") -> float:
        """Share of energy that a control saves."""
        return 1 - self.planned(control).energy_j / self.planned(against).energy_j

    def saved_at_the_wall_frac(self) -> float:
        """The same of whole servers, of all knobs against the single pool."""
        ours, base = (self._counted(name, self.planned(name), wall=True) for name in ("DynamoLLM", "SinglePool"))
        return 1 - ours.energy_j / base.energy_j

    def steady_saved_frac(self, level: float) -> float:
        """Share of energy that all knobs save at a steady load, as a share of what the single pool was bought for.

        It is provided for as the validated hours are, between which the ratio lies on a line over their rates.
        """
        whole = self.planned("SinglePool")
        classes, single = (_steady(each, level) for each in (self.classes, self.single))
        rates, order = total_req_per_s(self.classes), np.argsort(total_req_per_s(self.classes))
        wanted = total_req_per_s(classes)
        ratios = {
            name: np.interp(wanted, rates[order], np.array(values)[order])
            for name, values in self.found.provided_ratio.items()
        }
        hour = least_energy(classes, one_epoch(question_of(classes, ratios), 0))
        ours = replace(self, classes=classes, single=single, made={})
        base = on_fleet(single, question_of(single), whole, whole.epochs[0].machines)
        assert base is not None, "the fleet of the peak serves less"
        spent = ours._counted("DynamoLLM", hour), ours._counted("SinglePool", base)
        return 1 - spent[0].epochs[0].energy_j / spent[1].epochs[0].energy_j

    def served(self, control: str, epoch: int) -> Served:
        """What the core says of an hour under a control, with the change into it."""
        asked = self._asked(control)
        serving = Serving(asked.case, asked.section, asked.load, asked.options)
        return serving.one(self.planned(control), epoch, lambda *_: None, spares=True)[0][0]

    def _planned(self, control: str) -> Schedule:
        if control == "DynamoLLM":
            assert self.found.schedule is not None, "the lab has a validated answer"
            return self.found.schedule
        if control == "SinglePool":
            return self._still(self.single, question_of(self.single), question_of(self.single))
        baseline = self._question(lambda spec: spec.layout.tp == WIDE and spec.clock_mhz == TOP_MHZ)
        if control == "ScaleInst":
            return least_energy(self.classes, baseline)
        kept: dict[str, Callable[[InstanceSpec], bool]] = {
            "ScaleShard": lambda spec: spec.clock_mhz == TOP_MHZ, "ScaleFreq": lambda spec: spec.layout.tp == WIDE,
        }  # fmt: skip
        return self._still(self.classes, self._question(kept[control]) if control in kept else baseline, baseline)

    def _question(self, keep: Callable[[InstanceSpec], bool]) -> EpochQuestion:
        """The program with some of the options, for the rates that the validated answer provides for."""
        options = tuple(option for option in self.classes.options if keep(option.spec))
        provided = {name: np.array(ratios) for name, ratios in self.found.provided_ratio.items()}
        return question_of(replace(self.classes, options=options), provided)

    @staticmethod
    def _still(asked: Opened, question: EpochQuestion, bought: EpochQuestion) -> Schedule:
        """Machines that the busiest hour needs under one question, in every hour of another."""
        peak = least_energy(asked, one_epoch(bought, int(np.argmax(total_req_per_s(asked)))))
        found = on_fleet(asked, question, peak, peak.epochs[0].machines)
        assert found is not None, "the fleet of the peak serves every hour"
        return found

    def _counted(self, control: str, found: Schedule, *, wall: bool = False) -> Schedule:
        """The same with the energy of GPUs alone, or of whole servers."""
        asked = self._asked(control)
        question = question_of(asked)
        if not wall:
            fleet = tuple(replace(kind, idle_w=self.gpus_idle_w) for kind in question.fleet)
            question = replace(question, fleet=fleet)
        machines, runs = [e.machines for e in found.epochs], [e.runs for e in found.epochs]
        return counted(question, asked.options, found, machines, runs)

    def _asked(self, control: str) -> Opened:
        return self.single if control == "SinglePool" else self.classes


def total_req_per_s(asked: Opened) -> Floats:
    """(epochs,) rate of all classes."""
    return np.asarray(np.sum(list(asked.load.peak_req_per_s.values()), axis=0), float)


def open_lab(service: str, progress: Progress) -> Lab:
    """The lab of a service; at the peak of the week a single pool at the highest clock fills forty servers."""
    week = template(service)
    factors = [round(float(week[hour]), 6) for hour in day_hours(service)]
    common = (
        f"workload.trace={SERVICES[service]}", f"schedule.load={factors}", "schedule.objectives=[energy]",
        f"policy.chunk_tokens=[{CHUNK_TOKENS}]", "workload.duration_s=60", "validation.seeds=1",
        "solver.search_evaluations=0",
    )  # fmt: skip
    scenario = partial(_scenario, common)
    single = opened(scenario(*ONE, f"catalog.tp=[{WIDE}]", f"schedule.clocks_mhz=[{TOP_MHZ}]"), POLICY)
    ((each_req_per_s,),) = (option.capacity_req_per_s.values() for option in single.options)
    rate = PEAK_SERVERS * each_req_per_s / float(week.max())
    ratio = rate / single.case.asked.demand.rate_req_per_s
    offered = ("catalog.tp=[2, 4, 8]", f"schedule.clocks_mhz={list(CLOCKS_MHZ)}", f"workload.rate_req_per_s={rate!r}")
    question = inputs_of(scenario(*THREE, *offered))
    return Lab(
        classes=opened(question, POLICY), single=_at(single, [ratio * factor for factor in factors]),
        found=timetable(question, progress=progress),
    )  # fmt: skip


def _scenario(common: Sequence[str], *changes: str) -> Scenario:
    with as_file(files("planner") / "examples" / EXAMPLE) as path:
        return Scenario.load(path, (*common, *changes))


def least_energy(asked: Opened, question: EpochQuestion) -> Schedule:
    """The schedule of least energy."""
    found = solved(asked, question, prove=False).schedule()
    assert found is not None, "every class is carried, and no budget is set"
    return found


def _at(asked: Opened, factors: Sequence[float]) -> Opened:
    """The same question with other factors on its mean rates."""
    rates = {part.request_class.name: part.rate_req_per_s for part in asked.case.asked.demand.classes}
    return replace(asked, load=from_factors(rates, factors, epoch_s=asked.load.epoch_s))


def _steady(asked: Opened, level: float) -> Opened:
    """The same question with one hour, at a share of the busiest."""
    busiest = float(total_req_per_s(asked).max()) / asked.case.asked.demand.rate_req_per_s
    return _at(asked, (level * busiest,))
