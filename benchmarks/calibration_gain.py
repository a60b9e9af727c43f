"""What five measured runs of one model on one GPU do for the predictions of the others.

python benchmarks/calibration_gain.py --data FILE --engine vllm --model mixtral-8x7b --gpu h100-sxm --dtype bf16
"""

import argparse
from pathlib import Path

import numpy as np

from hw_catalog.engines import load_engines
from hw_catalog.load import load_catalog
from planner.accuracy.calibrate import calibrate
from planner.accuracy.names import Known
from planner.accuracy.runs import read_runs
from planner.accuracy.table import replayed
from workloads.models import known_models

FEW = 5
METRICS = ("ttft_mean_s", "tpot_mean_s", "e2e_mean_s")


def silent(_words: str, _done_frac: float) -> None:
    """Nobody watches."""


def main() -> None:
    """Fit a few rows drawn at random, print the errors of the rest before and after."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    for name in ("engine", "model", "gpu", "dtype"):
        options.add_argument(f"--{name}", required=True)
    chosen = options.parse_args()
    wanted = (chosen.engine, chosen.model, chosen.gpu, chosen.dtype)
    runs = [
        r
        for r in read_runs(chosen.data, Known(models=known_models()))[0]
        if (r.engine, r.model, r.gpu, r.dtype) == wanted
    ]
    drawn = set(np.random.default_rng(1).permutation(len(runs))[:FEW].tolist())
    few, rest = [runs[i] for i in sorted(drawn)], [r for i, r in enumerate(runs) if i not in drawn]
    catalog, engines = load_catalog(None), load_engines()
    found = calibrate(few, catalog, engines, date="2026-11-21", progress=silent)[0]
    for name, timings in (("before", engines), ("after", {**engines, found.key: found.timing})):
        compared, _ = replayed(rest, catalog, timings, progress=silent)
        for metric in METRICS:
            errors = [c.ape for c in compared if c.metric == metric]
            print(f"{name:6} {metric:12} n {len(errors):3}  median {np.median(errors):.1%}")


if __name__ == "__main__":
    main()
