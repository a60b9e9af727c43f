"""Epochs that keep their pools while those that missed are planned anew, or take the pools of a busier epoch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from planner.formulate.epoch_question import EpochQuestion, instances, rate
from planner.results.schedule import Schedule
from planner.results.timetable import Served
from planner.schedules.provision import Provided
from workloads.load import Floats, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Pools that epochs run whatever else is planned.

    Attributes:
        schedule: has the pools.
        lender: epoch -> the epoch whose pools it runs, mostly itself; epochs that are not named are planned.
    """

    schedule: Schedule
    lender: Mapping[int, int]

    @property
    def names(self) -> frozenset[str]:
        """What these pools are instances of."""
        return frozenset(run.name for at in self.lender.values() for run in self.schedule.epochs[at].runs)

    def values(self, question: EpochQuestion) -> dict[str, float]:
        """Columns of these pools -> their values; they carry what the question provides for, as they share it now."""
        found: dict[str, float] = {}
        for epoch, lender in self.lender.items():
            runs = self.schedule.epochs[lender].runs
            for option in question.running(epoch):
                mine = [run for run in runs if run.name == option.name]
                found[instances(option, epoch)] = float(sum(run.instances for run in mine))
                for name in question.served(option, epoch):
                    ratio = question.peak(name, epoch) / question.peak(name, lender)
                    found[rate(option, name, epoch)] = ratio * sum(run.rate_req_per_s.get(name, 0.0) for run in mine)
        return found


def failing(served: Iterable[Served]) -> frozenset[int]:
    """Epochs that were served and missed something."""
    return frozenset(epoch for each in served if not each.valid for epoch in each.epochs)


def busier(load: Load, served: Sequence[Served], epoch: int, beyond: int) -> int | None:
    """The least busy epoch whose pools served it well, busier in total than another and asking no less of any class.

    Args:
        load: peaks of the epochs.
        served: every epoch that the simulator has seen.
        epoch: to find pools for.
        beyond: only epochs that are busier than this one.

    Returns:
        None where there is none.
    """
    peaks = load.peak_req_per_s.values()
    total = [sum(float(rates[at]) for rates in peaks) for at in range(load.epochs)]
    good = {at for each in served for at in each.epochs} - failing(served)
    able = [
        at for at in sorted(good)
        if total[at] > total[beyond]
        and all(rates[at] >= rates[epoch] and (rates[at] > 0) == (rates[epoch] > 0) for rates in peaks)
    ]  # fmt: skip
    return min(able, key=lambda at: total[at], default=None)


def lent(load: Load, provided: Provided, lender: Mapping[int, int]) -> dict[str, Floats]:
    """What is provided for where epochs run the pools of others: as much as in those."""
    found = {name: ratios.copy() for name, ratios in provided.items()}
    for name, ratios in found.items():
        peaks = load.peak_req_per_s[name]
        for epoch, other in lender.items():
            if epoch != other and peaks[epoch] > 0:
                ratios[epoch] = provided[name][other] * peaks[other] / peaks[epoch]
    return found
