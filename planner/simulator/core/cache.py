"""Where compiled code is kept between runs; nothing here needs Numba."""

import os
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hw_catalog.power import PER_SHARE, SHARE_KNOTS
from planner.policies.batching import LEAST_TOKENS, TILE_TOKENS

LIKELY_COMPILE_S = 5.0

FROZEN = (PER_SHARE, SHARE_KNOTS, LEAST_TOKENS, TILE_TOKENS)
"""Numbers from elsewhere that are part of the machine code."""


def cached(compiled: Any) -> Any:
    """A compiled function that keeps its machine code between runs, where there is a place for it.

    Numba forgets to look at the functions that a function calls, so the place is named after all of the code.
    """
    if hasattr(compiled, "enable_caching") and not getattr(compiled, "kept", False):
        from numba import config

        compiled.kept = True
        before, config.CACHE_DIR = config.CACHE_DIR, str(directory())
        try:
            directory().mkdir(parents=True, exist_ok=True)
            compiled.enable_caching()
        except (OSError, RuntimeError):
            pass  # nowhere to write: it is compiled anew in every process
        finally:
            config.CACHE_DIR = before
    return compiled


def directory() -> Path:
    """Where the machine code of this version of the simulator is kept: in Numba's own place if one is set."""
    digest = sha256(f"{version('numba')} {version('llvmlite')} {FROZEN}".encode())
    here = Path(__file__).parent
    rows = here.parent / "rows"
    for path in (*sorted(here.glob("*.py")), rows / "kernel.py", rows / "state.py"):
        digest.update(path.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(chosen) if chosen else home / "phasewise") / f"replay-{digest.hexdigest()[:16]}"
