"""A candidate as the simulator sees it: its pools, its traffic, and what is said of it whole or cell by cell."""

from collections.abc import Sequence
from dataclasses import replace

from planner.errors import BadInput
from planner.resolve.case import Case
from planner.resolve.cells import cell_draws, instances_of_cells
from planner.resolve.workload import Asked
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan, Pool
from planner.simulator.cells import CellTraffic, judge_cells
from planner.simulator.judge import Bench, Note, judge, judge_longer
from planner.simulator.outages import outage
from planner.simulator.pools import Events, PoolModel
from planner.simulator.traffic import Judging, Traffic
from workloads.counts import number

NOT_OFFERED = "the scenario's catalog offers no such instance; leave catalog and policy as the plan has them"
"""What is said of a pool that is not among the options: simulation changes workload and objectives, not machines."""

Key = tuple[object, ...]


def key_of(candidate: CandidatePlan, stepwise: bool) -> Key:
    """What tells one simulation of a candidate from another."""
    pools = ((p.spec.name, p.instances, _routed(p)) for p in candidate.pools)
    return candidate.rate_scale, stepwise, candidate.cells, *pools


def pools_of(case: Case, candidate: CandidatePlan) -> list[PoolModel]:
    """The candidate as the simulator sees it.

    Raises:
        BadInput: the catalog offers no physics for a pool.
    """
    unknown = [p.spec.name for p in candidate.pools if p.spec.name not in case.physics]
    if unknown:
        raise BadInput(*(f"{name}: {NOT_OFFERED}" for name in unknown))
    names = [c.name for c in case.scenario.classes()]
    return [
        PoolModel(
            name=pool.spec.name, role=pool.spec.role, physics=case.physics[pool.spec.name],
            instances=pool.instances, speed=_speed(pool),
            classes=frozenset(i for i, name in enumerate(names) if pool.rate_req_per_s.get(name, 0.0) > 0),
            chunk_tokens=pool.spec.chunk_tokens, beside=pool.spec.name in case.beside,
        )
        for pool in candidate.pools
    ]  # fmt: skip


def cells_as_served(case: Case, candidate: CandidatePlan) -> list[list[PoolModel]]:
    """The pools of each cell of a candidate.

    Raises:
        BadInput: as ``pools_of``; or a pool has fewer instances than there are cells.
    """
    whole = pools_of(case, candidate)
    counts = [instances_of_cells(pool.instances, candidate.cells) for pool in whole]
    return [
        [replace(pool, instances=count[cell]) for pool, count in zip(whole, counts, strict=True)]
        for cell in range(candidate.cells)
    ]


def serve(
    case: Case, candidate: CandidatePlan, pools: Sequence[PoolModel], judging: Judging, *, note: Note | None = None,
    brief: Judgement | None = None,
) -> Judgement:  # fmt: skip
    """What the simulator says of a candidate; of one in cells, of the whole fleet.

    Args:
        case: whose workload.
        candidate: who serves it.
        pools: of it.
        judging: how closely is looked; what of a run is measured follows from the case.
        note: is shown what became of the requests.
        brief: what a brief look said of it that found it valid: seeds that it served are not served again where it
            served all.
    """
    asked, section, scale = case.asked, case.scenario.validation, candidate.rate_scale
    before, after = asked.unmeasured_at(scale, section)
    judging = replace(judging, warmup_frac=before, cooldown_frac=after, confidence_frac=section.confidence_frac)
    if candidate.cells > 1:
        return _in_cells(case, candidate, judging, note)
    happening = [f for each in section.failures if (f := outage(each, pools))]
    traffic = Traffic(
        draw=asked.drawing(scale), seeds=asked.seeds_at(scale), workload=_words(asked, candidate, len(happening)),
        exact=asked.exact_at(scale), aligned=asked.aligned_at(scale),
        longer=None if happening else asked.longer(scale),
        lengthen=None if happening else lambda seed, times: asked.draw(seed, scale, times),
    )  # fmt: skip
    events = Events(failures=happening)
    if brief is not None and len(brief.seeds) >= len(traffic.seeds):
        bench = Bench(
            pools=pools, policy=case.policy, slos=case.slos, reference=case.reference, judging=judging,
            exact=traffic.exact, aligned=traffic.aligned and len(traffic.seeds) > 1, events=events,
        )  # fmt: skip
        return judge_longer(bench, traffic, brief)
    return judge(
        pools, case.policy, traffic, case.slos, judging, reference=case.reference, events=events, note=note
    )  # fmt: skip


def words_of(asked: Asked, candidate: CandidatePlan) -> str:
    """The workload in words, at the rate that the candidate serves."""
    return _words(asked, candidate, 0)


def _in_cells(case: Case, candidate: CandidatePlan, judging: Judging, note: Note | None) -> Judgement:
    """What the whole fleet does: one seed, all cells."""
    asked, scale = case.asked, candidate.rate_scale
    seed, draws = asked.seeds[0], cell_draws(asked, candidate.cells)
    traffic = CellTraffic(
        draw=lambda cell: draws(cell)(seed, scale, 1.0), seed=seed,
        workload=f"{_words(asked, candidate, 0)}, in {candidate.cells} cells",
        exact=asked.exact_at(scale), aligned=asked.aligned_at(scale),
    )  # fmt: skip
    return judge_cells(
        cells_as_served(case, candidate), case.policy, traffic, case.slos, judging, reference=case.reference, note=note
    )


def _words(asked: Asked, candidate: CandidatePlan, failures: int) -> str:
    """The workload in words, at the rate that the candidate serves."""
    factor = candidate.rate_scale
    words = asked.words if factor == 1 else f"{asked.words}, times {number(factor)}"
    return words + (f", while {failures} machine{'s' * (failures > 1)} failed" if failures else "")


def _speed(pool: Pool) -> float:
    """Planned rate of an instance, to six digits: a plan read back from a file must route as it did before."""
    return float(f"{sum(pool.rate_req_per_s.values()) / pool.instances:.6g}")


def _routed(pool: Pool) -> tuple[tuple[str, float], ...]:
    """The rates routed to a pool, without the last bits in which two solves differ."""
    return tuple((name, round(rate, 6)) for name, rate in sorted(pool.rate_req_per_s.items()))
