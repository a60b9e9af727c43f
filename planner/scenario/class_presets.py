"""Request classes by name: a preset stands for ``workload.classes`` and the objectives of each class.

Like a design it is spelled out before anything else looks at the scenario, and may be edited in what is written then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hw_catalog.strict_files import spell
from planner.errors import nearest
from planner.scenario.reading import Document, Path_
from workloads.load import nine_classes

NINE = "dynamollm-nine"

_TTFT_P99_S = {"S": 0.25, "M": 0.4, "L": 2.0}
"""By the length of the prompt. Source: DynamoLLM (HPCA'25), recalled, not checked against the paper."""
_TPOT_P99_S = 0.1
"""Recalled as a bound on the time between tokens; read as one on the time per token, as elsewhere here."""

_KEY: Path_ = ("workload", "classes")
_SLOS: Path_ = ("slo_by_class",)


def classes_spelled_out(document: Document) -> tuple[Document, tuple[str, ...]]:
    """The scenario with the classes that a preset stands for in its place, and their objectives under those given.

    Returns:
        The scenario, and what is wrong: there is no such preset. What else is wrong can still be told of it.
    """
    word = _mapping(document.data.get("workload")).get("classes")
    if not isinstance(word, str):
        return document, ()
    given = _mapping(document.data.get("slo_by_class"))
    place = document.places.get(_KEY, document.place(_KEY))
    if word != NINE:
        wrong = f"{place}: {spell(_KEY)}: found '{word}'; {nearest(word, [NINE])}, or a list of classes"
        meant = [{"name": name} for name in given if isinstance(name, str) and name.strip() and name.isprintable()]
        return document.changed(_KEY, meant, place), (wrong,)
    classes = [
        {key: value for key, value in _columns(kind).items() if value not in (None, 0)} for kind in nine_classes()
    ]
    slos: dict[str, Any] = {
        kind.name: {"ttft_p99_s": _TTFT_P99_S[kind.name[0]], "tpot_p99_s": _TPOT_P99_S} for kind in nine_classes()
    }
    for name, objectives in given.items():
        slos[str(name)] = objectives
    spelled = document.changed(_KEY, classes, place)
    return spelled.changed(_SLOS, slos, document.place(_SLOS)), ()


def no_classes(document: Document) -> tuple[str, ...]:
    """Objectives of classes that ``workload.classes`` does not name, told whatever else is wrong with the workload.

    Nothing is said where a class has no name that can be read: it may be the one that is meant.
    """
    classes = _mapping(document.data.get("workload")).get("classes") or []
    entries = classes if isinstance(classes, list | tuple) else [None]
    known = [_mapping(entry).get("name") for entry in entries]
    named = [name for name in known if isinstance(name, str)]
    if len(named) < len(known):
        return ()
    asked = [name for name in _mapping(document.data.get("slo_by_class")) if isinstance(name, str)]
    place = f"{document.place(_SLOS)}: {spell(_SLOS)}: expected "
    return tuple(place + text for text in strangers(asked, named))


def strangers(asked: Iterable[str], known: Sequence[str]) -> Iterator[str]:
    """Of names with objectives those that no class has, each with what was expected."""
    for name in asked:
        if name not in known:
            hint = nearest(name, known) if known else "workload.classes names none"
            yield f"a class of workload.classes, not '{name}': {hint}"


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _columns(kind: object) -> dict[str, Any]:
    names = ("name", "prompt_min_tokens", "prompt_max_tokens", "output_min_tokens", "output_max_tokens")
    return {name: getattr(kind, name) for name in names}


def list_or_preset(schema: dict[str, Any]) -> None:
    """In a file the name of a preset may stand in the place of the list."""
    inner = {key: schema.pop(key) for key in ("type", "items") if key in schema}
    schema["anyOf"] = [inner, {"const": NINE}]
