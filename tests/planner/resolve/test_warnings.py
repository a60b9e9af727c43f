"""What a buyer is warned of before trusting a plan."""

from planner.capacity.totals import totals
from planner.perf.layout import Role
from planner.resolve.case import open_case
from planner.resolve.warnings import doubts
from planner.results.plan import CandidatePlan, Pool
from planner.scenario.objectives import Headroom
from tests.planner.small import small


def test_step_times_of_another_gpu_are_named() -> None:
    """A pool on a GPU without measurements of its own says whose step times it has, by what factor, of which kind."""
    case = open_case(small("catalog.machines=[dgx-h100, dgx-h100-cap350]", "policy.name=splitwise"), "splitwise")
    pools = tuple(
        Pool(spec=o.spec, instances=1, machines=1, rate_req_per_s={"all": 1.0}, load_frac=0.5, kv_load_frac=0.5)
        for o in case.options
    )
    plan = CandidatePlan(
        policy="splitwise", pools=pools, totals=totals([]), headroom=Headroom(), rate_scale=1.0,
        termination=None,  # type: ignore[arg-type]
    )  # fmt: skip
    found = [doubt for doubt in doubts(case, plan) if "step times are those of" in doubt]
    wanted = {
        f"{o.spec.name}: its step times are those of h100-sxm, "
        + ("prefill x 1.3" if o.spec.role is Role.PREFILL else "decode x 1")
        + " (transferred); none was measured on h100-sxm-cap350"
        for o in case.options
        if o.spec.machine == "dgx-h100-cap350"
    }
    assert set(found) == wanted
    assert len(wanted) == 2
