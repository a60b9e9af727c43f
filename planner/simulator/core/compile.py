"""The engine's functions as one compiled program; compiled code sees the world as bare addresses.

An array is seven values to Numba and counted whenever it is touched; two dozen of them handed from function to
function cost more than what the functions do. The world is one pointer instead, to the addresses of its arrays, and
it is not counted. The arrays themselves are kept alive by those who call the compiled code.

Functions are compiled for the kinds their annotations name, once each, and not for whatever kinds of integers they
are called with.
"""

import operator
from collections.abc import Callable
from types import FunctionType
from typing import Any

from llvmlite import ir
from numba import config, njit, types
from numba.core.imputils import impl_ret_untracked, lower_builtin
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, lower_getattr_generic, models, register_model
from numba.np.numpy_support import from_dtype

from planner.simulator.core.functions import functions_of, is_ours
from planner.simulator.core.state import KINDS, Floats, Ints, Shorts, World
from planner.simulator.core.whole_program import Part, Whole, machine_code

if config.DISABLE_JIT:
    raise ImportError("Numba is told not to compile")


def object_of(function: Callable[[Any], Any]) -> tuple[str, tuple[str, ...], bytes]:
    """A function of one integer or of a world, and all that it calls, as machine code.

    Returns:
        Its name, the names it expects from elsewhere, and the object file. It takes one integer: of a world where the
        addresses of its arrays stand.
    """
    whole = _whole(function)
    if World not in function.__annotations__.values():
        return machine_code(whole)

    def at_address(address: int) -> int:
        return int(whole(world_at(address)))

    return machine_code(njit(pipeline_class=Whole, **_PLAIN)(at_address))


_PLAIN = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _whole(function: Callable[[Any], Any]) -> Any:
    """A function to compile, with all that it calls; those see each other instead of what is interpreted."""
    spaces: dict[int, dict[str, Any]] = {}
    made: dict[FunctionType, Any] = {}
    for part in functions_of(function):
        space = spaces.setdefault(id(part.__globals__), dict(part.__globals__))
        copy = FunctionType(part.__code__, space, part.__name__, part.__defaults__)
        copy.__annotations__, copy.__qualname__, copy.__module__ = (
            part.__annotations__, part.__qualname__, part.__module__,
        )  # fmt: skip
        alone = part is function and World not in part.__annotations__.values()
        made[part] = _compiled(copy, Whole if alone else Part)
    for space in spaces.values():
        space.update({name: made[value] for name, value in space.items() if is_ours(value) and value in made})
    return made[function]  # type: ignore[index]


def _compiled(function: FunctionType, pipeline: type) -> Any:
    """To compile for the kinds that the annotations name; arguments without a known one are taken as they come."""
    made: Any = njit(pipeline_class=pipeline, **_PLAIN)(function)
    declared = [DECLARED.get(kind) for name, kind in function.__annotations__.items() if name != "return"]
    compile_for = made.compile
    made.compile = lambda given: compile_for(tuple(d or g for d, g in zip(declared, given, strict=True)))
    return made


class Records(types.CPointer):  # type: ignore[misc]
    """An address of records: an element is the record in its place, not a copy."""


register_model(Records)(models.PointerModel)


@lower_builtin(operator.getitem, Records, types.Integer)  # type: ignore[untyped-decorator]
def _record(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The record at a position."""
    base, position = arguments
    return impl_ret_untracked(context, builder, signature.return_type, builder.gep(base, [position]))


def _pointer(kind: Any) -> types.CPointer:
    """To elements of a NumPy type."""
    return Records(from_dtype(kind)) if kind.names else types.CPointer(from_dtype(kind))


_POINTERS = {name: _pointer(kind) for name, kind in KINDS.items()}


class WorldType(types.Type):  # type: ignore[misc]
    """What compiled code knows of a ``World``."""


_WORLD = WorldType("World")
DECLARED: dict[Any, types.Type] = {
    World: _WORLD,
    int: types.int64,
    float: types.float64,
    bool: types.boolean,
    Floats: _POINTERS["tables"],
    Ints: _POINTERS["histogram"],
    Shorts: _POINTERS["chains"],
}
"""Annotation of an argument -> what it is compiled for."""


@register_model(WorldType)
class _WorldModel(models.PrimitiveModel):  # type: ignore[misc]
    """A pointer to addresses."""

    def __init__(self, manager: Any, kind: Any) -> None:
        """Named by Numba."""
        super().__init__(manager, kind, ir.IntType(8).as_pointer().as_pointer())


@infer_getattr
class _Arrays(AttributeTemplate):  # type: ignore[misc]
    """Every array of a world is an attribute."""

    key = WorldType

    def generic_resolve(self, _: Any, name: str) -> types.CPointer | None:
        """The kind of the array."""
        return _POINTERS.get(name)


@lower_getattr_generic(WorldType)  # type: ignore[untyped-decorator]
def _array(context: Any, builder: Any, _: Any, world: Any, name: str) -> Any:
    """Where an array begins; that never changes while compiled code runs."""
    place = builder.gep(world, [ir.Constant(ir.IntType(64), World._fields.index(name))])
    address = builder.load(place)
    address.set_metadata("invariant.load", builder.module.add_metadata([]))
    return builder.bitcast(address, context.get_value_type(_POINTERS[name]))


@intrinsic  # type: ignore[untyped-decorator]
def world_at(_: Any, address: Any) -> Any:
    """The world whose arrays' addresses stand at an address, in the order of ``World``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return _WORLD(address), generate
