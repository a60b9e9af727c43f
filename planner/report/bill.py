"""What plans draw, beside each other."""

from collections.abc import Callable, Iterator

from planner.report.words import carbon, dollars
from planner.results.bill import Bill
from workloads.counts import number, watts


def bill_rows(before: Bill, after: Bill) -> Iterator[tuple[str, str, str, str]]:
    """Watts, joules, electricity and CO2 of two plans and what they mean; what neither knows is left out."""
    rows: tuple[tuple[str, str, Callable[[float], str], str], ...] = (
        ("expected", "expected_w", watts, "mean wall power, at the planned rates"),
        ("mean", "mean_w", watts, "mean wall power, simulated"),
        ("P99", "p99_w", watts, "all pools at once, second by second"),
        ("peak", "peak_w", watts, "highest second"),
        ("energy", "token_j", _joules, "per output token"),
        ("bill", "electricity_usd_per_h", dollars, "of electricity, PUE included"),
        ("carbon", "carbon_g_per_h", carbon, "PUE included"),
        ("row holds", "row_machines", number, "machines"),
    )
    for title, key, words, meaning in rows:
        old, new = getattr(before, key), getattr(after, key)
        if old is not None or new is not None:
            was, will = ("unknown" if value is None else words(value) for value in (old, new))
            yield title, was, will, meaning


BILL_HEADINGS = ("#rated", "#expected", "#p99", "#J/token")
"""Headings of ``bill_cells``."""


def bill_cells(bill: Bill | None, rated_w: float) -> tuple[str, str, str, str]:
    """Rated, expected and P99 watts and joules of a token, for a table."""
    if bill is None:
        return watts(rated_w), "", "", ""
    expected, p99 = ("" if value is None else watts(value) for value in (bill.expected_w, bill.p99_w))
    return watts(rated_w), expected, p99, "" if bill.token_j is None else number(bill.token_j)


def _joules(value_j: float) -> str:
    return f"{number(value_j, 3)} J"
