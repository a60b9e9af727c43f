"""The same verbs as the command line, for notebooks and programs; results turn into data frames."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from planner import __version__
from planner.api.fleets import PlannedFleet
from planner.api.fleets import planned as planned_fleet
from planner.api.frames import Shown, evidence_rows, frame_of
from planner.api.grids import Swept, Walked
from planner.api.planned import Planned
from planner.api.questions import Words, asked
from planner.api.scheduled import Scheduled, scheduled, served_again
from planner.compare.diff import diff as _compared
from planner.compare.epochs import expect_epochs
from planner.compare.frontier import route, walked
from planner.compare.journal import Journal
from planner.compare.sweep import sweep, swept
from planner.errors import BadInput
from planner.executor import Executor, executor
from planner.executor.here import Here
from planner.files.plan_file import PlanFile, plain
from planner.files.records import record_file
from planner.planning import plan as planning
from planner.planning.opened import open_plan
from planner.report.differences import diff_page
from planner.report.page import Page
from planner.report.plans import simulation_page
from planner.results.difference import Diff
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, float], None]

__all__ = [
    "Compared",
    "Fleet",
    "Planned",
    "PlannedFleet",
    "Scenario",
    "Scheduled",
    "Simulated",
    "Swept",
    "Walked",
    "diff",
    "frontier",
    "plan",
    "simulate",
    "whatif",
]


def _silent(_words: str, _done_frac: float) -> None:
    """Progress that is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Simulated(Shown):
    """What ``simulate`` saw.

    Attributes:
        scenario: what was asked.
        judgement: what the simulator says.
        candidate: the plan's machines with the rates and loads of this run.
    """

    scenario: Scenario
    judgement: Judgement
    candidate: CandidatePlan

    @property
    def valid(self) -> bool:
        """Whether every objective is met, in steady state, with nothing unfinished."""
        return self.judgement.valid

    def page(self) -> Page:
        """Everything that ``phasewise simulate`` shows."""
        return simulation_page(self.judgement, self.candidate, self.scenario)

    def frame(self) -> "pd.DataFrame":
        """One row for each objective."""
        return frame_of(evidence_rows(self.judgement.evidence))

    def pools(self) -> "pd.DataFrame":
        """One row for each pool: how busy it was."""
        return frame_of([plain(each) for each in self.judgement.pools])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Compared(Shown):
    """What ``diff`` found."""

    found: Diff

    def page(self) -> Page:
        """Everything that ``phasewise diff`` shows."""
        return diff_page(self.found)

    def frame(self) -> "pd.DataFrame":
        """One row for each pool of either plan."""
        return frame_of([
            {
                "sign": each.sign, "pool": each.pool, "before": each.before.machines if each.before else 0,
                "after": each.after.machines if each.after else 0,
            }
            for each in self.found.changes
        ])  # fmt: skip

    def moves(self) -> "pd.DataFrame":
        """One row for each move, in order."""
        return frame_of([
            {
                "sign": m.sign, "machines": m.machines, "pool": m.pool, "source": m.source, "safe": m.safe,
                "checked_by": m.checked_by, "power_w": m.totals.power_w,
            }
            for m in self.found.moves
        ])  # fmt: skip


@overload
def plan(scenario: Fleet, *, progress: Progress = _silent) -> PlannedFleet | Scheduled: ...


@overload
def plan(
    scenario: Scenario, *, journal: Path | str | None = None, progress: Progress = _silent
) -> Planned | Scheduled: ...


@overload
def plan(
    scenario: Path | str, *, journal: Path | str | None = None, progress: Progress = _silent
) -> Planned | PlannedFleet | Scheduled: ...


@overload
def plan(*, progress: Progress = _silent, **words: Unpack[Words]) -> Planned: ...


def plan(
    scenario: Scenario | Fleet | Path | str | None = None, *, journal: Path | str | None = None,
    progress: Progress = _silent, **words: Unpack[Words],
) -> Planned | PlannedFleet | Scheduled:  # fmt: skip
    """The best plan that the simulator confirms.

    Args:
        scenario: the question, about one model, about several on one fleet, or over time; or the path of its file.
        journal: of a plan over time, file in which what is simulated is kept, to continue from after an interruption.
        progress: told what is happening, and the share of the work that is done.
        words: in place of a scenario, as the options of ``phasewise plan``; see ``planner.api.questions.Words``.

    Raises:
        BadInput, CatalogError, WorkloadError: something the scenario names is missing or broken, or there is a journal
            where the plan is of one load.
    """
    question = asked(scenario, words)
    expect_epochs(question, journal, "journal")
    if question.schedule is not None:
        return scheduled(question, progress, None if journal is None else Path(journal))
    if isinstance(question, Fleet):
        return planned_fleet(question, progress)
    read = planning.read(question)
    answer = planning.plan(read, progress=progress)
    return Planned(scenario=question, answer=answer, digests=planning.digests(read))


@overload
def simulate(plan: Scheduled, *changes: str, progress: Progress = _silent) -> Scheduled: ...


@overload
def simulate(
    plan: Planned | Path | str, *changes: str, records: Path | str | None = None, progress: Progress = _silent
) -> Simulated: ...


def simulate(
    plan: Planned | Scheduled | Path | str, *changes: str, records: Path | str | None = None,
    progress: Progress = _silent,
) -> Simulated | Scheduled:  # fmt: skip
    """Serve a workload on a plan; ``changes`` change what is asked of it, not the plan.

    Args:
        plan: what ``plan`` returned for one load or over time, or the path of the ``plan.json`` of one load.
        changes: ``dotted.key=value`` words, for example ``workload.rate_scale=2``.
        records: file that every simulated request is written to, a row each; ends in ``.csv`` or ``.parquet``.
        progress: told what is happening.

    Raises:
        BadInput: there is no plan, a change is wrong, or no such file can be written.
    """
    if isinstance(plan, Scheduled):
        if records:
            raise BadInput("records: the plan is one over time; expected one of one load")
        return served_again(plan, changes, progress)
    file = _file(plan)
    scenario = file.scenario.changed(changes)
    with record_file(Path(records) if records else None) as note:
        done = planning.simulation(scenario, file.plan.candidate, progress=progress, note=note)
    return Simulated(scenario=scenario, judgement=done.judgement, candidate=done.candidate)


Asked = Scenario | Fleet | Path | str | Planned | PlannedFleet | Scheduled
"""A question, the path of one, or an answer, whose question it is."""


def _question(given: Asked) -> Scenario | Fleet:
    """The question that was given, or that an answer answers."""
    return given.scenario if isinstance(given, Planned | PlannedFleet | Scheduled) else asked(given, {})


def whatif(
    scenario: Asked,
    vary: Mapping[str, Sequence[object]] | None = None,
    *,
    tornado_frac: float | None = None,
    shadow_prices: bool = False,
    regret: bool = True,
    journal: Path | str | None = None,
    workers: int | str = 1,
    progress: Progress = _silent,
) -> Swept:
    """Plan again with something changed.

    Args:
        scenario: the question as given, the path of one, or what ``plan`` made of one.
        vary: dotted key -> values; the grid is the product of all of them.
        tornado_frac: move one thing at a time by this share, 0..0.9.
        shadow_prices: what one more unit of each finite budget is worth.
        regret: try every plan of the grid in every other scenario of it.
        journal: file in which finished work is kept, to continue from after an interruption.
        workers: processes to work in, or ``dask://HOST:PORT``, those of a Dask scheduler; more than one process needs
            a main module that may be imported.
        progress: told how far it is.

    Raises:
        BadInput: with every problem of any point.
        Interrupted: by an interrupt; the same call with the same journal continues.
    """
    words = [f"{key}={','.join(_yaml(value) for value in values)}" for key, values in (vary or {}).items()]
    wanted = sweep(_question(scenario), words, tornado_frac=tornado_frac, shadow=shadow_prices, regret=regret)
    with Journal(None if journal is None else Path(journal)) as kept, _crew(workers) as crew:
        return Swept(found=swept(wanted, journal=kept, executor=crew, progress=progress))


def _crew(workers: int | str) -> Executor:
    return executor(workers) if isinstance(workers, str) else executor(workers=workers)


def _yaml(value: object) -> str:
    return json.dumps(plain(value))


def frontier(
    scenario: Asked,
    x: str = "cost",
    y: str = "throughput",
    *,
    limit: float | None = None,
    step: float | None = None,
    most: int = 50,
    journal: Path | str | None = None,
    progress: Progress = _silent,
) -> Walked:
    """The best of one quantity for every value of another, every design validated.

    Args:
        scenario: the question, the path of one, or what ``plan`` made of one; its objective does not matter.
        x: ``cost``, ``power``, ``machines`` or ``throughput``.
        y: another of these.
        limit: largest value of the bounded axis; None: the scenario's budget.
        step: smallest change of that axis to look for; None: any.
        most: designs after which to stop.
        journal: file in which finished work is kept.
        progress: told how far it is.

    Raises:
        BadInput: an axis is unknown, or throughput would grow without end.
    """
    wanted = route(_question(scenario), x, y, limit=limit, step=step, most=most)
    with Journal(None if journal is None else Path(journal)) as kept:
        return Walked(found=walked(wanted, journal=kept, executor=Here(), progress=progress))


def diff(
    before: Planned | Path | str,
    after: Planned | Path | str,
    *,
    quick: bool = False,
    power_limit_w: float | None = None,
    progress: Progress = _silent,
) -> Compared:
    """What changes from one plan to another, and in which order of moves nothing breaks.

    Args:
        before: what stands: what ``plan`` returned, or the path of a ``plan.json``.
        after: what shall stand.
        quick: check the way by planned loads, without simulating it.
        power_limit_w: rated watts that may be present during the moves; None: the budget.
        progress: told which cluster is looked at.

    Raises:
        BadInput: one of them is no plan.
    """
    found = _compared(_file(before), _file(after), quick=quick, power_limit_w=power_limit_w, progress=progress)
    return Compared(found=found)


def _file(plan: Planned | Path | str) -> PlanFile:
    """A plan as its file holds it."""
    if isinstance(plan, Path | str):
        return open_plan(Path(plan))
    if not isinstance(plan, Planned):
        raise BadInput(
            f"found {type(plan).__name__}; expected what plan() returned for one model and one load, or a file"
        )
    head: dict[str, Any] = {"schema_version": 1, "validated": True, "phasewise_version": __version__, "digests": {}}
    return PlanFile(**head, scenario=plan.scenario, plan=plan.plan)
