"""What a scenario names, for those who only want to know whether it is still the same."""

from pathlib import Path

from hw_catalog.engines import load_engines, timing_of
from hw_catalog.load import load_catalog
from hw_catalog.machines import Machine
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.perf.engine import as_run
from planner.resolve.case import layouts_of, machines_of
from planner.resolve.precision import plan_dtype
from planner.resolve.reference import open_reference
from planner.resolve.workload import asked
from planner.scenario import Scenario
from workloads.models import load_model
from workloads.traces import Trace


def named(scenario: Scenario) -> tuple[tuple[Machine, ...], dict[str, KernelProfile], Trace]:
    """What a scenario names, without weighing any of it: machine types, measured surfaces by layout, its first trace.

    Raises:
        BadInput, CatalogError, WorkloadError: as ``open_case`` does.
    """
    directory = Path(scenario.catalog.directory) if scenario.catalog.directory else None
    catalog = load_catalog(directory)
    machines = machines_of(scenario, catalog)
    model = load_model(scenario.model.name, directory=directory)
    profiles = load_profiles(directory, model=model.name, profile_set=scenario.model.profile_set)
    engines = load_engines(directory)
    gpus = {machine.gpu.profile_gpu for machine in machines}
    dtype = plan_dtype(scenario.model.dtype, model, profiles, gpus, scenario.model.kv_dtype)
    found = [(m, layout, p) for m in machines for layout, p in layouts_of(scenario, m, profiles, dtype)[0]]
    surfaces = {f"{m.name}/{layout.name}": as_run(p, timing_of(engines, p), model.layers) for m, layout, p in found}
    if reference := open_reference(scenario, catalog, profiles, engines):
        surfaces["reference"] = reference.step.profile
    wanted = asked(scenario)
    return machines, surfaces, wanted.draw(wanted.seeds[0], 1.0, 1.0)
