"""Where the numbers behind a plan come from."""

from collections import Counter

from hw_catalog.gpus import Gpu
from hw_catalog.load import SLOWDOWNS
from hw_catalog.machines import Machine
from hw_catalog.power import DRAW, NUMBERS
from hw_catalog.provenance import Kind, Provenance
from planner.perf.power import curve_of
from planner.resolve.case import Case
from planner.resolve.prices import price_of
from planner.results.plan import CandidatePlan


def _capped(machine: Machine, cap_w: int | None) -> str:
    """How the rated power of a machine under an enforced cap was computed; empty where it is the nameplate."""
    if cap_w is None:
        return ""
    nameplate = machine.provenance.get("rated_w")
    source = f", {nameplate.kind}: {nameplate.source}" if nameplate else ""
    return (
        f"derived: rated power of {machine.name} at an enforced cap of {cap_w} W: {machine.provisioned_w(cap_w):g} W, "
        f"its nameplate ({machine.rated_w:g} W{source}) less {machine.gpus} x ({machine.gpu.tdp_w:g} - {cap_w}) W"
    )


def gpu_sources(gpu: Gpu) -> list[Provenance]:
    """Sources of a GPU's numbers; that a GPU is as fast as its own profiles is a definition, and no number."""
    as_profiled = {key for key in SLOWDOWNS if gpu.profile_gpu == gpu.name and getattr(gpu, key) == 1.0}
    return [source for key, source in gpu.provenance.items() if key not in as_profiled]


def provenance(case: Case, candidate: CandidatePlan) -> tuple[dict[str, float], tuple[str, ...]]:
    """Where the numbers behind a plan come from.

    Every number of the plan's machines, GPUs, links and prices counts as one, and so does each surface of their kernel
    profiles.

    Returns:
        kind -> share of them, and one line per distinct source.
    """
    numbers: list[Provenance] = []
    machines = {o.spec.machine: o.machine for o in case.options}
    for name in dict.fromkeys(p.spec.machine for p in candidate.pools):
        machine = machines[name]
        price = price_of(case.scenario, machine)
        numbers += [*machine.provenance.values(), *gpu_sources(machine.gpu)]
        locked = any(p.spec.machine == name and (p.spec.clock_mhz or p.spec.cap_w) for p in candidate.pools)
        used = (*NUMBERS, "free_clock") if locked else DRAW
        numbers += [source for key, source in curve_of(machine.gpu).provenance.items() if key in used]
        numbers += [machine.inter_link.provenance] * 3
        numbers += [price.provenance] if price else []
    surfaces = 4
    surfaces_used = [case.profiles[pool.spec.name] for pool in candidate.pools]
    surfaces_used += [case.reference.step.profile] if case.reference else []
    for profile in {id(p): p for p in surfaces_used}.values():
        numbers += [profile.provenance] * surfaces
    counts = Counter(str(p.kind) for p in numbers)
    share = {kind.value: counts[kind.value] / len(numbers) for kind in Kind if counts[kind.value]}
    lines = sorted({f"{p.kind}: {p.source} ({p.date})" + (f"; {p.note}" if p.note else "") for p in numbers})
    lines += [words for pool in candidate.pools if (words := _capped(machines[pool.spec.machine], pool.spec.cap_w))]
    lines += [f"slowdowns: against the same request alone on {case.reference_words}"] if case.reference else []
    return share, (*lines, f"workload: {case.asked.source}", f"model sizes: {case.model.source or case.model.name}")
