"""``phasewise`` and ``python -m planner``."""

import os

from planner.cli import build

_STANDARD = (0, 1, 2)


def main() -> None:
    """Run the command line; the numbers of standard streams that are closed are taken first.

    Else the next file that is opened, a journal or a library, would have the number that native code prints to.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    build()(prog_name="phasewise")


if __name__ == "__main__":
    main()
