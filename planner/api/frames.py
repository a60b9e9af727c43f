"""Results as data frames."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner.files.plan_file import plain
from planner.results.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, object]


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
    """Something that notebooks show as its first data frame."""

    __slots__ = ()

    @abstractmethod
    def frame(self) -> "pd.DataFrame":
        """The rows that matter most."""

    def _repr_html_(self) -> str:
        return str(self.frame().to_html())
