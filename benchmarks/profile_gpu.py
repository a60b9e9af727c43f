"""A first run of the profiler on a GPU, as one command, and what it measured beside the profiles that ship.

python benchmarks/profile_gpu.py [--out DIR] [--point-s 0.1] [--compare-only]

Resumes where it was interrupted. Five profiles at 0.1 s a point are estimated at under ten minutes (some 450 operations
each); the estimate has not been tried on a GPU. Nothing is changed on the machine.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import Floats, Ints, KernelProfile

SHAPES = (("llama-3.1-8b", 1), ("qwen3-14b", 1), ("llama-3.1-70b", 8), ("llama-3.1-70b", 4), ("llama-3.1-70b", 2))
"""Models and tensor-parallel widths; a shard is measured on one GPU, without its group's sums."""
BAKED = "aiconfigurator-0.12"


def measure(out: Path, point_s: float, more: list[str]) -> None:
    """Every shape, one after the other."""
    for model, tp in SHAPES:
        words = ("profile", "--model", model, "--tp", tp, "--out", out, "--point-s", point_s, "--resume", *more)
        subprocess.run([sys.executable, "-m", "planner", *map(str, words)], check=True)


def ratios(mine: KernelProfile, theirs: KernelProfile) -> Iterator[tuple[str, Floats]]:
    """Measured over baked times of every surface at the knots that both have."""
    for name, axes in (
        ("linear_prefill_s", ("tokens",)), ("linear_decode_s", ("batch",)),
        ("prefill_attention_s", ("new_tokens", "past_tokens")),
        ("decode_attention_s", ("attention_batch", "context_tokens")),
    ):  # fmt: skip
        ours, other = _shared(mine, theirs, name, axes)
        both = (ours > 0) & (other > 0)
        yield name, ours[both] / other[both]


def _shared(mine: KernelProfile, theirs: KernelProfile, name: str, axes: tuple[str, ...]) -> tuple[Floats, Floats]:
    """One surface of both at the knots that both have."""
    found: list[Floats] = []
    for profile in (mine, theirs):
        surface: Floats = getattr(profile, name)
        for position, axis in enumerate(axes):
            knots: Ints = np.intersect1d(getattr(mine, axis), getattr(theirs, axis))
            surface = np.take(surface, np.searchsorted(getattr(profile, axis), knots), axis=position)
        found.append(surface)
    return found[0], found[1]


def report(out: Path) -> None:
    """A line for every surface of every profile that has a counterpart."""
    print("model tp gpu surface points p10 median p90 (measured over baked)")
    for model in dict.fromkeys(model for model, _ in SHAPES):
        for mine in _known(out, model, None, "measured"):
            baked = _known(None, model, mine.gpu, BAKED)
            wanted = (mine.tp, mine.dtype, mine.kv_dtype)
            for theirs in [p for p in baked if (p.tp, p.dtype, p.kv_dtype) == wanted]:
                for name, found in ratios(mine, theirs):
                    low, middle, high = np.quantile(found, (0.1, 0.5, 0.9))
                    print(f"{model} {mine.tp} {mine.gpu} {name} {len(found)} {low:.2f} {middle:.2f} {high:.2f}")


def _known(directory: Path | None, model: str, gpu: str | None, profile_set: str) -> tuple[KernelProfile, ...]:
    """The profiles there are; says so where there is none."""
    try:
        return load_profiles(directory, model=model, gpu=gpu, profile_set=profile_set)
    except CatalogError as error:
        print(error)
        return ()


def main() -> None:
    """Measure, then compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("measured-catalog"))
    options.add_argument("--point-s", type=float, default=0.1)
    options.add_argument("--compare-only", action="store_true")
    chosen, more = options.parse_known_args()
    if not chosen.compare_only:
        measure(chosen.out, chosen.point_s, more)
    report(chosen.out)


if __name__ == "__main__":
    main()
