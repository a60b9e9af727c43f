"""The first screen of an answer: what to buy, whether it holds, and how sure that is, in at most 25 lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.report.availability import availability_line
from planner.report.choices import MOST_NAMED, best_others
from planner.report.evidence import objectives
from planner.report.folding import folded
from planner.report.headlines import divided_words
from planner.report.page import Block, Lines, Pairs, Table
from planner.report.rows import row_line
from planner.report.words import amount, is_best, plan_gap, spares_down, valued
from planner.results.evidence import Evidence, Neighbour, ValidatedPlan, Verdict
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Objective
from workloads.counts import percent, plural

LINES = 25
_INDENT = 2
_GAP = 2
_TABLE = 2
"""Lines of a table besides its rows: an empty one and headings; where there is room, a rule below these."""
_FEWEST = 3
"""Rows of a table that are shown before facts are cut short."""
_FACT_LINES = 3
_PREDICTION = " the prediction"


def more(sections: str) -> str:
    """Where to read on: names of sections of a plan's page."""
    return f"More: --verbose, --report FILE, show PLAN --sections all ({sections})"


def facts(plan: ValidatedPlan, where: str = "") -> tuple[tuple[str, str], ...]:
    """What a first look must tell besides machines, objectives and figures, the most important last to be cut short.

    Args:
        plan: the answer.
        where: further alternatives are to be found.
    """
    others = best_others(plan, where) or plan.alternatives[:MOST_NAMED]
    told = (
        ("Row", row_line(plan.power) if plan.power else ""),
        ("Availability", availability_line(plan.availability) if plan.availability else ""),
        ("Load margin", _margin(plan)),
        ("Not more" if plan.objective == Objective.THROUGHPUT else "Not less", _not_less(plan)),
        ("Cells", divided_words(plan)),
        ("Accuracy", "; ".join(map(ratios_first, plan.accuracy))),
        *(("" if place else "Alternatives", words) for place, words in enumerate(others)),
        ("Workload", plan.judgement.workload),
    )
    return tuple((name, words) for name, words in told if words)


def ratios_first(line: str) -> str:
    """A line of ``measured_against`` that begins with what was measured, so that the runs are what a cut leaves out."""
    runs, _, told = line.partition(": ")
    if _PREDICTION not in told:
        return line
    ratios, bracket, rest = told.replace(_PREDICTION, "", 1).rpartition(" (")
    return f"{ratios}{_PREDICTION}{bracket}{rest}: {runs}"


def _margin(plan: ValidatedPlan) -> str:
    """How much more load the machines carry."""
    margin = plan.margin
    if margin is None:
        return ""
    without = spares_down(sum(pool.spares for pool in plan.candidate.pools))
    if margin.misses_ratio is None:
        return f"{without}{margin.holds_ratio:g} times the load; more was not tried"
    holds = f"{margin.holds_ratio:g} times the load" if margin.holds_ratio > 1 else "none"
    return f"{without}{holds}; at {margin.misses_ratio:g} {_and_more(margin.fails, 'reason')}"


def _not_less(plan: ValidatedPlan) -> str:
    """The rejected plan that came closest, and what is proven."""
    certificate = plan.certificate
    found = sorted(certificate.neighbours, key=_miss)
    parts = [_rejected(found[0])] if found else []
    if certificate.bound is not None and certificate.gap_frac is not None:
        side = "at most" if plan.objective == Objective.THROUGHPUT else "at least"
        bound = f"proven: {side} {valued(plan.objective, certificate.bound)} (gap {plan_gap(plan)})"
        parts.append("proven: nothing less can carry the load" if is_best(plan) else bound)
    return "; ".join(parts)


def _miss(neighbour: Neighbour) -> float:
    """How far a rejected plan is from its objectives; most where it was not even simulated."""
    if neighbour.judgement is None:
        return float("inf")
    return max((e.used_ratio for e in _against(neighbour) or neighbour.judgement.evidence), default=0.0)


def _against(neighbour: Neighbour) -> list[Evidence]:
    """What speaks against a rejected plan: the objectives that it misses, before those that are only in doubt."""
    told = neighbour.judgement.evidence if neighbour.judgement else ()
    by_verdict = ([e for e in told if e.verdict is verdict] for verdict in (Verdict.MISSED, Verdict.UNDECIDED))
    return next((found for found in by_verdict if found), [])


def _rejected(neighbour: Neighbour) -> str:
    """A rejected plan and its worst objective."""
    missed = _against(neighbour)
    why = neighbour.fails[0] if neighbour.fails else "fails"
    if not neighbour.machines and neighbour.judgement is None:
        return f"without {neighbour.pool} no machine serves its requests"
    if missed:
        worst = max(missed, key=lambda e: e.used_ratio)
        measured, low, high, limit = (
            amount(value, worst.unit) for value in (worst.measured, worst.low, worst.high, worst.limit)
        )
        between = f" ({low} to {high})" if worst.verdict is Verdict.UNDECIDED else ""
        why = f"{worst.key} {measured}{between}, limit {limit}"
    have = plural(neighbour.machines, "machine") if neighbour.machines else "none"
    return f"{why}, with {have} of {neighbour.pool}"


def _and_more(lines: Sequence[str], noun: str) -> str:
    """The first line, and how many there are besides."""
    if not lines:
        return ""
    return lines[0] + (f"; {plural(len(lines) - 1, f'more {noun}')}" if len(lines) > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A table of a first screen.

    Attributes:
        table: with all its rows.
        places: of its rows, those that are left out first at the end.
        rest: what is said of the rows left out, by their places.
        most: rows that are shown however much room there is; None shows all that fit.
    """

    table: Table
    places: Sequence[int]
    rest: Callable[[Sequence[int]], str]
    most: int | None = None

    @property
    def rows(self) -> int:
        """Rows that may be shown."""
        return len(self.places) if self.most is None else min(self.most, len(self.places))


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Tables and facts below a head, cut to ``LINES`` lines of whatever width a terminal has.

    Attributes:
        head: the lines that stand above.
        parts: the tables.
        told: facts, the most important first, as many lines of each as there is room for. Facts without a name go on
            with the one before them; they have a line where the others have one each. What follows them, but for the
            last of all, has one only where the others have whole first sentences. Where even one line each is too much,
            all but the first and the last are left out, from the end.
        more: where to read on.
    """

    head: tuple[str, ...]
    parts: tuple[Part, ...]
    told: tuple[tuple[str, str], ...]
    more: str

    def blocks(self, width: int) -> tuple[Block, ...]:
        """What stands below the head on a terminal of ``width`` columns."""
        counts = [part.rows for part in self.parts]
        on = self.more if _height(self.more, width - _INDENT) == 1 else self.more.partition(" (")[0]
        around = sum(_height(line, width) for line in self.head) + _height(on, width - _INDENT)
        around += sum(part.rows < len(part.places) for part in self.parts)
        left = LINES - around - _TABLE * len(counts)
        close = left - sum(counts) < len(self.told) - sum(_named(self.told)) and len(counts) > 1
        left += close * (len(counts) - 1)
        ruled = sum(counts) + sum(_shortened(self.told, LINES, width)[1]) + len(counts) < left
        left -= ruled * len(counts)
        room = left - sum(_lines(count, _FEWEST) for count in counts)
        apart = _apart(self.told, left - sum(counts), width)
        shortened, heights = _shortened(self.told, room - apart, width)
        left, used = left - apart, sum(heights)
        shown = _shared(counts, left - used)
        parts = enumerate(zip(self.parts, shown, strict=True))
        tables = [block for at, (part, rows) in parts for block in _cut(part, rows, ruled, apart=not (close and at))]
        facts_shown = (Pairs(rows=shortened, apart=apart),) if shortened else ()
        return *tables, *facts_shown, Lines(lines=(on,))


def warned(told: Sequence[tuple[str, str]], warnings: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Facts, and the first of the doubts at their end."""
    return (*told, *(((f"Warnings ({len(warnings)})", warnings[0]),) if warnings else ()))


def pools_part(pools: Table, candidate: CandidatePlan) -> Part:
    """The table of a plan's pools, the smallest left out first."""
    machines = [pool.machines for pool in candidate.pools]

    def rest(places: Sequence[int]) -> str:
        return (
            f"and {plural(len(places), 'more pool')} with {plural(sum(machines[place] for place in places), 'machine')}"
        )

    return Part(table=pools, places=sorted(range(len(machines)), key=lambda place: -machines[place]), rest=rest)


def objectives_part(evidence: Sequence[Evidence]) -> Part:
    """The table of objectives, those that are met with most room left out first."""

    def rest(places: Sequence[int]) -> str:
        used = max(evidence[place].used_ratio for place in places)
        return f"and {plural(len(places), 'more objective')}, none beyond {percent(used)} of its limit"

    order = sorted(range(len(evidence)), key=lambda at: (evidence[at].verdict is Verdict.MET, -evidence[at].used_ratio))
    return Part(table=objectives(evidence), places=order, rest=rest)


def rows_part(table: Table) -> Part:
    """A table whose last rows are left out first."""
    return Part(
        table=table, places=range(len(table.rows)), rest=lambda places: f"and {plural(len(places), 'more row')}"
    )


def _cut(part: Part, rows: int, ruled: bool, *, apart: bool) -> tuple[Block, ...]:
    """Some rows of a table in their order, and what is said of the others."""
    if rows == len(part.places):
        return (replace(part.table, ruled=ruled, apart=apart),)
    kept = [part.table.rows[place] for place in sorted(part.places[:rows])]
    return replace(part.table, rows=kept, ruled=ruled, apart=apart), Lines(lines=(part.rest(part.places[rows:]),))


def _lines(count: int, most: int) -> int:
    """Lines that a table of ``count`` rows takes below its headings where at most ``most`` are shown."""
    return count if count <= most else most + 1


def _shared(counts: Sequence[int], room: int) -> list[int]:
    """How many rows of each table fit into so many lines, ``_FEWEST`` at least."""
    shown = [min(_FEWEST, count) for count in counts]
    while True:
        longer = [
            (shown[at], at) for at in range(len(counts))
            if shown[at] < counts[at]
            and sum(_lines(c, n + (at == i)) for i, (c, n) in enumerate(zip(counts, shown, strict=True))) <= room
        ]  # fmt: skip
        if not longer:
            return shown
        shown[min(longer)[1]] += 1


def _apart(told: Sequence[tuple[str, str]], room: int, columns: int) -> bool:
    """Whether an empty line above facts takes no more than the last fact but one."""
    _, least, _ = _wanted(told, columns)
    return sum(least) + max(0, sum(_further(told)) - 1) < room


def _further(told: Sequence[tuple[str, str]]) -> list[bool]:
    """Of facts, those that go on with another and what follows them, but for the last."""
    first = next((at for at, (name, _) in enumerate(told) if not name), len(told))
    return [first <= at < len(told) - 1 for at in range(len(told))]


def _named(told: Sequence[tuple[str, str]]) -> list[bool]:
    """Of the facts that follow others that go on, those with a name of their own."""
    return [far and bool(name) for far, (name, _) in zip(_further(told), told, strict=True)]


def _wanted(told: Sequence[tuple[str, str]], columns: int) -> tuple[int, list[int], list[int]]:
    """Columns beside the names of facts, the lines of their first sentences, and those of all their words.

    Further facts want none for a first sentence, and the last of all one.
    """
    width = columns - _INDENT - _GAP - max((len(name) for name, _ in told), default=0)
    most = [min(_FACT_LINES, _height(words, width)) for _, words in told]
    least = [
        0 if further else min(_FACT_LINES - 1, _height(words.partition("; ")[0], width))
        for (_, words), further in zip(told, _further(told), strict=True)
    ]
    return width, [*least[:-1], *(1 for _ in least[-1:])], most


def _shortened(
    told: Sequence[tuple[str, str]], room: int, columns: int
) -> tuple[tuple[tuple[str, str], ...], list[int]]:
    """Facts cut to as many lines of a terminal as there is room; and how many each takes.

    First a line each, then one of each that goes on with another, then first sentences, then a line of each further
    fact, then all words; the first facts first.
    """
    kept = list(told)
    while len(kept) - sum(_further(kept)) > max(room, 0):
        del kept[-2 if len(kept) > 1 else -1]
    width, least, most = _wanted(kept, columns)
    further = _further(kept)
    heights = [0 if each else 1 for each in further]
    going_on = [int(each and not named) for each, named in zip(further, _named(kept), strict=True)]
    for wanted in (going_on, least, [int(each) for each in further], [min(2, each) for each in most], most):
        for at, lines in enumerate(wanted):
            before = not at or not further[at] or heights[at - 1] > 0
            heights[at] += min(max(0, lines - heights[at]), room - sum(heights)) if before else 0
    cut = [(name, _clipped(words, width, lines)) for (name, words), lines in zip(kept, heights, strict=True) if lines]
    return tuple(cut), heights


def _height(words: str, width: int) -> int:
    """Lines that a text takes."""
    return len(folded(words, width))


_ENDS = (",", ";", ":")


def _clipped(words: str, width: int, lines: int) -> str:
    """As many whole words as fit into so many lines; up to the end of a phrase where more than half of them stand."""
    if _height(words, width) <= lines:
        return words
    every = words.split()
    kept = every.copy()
    while len(kept) > 1 and _height(f"{' '.join(kept)} ...", width) > lines:
        kept.pop()
    ends = (
        at
        for at in range(len(kept), 0, -1)
        if kept[at - 1].endswith(_ENDS) or "".join(every[at : at + 1]).startswith("(")
    )
    end = next(ends, 0)
    phrase = kept[:end] if 2 * len(" ".join(kept[:end])) > len(" ".join(kept)) else kept
    return f"{' '.join(phrase)} ..."
