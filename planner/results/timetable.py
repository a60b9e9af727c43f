"""The nouns of a plan over time and of what the simulator said of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from planner.results.availability import Availability
from planner.results.evidence import Evidence, Verdict
from planner.results.precision import Served as Precision
from planner.results.precision import Variant
from planner.results.row import RowStudy
from planner.results.schedule import FixedFleet, OneKnob, Schedule, Spent, scoped
from solvers.allocation import Termination

Way = str | tuple[str, ...]
"""How instances serve: the policy; of several models the policy, precision and engine of each, a sentence a model.

Older files have those of several models in one string.
"""

FUZZ_FRAC = 1e-6
"""By which metered watts may pass their budget: rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Epochs with equal pools, equal load, and the same before them, as the simulator served one of them.

    Attributes:
        epochs: their numbers, ascending; the first was served.
        rate_req_per_s: at which.
        changed: instances that came, went or changed their clock at its beginning.
        evidence: one per objective.
        seeds: simulated.
        arrived: requests over all seeds.
        unfinished: of them, still running or waiting at the end.
        refused: of them, too long for any memory.
        steady: no objective is missed by the later half alone.
        engine: what simulated it.
        planned_w: mean draw at the wall of what is powered, as planned at the rate that was served.
        simulated_w: the same as metered; None where watts are not known.
        limit_w: the budget of expected watts; None is unlimited.
        longer_missed: objectives that a longer run misses.
        model: of several models, the one whose requests they are; epochs are alike in all models, and machines that
            are powered draw their watts for each by the GPUs that it runs on.
    """

    epochs: tuple[int, ...]
    rate_req_per_s: float
    changed: int
    evidence: tuple[Evidence, ...]
    seeds: tuple[int, ...]
    arrived: int
    unfinished: int
    refused: int
    steady: bool
    engine: str
    planned_w: float = 0.0
    simulated_w: float | None = None
    limit_w: float | None = None
    longer_missed: tuple[str, ...] = ()
    model: str = ""

    def classes(self, names: Iterable[str]) -> dict[str, str]:
        """Of the names of classes of all models, those of its own: as its objectives name them -> as all do."""
        prefix = scoped(self.model, "")
        return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}

    @property
    def served_well(self) -> bool:
        """Every objective is met and no request is unfinished."""
        met = all(each.verdict is Verdict.MET for each in self.evidence)
        return met and self.steady and not self.unfinished and not self.refused

    @property
    def excess_w(self) -> float:
        """Metered watts beyond the budget; 0 within it."""
        if self.limit_w is None or self.simulated_w is None:
            return 0.0
        return max(0.0, self.simulated_w - self.limit_w * (1 + FUZZ_FRAC))

    @property
    def valid(self) -> bool:
        """Served well, and within the budget of watts."""
        return self.served_well and not self.excess_w

    @property
    def watts_ratio(self) -> float | None:
        """Metered over planned watts; None where either is not known."""
        return self.simulated_w / self.planned_w if self.simulated_w is not None and self.planned_w else None

    @property
    def tightness_ratio(self) -> float:
        """How near the nearest objective is: measured over limit, the largest of all."""
        return max((each.measured / each.limit for each in self.evidence), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A precision, engine and policy that a schedule was looked for in.

    Attributes:
        variant: precision and engine; None of several models, whose policy says those of each.
        policy: how instances serve; a tuple of several models.
        cost_usd: of its schedule, over the horizon; None where there is none.
        energy_j: of the same.
        valid: the simulator confirms it.
        bound: proven least of the first aim with instances full; None where nothing is proven.
        simulated: whether it was served; else its bound is no better than the answer.
    """

    variant: Variant | None
    policy: Way
    cost_usd: float | None
    energy_j: float | None
    valid: bool
    bound: float | None
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverTime:
    """How one of several models is served over time.

    Attributes:
        name: of the model in the question.
        policy: how its instances serve.
        variant: precision and engine.
        serves: what each option of it that is ever run serves it in.
    """

    name: str
    policy: str
    variant: Variant
    serves: tuple[Precision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """A schedule and what speaks for it.

    Attributes:
        schedule: the plan over time; None where there is none.
        served: what the simulator said, epochs that are alike together.
        unserved: epochs that rest on the same capacities and were not simulated.
        termination: how the last solve ended.
        provided_ratio: class -> rate that each epoch provides for over its peak; above 1 where the simulator asked for
            more.
        policy: how instances serve; a tuple of several models.
        simulated: money, energy and CO2 with the watts of the simulator; None where watts are not known.
        fixed: the fixed fleet for the peak, to compare with; None where none passed, or nothing was validated.
        serves: what each option that is ever run serves the model in.
        lacking: where there is no schedule: budgets to raise, full sentences.
        proven: that there is none, by the least work of the busiest epoch.
        power: the row that its machines stand in; None where none is asked for.
        variant: precision and engine that it is of; None in files of versions that had one only.
        knobs: what each knob that it moves would come to alone, the best first.
        over: limits that its machines exceed, though every epoch was served well; full sentences.
        availability: how often its epochs meet every objective; None where it was not asked for.
        tried: where several precisions, engines or policies are allowed, what each came to, the best first.
        models: of several models, how each is served; runs and what was served name theirs.
    """

    schedule: Schedule | None
    served: tuple[Served, ...]
    unserved: tuple[int, ...]
    termination: Termination
    provided_ratio: Mapping[str, tuple[float, ...]]
    policy: Way
    simulated: Spent | None = None
    fixed: FixedFleet | None = None
    serves: tuple[Precision, ...] = ()
    lacking: tuple[str, ...] = ()
    proven: bool = False
    power: RowStudy | None = None
    variant: Variant | None = None
    knobs: tuple[OneKnob, ...] = ()
    over: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    availability: Availability | None = None
    models: tuple[ModelOverTime, ...] = ()

    @property
    def policies(self) -> str:
        """How instances serve, in a line."""
        return way_words(self.policy)

    @property
    def valid(self) -> bool:
        """Whether there is a schedule, every epoch that was served kept every objective, and no limit is exceeded."""
        return self.schedule is not None and not self.over and all(each.valid for each in self.served)


def way_words(way: Way) -> str:
    """How instances serve, in a line."""
    return way if isinstance(way, str) else "; ".join(way)


def watts_ratios(served: Iterable[Served]) -> dict[int, float | None]:
    """Epoch -> metered over planned watts, those of all models together; None where either is not known."""
    rows: dict[int, list[Served]] = {}
    for each in served:
        for epoch in each.epochs:
            rows.setdefault(epoch, []).append(each)
    return {epoch: _ratio(each) for epoch, each in rows.items()}


def _ratio(rows: list[Served]) -> float | None:
    metered, planned = [each.simulated_w for each in rows], sum(each.planned_w for each in rows)
    return None if None in metered or not planned else sum(each or 0.0 for each in metered) / planned
