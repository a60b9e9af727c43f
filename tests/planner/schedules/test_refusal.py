"""What a question over time that has no answer, or a doubtful one, is told: keys, numbers, formats."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.errors import ExitCode

DAY = """
name: day
model: {name: llama-3.1-70b}
workload: {trace: azure-conv-2023, rate_req_per_s: 20, duration_s: 20}
slo: {ttft_p99_s: 2.0, tpot_p99_s: 0.2}
catalog: {machines: [dgx-h100], tp: [4]}
policy: {name: sarathi, chunk_tokens: [1024]}
validation: {seeds: 1}
schedule: {load: [0.4, 1.7, 0.6], clocks_mhz: [1980], objectives: [cost]}
"""


def planned(directory: Path, *sets: str) -> Result:
    """What ``plan`` prints of the day with keys changed."""
    (directory / "day.yaml").write_text(DAY, encoding="utf-8")
    words = [word for each in sets for word in ("--set", each)]
    return CliRunner().invoke(build(), ["plan", str(directory / "day.yaml"), "--quiet", *words])


@pytest.mark.parametrize(
    ("key", "found", "needed"), [("machines", 1, 2), ("power_w", 10_200, 20_400), ("rack_units", 8, 16)]
)
def test_a_budget_that_no_schedule_keeps_is_named(tmp_path: Path, key: str, found: int, needed: int) -> None:
    """Proven by the least work of the busiest epoch: key, limit, and the least that would do; exit code 3."""
    done = planned(tmp_path, f"budgets.{key}={found}")
    assert done.exit_code == ExitCode.INFEASIBLE
    said = " ".join(done.stdout.split())
    assert said.startswith(
        f"INFEASIBLE: raise budgets.{key} from {found} to at least {needed}; budgets.{key}: a schedule"
    )
    assert planned(tmp_path, f"budgets.{key}={needed}").exit_code == 0


def test_what_is_only_estimated_is_not_called_proven(tmp_path: Path) -> None:
    """Watts of a request are a fit: a budget of them is named with what it needs, and the answer is no proof."""
    done = planned(tmp_path, "budgets.expected_power_w=8000")
    assert done.exit_code == ExitCode.NOT_VALIDATED
    assert done.stdout.startswith("NO SCHEDULE: raise budgets.expected_power_w from 8000 to at least ")
    assert "not proven" in " ".join(done.stdout.split())


def test_too_few_machines_to_be_had_are_named(tmp_path: Path) -> None:
    """Where no budget is in the way, the keys that limit machines are named."""
    done = planned(tmp_path, "catalog.available={dgx-h100: 1}")
    assert done.exit_code == ExitCode.INFEASIBLE
    assert "catalog.available" in done.stdout


def test_formats_and_engines_are_stated(tmp_path: Path) -> None:
    """The head says weights, KV cache and engine; by machine type where releases differ."""
    alone = planned(tmp_path).stdout
    assert "llama-3.1-70b, bf16 weights, bf16 KV cache, vllm 0.24.0; policy sarathi" in alone
    assert "Precision" not in alone
    limited = ("catalog.machines=[dgx-a100, dgx-h100]", "catalog.available={dgx-a100: 3, dgx-h100: 1}",
               "schedule.clocks_mhz={dgx-h100: [1980]}", "slo.ttft_p99_s=5")  # fmt: skip
    both = " ".join(planned(tmp_path, *limited).stdout.split())
    assert "dgx-a100: bf16 weights, bf16 KV cache, vllm 0.14.0; dgx-h100: bf16 weights, bf16 KV" in both


def test_losses_that_would_miss_name_their_key(tmp_path: Path) -> None:
    """A machine on top that is taken away at the peak is simulated, and an objective it breaks is a warning."""
    lost = " ".join(
        planned(tmp_path, "schedule.interruptions_per_h_ratio=0.2", "schedule.base_machines=1").stdout.split()
    )
    assert "schedule.interruptions_per_h_ratio: a dgx-h100 taken away in epoch 1 leaves ttft_p99_s missed" in lost
    calm = planned(tmp_path, "schedule.top_channel=spot", "schedule.base_machines=1").stdout
    assert "schedule.interruptions_per_h_ratio is 0" in " ".join(calm.split())
    assert "interruptions" not in planned(tmp_path).stdout
