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
    look: Callable[[Sequence[int], bool], Sequence[Served]], progress: Progress, *, brief: bool,
    near: Callable[[int], bool],
) -> tuple[tuple[Served, ...], tuple[int, ...]]:  # fmt: skip
    """Every epoch, or the busiest where the scenario wants so many only; and those that were left out.

    Epochs are served on threads, each as if there were no other. In full those come first that a brief look told to be
    near their limits: where one of them misses, something is planned anew, and a brief look is enough of the others.

    Args:
        total_req_per_s: (epochs,) rate of all classes.
        section: how many different epochs are served.
        key: alike for epochs of which one need be served.
        look: serves the first of epochs that are alike, a row for each model; briefly where that is enough.
        progress: told what is happening.
        brief: enough to go on looking.
        near: whether an epoch took a brief look at as many seeds as a full one.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for epoch in range(len(total_req_per_s)):
        alike[key(epoch)].append(epoch)
    groups = sorted(alike.values(), key=lambda epochs: -float(total_req_per_s[epochs[0]]))
    wanted = len(groups) if section.validated_epochs is None else section.validated_epochs
    prepare(lambda doing: progress(doing, 0.0))
    done = list[int]()

    def told(_: int, found: Sequence[Served]) -> None:
        done.append(found[0].epochs[0])
        progress(f"served epoch {done[-1]}", len(done) / min(wanted, len(groups)))

    def rows_of(some: Sequence[list[int]], *, brief: bool) -> list[Sequence[Served]]:
        return Threads().map(lambda epochs: look(epochs, brief), some, told=told)

    wanted_now = groups[:wanted]
    first = [epochs for epochs in wanted_now if not brief and near(epochs[0])]
    rows = rows_of(first, brief=False)
    missed = any(not each.valid for found in rows for each in found)
    rows += rows_of([epochs for epochs in wanted_now if epochs not in first], brief=brief or missed)
    rows.sort(key=lambda each: each[0].epochs)
    unserved = tuple(sorted(epoch for epochs in groups[wanted:] for epoch in epochs))
    return tuple(served for each in rows for served in each), unserved
