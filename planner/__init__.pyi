# What type checkers see of the package: verbs that are loaded when they are first used.
from planner.api import diff as diff
from planner.api import frontier as frontier
from planner.api import plan as plan
from planner.api import simulate as simulate
from planner.api import whatif as whatif
from planner.scenario import Scenario as Scenario
from planner.scenario.fleet import Fleet as Fleet

__version__: str
VERBS: tuple[str, ...]
