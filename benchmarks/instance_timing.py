"""The entries of ``engine_layouts.yaml`` for instances that do both phases, fitted to aggregated runs.

    python benchmarks/instance_timing.py --data inferencex_agg_moe_runs.csv [--rounds 4]

Prints the entries. Runs in even positions are fitted; each round replays them once and moves the four numbers of each
layout by assumed slopes: kernels of decode steps are 0.8 of TPOT and those of prompts 0.15, host time counts whole.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw_catalog.engines import EngineTiming, layout_name, load_engines, timing_of
from hw_catalog.load import load_catalog
from planner.accuracy.measured import MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.replay import Unmatched, physics_of, predicted, profile_of
from planner.accuracy.runs import read_runs
from workloads.models import known_models

NUMBERS = ("decode_ratio", "prefill_ratio", "step_s", "request_s")
DOUBTS = np.array([0.5, 0.5, 1.5e-3, 0.1])
STEP = np.array([0.8, 0.5, 2e-3, 0.15])
"""Most that a round moves each number; ratios by their logarithms."""
NOISE = np.array([0.06, 0.18])
"""Spread of TPOT and of TTFT from run to run."""
BOUNDS = {"decode_ratio": (0.2, 3.0), "prefill_ratio": (0.2, 13.0)}
REQUEST_S = {"trtllm": 0.04, "sglang": 0.06, "vllm": 0.03}
CATALOG, ENGINES = load_catalog(), load_engines()
Floats = NDArray[np.float64]


def key_of(run: MeasuredRun) -> str:
    """The entry of a run."""
    p = profile_of(run, run.fleet[0])
    return f"{p.profile_set}/{p.gpu}/{p.model}/{p.dtype}/{layout_name(p)}"


def numbers(timing: EngineTiming) -> Floats:
    """Of an entry: logarithms of ratios, and times."""
    return np.array([np.log(getattr(timing, n)) if n in BOUNDS else getattr(timing, n) for n in NUMBERS])


def moved(timing: EngineTiming, by: Floats) -> EngineTiming:
    """An entry whose numbers are moved, within bounds."""
    found = {}
    for name, value in zip(NUMBERS, (numbers(timing) + by).tolist(), strict=True):
        low, high = BOUNDS.get(name, (0.0, np.inf))
        found[name] = float(np.clip(np.exp(value) if name in BOUNDS else value, low, high))
    return replace(timing, **found)


def slopes_of(run: MeasuredRun, timing: EngineTiming, error: Floats) -> Floats:
    """(numbers, metrics) how the logarithms of TPOT and TTFT change with each number; assumed."""
    tpot, ttft = (run.figures[m] * np.exp(e) for m, e in zip(("tpot_mean_s", "ttft_mean_s"), error, strict=True))
    prompts = max(0.1, 0.9 * (1 - timing.request_s / ttft))
    step = 0.9 / tpot / (2.0 if run.draft_tokens else 1.0)
    return np.array([[0.8, 0.1], [0.15, prompts], [step, 0.0], [0.0, min(1 / ttft, 1 / max(timing.request_s, 5e-3))]])


def fitted(runs: list[MeasuredRun], start: Mapping[str, EngineTiming], rounds: int) -> dict[str, EngineTiming]:
    """The entries that fit best of all rounds."""
    now, keys = dict(start), [key_of(r) for r in runs]
    best, least = dict(now), np.inf
    for _ in range(rounds):
        ours = [predicted(r, CATALOG, {**ENGINES, **now}) for r in runs]
        here = np.array([
            [np.log(o[m] / r.figures[m]) for m in ("tpot_mean_s", "ttft_mean_s")]
            for o, r in zip(ours, runs, strict=True)
        ])  # fmt: skip
        tpot, ttft = np.median(np.abs(np.expm1(here)), axis=0)
        sys.stderr.write(f"TPOT {tpot:.1%}, TTFT {ttft:.1%} of {len(runs)} runs\n")
        badness = float(np.mean(np.log1p((here / NOISE / 4) ** 2)))
        best, least = (dict(now), badness) if badness < least else (best, least)
        for key, timing in now.items():
            at = [i for i, k in enumerate(keys) if k == key]
            slopes = np.concatenate([slopes_of(runs[i], timing, here[i]) for i in at], axis=1)
            off, noise = here[at].reshape(-1), np.tile(NOISE, len(at))
            weights = 1 / (1 + (off / (4 * noise)) ** 2) / noise**2
            away = numbers(timing) - numbers(start[key])
            pull = (slopes * weights) @ off + away / DOUBTS**2
            by = np.linalg.solve((slopes * weights) @ slopes.T + np.diag(DOUBTS**-2.0), pull)
            now[key] = moved(timing, -np.clip(by, -STEP, STEP))
    return best


def main() -> None:
    """Fit and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--rounds", type=int, default=4)
    args = asked.parse_args()
    runs, start = list[MeasuredRun](), dict[str, EngineTiming]()
    for run in read_runs(args.data, Known(models=known_models(), gpus=CATALOG.gpus))[0]:
        try:
            physics_of(run, run.fleet[0], CATALOG, {})
        except Unmatched:
            continue
        if run.engine == "trtllm" and run.fleet[0].dp > 1:
            continue  # held out: kernels of split runs, prompts held as the launch scripts say
        if int(run.row.split(":")[1]) % 2 == 0:
            known = timing_of(ENGINES, profile_of(run, run.fleet[0]))
            host = {"step_s": max(known.step_s, 3e-4), "request_s": REQUEST_S[run.engine], "fused_layer_s": {}}
            start.setdefault(key_of(run), replace(known, **host))  # type: ignore[arg-type]
            runs.append(run)
    for key, t in sorted(fitted(runs, start, args.rounds).items()):
        sys.stdout.write(
            f"{key}: {{decode_ratio: {t.decode_ratio:.3f}, step_s: {t.step_s:.6f}, step_per_request_s: "
            f"{t.step_per_request_s:g}, prefill_ratio: {t.prefill_ratio:.3f}, request_s: {t.request_s:.4f}, lag_steps: "
            f"{t.lag_steps:g}}}\n"
        )


if __name__ == "__main__":
    main()
