"""A week under three controllers request by request, and an hour of it beside the reference and beside flows.

    python benchmarks/week.py [--json] [--servers 40] [--control DynamoLLM]     a week, served
    python benchmarks/week.py --hour 14 --servers 4 [--json]                    an hour of it: core, reference, flow

Set-up and load are those of ``phasewise reproduce dynamollm``: a conversation week whose peak fills so many servers of
a single pool.
"""

import argparse
import json
import time
from typing import Any

import numpy as np

from benchmarks import metered
from planner.policies.control import BASELINES
from planner.reproduce.dynamollm_lab import Lab, open_lab, week_factors
from planner.simulator.weeks.serve import Part, Stage, served

PART_S = 4 * 3600.0
J_PER_KWH = 3.6e6


def whole_week(lab: Lab, control: str, misplaced_frac: float) -> dict[str, Any]:
    """All of it: how many requests, what they waited, what it took."""
    begin = time.process_time()
    flow, stage = lab.staged(BASELINES[control], week_factors("conversation"), misplaced_frac=misplaced_frac)
    decided = time.process_time()
    first, ended, kept, energy_j, requests, tokens = list[np.ndarray](), 0, 0, 0.0, 0, 0
    for part in served(stage, part_s=PART_S):
        first.append(part.ttft_s)
        ended, requests = ended + int(part.kept.sum()), requests + len(part.pool)
        kept, energy_j, tokens = kept + int(_within(stage, part).sum()), energy_j + part.energy_j, tokens + part.tokens
    waits = np.concatenate(first)
    hours = stage.steps * stage.step_s / 3600
    return {
        "control": control, "hours": hours, "requests": requests, "ended": ended, "tokens_per_h": tokens / hours,
        "kept_frac": kept / requests, "kept_flow_frac": flow.kept_frac,
        "ttft_p50_s": float(np.quantile(waits, 0.5)), "ttft_p99_s": float(np.quantile(waits, 0.99)),
        "energy_kwh": energy_j / J_PER_KWH, "energy_flow_kwh": flow.energy_j / J_PER_KWH,
        "stalled_frac": flow.stalled_s / (sum(float(c.counts.sum()) for c in stage.courses) * stage.step_s),
        "decide_cpu_s": decided - begin, "serve_cpu_s": time.process_time() - decided,
    }  # fmt: skip


def one_hour(lab: Lab, control: str, hour: int) -> list[dict[str, Any]]:
    """The same hour three times: a row for each class that came, and one for all."""
    flow, stage = lab.staged(BASELINES[control], week_factors("conversation"))
    parts, spent_s = {}, {}
    for name, how in (("core", None), ("reference", metered.serve)):
        begin = time.process_time()
        span = {"begin_s": hour * 3600.0, "end_s": (hour + 1) * 3600.0}
        (parts[name],) = served(stage, part_s=3600.0, **span) if how is None else served(
            stage, part_s=3600.0, engine=how, **span
        )  # fmt: skip
        spent_s[name] = time.process_time() - begin
    rows = []
    for place, course in [*enumerate(stage.courses), (-1, None)]:
        here = {n: (p.pool == place) | (place < 0) for n, p in parts.items()}
        if not here["core"].any():
            continue
        row: dict[str, Any] = {"class": course.pool.name if course else "all", "n": int(here["core"].sum())}
        for name, part in parts.items():
            mine = here[name]
            for word, column in (("ttft", part.ttft_s), ("tpot", part.tpot_s), ("e2e", part.e2e_s)):
                row |= {f"{word}_p{q}_{name}_s": float(np.quantile(column[mine], q / 100)) for q in (50, 99)}
        if course is not None:
            row |= _flow(stage, place, hour)
        else:
            row |= {f"energy_{name}_kwh": part.energy_j / J_PER_KWH for name, part in parts.items()}
            row |= {f"tbt_p99_{name}_s": part.gap_p99_s for name, part in parts.items()}
            steps = slice(hour * 720, (hour + 1) * 720)
            row["energy_flow_kwh"] = float(flow.power_w[steps].sum()) * stage.step_s / J_PER_KWH
            row |= {f"{name}_cpu_s": spent for name, spent in spent_s.items()}
        rows.append(row)
    return rows


def _flow(stage: Stage, place: int, hour: int) -> dict[str, Any]:
    """What the flow says of a class in the hour: its operating points at the rate of each instance, step by step."""
    course, per_hour = stage.courses[place], round(3600 / stage.step_s)
    steps = slice(hour * per_hour, (hour + 1) * per_hour)
    sent = course.rate_req_per_s[steps]
    knobs = {(k.tp, k.clock_mhz): k.table for k in course.pool.knobs}
    rows = [
        (rate / count, knobs[tp, clock])
        for rate, count, tp, clock in zip(
            np.convolve(sent, np.ones(12) / 12, mode="same"), course.counts[steps], course.tp[steps],
            course.clock_mhz[steps], strict=True,
        )
        if count
    ]  # fmt: skip
    found = {}
    for word, column in (("ttft_p50", "ttft_p50_s"), ("ttft_p99", "ttft_p99_s"), ("tpot_mean", "tpot_s")):
        points = [float(np.interp(rate, table.rate_req_per_s, getattr(table, column))) for rate, table in rows]
        found[f"{word}_flow_s"] = float(np.mean(points))
    return found


def _within(stage: Stage, part: Part) -> np.ndarray:
    """Requests within the objectives of the pool that served them."""
    first = np.array([course.pool.ttft_p99_s for course in stage.courses])
    token = np.array([course.pool.tpot_s for course in stage.courses])
    return (part.ttft_s <= first[part.pool]) & (part.tpot_s <= token[part.pool]) & part.kept


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--servers", type=int, default=40, help="that the peak fills")
    parser.add_argument("--control", default="DynamoLLM", choices=sorted(BASELINES))
    parser.add_argument("--misplaced", type=float, default=0.0, help="share of lengths predicted wrong, of a week")
    parser.add_argument("--hour", type=int, help="only this hour of the week, three ways")
    arguments = parser.parse_args()
    lab = open_lab("conversation", servers=arguments.servers)
    if arguments.hour is None:
        rows = [whole_week(lab, arguments.control, arguments.misplaced)]
    else:
        rows = one_hour(lab, arguments.control, arguments.hour)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main()
