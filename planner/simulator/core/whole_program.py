"""How the replay is compiled: all functions as one program, optimised once.

Numba makes a library of every function, optimises it together with all that it calls, makes machine code of it, and
begins again for every caller. Only the one that Python calls is ever entered from outside, so here the others are
left as they are until that one is compiled.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from numba import _dynfunc, int64
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import NoPythonBackend


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A function that waits to be linked."""

    def _optimize_functions(self, _: Any) -> None:
        """Not yet."""

    def finalize(self) -> None:
        """Nothing is added from here on."""
        self._finalized = True


class _WholeLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A function with all that it calls."""

    def _optimize_functions(self, _: Any) -> None:
        """Later, with the rest."""

    def add_linking_library(self, library: Any) -> None:
        """Link a library and all that it needs."""
        if library not in self._linking_libraries:
            super().add_linking_library(library)
            for needed in library._linking_libraries:
                self.add_linking_library(needed)

    def _optimize_final_module(self) -> None:
        """Optimise everything at once, knowing that the parts have no other callers."""
        for function in self._final_module.functions:
            if function.linkage == llvm.Linkage.linkonce_odr:
                function.linkage = llvm.Linkage.internal
        passes, builder = self._codegen._module_pass_manager(loop_vectorize=False, slp_vectorize=False)
        passes.run(self._final_module, builder)


@register_pass(mutates_CFG=False, analysis_only=False)
class _KeepForCallers(LoweringPass):  # type: ignore[misc]
    """Make a function known to those that call it, without machine code of its own."""

    _name = "keep_for_callers"

    def __init__(self) -> None:
        """As every pass."""
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        """Name it by an object that stands for it and cannot be called."""
        made = state.cr
        name = made.fndesc.qualname.split(".")[-1]
        stand_in = _dynfunc.make_function(made.fndesc.lookup_module(), name, "", 0, made.environment, (made.library,))
        state.targetctx.insert_user_function(stand_in, made.fndesc, [made.library])
        state.cr = made._replace(entry_point=stand_in)
        return True


class Part(CompilerBase):  # type: ignore[misc]
    """For functions that only compiled code calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's, without optimisation and machine code."""
        state = self.state
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        state.flags.no_rewrites = True  # they are for array expressions and the like
        passes = DefaultPassBuilder.define_nopython_pipeline(state)
        passes.add_pass_after(_KeepForCallers, NoPythonBackend)
        passes.finalize()
        return [passes]


class Whole(CompilerBase):  # type: ignore[misc]
    """For the function that Python calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's, over everything that the function needs."""
        state = self.state
        state.library = _WholeLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return [DefaultPassBuilder.define_nopython_pipeline(state)]


def machine_code(function: Any) -> tuple[str, tuple[str, ...], bytes]:
    """A dispatcher of a function of one integer, with all that it calls, as machine code.

    Returns:
        Its name, the names it expects from elsewhere, and the object file.
    """
    with _collecting_nothing():
        function.compile((int64,))
    made = function.overloads[(int64,)]
    declared = [f.name for f in made.library._final_module.functions if f.is_declaration]
    needed = tuple(name for name in declared if not name.startswith("llvm."))
    return made.fndesc.llvm_func_name, needed, made.library._get_compiled_object()


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """The compiler makes millions of objects that stay; looking for garbage among them takes a sixth of its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
