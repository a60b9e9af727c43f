"""phasewise from Python, under the name it is installed by: ``import phasewise; phasewise.plan(...)``.

The same functions as ``planner``; what is loaded when is decided there.
"""

import planner
from planner import VERBS, __version__

__all__ = ["Fleet", "Scenario", "__version__", *VERBS]  # noqa: PLE0604  the names that planner offers


def __getattr__(name: str) -> object:
    return getattr(planner, name)


def __dir__() -> list[str]:
    return sorted(__all__)
