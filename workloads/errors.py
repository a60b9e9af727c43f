"""Errors of workload data."""


class WorkloadError(ValueError):
    """A trace, model or distribution is wrong.

    ``problems`` lists every finding, each a full sentence naming file and line or key.
    """

    def __init__(self, *problems: str) -> None:
        """Collect the findings."""
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type["WorkloadError"], tuple[str, ...]]:
        """The same findings in another process."""
        return WorkloadError, self.problems
