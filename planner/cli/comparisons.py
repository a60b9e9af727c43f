"""Verbs that compare: whatif, frontier, diff."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from planner.cli.fleets import any_models, diff_fleets
from planner.cli.reports import report_page, show_page
from planner.cli.schedules import diff_schedules
from planner.cli.terminal import (
    ENDINGS,
    JournalFile,
    Json,
    Quiet,
    Report,
    ScenarioFile,
    Sections,
    Sets,
    Workers,
    expect_writable,
    files_of,
    note,
    progress,
    resumable,
    write,
)
from planner.errors import BadInput, ExitCode, read_each

if TYPE_CHECKING:  # slow to import
    from planner.report.page import Page

Found = TypeVar("Found")

MANY_POINTS = 100
"""More points than this are planned only after a word on how many they are."""

MANY_SCHEDULES = 4
"""The same of points over time: a schedule of a day of hours takes up to a minute of a core."""

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="write the result here, as JSON")]

Vary = Annotated[
    list[str] | None,
    typer.Option("--vary", metavar="KEY=VALUES", help="plan with each value, for example workload.rate_scale=1,2"),
]
Tornado = Annotated[
    float | None,
    typer.Option("--tornado", metavar="PERCENT", min=0.1, max=90, help="move one thing at a time by this much"),
]
Shadow = Annotated[bool, typer.Option("--shadow-prices", help="what one more unit of each budget is worth")]
WithRegret = Annotated[
    bool, typer.Option("--regret/--no-regret", help="try every plan of the grid in every other scenario of it")
]


Worlds = Annotated[
    int | None,
    typer.Option(
        "--worlds",
        min=1,
        help="sample so many futures from the scenario's uncertainty, each served by every plan",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where the result of a comparison goes."""

    out: Out = None
    journal: JournalFile = None
    json: Json = False
    quiet: Quiet = False
    report: Report = None

    def journal_of(self, scenario: Path, verb: str) -> Path:
        """Where finished work is kept: beside the result if nothing else is said, or else here, after the scenario."""
        if self.journal is not None:
            return self.journal
        if self.out is None:
            return Path(f"{scenario.stem}.{verb}.jsonl")
        return self.out.with_name(f"{self.out.name}.journal.jsonl")

    def show(self, found: Found, page: "Callable[[Found], Page]") -> None:
        """A result on stdout, as text or JSON, and in a file where one was asked for."""
        from planner.files.plan_file import dumps
        from planner.files.writing import write_whole

        text = dumps(found)
        if self.out is not None:
            write_whole(self.out, text)
            note(f"wrote {self.out}", quiet=self.quiet)
        report_page(self.report, page, found, quiet=self.quiet)
        write(text) if self.json else show_page(page(found), self.parts)

    @property
    def parts(self) -> list[str]:
        """Sections to print; none is the first screen."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class LongWork(Outputs, Workers):
    """Where the result of many tasks goes, which parts of it are printed, and who does them."""

    sections: Sections = None

    @property
    def parts(self) -> list[str]:
        """Those that were named."""
        return self.sections or []


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a sweep changes of a scenario."""

    vary: Vary = None
    tornado: Tornado = None
    shadow_prices: Shadow = False
    worlds: Worlds = None
    regret: WithRegret = True

    @property
    def nothing(self) -> bool:
        """Whether nothing was asked for."""
        return not self.vary and self.tornado is None and not self.shadow_prices and self.worlds is None


def whatif(scenario: ScenarioFile, sets: Sets = None, *, changes: Changes, to: LongWork) -> None:
    """Plan again with something changed. Over a grid, one thing at a time, or with another unit of a budget."""
    if changes.nothing:
        ways = "--vary KEY=VALUES, --worlds N, --tornado PERCENT or --shadow-prices"
        raise BadInput(f"whatif: nothing to vary; expected {ways}")
    question = any_models(scenario, sets or ())
    from planner.compare.journal import Journal
    from planner.compare.sweep import sweep, swept
    from planner.report.sweeps import whatif_page

    share_frac = None if changes.tornado is None else changes.tornado / 100
    wanted = sweep(
        question, changes.vary or (), tornado_frac=share_frac, shadow=changes.shadow_prices, regret=changes.regret,
        drawn_worlds=changes.worlds,
    )  # fmt: skip
    kept = to.journal_of(scenario, "whatif")
    expect_writable(*files_of(question, scenario), question=question, out=to.out, journal=kept, report=to.report)
    if len(wanted.asked) > (MANY_POINTS if question.schedule is None else MANY_SCHEDULES):
        words = f"{len(wanted.asked):,} points will be planned; Ctrl-C stops, and {kept} keeps what is done"
        note(words, quiet=to.quiet)
    with to.executor() as crew, Journal(kept) as journal, resumable(kept), progress(quiet=to.quiet) as tell:
        found = swept(wanted, journal=journal, executor=crew, progress=tell)
    to.show(found, whatif_page)
    verdicts = [point.outcome.verdict for point in (*found.points, *((found.base,) if found.base else ()))]
    if all(verdict in ENDINGS for verdict in verdicts):
        raise typer.Exit(ENDINGS[verdicts[0]])


AxisX = Annotated[str, typer.Option("--x", metavar="AXIS", help="cost, power, machines, energy, carbon or throughput")]
AxisY = Annotated[str, typer.Option("--y", metavar="AXIS", help="another of these")]
Bound = Annotated[
    float | None,
    typer.Option("--limit", min=0, help="largest value of the axis that is bounded; else the scenario's budget"),
]
Step = Annotated[
    float | None, typer.Option("--step", min=1e-6, help="smallest change of that axis to look for; any if not given")
]
Most = Annotated[int, typer.Option("--most", min=1, help="stop after so many plans")]


def frontier(
    scenario: ScenarioFile, x: AxisX = "cost", y: AxisY = "throughput", limit: Bound = None, step: Step = None,
    most: Most = 50, sets: Sets = None, *, to: LongWork,
) -> None:  # fmt: skip
    """Trace the best plans of two quantities. The most throughput for every cost, for example."""
    question = any_models(scenario, sets or ())
    from planner.compare.frontier import route, walked
    from planner.compare.journal import Journal
    from planner.report.frontiers import frontier_page

    wanted = route(question, x, y, limit=limit, step=step, most=most)
    kept = to.journal_of(scenario, "frontier")
    expect_writable(*files_of(question, scenario), question=question, out=to.out, journal=kept, report=to.report)
    with to.executor() as crew, Journal(kept) as journal, resumable(kept), progress(quiet=to.quiet) as tell:
        found = walked(wanted, journal=journal, executor=crew, progress=tell)
    to.show(found, frontier_page)
    if not found.designs:
        raise typer.Exit(ExitCode.NOT_VALIDATED)


Before = Annotated[Path, typer.Argument(metavar="BEFORE", help="the plan.json in use", show_default=False)]
After = Annotated[Path, typer.Argument(metavar="AFTER", help="the plan.json to come", show_default=False)]
QuickLook = Annotated[bool, typer.Option("--quick", help="check the moves by planned loads, without simulation")]
PowerLimit = Annotated[
    float | None,
    typer.Option("--power-limit", metavar="W", min=0, help="most rated watts at any step; else the budget"),
]


def diff(
    before: Before,
    after: After,
    quick: QuickLook = False,
    power_limit: PowerLimit = None,
    json: Json = False,
    quiet: Quiet = False,
    report: Report = None,
    sections: Sections = None,
) -> None:
    """Show what to buy and to retire between two plans, and a safe order of moves."""
    expect_writable(before, after, report=report)
    to = LongWork(json=json, quiet=quiet, report=report, sections=sections)
    parts = to.parts
    if diff_fleets(before, after, quick=quick, power_limit=power_limit, json=json, quiet=quiet, report=report,
                   sections=parts):  # fmt: skip
        return
    if diff_schedules(before, after, json=json, quiet=quiet, report=report, sections=parts):
        return
    from planner.compare.diff import diff as compared
    from planner.planning.opened import open_plan
    from planner.report.differences import diff_page

    one, other = read_each(open_plan, (before, after))
    with progress(quiet=quiet) as tell:
        found = compared(one, other, quick=quick, power_limit_w=power_limit, progress=tell)
    to.show(found, diff_page)
    if not found.safe:
        raise typer.Exit(ExitCode.NOT_VALIDATED)
