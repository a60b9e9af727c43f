"""A question as plain data asks it: about one model or several, with unknown names told beside all that is wrong."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from planner.errors import BadInput, nearest
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.reading import Document, is_there
from workloads.builtin import builtin_names
from workloads.errors import WorkloadError
from workloads.models import load_model


def question_of(document: Document) -> Scenario | Fleet:
    """The question of a document.

    Names of machines and models are looked up once a question is read. Where it cannot be read they are told with the
    rest, so that who typed two words wrong learns it at once.

    Raises:
        BadInput: with every problem that was found, each naming line or key.
    """
    try:
        return Fleet.parse(document) if "models" in document.data else Scenario.parse(document)
    except BadInput as wrong:
        raise BadInput(*wrong.problems, *unknown_names(document.data)) from None


def unknown_of(question: Scenario | Fleet | None) -> Iterator[str]:
    """Names of a question that are nowhere to be found; none of no question."""
    yield from unknown_names({} if question is None else question.model_dump(mode="json"))


def unknown_machines(names: Iterable[str], known: Mapping[str, object]) -> Iterator[str]:
    """Machine types that the catalog does not have, each with the nearest that it has."""
    for name in names:
        if name not in known:
            yield f"catalog.machines: no machine '{name}'; {nearest(name, known)}"


def unknown_names(data: Mapping[str, Any]) -> Iterator[str]:
    """Names that are nowhere to be found, of what a question that cannot be read has where names are expected."""
    several = data.get("models")
    parts = several if isinstance(several, list) else [data]
    for part in parts:
        if _is_word(trace := _section(part, "workload").get("trace")):
            yield from unknown_traces(trace)
    offered = _section(data, "catalog")
    directory, names = offered.get("directory"), offered.get("machines")
    if directory is not None and not _is_word(directory):
        return
    own = Path(directory) if directory else None
    try:
        machines = load_catalog(own).machines
    except CatalogError as wrong:
        yield from wrong.problems
        return
    if isinstance(names, list):
        yield from unknown_machines((name for name in names if _is_word(name)), machines)
    for part in parts:
        if _is_word(name := _section(part, "model").get("name")):
            try:
                load_model(name, directory=own)
            except WorkloadError as wrong:
                yield from wrong.problems


def unknown_traces(name: str) -> Iterator[str]:
    """A trace that is neither built in nor a file."""
    if name not in builtin_names() and not is_there(Path(name)):
        beside = sorted(each.name for each in Path(name).parent.glob("*") if each.is_file())
        close = difflib.get_close_matches(Path(name).name, [*beside, *builtin_names()], n=1)
        meant = f"did you mean {close[0]}? else " if close else ""
        names = ", ".join(builtin_names())
        yield (
            f"workload.trace: no file '{name}', and no built-in workload of that name ({names}); {meant}put the file "
            "beside the scenario or plan, or name it: --set workload.trace=FILE"
        )


def _is_word(found: object) -> TypeGuard[str]:
    """Whether a value can be a name; what is wrong with any other is told by its key."""
    return isinstance(found, str) and bool(found.strip()) and found.isprintable()


def _section(data: object, key: str) -> Mapping[str, Any]:
    """A section of plain data; empty where there is none."""
    found = data.get(key) if isinstance(data, Mapping) else None
    return found if isinstance(found, Mapping) else {}
