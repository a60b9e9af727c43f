"""The claims of Splitwise (ISCA'24), one by one."""

from collections.abc import Iterator
from statistics import median

from planner.reproduce.claims import Claim, claim, erratum
from planner.reproduce.designs import SIMULATOR, TABLE_V, Cluster, affordable, cluster, design
from planner.reproduce.lab import CODING, CONVERSATION, Lab
from planner.reproduce.readings import AS_MEASURED
from planner.reproduce.search import Problem, Provision, provision
from planner.reproduce.transfers import TABLE_I_BYTES_PER_S, overhead
from planner.scenario.designs import A100

ARITHMETIC = "arithmetic"

SWEEP_FRAC = 0.1
"""Throughputs were swept in steps of 10 req/s at about 100 req/s, so a ratio of two is known to a tenth of itself."""

PERCENT_STEP = 0.025
"""Savings are given in multiples of 5 %, so each is known to half a step."""

ONE_MACHINE_FRAC = 1 / 30
"""A cluster of 30 machines is found to a machine."""

MODEL_FRAC = 0.03
"""The paper gives 3 % as the error of its performance model."""

ISO_RATE_REQ_PER_S = 70.0
BASE_A100, BASE_H100 = cluster("Baseline-A100", 70), cluster("Baseline-H100", 40)
AA, HA, HHCAP = cluster("Splitwise-AA", 45, 25), cluster("Splitwise-HA", 25, 26), cluster("Splitwise-HHcap", 25, 21)
HH = cluster("Splitwise-HH", 25, 15)
AA_CODING = cluster("Splitwise-AA", 55, 15)
AA_COST = cluster("Splitwise-AA", 51, 35)
HALF_CAPPED = cluster("Splitwise-HHcap", 20, 20)
CODING_SIZED = {"Splitwise-HA": cluster("Splitwise-HA", 35, 8), "Splitwise-HHcap": cluster("Splitwise-HHcap", 35, 7)}


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
        ("power of Splitwise-HHcap 20P+20T over Baseline-H100 40 (simulator prices)", 0.85,
         HALF_CAPPED.power_w(SIMULATOR) / h100.power_w(SIMULATOR), PERCENT_STEP, "conclusion",
         "the split of 40 H100 whose power is that of the third headline; no published run has it"),
    )  # fmt: skip
    for name, paper, ours, tolerance, source, note in rows:
        # a row that differs is one whose note says which other statement of the paper it contradicts
        yield erratum(claim(name, paper, ours, tolerance, source=source, reading=ARITHMETIC, note=note))


def coding(lab: Lab) -> Iterator[Claim]:
    """The worked example: fewest dollars for 70 req/s of coding, judged by cost over several draws of requests."""
    made, published = design("Splitwise-HH"), cluster("Splitwise-HH", 27, 3)
    found = [p.cluster for p in lab.over_seeds(Problem.ISO_THROUGHPUT_COST, made, ISO_RATE_REQ_PER_S) if p]
    costs = [c.usd_per_h(SIMULATOR) / published.usd_per_h(SIMULATOR) for c in found]
    near = sum(abs(cost - 1) <= ONE_MACHINE_FRAC for cost in costs)
    yield claim(
        "cost-optimal Splitwise-HH for 70 req/s of coding over that of (27P, 3T)", 1.0,
        median(costs) if costs else None, ONE_MACHINE_FRAC, source="Fig. 12", reading=lab.reading.name,
        note=f"{near} of {len(costs)} draws within a machine: {', '.join(c.words.split()[-1] for c in found)}",
    )  # fmt: skip


def ratio(
    lab: Lab, name: str, paper: float, ours: Cluster, base: Cluster, source: str, note: str = "", *,
    workload: str = CONVERSATION,
) -> Claim:  # fmt: skip
    """Throughput on one cluster over that on another."""
    over, under = (lab.rate_req_per_s(workload, c) for c in (ours, base))
    rates = f"{ours.words}: {over:.3g}, {base.words}: {under:.3g} req/s"
    return claim(
        name, paper, over / under if under else None, SWEEP_FRAC * paper,
        source=source, reading=lab.reading.name, note=f"{rates}; {note}" if note else rates,
    )  # fmt: skip


def throughputs(lab: Lab) -> Iterator[Claim]:
    """Iso-power and iso-cost comparisons on conversation: at the published counts, and at the best split found here."""
    power, cost = Problem.ISO_POWER_THROUGHPUT, Problem.ISO_COST_THROUGHPUT
    for problem, words, paper, published, bases, source in (
        (power, "iso-power", 2.15, AA, (BASE_A100,), "§VI-B, Fig. 18a"),
        (power, "iso-power", 1.18, HA, (BASE_A100, BASE_H100), "§VI-B, Fig. 18a"),
        (cost, "iso-cost", 1.4, AA_COST, (BASE_H100,), "§VI-C, Fig. 18b"),
    ):
        best = lab.fastest(problem, published)
        for base in bases:
            name = f"{words} conversation: throughput {published.design.name} / {base.design.name}"
            slip = published is HA and base is BASE_A100
            note = "the text names Baseline-A100; its cost and this ratio are against Baseline-H100" if slip else ""
            for split, ours in (("published", published), ("best", best)):
                found = ratio(lab, f"{name}, {split} split", paper, ours, base, source, note)
                yield erratum(found) if slip else found


def headlines(lab: Lab) -> Iterator[Claim]:
    """The numbers of abstract and conclusion, with the comparison that comes nearest to each."""
    yield ratio(
        lab, "headline: 1.4x throughput at 20 % lower cost, coding", 1.4, AA_CODING, BASE_H100, "abstract",
        "iso-power AA against Baseline-H100 costs 0.81 of it at simulator prices", workload=CODING,
    )  # fmt: skip
    yield ratio(
        lab, "headline: 2.35x throughput at the same cost and power (A100)", 2.35, AA, BASE_A100, "abstract",
        "AA against Baseline-A100: as many of the same machine",
    )  # fmt: skip
    yield ratio(
        lab, "headline: 2.35x throughput at the same cost and power (H100)", 2.35, HH, BASE_H100, "abstract",
        "HH against Baseline-H100: as many of the same machine",
    )  # fmt: skip
    yield ratio(
        lab, "headline: 1.76x throughput at 15 % lower power and the same cost", 1.76, HALF_CAPPED, BASE_H100,
        "conclusion", "40 H100 of which 20 are capped draw 0.85; no published run has that split",
    )  # fmt: skip


def iso_throughput(lab: Lab) -> Iterator[Claim]:
    """What 70 req/s of conversation needs at least."""
    bench = lab.bench(CONVERSATION)

    def need(problem: Problem, name: str) -> Provision | None:
        return provision(problem, design(name), bench, SIMULATOR, ISO_RATE_REQ_PER_S)

    base = need(Problem.ISO_THROUGHPUT_COST, "Baseline-H100")
    for found, made, paper in (
        (base, "Baseline-H100", 24.0),
        (need(Problem.ISO_THROUGHPUT_COST, "Baseline-A100"), "Baseline-A100", 88.0),
    ):
        yield claim(
            f"iso-throughput 70 req/s conversation: machines of {made}", paper,
            found.cluster.machines if found else None,
            MODEL_FRAC * paper, source="Fig. 19, second-hand", reading=lab.reading.name,
        )  # fmt: skip
    for problem, name, unit in (
        (Problem.ISO_THROUGHPUT_POWER, "Splitwise-HHcap", "power"),
        (Problem.ISO_THROUGHPUT_COST, "Splitwise-AA", "cost"),
    ):
        found, ours, note = need(problem, name), None, "no cluster holds the rate"
        if base and found:
            measure = Cluster.power_w if unit == "power" else Cluster.usd_per_h
            ours = measure(found.cluster, SIMULATOR) / measure(base.cluster, SIMULATOR)
            note = f"{found.cluster.words} against {base.cluster.words}"
        yield claim(
            f"iso-throughput 70 req/s conversation: {unit} of {name} / Baseline-H100 (simulator prices)", 0.75, ours,
            PERCENT_STEP, source="Fig. 19", reading=lab.reading.name, note=note,
        )  # fmt: skip


def setback(lab: Lab) -> Iterator[Claim]:
    """Conversation on a cluster that was sized for coding, for ten minutes."""
    for sized in (HA, HHCAP):
        other = CODING_SIZED[sized.design.name]
        over, under = lab.sustained_req_per_s(other), lab.sustained_req_per_s(sized)
        yield claim(
            f"conversation on a coding-sized {sized.design.name}, throughput over one sized for it", 0.93,
            over / under if under else None, 0.01, source="Fig. 20a", reading=lab.reading.name,
            note=f"{other.words}: {over:.3g}, {sized.words}: {under:.3g} req/s, ten minutes; rates in steps of 2 %",
        )  # fmt: skip


def batch_jobs(lab: Lab) -> Iterator[Claim]:
    """Requests per dollar without latency limits, on the clusters of equal cost."""
    for made, paper in (
        (cluster("Baseline-A100", 86), 0.89),
        (AA_COST, 0.89),
        (BASE_H100, 0.75),
        (HH, 0.75),
    ):
        yield claim(
            f"batch jobs of conversation on {made.words}, req/s per price unit (simulator prices)", paper,
            lab.batch_req_per_s(made) / (made.usd_per_h(SIMULATOR) / 8), 0.005,
            source="§VI-E", reading=lab.reading.name,
            note="180 req/s for ten minutes, ends from 60 to 540 s; a machine counts as the price of one of its GPUs",
        )  # fmt: skip


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
