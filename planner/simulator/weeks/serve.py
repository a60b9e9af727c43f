"""A week request by request: what its controllers did to the pools, served as shifts by the core.

The week is served in parts, each started some minutes early on an empty cluster and ended some minutes late, so that
every request that is counted meets others as it would have. Within a part instances come, drain and change their clock
when the controllers said so. An instance that is resharded drains while the new ones already serve, and standing still
for a change (65 to 75 ms) is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Policy
from planner.simulator.books import Window, bin_edges_s
from planner.simulator.pools import Events, PoolModel, Run, Shift
from planner.simulator.serve import serve
from planner.simulator.weeks.flows import Course, Floats, Ints
from workloads.requests import RequestClass
from workloads.traces import Trace

EARLY_S = 300.0
"""By which a part begins before the first request that counts, and ends after the last."""

BLOCK_STEPS = 60
"""Steps whose requests are drawn together."""

Bodies = Mapping[tuple[int, int], InstancePhysics]
"""(GPUs of an instance, SM clock) -> the instance."""


Engine = Callable[..., Run]
"""Serves a trace on pools that shift, as ``serve`` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The pools of a week, what happens to them, and who comes.

    Attributes:
        courses: of every pool, one step after the other.
        step_s: length of a step.
        bodies: instances at every setting that the courses name; their memory is that of their GPUs, at any clock.
        lengths: of every pool's own class, prompt and output tokens to draw from.
        policy: how requests are served.
        machine_gpus: GPUs of a machine.
        seed: of lengths, and of arrivals within a step.
    """

    courses: tuple[Course, ...]
    step_s: float
    bodies: Bodies
    lengths: tuple[tuple[Ints, Ints], ...]
    policy: Policy
    machine_gpus: int
    seed: int

    @property
    def steps(self) -> int:
        """Length of the horizon."""
        return len(self.courses[0].counts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A stretch of a week, served.

    Attributes:
        begin_s: from the start of the week.
        end_s: likewise.
        pool: (requests,) position of the pool that served each.
        ttft_s: (requests,) times to first token.
        e2e_s: (requests,) to the last token; infinite where it never came.
        tpot_s: (requests,) per token after the first; 0 where there is none.
        batch: mean requests in a decode step.
        tokens: of all of them, prompts and outputs.
        energy_j: of the GPUs of powered machines.
        gap_p99_s: 99th percentile of the time between tokens.
        engine: who served it.
    """

    begin_s: float
    end_s: float
    pool: NDArray[np.int16]
    ttft_s: NDArray[np.float32]
    e2e_s: NDArray[np.float32]
    tpot_s: NDArray[np.float32]
    batch: float
    tokens: int
    energy_j: float
    gap_p99_s: float
    engine: str

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Requests that ended."""
        return np.isfinite(self.e2e_s)


def served(
    stage: Stage, *, part_s: float, engine: Engine = serve, progress: Callable[[float], None] = lambda _: None,
    begin_s: float = 0.0, end_s: float | None = None,
) -> Iterator[Part]:  # fmt: skip
    """Serve a week, or a stretch of it, part after part.

    Args:
        stage: pools, changes and arrivals.
        part_s: length of a part; memory grows with it, and the share of what is served twice falls.
        engine: who serves; another one to compare with.
        progress: takes the share that is done.
        begin_s: of the stretch.
        end_s: of the stretch; the whole week where not given.
    """
    last_s = stage.steps * stage.step_s if end_s is None else end_s
    at_s = begin_s
    while at_s < last_s - 1e-9:
        until_s = min(at_s + part_s, last_s)
        yield _part(stage, at_s, until_s, engine)
        at_s = until_s
        progress((at_s - begin_s) / (last_s - begin_s))


def _part(stage: Stage, begin_s: float, end_s: float, engine: Engine) -> Part:
    first = max(0, round((begin_s - EARLY_S) / stage.step_s))
    last = min(stage.steps, round((end_s + EARLY_S) / stage.step_s))
    origin_s = first * stage.step_s
    trace = arrivals(stage, first, last)
    pools, shifts = _pools(stage, first, last)
    counted = np.searchsorted(trace.arrival_s, (begin_s - origin_s, end_s - origin_s))
    window = Window(
        first=int(counted[0]), last=int(counted[1]), slices=1, start_s=begin_s - origin_s, end_s=end_s - origin_s
    )  # fmt: skip
    run = engine(pools, stage.policy, trace, window, cutoff_s=2 * trace.duration_s + 3600, beside=Events(shifts=shifts))
    rows = slice(window.first, window.last)
    later = np.maximum(1, trace.output_tokens[rows] - 1)
    ttft_s, e2e_s = run.ledger.ttft_s[rows], run.ledger.e2e_s[rows]
    meters = [meter for pool in run.meters.values() for meter in pool]
    steps, tokens = sum(m.decode_steps for m in meters), sum(m.decode_tokens for m in meters)
    above_j = sum(m.prefill_j + m.decode_j for m in meters)
    spent = np.where(np.isfinite(e2e_s), e2e_s, 0.0) - np.where(np.isfinite(e2e_s), ttft_s, 0.0)
    return Part(
        begin_s=begin_s, end_s=end_s, pool=trace.class_index[rows].astype(np.int16), ttft_s=ttft_s.astype(np.float32),
        e2e_s=e2e_s.astype(np.float32), tpot_s=(spent / later).astype(np.float32), batch=tokens / max(1, steps),
        tokens=int(trace.prompt_tokens[rows].sum() + trace.output_tokens[rows].sum()),
        energy_j=above_j + _idle_j(stage, begin_s, end_s), gap_p99_s=_gap_s(run, 0.99), engine=run.engine,
    )  # fmt: skip


def _gap_s(run: Run, share: float) -> float:
    """The upper edge of the bin of token gaps that a share of them reaches."""
    upto = np.cumsum(run.ledger.gaps.sum(axis=0))
    return float(np.append(bin_edges_s(), np.inf)[np.searchsorted(upto, share * upto[-1])]) if upto[-1] else 0.0


def _idle_j(stage: Stage, begin_s: float, end_s: float) -> float:
    """What the GPUs of powered machines draw without work."""
    span = slice(round(begin_s / stage.step_s), round(end_s / stage.step_s))
    each_w = max(body.power.idle_w / tp for (tp, _), body in stage.bodies.items())
    machines = sum(float(course.machines[span].sum()) for course in stage.courses)
    return machines * stage.machine_gpus * each_w * stage.step_s


def arrivals(stage: Stage, first: int, last: int) -> Trace:
    """The requests of some steps, the same however the week is cut; the class of each is the pool it is sent to."""
    blocks = [_block(stage, number) for number in range(first // BLOCK_STEPS, -(-last // BLOCK_STEPS))]
    at_step, prompt, output, pool = (np.concatenate(column) for column in zip(*blocks, strict=True))
    order = np.argsort(at_step, kind="stable")
    order = order[slice(*np.searchsorted(at_step[order], (first, last)))]
    return Trace(
        name="a part of a week", arrival_s=(at_step[order] - first) * stage.step_s, prompt_tokens=prompt[order],
        output_tokens=output[order], class_index=pool[order], duration_s=(last - first) * stage.step_s,
        classes=tuple(RequestClass(name=course.pool.name) for course in stage.courses),
    )  # fmt: skip


def _block(stage: Stage, number: int) -> tuple[Floats, Ints, Ints, Ints]:
    """Arrivals of a block of steps, in steps from the start of the week, with lengths and pools."""
    rng = np.random.default_rng([stage.seed, number])
    span = slice(number * BLOCK_STEPS, min(stage.steps, (number + 1) * BLOCK_STEPS))
    empty = np.empty(0, np.int64)
    columns: list[tuple[Floats, Ints, Ints, Ints]] = [(np.empty(0), empty, empty, empty)]
    for place, course in enumerate(stage.courses):
        for origin, counts in course.arrived.items():
            step = np.repeat(np.arange(span.start, span.stop), counts[span])
            prompts, outputs = stage.lengths[origin]
            picked = rng.integers(0, len(prompts), len(step))
            here = np.full(len(step), place, np.int64)
            columns.append((step + rng.random(len(step)), prompts[picked], outputs[picked], here))
    at_step, prompt, output, pool = (np.concatenate(column) for column in zip(*columns, strict=True))
    return at_step, prompt, output, pool


def _pools(stage: Stage, first: int, last: int) -> tuple[list[PoolModel], list[Shift]]:
    """A pool for each class and layout that some step has, as large as it ever is, and what shifts in it."""
    pools, shifts, index = list[PoolModel](), list[Shift](), 0
    for place, course in enumerate(stage.courses):
        counts, ways, clocks = (column[first:last] for column in (course.counts, course.tp, course.clock_mhz))
        for tp in np.unique(ways[counts > 0]).tolist():
            mine = np.where(ways == tp, counts, 0)
            clock = int(clocks[np.argmax(mine > 0)])
            pools.append(
                PoolModel(
                    name=f"{course.pool.name}/tp{tp}", role=Role.MIXED, physics=stage.bodies[tp, clock],
                    instances=int(mine.max()), speed=float(tp), classes=frozenset({place}),
                )
            )  # fmt: skip
            shifts += _opened(mine, index, stage.step_s)
            bodies = {mhz: body for (ways_, mhz), body in stage.bodies.items() if ways_ == tp}
            shifts += _clocked(mine, clocks, index, bodies, stage.step_s)
            index += pools[-1].instances
    return pools, shifts


def _opened(counts: Ints, index: int, step_s: float) -> Iterator[Shift]:
    """The last to come is the first to go."""
    most, now = int(counts.max()), int(counts.max())
    for step in (0, *(np.flatnonzero(np.diff(counts)) + 1).tolist()):
        wanted = int(counts[step])
        for place in range(min(now, wanted), max(now, wanted)):
            yield Shift(at_s=step * step_s, instance=index + place, opens=wanted > now)
        now = wanted
    assert now <= most


def _clocked(
    counts: Ints, clocks: Ints, index: int, bodies: Mapping[int, InstancePhysics], step_s: float
) -> Iterator[Shift]:
    """All instances of a pool change their clock together."""
    most, now = int(counts.max()), -1
    for step in np.flatnonzero(counts > 0).tolist():
        clock = int(clocks[step])
        if clock != now:
            yield from (Shift(at_s=step * step_s, instance=index + i, physics=bodies[clock]) for i in range(most))
            now = clock
