"""The claims of Splitwise (ISCA'24), one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from planner.reproduce.claims import Claim, bound, claim, erratum, judged_by_draws
from planner.reproduce.designs import SIMULATOR, TABLE_V, Cluster, affordable, cluster, design
from planner.reproduce.lab import CODING, CONVERSATION, LONG_S, SEEDS, Lab
from planner.reproduce.occupancy import occupancy
from planner.reproduce.readings import AS_MEASURED
from planner.reproduce.search import SWEEP_REQ_PER_S, Problem
from planner.reproduce.transfers import TABLE_I_BYTES_PER_S, overhead
from planner.scenario.designs import A100, H100

ARITHMETIC = "arithmetic"

SWEEP_FRAC = 0.1
"""Throughputs were swept in steps of 10 req/s at about 100 req/s, so a ratio of two is known to a tenth of itself."""

PERCENT_STEP = 0.025
"""Savings are given in multiples of 5 %, so each is known to half a step."""

ONE_MACHINE_FRAC = 1 / 30
"""A cluster of 30 machines is found to a machine."""

FEW_TOKENS, FEW_SHARE_FRAC, SHARE_FRAC = 15, 0.7, 0.05
"""Active tokens of a claim on occupancy, and its share of the time, which is given in tenths."""

MODEL_FRAC = 0.03
"""The paper gives 3 % as the error of its performance model."""

ISO_RATE_REQ_PER_S = 70.0
BASE_A100, BASE_H100 = cluster("Baseline-A100", 70), cluster("Baseline-H100", 40)
AA, HA, HHCAP = cluster("Splitwise-AA", 45, 25), cluster("Splitwise-HA", 25, 26), cluster("Splitwise-HHcap", 25, 21)
HH = cluster("Splitwise-HH", 25, 15)
AA_CODING = cluster("Splitwise-AA", 55, 15)
AA_COST, A100_COST, HA_COST = (
    cluster("Splitwise-AA", 51, 35),
    cluster("Baseline-A100", 86),
    cluster("Splitwise-HA", 30, 21),
)
HH_CODING = cluster("Splitwise-HH", 35, 5)
CODING_SIZED = {
    c.design.name: c for c in (AA_CODING, HH_CODING, cluster("Splitwise-HA", 35, 8), cluster("Splitwise-HHcap", 35, 7))
}


def arithmetic() -> Iterator[Claim]:
    """What follows from counts, prices and watts alone."""
    h100 = BASE_H100
    rows: tuple[tuple[str, float, float, float, str, str], ...] = (
        ("iso-power: DGX-A100 for 40 DGX-H100 (Table V ratios), machines", 70,
         affordable(design("Baseline-A100"), 0, TABLE_V.power_w, h100.power_w(TABLE_V)), 0, "§VI-B", ""),
        ("iso-cost: DGX-A100 for 40 DGX-H100 (simulator prices), machines", 86,
         affordable(design("Baseline-A100"), 0, SIMULATOR.usd_per_h, h100.usd_per_h(SIMULATOR)), 0,
         "splitwise-sim run script", "a ratio of 2.154; Table V has 2.35 and would buy 94"),
        ("cost of Splitwise-HA 25P+26T over Baseline-H100 40 (Table V ratios)", 0.90,
         HA.usd_per_h(TABLE_V) / h100.usd_per_h(TABLE_V), PERCENT_STEP, "§VI-B", "0.96 at simulator prices"),
        ("cost of Splitwise-HA 25P+26T over Baseline-A100 70 (Table V ratios)", 0.90,
         HA.usd_per_h(TABLE_V) / BASE_A100.usd_per_h(TABLE_V), PERCENT_STEP, "§VI-B",
         "the text names Baseline-A100; the saving is against Baseline-H100"),
        ("power of Splitwise-AA 51P+35T over Baseline-H100 40 (Table V ratios)", 1.25,
         AA_COST.power_w(TABLE_V) / h100.power_w(TABLE_V), PERCENT_STEP, "§VI-C",
         "1.37 by the server ratings of 6,500 and 10,200 W"),
        ("machines of Splitwise-AA 51P+35T over Baseline-H100 40", 2.0, AA_COST.machines / h100.machines, 0.5, "§VI-C",
         ""),
        ("cost of Splitwise-AA 45P+25T over Baseline-H100 40 (simulator prices)", 0.80,
         AA.usd_per_h(SIMULATOR) / h100.usd_per_h(SIMULATOR), PERCENT_STEP, "abstract",
         "the published comparison whose cost is that of the first headline"),
        ("power of Splitwise-HA 30P+21T over Baseline-A100 86 (simulator prices)", 0.85,
         HA_COST.power_w(SIMULATOR) / A100_COST.power_w(SIMULATOR), PERCENT_STEP, "conclusion",
         "the pair of published clusters of equal cost (1.00) whose power is that of the third headline"),
    )  # fmt: skip
    for name, paper, ours, tolerance, source, note in rows:
        # a row that differs is one whose note says which other statement of the paper it contradicts
        yield erratum(claim(name, paper, ours, tolerance, source=source, reading=ARITHMETIC, note=note))


def coding(lab: Lab) -> Iterator[Claim]:
    """The worked example: fewest dollars for 70 req/s of coding, judged by cost over draws of requests."""
    made, published = design("Splitwise-HH"), cluster("Splitwise-HH", 27, 3)
    found = [p.cluster for p in lab.over_seeds(Problem.ISO_THROUGHPUT_COST, made, CODING, ISO_RATE_REQ_PER_S)]
    base = published.usd_per_h(SIMULATOR)
    yield over_draws(
        lab, "cost-optimal Splitwise-HH for 70 req/s of coding over that of (27P, 3T)", 1.0,
        [c.usd_per_h(SIMULATOR) / base for c in found], ONE_MACHINE_FRAC, "Fig. 12",
        ", ".join(c.words.split()[-1] for c in found),
    )  # fmt: skip


def over_draws(
    lab: Lab, name: str, paper: float, ours: Sequence[float], tolerance: float, source: str, note: str = ""
) -> Claim:
    """A published number against the median over draws of requests, judged by the share of draws that reproduce it."""
    made = claim(
        name, paper, median(ours) if ours else None, tolerance, source=source, reading=lab.reading.name, note=note
    )
    return judged_by_draws(made, ours) if ours else made


def ratio(
    lab: Lab, name: str, paper: float, ours: Cluster | Sequence[Cluster], base: Cluster, source: str, note: str = "", *,
    workload: str = CONVERSATION,
) -> Claim:  # fmt: skip
    """Throughput on one cluster (or the best of each draw) over that on another, by the published sweep."""
    each = [ours] * len(SEEDS) if isinstance(ours, Cluster) else ours
    over = [lab.swept_req_per_s(workload, c)[k] for k, c in enumerate(each)]
    under = lab.swept_req_per_s(workload, base)
    words = ", ".join(dict.fromkeys(c.words for c in each))
    rates = f"{words}: {median(over):g}, {base.words}: {median(under):g} req/s in steps of {SWEEP_REQ_PER_S}"
    found = [a / b for a, b in zip(over, under, strict=True) if b]
    return over_draws(lab, name, paper, found, SWEEP_FRAC * paper, source, f"{rates}; {note}" if note else rates)


def throughputs(lab: Lab) -> Iterator[Claim]:
    """Iso-power and iso-cost comparisons on conversation, and iso-power ones on coding."""
    power, source = "iso-power conversation: throughput", "§VI-B, Fig. 18a"
    yield ratio(lab, f"{power} Splitwise-AA / Baseline-A100", 2.15, AA, BASE_A100, source)
    slip = "the text names Baseline-A100; its cost and this ratio are against Baseline-H100"
    yield erratum(ratio(lab, f"{power} Splitwise-HA / Baseline-A100", 1.18, HA, BASE_A100, source, slip))
    yield ratio(lab, f"{power} Splitwise-HA / Baseline-H100", 1.18, HA, BASE_H100, source)
    published = median(lab.swept_req_per_s(CONVERSATION, AA_COST))
    yield ratio(
        lab, "iso-cost conversation: throughput Splitwise-AA / Baseline-H100, best split of the published sweep", 1.4,
        lab.best_splits(CONVERSATION, AA_COST.design, AA_COST.machines), BASE_H100, "§VI-C, Fig. 18b",
        f"the split of the run script, 51P+35T: {published:.3g} req/s",
    )  # fmt: skip
    for made in (HH_CODING, CODING_SIZED["Splitwise-HHcap"]):
        found = ratio(lab, "", 1.0, made, BASE_H100, "", workload=CODING)
        yield bound(
            f"iso-power coding: throughput {made.design.name} / Baseline-H100", 1.0, found.ours, at_most=False,
            source="§VI-B, Fig. 16a", reading=lab.reading.name, note=found.note.partition("; ")[2],
        )  # fmt: skip


def headlines(lab: Lab) -> Iterator[Claim]:
    """The numbers of abstract and conclusion, which name no comparison: of the published clusters the pair is taken
    that has the cost and the power claimed and comes nearest.
    """  # noqa: D205
    rungs = [lab.rates_req_per_s(CODING, c) for c in (AA_CODING, BASE_H100)]
    fine = [a / b for a, b in zip(*rungs, strict=True) if b]
    ladder = f"on a ladder of 2 % {median(fine):.3g}, {min(fine):.3g} to {max(fine):.3g}" if fine else ""
    yield ratio(
        lab, "headline: 1.4x throughput at 20 % lower cost", 1.4, AA_CODING, BASE_H100, "abstract",
        f"coding, iso-power: 0.81 of the cost at simulator prices; {ladder}", workload=CODING,
    )  # fmt: skip
    best = lab.best_splits(CONVERSATION, AA_COST.design, AA_COST.machines)
    yield ratio(
        lab, "headline: 2.35x throughput at the same cost and power", 2.35, best, A100_COST, "abstract",
        "conversation, iso-cost, as many of the same machine; the same iso-power is the claim of 2.15; Splitwise-HH "
        "over Baseline-H100 is far from it",
    )  # fmt: skip
    yield ratio(
        lab, "headline: 1.76x throughput at 15 % lower power and the same cost", 1.76, HA_COST, A100_COST,
        "conclusion", "coding, iso-cost clusters: 0.86 of the power, 1.00 of the cost at simulator prices",
        workload=CODING,
    )  # fmt: skip


def iso_throughput(lab: Lab) -> Iterator[Claim]:
    """What 70 req/s of conversation needs at least."""
    cost, power = Problem.ISO_THROUGHPUT_COST, Problem.ISO_THROUGHPUT_POWER

    def need(problem: Problem, name: str) -> list[Cluster]:
        return [p.cluster for p in lab.over_seeds(problem, design(name), CONVERSATION, ISO_RATE_REQ_PER_S)]

    for name, paper in (("Baseline-H100", 24.0), ("Baseline-A100", 88.0)):
        yield over_draws(
            lab, f"iso-throughput 70 req/s conversation: machines of {name}", paper,
            [c.machines for c in need(cost, name)], max(1.0, MODEL_FRAC * paper), "Fig. 19, second-hand",
        )  # fmt: skip
    bases = need(cost, "Baseline-H100")
    for problem, name, weigh, tariff in (
        (power, "Splitwise-HHcap", Cluster.power_w, SIMULATOR),
        (cost, "Splitwise-AA", Cluster.usd_per_h, TABLE_V),
    ):
        found, unit = need(problem, name), "power" if problem is power else "cost"
        pairs = list(zip(found, bases, strict=False)) if len(found) == len(bases) else []
        yield over_draws(
            lab, f"iso-throughput 70 req/s conversation: {unit} of {name} / Baseline-H100 ({tariff.name})", 0.75,
            [weigh(c, tariff) / weigh(b, tariff) for c, b in pairs], PERCENT_STEP, "Fig. 19",
            ", ".join(c.words.split()[-1] for c in found),
        )  # fmt: skip


def setback(lab: Lab) -> Iterator[Claim]:
    """Conversation on a cluster that was sized for coding: the published sweep, in steps of 10 req/s.

    HA and HHcap are said to lose 7 %, AA and HH to lose nothing.
    """
    for sized, paper in ((HA, 0.93), (HHCAP, 0.93), (AA, 1.0), (HH, 1.0)):
        other = CODING_SIZED[sized.design.name]
        over, under = (lab.swept_req_per_s(CONVERSATION, c) for c in (other, sized))
        found = over_draws(
            lab, f"conversation on a coding-sized {sized.design.name}, throughput over one sized for it", paper,
            [a / b for a, b in zip(over, under, strict=True) if b], 0.01, "Fig. 20a",
            f"{other.words}: {median(over):g}, {sized.words}: {median(under):g} req/s",
        )  # fmt: skip
        if paper < 1.0:
            yield found
            continue
        yield bound(
            found.name, paper, found.ours, at_most=False, source=found.source, reading=found.reading,
            note=found.note.partition("; ")[2],
        )  # fmt: skip


def batch_jobs(lab: Lab) -> Iterator[Claim]:
    """Requests per dollar without latency limits, on the clusters of equal power that the text names.

    The published notebook prints those of equal cost.
    """
    for made, paper in ((BASE_A100, 0.89), (AA, 0.89), (BASE_H100, 0.75), (HH, 0.75)):
        units = made.usd_per_h(SIMULATOR) / 8
        yield over_draws(
            lab, f"batch jobs of conversation on {made.words}, req/s per price unit (simulator prices)", paper,
            [rate / units for rate in lab.batch_req_per_s(made)], 0.005, "§VI-E",
            "180 req/s for ten minutes, ends from 60 to 540 s; a machine counts as the price of one of its GPUs",
        )  # fmt: skip


def occupied(lab: Lab) -> Iterator[Claim]:
    """How empty the batches of a baseline are, and how long they hold prompts."""
    upto = (FEW_TOKENS, FEW_TOKENS + 5, FEW_TOKENS + 10)
    found = [
        occupancy(lab.bench(CONVERSATION, seed=seed), BASE_H100, ISO_RATE_REQ_PER_S, LONG_S, upto)["machines"]
        for seed in SEEDS
    ]
    more = [median(float(shares[k]) for shares in found) for k in (1, 2)]
    few = over_draws(
        lab, f"70 req/s conversation: share of the time of Baseline-H100 40 at {FEW_TOKENS} active tokens or fewer",
        FEW_SHARE_FRAC, [float(shares[0]) for shares in found], SHARE_FRAC, "§VI-B, Fig. 17",
    )  # fmt: skip
    needed = decodes_of_a_mixed_step(lab)
    note = (
        f"{few.note}; {more[0]:.2f} at {upto[1]} or fewer, {more[1]:.2f} at {upto[2]}, the rest in steps with prompts; "
        f"if it were so, a step with prompts would have to decode {needed:,.0f} requests between steps of {FEW_TOKENS}"
    )
    few = replace(few, note=note)
    yield erratum(few) if needed > 2 * FEW_TOKENS else few
    yield over_draws(
        lab, "70 req/s conversation: share of the time of Baseline-H100 40 in mixed batches with large prompts", 0.3,
        [1.0 - float(shares[2]) for shares in found], SHARE_FRAC, "§VI-B, Fig. 17",
        f"at more than {upto[2]} active tokens: more than ever decode together there",
    )  # fmt: skip


def decodes_of_a_mixed_step(lab: Lab) -> float:
    """How many requests each step with prompts would have to decode if 70 % of the time were spent at 15 or fewer.

    Every second a machine of Baseline-H100 40 gets 1.75 requests, each of which needs all its tokens but the first. All
    that steps of 15 tokens make of them in 70 % of a second is taken off; there is at most one other step a request.
    """
    arrive_req_per_s = ISO_RATE_REQ_PER_S / BASE_H100.machines
    lengths = lab.bench(CONVERSATION).drawn.trace
    outputs, context = (float(np.mean(column)) for column in (lengths.output_tokens, lengths.prompt_tokens))
    step_s = lab.reading.physics[H100].step.decode_s(FEW_TOKENS, context)
    made_tokens_per_s = FEW_SHARE_FRAC * FEW_TOKENS / step_s
    return outputs - 1.0 - made_tokens_per_s / arrive_req_per_s


def transfers(lab: Lab) -> Iterator[Claim]:
    """KV transfers of the median coding request between two DGX-A100, under the measured step times."""
    if lab.reading.name != AS_MEASURED:
        return
    physics = lab.reading.physics[A100]
    cost = overhead(physics, lab.reading.alone)
    narrow = overhead(physics, lab.reading.alone, bandwidth_bytes_per_s=TABLE_I_BYTES_PER_S)
    residue = "the 8 ms residue is an input of ours, taken from the paper"
    ports = "eight ports of 200 Gb/s a machine; with the one port of Table I"
    rows = (
        ("serialized KV transfer over E2E", 0.03, cost.serialized_s / cost.e2e_s, 0.005,
         f"{ports}: {narrow.serialized_s / narrow.e2e_s:.2g}"),
        ("layer-wise KV transfer over E2E", 0.008, cost.layerwise_s / cost.e2e_s, 0.0005, residue),
        ("second token later by, serialized, over TBT", 0.64, cost.serialized_s / cost.tbt_s, 0.64 * MODEL_FRAC + 0.005,
         f"{ports}: {narrow.serialized_s / narrow.tbt_s:.2g}"),
        ("second token later by, layer-wise, over TBT", 0.165, cost.layerwise_s / cost.tbt_s,
         0.165 * MODEL_FRAC + 0.0005, residue),
    )  # fmt: skip
    for name, paper, ours, tolerance, note in rows:
        yield claim(
            f"{name}: BLOOM, DGX-A100, median coding request", paper, ours, tolerance, source="§VI-A, Fig. 14 and 15",
            reading=lab.reading.name, note=note,
        )  # fmt: skip
