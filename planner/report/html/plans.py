"""The page of a plan, of a simulation of one, and of the answer that there is none."""

from collections.abc import Iterator, Mapping, Sequence
from math import isinf

import yaml
from markupsafe import Markup

from planner.perf.layout import Role
from planner.report.html.blocks import Block, Code, Drawing, Lines, Page, Section, Table, Tile
from planner.report.html.charts import latencies, over_time
from planner.report.html.cluster import cluster, colour
from planner.report.html.drawings import bar, margin, stacked
from planner.report.html.power import energy_tile, power_blocks, row_section
from planner.report.money import NONE, good_output_tokens_per_s, good_prompt_tokens_per_s, per_million
from planner.report.power import rated_words
from planner.report.rows import standing_words
from planner.report.text import certified, failures, precision_words, served_how
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
from planner.results.evidence import Evidence, Judgement, NoPlan, PoolUse, Round, ValidatedPlan, Verdict
from planner.results.picture import Bought, Picture
from planner.results.plan import CandidatePlan, Pool
from planner.scenario import Scenario
from planner.scenario.objectives import Budgets, Objective
from workloads.slo import Metric

_TONE = {Verdict.MET: "good", Verdict.MISSED: "bad", Verdict.UNDECIDED: "open"}
_MARK = {Verdict.MET: "✓", Verdict.MISSED: "✗", Verdict.UNDECIDED: "?"}


def plan_page(plan: ValidatedPlan, scenario: Scenario, picture: Picture) -> Page:
    """Everything that is known of a validated plan."""
    candidate, totals = plan.candidate, plan.candidate.totals
    return Page(
        title=f"{scenario.name}: plan",
        verdict="VALIDATED",
        good=True,
        headline=(
            f"{plural(totals.machines, 'machine')}, {dollars(totals.cost_usd_per_h)}, {watts(totals.power_w)} "
            f"{rated_words(candidate)}{standing_words(plan.power)}"
        ),
        about=_asked(scenario, candidate, precision_words(plan)),
        tiles=tuple(tiles(candidate, plan.judgement, picture)),
        beware=plan.warnings,
        sections=(
            Section(name="cluster", title="What to buy", blocks=bought(candidate, picture)),
            Section(name="binds", title="What binds", blocks=_bound(plan, scenario.budget())),
            *served(candidate, plan.judgement, picture),
            Section(name="balance", title="Prefill and decode", blocks=balance(candidate, plan.judgement, picture)),
            *_powered(plan.judgement, candidate, scenario),
            *((row_section(plan.power),) if plan.power else ()),
            *((_elsewise(plan),) if plan.elsewise else ()),
            Section(name="argued", title="How it was argued", blocks=argued(plan)),
            Section(name="rests", title="What it rests on", blocks=rests(plan)),
            again(scenario),
        ),
    )


def _elsewise(plan: ValidatedPlan) -> Section:
    """What other precisions and engines would cost, and how far that may be trusted."""
    headings = ("weights", "KV cache", "engine", "policy", f"#{plan.objective}", "#machines", "simulated")
    rows = [
        (
            row.dtype, row.kv_dtype, f"{row.engine} {row.engine_version}", row.policy,
            valued(plan.objective, row.objective_value), number(row.machines), "yes" if row.simulated else "no",
        )
        for row in plan.elsewise
    ]  # fmt: skip
    caption = "optima of the program alone, not simulated"
    return Section(
        name="elsewise",
        title="Other precisions and engines",
        blocks=[Table(headings=headings, rows=rows, caption=caption)],
    )


def simulation_page(judgement: Judgement, candidate: CandidatePlan, scenario: Scenario, picture: Picture) -> Page:
    """What the simulator says of a plan under a workload it may not have been made for."""
    fails = failures(judgement)
    return Page(
        title=f"{scenario.name}: simulation",
        verdict="NOT MET" if fails else "MET",
        good=not fails,
        headline="; ".join(fails) if fails else "every objective, in steady state",
        about=_asked(scenario, candidate),
        tiles=tuple(tiles(candidate, judgement, picture)),
        sections=(
            Section(name="cluster", title="What was simulated", blocks=bought(candidate, picture)),
            Section(name="binds", title="What binds", blocks=binds(candidate, judgement, scenario.budget())),
            *served(candidate, judgement, picture),
            Section(name="balance", title="Prefill and decode", blocks=balance(candidate, judgement, picture)),
            *_powered(judgement, candidate, scenario),
            again(scenario),
        ),
    )


def _powered(judgement: Judgement, candidate: CandidatePlan, scenario: Scenario) -> tuple[Section, ...]:
    """The section on power; none where nothing is known of the GPUs' watts."""
    blocks = power_blocks(judgement, candidate.totals, scenario)
    return (Section(name="power", title="Power and energy", blocks=blocks),) if blocks else ()


def no_plan_page(no_plan: NoPlan, scenario: Scenario) -> Page:
    """Why there is no plan, and what would have to change."""
    raises = [(key, budget(key, low), budget(key, high)) for key, (low, high) in sorted(no_plan.raises.items())]
    blocks: list[Block] = [Lines(lines=no_plan.explanation, bullets=True)]
    if raises:
        blocks.append(Table(headings=("budget", "#limit", "#needed"), rows=raises, caption="budgets to raise"))
    sections = [Section(name="why", title="Why not", blocks=blocks)]
    if no_plan.judgement:
        sections.append(Section(name="best", title="Best candidate", blocks=[objectives(no_plan.judgement.evidence)]))
    if no_plan.rounds:
        sections.append(Section(name="argued", title="What was tried", blocks=[_rounds(no_plan.rounds)]))
    sections.append(Section(name="refused", title="Never offered", blocks=[_excuses(no_plan)]))
    return Page(
        title=f"{scenario.name}: no plan", verdict="NO PLAN", good=False,
        headline=no_plan.explanation[0], about=f"{scenario.model.name}; {no_plan.reason}",
        sections=(*sections, again(scenario)),
    )  # fmt: skip


def _asked(scenario: Scenario, candidate: CandidatePlan, precision: str = "") -> str:
    served = f"{rate(_served(candidate))} of {scenario.model.name}{precision}"
    return f"{served}, policy {candidate.policy}, {best(scenario.objective)}"


def best(objective: str) -> str:
    """What the best plan has: the most throughput, or the least of anything else."""
    return f"{'most' if objective == Objective.THROUGHPUT else 'least'} {objective}"


def _served(candidate: CandidatePlan) -> float:
    return sum(sum(p.rate_req_per_s.values()) for p in candidate.pools if p.spec.role is not Role.DECODE)


def tiles(candidate: CandidatePlan, judgement: Judgement, picture: Picture) -> Iterator[Tile]:
    """The figures that matter most."""
    totals = candidate.totals
    prompt = sum(picture.prompt_tokens_per_s) / max(1, len(picture.prompt_tokens_per_s))
    yield Tile(label="Machines", value=number(totals.machines), note=plural(totals.gpus, "GPU"))
    yield Tile(label="Cost", value=dollars(totals.cost_usd_per_h), note="machines alone")
    good = good_output_tokens_per_s(judgement)
    price = per_million(totals.cost_usd_per_h, good)
    both = per_million(totals.cost_usd_per_h, good + good_prompt_tokens_per_s(judgement, prompt))
    note = "no request met every objective" if both is None else f"within the objectives; ${both:,.2f} with prompts"
    value = NONE if price is None else f"${price:,.2f}"
    yield Tile(label="Per million output tokens", value=value, note=note)
    yield from energy_tile(judgement, totals)
    yield Tile(label="Goodput", value=rate(judgement.goodput_req_per_s),
               note=f"{judgement.attainment_frac:.1%} met all objectives")  # fmt: skip
    if judgement.evidence:
        tightest = max(judgement.evidence, key=lambda e: e.high / e.limit)
        used = "out of bounds" if isinf(tightest.high) else f"{percent(tightest.high / tightest.limit)} of its limit"
        yield Tile(label="Tightest objective", value=tightest.slo, note=used)


def bought(candidate: CandidatePlan, picture: Picture) -> list[Block]:
    """The picture of the cluster, and the pools in numbers."""
    parts = {b.pool: b for b in picture.bought}
    rows = []
    for pool in candidate.pools:
        what, spec = parts[pool.spec.name], pool.spec
        rows.append((
            spec.role, f"{spec.machine} ({what.machine_gpus} {what.gpu})", spec.layout.name, number(pool.instances),
            number(pool.machines), dollars(what.price_usd_per_h * pool.machines), watts(what.rated_w * pool.machines),
            f"{sum(pool.rate_req_per_s.values()):.4g}", percent(pool.load_frac), percent(pool.kv_load_frac),
        ))  # fmt: skip
    headings = ("role", "machine", "layout", "#instances", "#machines", "#cost", "#rated", "#req/s", "#load", "#KV")
    return [
        Drawing(svg=cluster(candidate, picture), caption="A square is a GPU; those of one instance share a shade."),
        Table(headings=headings, rows=rows, caption="pools"),
    ]


def _bound(plan: ValidatedPlan, budgets: Budgets) -> list[Block]:
    """What binds, and how much more load it leaves room for."""
    limits = binds(plan.candidate, plan.judgement, budgets)
    lines = (*((margin_words(plan.margin),) if plan.margin else ()), *map(peak_words, plan.peaks))
    return [*limits, Lines(lines=lines)] if lines else limits


def binds(candidate: CandidatePlan, judgement: Judgement, budgets: Budgets) -> list[Block]:
    """What is nearest to its limit: objectives, planned loads, memory, budgets; the tightest first."""
    headroom, totals = candidate.headroom, candidate.totals
    used = [(f"objective {e.slo}", e.high / e.limit, "upper end of the interval") for e in judgement.evidence]
    for pool in candidate.pools:
        load = pool.load_frac / headroom.of(pool.spec.role)
        used.append((f"load of {pool.spec.name}", load, f"planned at most {percent(headroom.of(pool.spec.role))}"))
        kv = pool.kv_load_frac / headroom.kv_frac
        used.append((f"KV memory of {pool.spec.name}", kv, f"planned at most {percent(headroom.kv_frac)}"))
    for key in ("cost_usd_per_h", "power_w", "expected_power_w", "rack_units", "machines"):
        limit = getattr(budgets, key)
        if limit:
            used.append((f"budget {key}", getattr(totals, key) / limit, f"of {budget(key, limit)}"))
    used.sort(key=lambda row: -row[1])
    most = min(1.5, max((share for _, share, _ in used), default=1.0))
    rows = [
        (name, bar(share, f"{name}: {_percent(share)} of its limit", most=most), _percent(share), of)
        for name, share, of in used
    ]
    return [Table(headings=("limit", "used", "#share", "of what"), rows=rows, caption="limits, the tightest first")]


def _percent(share: float) -> str:
    return "unbounded" if isinf(share) else percent(share)


def served(candidate: CandidatePlan, judgement: Judgement, picture: Picture) -> tuple[Section, ...]:
    """What the simulator saw: objectives, latencies, and the pools over time."""
    spread = []
    for metric in Metric:
        values = [judgement.latency_s.get(f"{metric}_p{percentile}_s") for percentile in (50, 90, 99)]
        spread.append((metric.upper(), *("" if v is None else seconds(v) for v in values)))
    use = [
        (p.pool, percent(p.busy_frac), percent(p.kv_mean_frac), percent(p.kv_peak_frac), f"{p.batch_mean:.1f}",
         f"{number(round(p.queue_mean_tokens))}", number(p.preemptions))
        for p in judgement.pools
    ]  # fmt: skip
    pools = Table(
        headings=("pool", "#busy", "#KV mean", "#KV peak", "#batch", "#queue, tokens", "#preempted"), rows=use,
        caption="use of the pools, all seeds",
    )  # fmt: skip
    return (
        Section(
            name="objectives", title="Objectives",
            blocks=[objectives(judgement.evidence), Lines(lines=tuple(served_how(judgement)))],
        ),
        Section(
            name="latency", title="Latency",
            blocks=[
                latencies(picture.curves, judgement.evidence),
                Table(headings=("latency", "#p50", "#p90", "#p99"), rows=spread, caption="percentiles, all seeds"),
            ],
            lead=f"The curves are of one run: {picture.words}.",
        ),
        Section(
            name="time", title="Over time", blocks=[*over_time(picture, candidate), pools],
            lead=f"One run: {picture.words}. What was not measured is shaded. Drag to zoom, all charts together.",
        ),
    )  # fmt: skip


def objectives(evidence: Sequence[Evidence]) -> Table:
    """Every objective with its interval beside its limit."""
    rows = []
    for e in evidence:
        limit, measured, low, high = (amount(value, e.unit) for value in (e.limit, e.measured, e.low, e.high))
        words = f"{e.slo}: {measured}, interval {low} to {high}, limit {limit}, {e.verdict}"
        picture = margin(e.low / e.limit, e.measured / e.limit, e.high / e.limit, words, tone=_TONE[e.verdict])
        verdict = f"{_MARK[e.verdict]} {e.verdict}"
        rows.append((e.slo, picture, limit, measured, f"{low} to {high}", _toned(verdict, _TONE[e.verdict]),
                     number(e.n)))  # fmt: skip
    headings = ("objective", "margin", "#limit", "#measured", "#interval", "verdict", "#n")
    return Table(headings=headings, rows=rows, caption="objectives: dot measured, band interval, line limit")


def _toned(words: str, tone: str) -> Markup:
    return Markup('<span class="verdict {}">{}</span>').format(tone, words)


def balance(candidate: CandidatePlan, judgement: Judgement, picture: Picture) -> list[Block]:
    """How machines, money and power are shared between the phases, and what the tokens cost."""
    parts = {b.pool: b for b in picture.bought}
    weights: Mapping[str, Mapping[str, float]] = {
        "machines": {p.spec.name: float(p.machines) for p in candidate.pools},
        "GPUs": {p.spec.name: float(p.machines * parts[p.spec.name].machine_gpus) for p in candidate.pools},
        "cost": {p.spec.name: p.machines * parts[p.spec.name].price_usd_per_h for p in candidate.pools},
        "rated power": {p.spec.name: p.machines * parts[p.spec.name].rated_w for p in candidate.pools},
    }
    tones = {p.spec.name: colour(p.spec.role) for p in candidate.pools}
    roles = {p.spec.name: str(p.spec.role) for p in candidate.pools}
    drawn_rows = []
    for name, row in weights.items():
        whole = sum(row.values()) or 1.0
        drawn_rows.append((name, [(roles[pool], value / whole, tones[pool]) for pool, value in row.items()]))
    uses = {use.pool: use for use in judgement.pools}
    made: list[Block] = [Drawing(svg=stacked(drawn_rows, "shares of the pools"))]
    per_token = [
        _per_token(pool, parts[pool.spec.name], uses.get(pool.spec.name), judgement, picture)
        for pool in candidate.pools
    ]
    headings = ("pool", "#tokens/s", "#per million", "#energy per token", "#busy")
    caption = (
        "what a token of each phase takes: money (of tokens within the objectives), and energy at the plugs (≤: at "
        "rated power)"
    )
    made.append(Table(headings=headings, rows=per_token, caption=caption))
    prefills, decodes = (_machines(candidate, role) for role in (Role.PREFILL, Role.DECODE))
    if prefills and decodes:
        words = f"P:D is {prefills}:{decodes}: {prefills / decodes:.3g} prefill to 1 decode machine."
        made.append(Lines(lines=(words,)))
    return made


def _per_token(
    pool: Pool, what: Bought, use: PoolUse | None, judgement: Judgement, picture: Picture
) -> tuple[str, ...]:
    """What a token costs in a pool: money of tokens within the objectives, joules of all that it works through."""
    tokens = _tokens_per_s(pool.spec.role, judgement, picture)
    worth = _good_tokens_per_s(pool.spec.role, judgement, picture)
    cost = per_million(what.price_usd_per_h * pool.machines, worth)
    power = use.power if use else None
    drawn_w = power.mean_w if power else what.rated_w * pool.machines
    return (
        pool.spec.name, number(round(tokens)), NONE if cost is None else f"${cost:,.3f}",
        f"{'' if power else '≤ '}{drawn_w / tokens:.3g} J" if tokens else NONE, percent(use.busy_frac if use else 0.0),
    )  # fmt: skip


def _tokens_per_s(role: Role, judgement: Judgement, picture: Picture) -> float:
    """What a phase works through: prompts, outputs, or both."""
    prompt = sum(picture.prompt_tokens_per_s) / max(1, len(picture.prompt_tokens_per_s))
    return {Role.PREFILL: prompt, Role.DECODE: judgement.output_tokens_per_s}.get(
        role, prompt + judgement.output_tokens_per_s
    )


def _good_tokens_per_s(role: Role, judgement: Judgement, picture: Picture) -> float:
    """The same, of requests that met every objective."""
    computed = sum(picture.prompt_tokens_per_s) / max(1, len(picture.prompt_tokens_per_s))
    prompt, output = good_prompt_tokens_per_s(judgement, computed), good_output_tokens_per_s(judgement)
    return {Role.PREFILL: prompt, Role.DECODE: output}.get(role, prompt + output)


def _machines(candidate: CandidatePlan, role: Role) -> int:
    return sum(p.machines for p in candidate.pools if p.spec.role is role)


def argued(plan: ValidatedPlan) -> list[Block]:
    """The rounds, and why nothing smaller will do."""
    made: list[Block] = [_rounds(plan.rounds), Lines(lines=(certified(plan),))]
    neighbours = [(n.pool, number(n.machines), "; ".join(n.fails)) for n in plan.certificate.neighbours]
    if neighbours:
        title = "serve more" if plan.objective == Objective.THROUGHPUT else "be smaller"
        made.append(Table(headings=("pool", "#machines", "fails"), rows=neighbours, caption=f"why it cannot {title}"))
    if plan.alternatives:
        made.append(Lines(lines=plan.alternatives, bullets=True))
    return made


def _rounds(rounds: Sequence[Round]) -> Table:
    most = max((r.candidate.totals.cost_usd_per_h for r in rounds), default=1.0) or 1.0
    rows = [
        (
            str(index), turn.step, number(turn.candidate.totals.machines),
            bar(turn.candidate.totals.cost_usd_per_h / most, dollars(turn.candidate.totals.cost_usd_per_h),
                colour="c2" if turn.judgement.valid else "c1", limited=False),
            dollars(turn.candidate.totals.cost_usd_per_h),
            _toned(("✓ " if turn.judgement.valid else "✗ ") + turn.note, "good" if turn.judgement.valid else "bad"),
        )
        for index, turn in enumerate(rounds, 1)
    ]  # fmt: skip
    headings = ("#round", "step", "#machines", "cost", "#cost", "the simulator says")
    return Table(headings=headings, rows=rows, caption="propose, simulate, tighten, shrink")


def rests(plan: ValidatedPlan) -> list[Block]:
    """Where the numbers come from."""
    hues = {"measured": "c2", "derived": "c0", "transferred": "c4", "vendor": "c5", "assumed": "c1", "calibrated": "c3"}
    shares = sorted(plan.provenance.items(), key=lambda item: (-item[1], item[0]))
    parts = [(kind, share, hues.get(kind, "c6")) for kind, share in shares]
    words = ", ".join(f"{percent(share)} {kind}" for kind, share in shares)
    return [
        Drawing(svg=stacked([("input numbers", parts)], f"input numbers: {words}"), caption=f"{words}."),
        Lines(lines=plan.sources, bullets=True),
        Lines(
            lines=tuple(f"{e.option} ({e.bottleneck}): {e.reason}" for e in plan.excuses), bullets=True,
            folded=f"{plural(len(plan.excuses), 'option')} never offered",
        ),
    ]  # fmt: skip


def _excuses(no_plan: NoPlan) -> Table:
    rows = [(e.option, e.bottleneck, e.reason) for e in no_plan.excuses]
    return Table(headings=("option", "for", "because"), rows=rows, caption="options never offered")


def again(scenario: Scenario) -> Section:
    """The whole question, so that anyone can ask it again."""
    text = yaml.safe_dump(scenario.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    return Section(
        name="scenario", title="The scenario", blocks=[Code(name="scenario", text=text)],
        lead=f"Save it as {scenario.name}.yaml to ask again, for example: phasewise plan {scenario.name}.yaml",
    )  # fmt: skip
