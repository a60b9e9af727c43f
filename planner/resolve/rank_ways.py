"""Layouts of attention ranks and experts: which of them a question asks for, and where they stand."""

from collections.abc import Iterable, Sequence

from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.scenario.choices import AUTO_WAYS
from planner.scenario.sections import Catalog
from workloads.models import ModelSpec

BOARD_GPUS = 8
"""GPUs of the boards between which layouts wider than one were measured, over InfiniBand."""


def asked_for(offered: Catalog, profile: KernelProfile) -> bool:
    """Whether a question allows the attention ranks and expert ways of a profile."""
    pairs = ((offered.dp, profile.dp), (offered.ep, profile.ep))
    return all(wanted == AUTO_WAYS or ways in wanted for wanted, ways in pairs)


def spans(machine: Machine, profile: KernelProfile) -> bool:
    """Whether a layout wider than a machine was measured as it would stand: in one link domain, or over whole boards.

    Args:
        machine: of which it fills several.
        profile: of the layout.
    """
    gpus = profile.tp * profile.dp
    if gpus <= machine.gpus or gpus % machine.gpus:
        return False
    if machine.domain_gpus:
        return gpus <= machine.domain_gpus
    return machine.inter_link.exists and machine.gpus == BOARD_GPUS < gpus


def way_problems(
    offered: Catalog, model: ModelSpec, machines: Sequence[Machine], profiles: Iterable[KernelProfile]
) -> tuple[str, ...]:
    """Attention ranks and expert ways that the model has no use for, that divide nothing, or that nothing holds.

    Args:
        offered: says which to try.
        model: what is served.
        machines: that may be bought; none where they are not known.
        profiles: of the model.
    """
    ranks, ways = (_listed(wanted) for wanted in (offered.dp, offered.ep))
    found = []
    if not model.routed_params:
        found += [
            f"catalog.{key}: found {n}; expected 1: {model.name} has no experts, and engines run {words} for mixtures "
            "of experts alone"
            for key, each, words in (("dp", ranks, "attention ranks"), ("ep", ways, "expert parallelism"))
            for n in each
            if n > 1
        ]  # fmt: skip
        return tuple(found)
    tried = sorted({tp * dp for tp in offered.tp for dp in ranks or (1,)})
    if ranks:
        found += [
            f"catalog.ep: found {n}; expected a divisor of tp times dp, which is {_or(tried)} here"
            for n in ways
            if all(gpus % n for gpus in tried)
        ]
    most = max((machine.domain_gpus or _reach(machine) for machine in machines), default=0)
    for key, each, least in (("dp", ranks, min(offered.tp)), ("ep", ways, 1)):
        found += [
            f"catalog.{key}: found {n}, which takes {n * least} GPUs; expected at most {most}, the most that one link "
            f"domain of {_or(sorted({m.name for m in machines}))} joins"
            for n in each
            if machines and n * least > most
        ]
    named = {words.partition(", ")[0].partition(";")[0] for words in found}
    gpus = {machine.gpu.profile_gpu for machine in machines}
    mine = [p for p in profiles if p.gpu in gpus]
    for key, each in (("dp", ranks), ("ep", ways)):
        known = sorted({getattr(p, key) for p in mine})
        found += [
            f"catalog.{key}: found {n}; expected {_or(known)}, which {model.name} was measured at on these machines"
            for n in each
            if known and n not in known and f"catalog.{key}: found {n}" not in named
        ]
    return tuple(found)


def _reach(machine: Machine) -> int:
    """GPUs that a layout may span: those of two boards where they are linked, else those of the machine."""
    return 2 * machine.gpus if machine.gpus == BOARD_GPUS and machine.inter_link.exists else machine.gpus


def _listed(wanted: str | tuple[int, ...]) -> tuple[int, ...]:
    """Numbers that are asked for by name; none where all measured ones are."""
    return () if isinstance(wanted, str) else tuple(sorted(set(wanted)))


def _or(words: Iterable[object]) -> str:
    """A list of choices."""
    return " or ".join(str(word) for word in words)
