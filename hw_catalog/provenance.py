"""Where a number comes from."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How far a number may be trusted, from best to worst."""

    MEASURED = "measured"
    """Observed on the thing itself."""
    DERIVED = "derived"
    """Computed from measured numbers by a stated rule."""
    CALIBRATED = "calibrated"
    """Derived, then scaled to the user's own measurements."""
    TRANSFERRED = "transferred"
    """Measured on another GPU or engine and carried over."""
    VENDOR = "vendor"
    """Printed in a data sheet or price list."""
    ASSUMED = "assumed"
    """A stated guess; the first thing to replace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The source of one number or table.

    Attributes:
        kind: how far to trust it.
        source: who says so (paper section, table, page, tool and version).
        date: ISO date the source was read or measured.
        note: what was changed, or what to beware of.
    """

    kind: Kind
    source: str
    date: str
    note: str = ""
