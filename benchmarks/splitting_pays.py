"""Does splitting still pay? Planned throughput of the same machines, split and together, on today's models.

python benchmarks/splitting_pays.py --out answers.jsonl [--draws 1] [--rows llama-3.1-70b] [--table] [--measured DIR]

For each shape of workload, model and machine the planner answers "how many requests a second do 16 machines carry under
these objectives?" three times: prompts and outputs on machines of their own (``splitwise``), together in chunks
(``sarathi``) and together with whole prompts (``colocated``). Layouts, chunk sizes and the split are the planner's.
Answers are kept in a file, one a line, so that an interrupted run goes on where it was. ``--measured`` compares the
best public runs of DeepSeek-R1 instead: split ones (inferencex_disagg_runs.csv) over those of one instance
(inferencex_agg_moe_runs.csv), output tokens a GPU, no drafts, without a word on whether both were tuned alike.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from planner.planning.plan import plan
from planner.results.evidence import NoPlan
from planner.scenario import Scenario

MACHINES = 16
SPLIT, TOGETHER = "splitwise", ("sarathi", "colocated")
STEP_TOKENS = 8192

SHAPES: dict[str, dict[str, Any]] = {
    "conversation": {"workload": {"trace": "azure-conv-2023"}, "slo": {"ttft_p99_s": 2.0, "tpot_p90_s": 0.05}},
    "coding": {"workload": {"trace": "azure-code-2023"}, "slo": {"ttft_p99_s": 3.0, "tpot_p90_s": 0.05}},
    "long prompts, half cached": {
        "workload": {"lengths": {
            "prompt": {"median_tokens": 8000, "p95_tokens": 24000},
            "output": {"median_tokens": 300, "p95_tokens": 1000},
        }},
        "slo": {"ttft_p99_s": 8.0, "tpot_p90_s": 0.05}, "prefix_cache": {"gib": 100, "hit_frac": 0.5},
    },
    "reasoning": {
        "workload": {"lengths": {
            "prompt": {"median_tokens": 500, "p95_tokens": 2000}, "output": {"median_tokens": 3000, "p95_tokens": 7000},
        }},
        "slo": {"ttft_p99_s": 3.0, "tpot_p90_s": 0.05},
    },
}  # fmt: skip
"""Workloads and objectives; the traces are public, the other lengths are assumed."""

ROWS = (
    ("bloom-176b", "dgx-h100"),
    ("llama-3.1-70b", "dgx-h100"), ("llama-3.1-70b", "hgx-h200"), ("llama-3.1-70b", "dgx-b200"),
    ("gpt-oss-120b", "dgx-h100"), ("deepseek-v3", "dgx-b200"), ("qwen3-235b-a22b", "hgx-h200"),
    ("deepseek-v3", "hgx-h200"), ("qwen3-235b-a22b", "dgx-b200"),
)  # fmt: skip
BEYOND = ("bloom-176b",)
"""A model with 2,048 positions, fewer than the traces' prompts; Splitwise served them all the same, and no others."""

RATES_REQ_PER_S = {"reasoning": 20.0}
"""Where the search for the rate begins, by shape."""

RATE_REQ_PER_S = 100.0


def scenario(shape: str, model: str, machine: str, policy: str, draw: int) -> Scenario:
    """The question of one cell."""
    asked = SHAPES[shape]
    return Scenario.model_validate({
        "schema_version": 1, "name": "splitting-pays", "model": {"name": model, "kv_dtype": "any"},
        **asked, "workload": {**asked["workload"], "rate_req_per_s": RATES_REQ_PER_S.get(shape, RATE_REQ_PER_S)},
        "catalog": {"machines": [machine], "channel": "reserved"}, "objective": "throughput",
        "budgets": {"machines": MACHINES},
        "policy": {"name": policy, "max_batch_tokens": STEP_TOKENS, "longer_context": model in BEYOND},
        "validation": {"first_seed": 1 + 10 * draw},
    })  # fmt: skip


def answer(shape: str, model: str, machine: str, policy: str, draw: int) -> dict[str, Any]:
    """What 16 machines carry under one policy."""
    asked = scenario(shape, model, machine, policy, draw)
    start = time.process_time()
    found = plan(asked, progress=lambda *_: None, with_margin=False)
    row: dict[str, Any] = {"shape": shape, "model": model, "machine": machine, "policy": policy, "draw": draw}
    row["cpu_s"] = round(time.process_time() - start, 1)
    if isinstance(found, NoPlan):
        return {**row, "req_per_s": 0.0, "plan": found.reason}
    pools = {p.spec.name: p.machines for p in found.candidate.pools}
    rate = (asked.workload.rate_req_per_s or 0.0) * found.candidate.rate_scale
    usd = found.candidate.totals.cost_usd_per_h
    return {**row, "req_per_s": round(rate, 3), "usd_per_h": round(usd, 2), "plan": pools}


def asked_rows(rows: str, draws: int) -> Iterator[tuple[str, str, str, str, int]]:
    """Every question, one model and machine after the other, every draw of it."""
    for draw in range(draws):
        for model, machine in ROWS:
            if rows in f"{model} {machine}":
                for shape in (s for s, asked in SHAPES.items() if model not in BEYOND or "trace" in asked["workload"]):
                    for policy in (SPLIT, *TOGETHER):
                        yield shape, model, machine, policy, draw


def ratios(kept: Sequence[dict[str, Any]], shape: str, model: str, machine: str) -> list[float]:
    """Split over the better of the two together, draw by draw; of draws that have all three."""
    rates: dict[int, dict[str, float]] = {}
    for row in kept:
        if (row["shape"], row["model"], row["machine"]) == (shape, model, machine):
            rates.setdefault(row["draw"], {})[row["policy"]] = row["req_per_s"]
    whole = [r for r in rates.values() if len(r) == 1 + len(TOGETHER)]
    return [r[SPLIT] / best for r in whole if (best := max(r[p] for p in TOGETHER)) > 0]


def table(kept: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The page's table: the ratio of the first draw, with the range where there are several."""
    yield "| model, machine | " + " | ".join(SHAPES) + " |"
    yield "|---|" + "---|" * len(SHAPES)
    for model, machine in ROWS:
        cells = []
        for shape in SHAPES:
            found = ratios(kept, shape, model, machine)
            range_ = f" ({min(found):.2f}-{max(found):.2f})" if len(found) > 1 else ""
            cells.append(f"{found[0]:.2f}{range_}" if found else "")
        if any(cells):
            yield f"| {model}, {machine} | " + " | ".join(cells) + " |"


TPOT_MS, TTFT_MS = (20.0, 30.0, 50.0), 8000.0
MEASURED = (("h200_sxm", "fp8"), ("b200_sxm", "fp8"), ("b200_sxm", "fp4"))
LENGTHS = (("1024", "1024"), ("8192", "1024"))


def fastest(runs: Sequence[dict[str, str]], column: str, tpot_ms: float) -> tuple[float, int]:
    """Most output tokens a second and GPU of runs within the limits, and how many runs that are."""
    kept = [r for r in runs if r[column] and r["mtp_draft_tokens"] in ("", "0") and "DeepSeek-R1" in r["model"]]
    found = [
        float(r[column]) for r in kept
        if float(r["tpot_mean_ms"] or "inf") <= tpot_ms and float(r["ttft_mean_ms"] or "inf") <= TTFT_MS
    ]  # fmt: skip
    return max(found, default=0.0), len(found)


def measured(folder: Path) -> Iterator[str]:
    """Split over together of the best public runs, by the TPOT that is allowed."""
    files = {
        "inferencex_disagg_runs.csv": "out_tok_s_per_gpu_by_littles_law",
        "inferencex_agg_moe_runs.csv": "out_tok_s_per_gpu_little",
    }
    runs = {name: list(csv.DictReader((folder / name).open(encoding="utf-8"))) for name in files}
    for system, precision in MEASURED:
        for isl, osl in LENGTHS:
            cells = []
            for limit in TPOT_MS:
                both = []
                for name, column in files.items():
                    asked = (system, precision, isl, osl)
                    mine = [r for r in runs[name] if (r["system"], r["precision"], r["isl"], r["osl"]) == asked]
                    both.append(fastest(mine, column, limit))
                (split, n), (together, m) = both
                cells.append(f"{split / together:.2f} (n {n}, {m})" if split and together else "")
            yield f"| {system}, {precision}, {isl} in, {osl} out | " + " | ".join(cells) + " |"


def main() -> None:
    """Ask everything that is not answered yet, print a row each; or the table of what is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("splitting_pays.jsonl"))
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--rows", default="", help="only models and machines whose names hold this")
    parser.add_argument("--table", action="store_true", help="ask nothing, print the table")
    parser.add_argument("--measured", type=Path, metavar="DIR", help="plan nothing, compare the public runs of DIR")
    asked = parser.parse_args()
    if asked.measured:
        print("\n".join(measured(asked.measured)))
        return
    kept = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    if asked.table:
        print("\n".join(table(kept)))
        return
    known = {(r["shape"], r["model"], r["machine"], r["policy"], r["draw"]) for r in kept}
    for key in asked_rows(asked.rows, asked.draws):
        if key not in known:
            row = answer(*key)
            with asked.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
