"""The plan as text, the verdict first."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from planner.perf.layout import Role
from planner.report.money import token_words
from planner.report.power import expected_words, joules_words, layout_words, power_table, rated_words
from planner.report.rows import row_view, standing_words
from planner.report.tables import bullets, table
from planner.report.words import (
    amount,
    budget,
    dollars,
    margin_words,
    number,
    peak_words,
    percent,
    plural,
    rate,
    seconds,
    valued,
    watts,
)
from planner.results.evidence import Certificate, Excuse, Judgement, NoPlan, Round, ValidatedPlan, Verdict
from planner.results.plan import CandidatePlan
from planner.results.precision import precision
from planner.scenario import Scenario
from planner.scenario.objectives import Headroom, Objective
from workloads.slo import Metric, Unit

_UNVALIDATED = "UNVALIDATED (edited since it was simulated)"
_PROVEN_FRAC = 1e-6
_SLACK_RATIO = 1.1
"""A plan that carries so much more than its load is not called optimal: what it has to spare is whole machines."""
_STYLE = {Verdict.MET: "green", Verdict.MISSED: "red", Verdict.UNDECIDED: "yellow"}
_RESOURCE = {
    "cost": "cost", "power": "rated power", "machines": "number of machines", "throughput": "throughput",
    "energy": "expected power", "carbon": "carbon",
}  # fmt: skip


def plan_view(plan: ValidatedPlan, scenario: Scenario, *, edited: bool = False) -> RenderableType:
    """A validated plan: what to buy, then why to believe it, then what it rests on; or one edited since."""
    totals, throughput = plan.candidate.totals, plan.objective == Objective.THROUGHPUT
    verdict = Text(_UNVALIDATED, style="bold red") if edited else Text("VALIDATED", style="bold green")
    bought = f"{plural(totals.machines, 'machine')}, {dollars(totals.cost_usd_per_h)}, {watts(totals.power_w)}"
    served = f"{rate(_served(plan.candidate))} of {scenario.model.name}{precision_words(plan)}"
    verdict.append(f": {bought} {rated_words(plan.candidate)}{standing_words(plan.power)}, for {served}", style="bold")
    return Group(
        verdict,
        *_section("What to buy", pools_table(plan.candidate), *_lines(*_bought(plan, scenario))),
        *_section("Evidence", judgement_view(plan.judgement)),
        *_section("What binds", *_lines(*_binding(plan))),
        *_section("Why not more" if throughput else "Why not less", *_why_not_better(plan.certificate)),
        *_section("How it was argued", rounds_table(plan.rounds), *_lines(certified(plan))),
        *_section("What it rests on", *_lines(_shares(plan)), bullets(plan.sources), *_lines(_refused(plan.excuses))),
        *(_section("How many a row holds", row_view(plan.power)) if plan.power else ()),
        *(_section("Compared with", bullets(plan.alternatives)) if plan.alternatives else ()),
        *(_section("Other precisions and engines", *elsewise_view(plan)) if plan.elsewise else ()),
        *(_section("Beware", bullets(plan.warnings)) if plan.warnings else ()),
    )


def no_plan_view(no_plan: NoPlan) -> RenderableType:
    """Why there is no plan, and what would have to change."""
    verdict = Text("NO PLAN", style="bold red")
    verdict.append(f" ({no_plan.reason}): {' '.join(no_plan.explanation[:1])}", style="bold")
    raises = table("budget", "#limit", "#needed")
    for key, (limit, needed) in sorted(no_plan.raises.items()):
        raises.add_row(Text(key), budget(key, limit), budget(key, needed))  # a bracketed name is no markup
    return Group(
        verdict,
        *(() if no_plan.raises else _lines(*no_plan.explanation[1:])),
        *(_section("Smallest set of budgets to raise", raises) if no_plan.raises else ()),
        *(_section("Best candidate", judgement_view(no_plan.judgement)) if no_plan.judgement else ()),
        *(_section("What was tried", rounds_table(no_plan.rounds)) if no_plan.rounds else ()),
        *(("", _refused(no_plan.excuses)) if no_plan.excuses else ()),
    )


def simulation_view(judgement: Judgement, candidate: CandidatePlan) -> RenderableType:
    """What the simulator says of a plan under a workload it may not have been made for."""
    fails = failures(judgement)
    verdict = Text("NOT MET" if fails else "MET", style="bold red" if fails else "bold green")
    verdict.append(": " + ("; ".join(fails) if fails else "every objective, in steady state"), style="bold")
    return Group(
        verdict,
        *_section("Simulated", pools_table(candidate), *_lines(*token_words(candidate, judgement))),
        *_section("Evidence", judgement_view(judgement)),
    )


def failures(judgement: Judgement) -> tuple[str, ...]:
    """What keeps a judgement from being valid, objective by objective; empty where nothing does."""
    late = [f"{e.slo} {e.verdict}" for e in judgement.evidence if e.verdict is not Verdict.MET]
    growing = [] if judgement.steady else [judgement.growth if judgement.longer_s else "the backlog grows"]
    refused = [f"{plural(judgement.refused, 'request')} refused"] if judgement.refused else []
    behind = [f"{plural(judgement.unfinished, 'request')} left behind"] if judgement.unfinished else []
    return (*late, *growing, *refused, *behind, *judgement.over)


def pools_table(candidate: CandidatePlan) -> Table:
    """The pools of a candidate with the load the optimiser predicts for each."""
    made = table("role", "machine", "layout", "#instances", "#machines", "#req/s", "#load", "#KV")
    for pool in candidate.pools:
        made.add_row(
            pool.spec.role,
            pool.spec.machine,
            layout_words(pool.spec),
            number(pool.instances),
            number(pool.machines),
            f"{sum(pool.rate_req_per_s.values()):.4g}",
            percent(pool.load_frac),
            percent(pool.kv_load_frac),
        )
    return made


def judgement_view(judgement: Judgement) -> RenderableType:
    """Every objective with its limit, what was measured and how surely; then how it was served."""
    made = table("objective", "#limit", "#measured", "#interval", "verdict", "#n")
    for e in judgement.evidence:
        verdict = Text(e.verdict, style=_STYLE[e.verdict])
        limit, measured, low, high = (amount(value, e.unit) for value in (e.limit, e.measured, e.low, e.high))
        made.add_row(e.slo, limit, measured, f"{low} to {high}", verdict, number(e.n))
    spread = table("latency", "#p50", "#p90", "#p99")
    for metric in Metric:
        values = (judgement.latency_s.get(f"{metric}_p{percentile}_s") for percentile in (50, 90, 99))
        spread.add_row(metric.upper(), *("" if value is None else seconds(value) for value in values))
    use = table("pool", "#busy", "#KV mean", "#KV peak", "#batch", "#queue", "#preempted")
    for p in judgement.pools:
        shares = (percent(p.busy_frac), percent(p.kv_mean_frac), percent(p.kv_peak_frac))
        queue = f"{number(round(p.queue_mean_tokens))} tok"
        use.add_row(p.pool, *shares, f"{p.batch_mean:.1f}", queue, number(p.preemptions))
    power = power_table(judgement)
    drawn = (Text(), power, *_lines(*joules_words(judgement))) if power else ()
    return Group(made, Text(), *_lines(*served_how(judgement)), Text(), spread, Text(), use, *drawn)


def _steady(judgement: Judgement) -> str:
    """Whether a backlog grows, and how long was looked."""
    if not judgement.steady:
        return judgement.growth if judgement.longer_s else "the backlog grows"
    return f"steady, over {number(judgement.longer_s)} s too" if judgement.longer_s else "steady"


def served_how(judgement: Judgement) -> Iterator[str]:
    """What was served and how it went, in sentences."""
    yield (
        f"Served: {judgement.workload}; {plural(len(judgement.seeds), 'seed')} of {number(judgement.horizon_s)} s, "
        f"measured from {number(judgement.warmup_s)} s to {number(judgement.horizon_s - judgement.cooldown_s)} s."
    )
    yield (
        f"Requests: {judgement.arrived:,} arrived, {judgement.finished:,} finished, {judgement.refused:,} refused, "
        f"{judgement.unfinished:,} left behind; {_steady(judgement)}."
    )
    if judgement.restarted:
        yield f"Failures: requests were lost with a machine and served again {judgement.restarted:,} times."
    yield (
        f"Goodput: {rate(judgement.goodput_req_per_s)} met every objective jointly "
        f"({judgement.attainment_frac * 100:.1f} %); {number(round(judgement.output_tokens_per_s))} output tokens/s."
    )
    yield from _stalls(judgement)
    yield from _bubbles(judgement)
    if judgement.transfer_mean_s:
        yield (
            f"KV transfers: landed {seconds(judgement.transfer_mean_s)} after the prefill on average, having waited "
            f"{seconds(judgement.link_wait_mean_s)} for the link."
        )


def _bubbles(judgement: Judgement) -> Iterator[str]:
    """What the stages of pipelines stood idle between batches, and why."""
    for use in judgement.pools:
        found = use.bubbles
        if found:
            kinds = (found.prompts_frac, found.phases_frac, found.contexts_frac)
            prompts, phases, contexts = (percent(share) for share in kinds)
            yield (
                f"Bubbles: the stages of {use.pool} stood idle {percent(sum(kinds))} of the time between batches: "
                f"{prompts} between prompts of different length (PB1), {phases} between prompts and decodes (PB2), "
                f"{contexts} between decodes of different context (PB3); another {percent(found.unfilled_frac)} for "
                "want of a batch."
            )


def _stalls(judgement: Judgement) -> Iterator[str]:
    """That many requests have one long gap, where the percentile of all gaps hides it."""
    limits_s = [e.limit for e in judgement.evidence if e.slo.startswith("tbt_") and e.unit is Unit.SECONDS]
    stalled_s = judgement.latency_s.get("stall_p50_s", 0.0), judgement.latency_s.get("stall_p90_s", 0.0)
    if limits_s and stalled_s[1] > min(limits_s):
        share = "half" if stalled_s[0] > min(limits_s) else "a tenth"
        usual = stalled_s[0] if stalled_s[0] > min(limits_s) else stalled_s[1]
        yield (
            f"Note: {share} of the requests pause for {seconds(usual)} or more once, mostly before their second token; "
            "among all gaps that is too rare to count. slo.stall_p90_s bounds it."
        )


def rounds_table(rounds: Sequence[Round]) -> Table:
    """The argument between optimiser and simulator, one turn a line."""
    made = table("#", "step", "#machines", "#cost", "#req/s", "the simulator says")
    for index, turn in enumerate(rounds, 1):
        totals = turn.candidate.totals
        said = Text(turn.note, style="green" if turn.judgement.valid else "red")
        cost, served = dollars(totals.cost_usd_per_h), number(_served(turn.candidate))
        made.add_row(str(index), turn.step, number(totals.machines), cost, served, said)
    return made


def excuses_table(excuses: Iterable[Excuse]) -> Table:
    """Options that were never offered to the optimiser, and why."""
    made = table("option refused", "for", "because")
    for excuse in excuses:
        made.add_row(excuse.option, excuse.bottleneck, excuse.reason)
    return made


def _bought(plan: ValidatedPlan, scenario: Scenario) -> Iterable[str]:
    totals, limits = plan.candidate.totals, scenario.budget()
    spent = {
        "cost_usd_per_h": totals.cost_usd_per_h,
        "power_w": totals.power_w,
        "expected_power_w": totals.expected_power_w,
        "rack_units": totals.rack_units,
        "machines": float(totals.machines),
    }
    for key, needed in spent.items():
        limit = getattr(limits, key)
        if limit is not None:
            yield f"Budget {key}: {budget(key, needed)} of {budget(key, limit)}."
    yield f"{plural(totals.gpus, 'GPU')}, {number(totals.rack_units)} rack units; policy {plan.candidate.policy}."
    yield from expected_words(totals, scenario)
    yield from token_words(plan.candidate, plan.judgement)
    yield f"Load limits of the optimiser: {_headroom(plan.candidate.headroom)}."
    yield from map(peak_words, plan.peaks)
    if plan.candidate.rate_scale != 1:
        yield f"It carries {plan.candidate.rate_scale:.4g} times the workload's rate."


def _headroom(headroom: Headroom) -> str:
    shares = {
        "prefill": headroom.prefill_frac,
        "decode": headroom.decode_frac,
        "mixed": headroom.mixed_frac,
        "KV": headroom.kv_frac,
        "link": headroom.link_frac,
    }
    return ", ".join(f"{name} {percent(share)}" for name, share in shares.items())


def _binding(plan: ValidatedPlan) -> Iterable[str]:
    tightest = max(plan.judgement.evidence, key=lambda e: e.high / e.limit)
    yield f"Objective: {tightest.slo} comes closest, {percent(tightest.high / tightest.limit)} of its limit used."
    headroom = plan.candidate.headroom
    loads = [(p.load_frac / headroom.of(p.spec.role), f"load of {p.spec.name}") for p in plan.candidate.pools]
    memory = [(p.kv_load_frac / headroom.kv_frac, f"KV memory of {p.spec.name}") for p in plan.candidate.pools]
    share, name = max(loads + memory)
    confirmed = "; the simulator confirms more than was estimated" if share > 1 + _PROVEN_FRAC else ""
    yield f"Resource: {name}, {percent(share)} of what its headroom allows{confirmed}."
    if plan.margin:
        yield margin_words(plan.margin)


def _why_not_better(certificate: Certificate) -> Iterable[RenderableType]:
    if not certificate.neighbours:
        return _lines("No neighbour was simulated.")
    made = table("pool", "#machines", "fails")
    for neighbour in certificate.neighbours:
        made.add_row(neighbour.pool, number(neighbour.machines), "; ".join(neighbour.fails))
    return (made,)


def certified(plan: ValidatedPlan) -> str:
    """How far the plan is from a proven optimum, in sentences."""
    certificate, objective = plan.certificate, Objective(plan.objective)
    value = valued(objective, plan.objective_value)
    if certificate.bound is None or certificate.gap_frac is None:
        return f"The {_RESOURCE[objective]} is {value}; the solver proved no bound."
    side = "at most" if objective is Objective.THROUGHPUT else "at least"
    what = f"The {_RESOURCE[objective]} is {value}"
    if certificate.gap_frac >= _PROVEN_FRAC:
        bound, gap = valued(objective, certificate.bound), percent(certificate.gap_frac)
        return (
            f"{what}; whatever the latencies it is {side} {bound}, which is proven{_among(plan)}. "
            f"The gap of {gap} is not: percentiles and whole machines need most of it."
        )
    if plan.margin and plan.margin.holds_ratio >= _SLACK_RATIO:
        return (
            f"{what}; no fewer whole machines can carry the load, which is proven. The load margin is what whole "
            "machines leave."
        )
    return f"{what}, proven optimal{_among(plan)}: less cannot carry the load, whatever its latencies."


def precision_words(plan: ValidatedPlan) -> str:
    """What the model is served in, for example `` (bf16 weights, bf16 KV cache, vllm 0.24.0)``; empty where unknown."""
    return f" ({precision(plan.served)})" if plan.served else ""


def _among(plan: ValidatedPlan) -> str:
    """Among what an optimum is one."""
    if not plan.served:
        return ""
    return f" among the machines and layouts offered with {precision(plan.served)}, policy {plan.candidate.policy}"


def elsewise_view(plan: ValidatedPlan) -> Iterator[RenderableType]:
    """What other precisions and engines would cost, and how far that may be trusted."""
    made = table("weights", "KV cache", "engine", "policy", f"#{plan.objective}", "#machines", "simulated")
    for row in plan.elsewise:
        made.add_row(
            row.dtype, row.kv_dtype, f"{row.engine} {row.engine_version}", row.policy,
            valued(plan.objective, row.objective_value), number(row.machines), "yes" if row.simulated else "no",
        )  # fmt: skip
    yield made
    yield Text("Optima of the program alone; plan again with model.dtype, model.kv_dtype or model.profile_set set.")


def _shares(plan: ValidatedPlan) -> str:
    shares = sorted(plan.provenance.items(), key=lambda item: (-item[1], item[0]))
    return "Input numbers: " + ", ".join(f"{percent(share)} {kind}" for kind, share in shares) + "."


def _refused(excuses: Sequence[Excuse]) -> str:
    counts = Counter(excuse.bottleneck for excuse in excuses)
    reasons = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"{plural(len(excuses), 'option')} never offered" + (f": {reasons}; `check` names each." if counts else ".")


def _served(candidate: CandidatePlan) -> float:
    rates: Counter[str] = Counter()
    for pool in candidate.pools:
        if pool.spec.role is not Role.DECODE:  # a request of a split pair is counted where it starts
            rates.update(pool.rate_req_per_s)
    return sum(rates.values())


def _section(title: str, *parts: RenderableType) -> tuple[RenderableType, ...]:
    return (Text(), Text(title, style="bold"), *(Padding(part, (0, 0, 0, 2), expand=False) for part in parts))


def _lines(*lines: str) -> tuple[RenderableType, ...]:
    return tuple(Text(line) for line in lines)
