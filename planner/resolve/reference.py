"""The reference of a scenario: where its slowdowns are measured."""

from hw_catalog.load import Catalog
from hw_catalog.rows import nearest
from planner.errors import BadInput
from planner.perf.engine import as_run
from planner.perf.layout import Role
from planner.perf.published import PublishedReference
from planner.perf.reference import Reference
from planner.perf.step_time import StepTime
from planner.resolve.precision import Formats, plan_formats
from planner.resolve.public_rules import published_reading
from planner.resolve.timings import Timings
from planner.resolve.variants import ALL, Measured
from planner.scenario import Scenario
from planner.scenario.choices import listed
from workloads.models import ModelSpec
from workloads.slo import Unit


def open_reference(
    scenario: Scenario, sizes: ModelSpec, catalog: Catalog, measured: Measured, timings: Timings
) -> Reference | None:
    """What the slowdowns of a scenario are measured against; None where no objective is one.

    Args:
        scenario: the question.
        sizes: of its model.
        catalog: holds the machine.
        measured: what there is of its model: the first family that it allows is the reference's, whichever the plan is
            in, so that a slowdown means the same in every precision and on every engine.
        timings: what the tables leave out.

    Raises:
        BadInput: there is no such machine, or no profile of the model on it; names what there is.
    """
    if all(slo.unit is Unit.SECONDS for slo in scenario.slos()):
        return None
    wanted, model = scenario.reference, scenario.model
    machine = catalog.machines.get(wanted.machine)
    if machine is None:
        raise BadInput(f"reference.machine: no machine '{wanted.machine}'; {nearest(wanted.machine, catalog.machines)}")
    family, kv = measured.sets[0], listed(model.kv_dtype)
    profiles = [profile for profile in measured.profiles if profile.profile_set == family and profile.dp == 1]
    one_kv = kv[0] if kv and kv[0] != ALL else None
    formats = Formats(dtype=wanted.dtype, kv_dtype=one_kv, checkpoint=model.checkpoint)
    dtype, kv_dtype = plan_formats(formats, sizes, profiles, {machine.gpu.profile_gpu})
    mine = [p for p in profiles if p.gpu == machine.gpu.profile_gpu and p.kv_dtype == kv_dtype]
    fitting = [p for p in mine if (p.tp, p.dtype) == (wanted.tp, dtype)]
    if not fitting or wanted.tp > machine.gpus:
        have = ", ".join(sorted({f"{p.dtype} tp{p.tp}" for p in mine if p.tp <= machine.gpus})) or "none"
        raise BadInput(
            f"reference: no {dtype} kernel profile of {model.name} on {machine.name} at tp{wanted.tp} with a "
            f"{kv_dtype} KV cache in {family}; there are: {have}"
        )
    profile = min(fitting, key=lambda p: p.ep)
    step = StepTime(
        as_run(profile, timings.of(profile, Role.MIXED), sizes.layers),
        prefill_slowdown_ratio=machine.gpu.prefill_slowdown_ratio,
        decode_slowdown_ratio=machine.gpu.decode_slowdown_ratio,
    )
    return PublishedReference(step) if published_reading(scenario) else Reference(step)
