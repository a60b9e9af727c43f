"""The paper's question with today's engines, machines and prices: does splitting the phases still pay?"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from hw_catalog.load import load_catalog
from planner.reproduce.claims import Claim, claim
from planner.reproduce.designs import Tariff
from planner.reproduce.lab import CODING, CONVERSATION
from planner.reproduce.readings import CURRENT, reading
from planner.reproduce.search import Problem, Provision, provision
from planner.reproduce.trial import Bench, draw
from planner.scenario.designs import A100, H100, Design

H200, B200 = "hgx-h200", "dgx-b200"
MACHINES = (A100, H100, H200, B200)
BUDGETS_USD_PER_H = {"bloom-176b": 300.0, "llama-2-70b": 200.0}
"""By model; 20 to 30 DGX-A100 or 5 to 7 DGX-B200: enough for a split to be tuned, few enough to be simulated fast."""

CHANNEL = "reserved"

SEEDS = (1, 2, 3)
"""Draws of requests; the median counts, and the range over them is told."""

SEED_REQUESTS = 20_000

PAIRS = ((H100, A100), (H200, A100), (B200, A100), (H100, H200), (B200, H100), (B200, H200))
"""Mixed pairs, (prompt machine, token machine); the faster one computes prompts, as in Splitwise-HA."""

PAPER_AA = 2.15
"""Splitwise-AA over Baseline-A100 in conversation on BLOOM, §VI-B."""


def today(progress: Callable[[str, float], None]) -> Iterator[Claim]:
    """For each model and workload: each machine split against itself, and the best split against the best baseline."""
    catalog = load_catalog()
    prices = {m: price.usd_per_h for m in MACHINES if (price := catalog.machines[m].price(CHANNEL))}
    watts = {m: catalog.machines[m].rated_w for m in prices}
    tariff = Tariff(name=f"{CHANNEL} prices of the catalog", usd_per_h=prices, power_w=watts, source="catalog")
    questions = [(model, workload) for model in BUDGETS_USD_PER_H for workload in (CONVERSATION, CODING)]
    for i, (model, workload) in enumerate(questions):
        read = reading(CURRENT, model, MACHINES)
        benches = [Bench(read, draw(workload, read.alone, seed=s, requests=SEED_REQUESTS)) for s in SEEDS]
        designs = _designs()
        found: dict[Design, list[Provision]] = {}
        for k, made in enumerate(designs):
            progress(f"{CURRENT}: {model}, {made.name}, {workload}", (i + k / len(designs)) / len(questions))
            budget = BUDGETS_USD_PER_H[model]
            best = [provision(Problem.ISO_COST_THROUGHPUT, made, bench, tariff, budget) for bench in benches]
            held = [each for each in best if each and each.rate_req_per_s]
            if len(held) == len(benches):
                found[made] = held
        yield from _compare(found, model, workload)


def _designs() -> list[Design]:
    """Every machine colocated and split, and the mixed pairs."""
    alone = [Design(name=f"colocated {m}", prompt_machine=m) for m in MACHINES]
    pairs = [*((m, m) for m in MACHINES), *PAIRS]
    return alone + [Design(name=f"split {p} | {t}", prompt_machine=p, token_machine=t) for p, t in pairs]


def _compare(found: dict[Design, list[Provision]], model: str, workload: str) -> Iterator[Claim]:
    """Throughput ratios within one model and workload."""
    where = f"{model}, {workload}, ${BUDGETS_USD_PER_H[model]:.0f}/h"
    said = model == "bloom-176b" and workload == CONVERSATION
    colocated = {d.prompt_machine: p for d, p in found.items() if d.token_machine is None}
    for made, split in found.items():
        if made.token_machine == made.prompt_machine and made.prompt_machine in colocated:
            paper = PAPER_AA if said and made.prompt_machine == A100 else None
            name = f"{where}: {made.name} over the same machines colocated"
            yield _ratio(name, split, colocated[made.prompt_machine], paper)
    splits = [p for d, p in found.items() if d.token_machine]
    if splits and colocated:
        best, base = (
            max(ps, key=lambda each: median(p.rate_req_per_s for p in each)) for ps in (splits, colocated.values())
        )
        yield _ratio(f"{where}: best split over best colocated", best, base, None)


def _ratio(name: str, split: Sequence[Provision], base: Sequence[Provision], paper: float | None) -> Claim:
    """One comparison at equal dollars, draw by draw."""
    rates = [f"{each[0].cluster.words}: {each[0].rate_req_per_s:.3g} req/s" for each in (split, base)]
    ratios = [a.rate_req_per_s / b.rate_req_per_s for a, b in zip(split, base, strict=True)]
    return claim(
        f"{name}, throughput", paper, median(ratios),
        0.1 * (paper or 0.0), source="§VI-B" if paper else "not in the paper", reading=CURRENT,
        note=f"{min(ratios):.3g} to {max(ratios):.3g} over {len(ratios)} draws; first draw: {', '.join(rates)}",
    )  # fmt: skip
