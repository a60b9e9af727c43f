"""What kernel tables leave out in the layouts of measured clusters, fitted to their runs: ``engine_layouts.yaml``.

    python benchmarks/cluster_timing.py --data inferencex_disagg_runs.csv [--half] [--write]

Decode steps are fitted to TPOT at the batch that Little's law gives, without a replay; prompts and time per request to
TTFT by replays. ``--half`` fits the runs with an even position in the file and prints the errors of the odd ones.
Groups are (engine, GPU, weights, kind of layout); every parameter has a prior, so a group of one run moves little.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw_catalog.engines import EngineTiming, layout_kind, load_engines, timing_of
from hw_catalog.load import load_catalog
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance
from planner.accuracy.measured import MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.replay import Unmatched, physics_of, predicted, profile_of
from planner.accuracy.runs import read_runs
from workloads.models import known_models, load_model

CATALOG = load_catalog()
Floats = NDArray[np.float64]
RATIO_SD, STEP_SD_MS, REQUEST_SD_S = 0.35, 1.5, 0.15
"""Priors: of the logarithm of a factor on kernels, of host time of a step, of time per request."""
NOISE, OUTLIER = 0.07, 0.2
"""Spread of a run, and the error from which a run counts less and less."""
REQUEST_S = {"trtllm": 0.06, "sglang": 0.18, "vllm": 0.1}
"""Where time per request starts: router, handshake of the KV transfer, streaming."""
MOST_REQUESTS = 45_000
"""Of a run that prompts are fitted to: longer ones take most of the time and say the same."""
SOURCE = "disaggregated runs of InferenceX with layouts (inferencex_disagg_runs.csv)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A decode step of a run, milliseconds without any correction, and what was measured."""

    group: str
    kernels_ms: float
    verified_ms: float
    drafted: int
    tpot_ms: float


def key_of(profile: KernelProfile) -> str:
    """The entry of a layout."""
    return f"{profile.profile_set}/{profile.gpu}/{profile.dtype}/{layout_kind(profile)}"


def step_of(run: MeasuredRun) -> Step:
    """The decode step of a run at the batch that it held on average."""
    workers = run.fleet[-1]
    profile, n = profile_of(run, workers), run.draft_tokens
    tokens = run.output_tokens * (1 + run.shortest_frac) / 2 - 1
    busy_s = run.figures["tpot_mean_s"] * tokens
    batch = (run.clients or 1) * busy_s / (run.figures["ttft_mean_s"] + busy_s) / workers.workers
    batch = max(1.0, min(batch, workers.max_batch_size or batch) / workers.dp)
    context = run.prompt_tokens * (1 + run.shortest_frac) / 2 + tokens / 2
    column = np.array([np.interp(context, profile.context_tokens, row) for row in profile.decode_attention_s])

    def at(knots: NDArray[np.int64], values: Floats, wanted: float) -> float:
        slope = max(0.0, (values[-1] - values[-2]) / (knots[-1] - knots[-2]))
        return float(np.interp(wanted, knots, values)) + max(0.0, wanted - knots[-1]) * slope

    linear, wide = (at(profile.batch, profile.linear_decode_s, b) for b in (batch, batch * (1 + n)))
    read, whole = (at(profile.attention_batch, column, b) for b in (batch, batch * (1 + n)))
    layer = n / load_model(run.model).layers
    return Step(
        group=key_of(profile), kernels_ms=1e3 * (wide + read + layer * (linear + read)),
        verified_ms=1e3 * (whole - read), drafted=n, tpot_ms=1e3 * run.figures["tpot_mean_s"],
    )  # fmt: skip


class Decode:
    """The fit of decode steps: a factor and a time of each group, tokens gained, share of verified attention."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Gauss-Newton on logarithmic errors, those of outliers weighing less."""
        self.groups = sorted({s.group for s in steps})
        n = len(self.groups)
        self.x = np.concatenate([np.zeros(2 * n), np.log([1.75, 2.2, 2.6]), [0.3]])
        start, doubt = (
            self.x.copy(),
            np.concatenate([np.full(n, RATIO_SD), np.full(n, STEP_SD_MS), np.full(3, 0.3), [0.5]]),
        )
        for _ in range(12):
            here = self.errors(steps)
            slopes = np.zeros((len(steps), len(self.x)))
            for j in range(len(self.x)):
                self.x[j] += 1e-3
                slopes[:, j] = (self.errors(steps) - here) / 1e-3
                self.x[j] -= 1e-3
            weight = 1 / (1 + (here / OUTLIER) ** 2) / NOISE**2
            precision = (slopes * weight[:, None]).T @ slopes + np.diag(doubt**-2)
            self.x -= np.linalg.solve(precision, (slopes * weight[:, None]).T @ here + (self.x - start) / doubt**2)

    def errors(self, steps: Sequence[Step]) -> Floats:
        """ln(predicted / measured) of each; a group that was not fitted runs as its tables say."""
        n, where = len(self.groups), {g: i for i, g in enumerate(self.groups)}
        found = []
        for s in steps:
            i = where.get(s.group)
            ratio, step_ms = (np.exp(self.x[i]), self.x[n + i]) if i is not None else (1.0, 0.0)
            kernels = s.kernels_ms + self.x[-1] * s.verified_ms
            gained = np.exp(self.x[2 * n + s.drafted - 1]) if s.drafted else 1.0
            took = ratio * kernels + max(step_ms, -0.5 * kernels)
            found.append(np.log(max(took, 1e-3) / gained / s.tpot_ms))
        return np.array(found)

    def timings(self, base: Mapping[str, EngineTiming]) -> dict[str, EngineTiming]:
        """As entries; a time below 0 is what fused kernels save."""
        made, n = {}, len(self.groups)
        for i, group in enumerate(self.groups):
            step_ms, dtype = float(self.x[n + i]), group.split("/")[2]
            saved = {dtype: -step_ms * 1e-3 / 61} if step_ms < 0 else {}  # layers of DeepSeek-V3
            made[group] = replace(
                base[group], decode_ratio=float(np.exp(self.x[i])), step_s=max(0.0, step_ms) * 1e-3, fused_layer_s=saved
            )
        return made


def fit_prompts(
    runs: Sequence[MeasuredRun], start: Mapping[str, EngineTiming], engines: Mapping[str, EngineTiming], rounds: int = 3
) -> dict[str, EngineTiming]:
    """Entries whose factor on prompts and time per request fit TTFT: Gauss-Newton, group by group at once."""
    timings = dict(start)
    mine = [key_of(profile_of(run, run.fleet[0])) for run in runs]
    first = {g: (timings[g].prefill_ratio, timings[g].request_s) for g in set(mine)}

    def errors(entries: Mapping[str, EngineTiming]) -> Floats:
        return np.array(
            [
                np.log(predicted(r, CATALOG, {**engines, **entries})["ttft_mean_s"] / r.figures["ttft_mean_s"])
                for r in runs
            ]
        )

    for _ in range(rounds):
        here = errors(timings)
        sys.stderr.write(f"TTFT: median error {np.median(np.abs(np.expm1(here))):.1%} of {len(runs)} runs\n")
        slopes = np.stack([
            (errors({g: replace(timings[g], prefill_ratio=timings[g].prefill_ratio * np.exp(0.15)) for g in first}
                    | {g: t for g, t in timings.items() if g not in first}) - here) / 0.15,
            (errors({g: replace(timings[g], request_s=timings[g].request_s + 0.03) for g in first}
                    | {g: t for g, t in timings.items() if g not in first}) - here) / 0.03,
        ])  # fmt: skip
        weights = 1 / (1 + (here / 0.4) ** 2) / 0.15**2
        doubt = np.array([0.5, REQUEST_SD_S])
        for group, (ratio, request_s) in first.items():
            at = [i for i, g in enumerate(mine) if g == group]
            j, w, now = slopes[:, at], weights[at], timings[group]
            off = np.array([np.log(now.prefill_ratio / ratio), now.request_s - request_s])
            step = np.linalg.solve((j * w) @ j.T + np.diag(doubt**-2), (j * w) @ here[at] + off / doubt**2)
            step = np.clip(step, [-0.4, -0.1], [0.4, 0.1])
            timings[group] = replace(
                now, prefill_ratio=float(now.prefill_ratio * np.exp(-step[0])),
                request_s=float(max(0.0, now.request_s - step[1])),
            )  # fmt: skip
    return timings


def text_of(timings: Mapping[str, EngineTiming]) -> str:
    """The file, an entry a line, their source once."""
    lines = [
        "# What kernel tables leave out in layouts of measured clusters, by profile set, GPU, weights and kind:",
        "# tp or dp attention, wide over a link domain, ep with whole experts. benchmarks/cluster_timing.py fits them.",
    ]
    for number, (group, t) in enumerate(sorted(timings.items())):
        fused = "".join(f", fused_layer_s: {{{d}: {s:.7f}}}" for d, s in t.fused_layer_s.items() if s >= 1e-7)
        said = t.provenance
        source = f'&fit {{kind: {said.kind}, date: "{said.date}", source: "{said.source}", note: "{said.note}"}}'
        lines.append(
            f"{group}: {{decode_ratio: {t.decode_ratio:.3f}, step_s: {t.step_s:.6f}{fused}, prefill_ratio: "
            f"{t.prefill_ratio:.3f}, request_s: {t.request_s:.4f},\n  provenance: {'*fit' if number else source}}}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fit, print, and write if asked."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--half", action="store_true")
    asked.add_argument("--write", type=Path)
    asked.add_argument("--prompts", type=int, default=3, help="rounds of the fit of prompts")
    args = asked.parse_args()
    engines = load_engines()
    runs, _ = read_runs(args.data, Known(models=known_models(), gpus=CATALOG.gpus))
    kept = [r for r in runs if _fitted(r)]
    fit = [r for r in kept if not args.half or int(r.row.split(":")[1]) % 2 == 0]
    rest = [r for r in kept if r not in fit]
    steps = [step_of(r) for r in fit]
    decode = Decode(steps)
    n = len(decode.groups)
    gained = ", ".join(f"{d}: {np.exp(decode.x[2 * n + d - 1]):.2f}" for d in (1, 2, 3))
    sys.stdout.write(f"tokens per step by draft length {gained}; share of verified attention {decode.x[-1]:.2f}\n")
    for words, some in (("fitted", fit), ("held out", rest)):
        _tell(words, decode, [step_of(r) for r in some])
    said = Provenance(
        kind=Kind.CALIBRATED, source=SOURCE, date="2026-11-29",
        note=f"{len(fit)} runs, in sample; decode from TPOT, prompts and time per request from TTFT",
    )  # fmt: skip
    base = {}
    for run in fit:
        for workers in run.fleet:
            profile = profile_of(run, workers)
            known = replace(timing_of(engines, profile), step_s=0.0, step_per_request_s=0.0, fused_layer_s={})
            base[key_of(profile)] = replace(known, request_s=REQUEST_S[run.engine], provenance=said)
    timings = {**base, **decode.timings(base)}
    if args.prompts:
        short = [r for r in fit if r.requests <= MOST_REQUESTS]
        timings = fit_prompts(short, timings, engines, args.prompts)
    if args.write:
        args.write.write_text(text_of(timings), encoding="utf-8")


def _fitted(run: MeasuredRun) -> bool:
    """Whether a run is one to fit: a mixture of experts whose layout has profiles and leaves memory."""
    if load_model(run.model).experts < 2 or run.draft_tokens > 3:
        return False
    try:
        for workers in run.fleet:
            body = physics_of(run, workers, CATALOG, {})
            if body.kv_tokens < run.prompt_tokens + run.output_tokens:
                return False
    except Unmatched:
        return False
    return "tpot_mean_s" in run.figures and "ttft_mean_s" in run.figures


def _tell(words: str, decode: Decode, steps: Sequence[Step]) -> None:
    """Errors of TPOT with and without drafting."""
    errors = np.abs(np.expm1(decode.errors(steps)))
    for drafts in (False, True):
        some = errors[[bool(s.drafted) is drafts for s in steps]]
        if len(some):
            kind = "with MTP" if drafts else "without MTP"
            sys.stdout.write(
                f"TPOT {words}, {kind}: n {len(some)}, median {np.median(some):.1%}, p90 {np.quantile(some, 0.9):.1%}\n"
            )


if __name__ == "__main__":
    main()
