"""Growth by other code than the planner's own, and plans served on it.

``python -m tests.planner.grown 400 shared`` plans the quick start for the Azure conversation trace of ../shared/data at
400 requests per second, serves that trace thickened by this file, and prints seconds, memory and what was measured;
exit 1 where an objective is missed.
"""

import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import process_time, time

import numpy as np

from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan
from planner.resolve.case import open_case
from planner.results.evidence import Judgement, ValidatedPlan
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario
from planner.simulator.judge import judge
from planner.simulator.traffic import Judging, Traffic
from workloads.readers import read_trace
from workloads.traces import Trace, plain_trace

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "planner" / "examples" / "splitwise-conv.yaml"
CONVERSATION = ROOT.parent / "shared" / "data" / "traces" / "azure_2023_conv.csv"
JITTER_S = {"shared": 5.0, "independent": 1750.0}
"""How far a copy lies from its request: the same minutes, or anywhere in an hour."""


def conversation(rate_req_per_s: float, growth: str) -> Scenario:
    """The quick start with the conversation trace at a rate."""
    changes = {"trace": CONVERSATION, "rate_req_per_s": rate_req_per_s, "growth": growth}
    return Scenario.load(EXAMPLE, [f"workload.{key}={value}" for key, value in changes.items()])


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


def planned(scenario: Scenario) -> ValidatedPlan:
    """The plan of a scenario."""
    answer = plan(scenario, progress=lambda *_: None, with_margin=False)
    assert isinstance(answer, ValidatedPlan), answer.explanation
    return answer


def served(scenario: Scenario, candidate: CandidatePlan, file: Path, rate: float, jitter_s: float) -> Judgement:
    """What becomes of all of a scenario's trace, thickened by other code, on a candidate; every request counts."""
    case = open_case(scenario, candidate.policy)
    pools = PlanningLoop(case, lambda *_: None).pools(candidate)
    trace = thickened(read_trace(file), rate, jitter_s)
    traffic = Traffic(draw=lambda _: trace, seeds=[1], workload="other code", exact=True)
    judging = Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95)
    return judge(pools, case.policy, traffic, case.slos, judging, reference=case.reference)


def main(rate: str, growth: str) -> int:
    """Plan and serve one case; say what came of it."""
    began_s, scenario = time(), conversation(float(rate), growth)
    answer = planned(scenario)
    totals = answer.candidate.totals
    lines = [
        f"{rate} req/s, {growth}: {totals.machines} machines, ${totals.cost_usd_per_h:.2f}/h",
        f"planned in {time() - began_s:.0f} s, {process_time():.0f} CPU-s, {_peak_gib():.2f} GiB",
    ]
    said = served(scenario, answer.candidate, CONVERSATION, float(rate), JITTER_S[growth])
    lines.append(f"on other code's trace: {'MET' if said.valid else 'NOT MET'}, {said.arrived:,} requests")
    lines += [f"{e.key}: {e.measured:.3f} of {e.limit:g} s, n = {e.n:,}" for e in said.evidence]
    lines.append(f"every objective at once: {said.attainment_frac:.1%}; {_peak_gib():.2f} GiB in all")
    sys.stdout.write("\n  ".join(lines) + "\n")
    return 0 if said.valid else 1


def _peak_gib() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
