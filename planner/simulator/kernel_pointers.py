"""Compiled code sees the world as bare addresses.

An array is seven values to Numba and counted whenever it is touched; two dozen of them handed from function to
function cost more than what the functions do. A pointer is one value and nobody counts it. The arrays themselves are
kept alive by whoever calls the compiled code.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types
from numba.core.imputils import impl_ret_untracked, lower_builtin
from numba.extending import intrinsic, models, register_model
from numba.np.numpy_support import from_dtype

from planner.simulator.kernel_layout import KINDS, World

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """For functions that only compiled code calls."""
    made: Function = njit(
        nogil=True, error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )(function)  # fmt: skip
    return made


def entry(function: Function) -> Function:
    """For the one that Python calls."""
    made: Function = njit(nogil=True, error_model="numpy", _nrt=False, no_cfunc_wrapper=True)(function)
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


_POINTERS = tuple(_pointer(kind) for kind in KINDS.values())


@intrinsic  # type: ignore[untyped-decorator]
def world_at(_: Any, addresses: Any) -> Any:
    """The world whose arrays begin at these addresses (a tuple of integers, in the order of ``World``)."""
    made = types.NamedTuple(_POINTERS, World)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [
            builder.inttoptr(builder.extract_value(arguments[0], n), context.get_value_type(pointer))
            for n, pointer in enumerate(_POINTERS)
        ]
        return context.make_tuple(builder, signature.return_type, values)

    return made(addresses), generate
