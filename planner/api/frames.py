"""Results as data frames."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from planner.files.plan_file import plain
from planner.report.page import Page
from planner.results.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, object]

RULE = "margin:0.3em 0"
MOST_ROWS = 60
"""Rows that are shown; the middle of longer frames is left out."""


def frame_of(rows: Sequence[Row], columns: Sequence[str] = ()) -> "pd.DataFrame":
    """Rows as a data frame, values as files have them; these columns where there are no rows."""
    import pandas as pd  # takes longer to import than everything else here together

    return pd.DataFrame.from_records(
        [{key: plain(value) for key, value in row.items()} for row in rows], columns=None if rows else list(columns)
    )


def evidence_rows(evidence: Sequence[Evidence]) -> list[Row]:
    """One row for each objective."""
    columns = ("slo", "unit", "limit", "measured", "low", "high", "verdict", "n")
    return [{name: each.flat()[name] for name in columns} for each in evidence]


class Shown(ABC):
    """Something that shows itself as a verdict and its first data frame, in notebooks and elsewhere."""

    __slots__ = ()

    @abstractmethod
    def page(self) -> Page:
        """Everything that the command shows of it."""

    @abstractmethod
    def frame(self) -> "pd.DataFrame":
        """The rows that matter most."""

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
        page = self.page()
        return f"{page.verdict}: {page.headline}"

    def __repr__(self) -> str:
        """The verdict, and the rows below it."""
        rows = self.frame()
        return self.verdict if rows.empty else f"{self.verdict}\n{rows.to_string(max_rows=MOST_ROWS)}"

    def _repr_html_(self) -> str:
        told = f"<p style='{RULE}'><strong>{escape(self.verdict)}</strong></p>"
        return told + str(self.frame().to_html(index=False, float_format="{:.4g}".format, max_rows=MOST_ROWS))
