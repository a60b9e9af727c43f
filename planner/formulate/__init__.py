"""Formulation: a question about clusters as an integer program (``problem``), and its answer as a plan (``lift``)."""

from planner.formulate.families import BUDGET_FAMILIES, FAMILIES
from planner.formulate.lift import lift
from planner.formulate.program import problem, unservable

__all__ = ["BUDGET_FAMILIES", "FAMILIES", "lift", "problem", "unservable"]
