"""Values outside the meaning of a key, by the unit that its name ends in: drawn without a look at what is checked."""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel

Path = tuple[str | int, ...]

NO_NUMBER: tuple[Any, ...] = (
    True, False, "5", "nan", "", [], {}, [[1]], float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 10**30, 2**63,
    -1, -1e-9,
)  # fmt: skip
"""No quantity is any of these, whatever its unit."""

NO_SHARE = (1.5, 95, 100, -0.1)
NO_WORD: tuple[Any, ...] = (True, 5, 0.5, "", " ", "\t", "a\nb", "\u202e", [], {}, [""], {"": ""})

NO_LIST: tuple[Any, ...] = (
    True, 5, {"a": 1}, [-1], [True], [None], [float("nan")], [10**30], [[1]], [{}], "no such word", [""],
)  # fmt: skip
NO_MAPPING: tuple[Any, ...] = (
    True, 5, "no such word", [None], {"": 1}, {"no-such": 1}, {"no-such": "x"}, *(
        {"dgx-h100": each} for each in (-1, True, [], {}, "", float("nan"), 10**30, [0], [-5], ["x"], {"a": 1})
    ),
)  # fmt: skip

_SIGNED = ("priority",)
_MAY_EXCEED_ONE = ("forecast_sigma_frac",)
_QUANTITIES = (
    "_s", "_h", "_w", "_mhz", "_gib", "_tokens", "_frac", "_ratio", "_per_s", "_per_h", "_per_kwh", "_usd", "_machines",
    "_epochs", "_scale", "_units", "_per_rack", "_per_ups", "_evaluations", "_rounds", "_size", "_preemptions",
    "_token", "cv", "tp", "seeds", "first_seed", "requests", "machines", "machine_types", "rows", "weeks", "cells",
    "epochs", "count", "machine", "turns", "priority", "schema_version",
)  # fmt: skip


def keys(model: type[BaseModel], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every key of a model and of the models inside it, each with its annotation; of a list the first place."""
    for name, field in model.model_fields.items():
        where = (*path, name)
        inner = list(models_in(field.annotation))
        if not inner:
            yield where, field.annotation
        several = "tuple[" in str(field.annotation)
        for each in inner:
            yield from keys(each, (*where, 0) if several else where)


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def senseless(path: Path, annotation: object) -> tuple[Any, ...]:
    """Values that a key cannot have, by its name; none where its name says too little."""
    name = next(str(part) for part in reversed(path) if isinstance(part, str))
    text = str(annotation)
    if "dict" in text:
        return NO_MAPPING
    if "tuple" in text:
        return NO_LIST
    if annotation is Any:
        return ()
    if any(name == unit or (unit.startswith("_") and name.endswith(unit)) for unit in _QUANTITIES):
        if "int" not in text and "float" not in text and "Literal[1]" not in text:
            return () if "str" not in text else NO_WORD
        found = tuple(v for v in NO_NUMBER if not (name in _SIGNED and v in (-1,) and not isinstance(v, float)))
        more = NO_SHARE if name.endswith("_frac") and name not in _MAY_EXCEED_ONE else ()
        return (*found, *more, *((1.5,) if "float" not in text else ()))
    if "bool" in text:
        return (1, 0, "true", "yes", [], {})
    return NO_WORD if "str" in text and "Literal" not in text else (True, 5, "no such word", [], {})


def changed(data: Any, path: Path, value: object) -> Any:
    """A copy with a value at a path, what is missing on the way made."""
    made = copy.deepcopy(data)
    holder = made
    for part, after in pairwise(path):
        empty: Any = [] if isinstance(after, int) else {}
        if isinstance(holder, list):
            holder.extend({} for _ in range(len(holder), int(part) + 1))
            holder = holder[int(part)]
        else:
            if holder.get(part) in (None, [], {}):
                holder[part] = empty
            holder = holder[part]
    last: Any = path[-1]
    if isinstance(holder, list):
        holder.extend(None for _ in range(len(holder), last + 1))
    holder[last] = value
    return made
