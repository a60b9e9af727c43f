"""The replay's machine code: made once per machine and version, kept, and loaded without Numba.

Numba and the replay's functions take longer to import than the code takes to load, and are needed to compile only.
"""

import ctypes
import platform
import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import llvmlite.binding as llvm

from planner.simulator.core.cache import directory

Code = tuple[str, tuple[str, ...], bytes]
"""Name of the function, names it expects from elsewhere, and the object file."""

_LIBRARY = ("exp", "log", "pow", "fmod", "sqrt", "floor", "ceil", "memcpy", "memset", "memmove")
"""What the code generator may call besides."""


class Replay:
    """The replay as machine code, made or loaded before it is first called, as Numba's own functions are.

    Arguments and result are those of ``cluster.replay``.
    """

    __slots__ = ("_call",)

    def __init__(self) -> None:
        """Nothing is compiled yet."""
        self._call: Callable[[int], int] | None = None

    def __call__(self, addresses: int) -> int:
        """Serve a trace."""
        return self.ready()(addresses)

    @property
    def kept(self) -> bool:
        """Whether nothing needs to be compiled before the next call."""
        return self._call is not None or kept_at().exists()

    def ready(self) -> Callable[[int], int]:
        """Have the machine code ready; compile it where it has never been on this machine."""
        if self._call is None:
            place = kept_at()
            code = read(place)
            if code is None:
                code = _compiled()
                with suppress(OSError):  # nowhere to write: it is compiled anew in every process
                    write(place, code)
            self._call = loaded(code)
        return self._call


REPLAY = Replay()


def _compiled() -> Code:
    """The replay, compiled by Numba."""
    from planner.simulator.core.cluster import replay
    from planner.simulator.core.whole_program import object_of

    return object_of(replay)


def kept_at() -> Path:
    """Where the machine code for this processor is kept."""
    processor = f"{platform.machine()} {llvm.get_host_cpu_name()} {sorted(llvm.get_host_cpu_features().items())}"
    return directory() / f"replay-{sha256(processor.encode()).hexdigest()[:16]}.o"


def loaded(code: Code) -> Callable[[int], int]:
    """A function of one integer that returns one, from its object file; others may run while it does."""
    name, needed, content = code
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault", jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    _provide((*_LIBRARY, *needed))
    engine.add_object_file(llvm.ObjectFileRef.from_data(content))
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int32, ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_void_p), ctypes.c_int64
    )
    function = kind(engine.get_function_address(name))

    def call(argument: int) -> int:
        """By Numba's calling convention."""
        result, trouble = ctypes.c_int64(), ctypes.c_void_p()
        status = function(ctypes.byref(result), ctypes.byref(trouble), argument)
        assert status == 0, "compiled code raises nothing"
        assert engine, "or there is no code"
        return result.value

    return call


def _provide(names: tuple[str, ...]) -> None:
    """See to it that the loader finds functions; one that it did not find would end the process."""
    if all(llvm.address_of_symbol(name) for name in names):
        return
    import numba.core.registry

    numba.core.registry.cpu_target.target_context.refresh()  # brings its own


def read(place: Path) -> Code | None:
    """Code as it was written, or None."""
    try:
        head, digest, content = place.read_bytes().split(b"\n", 2)
    except (OSError, ValueError):
        return None
    if digest != sha256(head + content).hexdigest().encode():
        return None
    name, *needed = head.decode().split()
    return name, tuple(needed), content


def write(place: Path, code: Code) -> None:
    """Keep code; nobody sees half of it."""
    name, needed, content = code
    head = " ".join((name, *needed)).encode()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
        file.write(b"\n".join((head, sha256(head + content).hexdigest().encode(), content)))
    Path(file.name).replace(place)
