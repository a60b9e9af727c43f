"""A first run of the profiler on a GPU, as one command, and what it measured beside the profiles that ship.

python benchmarks/profile_gpu.py [--out DIR] [--point-s 0.1] [--limit-s 840] [--compare-only]

First a served toy model beside its prediction (``served_toy.py``, about five minutes), then five profiles at 0.1 s a
point (some 450 operations each, estimated at under ten minutes); neither estimate has been tried on a GPU. Ends within
the limit; called again it measures what is left: loads that the toy's table lacks, and profiles where they were
interrupted. What fails is named and does not keep the rest from being measured. Only small tables are written. Nothing
is changed on the machine. ``--device cpu`` tries the served toy, and ``phasewise profile --device
cpu`` the profiles.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import Floats, Ints, KernelProfile

SHAPES = (("llama-3.1-8b", 1), ("qwen3-14b", 1), ("llama-3.1-70b", 8), ("llama-3.1-70b", 4), ("llama-3.1-70b", 2))
"""Models and tensor-parallel widths; a shard is measured on one GPU, without its group's sums."""
BAKED = "aiconfigurator-0.12"
ROOT = Path(__file__).parent.parent


def commands(out: Path, point_s: float, device: str, more: list[str]) -> Iterator[list[str]]:
    """What is run, one after the other: the served toy, then every shape; each knows what an earlier call left."""
    yield [sys.executable, "-m", "benchmarks.served_toy", "--device", device, "--out", str(out)]
    for model, tp in SHAPES if device == "cuda" else ():
        words = ("profile", "--model", model, "--tp", tp, "--out", out, "--point-s", point_s, "--resume")
        yield [sys.executable, "-m", "planner", *map(str, words), *more]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a series of commands ended.

    Attributes:
        in_time: whether none was cut off or left out.
        failed: commands that ended with an error.
    """

    in_time: bool
    failed: tuple[str, ...]


def measure(asked: Iterable[list[str]], limit_s: float) -> Ended:
    """Run commands until the time is up, whatever becomes of each."""
    end_s = time.monotonic() + limit_s
    failed: list[str] = []
    for words in asked:
        try:
            done = subprocess.run(words, check=False, cwd=ROOT, timeout=max(0.0, end_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            return Ended(in_time=False, failed=tuple(failed))
        failed += [" ".join(words[1:])] * bool(done.returncode)
    return Ended(in_time=True, failed=tuple(failed))


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
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--limit-s", type=float, default=840.0)
    chosen, more = options.parse_known_args()
    out = chosen.out.resolve()
    asked = () if chosen.compare_only else commands(out, chosen.point_s, chosen.device, more)
    ended = measure(asked, chosen.limit_s)
    if not ended.in_time:
        print(f"{chosen.limit_s:g} s are over: call it again to measure what is left")
    if chosen.device == "cuda":
        report(out)
    if ended.failed:
        sys.exit("failed: " + "; ".join(ended.failed))


if __name__ == "__main__":
    main()
