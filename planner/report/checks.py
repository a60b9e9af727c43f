"""What is shown of a scenario that was resolved, but not solved."""

from collections import Counter
from collections.abc import Iterator

from planner.report.page import Lines, Page, Section, Table, columns, section
from planner.report.plans import reasons
from planner.report.screen import Screen
from planner.report.words import rate
from planner.results.check import CheckReport
from workloads.counts import number, plural

_NAMED = 6
"""Options that are named one by one where there are no more."""
_WARNINGS = 3
"""Doubts that a first look has; the page has them all."""


def check_page(report: CheckReport) -> Page:
    """What a scenario resolves to before anything is solved: demand, options, and the options refused."""
    some = bool(report.options)
    verdict = "INFEASIBLE" if some and report.unserved else "OK" if some else "NOTHING TO BUY"
    slowdowns = (
        ("Slowdowns", f"against the same request alone on {report.reference}"),
    ) if report.reference else ()  # fmt: skip
    headline = f"{plural(len(report.options), 'option')} to choose from, {number(len(report.excuses))} refused"
    known = (("Workload", report.workload), ("Precision", report.precision), *slowdowns)
    wrong = tuple(reasons(report.unserved, "--sections unserved"))
    told = (*wrong, *_doubts(report), *known, ("Demand", _demand(report)), *_offered(report), *_refused(report))
    return Page(
        title="check",
        verdict=verdict,
        good=verdict == "OK",
        headline=headline,
        facts=known,
        warnings=report.warnings,
        sections=tuple(_sections(report)),
        screen=Screen(
            head=(f"{verdict}: {headline}",), parts=(), told=tuple((name, words) for name, words in told if words),
            more="More: --report FILE, --sections all (or demand, options, refused)",
        ).blocks,
    )  # fmt: skip


def _doubts(report: CheckReport) -> Iterator[tuple[str, str]]:
    """The first warnings, and how many there are."""
    for at, line in enumerate(report.warnings[:_WARNINGS]):
        yield "" if at else f"Warnings ({len(report.warnings)})", line


def _demand(report: CheckReport) -> str:
    """The rate of each class."""
    return ", ".join(f"{name} {rate(value)}" for name, value in report.rate_req_per_s.items())


def _offered(report: CheckReport) -> Iterator[tuple[str, str]]:
    """The options, where there are few; else how many of each role there are, and of which machines."""
    kinds = [name.split("/", 2) for name in report.options]
    counts = Counter(kind[0] for kind in kinds)
    machines = dict.fromkeys(kind[1] for kind in kinds)
    if len(report.options) <= _NAMED:
        yield "Options", ", ".join(report.options)
    else:
        yield "Options", f"{', '.join(f'{n} {role}' for role, n in counts.items())}; on {', '.join(machines)}"


def _refused(report: CheckReport) -> Iterator[tuple[str, str]]:
    """How many options are refused for each reason, with the first of each kind."""
    counts = Counter(each.bottleneck for each in report.excuses)
    first = {each.bottleneck: each for each in reversed(report.excuses)}
    for at, (kind, count) in enumerate(counts.items()):
        yield "" if at else "Refused", f"{kind} ({number(count)}): {first[kind].option}: {first[kind].reason}"


def _sections(report: CheckReport) -> Iterator[Section]:
    rates = [(name, rate(value)) for name, value in report.rate_req_per_s.items()]
    yield from section("demand", "Demand", Table(columns=columns("class", "#rate"), rows=rates, caption="mean rates"))
    if report.options:
        yield from section("options", "Options", Lines(lines=(", ".join(report.options),)))
    if report.unserved:
        yield from section("unserved", "Why", Lines(lines=report.unserved))
    if report.excuses:
        rows = [(each.option, each.bottleneck, each.reason) for each in report.excuses]
        headings = columns("option", "for", "~because")
        yield from section("refused", "Options refused", Table(columns=headings, rows=rows, caption="never offered"))
