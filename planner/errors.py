"""How phasewise ends when it does not end well."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The process exit codes, part of the public contract."""

    VALIDATED = 0
    BUG = 1
    BAD_INPUT = 2
    INFEASIBLE = 3
    NOT_VALIDATED = 4
    SOLVER_EMPTY = 5


class BadInput(ValueError):  # noqa: N818  the field's word; it is shown to users
    """The user's input is wrong; ``problems`` lists every finding, each naming file, line or key, found and expected."""

    def __init__(self, *problems: str) -> None:
        """Collect the findings."""
        self.problems = problems
        super().__init__("\n".join(problems))
