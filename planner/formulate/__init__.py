"""Formulation: a question about clusters as an integer program (``problem``), and its answer as a plan (``lift``).

``epoch_problem`` and ``lift_schedule`` are the same for a plan over time.
"""

from planner.formulate.budgets import BUDGETS
from planner.formulate.canonical import canonical
from planner.formulate.epoch_kinds import Few, few
from planner.formulate.epoch_program import beside, epoch_problem, later_aims, lift_schedule, place, thinned
from planner.formulate.epoch_question import EpochQuestion
from planner.formulate.epoch_sets import whole_sets
from planner.formulate.epochs import EPOCH_BUDGET_FAMILIES, EPOCH_FAMILIES
from planner.formulate.families import BUDGET_FAMILIES, FAMILIES
from planner.formulate.joint import joint, part
from planner.formulate.lift import lift
from planner.formulate.program import problem, unservable

__all__ = [
    "BUDGETS",
    "BUDGET_FAMILIES",
    "EPOCH_BUDGET_FAMILIES",
    "EPOCH_FAMILIES",
    "FAMILIES",
    "EpochQuestion",
    "Few",
    "beside",
    "canonical",
    "epoch_problem",
    "few",
    "joint",
    "later_aims",
    "lift",
    "lift_schedule",
    "part",
    "place",
    "problem",
    "thinned",
    "unservable",
    "whole_sets",
]  # fmt: skip
