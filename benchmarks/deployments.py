"""Planned clusters of DeepSeek beside measured ones: by machine, phases apart or together, with drafts or without.

    python benchmarks/deployments.py --scenario FILE [--data FILE] [--only NAME ...] [--drafts N ...]

Prints a row a plan: money, GPUs, tokens per GPU, dollars per million tokens, tokens per user; and of each machine the
best public run with phases apart of 8,192 tokens in, 1,024 out, mean TTFT of at most 4 s and mean TPOT of at most 60 ms
(InferenceX; commits in ``data/ground_truth/SOURCES.md``). The loads are alike, not the same.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.errors import BadInput
from planner.planning.plan import plan
from planner.results.choice import priced
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario

LONGEST_TTFT_MS, LONGEST_TPOT_MS = 4000.0, 60.0
LENGTHS = ("8192", "1024")
STEP_TOKENS = 16_384
"""Tokens of a step, as the measured clusters prefill."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is planned on.

    Attributes:
        name: catalog id.
        dtype: of the weights.
        system: how the table of measured runs calls its GPU.
        precision: and these weights.
    """

    name: str
    dtype: str
    system: str
    precision: str


MACHINES = (
    Machine("hgx-h200", "fp8", "h200_sxm", "fp8"),
    Machine("dgx-b200", "fp4", "b200_sxm", "fp4"),
    Machine("gb200-tray", "fp4", "gb200", "fp4"),
)
COLUMNS = (
    "machine", "policy", "drafts", "$/h", "GPUs", "tokens/s/GPU (output)", "$/M in/out", "tokens/s a user", "pools",
    "measured",
)  # fmt: skip
POLICIES = {"split": "splitwise", "together": "colocated"}


def planned(scenario: Scenario, machine: Machine, policy: str, drafts: int) -> tuple[str, ...]:
    """The cells of a plan; a refusal in words where there is none."""
    changed = scenario.changed([
        f"policy.max_batch_tokens={STEP_TOKENS}", f"catalog.machines=[{machine.name}]", f"model.dtype={machine.dtype}",
        "model.kv_dtype=any", f"policy.name={policy}", *([f"model.draft_tokens={drafts}"] if drafts else []),
    ])  # fmt: skip
    found = plan(changed, progress=_silent, with_margin=False)
    if not isinstance(found, ValidatedPlan):
        return (f"no plan ({found.reason})",)
    row = priced(found.choices)
    assert row is not None, "a plan has a row of its own"
    output = row.gpu_tokens_per_s
    prompts = (found.judgement.good_prompt_tokens_per_s or 0.0) / row.gpus
    prices = (row.usd_per_million_prompt_tokens, row.usd_per_million_output_tokens)
    money = "/".join("none" if usd is None else f"{usd:.2f}" for usd in prices)
    pools = " + ".join(f"{p.instances} {p.spec.role.value} {p.spec.layout.name}" for p in found.candidate.pools)
    return (
        f"{row.cost_usd_per_h:,.2f}", str(row.gpus), f"{prompts + output:,.0f} ({output:,.0f})",
        money, "none" if row.user_tokens_per_s is None else f"{row.user_tokens_per_s:.1f}", pools,
    )  # fmt: skip


def measured(rows: list[Mapping[str, str]], machine: Machine, *, drafts: bool) -> str:
    """The best public run of a machine: all tokens of a GPU in a second, those generated, and its workers."""
    found = [(_speed(row), row) for row in rows if _alike(row, machine, drafts=drafts)]
    if not found:
        return "none"
    (whole, output), best = max(found, key=lambda each: each[0])
    apart = f"{best['prefill_workers']}P{best['decode_workers']}D"
    return f"{whole:,.0f} ({output:,.0f}), {apart}, {best['engine']}, run {best['run']}, of {len(found)}"


def _alike(row: Mapping[str, str], machine: Machine, *, drafts: bool) -> bool:
    """Whether a run is one to stand beside a plan."""
    same = (row["system"], row["precision"].lower(), row["isl"], row["osl"]) == (
        machine.system,
        machine.precision,
        *LENGTHS,
    )
    served = float(row["ttft_mean_ms"]) <= LONGEST_TTFT_MS and float(row["tpot_mean_ms"]) <= LONGEST_TPOT_MS
    drafted = row["mtp_draft_tokens"] not in ("", "0")
    return same and served and "DeepSeek" in row["model"] and drafted is drafts and bool(row["concurrency"])


def _speed(row: Mapping[str, str]) -> tuple[float, float]:
    """Tokens of a GPU in a second by Little's law, all and generated; lengths are drawn at 80 to 100 %."""
    gpus = sum(int(row[f"{p}_workers"]) * int(row[f"{p}_gpus_per_worker"]) for p in ("prefill", "decode"))
    prompt, output = 0.9 * int(row["isl"]), 0.9 * int(row["osl"])
    spent_s = (float(row["ttft_mean_ms"]) + float(row["tpot_mean_ms"]) * (output - 1)) / 1e3
    rate = int(row["concurrency"]) / spent_s
    return rate * (prompt + output) / gpus, rate * output / gpus


def lines(scenario: Scenario, data: Path | None, machines: tuple[Machine, ...], drafts: list[int]) -> Iterator[str]:
    """The table, a line at a time."""
    rows: list[Mapping[str, str]] = []
    if data:
        with data.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for machine in machines:
        for words, policy in POLICIES.items():
            for count in drafts:
                beside = measured(rows, machine, drafts=count > 0) if words == "split" else ""
                try:
                    cells = planned(scenario, machine, policy, count)
                except BadInput as error:
                    cells = (str(error).splitlines()[0],)
                yield f"| {' | '.join((machine.name, words, str(count), *cells, *[''] * (6 - len(cells)), beside))} |"


def _silent(_words: str, _done_frac: float) -> None:
    """Lines are told as they come."""


def main() -> None:
    """Plan and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--scenario", type=Path, required=True)
    asked.add_argument("--data", type=Path)
    asked.add_argument("--only", nargs="+", choices=[m.name for m in MACHINES], default=[m.name for m in MACHINES])
    asked.add_argument("--drafts", type=int, nargs="+", default=[0, 3])
    chosen = asked.parse_args()
    machines = tuple(m for m in MACHINES if m.name in chosen.only)
    for line in lines(Scenario.load(chosen.scenario), chosen.data, machines, chosen.drafts):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{time.process_time():.0f} CPU seconds, {time.strftime('%Y-%m-%d')}\n")


if __name__ == "__main__":
    main()
