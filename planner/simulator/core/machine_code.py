"""The engine's machine code: made once per machine and version, kept, and loaded without Numba.

Numba takes longer to import than the code takes to load, and is needed to compile only. Whatever goes wrong, the same
functions run interpreted, and one line on stderr says why.
"""

import ctypes
import platform
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from planner.simulator.core.cache import directory, own_bytes
from planner.simulator.core.cluster import replay
from planner.simulator.core.functions import digest_of

ADVICE = "a plan of seconds takes minutes, fewer with --set solver.search_evaluations=0"

Code = tuple[str, tuple[str, ...], bytes]
"""Name of the function, names it expects from elsewhere, and the object file."""

_LIBRARY = ("exp", "log", "pow", "fmod", "sqrt", "floor", "ceil", "memcpy", "memset", "memmove")
"""What the code generator may call besides."""


class Replay:
    """The engine as machine code, made or loaded before it is first called.

    Attributes:
        trouble: why it is interpreted; empty where it is not, or not tried yet.
    """

    __slots__ = ("_call", "_lock", "trouble")

    def __init__(self) -> None:
        """Nothing is compiled yet."""
        self._call: Callable[[int], int] | None = None
        self._lock, self.trouble = Lock(), ""

    @property
    def kept(self) -> bool:
        """Whether nothing needs to be compiled before the next call."""
        if self._call or self.trouble or find_spec("numba") is None:
            return True
        try:
            return kept_at().exists()
        except Exception:
            return True

    def ready(self) -> Callable[[int], int] | None:
        """The machine code, compiled where it has never been on this machine; None where the engine is interpreted."""
        with self._lock:
            if self._call is None and not self.trouble:
                try:
                    self._call = self._made()
                except Exception as error:
                    self.trouble = _why(error)
                    _tell(f"the simulator runs interpreted, some 30 times slower ({ADVICE}): {self.trouble}")
            return self._call

    @staticmethod
    def _made() -> Callable[[int], int]:
        """Load it, or compile and keep it."""
        if find_spec("numba") is None:
            raise ModuleNotFoundError("Numba is not installed")
        place = kept_at()
        try:
            code = read(place)
        except PermissionError as error:
            _tell(f"kept code of the simulator is compiled anew: {error}")
            return loaded(_compiled())
        if code is None:
            code = _compiled()
            try:
                write(place, code)
            except OSError as error:
                _tell(f"the simulator is compiled anew by every command: {error}")
        return loaded(code)


REPLAY = Replay()


def _why(error: Exception) -> str:
    """A fault in one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) < 200 else f"{said[:200]}..."


def _tell(line: str) -> None:
    """Say it where progress is said."""
    sys.stderr.write(f"{line}\n")


def _compiled() -> Code:
    """The engine, compiled by Numba."""
    from planner.simulator.core.compile import object_of

    return object_of(replay)


def kept_at() -> Path:
    """Where the machine code for this processor is kept."""
    import llvmlite.binding as llvm

    processor = f"{platform.machine()} {llvm.get_host_cpu_name()} {sorted(llvm.get_host_cpu_features().items())}"
    compiler = (Path(__file__).parent / name for name in ("compile.py", "whole_program.py", "state.py"))
    code = directory(digest_of(replay), *(path.read_text(encoding="utf-8") for path in compiler))
    return code / f"replay-{sha256(processor.encode()).hexdigest()[:16]}.o"


def loaded(code: Code) -> Callable[[int], int]:
    """A function of one integer that returns one, from its object file; others may run while it does."""
    import llvmlite.binding as llvm

    name, needed, content = code
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault", jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    _provide((*_LIBRARY, *needed), llvm)
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


def _provide(names: tuple[str, ...], llvm: Any) -> None:
    """See to it that the loader finds functions; one that it did not find would end the process."""
    if all(llvm.address_of_symbol(name) for name in names):
        return
    import numba.core.registry

    numba.core.registry.cpu_target.target_context.refresh()  # brings its own


def read(place: Path) -> Code | None:
    """Code as it was written, or None.

    Raises:
        PermissionError: others than the user may have written it.
    """
    try:
        head, digest, content = own_bytes(place).split(b"\n", 2)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None
    if digest != sha256(head + content).hexdigest().encode():
        return None
    name, *needed = head.decode().split()
    return name, tuple(needed), content


def write(place: Path, code: Code) -> None:
    """Keep code for the user alone; a reader sees all of it or nothing."""
    name, needed, content = code
    head = " ".join((name, *needed)).encode()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
        file.write(b"\n".join((head, sha256(head + content).hexdigest().encode(), content)))
    Path(file.name).replace(place)
