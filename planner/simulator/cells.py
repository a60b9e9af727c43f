"""The judge of a fleet in cells: every cell serves its share of the requests, and all of them together are weighed."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

from planner.executor.here import Threads
from planner.perf.reference import Reference
from planner.policies.base import Policy
from planner.results.cells import Pooled
from planner.results.evidence import Judgement, Verdict
from planner.simulator.account import drawn, pool_use
from planner.simulator.judge import Bench, Note
from planner.simulator.metrics import Sample, evidence
from planner.simulator.pools import NOTHING, PoolModel
from planner.simulator.tally import Tally, tally
from planner.simulator.traffic import Judging
from workloads.slo import Slo
from workloads.split import together
from workloads.traces import Trace

PART = 8
"""Cells whose sums are added up before those of others: floating-point sums depend on the order, which is one."""

POOLED_MACHINES = 256
"""Machines of the cells that are simulated as one pool too, to see what dividing them costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTraffic:
    """What the cells of a fleet serve.

    Attributes:
        draw: cell -> its requests.
        seed: of all of them.
        workload: in words.
        exact: they are the workload itself, in its own minutes, so that nothing is left to chance.
        aligned: its minutes are those of a trace, so that busy ones are no error: halves of the cells are compared.
    """

    draw: Callable[[int], Trace]
    seed: int
    workload: str
    exact: bool
    aligned: bool


def judge_cells(
    cells: Sequence[Sequence[PoolModel]], policy: Policy, traffic: CellTraffic, slos: Sequence[Slo], judging: Judging,
    *, reference: Reference | None = None, note: Note | None = None,
) -> Judgement:  # fmt: skip
    """Serve the whole fleet, cell by cell, and weigh every objective over the requests of all cells.

    A cell sees nothing of another, so all of them may be served at once; what they did is added up in their order.
    Slices of the window are compared over all cells, since bursts are shared by them.

    Args:
        cells: the pools of each, at least one.
        policy: how each serves.
        traffic: the requests.
        slos: the objectives.
        judging: what of a run is measured, and how sure a verdict has to be.
        reference: what slowdowns are measured against.
        note: is shown the trace and the run of each cell.
    """
    benches = [_bench(pools, policy, slos, judging, reference) for pools in cells]
    some, each = _compared(cells), partial(_one, benches, traffic, slos, note)
    books = _Books(_parts(len(cells), some), slos)
    tasks: list[Callable[[], list[float]]] = [partial(books.booked, each, cell) for cell in range(len(cells))]
    if some > 1:  # first: it takes longest, and started last it would leave the other cores nothing to do
        tasks.insert(0, partial(_pooled, benches[:some], traffic, slos))
    pooled, *_ = Threads(1 if note else None).map(_done, tasks)
    said = _account(books.fleet, slos, cells[0], traffic, judging, books.horizon_s)
    if some < 2:
        return said
    names = [slo.name for slo in slos]
    return replace(
        said, pooled=Pooled(
            fleet_cells=len(cells), cells=some, apart=dict(zip(names, books.apart, strict=True)),
            together=dict(zip(names, pooled, strict=True)),
        ),
    )  # fmt: skip


def _bench(
    pools: Sequence[PoolModel], policy: Policy, slos: Sequence[Slo], judging: Judging, reference: Reference | None
) -> Bench:
    """Where a cell is served, over as many slices as there are where minutes are compared."""
    return Bench(
        pools=pools, policy=policy, slos=slos, reference=reference, judging=judging, exact=False, aligned=True,
        events=NOTHING,
    )  # fmt: skip


def _parts(cells: int, first: int) -> list[range]:
    """Cells that are added up by themselves, the same whatever number of them is served at once."""
    return [range(first), *(range(cell, min(cells, cell + PART)) for cell in range(first, cells, PART))]


class _Books:
    """What cells did, added up in their order whichever ends first: those of a part, then the parts.

    Attributes:
        horizon_s: window of the first cell.
        apart: each objective's percentile over the cells of the first part.
        fleet: all cells so far.
    """

    horizon_s: float
    apart: list[float]
    fleet: Tally

    def __init__(self, parts: Sequence[range], slos: Sequence[Slo]) -> None:
        """Nothing added yet."""
        self._slos, self._lock, self._early = slos, Lock(), dict[int, tuple[float, Tally]]()
        self._turns = deque((part, cell) for part in parts for cell in part)

    def booked(self, each: Callable[[int], tuple[float, Tally]], cell: int) -> list[float]:
        """Serve a cell and add it, with those that waited for it; kept until its turn where an earlier one is served.

        Returns:
            Nothing.
        """
        found = each(cell)
        with self._lock:
            self._early[cell] = found
            while self._turns and self._turns[0][1] in self._early:
                self._add(*self._turns.popleft())
        return []

    def _add(self, part: range, cell: int) -> None:
        horizon_s, found = self._early.pop(cell)
        if cell == part[0]:
            self._part = found
        else:
            self._part.add(found)
        if cell == 0:
            self.horizon_s = horizon_s
        if cell < part[-1]:
            return
        if part[0] > 0:
            self.fleet.add(self._part)
            return
        self.fleet = self._part
        self.apart = [self.fleet.sample(k).quantile(slo.percentile / 100) for k, slo in enumerate(self._slos)]


def _done(task: Callable[[], list[float]]) -> list[float]:
    return task()


def _one(
    benches: Sequence[Bench], traffic: CellTraffic, slos: Sequence[Slo], note: Note | None, cell: int
) -> tuple[float, Tally]:
    """The window of a cell and what it did; to its last request where it keeps every objective."""
    trace = traffic.draw(cell)
    run, seen = benches[cell].serve(trace)
    odd = cell % 2 == 1
    counted = tally(run, seen, slos, odd=odd)
    if counted.counts["unfinished"] and not _beyond(counted, slos):
        run, seen = benches[cell].serve(trace, to_the_end=True)
        counted = tally(run, seen, slos, odd=odd)
    if note:
        note(traffic.seed, trace, replace(run, instances=[f"cell{cell}/{name}" for name in run.instances]))
    return trace.duration_s, counted


def _beyond(counted: Tally, slos: Sequence[Slo]) -> bool:
    """Whether something is measured beyond its limit."""
    return any(counted.sample(k).quantile(slo.percentile / 100) > slo.limit for k, slo in enumerate(slos))


def _compared(cells: Sequence[Sequence[PoolModel]]) -> int:
    """How many of the first cells are simulated as one pool too."""
    machines = max(1, sum(pool.machines for pool in cells[0]))
    return min(len(cells), max(2, POOLED_MACHINES // machines))


def _pooled(benches: Sequence[Bench], traffic: CellTraffic, slos: Sequence[Slo]) -> list[float]:
    """Each objective's percentile where the machines of some cells are one pool, on the requests of the same cells."""
    pools = [
        replace(same[0], instances=sum(pool.instances for pool in same))
        for same in zip(*(bench.pools for bench in benches), strict=True)
    ]
    whole = replace(benches[0], pools=pools)
    run, seen = whole.serve(together([traffic.draw(cell) for cell in range(len(benches))]))
    counted = tally(run, seen, slos)
    return [counted.sample(k).quantile(slo.percentile / 100) for k, slo in enumerate(slos)]


def _account(
    fleet: Tally, slos: Sequence[Slo], pools: Sequence[PoolModel], traffic: CellTraffic, judging: Judging,
    horizon_s: float,
) -> Judgement:  # fmt: skip
    """The books of all cells, as a judgement."""
    bodies, parts = {pool.name: pool.physics for pool in pools}, tuple(enumerate(slos))
    found = [
        evidence(
            slo, fleet.sample(k, halves=traffic.aligned), confidence_frac=judging.confidence_frac, exact=traffic.exact
        )
        for k, slo in parts
    ]
    span_s = horizon_s * (1.0 - judging.warmup_frac - judging.cooldown_frac)
    counts, sums, transfers = fleet.counts, fleet.sums, max(1, fleet.counts["transfers"])
    meters = {
        name: [replace(each[0], above_j=fleet.above_j[name].tolist()), *each[1:]]
        for name, each in fleet.meters.items()
        if each
    }
    return Judgement(
        evidence=tuple(found), workload=traffic.workload, seeds=(traffic.seed,), horizon_s=horizon_s,
        warmup_s=judging.warmup_frac * horizon_s, cooldown_s=judging.cooldown_frac * horizon_s,
        arrived=counts["arrived"], finished=counts["finished"], refused=counts["refused"],
        restarted=counts["restarted"], unfinished=counts["unfinished"],
        goodput_req_per_s=counts["good"] / span_s, attainment_frac=counts["good"] / max(1, counts["measured"]),
        output_tokens_per_s=sums["output_tokens"] / span_s, prompt_tokens_per_s=sums["prompt_tokens"] / span_s,
        good_output_tokens_per_s=sums["good_output_tokens"] / span_s,
        good_prompt_tokens_per_s=sums["good_prompt_tokens"] / span_s,
        steady=traffic.exact
        or traffic.aligned
        or all(_steady(fleet.sample(k, second_half=True), slo, judging) for k, slo in parts),
        pools=tuple(pool_use(name, [meters], bodies.get(name)) for name in meters),
        link_wait_mean_s=sums["link_wait_s"] / transfers, transfer_mean_s=sums["transfer_s"] / transfers,
        engine=fleet.engine, latency_s=fleet.latency_s(), power=drawn([meters], bodies),
    )  # fmt: skip


def _steady(late: Sample, slo: Slo, judging: Judging) -> bool:
    """Whether the second half of the window keeps an objective: a growing backlog would show there."""
    found = evidence(slo, late, confidence_frac=judging.confidence_frac, exact=False)
    return found.verdict is not Verdict.MISSED
