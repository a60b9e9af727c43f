"""Split clusters whose decode memory is short, under our rules and those of Splitwise's public simulator.

python benchmarks/splitwise_mixed_pool.py [--prompt 17] [--token 7] [--rates 30 50 70]

For each reading and rate: P99 of TTFT and of TBT over alone, of two minutes of conversation on Splitwise-HH, with pools
apart, with our mixed pool, with that and outputs foreseen, and by the public rules.
"""

import argparse
from dataclasses import replace

from planner.policies.base import Policy
from planner.policies.borrowing import Apart
from planner.policies.routing import ShortestQueue
from planner.reproduce.designs import cluster
from planner.reproduce.lab import CONVERSATION
from planner.reproduce.readings import AS_MEASURED, AS_PUBLISHED, reading
from planner.reproduce.trial import DURATION_S, Bench, at_rate, draw
from planner.scenario.designs import H100

REQUESTS, OUTPUT_TOKENS, LONGEST_S = 12_000, 211, 1e6


def main() -> None:
    """Print a row for each reading, rate and rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, default=17)
    parser.add_argument("--token", type=int, default=7)
    parser.add_argument("--rates", type=float, nargs="+", default=[30.0, 50.0, 70.0])
    asked = parser.parse_args()
    made = cluster("Splitwise-HH", asked.prompt, asked.token)
    readings = [reading(name, "bloom-176b", (H100,)) for name in (AS_PUBLISHED, AS_MEASURED)]
    public, ours = (each.split for each in readings)
    rules: dict[str, Policy] = {
        "apart": replace(ours, borrowing=Apart()), "mixed pool": ours,
        "mixed pool, outputs foreseen": replace(ours, routing=ShortestQueue(foreseen_tokens=OUTPUT_TOKENS)),
        "public": public,
    }  # fmt: skip
    for each in readings:
        drawn = draw(CONVERSATION, each.alone, requests=REQUESTS)
        for rate in asked.rates:
            for name, policy in rules.items():
                bench = Bench(replace(each, split=policy), drawn)
                slowdowns = bench.measured(made, at_rate(drawn, rate, DURATION_S), LONGEST_S)[1]
                ttft, tbt = (float(slowdowns[key][2]) for key in ("ttft", "tbt"))
                print(f"{each.name}, {rate:g} req/s, {name}: TTFT {ttft:.3g}, TBT {tbt:.3g}")


if __name__ == "__main__":
    main()
