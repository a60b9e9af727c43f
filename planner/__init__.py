"""phasewise: plans LLM inference clusters and proves each plan in an embedded simulator."""

from importlib import import_module

__version__ = "0.2.0"

VERBS = ("plan", "simulate", "whatif", "frontier", "diff")
"""What ``from planner import …`` offers beside questions; loaded when first used, so that --help stays light."""


def __getattr__(name: str) -> object:
    if name in VERBS:
        return getattr(import_module("planner.api"), name)
    if name == "Scenario":
        return import_module("planner.scenario").Scenario
    if name == "Fleet":
        return import_module("planner.scenario.fleet").Fleet
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *VERBS, "Fleet", "Scenario"})
