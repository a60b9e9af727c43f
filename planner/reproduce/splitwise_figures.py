"""The figures of Splitwise's evaluation (ISCA'24), from our simulator; one draw of requests, two minutes a point."""

from collections.abc import Iterator, Sequence

from planner.reproduce.claims import Curve, Figure
from planner.reproduce.designs import SIMULATOR, Cluster, cluster, design
from planner.reproduce.lab import CODING, CONVERSATION, SWEEP_ENDS_REQ_PER_S, Lab
from planner.reproduce.occupancy import occupancy
from planner.reproduce.readings import AS_MEASURED
from planner.reproduce.search import Problem, provision
from planner.reproduce.splitwise_claims import (
    A100_COST,
    AA,
    AA_COST,
    BASE_A100,
    BASE_H100,
    CODING_SIZED,
    HA,
    HA_COST,
    HH,
    HHCAP,
    ISO_RATE_REQ_PER_S,
)
from planner.reproduce.transfers import overhead
from planner.reproduce.trial import DURATION_S
from planner.scenario.designs import A100, DESIGNS

ISO_POWER = {
    CODING: (BASE_A100, BASE_H100, *CODING_SIZED.values()),
    CONVERSATION: (BASE_A100, BASE_H100, AA, HH, HA, HHCAP),
}
ISO_COST = (A100_COST, BASE_H100, AA_COST, HH, HA_COST, cluster("Splitwise-HHcap", 30, 10))
"""Clusters of the published run scripts."""

FIRST_REQ_PER_S, STEP_REQ_PER_S = 30, 10
PROMPTS_TOKENS = tuple(range(256, 4097, 256))
MOST_TOKEN_MACHINES = 10
OCCUPIED_REQ_PER_S = (70.0, 130.0)
OCCUPIED_TOKENS = tuple(float(n) for n in (*range(16), *range(16, 101, 4)))
LLAMA_REQ_PER_S = tuple(range(50, 351, 50))
SHOWN_RATIO = 8.0
"""A curve ends before its first slowdown beyond this, as in the published figures."""

_METRICS = {"ttft": "TTFT", "tbt": "TBT", "e2e": "E2E"}


def figures(lab: Lab, other: Lab) -> Iterator[Figure]:
    """Every figure of the evaluation, under one reading.

    Args:
        lab: of BLOOM-176B.
        other: of Llama-2-70B.
    """
    yield _space(lab)
    if lab.reading.name == AS_MEASURED:
        yield _transfer(lab)
    for workload, source in ((CODING, "Fig. 16a"), (CONVERSATION, "Fig. 16b")):
        yield from _latencies(lab, workload, ISO_POWER[workload], f"iso-power, {_service(workload)}", source)
    for rate in OCCUPIED_REQ_PER_S:
        yield _occupied(lab, rate)
    yield _throughputs(lab, "iso-power, conversation", ISO_POWER[CONVERSATION], "Fig. 18a")
    yield _throughputs(lab, "iso-cost, conversation", ISO_COST, "Fig. 18b")
    yield _least(lab, Problem.ISO_THROUGHPUT_POWER, "Fig. 19a")
    yield _least(lab, Problem.ISO_THROUGHPUT_COST, "Fig. 19b")
    yield from _latencies(lab, CONVERSATION, ISO_POWER[CODING], "conversation on clusters sized for coding", "Fig. 20a")
    title, ends = "Llama-2-70B, conversation, on clusters sized for BLOOM-176B", LLAMA_REQ_PER_S
    yield from _latencies(other, CONVERSATION, ISO_POWER[CONVERSATION], title, "Fig. 20b", ends)


def _service(workload: str) -> str:
    """The word of the paper for a workload."""
    return "coding" if workload == CODING else "conversation"


def _named(lab: Lab, title: str) -> str:
    """A name that is unique among the figures of several readings."""
    return f"{lab.reading.name}-{title}".lower().replace(" ", "-").replace(",", "")


def _space(lab: Lab) -> Figure:
    """Counts of Splitwise-HH that hold 70 req/s of coding: for every token count the fewest prompt machines."""
    bench, made, found = lab.bench(CODING, duration_s=DURATION_S), design("Splitwise-HH"), {}
    for t in range(1, MOST_TOKEN_MACHINES + 1):
        held = (
            p
            for p in range(20, 41)
            if bench.holds(Cluster(design=made, prompt_machines=p, token_machines=t), ISO_RATE_REQ_PER_S)
        )
        if (fewest := next(held, None)) is not None:
            found[t] = fewest
    paper = Curve(label="published optimum", x=(3.0,), y=(27.0,), joined=False)
    edge = Curve(
        label="fewest prompt machines that hold", x=tuple(map(float, found)), y=tuple(map(float, found.values()))
    )
    return Figure(
        name=_named(lab, "design space"), title="Design space of Splitwise-HH, 70 req/s of coding", source="Fig. 12",
        reading=lab.reading.name, x_label="token machines", y_label="prompt machines", curves=(edge, paper),
    )  # fmt: skip


def _transfer(lab: Lab) -> Figure:
    """Visible time of a KV transfer between two DGX-A100, by prompt length."""
    physics, alone = lab.reading.physics[A100], lab.reading.alone
    found = [overhead(physics, alone, prompt_tokens=n) for n in PROMPTS_TOKENS]
    x = tuple(map(float, PROMPTS_TOKENS))
    return Figure(
        name=_named(lab, "transfer"), title="KV transfer of BLOOM-176B between two DGX-A100", source="Fig. 14",
        reading=lab.reading.name, x_label="prompt tokens", y_label="visible time, ms",
        curves=(
            Curve(label="serialized", x=x, y=[1e3 * o.serialized_s for o in found]),
            Curve(label="layer-wise", x=x, y=[1e3 * o.layerwise_s for o in found]),
        ),
    )  # fmt: skip


def _occupied(lab: Lab, rate_req_per_s: float) -> Figure:
    """Share of the time that machines spend at so many active tokens, for two minutes of conversation."""
    curves = []
    for each in (BASE_H100, HH):
        found = occupancy(lab.bench(CONVERSATION), each, rate_req_per_s, DURATION_S, OCCUPIED_TOKENS)
        curves += [Curve(label=f"{each.words}, {kind}", x=OCCUPIED_TOKENS, y=y.tolist()) for kind, y in found.items()]
    return Figure(
        name=_named(lab, f"occupancy {rate_req_per_s:g}"), source="Fig. 17", reading=lab.reading.name,
        title=f"Time at so many active tokens, {rate_req_per_s:g} req/s of conversation", curves=curves,
        x_label="active tokens", y_label="share of the time at so many or fewer",
        note="the rest is steps with prompts",
    )  # fmt: skip


def _latencies(
    lab: Lab, workload: str, clusters: Sequence[Cluster], title: str, source: str, rates: Sequence[int] = ()
) -> Iterator[Figure]:
    """P90 slowdown of each metric over the rate; those of the published sweep if no others are said."""
    rates = rates or range(FIRST_REQ_PER_S, SWEEP_ENDS_REQ_PER_S[workload] + 1, STEP_REQ_PER_S)
    bench, found = lab.bench(workload), dict[Cluster, dict[str, list[tuple[float, float]]]]()
    for each in clusters:
        mine, ended = {metric: list[tuple[float, float]]() for metric in _METRICS}, set[str]()
        found[each] = mine
        for rate in rates:
            slowdowns = bench.slowdowns(each, float(rate), DURATION_S)
            over = {metric for metric, values in slowdowns.items() if values[1] > SHOWN_RATIO}
            for metric in mine.keys() - ended - over:
                mine[metric].append((float(rate), float(slowdowns[metric][1])))
            ended |= over
            if len(ended) == len(mine):
                break
    for metric, word in _METRICS.items():
        curves = [
            Curve(label=c.words, x=[x for x, _ in mine[metric]], y=[y for _, y in mine[metric]])
            for c, mine in found.items()
        ]
        yield Figure(
            name=_named(lab, f"{title} {metric}"), title=f"P90 {word}, {title}", source=source,
            reading=lab.reading.name, x_label="rate, req/s", y_label=f"P90 {word}, times a request alone on a DGX-A100",
            curves=curves,
        )  # fmt: skip


def _throughputs(lab: Lab, title: str, clusters: Sequence[Cluster], source: str) -> Figure:
    """Throughput, machines, cost and power of the published clusters over those of Baseline-A100."""
    base = clusters[0]
    rates = {c: lab.swept_req_per_s(CONVERSATION, c, seeds=(1,))[0] for c in clusters}
    rows = [
        (
            c.words,
            (
                rates[c] / rates[base] if rates[base] else 0.0, c.machines / base.machines,
                c.usd_per_h(SIMULATOR) / base.usd_per_h(SIMULATOR), c.power_w(SIMULATOR) / base.power_w(SIMULATOR),
            ),
        )
        for c in clusters
    ]  # fmt: skip
    return Figure(
        name=_named(lab, f"throughput {title}"), title=f"Throughput-optimized, {title}, over Baseline-A100",
        source=source, reading=lab.reading.name, x_label="over Baseline-A100", y_label="cluster",
        columns=("throughput", "machines", "cost", "power"), rows=rows,
        note=f"rates of the published sweep, in steps of 10 req/s; Baseline-A100: {rates[base]} req/s",
    )  # fmt: skip


def _least(lab: Lab, problem: Problem, source: str) -> Figure:
    """Machines, cost and power of the best cluster of every design for 70 req/s of conversation, first draw."""
    rows, bench = list[tuple[str, Sequence[float]]](), lab.bench(CONVERSATION, duration_s=DURATION_S)
    for made in DESIGNS:
        found = provision(problem, made, bench, SIMULATOR, ISO_RATE_REQ_PER_S)
        if found:
            c, base = found.cluster, A100_COST
            rows.append((c.words, (
                c.machines / base.machines, c.usd_per_h(SIMULATOR) / base.usd_per_h(SIMULATOR),
                c.power_w(SIMULATOR) / base.power_w(SIMULATOR),
            )))  # fmt: skip
    words = "power" if problem is Problem.ISO_THROUGHPUT_POWER else "cost"
    return Figure(
        name=_named(lab, f"least {words}"), title=f"{words.capitalize()}-optimized for 70 req/s of conversation",
        source=source, reading=lab.reading.name, x_label="over 86 DGX-A100", y_label="cluster",
        columns=("machines", "cost", "power"), rows=rows,
    )  # fmt: skip
