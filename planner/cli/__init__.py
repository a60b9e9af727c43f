"""The command line."""

from collections.abc import Callable
from typing import Annotated

import typer

from planner import __version__
from planner.cli import catalogs, comparisons, exports, plans, profiling, reproductions, starting, truth, workload
from planner.cli.terminal import Once, verb

_ABOUT = """Plan LLM inference clusters: machines, phases and layouts, validated by simulation.

Results go to stdout, everything else to stderr. Exit codes: 0 validated, 1 bug, 2 bad input, 3 proven infeasible,
4 not validated by the simulator, 5 no plan found in the solver's time limit, 130 interrupted.
"""


def _version(wanted: bool) -> None:
    if wanted:
        from planner.files.shipped import shipped

        typer.echo("\n".join((f"phasewise {__version__}", *shipped())))
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version, and digests of data")
    ] = False,
) -> None:
    """Options of phasewise itself."""


def _papers() -> None:
    """Compare published results with our simulator."""


def build() -> typer.Typer:
    """The command line, every verb in its place."""
    app = _group("phasewise", _ABOUT)
    app.callback()(_root)
    _add(app, starting.new, plans.check, plans.plan, plans.simulate, plans.show, exports.export)
    _add(app, comparisons.whatif, comparisons.frontier, comparisons.diff)
    _add(app, truth.accuracy, truth.calibrate, profiling.profile)
    _add(app, catalogs.models, catalogs.machines)
    catalog = _group("catalog", "List and check hardware and prices, every number with its source.")
    catalog.command("list", cls=Once)(verb(catalogs.listing))
    _add(catalog, catalogs.show, catalogs.check, catalogs.bake)
    demand = _group("workload", "Describe traces, and draw traces from built-in workloads.")
    _add(demand, workload.stats, workload.generate)
    papers = _group("reproduce", "Compare published results with our simulator.")
    papers.callback()(_papers)
    _add(papers, reproductions.splitwise, reproductions.splitwise_grid, reproductions.sarathi, reproductions.mnemosyne,
         reproductions.polca, reproductions.dynamollm)  # fmt: skip
    app.add_typer(catalog)
    app.add_typer(demand)
    app.add_typer(papers)
    return app


def _add(group: typer.Typer, *acts: Callable[..., None]) -> None:
    for act in acts:
        group.command(cls=Once)(verb(act))


def _group(name: str, about: str | None) -> typer.Typer:
    # Plain help: rich's takes longer to import than everything else together.
    return typer.Typer(
        name=name,
        help=about,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
