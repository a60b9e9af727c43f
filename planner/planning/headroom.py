"""Load limits of programs, and how they are loosened."""

from dataclasses import fields

from planner.scenario.objectives import Headroom

NO_HEADROOM = Headroom(prefill_frac=1.0, decode_frac=1.0, mixed_frac=1.0, kv_frac=1.0, link_frac=1.0)
"""Every resource planned to the brim: below this bound nothing carries even the mean load."""

NEARLY_FULL_FRAC = 0.9
"""Load limits beyond this are not worth halving once more."""


def less_headroom(headroom: Headroom) -> Headroom:
    """Half as far from no headroom at all; none where that is near."""
    halved = {f.name: 1 - (1 - getattr(headroom, f.name)) / 2 for f in fields(headroom)}
    return NO_HEADROOM if min(halved.values()) > NEARLY_FULL_FRAC else Headroom(**halved)
