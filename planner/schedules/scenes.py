"""A moment of a schedule as the simulator sees it: pools, what changes in them, who comes, and its separate parts."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from planner.resolve.case import Case
from planner.results.schedule import Run
from planner.simulator.pools import PoolModel, Shift
from workloads.traces import Trace, of_classes

GOING = " going"
"""End of the name of a pool that is no longer wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is served: pools, what changes in them, and who comes.

    Attributes:
        key: alike for scenes that need not both be served.
        going: names of the pools that only end what they have.
        pools: of both epochs.
        shifts: instances that come, go or change their clock.
        draw: seed -> trace.
        longer: seed -> a longer one; None where there is no more of it.
        duration_s: of a trace that is drawn.
        warmup_frac: share of the time before the epoch begins.
        exact: the only trace is the workload itself.
        aligned: seeds are thickenings of the same minutes.
        rate_req_per_s: of the epoch.
    """

    key: str
    going: frozenset[str]
    pools: list[PoolModel]
    shifts: list[Shift]
    draw: Callable[[int], Trace]
    longer: Callable[[int], Trace] | None
    duration_s: float
    warmup_frac: float
    exact: bool
    aligned: bool
    rate_req_per_s: float


def apart(scene: Scene, index: int) -> frozenset[int]:
    """The classes that share instances with a class, directly or through others, itself among them."""
    found, size = frozenset({index}), 0
    while size < len(found):
        size = len(found)
        found = found.union(*(pool.classes for pool in scene.pools if pool.classes & found))
    return found


def part(scene: Scene, classes: frozenset[int]) -> Scene:
    """The pools and requests of classes that share no instance with any other."""
    kept = [bool(pool.classes & classes) for pool in scene.pools]
    places, index = dict[int, int](), 0
    for pool, keep in zip(scene.pools, kept, strict=True):
        places.update({index + at: len(places) + at for at in range(pool.instances)} if keep else {})
        index += pool.instances
    draw, longer = scene.draw, scene.longer
    return replace(
        scene, key=f"{scene.key} {sorted(classes)}",
        pools=[pool for pool, keep in zip(scene.pools, kept, strict=True) if keep],
        shifts=[replace(s, instance=places[s.instance]) for s in scene.shifts if s.instance in places],
        draw=lambda seed: of_classes(draw(seed), classes),
        longer=None if longer is None else lambda seed: of_classes(longer(seed), classes),
    )  # fmt: skip


def needed_only(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The pools of an epoch with all their spare machines down."""
    return tuple(
        replace(run, instances=run.instances - run.spare_instances, spare_machines=0, spare_instances=0) for run in runs
    )


def paired(before: Sequence[Run], now: Sequence[Run]) -> Iterator[tuple[Run | None, Run | None, int]]:
    """Instances of two epochs: the same in both, alike but for the clock, those that go, and those that come.

    Returns:
        Run of the epoch before, run of this one, and how many instances; None where there is no such run.
    """
    going, coming = [run.instances for run in before], [run.instances for run in now]
    for likeness in (_same, _same_but_clock):
        for i, one in enumerate(before):
            for j, other in enumerate(now):
                count = min(going[i], coming[j]) if likeness(one, other) else 0
                if count:
                    going[i], coming[j] = going[i] - count, coming[j] - count
                    yield one, other, count
    yield from ((run, None, left) for run, left in zip(before, going, strict=True) if left)
    yield from ((None, run, left) for run, left in zip(now, coming, strict=True) if left)


def _same(one: Run, other: Run) -> bool:
    return one.spec == other.spec and set(one.rate_req_per_s) == set(other.rate_req_per_s)


def _same_but_clock(one: Run, other: Run) -> bool:
    plain, there = (replace(run, spec=replace(run.spec, clock_mhz=None)) for run in (one, other))
    return _same(plain, there)


def pools_of(
    case: Case, before: Sequence[Run], now: Sequence[Run], *, at_s: float, late_s: float
) -> tuple[list[PoolModel], list[Shift]]:
    """The instances of two epochs, those alike together, and what happens to them at ``at_s``.

    Args:
        case: the question.
        before: the pools of the epoch before.
        now: those of the epoch itself.
        at_s: when it begins.
        late_s: by how much a start may come late where no other pool leaves its GPUs.
    """
    names = [c.name for c in case.scenario.classes()]
    pools, shifts, index, left = list[PoolModel](), list[Shift](), 0, defaultdict[str, int](int)
    for old, new, count in paired(before, now):
        run = new or old
        assert run is not None
        first = old or new
        assert first is not None
        pools.append(
            PoolModel(
                name=f"{run.spec.name}#{len(pools)}{'' if new else GOING}", role=run.spec.role,
                physics=case.physics[first.spec.name], instances=count, speed=speed_of(run),
                classes=frozenset(names.index(name) for name in run.rate_req_per_s),
                chunk_tokens=run.spec.chunk_tokens, beside=run.spec.name in case.beside,
            )
        )  # fmt: skip
        for instance in range(index, index + count):
            if old is None:
                opens_s = at_s if left[run.spec.machine] >= run.spec.layout.gpus else at_s + late_s
                left[run.spec.machine] -= run.spec.layout.gpus
                shifts.append(Shift(at_s=0.0, instance=instance, opens=False))
                shifts.append(Shift(at_s=opens_s, instance=instance, opens=True))
            elif new is None:
                left[run.spec.machine] += run.spec.layout.gpus
                shifts.append(Shift(at_s=at_s, instance=instance, opens=False))
            elif old.spec != new.spec:
                shifts.append(Shift(at_s=at_s, instance=instance, physics=case.physics[new.spec.name]))
        index += count
    return pools, shifts


def going_of(pools: Sequence[PoolModel]) -> frozenset[str]:
    """Names of the pools that only end what they have."""
    return frozenset(pool.name for pool in pools if pool.name.endswith(GOING))


def speed_of(run: Run) -> float:
    """Planned requests per second of an instance, in so few digits that a file keeps them."""
    return max(1e-9, float(f"{sum(run.rate_req_per_s.values()) / run.instances:.6g}"))


def digits(rate_req_per_s: Mapping[str, float]) -> list[tuple[str, str]]:
    """Rates in as many digits as make a difference: speeds of instances are told in no more."""
    return sorted((name, f"{rate:.6g}") for name, rate in rate_req_per_s.items())
