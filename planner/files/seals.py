"""What binds a file of plans to what was simulated: a digest of the whole, and one for each part of its evidence.

Both are digests and no signatures: they tell what was edited by hand, or by a program that knows nothing of them. What
follows from machines and prices is worked out again where a file is opened.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

WHOLE, PARTS = "content_sha256", "evidence_sha256"
"""Keys of the two in a file."""

ANSWERS = ("plan", "fleet", "timetable")
"""Keys one of which holds the answer."""

_QUESTION, _MACHINES = "question", "machines"
_DEPTH = 2
_HEX = 16


def digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of JSON data, whatever its layout, without the digest that is in it."""
    return _sha256({key: value for key, value in data.items() if key != WHOLE})


def bound(data: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of a file with digests that bind each part of its evidence to question and machines."""
    return {**data, PARTS: dict(_parts(data, None))}


def unlike(data: Mapping[str, Any]) -> Iterator[str]:
    """Parts of a file that are not those which were simulated, a sentence each.

    A part is told apart from its neighbours: it is compared with the question and the machines that the file names.
    """
    said = data.get(PARTS)
    if not isinstance(said, Mapping) or not said:
        yield f"{PARTS}: found none; expected what `plan --out` writes: the evidence is bound to no machines"
        return
    found = dict(_parts(data, said))
    for name in sorted(said.keys() | found.keys()):
        if said.get(name) != found.get(name):
            yield _words(name)


def _words(name: str) -> str:
    """What is said of a part that is another."""
    if name == _QUESTION:
        return "scenario: found another question than the evidence answers"
    if name == _MACHINES:
        return "plan.candidate: found other machines than those which were simulated"
    return f"{name}: found another than was simulated on these machines"


def _parts(data: Mapping[str, Any], said: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Part -> digest of it with those of the question and the machines: as they are, or as a file says."""
    own = {
        _QUESTION: _sha256([data.get("scenario"), data.get("digests")])[:_HEX],
        _MACHINES: _sha256([list(_machines(data[key])) for key in ANSWERS if key in data])[:_HEX],
    }
    yield from own.items()
    base = [str((own if said is None else said).get(key)) for key in (_QUESTION, _MACHINES)]
    for key in ANSWERS:
        if key in data:
            for name, value in _leaves(data[key], key, _DEPTH):
                yield name, _sha256([*base, name, value])[:_HEX]


def _machines(answer: Any) -> Iterator[Any]:  # noqa: ANN401  JSON has no narrower type
    """Everything in an answer that is bought."""
    if not isinstance(answer, Mapping):
        return
    if isinstance(models := answer.get("models"), list):
        for each in models:
            if isinstance(each, Mapping):
                yield each.get("name")
                yield from _machines(each.get("plan"))
    yield answer.get("candidate", answer.get("schedule"))


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Parts of an answer, the machines left out: nothing is bound to itself."""
    for key, part in value.items() if isinstance(value, Mapping) else ():
        where = f"{path}.{key}"
        if key == "models" and isinstance(part, list):
            for place, each in enumerate(part):
                yield from _leaves(each, f"{where}.{place}", depth + 1)
        elif key in ("candidate", "schedule"):
            continue
        elif isinstance(part, Mapping) and depth > 1:
            yield from _leaves(part, where, depth - 1)
        else:
            yield where, part


def _sha256(data: object) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
