"""Digests of what was read, by which a plan knows whether its inputs are still the same."""

from dataclasses import fields, replace
from hashlib import sha256
from itertools import product

from hw_catalog.profiles import KernelProfile
from planner.perf.engine import as_run
from planner.perf.layout import Role
from planner.resolve.inputs import Inputs
from planner.resolve.layouts import layouts_of
from planner.scenario.digest import digest_of


def digests(inputs: Inputs) -> dict[str, str]:
    """SHA-256 of a plan's inputs: the scenario, the catalog rows and profiles it names, the first trace."""
    trace = inputs.asked.specimen()
    machines = sorted((machine.name, repr(machine)) for machine in inputs.machines)
    surfaces = [f"{name}:{_bytes_of(p).hex()}" for name, p in sorted(_surfaces(inputs).items())]
    columns = (trace.arrival_s, trace.prompt_tokens, trace.output_tokens)
    return {
        "scenario": digest_of(inputs.scenario),
        "catalog": sha256(repr((machines, surfaces)).encode()).hexdigest(),
        "trace": sha256(b"".join(column.tobytes() for column in columns)).hexdigest(),
    }


def _surfaces(inputs: Inputs) -> dict[str, KernelProfile]:
    """Measured surfaces by layout, as the engines run them."""
    offered, served = inputs.scenario.catalog, inputs.scenario.model
    found = dict[str, KernelProfile]()
    prefills = (replace(v, dtype=v.prefill_dtype, prefill_dtype="") for v in inputs.variants if v.prefill_dtype)
    for variant, machine in product((*inputs.variants, *prefills), inputs.machines):
        for layout, profile in layouts_of(offered, served, machine, inputs.profiles, variant)[0]:
            apart, together = (inputs.timings.of(profile, role) for role in (Role.PREFILL, Role.MIXED))
            name = f"{variant.words}/{machine.name}/{layout.name}"
            found[name] = as_run(profile, apart, inputs.model.layers)
            if together is not apart:
                found[f"{name}/{Role.MIXED}"] = as_run(profile, together, inputs.model.layers)
    return {**found, "reference": inputs.reference.step.profile} if inputs.reference else found


def _bytes_of(profile: KernelProfile) -> bytes:
    """Every number of a kernel profile, as bytes."""
    values = (getattr(profile, field.name) for field in fields(profile))
    return b"".join(v.tobytes() if hasattr(v, "tobytes") else repr(v).encode() for v in values)
