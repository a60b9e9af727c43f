"""Which functions the engine consists of: everything that is reached by name from the one that serves a trace.

They are plain Python in the part of it that Numba compiles. As they stand they run interpreted; ``compile`` makes one
program of the same functions.
"""

import sys
from collections.abc import Callable
from hashlib import sha256
from types import FunctionType
from typing import Any


def functions_of(entry: Callable[..., Any]) -> list[FunctionType]:
    """A function and all written in Python that it calls, directly or not, by their names in its module."""
    found: list[FunctionType] = []
    ahead: list[Any] = [entry]
    while ahead:
        function = ahead.pop()
        if function not in found:
            found.append(function)
            ahead += [value for value in named_in(function).values() if is_ours(value)]
    return found


def named_in(function: FunctionType) -> dict[str, Any]:
    """What a function refers to outside itself, by name."""
    names = function.__globals__
    return {name: names[name] for name in function.__code__.co_names if name in names}


def is_ours(value: object) -> bool:
    """Whether it is a function that is compiled with those that call it: not one of Python's own."""
    return isinstance(value, FunctionType) and value.__module__.split(".")[0] not in sys.stdlib_module_names


def digest_of(entry: Callable[..., Any]) -> str:
    """A name for the code of a function and all that it calls, every number in them included."""
    digest = sha256()
    for function in sorted(functions_of(entry), key=lambda f: (f.__module__, f.__qualname__)):
        code = function.__code__
        numbers = {name: value for name, value in named_in(function).items() if isinstance(value, int | float)}
        parts = (function.__qualname__, code.co_code, code.co_consts, code.co_names, code.co_varnames, numbers)
        digest.update(repr(parts).encode())
        digest.update(repr([str(kind) for kind in function.__annotations__.values()]).encode())
    return digest.hexdigest()
