"""A question to start from: an example, one made for a trace, a file, stdin, or a few words."""

from dataclasses import asdict, dataclass
from importlib import resources
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.terminal import Json, files_of, note, write
from planner.cli.workload import TraceWords, by_option
from planner.errors import BadInput, nearest

if TYPE_CHECKING:  # slow to import, and needed only once the words are known
    from planner.scenario import Scenario
    from planner.scenario.fleet import Fleet


def _number(word: str) -> float | str:
    """A number; what is none is left to the scenario, whose refusal knows the key and its unit."""
    try:
        return float(word)
    except ValueError:
        return word


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A question without a file."""

    model: Annotated[str | None, typer.Option("--model", metavar="ID", help="without SCENARIO: the model")] = None
    rate_req_per_s: Annotated[
        float | None, typer.Option("--rate", parser=_number, metavar="REQ_PER_S", help="requests/s")
    ] = None
    trace: Annotated[str | None, typer.Option("--trace", metavar="FILE_OR_ID", help="a trace in place of lengths")] = (
        None
    )
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TOKENS", help="of a prompt: median, or MEDIAN:P95")
    ] = None
    output: Annotated[str | None, typer.Option("--output", metavar="TOKENS", help="of an answer, likewise")] = None
    ttft_s: Annotated[
        float | None, typer.Option("--ttft", parser=_number, metavar="S", help="P99 limit, time to first token")
    ] = None
    tpot_s: Annotated[
        float | None, typer.Option("--tpot", parser=_number, metavar="S", help="P99 limit, time per output token")
    ] = None
    e2e_s: Annotated[
        float | None, typer.Option("--e2e", parser=_number, metavar="S", help="P99 limit, time to last token")
    ] = None
    machines: Annotated[
        str | None, typer.Option("--machines", metavar="TYPES", help="machine types, separated by commas")
    ] = None
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="KIND=NAME,...", help="of the trace: arrival=, prompt=, output=")
    ] = None
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="write the scenario that these words stand for")
    ] = None


def asked(
    file: Path | None, words: Words, sets: list[str] | None, verb: str
) -> "tuple[Scenario | Fleet, tuple[Path, ...]]":
    """The question, and the files that it rests on.

    Args:
        file: a scenario, ``-`` for stdin; None where words ask.
        words: instead of a file.
        sets: ``dotted.key=value`` words on top.
        verb: that asks, for messages.

    Raises:
        BadInput: neither or both were given, or what was is wrong.
    """
    from planner.cli.fleets import one_model
    from planner.resolve.questions import question_of, unknown_names
    from planner.scenario import document_of
    from planner.scenario.flags import Flags, assumed, named, question, scenario_text
    from planner.scenario.fleet import Fleet
    from planner.scenario.trace_columns import columns_of

    given = Flags(**{name: value for name, value in asdict(words).items() if name != "save"})
    if file is not None and (given.given or words.save):
        raise BadInput(f"{verb}: found {file} and words such as --model; expected one of them (--set changes a file)")
    if file is None and not given.given:
        raise BadInput(
            f"{verb}: SCENARIO: missing; expected a file (`phasewise new` makes one), - for stdin, or words: --model "
            "llama-3.1-70b --rate 40 --prompt 1000 --output 200 --ttft 1 --tpot 0.05 --machines dgx-h100,hgx-h200"
            + ("; or --schema" if verb == "check" else "")
        )
    if file is not None:
        mapped = [] if words.columns is None else [f"workload.columns={dumps(columns_of(words.columns))}"]
        whole = question_of(document_of(file, [*mapped, *(sets or ())]))
        if isinstance(whole, Fleet):
            return whole, (file, *(each for part in whole.parts().values() for each in files_of(part)))
        return whole, files_of(whole, file)
    try:
        document = question(given, sets or ())
    except BadInput as wrong:
        raise BadInput(*wrong.problems, *unknown_names(named(given, sets or ()))) from None
    found = one_model(question_of(document))
    for sentence in assumed(given):
        note(f"phasewise: {sentence}; --prompt and --output take MEDIAN:P95")
    if words.save is not None:
        _save(words.save, scenario_text(given, sets or ()))
    return found, files_of(found)


def _save(path: Path, text: str) -> None:
    """Write the words as a file that asks the same."""
    from planner.files.writing import unwritable, write_whole

    if path.exists():
        raise BadInput(f"--save {path}: exists already; expected a new file")
    if why := unwritable(path):
        raise BadInput(f"--save {path}: {why}")
    write_whole(path, text)
    note(f"wrote {path}")


def new(
    name: Annotated[str | None, typer.Argument(help="which example", show_default=False)] = None,
    listing: Annotated[bool, typer.Option("--list", help="name the examples")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="file to write, - for stdout; NAME.yaml where not given")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option("--from", metavar="TRACE", help="a scenario for this trace file, with its figures")
    ] = None,
    how: TraceWords = TraceWords(),  # noqa: B008  each of its fields is an option
    json: Json = False,
) -> None:
    """Copy an example scenario to start from, or make one for a trace."""
    from planner.files import plan_file

    if trace is not None:
        if name is not None or listing:
            raise BadInput("new: found --from beside an example or --list; expected one of them")
        _from_trace(trace, out, how.keys)
        return
    if how.keys:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in how.keys)
        raise BadInput(f"new: found {options} without --from; expected the trace file that they say how to read")
    files = {
        file.name.removesuffix(".yaml"): file for file in resources.files("planner").joinpath("examples").iterdir()
    }
    examples = {key: file.read_text(encoding="utf-8") for key, file in sorted(files.items()) if not key.startswith("_")}
    if listing or name is None:
        about = {key: text.partition("\n")[0].removeprefix("# ") for key, text in examples.items()}
        width = max(map(len, about)) + 1
        write(plan_file.dumps(about) if json else "".join(f"{key:<{width}} {line}\n" for key, line in about.items()))
        return
    if name not in examples:
        raise BadInput(f"new: there is no example '{name}'; {nearest(name, examples)}")
    path = _new_file(out, name)
    _made(path, examples[name], "next")


def _from_trace(trace: Path, out: Path | None, keys: dict[str, Any]) -> None:
    """Write a scenario that replays a trace."""
    from planner.scenario.from_trace import scenario_for
    from workloads.readers import read_trace
    from workloads.stats import stats

    path = _new_file(out, trace.name.partition(".")[0])
    read = by_option(lambda: read_trace(trace, **keys))
    for words in read.notes:
        note(words)
    text = scenario_for(trace, stats(read), path=path, keys=keys)
    _expect_checked(text, trace)
    _made(path, text, "look at what is marked, then")


def _new_file(out: Path | None, name: str) -> Path:
    """Where a new scenario goes: where it was said, else beside this command's other files; ``-`` is stdout.

    Raises:
        BadInput: something is there already, or cannot be.
    """
    from planner.files.writing import STDOUT, unwritable

    path = out or Path(f"{name}.yaml")
    if str(path) == STDOUT:
        return path
    if path.exists():
        raise BadInput(f"{path}: exists already; expected a new file, choose one with --out")
    if why := unwritable(path):
        raise BadInput(f"--out {path}: {why}")
    return path


def _made(path: Path, text: str, then: str) -> None:
    """Write a new scenario, and say what comes next."""
    from planner.files.writing import STDOUT, write_whole

    if str(path) == STDOUT:
        write(text)
        return
    write_whole(path, text)
    note(f"wrote {path}; {then}: phasewise plan {path}")


def _expect_checked(text: str, trace: Path) -> None:
    """See that `check` takes a scenario that is made for a trace, before it is written.

    Raises:
        BadInput: with everything that it finds, most of it about the trace.
    """
    from hw_catalog.strict_files import yaml_document
    from planner.planning.plan import check as checked
    from planner.scenario import Scenario
    from planner.scenario.reading import Document

    data, _ = yaml_document(text, "new")
    data["workload"]["trace"] = str(trace.resolve())
    checked(Scenario.parse(Document(data=data, places={(): "new --from"})))
