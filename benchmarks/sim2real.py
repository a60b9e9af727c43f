"""Predictions beside measured vLLM 0.15.1 runs, nothing fitted: a first look, not the accuracy table.

python benchmarks/sim2real.py --data FILE [--json]

Each row is replayed as it was run: its rate, lengths and step limit on one colocated instance, the shared system prompt
as a prefix hit. Prompts are computed whole (the engine chunked them) and engine overhead is zero. Rows whose model has
no kernel profile are counted and left out.
"""

import argparse
import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import InstancePhysics, instance_physics
from planner.plan import Layout, Role
from planner.policies.presets import policy
from planner.simulator.engine import PoolModel, run
from planner.simulator.records import window
from workloads.models import load_model
from workloads.traces import plain_trace

MODELS = {
    "mistralai/Mixtral-8x7B-v0.1": "mixtral-8x7b",
    "mistralai/Mixtral-8x22B-v0.1": "mixtral-8x22b",
    "mistralai/Mixtral-8x22B-Instruct-v0.1": "mixtral-8x22b",
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "meta-llama/Llama-3.1-70B-Instruct": "llama-3.1-70b",
    "meta-llama/Llama-2-70b-hf": "llama-2-70b",
    "codellama/CodeLlama-34b-Instruct-hf": "codellama-34b",
    "Qwen/Qwen3-14B": "qwen3-14b",
    "mistralai/Mistral-Nemo-Instruct-2407": "mistral-nemo",
}
MACHINES = {"H100": "dgx-h100", "A100-80GB": "dgx-a100", "L40S": "l40s-8x"}
MOST_REQUESTS = 3000


def body(row: Mapping[str, str], step_tokens: int) -> InstancePhysics | None:
    """The instance a row was measured on; None where its model or layout has no profile."""
    name, tp = MODELS.get(row["model"]), int(row["tp"])
    if name is None:
        return None
    machine = load_catalog().machines[MACHINES[row["hardware"]]]
    try:
        found = load_profiles(None, model=name, gpu=machine.gpu.name, profile_set="aiconfigurator-0.12")
    except CatalogError:
        return None
    profile = next((p for p in found if (p.tp, p.dtype, p.ep) == (tp, "bf16", 1)), None)
    if profile is None:
        return None
    return instance_physics(
        load_model(name),
        machine,
        Layout(tp=tp),
        profile,
        memory_frac=0.9,
        max_batch_tokens=step_tokens,
        block_tokens=16,
    )


def predicted(row: Mapping[str, str]) -> dict[str, float] | None:
    """Mean TTFT, ITL and E2E of a row, ms."""
    step_tokens, rate = int(row["max_num_batched_tokens"]), float(row["rate_rps"])
    physics = body(row, step_tokens)
    if physics is None:
        return None
    n = int(min(MOST_REQUESTS, rate * float(row["duration_s"]) / 2))
    hit = int(float(row["system_prompt_len"])) // 16 * 16
    prompt, output = int(float(row["isl_cfg"])) - hit, int(float(row["output_len"]))
    trace = plain_trace("row", np.arange(n) / rate, np.full(n, prompt), np.full(n, output), duration_s=n / rate)
    rules = policy(
        "colocated", max_batch_tokens=step_tokens, max_batch_size=256, block_tokens=16, kv_transfer="auto",
        layerwise_from_tokens=512,
    )  # fmt: skip
    pool = PoolModel(name="row", role=Role.MIXED, physics=physics, instances=1, speed=1.0, classes=frozenset({0}))
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.1, slices=1)
    books = run([pool], rules, trace, measured, cutoff_s=1e5).ledger
    rows = slice(measured.first, measured.last)
    ttft, e2e = float(np.mean(books.ttft_s[rows])) * 1e3, float(np.mean(books.e2e_s[rows])) * 1e3
    return {"ttft_mean_ms": ttft, "itl_mean_ms": (e2e - ttft) / (output - 1), "e2e_mean_ms": e2e}


def main() -> None:
    """Replay every row, print the median and 90th percentile of the absolute percentage errors."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    errors: dict[str, list[float]] = {"ttft_mean_ms": [], "itl_mean_ms": [], "e2e_mean_ms": []}
    early_ms, excluded = [], 0
    with chosen.data.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            ours = predicted(row)
            if ours is None:
                excluded += 1
                continue
            early_ms.append(float(row["ttft_mean_ms"]) - ours["ttft_mean_ms"])
            for metric, value in ours.items():
                errors[metric].append(abs(value / float(row[metric]) - 1))
    found = {
        metric: {
            "n": len(e),
            "median_ape": round(float(np.median(e)), 4),
            "p90_ape": round(float(np.quantile(e, 0.9)), 4),
        }
        for metric, e in errors.items()
    }
    answer = {**found, "ttft_early_median_ms": round(float(np.median(early_ms)), 1), "excluded": excluded}
    print(json.dumps(answer) if chosen.json else "\n".join(f"{k:22} {v}" for k, v in answer.items()))


if __name__ == "__main__":
    main()
