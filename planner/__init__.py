"""phasewise: plans LLM inference clusters and proves each plan in an embedded simulator."""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

VERBS = ("plan", "simulate", "whatif", "frontier", "diff")
"""What ``from planner import …`` offers beside ``Scenario``; loaded when first used, so that --help stays light."""


class _Package(ModuleType):
    """This package: its verbs are functions, also where a module bears the same name."""

    def __getattr__(self, name: str) -> object:
        if name in VERBS:
            return getattr(import_module("planner.api"), name)
        if name == "Scenario":
            return import_module("planner.scenario").Scenario
        raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")

    def __setattr__(self, name: str, value: object) -> None:
        # The import system would put the module over the verb; `from planner.plan import …` does not need that.
        if not (name in VERBS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *VERBS, "Scenario"})


sys.modules[__name__].__class__ = _Package
