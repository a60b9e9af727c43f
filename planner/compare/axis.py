"""What plans and schedules can be compared by."""

from dataclasses import dataclass

from planner.results.plan import Totals
from planner.results.sweep import OverTime
from planner.scenario.objectives import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A quantity that plans can be compared by.

    Attributes:
        unit: of its values.
        objective: that makes it as good as it can be.
        total: what the totals of a plan, or of a schedule, call it; empty for throughput.
        budget: key under ``budgets`` that bounds it; empty where none does.
        whole: its values are whole numbers.
    """

    unit: str
    objective: Objective
    total: str = ""
    budget: str = ""
    whole: bool = False

    def value(self, totals: Totals | OverTime, served: float) -> float:
        """Where a plan or a schedule stands; ``served`` is its rate, requests/s."""
        return float(getattr(totals, self.total)) if self.total else served
