"""Watts, clocks and caps against published measurements: every figure of docs/accuracy.md that concerns power.

    python benchmarks/power.py --data DIR [--json]

DIR holds the public tables named in docs/power.md. Nothing is fitted to a row that it is then compared with.
"""

import argparse
import csv
import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from power_fit import (
    anchors_of,
    balanced_times,
    batch_left_out,
    fit_balance,
    fit_surface,
    fit_swing,
    held_out_times,
    left_out,
    mean_error_frac,
    surface_w,
)
from power_points import (
    ClockPoint,
    Point,
    Utilisation,
    clock_load,
    clock_points,
    mlenergy_points,
    mlenergy_v2_points,
    splitwise_points,
)

from hw_catalog.engines import load_engines, timing_of
from hw_catalog.gpus import Gpu
from hw_catalog.load import Catalog, load_catalog
from hw_catalog.machines import Machine
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import GpuLimits, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout, Role
from planner.perf.power import curve_of
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import window
from planner.simulator.core.run import PoolModel, run
from planner.simulator.watts import power_use
from workloads.models import load_model
from workloads.traces import plain_trace

FITTED_MHZ = (900.0, 1500.0, 2520.0)
SATURATED = Utilisation(weights_frac=0.01, compute_frac=0.68, bandwidth_frac=0.1, output_tokens_per_s=0.0)
SATURATED_POINTS = 27
"""A saturated GEMM draws 98.5 % of the rating (H200 690 W of 700, B200 990 W of 1000); serving points hardly reach
there, so it counts as a tenth of them."""

CONTEXT_FLOOR_W = 72.0
"""Idle power of the GPU of the clock table with a CUDA context, as its source prints it (67-77 W)."""


@dataclass(frozen=True)
class Check:
    """One figure beside its target."""

    check: str
    n: int
    ours: float
    unit: str
    target: str
    within: bool


def clock_checks(points: list[ClockPoint], gpu: Gpu) -> list[Check]:
    """Held-out clocks, by rows of their own and by two numbers for all rows."""

    def intensity(point: ClockPoint) -> float:
        load = clock_load(point, gpu)
        return load.compute_frac / load.bandwidth_frac

    checks = []
    held = [(c, t) for c, t in held_out_times(points, FITTED_MHZ)]
    for phase in ("decode", "prefill"):
        pairs = [(c.step_s, t) for c, t in held if c.phase == phase]
        error = mean_error_frac(pairs)
        checks.append(_error(f"L40S {phase} time, three clocks fitted, three held out", len(pairs), error, 0.03))
    seen = [p for p in points if p.clock_mhz in FITTED_MHZ and p.phase == "decode"]
    balance = fit_balance(seen, intensity)
    top = max(p.clock_mhz for p in points)
    for phase in ("decode", "prefill"):
        rest = [p for p in points if p.phase == phase and (p.clock_mhz not in FITTED_MHZ or p.clock_mhz == top)]
        pairs = balanced_times(rest, balance, intensity, top)
        words = f"L40S {phase} time by work alone: two numbers for all rows, fitted on three clocks of the decodes"
        checks.append(_error(words, len(pairs), mean_error_frac(pairs), None))
    swing = fit_swing(points, CONTEXT_FLOOR_W)
    checks.append(_error("L40S watts, one voltage curve (in sample)", len(points), swing.error_frac, None))
    return checks


def surface_checks(points: list[Point], gpu: Gpu, name: str, targets: tuple[float, float] | None) -> list[Check]:
    """Points left out one batch at a time, and models left out whole."""
    batch, model = targets or (None, None)
    pairs = [(p.watts_w, w) for p, w in batch_left_out(points, gpu.idle_w, gpu.tdp_w)]
    checks = [_error(f"{name} watts, one batch left out", len(pairs), mean_error_frac(pairs), batch)]
    groups: tuple[tuple[str, Callable[[Point], str]], ...] = (
        ("model", lambda p: p.model), ("architecture", lambda p: p.family),
    )  # fmt: skip
    for words, group in groups:
        found = left_out(points, group, gpu.idle_w, gpu.tdp_w, saturated(gpu))
        for kind, chosen in (("all", (False, True)), ("dense", (False,)), ("mixture of experts", (True,))):
            mine = [(p, w) for p, w in zip(points, found, strict=True) if p.sparse in chosen]
            error = mean_error_frac([(p.watts_w, w) for p, w in mine])
            label = f"{name} watts, one {words} left out, {kind} ({len({group(p) for p, _ in mine})})"
            checks.append(_error(label, len(mine), error, model if words == "model" else None))
        checks += _spread(
            f"{name} watts, one {words} left out",
            [(group(p), p.watts_w, w) for p, w in zip(points, found, strict=True)],
        )
    return checks


def _spread(label: str, rows: Sequence[tuple[str, float, float]]) -> Iterator[Check]:
    """The median and the worst of the errors of whole groups."""
    by_group: dict[str, list[tuple[float, float]]] = {}
    for name, measured_w, ours_w in rows:
        by_group.setdefault(name, []).append((measured_w, ours_w))
    errors = sorted((mean_error_frac(pairs), name) for name, pairs in by_group.items())
    yield _error(f"{label}, the median one", len(errors), errors[len(errors) // 2][0], None)
    worst, name = errors[-1]
    yield _error(f"{label}, the worst one ({name.split('/')[-1]})", len(by_group[name]), worst, None)


def saturated(gpu: Gpu) -> list[Point]:
    """The saturated GEMM, as often as it counts."""
    point = Point(model="gemm", layout="gemm", batch=1, load=SATURATED, watts_w=0.985 * gpu.tdp_w)
    return [point] * SATURATED_POINTS


@dataclass(frozen=True)
class Saturated:
    """A machine full of replicas that serve without a pause."""

    req_per_s: float
    gpus_w: float
    wall_w: float


def serve(
    machine: Machine, model_name: str, dtype: str, prompt: int, output: int, batch: int, cap_w: int | None
) -> Saturated:
    """Every replica (one GPU each) decodes ``batch`` requests and prefills what replaces those that end."""
    model, layout = load_model(model_name), Layout(tp=1)
    found = load_profiles(None, model=model_name, gpu=machine.gpu.name, profile_set="aiconfigurator-0.12")
    profile = next(p for p in found if (p.tp, p.dtype, p.kv_dtype) == (1, dtype, "bf16"))
    settings = EngineSettings(memory_frac=0.9, max_batch_tokens=8192)
    body = instance_physics(model, machine, layout, profile, settings, limits=GpuLimits(cap_w=cap_w))
    together = max(1, 8192 // prompt)
    prompts, context = [(prompt, 0)] * together, prompt + output / 2
    prefill_s, prefill_w = body.step.prefill_s(prompts) / together, body.power.prefill_w(prompts)
    decode_s, decode_w = output * body.step.decode_s(batch, context) / batch, body.power.decode_w(batch, context)
    mean_w = (prefill_s * prefill_w + decode_s * decode_w) / (prefill_s + decode_s)
    return Saturated(
        req_per_s=machine.gpus / (prefill_s + decode_s), gpus_w=machine.gpus * mean_w,
        wall_w=machine.idle_w + curve_of(machine.gpu).wall_ratio * machine.gpus * max(0.0, mean_w - machine.gpu.idle_w),
    )  # fmt: skip


WORKLOADS = {
    "llama2-70b": ("llama-2-70b", "fp8", 294, 294, 512),
    "mixtral-8x7b": ("mixtral-8x7b", "fp8", 400, 145, 1024),
    "gptj": ("llama-3.1-8b", "fp8", 780, 70, 256),
    "llama3.1-8b": ("llama-3.1-8b", "fp8", 780, 70, 256),
}
"""MLPerf benchmark -> model, format, mean prompt and output tokens, decode batch. Lengths are recalled; GPT-J, whose
profile is not built in, is stood in for by Llama-3.1-8B."""


def mlperf_checks(path: Path, catalog: Catalog) -> list[Check]:
    """Throughput under a cap over that without, and wall power, per row of the MLPerf table."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["model"].endswith("-99")]
    checks = []
    for row in rows:
        name, label = row["model"].removesuffix("-99.9"), f"{row['model']} {row['scenario']}"
        if name not in WORKLOADS:
            continue
        model, dtype, prompt, output, batch = WORKLOADS[name]
        capped = row["round"] == "v4.1"
        machine = catalog.machines["hgx-h200" if capped else "dgx-b200"]
        cap = int(row["gpu_power_limit_W"]) if capped else None
        mine = serve(machine, model, dtype, prompt, output, batch, cap)
        measured_w = float(row["wall_W_mean"])
        if capped:
            ratio = mine.req_per_s / serve(machine, model, dtype, prompt, output, batch, None).req_per_s
            aim = float(row["maxq_over_maxp"])
            checks.append(Check(
                f"H200 at {cap} W, throughput over uncapped: {label}", 1, round(ratio, 3), "ratio",
                f"{aim:.3f} within 0.05", abs(ratio - aim) <= 0.05,
            ))  # fmt: skip
        checks.append(Check(
            f"{_chassis(row, cap)} wall: {label}", 1, round(mine.wall_w), "W",
            f"{measured_w:.0f} W within 6 %", abs(mine.wall_w / measured_w - 1) <= 0.06,
        ))  # fmt: skip
    return [*checks, *cap_range_checks(checks), *wall_line_checks(rows), *liquid_checks(rows, catalog)]


def _chassis(row: dict[str, str], cap_w: int | None) -> str:
    if cap_w is not None:
        return f"8xH200 at {cap_w} W"
    return "8xB200, liquid-cooled, as if air-cooled," if row["platform"].startswith(LIQUID) else "8xB200"


LIQUID = "SR780a"
"""The liquid-cooled server of the MLPerf table; the other 8xB200, like the catalog's, is cooled by air."""


def liquid_checks(rows: list[dict[str, str]], catalog: Catalog) -> list[Check]:
    """The wall line of a liquid-cooled 8xB200 from its largest model, tried on its smallest.

    The line goes through the reading before the run and the offline run of Llama-3.1-405B, GPUs taken at their rating.
    """
    machine = catalog.machines["dgx-b200"]
    mine = [r for r in rows if r["platform"].startswith(LIQUID)]
    seen = next(r for r in mine if r["model"] == "llama3.1-405b" and r["scenario"] == "Offline")
    room_w = machine.gpus * (machine.gpu.tdp_w - machine.gpu.idle_w)
    slope = (float(seen["wall_W_mean"]) - float(seen["pre_run_W_median"])) / room_w
    model, dtype, prompt, output, batch = WORKLOADS["llama3.1-8b"]
    above_w = serve(machine, model, dtype, prompt, output, batch, None).gpus_w - machine.gpus * machine.gpu.idle_w
    checks = []
    for row in (r for r in mine if r["model"] == "llama3.1-8b"):
        measured_w, ours_w = float(row["wall_W_mean"]), float(row["pre_run_W_median"]) + slope * above_w
        words = f"8xB200, liquid-cooled, its own line ({slope:.2f} W per W), wall: llama3.1-8b {row['scenario']}"
        target = f"{measured_w:.0f} W within 6 %"
        checks.append(Check(words, 1, round(ours_w), "W", target, abs(ours_w / measured_w - 1) <= 0.06))
    return checks


def a100_checks(splitwise: list[Point], chat: list[Point], gpu: Gpu) -> list[Check]:
    """Both tables of the A100's fit, in sample and with whole models left out."""
    points, limit_w = [*splitwise, *chat], 1.1 * gpu.tdp_w
    fitted = fit_surface(points, gpu.idle_w)
    inside = [surface_w(fitted, p.load, gpu.idle_w, limit_w) for p in points]
    outside = left_out(points, lambda p: p.model, gpu.idle_w, limit_w)
    checks = []
    for words, found in (("in sample", inside), ("one model left out", outside)):
        for name, mine in (("Splitwise's table", splitwise), ("ML.ENERGY v2, 40 GB, 2024", chat)):
            chosen = {id(p) for p in mine}
            pairs = [(p.watts_w, w) for p, w in zip(points, found, strict=True) if id(p) in chosen]
            checks.append(_error(f"A100 watts, {name} ({words})", len(pairs), mean_error_frac(pairs), None))
    return checks


HELD_OUT = (
    ("Qwen3-14B", "qwen3-14b", 2.5, 290, 221, (347, 391, 434)),
    ("Qwen3-8B, llama-3.1-8b in its place", "llama-3.1-8b", 4.0, 332, 213, (309, 351, 383)),
)
"""Runs of vLLM 0.10 on an A100 80 GB, tp1, that no fit has seen: requests/s, mean prompt and answer, watts of the GPU
read once a second (mean, P95, highest)."""


def held_out_checks(catalog: Catalog) -> list[Check]:
    """Watts of two served runs beside ours; lengths are lognormal with a sigma of 0.9 (assumed)."""
    return [
        Check(f"A100 tp1, held out: {words}, {rate:g} req/s, {name}", 1, round(ours_w), "W", f"{seen_w} W within 8 %",
              abs(ours_w / seen_w - 1) <= 0.08)
        for words, model, rate, prompt, output, measured in HELD_OUT
        for name, ours_w, seen_w in zip(("mean", "P95", "highest"), metered_w(catalog, model, rate, prompt, output),
                                        measured, strict=True)
    ]  # fmt: skip


def metered_w(catalog: Catalog, name: str, rate: float, prompt: int, output: int) -> tuple[float, float, float]:
    """Mean, P95 and highest reading of an A100 that serves a model alone for 900 s."""
    machine, model = catalog.machines["dgx-a100"], load_model(name)
    found = load_profiles(None, model=name, gpu=machine.gpu.name, profile_set="aiconfigurator-0.12")
    profile = next(p for p in found if (p.tp, p.dtype, p.kv_dtype) == (1, "bf16", "bf16"))
    settings = EngineSettings(memory_frac=0.9, max_batch_tokens=2048)
    timing = timing_of(load_engines(None), profile, mode="serial")
    body = instance_physics(model, machine, Layout(tp=1), profile, settings, timing=timing)
    rng, duration_s = np.random.default_rng(1), 900.0
    count = round(rate * duration_s)
    arrivals = np.sort(rng.uniform(0, duration_s, count))
    drawn = (rng.lognormal(np.log(mean) - 0.9**2 / 2, 0.9, count) for mean in (prompt, output))
    lengths = (np.clip(np.round(each), 4, 4096).astype(np.int64) for each in drawn)
    trace = plain_trace("held out", arrivals, *lengths, duration_s=duration_s)
    rules = policy("colocated", PolicySection(max_batch_tokens=2048, max_batch_size=256))
    pool = PoolModel(
        name="a100", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}), chunk_tokens=2048
    )
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.1, slices=5)
    done = run([pool], rules, trace, measured, cutoff_s=1e5)
    use, rest_w = power_use(body.power, [done.meters["a100"]]), body.power.standby_w
    assert use is not None  # the catalog knows its watts
    mean_w, p95_w, peak_w = ((w - rest_w) / body.power.wall_ratio for w in (use.mean_w, use.p95_w, use.peak_w))
    return body.power.idle_w + mean_w, body.power.idle_w + p95_w, body.power.idle_w + peak_w


def cap_range_checks(checks: list[Check]) -> list[Check]:
    """The mean over the rows of each cap against the range that was published for it."""
    found = []
    for cap, low, high in ((500, 0.79, 0.83), (350, 0.61, 0.65)):
        mine = [c.ours for c in checks if c.check.startswith(f"H200 at {cap} W")]
        mean = statistics.mean(mine)
        words = f"H200 at {cap} W, throughput over uncapped: mean of the rows"
        within = low - 0.05 <= mean <= high + 0.05
        target = f"{low} to {high} within 0.05"
        found.append(Check(words, len(mine), round(mean, 3), "ratio", target, within))
    return found


def wall_line_checks(rows: list[dict[str, str]]) -> list[Check]:
    """The wall line of an H200 server fitted on one cap and the readings before the run, tried on the other cap."""
    capped = [(8 * float(r["gpu_power_limit_W"]), float(r["wall_W_mean"])) for r in rows if r["round"] == "v4.1"]
    idle_w = statistics.mean(float(r["pre_run_W_median"]) for r in rows if r["round"] == "v4.1")
    idle_gpus_w = 8 * 75.0
    checks = []
    for seen in sorted({gpus_w for gpus_w, _ in capped}):
        slope = (statistics.mean(w for g, w in capped if g == seen) - idle_w) / (seen - idle_gpus_w)
        pairs = [(w, idle_w + slope * (g - idle_gpus_w)) for g, w in capped if g != seen]
        words = f"8xH200 wall, line through idle and the {seen / 8:.0f} W cap, tried on the other"
        checks.append(_error(words, len(pairs), mean_error_frac(pairs), 0.06))
    return checks


def _error(words: str, n: int, error_frac: float, target_frac: float | None) -> Check:
    target = "" if target_frac is None else f"at most {target_frac:.0%}"
    within = target_frac is None or error_frac <= target_frac
    return Check(words, n, round(100 * error_frac, 2), "% MAPE", target, within)


def results(data: Path) -> dict[str, object]:
    """Every check, and the numbers that were fitted."""
    catalog = load_catalog()
    h100, b200, a100, l40s = (catalog.gpus[name] for name in ("h100-sxm", "b200-sxm", "a100-sxm", "l40s"))
    table = data / "power" / "mlenergy_v3_llm_configs.csv"
    h100_points, b200_points = mlenergy_points(table, h100, "H100"), mlenergy_points(table, b200, "B200")
    splitwise = splitwise_points(data / "profiles" / "splitwise_perf_model.csv", a100)
    chat = mlenergy_v2_points(data / "power" / "mlenergy_v2_llm_chat_a100_h100.csv", a100, "A100")
    a100_points = [*splitwise, *chat]
    clocks = clock_points(data / "power" / "l40s_qwen25_7b_dvfs.csv")
    top = [
        Point(
            model="qwen2.5-7b", layout="bf16/tp1", batch=c.tokens, watts_w=c.watts_w, prefill=c.phase == "prefill",
            load=replace(clock_load(c, l40s), weights_frac=0.0),
        )
        for c in clocks if c.clock_mhz == max(p.clock_mhz for p in clocks)
    ]  # fmt: skip
    surfaces = {
        "h100-sxm": fit_surface([*h100_points, *saturated(h100)], h100.idle_w),
        "b200-sxm": fit_surface([*b200_points, *saturated(b200)], b200.idle_w),
        "a100-sxm": fit_surface(a100_points, a100.idle_w),
        "l40s": fit_surface(top, l40s.idle_w),
    }
    checks = [
        *clock_checks(clocks, l40s),
        *surface_checks(h100_points, h100, "H100", (0.05, 0.10)),
        *surface_checks(b200_points, b200, "B200", None),
        *a100_checks(splitwise, chat, a100),
        *held_out_checks(catalog),
        *mlperf_checks(data / "power" / "mlperf_power.csv", catalog),
    ]
    anchors = {
        name: {
            f"{p.model} {p.layout}": anchors_of(
                [q for q in points if (q.model, q.layout) == (p.model, p.layout)], surfaces[name], gpu.idle_w
            )
            for p in points
        }
        for name, points, gpu in (("h100-sxm", h100_points, h100), ("b200-sxm", b200_points, b200))
    }
    return {"checks": [asdict(c) for c in checks], "fitted": surfaces, "anchors": anchors}


def table(checks: Iterable[dict[str, object]]) -> str:
    """The checks as the Markdown table of docs/accuracy.md."""
    lines = ["| figure | n | ours | target | |", "|---|---:|---:|---|---|"]
    for c in checks:
        verdict = "" if not c["target"] else "met" if c["within"] else "differs"
        lines.append(f"| {c['check']} | {c['n']} | {c['ours']} {c['unit']} | {c['target']} | {verdict} |")
    return "\n".join(lines)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="directory with power/ and profiles/")
    parser.add_argument("--json", action="store_true", help="everything, fitted numbers too")
    args = parser.parse_args()
    found = results(args.data)
    print(json.dumps(found, indent=1) if args.json else table(found["checks"]))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
