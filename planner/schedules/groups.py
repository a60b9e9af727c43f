"""Epochs that are alike, of which the simulator serves one: in threads, the busiest first."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from planner.executor.here import Threads
from planner.results.timetable import Served
from planner.scenario.schedule_section import ScheduleSection
from planner.simulator.serve import prepare
from workloads.load import Floats

Progress = Callable[[str, float], None]


def in_groups(
    total_req_per_s: Floats, section: ScheduleSection, key: Callable[[int], str],
    look: Callable[[Sequence[int]], Sequence[Served]], progress: Progress,
) -> tuple[tuple[Served, ...], tuple[int, ...]]:  # fmt: skip
    """Every epoch, or the busiest where the scenario wants so many only; and those that were left out.

    Epochs are served on threads, each as if there were no other.

    Args:
        total_req_per_s: (epochs,) rate of all classes.
        section: how many different epochs are served.
        key: alike for epochs of which one need be served.
        look: serves the first of epochs that are alike, a row for each model.
        progress: told what is happening.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for epoch in range(len(total_req_per_s)):
        alike[key(epoch)].append(epoch)
    groups = sorted(alike.values(), key=lambda epochs: -float(total_req_per_s[epochs[0]]))
    wanted = len(groups) if section.validated_epochs is None else section.validated_epochs
    prepare(lambda doing: progress(doing, 0.0))
    done = list[int]()

    def told(place: int, _: object) -> None:
        done.append(place)
        progress(f"served epoch {groups[place][0]}", len(done) / min(wanted, len(groups)))

    rows = sorted(Threads().map(look, groups[:wanted], told=told), key=lambda each: each[0].epochs)
    unserved = tuple(sorted(epoch for epochs in groups[wanted:] for epoch in epochs))
    return tuple(served for each in rows for served in each), unserved
