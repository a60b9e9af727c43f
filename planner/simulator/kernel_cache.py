"""Where compiled code is kept between runs."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba

LIKELY_COMPILE_S = 5.0


def cached(compiled: Any) -> Any:
    """A compiled function that keeps its machine code between runs, where there is a place for it.

    Numba forgets to look at the functions that a function calls, so the place is named after all of the code.
    """
    if hasattr(compiled, "enable_caching") and not getattr(compiled, "kept", False):
        compiled.kept = True
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(directory())
        try:
            directory().mkdir(parents=True, exist_ok=True)
            compiled.enable_caching()
        except (OSError, RuntimeError):
            pass  # nowhere to write: it is compiled anew in every process
        finally:
            numba.config.CACHE_DIR = before
    return compiled


def ready(compiled: Any, *kinds: Any) -> Any:
    """A function that keeps its machine code, compiled for these kinds of arguments or loaded."""
    if not compiled.signatures:
        with _collecting_nothing():
            cached(compiled).compile(kinds)
    return compiled


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


def directory() -> Path:
    """Where the machine code of this version of the simulator is kept: in Numba's own place if one is set."""
    digest = sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name.startswith("kernel") or path.name in ("row_kernel.py", "row_state.py"):
            digest.update(path.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(chosen) if chosen else home / "phasewise") / f"replay-{digest.hexdigest()[:16]}"


def compiled_before() -> bool:
    """Whether this version of the replay has been compiled on this machine."""
    return any(directory().rglob("*.replay-*.nbi"))
