"""The first screen of a plan: what to buy, whether it holds, and how sure that is, in at most 25 lines."""

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

from planner.report.evidence import objectives
from planner.report.page import Block, Lines, Pairs, Table
from planner.report.words import amount, percent, plural, valued
from planner.results.evidence import Neighbour, PeakShare, ValidatedPlan, Verdict
from planner.scenario.objectives import Objective

LINES = 25
WIDTH = 100
_INDENT = 2
_GAP = 2
_HEADS = 4
"""Lines of the headings of two tables."""
_EMPTY = 3
"""Empty lines: before both tables and the facts."""
_FEWEST = 3
"""Rows of a table that are shown before facts are cut short."""
SECTIONS = "evidence, rounds, sources, ..."
_FACT_LINES = 3
_PROVEN_FRAC = 1e-6
_POOLS = 2
"""Pools whose work per GPU is told."""


def _more(sections: str) -> str:
    """Where to read on."""
    return f"Details: --verbose, `show PLAN --sections all` (or {sections}), --report FILE."


def facts(plan: ValidatedPlan) -> tuple[tuple[str, str], ...]:
    """What a first look must tell besides machines and objectives, the most important last to be cut short."""
    told = (
        ("Load margin", _margin(plan)),
        ("Not more" if plan.objective == Objective.THROUGHPUT else "Not less", _not_less(plan)),
        ("Accuracy", "; ".join(plan.accuracy)),
        ("Workload", plan.judgement.workload),
        ("Per GPU", _per_gpu(plan.peaks)),
        ("Alternatives", _and_more(plan.alternatives, "alternative")),
    )
    return tuple((name, words) for name, words in told if words)


def _margin(plan: ValidatedPlan) -> str:
    """How much more load the machines carry."""
    margin = plan.margin
    if margin is None:
        return ""
    if margin.misses_ratio is None:
        return f"every objective holds at {margin.holds_ratio:g} times the load; more was not tried"
    holds = f"every objective holds at {margin.holds_ratio:g} times the load" if margin.holds_ratio > 1 else "none"
    return f"{holds}; at {margin.misses_ratio:g} times: {_and_more(margin.fails, 'reason')}"


def _not_less(plan: ValidatedPlan) -> str:
    """The rejected plan that came closest, and what is proven."""
    certificate = plan.certificate
    parts = []
    if certificate.bound is not None and certificate.gap_frac is not None:
        side = "at most" if plan.objective == Objective.THROUGHPUT else "at least"
        bound = f"proven: {side} {valued(plan.objective, certificate.bound)} (gap {percent(certificate.gap_frac)})"
        parts.append(bound if certificate.gap_frac >= _PROVEN_FRAC else "proven: nothing less can carry the load")
    found = sorted(certificate.neighbours, key=_miss)
    parts += [_rejected(found[0])] if found else []
    return "; ".join(parts)


def _miss(neighbour: Neighbour) -> float:
    """How far a rejected plan is from its objectives; most where it was not even simulated."""
    if neighbour.judgement is None:
        return float("inf")
    return max((e.used_ratio for e in neighbour.judgement.evidence), default=0.0)


def _rejected(neighbour: Neighbour) -> str:
    """A rejected plan and its worst objective."""
    missed = [e for e in neighbour.judgement.evidence if e.verdict is not Verdict.MET] if neighbour.judgement else []
    why = neighbour.fails[0] if neighbour.fails else "fails"
    if missed:
        worst = max(missed, key=lambda e: e.used_ratio)
        measured, low, high, limit = (
            amount(value, worst.unit) for value in (worst.measured, worst.low, worst.high, worst.limit)
        )
        why = f"{worst.key} {measured} ({low} to {high}), limit {limit}, {worst.verdict.words}"
    return f"{neighbour.pool} with {plural(neighbour.machines, 'machine')}: {why}"


def _per_gpu(peaks: Sequence[PeakShare]) -> str:
    """How hard the busiest pools work their GPUs, against data sheets."""
    busiest = sorted(peaks, key=lambda each: -max(each.flops_frac, each.hbm_frac))[:_POOLS]
    parts = []
    for peak in busiest:
        kinds = (("prompt", peak.prompt_tokens_per_s), ("output", peak.output_tokens_per_s))
        tokens = " and ".join(f"{value:,.4g} {kind}" for kind, value in kinds if value)
        used = ((peak.flops_frac, "peak FLOP/s"), (peak.hbm_frac, "memory bandwidth"))
        shares = ", ".join(f"{percent(share)} of {what}" for share, what in used if share)
        parts.append(f"{peak.pool} {tokens} tokens/s (at least {shares})")
    return "; ".join(parts)


def _and_more(lines: Sequence[str], noun: str) -> str:
    """The first line, and how many there are besides."""
    if not lines:
        return ""
    return lines[0] + (f"; {plural(len(lines) - 1, f'more {noun}')}" if len(lines) > 1 else "")


def screen(
    head: Sequence[str], pools: Table, plan: ValidatedPlan, told: Sequence[tuple[str, str]]
) -> tuple[Block, ...]:
    """Machines, objectives and facts below a head, cut to ``LINES`` lines of ``WIDTH`` columns.

    Args:
        head: the lines that stand above.
        pools: a row per pool of the plan.
        plan: the answer.
        told: facts, the most important first.
    """
    evidence, warnings = plan.judgement.evidence, plan.warnings
    if warnings:
        told = (*told, (f"Warnings ({len(warnings)})", warnings[0]))
    more = _more(SECTIONS)
    left = LINES - sum(_height(line, WIDTH) for line in (*head, more)) - _EMPTY - _HEADS
    counts = (len(pools.rows), len(evidence))
    shortened, used = _shortened(told, left - sum(_lines(count, _FEWEST) for count in counts))
    first, second = _shared(counts, left - used)
    largest = sorted(range(counts[0]), key=lambda place: -plan.candidate.pools[place].machines)
    tightest = sorted(range(counts[1]), key=lambda at: (evidence[at].verdict is Verdict.MET, -evidence[at].used_ratio))
    rest = max((evidence[at].used_ratio for at in tightest[second:]), default=0.0)
    machines = sum(plan.candidate.pools[place].machines for place in largest[first:])
    return (
        *_cut(pools, largest[:first], f"and {counts[0] - first} more pools with {plural(machines, 'machine')}"),
        *_cut(
            objectives(evidence), tightest[:second],
            f"and {counts[1] - second} more objectives, none beyond {percent(rest)} of its limit",
        ),
        Pairs(rows=shortened),
        Lines(lines=(more,)),
    )  # fmt: skip


def short_screen(
    head: Sequence[str], table: Table, told: Sequence[tuple[str, str]], warnings: Sequence[str], sections: str
) -> tuple[Block, ...]:
    """One table and facts below a head, cut to ``LINES`` lines of ``WIDTH`` columns.

    Args:
        head: the lines that stand above.
        table: its first rows are shown.
        told: facts, the most important first.
        warnings: doubts; the first one is shown.
        sections: names of sections, of which the last line tells.
    """
    if warnings:
        told = (*told, (f"Warnings ({len(warnings)})", warnings[0]))
    more = _more(sections)
    left = LINES - sum(_height(line, WIDTH) for line in (*head, more)) - _HEADS // 2 - 2
    count = len(table.rows)
    shortened, used = _shortened(told, left - _lines(count, _FEWEST))
    room = left - used
    shown = count if count <= room else room - 1
    return (
        *_cut(table, range(shown), f"and {count - shown} more rows"), Pairs(rows=shortened), Lines(lines=(more,)),
    )  # fmt: skip


def _cut(table: Table, kept: Sequence[int], note: str) -> tuple[Block, ...]:
    """Some rows of a table in their order, and what is said of the others."""
    if len(kept) == len(table.rows):
        return (table,)
    return replace(table, rows=[table.rows[place] for place in sorted(kept)]), Lines(lines=(note,))


def _lines(count: int, most: int) -> int:
    """Lines that a table of ``count`` rows takes below its headings where at most ``most`` are shown."""
    return count if count <= most else most + 1


def _shared(counts: tuple[int, int], room: int) -> tuple[int, int]:
    """How many rows of each of two tables fit into so many lines, ``_FEWEST`` at least."""
    shown = [min(_FEWEST, count) for count in counts]
    while True:
        longer = [
            (shown[at], at) for at in (0, 1)
            if shown[at] < counts[at]
            and sum(_lines(c, n + (at == i)) for i, (c, n) in enumerate(zip(counts, shown, strict=True))) <= room
        ]  # fmt: skip
        if not longer:
            return shown[0], shown[1]
        shown[min(longer)[1]] += 1


def _shortened(told: Sequence[tuple[str, str]], room: int) -> tuple[tuple[tuple[str, str], ...], int]:
    """Facts cut to as many lines as there is room, the last first; and how many they take, at least one each."""
    width = WIDTH - _INDENT - _GAP - max((len(name) for name, _ in told), default=0)
    heights = [min(_FACT_LINES, _height(words, width)) for _, words in told]
    while sum(heights) > room and max(heights, default=1) > 1:
        longest = max(heights)
        heights[max(at for at, height in enumerate(heights) if height == longest)] -= 1
    cut = [(name, _clipped(words, width, lines)) for (name, words), lines in zip(told, heights, strict=True)]
    return tuple(cut), sum(heights)


def _height(words: str, width: int) -> int:
    """Lines that a text takes."""
    return max(1, len(_wrapped(words, width)))


def _wrapped(words: str, width: int) -> list[str]:
    return wrap(words, width, break_long_words=True, break_on_hyphens=False)


def _clipped(words: str, width: int, lines: int) -> str:
    """As many whole words as fit into so many lines."""
    if _height(words, width) <= lines:
        return words
    kept = words.split()
    while len(kept) > 1 and _height(f"{' '.join(kept)} ...", width) > lines:
        kept.pop()
    return f"{' '.join(kept)} ..."
