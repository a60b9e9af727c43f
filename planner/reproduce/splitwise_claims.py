"""The claims of Splitwise (ISCA'24), one by one."""

from collections.abc import Iterator

from planner.reproduce.claims import Claim, claim
from planner.reproduce.designs import SIMULATOR, TABLE_V, Cluster, affordable, cluster, design
from planner.reproduce.lab import BATCH_MACHINES, CODING, CONVERSATION, Lab
from planner.reproduce.readings import AS_MEASURED
from planner.reproduce.search import Problem, Provision, provision
from planner.reproduce.transfers import TABLE_I_BYTES_PER_S, overhead
from planner.scenario.designs import A100

ARITHMETIC = "arithmetic"

SWEEP_FRAC = 0.1
"""Throughputs were swept in steps of 10 req/s at about 100 req/s, so a ratio of two is known to a tenth of itself."""

PERCENT_STEP = 0.025
"""Savings are given in multiples of 5 %, so each is known to half a step."""

MODEL_FRAC = 0.03
"""The paper gives 3 % as the error of its performance model."""

ISO_RATE_REQ_PER_S = 70.0
BASE_A100, BASE_H100 = cluster("Baseline-A100", 70), cluster("Baseline-H100", 40)
AA, HA, HHCAP = cluster("Splitwise-AA", 45, 25), cluster("Splitwise-HA", 25, 26), cluster("Splitwise-HHcap", 25, 21)
HH = cluster("Splitwise-HH", 25, 15)
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
        yield claim(name, paper, ours, tolerance, source=source, reading=ARITHMETIC, note=note)


def coding(lab: Lab) -> Iterator[Claim]:
    """The worked example: fewest dollars for 70 req/s of coding."""
    bench, published = lab.bench(CODING), cluster("Splitwise-HH", 27, 3)
    best = provision(Problem.ISO_THROUGHPUT_COST, design("Splitwise-HH"), bench, SIMULATOR, ISO_RATE_REQ_PER_S)
    holds = "holds" if bench.holds(published, ISO_RATE_REQ_PER_S) else "does not hold"
    for kind, paper in (("prompt", 27.0), ("token", 3.0)):
        ours = getattr(best.cluster, f"{kind}_machines") if best else None
        yield claim(
            f"cost-optimal Splitwise-HH for 70 req/s of coding, {kind} machines", paper, ours, 0, source="Fig. 12",
            reading=lab.reading.name, note=f"(27P, 3T) {holds} here; one trace of two minutes decides",
        )  # fmt: skip


def ratio(
    lab: Lab, name: str, paper: float, ours: Cluster, base: Cluster, source: str, note: str = "", *,
    tolerance: float | None = None,
) -> Claim:  # fmt: skip
    """Throughput of conversation on one cluster over that on another."""
    over, under = (lab.rate_req_per_s(CONVERSATION, c) for c in (ours, base))
    rates = f"{ours.words}: {over:.3g}, {base.words}: {under:.3g} req/s"
    return claim(
        name, paper, over / under if under else None, SWEEP_FRAC * paper if tolerance is None else tolerance,
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
            yield ratio(lab, f"{name}, published split", paper, published, base, source)
            yield ratio(lab, f"{name}, best split", paper, best, base, source)


def headlines(lab: Lab) -> Iterator[Claim]:
    """The numbers of abstract and conclusion, with the comparison that comes nearest to each."""
    yield ratio(
        lab, "headline: 1.4x throughput at 20 % lower cost", 1.4, AA, BASE_H100, "abstract",
        "iso-power AA against Baseline-H100 costs 0.81 of it at simulator prices",
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
    """Conversation on a cluster that was sized for coding."""
    for sized in (HA, HHCAP):
        yield ratio(
            lab, f"conversation on a coding-sized {sized.design.name}, throughput over one sized for it", 0.93,
            CODING_SIZED[sized.design.name], sized, "Fig. 20a", tolerance=0.01,
        )  # fmt: skip


def batch_jobs(lab: Lab) -> Iterator[Claim]:
    """Requests per dollar where nobody looks at latency."""
    for name, paper in (
        ("Baseline-A100", 0.89),
        ("Splitwise-AA", 0.89),
        ("Baseline-H100", 0.75),
        ("Splitwise-HH", 0.75),
    ):
        made = design(name)
        unit = SIMULATOR.usd_per_h[made.prompt_machine] / 8 * BATCH_MACHINES
        ours, other = (lab.batch_req_per_s(w, made) / unit for w in (CONVERSATION, CODING))
        yield claim(
            f"batch jobs of conversation on {name}, req/s per price unit (simulator prices)", paper, ours,
            0.005,
            source="§VI-E", reading=lab.reading.name,
            note=f"a machine counts as the price of one of its GPUs; coding: {other:.3g}",
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
