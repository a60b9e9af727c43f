"""Which layouts exchange no KV: pairs of a prefill and a decode layout that the planned engine does not serve."""

from collections.abc import Iterable, Iterator, Mapping

from hw_catalog.profiles import KernelProfile
from planner.capacity.envelope import Option
from planner.perf.deploying import transfer_limits
from planner.perf.layout import Layout, Role
from workloads.models import ModelSpec

Pair = tuple[Layout, Layout]
"""A prefill layout and a decode layout."""


def apart(
    options: Iterable[Option], model: ModelSpec, profiles: Mapping[str, KernelProfile]
) -> tuple[tuple[Pair, str], ...]:
    """Every pair of layouts on offer between which no KV can travel, and why not.

    Args:
        options: what may be bought.
        model: whose KV travels.
        profiles: spec name -> the measured surfaces, which name the engine.

    Returns:
        Ordered by the names of the layouts.
    """
    known = tuple(options)
    found: dict[Pair, str] = {}
    for engine in sorted({profiles[option.spec.name].engine for option in known}):
        for pair in _pairs(option for option in known if profiles[option.spec.name].engine == engine):
            refused = [limit.reason for limit in transfer_limits(engine, model, *pair) if limit.refused]
            if refused:
                found[pair] = refused[0]
    return tuple(sorted(found.items(), key=lambda item: (item[0][0].name, item[0][1].name)))


def _pairs(options: Iterable[Option]) -> Iterator[Pair]:
    """Every prefill layout with every decode layout."""
    roles: dict[Role, dict[Layout, None]] = {role: {} for role in Role}
    for option in options:
        roles[option.spec.role][option.spec.layout] = None
    for prefill in roles[Role.PREFILL]:
        for decode in roles[Role.DECODE]:
            yield prefill, decode
