"""The street side: results to stdout, everything else to stderr, and an exit code that says how it ended."""

import difflib
import errno
import inspect
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer
from typer.core import TyperCommand

from hw_catalog.errors import CatalogError
from planner.errors import BadInput, ExitCode
from planner.executor import use_cores
from workloads.errors import WorkloadError

if TYPE_CHECKING:
    from planner.executor import Executor
    from planner.scenario import Scenario
    from planner.scenario.fleet import Fleet

Progress = Callable[[str, float], None]

_NO_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)
"""What no file can be called: a name that is too long, a link that leads to itself."""

_SHOWN = 60

Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change one key, for example objective=power")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Sections = Annotated[
    list[str] | None,
    typer.Option(
        "--sections", metavar="NAME", help="show these parts, for example evidence; all shows every one; repeatable"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress and no notes on stderr")]
ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="scenario file (YAML)", show_default=False)]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="write a report in one HTML file, to be opened anywhere")
]
Directory = Annotated[
    Path | None, typer.Option("--directory", metavar="DIR", help="your own catalog files, on top of the built-in ones")
]


Cores = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="cores to use, all if not given; the answer is the same", show_default=False),
]


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the work of a command that has many tasks."""

    workers: Annotated[
        int | None,
        typer.Option("--workers", "--jobs", min=1, help="processes to work in; as many as cores if not given"),
    ] = None
    executor_word: Annotated[
        str, typer.Option("--executor", metavar="EXECUTOR", help="local, or dask://HOST:PORT: the workers of a cluster")
    ] = "local"

    def executor(self) -> "Executor":
        """The workers.

        Raises:
            BadInput: there are none of these.
        """
        from planner.executor import executor

        return executor(self.executor_word, self.workers)


ENDINGS: Mapping[str, ExitCode] = {
    "infeasible": ExitCode.INFEASIBLE,
    "not validated": ExitCode.NOT_VALIDATED,
    "no plan in time": ExitCode.SOLVER_EMPTY,
}
"""Why there is no plan -> how the process ends."""

_Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of a bug")]


class Once(TyperCommand):
    """A command whose options that hold one value are given once, of which two would let the last win in silence.

    What is required and lacks is told at once, each with what it stands for.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  typer's own click
        """Read the words.

        Raises:
            Exit: an option is there twice, or what is required is not there; each is named.
        """
        try:
            given, _, order = self.make_parser(ctx).parse_args(args=list(args))
        except typer.BadParameter:
            raise
        except Exception as wrong:
            _say_what_is_meant(wrong, {name for p in self.params for name in p.opts})
            raise
        single = [p for p in order if p.param_type_name == "option" and not getattr(p, "multiple", False)]
        valued = [p for p in single if not getattr(p, "is_flag", False)]
        twice = {p.opts[0]: valued.count(p) for p in valued if valued.count(p) > 1}
        refused = [f"{name}: found {count} times; expected once" for name, count in twice.items()]
        if not given.get("help"):
            refused += [_lacks(p) for p in self.params if p.required and not given.get(p.name or "")]
        if refused:
            complain(*refused)
            raise typer.Exit(ExitCode.BAD_INPUT)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as wrong:
            wrong.message = _plainly(wrong.message)
            raise


def _lacks(parameter: Any) -> str:  # noqa: ANN401  typer's own click
    """That a required word is not there, and what it stands for."""
    name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar or parameter.name.upper()
    return f"{name}: missing; expected {parameter.help}"


_MEANT = {
    "--rate": ("--rps", "--qps", "--req-per-s", "--requests-per-second", "--request-rate", "--load"),
    "--prompt": ("--isl", "--input", "--input-len", "--input-tokens", "--prompt-tokens", "--in"),
    "--output": ("--osl", "--output-len", "--output-tokens"),
    "--tpot": ("--itl", "--tbt"),
    "--machines": ("--gpu", "--gpus", "--machine", "--hardware", "--system"),
    "--out": ("-o", "--save-to"),
    "--columns": ("--mapping",),
}
"""Option -> what other tools call it."""


def _plainly(message: str) -> str:
    """What is wrong with a value, without the checker's own words, and the nearest of the choices."""
    words = message.removeprefix("Value error, ")
    found, *choices = re.findall(r"'([^']*)'", words) or [""]
    close = difflib.get_close_matches(found, choices, n=1)
    return f"{words} Did you mean '{close[0]}'?" if close and "is not one of" in words else words


def _say_what_is_meant(wrong: Exception, known: Set[str]) -> None:
    """Of an option that is unknown: the one that other tools call so, in place of those that are spelled like it."""
    name = getattr(wrong, "option_name", None)
    meant = [option for option, others in _MEANT.items() if option in known and name in others]
    if meant and hasattr(wrong, "possibilities"):
        wrong.possibilities = meant


def verb(act: Callable[..., None]) -> Callable[..., None]:
    """The command ``act``, with ``--debug``, whose failures become messages and exit codes; it keeps to ``cores``.

    A parameter that is a dataclass becomes one option for each of its fields, as they are annotated.
    """
    parameters = inspect.signature(act).parameters
    groups = {name: each.annotation for name, each in parameters.items() if is_dataclass(each.annotation)}

    @wraps(act)
    def guarded(debug: bool = False, **options: object) -> None:
        most = options.get("cores")
        use_cores(most if isinstance(most, int) else None)
        try:
            act(**_gathered(groups, options))
        except (BadInput, CatalogError, WorkloadError) as error:
            complain(*error.problems)
            raise typer.Exit(ExitCode.BAD_INPUT) from None
        except KeyboardInterrupt as stop:
            typer.echo(f"\nphasewise: interrupted{': ' if str(stop) else ''}{stop}", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _NO_NAMES:
                complain(f"{str(error.filename)[:_SHOWN]!r}: {error.strerror}; expected the name of a file")
                raise typer.Exit(ExitCode.BAD_INPUT) from None
            if debug:
                raise
            typer.echo(f"phasewise: bug: {type(error).__name__}: {error}; run with --debug for the traceback", err=True)
            raise typer.Exit(ExitCode.BUG) from None

    spread = [option for name, each in parameters.items() for option in _spread(each, groups.get(name))]
    shown = [*spread, inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Debug)]
    guarded.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    guarded.__annotations__ = {each.name: each.annotation for each in shown}
    return guarded


def _spread(parameter: inspect.Parameter, group: Any) -> list[inspect.Parameter]:  # noqa: ANN401  a dataclass, or None
    """A parameter by its name, or the fields of its dataclass by theirs."""
    if group is None:
        return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    empty = inspect.Parameter.empty
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, annotation=field.type,
            default=empty if field.default is MISSING else field.default,
        )
        for field in fields(group)
    ]  # fmt: skip


def _gathered(groups: Mapping[str, Any], options: Mapping[str, object]) -> dict[str, object]:
    """The arguments of a command: options, those of a dataclass in one."""
    grouped = {name: {field.name for field in fields(group)} for name, group in groups.items()}
    apart = {name: value for name, value in options.items() if not any(name in names for names in grouped.values())}
    return apart | {name: group(**{key: options[key] for key in grouped[name]}) for name, group in groups.items()}


def complain(*problems: str) -> None:
    """Every problem on stderr, one a line."""
    typer.echo(f"phasewise: {len(problems)} problem{'s' * (len(problems) != 1)}:", err=True)
    for problem in problems:
        typer.echo(f"  {problem}", err=True)


def expect_writable(*read: Path | None, question: "Scenario | Fleet | None" = None, **files: Path | None) -> None:
    """Refuse files that could not be written after the work, or are read by it, before it starts.

    Args:
        read: files that the command reads.
        question: whose unknown names are told beside.
        files: option, without its dashes -> where it would be written; None where it was not asked for.

    Raises:
        BadInput: naming every one that could not be.
    """
    from planner.files.writing import clashes, unwritable

    written = {f"--{name}": path for name, path in files.items()}
    problems = [f"{name} {path}: {why}" for name, path in written.items() if path and (why := unwritable(path))]
    problems += clashes({f"the input {path}": path for path in read}, written)
    if problems:
        from planner.resolve.questions import unknown_of

        raise BadInput(*(f"{problem}; nothing was done" for problem in problems), *unknown_of(question))


JournalFile = Annotated[
    Path | None,
    typer.Option("--journal", metavar="FILE", help="where finished work is kept, to continue from after Ctrl-C"),
]


@contextmanager
def resumable(journal: Path) -> Iterator[None]:
    """Where Ctrl-C or SIGTERM ends the work, say how to go on."""
    try:
        with _terminable():
            yield
    except KeyboardInterrupt as stop:
        done = f"{stop}; " if str(stop) else ""
        raise KeyboardInterrupt(f"{done}the same command goes on from {journal}") from None


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, with which systems end what takes long, ends the work as Ctrl-C does; where signals are not heard, none.

    Raises:
        KeyboardInterrupt: at the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def files_of(question: "Scenario | Fleet", *files: Path) -> tuple[Path, ...]:
    """The files that a question rests on: its own, and the traces of its models where these are files."""
    from planner.scenario.fleet import Fleet

    models = question.models if isinstance(question, Fleet) else (question,)
    traces = [Path(trace) for each in models if (trace := each.workload.trace)]
    return (*files, *(path for path in traces if path.is_file()))


def expect_neither(
    one: object | None, other: object | None, files: tuple[Path, Path], plain: str, special: str, instead: str
) -> Literal[False]:
    """That two files compared are both of the plain kind, where at least one of them is.

    Args:
        one: what was read of the first as one of the special kind; None where it is plain.
        other: of the second.
        files: the two.
        plain: what a plain one is.
        special: what the other is.
        instead: what to do with one of either kind; ``{}`` stands for the special one.

    Raises:
        BadInput: the other is of the special kind.
    """
    if one is None and other is None:
        return False
    first, second = files if one is None else files[::-1]
    raise BadInput(f"diff: {first} {plain}, {second} {special}; expected two of a kind ({instead.format(second)})")


def note(text: str, *, quiet: bool = False) -> None:
    """A remark on stderr that is no result."""
    if not quiet:
        typer.echo(text, err=True)


def not_written(out: Path | None, *, quiet: bool) -> None:
    """A remark that a file asked for is not written, since there is nothing to write."""
    if out is not None:
        note(f"{out} not written: there is no validated plan", quiet=quiet)


_PIPED = 100_000
"""Columns where no terminal folds lines: sentences stay whole for programs that search them."""


def print_view(view: object) -> None:
    """A result for people, on stdout: colours and the terminal's width on a terminal, plain whole lines elsewhere.

    ``COLUMNS`` sets another width. A table whose names need more is not folded.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        with _stdout():
            console.print(view, crop=False)
        return
    drawn = StringIO()
    plain = Console(file=drawn, highlight=False, width=None if "COLUMNS" in os.environ else _PIPED)
    plain.print(view, crop=False)
    write("".join(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines()))


def write(text: str) -> None:
    """A result as it is, on stdout."""
    with _stdout() as out:
        out.write(text)
        out.flush()


@contextmanager
def _stdout() -> Iterator[TextIO]:
    """Where results go.

    Raises:
        BadInput: it is closed, or full; files that were asked for are written by then.
    """
    if sys.stdout is None:
        raise BadInput("stdout: is closed; expected somewhere to write the result")
    try:
        yield sys.stdout
    except BrokenPipeError:
        raise
    except OSError as error:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123  what is left in the buffer must not fail again at the end
            os.dup2(nothing.fileno(), 1)
        raise BadInput(f"stdout: cannot be written: {error.strerror}") from None


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """A progress bar with an estimate on stderr where that is a terminal, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda _message, _frac: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("about"), TimeRemainingColumn(compact=True),
        TextColumn("left, {task.description}", markup=False),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda message, frac: bar.update(task, description=message, completed=frac)
