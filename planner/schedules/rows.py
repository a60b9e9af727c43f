"""The rows that the machines of a plan over time stand in: studied with its busiest epoch, a limit of the others."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from planner.capacity.totals import totals
from planner.resolve.case import Case
from planner.resolve.inputs import Inputs
from planner.results.plan import CandidatePlan, Pool
from planner.results.row import RowStudy
from planner.results.schedule import Epoch, Schedule
from planner.results.timetable import Timetable

Study = Callable[[Case, CandidatePlan], tuple[RowStudy, str]]
"""Says how many machines like a plan's a row holds, and why they do not stand in the rows; "" where they do."""

MOST_ROUNDS = 3
"""Schedules that are tried in their rows; each after the first has fewer machines than they did not hold."""


def in_rows(
    found: Timetable, case: Case, study: Study, again: Callable[[int], tuple[Timetable, Case]],
    planned: Callable[[int], bool],
) -> Timetable:  # fmt: skip
    """The schedule, if its machines stand in the rows that there are; else one of fewer machines that does, or none.

    Machines that are not powered draw nothing: the busiest epoch is studied, as the peak of the row's week.

    Args:
        found: a validated schedule.
        case: that it is of.
        study: of a row.
        again: makes the schedule of so many machines at most, with its case.
        planned: whether there is a schedule in so many rows.
    """
    first, needs, why = found, list[int](), ""
    for turn in range(MOST_ROUNDS):
        if found.schedule is None or not found.valid:
            break
        busiest = busiest_of(found.schedule)
        row, wrong = study(case, at_work(case, busiest, found))
        if not wrong:
            return replace(found, power=row)
        why, needs = why or wrong, [*needs, row.needed_rows]
        places = min(row.rows * row.machines, sum(busiest.machines.values()) - 1)
        if places < 1 or turn + 1 == MOST_ROUNDS:
            break
        found, case = again(places)
    least = enough(needs, planned)
    rows = f"raise power.rows from {case.scenario.power.rows} to at least {least}" if least else ""
    return replace(first, schedule=None, served=(), lacking=tuple(filter(None, (why, rows))), proven=False)


def enough(needs: Sequence[int], planned: Callable[[int], bool]) -> int:
    """The fewest rows known to be enough; 0 where none are.

    Args:
        needs: rows of each schedule that was tried, 0 where no number holds it. The first is the answer where all its
            rows are there; another one is made anew in those of one of fewer machines, so these are planned with.
        planned: whether there is a schedule in so many rows.
    """
    first, *others = needs or [0]
    fewest = min(filter(None, needs), default=0)
    return next((n for n in range(fewest, first or max(others, default=0) + 1) if n and planned(n)), first)


def busiest_of(schedule: Schedule) -> Epoch:
    """The epoch in which most machines are powered."""
    return max(schedule.epochs, key=lambda epoch: sum(epoch.machines.values()))


def at_work(case: Case, epoch: Epoch, found: Timetable) -> CandidatePlan:
    """An epoch as a plan of one load: its instances on the machines that are powered, each machine told as one pool's.

    Pools of an epoch may share a machine. A row has machines of one pool each, all of them full, so what pools share is
    told as the pool's that has most of it.
    """
    options = {option.spec.name: option for option in case.options}
    pools = [
        Pool(
            spec=run.spec, instances=run.instances, machines=count, rate_req_per_s=run.rate_req_per_s, load_frac=0.0,
            kv_load_frac=0.0,
        )
        for run, count in zip(epoch.runs, _machines(case, epoch), strict=True)
    ]  # fmt: skip
    bare = {name: replace(option, reliability=None) for name, option in options.items()}
    return CandidatePlan(
        policy=found.policies, pools=tuple(pools), headroom=case.scenario.headroom_limits(), rate_scale=1.0,
        totals=totals((bare[p.spec.name], p.machines, p.rate_req_per_s) for p in pools),
        termination=found.termination, variant=case.variant,
    )  # fmt: skip


def _machines(case: Case, epoch: Epoch) -> list[int]:
    """Machines of each pool of an epoch, together no more than are powered: those that no pool fills go by shares."""
    options, exact, whole = {option.spec.name: option for option in case.options}, list[float](), list[int]()
    for run in epoch.runs:
        option, needed = options[run.spec.name], run.instances - run.spare_instances
        per_instance = option.machines_per_instance / option.instances_per_machine
        exact.append(needed * per_instance + run.spare_machines)
        whole.append(-(-needed // option.instances_per_machine) * option.machines_per_instance + run.spare_machines)
    found = list(whole)
    for name, powered in epoch.machines.items():
        mine = [at for at, run in enumerate(epoch.runs) if run.spec.machine == name]
        rounded_up = sorted((at for at in mine if whole[at] > exact[at]), key=lambda at: (exact[at] % 1, at))
        for at in rounded_up[: max(0, sum(whole[at] for at in mine) - powered)]:
            found[at] -= 1
    return found


def of_rows(inputs: Inputs, rows: int) -> Inputs:
    """The same question with so many rows."""
    return replace(inputs, scenario=inputs.scenario.changed([f"power.rows={rows}"]))


def of_at_most(inputs: Inputs, machines: int) -> Inputs:
    """The same question about fewer machines, which changes nothing of what they offer."""
    return replace(inputs, scenario=inputs.scenario.changed([f"budgets.machines={machines}"]))
