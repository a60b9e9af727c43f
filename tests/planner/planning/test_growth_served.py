"""Plans for growth serve traces thickened by other code than the planner's own."""

from pathlib import Path

import numpy as np
import pytest

from planner.planning.plan import simulate
from tests.planner.grown import CONVERSATION, JITTER_S, conversation, planned, served
from tests.planner.small import small


def uneven(path: Path, busy_s: tuple[float, float]) -> Path:
    """A trace file of ten minutes, of which some are busier, with longer prompts."""
    rng = np.random.default_rng(11)
    begin_s, end_s = busy_s
    at_s = np.sort(
        np.concatenate([rng.uniform(0, 600, 600), rng.uniform(begin_s, end_s, round(2 * (end_s - begin_s)))])
    )
    prompts = np.where((at_s >= begin_s) & (at_s < end_s), 900, 500)
    rows = [
        f"{at:.6f},{prompt},{output}"
        for at, prompt, output in zip(at_s, prompts, rng.integers(5, 40, len(at_s)), strict=True)
    ]
    path.write_text("\n".join(("arrival_s,prompt_tokens,output_tokens", *rows)))
    return path


def settings(trace: Path, rate_req_per_s: float, growth: str) -> tuple[str, ...]:
    """A small question about such a file."""
    return (
        "workload.lengths=null", "workload.duration_s=null", "validation.seeds=null", f"workload.trace={trace}",
        f"workload.rate_req_per_s={rate_req_per_s}", f"workload.growth={growth}",
        "slo={ttft_p99_s: 0.3, tbt_p90_s: 0.1}",
    )  # fmt: skip


@pytest.mark.parametrize("busy_s", [(240.0, 360.0), (0.0, 55.0), (572.0, 600.0)], ids=["amid", "first", "last"])
@pytest.mark.parametrize(("growth", "jitter_s"), [("shared", 5.0), ("independent", 300.0)])
@pytest.mark.parametrize("rate", [20.0, 90.0])
def test_a_plan_for_growth_serves_a_growth_made_by_other_code(
    tmp_path: Path, rate: float, growth: str, jitter_s: float, busy_s: tuple[float, float]
) -> None:
    """Shared growth holds with copies near their request, independent growth anywhere, whichever minutes are busy."""
    trace = uneven(tmp_path / "uneven.csv", busy_s)
    scenario = small(*settings(trace, rate, growth))
    said = served(scenario, planned(scenario).candidate, trace, rate, jitter_s)
    assert said.valid, [(e.key, e.measured, e.limit) for e in said.evidence]
    assert said.arrived == pytest.approx(rate * said.horizon_s, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "growth", "change", "whole"),
    [
        (20.0, "shared", "name=same", True), (20.0, "independent", "name=same", False),
        (None, "shared", "name=same", True), (20.0, "shared", "validation.requests=2000", False),
    ],
)  # fmt: skip
def test_every_minute_of_a_replayed_trace_is_measured(
    tmp_path: Path, rate: float | None, growth: str, change: str, whole: bool
) -> None:
    """What is a sample is not measured while queues fill; of a whole trace in its own minutes, none is left out."""
    trace = uneven(tmp_path / "uneven.csv", (240.0, 360.0))
    asked = [each for each in settings(trace, rate or 1.0, growth) if rate or "rate_req" not in each]
    scenario = small(*asked, change)
    judgement = simulate(scenario, planned(scenario).candidate, progress=lambda *_: None)
    assert (judgement.warmup_s, judgement.cooldown_s) == ((0.0, 0.0) if whole else pytest.approx((60.0, 30.0), rel=0.9))
    if whole:
        assert all(e.n == judgement.arrived for e in judgement.evidence if e.slo.metric.value == "ttft")


@pytest.mark.slow
@pytest.mark.parametrize("growth", JITTER_S)
@pytest.mark.parametrize("rate", [40.0, 400.0, 2000.0])
def test_the_conversation_trace_is_served_at_every_growth(rate: float, growth: str) -> None:
    """The quick start's plan for 8, 72 and 358 times the trace's rate serves what other code makes of that trace."""
    if not CONVERSATION.exists():
        pytest.skip(f"no {CONVERSATION.name} at ../shared/data/traces: growth on the public trace was not checked")
    scenario = conversation(rate, growth)
    answer = planned(scenario)
    said = served(scenario, answer.candidate, CONVERSATION, rate, JITTER_S[growth])
    assert said.valid, [(e.key, e.measured, e.limit) for e in said.evidence]
    assert all(neighbour.fails for neighbour in answer.certificate.neighbours)
