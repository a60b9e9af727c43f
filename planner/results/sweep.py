"""The nouns of comparison: what was varied, what came of it, and what it would have cost to be wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from planner.results.bill import Bill
from planner.results.evidence import Evidence
from planner.results.fleet import together
from planner.results.plan import CandidatePlan, Totals
from planner.results.schedule import Spent
from planner.results.timetable import ModelOverTime
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.reading import steps

VALIDATED = "validated"
"""The verdict of an outcome that is a plan; every other verdict is the reason why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One key of the scenario, and what it is set to in turn.

    Attributes:
        key: dotted, for example ``workload.rate_scale``.
        values: each as it would be typed behind ``--set key=``.
    """

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Something that is nearly used up.

    Attributes:
        kind: ``objective``, ``resource`` or ``budget``.
        name: for example ``ttft_p99_s``, ``load of prefill/dgx-h100/tp4`` or ``power_w``.
        used_frac: share of the limit that the plan uses; for objectives, that its confidence interval reaches.
    """

    kind: str
    name: str
    used_frac: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """What a schedule comes to.

    Attributes:
        duration_h: that it lasts.
        planned: money, energy and CO2 with planned watts, over these hours.
        simulated: the same with those of the simulator; None where watts are not known.
        base_machines: machine type -> base fleet.
        most_machines: machine type -> how many are paid for at once at most.
        most_machines_at_once: of all types together, in one epoch.
        mean_machines: powered, the mean of all epochs.
        most_rated_w: of the machines powered in one epoch, the most.
        epochs_served: how many epochs the simulator confirmed, those alike counted each.
        provided_ratio: class -> rate that each epoch provides for over its peak.
        ways: how each model is served; one alone has no name.
    """

    duration_h: float
    planned: Spent
    simulated: Spent | None
    base_machines: Mapping[str, int]
    most_machines: Mapping[str, int]
    most_machines_at_once: int
    mean_machines: float
    most_rated_w: float
    epochs_served: int
    provided_ratio: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    ways: tuple[ModelOverTime, ...] = ()

    @property
    def cost_usd(self) -> float:
        """With planned watts."""
        return self.planned.cost_usd

    @property
    def energy_kwh(self) -> float:
        """With planned watts."""
        return self.planned.energy_j / 3.6e6

    @property
    def carbon_kg(self) -> float:
        """With planned watts."""
        return self.planned.carbon_g / 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What planning one scenario came to.

    Attributes:
        digest: of the question: the scenario, the files it names, the version that answered.
        verdict: ``validated``, else ``infeasible``, ``not validated`` or ``no plan in time``.
        explanation: why there is no plan, full sentences; empty where there is one.
        candidate: what to buy for one model; None where there is no plan, several models or a schedule.
        objective_value: of the scenario's objective (USD/h, W, machines or req/s); of a schedule of its first aim over
            the horizon (USD, kWh, kg, W or machines); None where there is no plan.
        served_req_per_s: rate the plan was validated at; None where there is no plan.
        bound: proven on the objective; None where there is none.
        evidence: one per objective of the plan; empty where there is none.
        margin_frac: objective -> share of its limit that the confidence interval leaves.
        binds: what is nearest to its limit, of each kind the nearest first.
        bill: watts, joules of a token, and what they cost and emit; None where there is no plan.
        models: of several models on one fleet, what to buy for each by its name; empty for one model.
        gpu_tokens_per_s: output tokens a second of a GPU, as simulated; None where there is no plan.
        user_tokens_per_s: output tokens a second that one request gets, the median; None where it is not known.
        concurrency: requests that decode at once on a machine, mean over those that decode; None where none was
            simulated.
        over_time: of a schedule; None of plans of one load, and where there is none.
    """

    digest: str
    verdict: str
    explanation: tuple[str, ...]
    candidate: CandidatePlan | None
    objective_value: float | None
    served_req_per_s: float | None
    bound: float | None
    evidence: tuple[Evidence, ...]
    margin_frac: Mapping[str, float]
    binds: tuple[Binding, ...]
    bill: Bill | None = None
    models: Mapping[str, CandidatePlan] = field(default_factory=dict)
    gpu_tokens_per_s: float | None = None
    user_tokens_per_s: float | None = None
    concurrency: float | None = None
    over_time: OverTime | None = None

    @property
    def bought(self) -> Mapping[str, CandidatePlan]:
        """What to buy, by model; a single one has no name. Empty where there is no plan."""
        return {"": self.candidate} if self.candidate is not None else self.models

    @property
    def totals(self) -> Totals | None:
        """What all machines need together; None where there is no plan."""
        return together(self.bought.values()) if self.bought else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One scenario of a sweep.

    Attributes:
        name: what was set, for example ``rate_scale=2, ttft_p99_s=0.5``; ``as given`` where nothing was.
        settings: dotted key -> value, as it would be typed.
        outcome: what planning it came to.
    """

    name: str
    settings: Mapping[str, str]
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """What it costs to own one plan, or the base fleet of a schedule, when another future happens; see docs/whatif.md.

    Attributes:
        bought: point whose plan is owned.
        happens: point whose scenario comes true.
        holds: the plan serves that scenario as it is, in simulation and within its budgets.
        fails: why not, where it does not.
        add: machine type -> how many must be added, the cheapest way known.
        extra: what they add to the objective, at the prices of the scenario that happens; 0 where the plan holds.
        regret: objective of what is then owned, less that of the best plan known for the scenario that happens;
            None where no plan is known that serves it.
    """

    bought: str
    happens: str
    holds: bool
    fails: tuple[str, ...]
    add: Mapping[str, int]
    extra: float | None
    regret: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """What moving one thing both ways does to the objective, all else as given.

    Attributes:
        name: what was moved, in words, for example ``load`` or ``price of dgx-h100``.
        low: with the smaller setting.
        high: with the larger setting.
        low_change: objective of ``low`` less that of the scenario as given; None where one has no plan.
        high_change: the same of ``high``.
    """

    name: str
    low: Point
    high: Point
    low_change: float | None
    high_change: float | None

    @property
    def span(self) -> float:
        """The larger of the two changes; infinite where a side has no plan."""
        sides = (self.low_change, self.high_change)
        return max(float("inf") if side is None else abs(side) for side in sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPrice:
    """What one more unit of a budget is worth, found by planning again with a little more and a little less of it.

    Machines come whole, so this is the mean worth over a step of the stated size, not a derivative: a smaller step may
    show nothing, and the next machine everything.

    Attributes:
        budget: key under ``budgets``.
        limit: as given.
        step: by which it was raised and lowered: what one of the smallest machines on offer needs of it.
        more: with the raised budget.
        less: with the lowered one.
        gain_per_unit: improvement of the objective per unit of the budget over the raise; None where there is no plan.
        loss_per_unit: worsening per unit over the cut; None where the cut leaves no plan.
    """

    budget: str
    limit: float
    step: float
    more: Point
    less: Point
    gain_per_unit: float | None
    loss_per_unit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """A sweep: the same question asked many times, with something changed each time.

    Attributes:
        scenario: as given.
        knobs: what was varied; a grid is their product, the last knob changing fastest.
        points: the grid, in that order; or worlds, with a value of each knob.
        base: the scenario as given; None where neither a tornado nor shadow prices asked for it.
        regret: of every ordered pair of points that both have a plan; empty for objectives that are no sum over the
            machines owned, such as throughput.
        tornado: one-at-a-time changes, the largest effect first.
        tornado_frac: by how much each thing was moved; None without a tornado.
        shadow_prices: one per finite budget.
    """

    scenario: Scenario | Fleet
    knobs: tuple[Knob, ...]
    points: tuple[Point, ...]
    base: Point | None = None
    regret: tuple[Regret, ...] = ()
    tornado: tuple[Swing, ...] = ()
    tornado_frac: float | None = None
    shadow_prices: tuple[ShadowPrice, ...] = ()

    @property
    def is_grid(self) -> bool:
        """The points are the product of the knobs' values; worlds that were drawn are not."""
        return len(self.points) == prod(len(knob.values) for knob in self.knobs)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Keys without their section, ``price_scale.dgx-h100``; whole where two would be the same, and of one model."""
    every = [steps(key) for key in keys]
    bare = [".".join(each[1:]) or each[0] for each in every]
    return {
        key: name if bare.count(name) == 1 and not any(step.isdigit() for step in each) else key
        for key, name, each in zip(keys, bare, every, strict=True)
    }
