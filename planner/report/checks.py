"""What is shown of a scenario that was resolved, but not solved."""

from collections.abc import Iterator

from planner.report.page import Lines, Page, Section, Table, columns, section
from planner.report.words import rate
from planner.results.check import CheckReport
from workloads.counts import plural


def check_page(report: CheckReport) -> Page:
    """What a scenario resolves to before anything is solved: demand, options, and the options refused."""
    some = bool(report.options)
    verdict = "INFEASIBLE" if some and report.unserved else "OK" if some else "NOTHING TO BUY"
    slowdowns = (
        ("Slowdowns", f"against the same request alone on {report.reference}"),
    ) if report.reference else ()  # fmt: skip
    return Page(
        title="check",
        verdict=verdict,
        good=verdict == "OK",
        headline=f"{plural(len(report.options), 'option')} to choose from, {len(report.excuses)} refused",
        facts=(("Workload", report.workload), ("Precision", report.precision), *slowdowns),
        warnings=report.warnings,
        sections=tuple(_sections(report)),
    )


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
