"""Plans for growth serve traces thickened by other code than the planner's own."""

from pathlib import Path

import numpy as np
import pytest

from planner.planning.loop import Argument
from planner.planning.plan import plan
from planner.resolve.case import open_case
from planner.results.evidence import Judgement, ValidatedPlan
from planner.scenario import Scenario
from planner.simulator.judge import judge
from planner.simulator.traffic import Judging, Traffic
from tests.planner.small import small
from workloads.readers import read_trace
from workloads.traces import Trace, plain_trace

ROOT = Path(__file__).parents[3]
CONVERSATION = ROOT.parent / "shared" / "data" / "traces" / "azure_2023_conv.csv"


def thickened(trace: Trace, rate_req_per_s: float, jitter_s: float) -> Trace:
    """Every request as often as the rate asks, the fraction by chance, each copy within a jitter, going round."""
    rng = np.random.default_rng(99)
    often = np.floor(rate_req_per_s / trace.rate_req_per_s + rng.random(len(trace))).astype(int)
    rows = np.repeat(np.arange(len(trace)), often)
    at_s = (trace.arrival_s[rows] + rng.uniform(-jitter_s, jitter_s, len(rows))) % trace.duration_s
    rows, at_s = rows[np.argsort(at_s)], np.sort(at_s)
    return plain_trace(
        "other code", at_s, trace.prompt_tokens[rows], trace.output_tokens[rows], duration_s=trace.duration_s
    )


def served(scenario: Scenario, file: Path, rate_req_per_s: float, jitter_s: float) -> tuple[ValidatedPlan, Judgement]:
    """The plan of a scenario, and what becomes of all of its trace, thickened by other code."""
    answer = plan(scenario, progress=lambda *_: None, with_margin=False)
    assert isinstance(answer, ValidatedPlan)
    case = open_case(scenario, answer.candidate.policy)
    pools = Argument(case, lambda *_: None).pools(answer.candidate)
    trace = thickened(read_trace(file), rate_req_per_s, jitter_s)
    traffic = Traffic(draw=lambda _: trace, seeds=[1], workload="other code", exact=True)
    judging = Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95)
    said = judge(pools, case.policy, traffic, case.slos, judging, reference=case.reference)
    return answer, said


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace file of ten minutes, two of them busier, with longer prompts."""
    rng = np.random.default_rng(11)
    at_s = np.sort(np.concatenate([rng.uniform(0, 600, 600), rng.uniform(240, 360, 240)]))
    prompts = np.where((at_s >= 240) & (at_s < 360), 900, 500)
    rows = [
        f"{at:.6f},{prompt},{output}"
        for at, prompt, output in zip(at_s, prompts, rng.integers(5, 40, len(at_s)), strict=True)
    ]
    path = tmp_path_factory.mktemp("served") / "uneven.csv"
    path.write_text("\n".join(("arrival_s,prompt_tokens,output_tokens", *rows)))
    return path


@pytest.mark.parametrize(("growth", "jitter_s"), [("shared", 5.0), ("independent", 300.0)])
@pytest.mark.parametrize("rate", [20.0, 90.0])
def test_a_plan_for_growth_serves_a_growth_made_by_other_code(
    uneven: Path, rate: float, growth: str, jitter_s: float
) -> None:
    """Shared growth holds with copies within five seconds of their request, independent growth with copies anywhere."""
    scenario = small(
        "workload.lengths=null", "workload.duration_s=null", "validation.seeds=null", f"workload.trace={uneven}",
        f"workload.rate_req_per_s={rate}", f"workload.growth={growth}", "slo={ttft_p99_s: 0.3, tbt_p90_s: 0.1}",
    )  # fmt: skip
    _, said = served(scenario, uneven, rate, jitter_s)
    assert said.valid, [(e.key, e.measured, e.limit) for e in said.evidence]
    assert said.arrived == pytest.approx(rate * said.horizon_s, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("growth", "jitter_s"), [("shared", 5.0), ("independent", 1750.0)])
@pytest.mark.parametrize("rate", [40.0, 400.0, 2000.0])
def test_the_conversation_trace_is_served_at_every_growth(rate: float, growth: str, jitter_s: float) -> None:
    """The quick start's plan for 8, 72 and 358 times the trace's rate serves what other code makes of that trace."""
    if not CONVERSATION.exists():
        pytest.skip(f"no {CONVERSATION.name} at ../shared/data/traces: growth on the public trace was not checked")
    scenario = Scenario.load(
        ROOT / "planner" / "examples" / "splitwise-conv.yaml",
        [f"workload.trace={CONVERSATION}", f"workload.rate_req_per_s={rate}", f"workload.growth={growth}"],
    )
    answer, said = served(scenario, CONVERSATION, rate, jitter_s)
    assert said.valid, [(e.key, e.measured, e.limit) for e in said.evidence]
    assert all(neighbour.fails for neighbour in answer.certificate.neighbours)
