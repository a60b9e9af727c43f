"""``phasewise`` and ``python -m planner``."""

from planner.cli import build


def main() -> None:
    """Run the command line."""
    build()(prog_name="phasewise")


if __name__ == "__main__":
    main()
