"""Splitwise's provisioning grid: every design, every split, both workloads, both readings.

Under the public rules more machines can hurt, so no point is concluded from how many machines it has. A point is spared
its simulation only where that of a larger cluster proves it the same, request by request (``trial.unused``).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from planner.errors import BadInput
from planner.executor import Executor
from planner.reproduce.designs import SIMULATOR, Cluster, Tariff, design
from planner.reproduce.lab import CODING, CONVERSATION, SWEEP_ENDS_REQ_PER_S
from planner.reproduce.readings import reading
from planner.reproduce.search import Problem, measure, swept, weights, within
from planner.reproduce.trial import Bench, draw
from planner.scenario.designs import A100, DESIGNS, H100, H100_CAPPED, Design

MODEL = "bloom-176b"
WORKLOADS = (CODING, CONVERSATION)
RATE_REQ_PER_S = 70
MOST = {A100: 69, H100: 39, H100_CAPPED: 39}
"""The published grid's largest count of each kind; a baseline goes to twice as many and one."""

BUDGET_MACHINES = 40
"""DGX-H100 whose price or power is spent."""

BUDGETS = (Problem.ISO_COST_THROUGHPUT, Problem.ISO_POWER_THROUGHPUT)
AT_RATE = (Problem.ISO_THROUGHPUT_COST, Problem.ISO_THROUGHPUT_POWER, Problem.ISO_THROUGHPUT_SPACE)

REQUESTS = 22_000
"""More than arrive in two minutes at the highest rate of the sweeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One design at the fixed rate with one number of token machines, or under a budget with one of prompt machines.

    Attributes:
        reading: how the published data are read.
        workload: built-in id.
        design: by name.
        problem: whose budget is spent; None at the fixed rate.
        machines: token machines at the fixed rate (of a baseline: 0); prompt machines under a budget.
        rates_req_per_s: at the fixed rate by number of prompt machines, from one on, that rate where it holds and 0
            where it does not; under a budget the one entry is the highest rate of the sweep that holds.
    """

    reading: str
    workload: str
    design: str
    problem: str | None
    machines: int
    rates_req_per_s: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str | None, int]:
        """What is asked, without the answer."""
        return self.reading, self.workload, self.design, self.problem, self.machines

    def clusters(self, tariff: Tariff = SIMULATOR) -> Iterator[tuple[Cluster, int]]:
        """Every cluster of the row and the rate that it holds."""
        if self.problem is not None:
            spent = _bought(self.design, Problem(self.problem), self.machines, tariff)
            if spent:
                yield spent, self.rates_req_per_s[0]
            return
        for p, rate in enumerate(self.rates_req_per_s, 1):
            yield Cluster(design=design(self.design), prompt_machines=p, token_machines=self.machines), rate


def _bought(name: str, problem: Problem, prompt_machines: int, tariff: Tariff) -> Cluster | None:
    """What the budget buys beside so many prompt machines; of a baseline it is one cluster, at its own count."""
    each = weights(problem, tariff)
    found = within(design(name), prompt_machines, each, BUDGET_MACHINES * each[H100])
    return found if found and found.prompt_machines == prompt_machines else None


def most_prompts(made: Design) -> int:
    """The grid's largest count of prompt machines of a design, or of a baseline's machines."""
    most = MOST[made.prompt_machine]
    return most if made.token_machine else 2 * most + 1


def questions(name: str, workload: str) -> Iterator[Row]:
    """Every row of a reading of a workload, without its answer."""
    for made in DESIGNS:
        for t in range(1, MOST[made.token_machine] + 1) if made.token_machine else (0,):
            yield Row(reading=name, workload=workload, design=made.name, problem=None, machines=t)
        for problem in BUDGETS:
            for p in range(1, 200):
                if _bought(made.name, problem, p, SIMULATOR):
                    yield Row(reading=name, workload=workload, design=made.name, problem=problem, machines=p)


def answered(row: Row, bench: Bench) -> Row:
    """A row with its answer."""
    if row.problem is None:
        return replace(row, rates_req_per_s=_held(row, bench))
    spent = _bought(row.design, Problem(row.problem), row.machines, SIMULATOR)
    assert spent
    return replace(row, rates_req_per_s=(swept(bench, spent, most_req_per_s=SWEEP_ENDS_REQ_PER_S[row.workload]),))


def _held(row: Row, bench: Bench) -> tuple[int, ...]:
    """The fixed rate or 0 by number of prompt machines: the most first, and on to the fewest that were used."""
    made, rates, p = design(row.design), list[int](), most_prompts(design(row.design))
    while p:
        one = Cluster(design=made, prompt_machines=p, token_machines=row.machines)
        trial = bench.tried(one, float(RATE_REQ_PER_S))
        same = min(p, 1 + trial.unused[0])
        rates += [RATE_REQ_PER_S if trial.holds else 0] * same
        p -= same
    return tuple(reversed(rates))


def read(folder: Path) -> list[Row]:
    """The answers of a folder; a last line that was cut off is left out.

    Raises:
        BadInput: a file holds something else.
    """
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_text().split("\n")
        if lines[-1]:  # cut off: the row is asked again, on a line of its own
            path.write_text("\n".join((*lines[:-1], "")))
        for number, line in enumerate(lines[:-1], 1):
            try:
                data = json.loads(line)
                found.append(Row(**{**data, "rates_req_per_s": tuple(data["rates_req_per_s"])}))
            except (ValueError, TypeError, KeyError):
                raise BadInput(f"{path}:{number}: found no row of a grid; expected a folder of its own") from None
    return found


def grid(
    readings: Sequence[str], folder: Path, *, executor: Executor, progress: Callable[[str, float], None]
) -> list[Row]:
    """Answer whatever is not answered in a folder, and return all of it.

    Args:
        readings: of ``as-published`` and ``as-measured``.
        folder: answers are kept there, each as it is found, so that an interrupted grid goes on where it was.
        executor: simulates.
        progress: takes what is being measured, and the share that is done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked = [row for name in readings for workload in WORKLOADS for row in questions(name, workload)]
    done = {row.key for row in read(folder)}
    missing = [row for row in asked if row.key not in done]
    for name, workload in dict.fromkeys((row.reading, row.workload) for row in missing):
        mine = [row for row in missing if (row.reading, row.workload) == (name, workload)]
        read_as = reading(name, MODEL, (A100, H100, H100_CAPPED))
        bench = Bench(read_as, draw(workload, read_as.alone, requests=REQUESTS))
        with (folder / f"{name}-{workload}.jsonl").open("a") as file:

            def told(_place: int, row: Row) -> None:
                file.write(json.dumps(asdict(row)) + "\n")
                file.flush()
                done.add(row.key)
                progress(f"{row.reading} of {row.workload}", len(done) / max(1, len(asked)))

            executor.map(answered, mine, common=(bench,), told=told)
    keys = {row.key for row in asked}
    return [row for row in read(folder) if row.key in keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best clusters of a design in one problem.

    Attributes:
        reading: how the published data are read.
        workload: built-in id.
        design: by name.
        problem: what is made best.
        value: dollars per hour, watts or machines for the fixed rate; requests per second under a budget.
        clusters: all that are as good, in words.
        points: of the grid, for it.
        held: of them at the fixed rate, or at any rate under a budget.
        hurt: points that miss although one with fewer machines of either kind holds; at the fixed rate only.
    """

    reading: str
    workload: str
    design: str
    problem: str
    value: float
    clusters: tuple[str, ...]
    points: int
    held: int
    hurt: int


def best(rows: Sequence[Row]) -> list[Best]:
    """The best of every problem, design, workload and reading; none where nothing holds."""
    found = []
    for name, workload in dict.fromkeys((r.reading, r.workload) for r in rows):
        for made in DESIGNS:
            mine = [r for r in rows if (r.reading, r.workload, r.design) == (name, workload, made.name)]
            for problem in (*AT_RATE, *BUDGETS):
                asked = None if problem in AT_RATE else problem.value
                points = dict(p for r in mine if r.problem == asked for p in r.clusters())
                held = {c: rate for c, rate in points.items() if rate}
                if held:
                    value, winners = _winners(problem, held)
                    found.append(Best(
                        reading=name, workload=workload, design=made.name, problem=problem.value, value=value,
                        clusters=tuple(c.words.split()[-1] for c in winners), points=len(points), held=len(held),
                        hurt=_hurt(points) if asked is None else 0,
                    ))  # fmt: skip
    return found


def _winners(problem: Problem, held: dict[Cluster, int]) -> tuple[float, list[Cluster]]:
    """The best value among the clusters that hold, and all that have it."""
    if problem in BUDGETS:
        top = max(held.values())
        return float(top), [c for c, rate in held.items() if rate == top]
    each = weights(problem, SIMULATOR)
    least = min(measure(c, each) for c in held)
    return least, [c for c in held if measure(c, each) <= least * (1 + 1e-9)]


def _hurt(points: dict[Cluster, int]) -> int:
    """Points that miss although the one with a machine fewer of one kind holds."""
    held = {(c.prompt_machines, c.token_machines) for c, rate in points.items() if rate}
    missed = [(c.prompt_machines, c.token_machines) for c, rate in points.items() if not rate]
    return sum((p - 1, t) in held or (p, t - 1) in held for p, t in missed)
