"""How many machines a row holds: simulated weeks, the same for every number of machines, and a search over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from hw_catalog.domains import PowerControls, PowerDomain
from planner.planning.row_curves import duration, series_of
from planner.policies.power import PowerPolicy
from planner.results.row import DomainUse, RowSeries, RowTrial
from planner.simulator.rows.load import Weeks
from planner.simulator.rows.metrics import largest_rise_w, losses, throughput_loss_frac
from planner.simulator.rows.rows import Floor, Keep, RowCase, RowRun, run_rows
from workloads.counts import percent, plural

Floats = NDArray[np.floating]
Progress = Callable[[str, float], None]

WARMUP_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowQuestion:
    """What is asked of a row.

    Attributes:
        floor: what would stand in it; holds the most machines looked at.
        limit_w: of its breaker.
        provisioned_machines: that the limit is meant for, >= 1.
        policy: what its manager does.
        thresholds_frac: of the policy, at most two, for the time beyond them.
        limits_frac: ``low_p50``, ``low_p99``, ``high_p50``, ``high_p99`` -> most that control may add.
        controls: delays.
        seeds: one per week.
        week_s: length of each.
        tick_s: resolution.
    """

    floor: Floor
    limit_w: float
    provisioned_machines: int
    policy: PowerPolicy
    thresholds_frac: tuple[float, ...]
    limits_frac: dict[str, float]
    controls: PowerControls
    seeds: tuple[int, ...]
    week_s: float
    tick_s: float

    @property
    def most_machines(self) -> int:
        """The largest number looked at."""
        return len(self.floor.kind_of)


class RowLab:
    """The weeks without control, run once, and every number of machines with it."""

    def __init__(self, question: RowQuestion, tell: Progress, like: "RowLab | None" = None) -> None:
        """Run the weeks without control.

        Args:
            question: what is asked.
            tell: progress.
            like: of the same row under another control, whose weeks without control are these.
        """
        self.question, self._tell = question, tell
        self.trials: dict[int, RowTrial] = {}
        self.series: dict[int, RowSeries] = {}
        self._weeks: Weeks = question.floor.weeks(question.tick_s) if like is None else like._weeks
        self.free: list[RowRun] = self._uncontrolled() if like is None else like.free

    def _uncontrolled(self) -> list[RowRun]:
        """The weeks without control, with the most machines looked at; each machine of the first of them."""
        q = self.question
        first, *others = [RowCase(machines=q.most_machines, limit_w=inf, policy=None, seed=s) for s in q.seeds]
        part = Keep(weeks=self._weeks, machines=q.provisioned_machines)
        return self._run([first], "without control", replace(part, each=True)) + self._run(
            others, "without control", part
        )

    def _run(self, cases: Sequence[RowCase], words: str, keep: Keep) -> list[RowRun]:
        q = self.question
        return run_rows(
            q.floor, cases, q.controls, duration_s=q.week_s, tick_s=q.tick_s, keep=keep,
            warmup_s=min(WARMUP_S, q.week_s / 4), tell=lambda frac: self._tell(words, frac),
        )  # fmt: skip

    def settled(self, row_w: Floats) -> Floats:
        """A week's watts without its first, empty hour."""
        return row_w[int(min(WARMUP_S, self.question.week_s / 4) / self.question.tick_s) :]

    @property
    def peak_frac(self) -> float:
        """Highest draw of the provisioned row over the limit, without control."""
        n = self.question.provisioned_machines
        return float(max(r.peak_w[min(n, len(r.peak_w)) - 1] for r in self.free)) / self.question.limit_w

    @property
    def uncapped_machines(self) -> int:
        """Most machines whose peak stays within the limit without control; 0 where not even one's does."""
        peaks = np.max([r.peak_w for r in self.free], axis=0)
        return int((peaks <= self.question.limit_w).sum())

    def rise_frac(self, window_s: float) -> float:
        """Most that the provisioned row rose within a window."""
        tick_s = self.question.tick_s
        watts = [self.settled(r.part_w) for r in self.free if r.part_w is not None]
        rises = [largest_rise_w(each, tick_s, window_s) for each in watts]
        return max(rises) / self.question.limit_w

    def try_out(self, machines: int) -> RowTrial:
        """So many machines, simulated once."""
        q = self.question
        if machines not in self.trials:
            cases = [RowCase(machines=machines, limit_w=q.limit_w, policy=q.policy, seed=s) for s in q.seeds]
            weeks = self._run(cases, plural(machines, "machine"), Keep(weeks=self._weeks))
            self.trials[machines], self.series[machines] = self._trial(weeks), self._series(weeks)
        return self.trials[machines]

    def _trial(self, weeks: list[RowRun]) -> RowTrial:
        """What weeks with so many machines say."""
        q, n = self.question, weeks[0].case.machines
        watts = np.concatenate([r.row_w for r in weeks]) / q.limit_w
        edges = (*q.thresholds_frac, 1.0, inf)[:2] if len(q.thresholds_frac) < 2 else q.thresholds_frac
        lost = dict(losses(weeks, self.free, q.floor))
        brakes = sum(r.brakes for r in weeks)
        fails = [f"{plural(brakes, 'brake')}"] if brakes else []
        fails += [f"{k} +{percent(v)}" for k, v in lost.items() if v > q.limits_frac[k]]
        return RowTrial(
            machines=n, ratio=n / q.provisioned_machines, peak_frac=float(watts.max()), brakes=brakes,
            brake_s=sum(r.brake_s for r in weeks), above_s=sum(r.above_s for r in weeks),
            longest_above_s=max(r.longest_above_s for r in weeks),
            beyond_t1_frac=float(((watts > edges[0]) & (watts <= edges[1])).mean()),
            beyond_t2_frac=float((watts > edges[1]).mean()),
            low_clock_lost_s=sum(r.low_clock_lost_s for r in weeks),
            high_clock_lost_s=sum(r.high_clock_lost_s for r in weeks), loss_frac=lost,
            throughput_loss_frac=throughput_loss_frac(weeks, self.free, q.floor),
            commands=sum(r.commands for r in weeks), lost_commands=sum(r.lost_commands for r in weeks),
            fails=tuple(fails),
        )  # fmt: skip

    def _series(self, weeks: list[RowRun]) -> RowSeries:
        """What weeks with so many machines draw over time, and the first of them without control."""
        q, n, kept = self.question, weeks[0].case.machines, self.free[0].machine_w
        free = () if kept is None else duration(self.settled(kept[:, :n].sum(axis=1)) / q.limit_w)
        return series_of(weeks, q.floor, [self.settled(r.row_w) for r in weeks], free)

    def largest(self) -> int:
        """Most machines that hold every limit with no brake; 0 where not even one does.

        It is looked for around what stays within the limit without control, in steps that double, then by bisection.
        What holds for a number is taken to hold for fewer: more machines never draw less, on the same weeks.
        """
        low, high, step = 0, self.question.most_machines + 1, 1
        guess = min(max(1, self.uncapped_machines), high - 1)
        while high - low > 1:
            if self.try_out(guess).fails:
                high, further = guess, guess - step
            else:
                low, further = guess, guess + step
            inside = low < further < high and 0 in (low, self.question.most_machines + 1 - high)
            guess, step = (further if inside else (low + high) // 2), 2 * step
        return low

    def domains(self, tree: Sequence[PowerDomain], machines: int, rated_w: float) -> tuple[DomainUse, ...]:
        """What rack, row and UPS draw with so many machines in the row, without control."""
        first = self.free[0]
        each = self.settled(first.machine_w[:, :machines]) if first.machine_w is not None else np.zeros((1, 1))
        uses = []
        per_row = {d.name: d for d in tree}
        rack = per_row["rack"].machines
        racks = np.add.reduceat(each, np.arange(0, machines, rack), axis=1)
        fullest = racks[:, int(racks.max(axis=0).argmax())]
        row = each.sum(axis=1)
        singles = each.max(axis=0)
        uses.append(_use(per_row["rack"], rack, rated_w, fullest, float(np.sort(singles)[-rack:].sum())))
        uses.append(_use(per_row["row"], machines, rated_w, row, float(singles.sum())))
        rows = per_row["ups"].machines // per_row["row"].machines
        weeks = [self.settled(r.row_w) for r in self.free]
        several = np.sum([weeks[i % len(weeks)] for i in range(rows)], axis=0) * machines / first.case.machines
        peaks = sum(float(weeks[i % len(weeks)].max()) for i in range(rows)) * machines / first.case.machines
        uses.append(_use(per_row["ups"], rows * machines, rated_w, several, peaks))
        return tuple(uses)


def _use(domain: PowerDomain, machines: int, rated_w: float, watts: Floats, parts_w: float) -> DomainUse:
    return DomainUse(
        domain=domain.name, machines=machines, rated_w=machines * rated_w, limit_w=domain.limit_w,
        p99_w=float(np.quantile(watts, 0.99)), peak_w=float(watts.max()),
        coincidence_ratio=float(watts.max()) / parts_w,
    )  # fmt: skip
