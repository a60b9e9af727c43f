"""A week under three controllers, as flows: no request is simulated, every step of five seconds is.

Arrivals of a step are a Poisson draw about the load; a pool is so many equal instances, each at its share of the rate;
what instances draw and how long they make requests wait is read from their operating points. Work beyond capacity
queues. That is honest where load moves slowly against a request. What the controllers decide and who arrived is kept,
so that ``served`` can serve the same week request by request; docs/schedules.md sets the two beside each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.perf.operating import Operating
from planner.policies.control import Control, Knob, PoolState, machines_needed, shard, spilled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTHED_STEPS = 12
"""Over which a controller, and an objective, takes its rate: what comes and goes faster is chance."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeekPool:
    """A class, or all of them, as a pool sees it.

    Attributes:
        name: class name, or ``all``.
        rate_req_per_s: (steps,) expected rate.
        provided_req_per_s: rate that machines which do not follow the load are bought for.
        ttft_p99_s: objective on the time to first token.
        tpot_s: objective on the time per token.
        knobs: every setting; those of one layout differ in the clock alone.
    """

    name: str
    rate_req_per_s: Floats
    provided_req_per_s: float
    ttft_p99_s: float
    tpot_s: float
    knobs: tuple[Knob, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Week:
    """What a horizon under one control came to.

    Attributes:
        control: its name.
        energy_j: of the GPUs of powered machines, starts included.
        host_j: of what stands around the GPUs of these machines.
        power_w: (steps,) draw of all GPUs.
        machines: (steps,) machines powered.
        requests: that arrived.
        attained_frac: pool name -> share of requests that arrived while its objectives held; pools that served any.
        kept_frac: the same of all requests.
        starts: machines started.
        reshards: changes of tensor-parallel ways, in instances.
        clock_changes: changes of a pool's clock.
        stalled_s: instance-seconds that changes took.
        ttft_p99_s: weighted by requests, of the pools' own 99th percentiles.
    """

    control: str
    energy_j: float
    host_j: float
    power_w: Floats
    machines: Floats
    requests: float
    attained_frac: Mapping[str, float]
    kept_frac: float
    starts: int
    reshards: int
    clock_changes: int
    stalled_s: float
    ttft_p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """What one pool went through, step by step.

    Attributes:
        pool: the pool.
        counts: (steps,) instances that serve.
        tp: (steps,) GPUs of each.
        clock_mhz: (steps,) their SM clock.
        machines: (steps,) machines powered, those that start or drain included.
        rate_req_per_s: (steps,) what is sent here, in requests of its own class that are as much work.
        arrived: position of the pool whose requests they are -> (steps,) requests that were sent here.
    """

    pool: WeekPool
    counts: Ints
    tp: Ints
    clock_mhz: Ints
    machines: Floats
    rate_req_per_s: Floats
    arrived: Mapping[int, Ints]


@dataclass(slots=True)
class _Tally:
    """What one pool adds up to while its week is run."""

    power_w: Floats
    machines: Floats
    counts: Ints
    tp: Ints
    clock_mhz: Ints
    good: float = 0.0
    requests: float = 0.0
    waited_s: float = 0.0
    starts: int = 0
    reshards: int = 0
    clock_changes: int = 0
    stalled_s: float = 0.0


def courses(
    pools: Sequence[WeekPool], control: Control, *, machine_gpus: int, host_w: float, host_ratio: float, seed: int,
    forecast_sigma_frac: float = 0.0, misplaced_frac: float = 0.0,
) -> tuple[Week, tuple[Course, ...]]:  # fmt: skip
    """Run a horizon, and say what every pool went through.

    Args:
        pools: ordered by the work of their requests, small to large; all of equal length.
        control: what follows the load.
        machine_gpus: GPUs of a machine.
        host_w: draw of a powered machine without its GPUs.
        host_ratio: watts of the machine per watt of GPU beyond that, less 1 (fans, conversion).
        seed: of arrivals and forecast errors.
        forecast_sigma_frac: standard deviation of the relative error of each forecast of machines.
        misplaced_frac: share of requests whose length was predicted wrong, and that go to a neighbouring pool.
    """
    rng = np.random.default_rng(seed)
    dt = control.instance_period_s
    asked = _misplaced(pools, misplaced_frac)
    rates = _worth(asked, pools)
    plans, moved = _machines(pools, rates, control, machine_gpus, rng, forecast_sigma_frac)
    drawn = {key: rng.poisson(rate * dt) for key, rate in asked.items()}
    drawn, rates = _moved_up(drawn, moved, rng), _worth(_moved_up(asked, moved, None), pools)
    sent, tallies = _worth({key: count / dt for key, count in drawn.items()}, pools), []
    for pool, rate, arrived, plan in zip(pools, rates, sent, plans, strict=True):
        tallies.append(_run_pool(pool, rate, arrived, plan, control, machine_gpus))
    took = tuple(
        Course(
            pool=pool, counts=tally.counts, tp=tally.tp, clock_mhz=tally.clock_mhz, machines=tally.machines,
            rate_req_per_s=sent[place],
            arrived={origin: counts for (origin, here), counts in drawn.items() if here == place and counts.any()},
        )
        for place, (pool, tally) in enumerate(zip(pools, tallies, strict=True))
    )  # fmt: skip
    return _week(pools, control, tallies, host_w, host_ratio), took


def _week(
    pools: Sequence[WeekPool], control: Control, tallies: Sequence[_Tally], host_w: float, host_ratio: float
) -> Week:
    """The sum over the pools."""
    dt = control.instance_period_s
    power = np.sum([t.power_w for t in tallies], axis=0)
    machines = np.sum([t.machines for t in tallies], axis=0)
    asked = sum(t.requests for t in tallies)
    return Week(
        control=control.name, energy_j=float(power.sum() * dt),
        host_j=float((machines * host_w + power * host_ratio).sum() * dt), power_w=power, machines=machines,
        requests=asked,
        attained_frac={p.name: t.good / t.requests for p, t in zip(pools, tallies, strict=True) if t.requests},
        kept_frac=sum(t.good for t in tallies) / max(1e-9, asked),
        starts=sum(t.starts for t in tallies), reshards=sum(t.reshards for t in tallies),
        clock_changes=sum(t.clock_changes for t in tallies), stalled_s=sum(t.stalled_s for t in tallies),
        ttft_p99_s=sum(t.waited_s for t in tallies) / max(1e-9, asked),
    )  # fmt: skip


def _misplaced(pools: Sequence[WeekPool], share: float) -> dict[tuple[int, int], Floats]:
    """(Class, pool) -> rate of the requests of one that are sent to the other, some of them to a neighbour."""
    found: dict[tuple[int, int], Floats] = {}
    for i, pool in enumerate(pools):
        beside = {max(0, i - 1), min(len(pools) - 1, i + 1)} - {i}
        wrong = share if beside else 0.0
        found[i, i] = pool.rate_req_per_s * (1 - wrong)
        found |= {(i, j): pool.rate_req_per_s * wrong / len(beside) for j in beside if wrong}
    return found


def _worth(rates: Mapping[tuple[int, int], Floats], pools: Sequence[WeekPool]) -> list[Floats]:
    """What is sent to each pool, in requests of its own class that are as much work."""
    worth = [max((k.capacity_req_per_s / k.tp for k in p.knobs), default=0.0) for p in pools]
    found = [np.zeros(len(p.rate_req_per_s)) for p in pools]
    for (origin, here), rate in rates.items():
        found[here] = found[here] + rate * (worth[here] / max(worth[origin], 1e-9))
    return found


def _moved_up(
    sent: Mapping[tuple[int, int], NDArray[Any]], shares: Sequence[Floats], rng: np.random.Generator | None
) -> dict[tuple[int, int], NDArray[Any]]:
    """What is sent where once a share of each pool's load has moved up to the next: drawn, or the mean of it."""
    found = dict(sent)
    for here, share in enumerate(shares[:-1]):
        if not share.any():
            continue
        for origin, place in [key for key in found if key[1] == here]:
            whole = found[origin, place]
            up = whole * share if rng is None else rng.binomial(whole, share)
            found[origin, place] = whole - up
            found[origin, here + 1] = found.get((origin, here + 1), 0) + up
    return found


def _machines(
    pools: Sequence[WeekPool], rates: Sequence[Floats], control: Control, gpus: int, rng: np.random.Generator,
    sigma: float,
) -> tuple[list[Floats], list[Floats]]:  # fmt: skip
    """Machines of each pool in every step, and the share of its load that moves up to the next."""
    steps = len(rates[0])
    window = max(1, round(control.cluster_period_s / control.instance_period_s)) if control.instances else steps
    plans, moved = [np.zeros(steps) for _ in pools], [np.zeros(steps) for _ in pools]
    for begin in range(0, steps, window):
        span = slice(begin, begin + window)
        error = 1 + sigma * rng.standard_normal() if control.instances else 1.0
        follows = control.instances
        peaks = [
            float(rate[span].max()) * max(0.1, error) if follows else pool.provided_req_per_s
            for rate, pool in zip(rates, pools, strict=True)
        ]
        states = [_state(p, 0, gpus, peak, peak) for p, peak in zip(pools, peaks, strict=True)]
        if not control.instances:
            counts, shares = tuple(machines_needed(s, control) for s in states), (0.0,) * len(states)
        else:
            counts, shares = spilled(states, control)
        for i, (count, share) in enumerate(zip(counts, shares, strict=True)):
            plans[i][span], moved[i][span] = count, share
    return plans, moved


def _state(pool: WeekPool, machines: int, gpus: int, forecast: float, rate: float) -> PoolState:
    return PoolState(
        machine_gpus=gpus, machines=machines, knobs=pool.knobs, forecast_req_per_s=forecast, rate_req_per_s=rate
    )  # fmt: skip


def _run_pool(pool: WeekPool, expected: Floats, arrived: Floats, plan: Floats, control: Control, gpus: int) -> _Tally:
    """One pool through the horizon, window after window of the pool controller."""
    dt, steps = control.instance_period_s, len(arrived)
    counts, ways, clocks = (np.zeros(steps, np.int64) for _ in range(3))
    tally = _Tally(power_w=np.zeros(steps), machines=plan.copy(), counts=counts, tp=ways, clock_mhz=clocks)
    window = max(1, round(control.pool_period_s / dt))
    tp = max(k.tp for k in pool.knobs)
    before, carried = int(plan[0]), (0.0, -1)
    for begin in range(0, steps, window):
        span = slice(begin, min(begin + window, steps))
        machines = int(plan[begin])
        _started(tally, pool, before, machines, begin, control, gpus)
        before = machines
        if not machines:
            continue
        peak = float(expected[span].max())
        if control.shards:
            usable = pool.knobs if control.clock else tuple(k for k in pool.knobs if k.clock_mhz == _top(pool.knobs))
            state = PoolState(machine_gpus=gpus, machines=machines, knobs=usable, forecast_req_per_s=peak,
                              rate_req_per_s=peak)  # fmt: skip
            wanted = shard(state, control).tp
            tally.reshards += (machines * gpus // wanted) * (wanted != tp)
            tally.stalled_s += (machines * gpus // wanted) * control.reshard_s * (wanted != tp)
            tp = wanted
        knobs = sorted((k for k in pool.knobs if k.tp == tp), key=lambda k: k.clock_mhz)
        count = machines * gpus // tp
        tally.counts[span], tally.tp[span] = count, tp
        carried = _run_window(tally, pool, knobs, arrived, span, count, control, carried)
    return tally


def _top(knobs: Sequence[Knob]) -> int:
    return max(k.clock_mhz for k in knobs)


def _started(
    tally: _Tally, pool: WeekPool, before: int, machines: int, begin: int, control: Control, gpus: int
) -> None:
    """Machines that serve from now on were started ahead, and idled until now; those no longer needed drain first."""
    dt, changed = control.instance_period_s, machines - before
    if not changed:
        return
    idle_w = max(k.table.idle_w / k.tp for k in pool.knobs) * gpus
    ahead = round(control.start_s / dt)
    if changed > 0:
        span = slice(max(0, begin - ahead), begin)
        tally.starts += changed
    else:
        longest = max(float(k.table.batch[-1] / max(1e-9, k.table.rate_req_per_s[-1])) for k in pool.knobs)
        span = slice(begin, begin + max(1, round(longest / dt)))
    tally.power_w[span] += abs(changed) * idle_w
    tally.machines[span] += abs(changed)


def _run_window(
    tally: _Tally, pool: WeekPool, knobs: Sequence[Knob], arrived: Floats, span: slice, count: int, control: Control,
    carried: tuple[float, int],
) -> tuple[float, int]:  # fmt: skip
    """Steps between two decisions on shards: clocks follow the rate of the step before; work beyond capacity queues.

    The queue and the last clock are carried from one window to the next.
    """
    backlog, last_clock = carried
    dt = control.instance_period_s
    seen = arrived[span] / count
    steady = _smoothed(seen)
    known = np.concatenate([steady[:1], steady[:-1]])
    chosen = _clocks(knobs, known, control) if control.clock else np.full(len(seen), len(knobs) - 1)
    most = np.array([k.table.saturated_req_per_s for k in knobs])
    # a queue is worked off at the highest clock: it is what the next steps see
    queue, served, late = backlog, seen, False
    if queue > 0 or (seen > most[chosen]).any():
        served = np.empty_like(seen)
        for i, rate in enumerate(seen):
            if queue > 0 and control.clock:
                chosen[i] = len(knobs) - 1
            served[i] = min(rate + queue / dt, most[chosen[i]])
            queue = max(0.0, queue + (rate - served[i]) * dt)
        late = queue > 0
    tally.clock_mhz[span] = np.array([k.clock_mhz for k in knobs])[chosen]
    watts, first, token = (np.empty_like(seen) for _ in range(3))
    for index, knob in enumerate(knobs):
        here = chosen == index
        if here.any():
            table: Operating = knob.table
            watts[here] = table.watts(served[here])
            # the operating points already hold the chance of arrivals; objectives are read at the steady rate
            first[here] = np.interp(steady[here], table.rate_req_per_s, table.ttft_p99_s)
            token[here] = np.interp(steady[here], table.rate_req_per_s, table.tpot_s)
    changes = int(np.count_nonzero(np.diff(chosen))) + int(last_clock not in (-1, int(chosen[0])))
    tally.clock_changes += changes if control.clock else 0
    tally.stalled_s += changes * count * control.clock_s if control.clock else 0.0
    ok = (first <= pool.ttft_p99_s) & (token <= pool.tpot_s) & (not late)
    asked = arrived[span] * dt
    tally.power_w[span] += watts * count
    tally.good, tally.requests = tally.good + float(asked[ok].sum()), tally.requests + float(asked.sum())
    tally.waited_s += float((asked * first).sum())
    return queue, int(chosen[-1])


def _smoothed(rate: Floats) -> Floats:
    """The mean over the last minute or so."""
    total = np.concatenate([[0.0], np.cumsum(rate)])
    ends = np.arange(1, len(rate) + 1)
    begins = np.maximum(0, ends - SMOOTHED_STEPS)
    return np.asarray((total[ends] - total[begins]) / (ends - begins), float)


def _clocks(knobs: Sequence[Knob], rate: Floats, control: Control) -> NDArray[np.int64]:
    """For each step the clock that draws least among those that keep the objectives; the highest where none does."""
    watts = np.array([k.table.watts(rate) for k in knobs])
    for row, knob in zip(watts, knobs, strict=True):
        row[rate > knob.capacity_req_per_s * (1 - control.margin_frac)] = np.inf
    best: NDArray[np.int64] = np.argmin(watts, axis=0)
    best[~np.isfinite(watts.min(axis=0))] = len(knobs) - 1
    return best
