"""Plans of every Splitwise design, for both models of the paper and both public traces, under its nine objectives.

python benchmarks/splitwise_designs.py --traces DIRECTORY [--json]

The directory holds azure_2023_conv.csv and azure_2023_code.csv; each is replayed as it is.
"""

import argparse
import json
import time
from pathlib import Path

from planner.planning.plan import plan
from planner.results.evidence import NoPlan
from planner.scenario import Scenario
from planner.scenario.designs import DESIGNS, Design

ROOT = Path(__file__).parents[1]


def row(model: str, trace: Path, design: Design) -> dict[str, object]:
    """One plan, or why there is none."""
    scenario = Scenario.load(
        ROOT / "planner" / "examples" / "splitwise-paper-slos.yaml",
        [
            f"model.name={model}", f"workload.trace={trace}", "workload.rate_req_per_s=null",
            "workload.arrivals.process=replay",
            f"catalog.design={design.name}",
        ],
    )  # fmt: skip
    before = time.process_time()
    answer = plan(scenario, progress=lambda *_: None)
    found: dict[str, object] = {"model": model, "trace": trace.name, "design": design.name}
    if isinstance(answer, NoPlan):
        found |= {"answer": answer.reason, "why": answer.explanation[0]}
    else:
        totals = answer.candidate.totals
        counts = " + ".join(f"{p.machines} {p.spec.role}" for p in answer.candidate.pools)
        found |= {"answer": "validated", "machines": counts, "usd_per_h": totals.cost_usd_per_h, "w": totals.power_w}
    return found | {"cpu_s": round(time.process_time() - before, 1)}


def main() -> None:
    """Plan everything, print a row each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--traces", type=Path, required=True)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    for model in ("bloom-176b", "llama-2-70b"):
        for trace in ("azure_2023_conv.csv", "azure_2023_code.csv"):
            for design in DESIGNS:
                found = row(model, (chosen.traces / trace).absolute(), design)
                print(json.dumps(found) if chosen.json else "  ".join(str(v) for v in found.values()), flush=True)


if __name__ == "__main__":
    main()
