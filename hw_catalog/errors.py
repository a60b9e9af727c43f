"""Errors of the catalog."""


class CatalogError(ValueError):
    """Catalog data is wrong or missing; ``problems`` lists every finding, each a full sentence naming file and key."""

    def __init__(self, *problems: str) -> None:
        """Collect the findings."""
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type["CatalogError"], tuple[str, ...]]:
        """The same findings in another process."""
        return CatalogError, self.problems
