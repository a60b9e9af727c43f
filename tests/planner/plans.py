"""A hand-made plan, small enough to read, complete enough to show everything."""

from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path

from planner.perf.layout import InstanceSpec, Layout, Role
from planner.planning.plausibility import peak_shares
from planner.planning.recount import as_it_stands
from planner.resolve.case import case_of
from planner.resolve.measured_bands import measured_against
from planner.resolve.provenance import provenance
from planner.resolve.serving import served_as
from planner.results.evidence import (
    Certificate,
    Evidence,
    Excuse,
    Judgement,
    Neighbour,
    NoPlan,
    Round,
    ValidatedPlan,
    Verdict,
)
from planner.results.plan import CandidatePlan, Pool, Totals
from planner.results.use import PoolUse
from planner.scenario import Scenario
from planner.scenario.digest import digest_of
from planner.scenario.objectives import Headroom
from solvers.allocation import Reason, Termination
from workloads.slo import Slo

EXAMPLES = Path(__file__).parents[2] / "planner" / "examples"
PREFILL = InstanceSpec(role=Role.PREFILL, machine="dgx-h100", layout=Layout(tp=4))
DECODE = InstanceSpec(role=Role.DECODE, machine="dgx-a100", layout=Layout(tp=8))
LATENCY_S = {"ttft": 0.2, "tbt": 0.03, "tpot": 0.025, "e2e": 7.5, "stall": 0.04}


def scenario() -> Scenario:
    """The question the plan answers."""
    return Scenario.load(EXAMPLES / "splitwise-conv.yaml")


def digests(asked: Scenario) -> dict[str, str]:
    """What a file says of the inputs of a question."""
    return {"scenario": digest_of(asked), "catalog": "cd" * 32, "trace": "ef" * 32}


DIGESTS = digests(scenario())


def candidate(decode_machines: int = 2) -> CandidatePlan:
    """One prefill machine and some decode machines."""
    cost = 66.0 + 20.0 * decode_machines
    return CandidatePlan(
        policy="splitwise",
        pools=(
            Pool(
                spec=DECODE,
                instances=decode_machines,
                machines=decode_machines,
                rate_req_per_s={"all": 20.0},
                load_frac=1.6 / decode_machines,
                kv_load_frac=0.41,
            ),
            Pool(
                spec=PREFILL,
                instances=2,
                machines=1,
                rate_req_per_s={"all": 20.0},
                load_frac=2 / 3,
                kv_load_frac=0.03,
            ),
        ),
        totals=Totals(
            cost_usd_per_h=cost,
            power_w=10200.0 + 6500.0 * decode_machines,
            rack_units=8.0 + 6.0 * decode_machines,
            machines=1 + decode_machines,
            gpus=8 + 8 * decode_machines,
        ),
        headroom=Headroom(),
        rate_scale=1.0,
        termination=Termination(reason=Reason.OPTIMAL, objective=cost, bound=cost, backend="highs"),
    )


@cache
def counted() -> ValidatedPlan:
    """The hand-made plan with the figures that its machines have, as a file of phasewise has them."""
    made, asked = plan(), scenario()
    now = as_it_stands(asked, made.candidate)
    value = now.totals.cost_usd_per_h
    case = case_of(asked, now)
    shares, sources = provenance(case, now)
    certificate = replace(made.certificate, bound=0.8 * value, gap_frac=0.2)
    return replace(
        made, candidate=replace(now, variant=case.variant), objective_value=value, certificate=certificate,
        choices=(), provenance=shares, sources=sources, peaks=peak_shares(case, now, made.judgement),
        served=served_as(case, now), accuracy=measured_against(case, now),
    )  # fmt: skip


def judgement(tbt_s: float = 0.061, verdict: Verdict = Verdict.MET) -> Judgement:
    """Evidence in which only the time between tokens varies."""
    seen = {"measured": tbt_s, "low": tbt_s * 0.9, "high": tbt_s * 1.1}
    evidence = (
        _met("ttft_p99_s", 1.0, 0.412),
        Evidence(slo=Slo.named("tbt_p99_s", 0.1), verdict=verdict, n=1_234_567, **seen),
        _met("e2e_p90_s", 20.0, 14.25),
    )
    described = {f"{m}_p{p}_s": base * (1 + p / 100) for m, base in LATENCY_S.items() for p in (50, 90, 99)}
    return Judgement(
        evidence=evidence,
        workload="poisson arrivals, lengths of azure-conv-2023",
        seeds=(1, 2, 3),
        horizon_s=120.0,
        warmup_s=12.0,
        cooldown_s=6.0,
        arrived=7213,
        finished=7213,
        refused=0,
        unfinished=0,
        goodput_req_per_s=19.912345678912,
        attainment_frac=0.9931,
        output_tokens_per_s=4217.3,
        steady=True,
        pools=(_use(DECODE.name, 0.71, 37.2, 3.0), _use(PREFILL.name, 0.63, 0.0, 512.5)),
        link_wait_mean_s=0.0011,
        transfer_mean_s=0.0123,
        latency_s=described | {each.key: each.measured for each in evidence},
    )


def overloaded() -> Judgement:
    """One decode machine is not enough: some requests never finish."""
    late = Evidence(slo=Slo.named("e2e_p90_s", 20.0), measured=inf, low=18.0, high=inf, verdict=Verdict.MISSED, n=6100)
    base = judgement(0.35, Verdict.MISSED)
    latency_s = {**base.latency_s, "e2e_p99_s": inf}
    evidence = (*base.evidence[:2], late)
    return replace(base, evidence=evidence, latency_s=latency_s, steady=False, finished=7000, unfinished=213)


def plan() -> ValidatedPlan:
    """Two decode machines after one was not enough."""
    smaller = Neighbour(pool=DECODE.name, machines=1, judgement=overloaded(), fails=("tbt_p99_s missed", "unsteady"))
    last = Neighbour(pool=PREFILL.name, machines=0, judgement=None, fails=("no prefill would be left",))
    return ValidatedPlan(
        candidate=candidate(),
        objective="cost",
        objective_value=106.0,
        judgement=judgement(),
        certificate=Certificate(bound=86.0, gap_frac=20 / 106, solver_gap_frac=0.0, neighbours=(smaller, last)),
        rounds=(
            Round(
                step="solve",
                candidate=candidate(1),
                judgement=overloaded(),
                note="tbt_p99_s missed: 0.35 s (interval 0.315 to 0.385), limit 0.1 s",
            ),
            Round(step="solve", candidate=candidate(), judgement=judgement(), note="every objective met"),
        ),
        excuses=(
            Excuse(
                option="mixed/dgx-a100/tp1", reason="Weights of 131 GiB do not fit into 72 GiB.", bottleneck="memory"
            ),
            Excuse(option="prefill/dgx-a100/tp1", reason="Weights do not fit.", bottleneck="memory"),
            Excuse(option="decode/hgx-h200/tp8", reason="There is no fp4 profile.", bottleneck="profile"),
        ),
        provenance={"measured": 0.7, "derived": 0.2, "vendor": 0.1},
        sources=("Kernel times: aiconfigurator 0.12.0, read 2026-11-02.", "Price of dgx-h100: price list, 2026-11-02."),
        warnings=("3 % of decode steps lie beyond the measured contexts.",),
        alternatives=("colocated: cost 127.2, +20.0 % against 106",),
    )


def no_plan() -> NoPlan:
    """A power budget that nothing fits."""
    return NoPlan(
        reason="infeasible",
        explanation=("No plan fits the budgets.", "Power is what binds."),
        raises={"power_w": (10000.0, 23200.0)},
        rounds=(),
        excuses=plan().excuses,
        judgement=None,
    )


def _met(slo: str, limit_s: float, measured_s: float) -> Evidence:
    low_s, high_s = measured_s * 0.95, measured_s * 1.05
    return Evidence(
        slo=Slo.named(slo, limit_s),
        measured=measured_s,
        low=low_s,
        high=high_s,
        verdict=Verdict.MET,
        n=6131,
    )


def _use(pool: str, busy_frac: float, batch: float, queue: float) -> PoolUse:
    return PoolUse(
        pool=pool,
        busy_frac=busy_frac,
        kv_peak_frac=0.55,
        kv_mean_frac=0.38,
        batch_mean=batch,
        queue_mean_tokens=queue,
        preemptions=0,
    )
