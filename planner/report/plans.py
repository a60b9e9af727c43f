"""What is shown of a plan, of a simulation of one, and of there being none."""

from collections.abc import Callable, Iterator, Sequence
from math import isinf

import yaml

from planner.report.availability import availability_section
from planner.report.certificates import rounds, smaller, tried
from planner.report.choices import CHOICES, choices_section
from planner.report.evidence import failures, objectives, served, served_how
from planner.report.figures import figure_lines, figures_of, tiles
from planner.report.headlines import (
    about_of,
    best_words,
    headline_of,
    load_words,
    machine_words,
    price_words,
)
from planner.report.html.cluster import cluster
from planner.report.html.drawings import bar
from planner.report.money import token_words
from planner.report.page import Block, Code, Drawing, Lines, Page, Section, Table, columns, section
from planner.report.phases import phases
from planner.report.power import expected_words, layout_words, powered
from planner.report.rows import row_section, row_tile, standing_words
from planner.report.screen import Screen, facts, more, objectives_part, pools_part, rows_part, warned
from planner.report.sources import refused, sources
from planner.report.words import budget, dollars, limit_words, peak_words, planned_load, policy_words, raised
from planner.results.choice import Choice, priced
from planner.results.evidence import Excuse, Judgement, NoPlan, ValidatedPlan
from planner.results.picture import Picture
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Budgets, Headroom
from workloads.counts import number, percent, plural, watts

_PROVEN_FRAC = 1e-6
_FAILS = 4
"""Reasons that a headline names."""


def plan_page(plan: ValidatedPlan, scenario: Scenario, picture: Picture | None = None) -> Page:
    """Everything that is known of a validated plan.

    Args:
        plan: the answer.
        scenario: the question.
        picture: one run of it over time, for the charts of a web page.
    """
    candidate, judgement = plan.candidate, plan.judgement
    told, about = facts(plan, "--sections choices"), about_of(plan, scenario)
    figures = figures_of(candidate, judgement, priced(plan.choices))
    lines = tuple(figure_lines(figures))
    verdict, headline = "VALIDATED", headline_of(candidate, scenario, standing_words(plan.power))
    return Page(
        title=f"{scenario.name}: plan",
        verdict=verdict,
        good=True,
        headline=headline,
        about=about,
        tiles=(*([row_tile(plan.power)] if plan.power else ()), *tiles(figures, candidate, judgement, plan.margin)),
        figures=lines,
        facts=facts(plan, CHOICES),
        warnings=plan.warnings,
        sections=(
            *section("buy", "What to buy", *bought(candidate, picture), _spent(plan, scenario)),
            *section("binds", "What binds", binds(candidate, judgement, scenario.budget()), _peaks(plan)),
            *(row_section(plan.power) if plan.power else ()),
            *served(candidate, judgement, picture),
            *phases(candidate, judgement, picture),
            *powered(judgement, candidate, scenario),
            *(availability_section(plan.availability) if plan.availability else ()),
            *smaller(plan),
            *rounds(plan),
            *sources(plan),
            *_alternatives(plan),
            *choices_section(plan),
            again(scenario),
        ),
        screen=_screen(
            (f"{verdict}: {headline}", about),
            candidate,
            judgement,
            warned((*lines, *told), plan.warnings),
            more("evidence, ..."),
        ),
    )


def simulation_page(
    judgement: Judgement, candidate: CandidatePlan, scenario: Scenario, picture: Picture | None = None,
    money: Choice | None = None,
) -> Page:  # fmt: skip
    """What the simulator says of a plan under a workload it may not have been made for.

    Args:
        judgement: what it says.
        candidate: the machines.
        scenario: the question, with that workload.
        picture: one run over time, for the charts of a web page.
        money: what the machines come to, divided between prompts and outputs; None where that is not known.
    """
    figures = figures_of(candidate, judgement, money)
    fails = failures(judgement)
    spoken = Lines(lines=tuple(token_words(candidate, judgement)))
    verdict, about = (
        "NOT MET" if fails else "MET",
        f"{machine_words(candidate.pools)} for {load_words(candidate, scenario)}; "
        f"{policy_words(candidate.policy, scenario.policy)}; {price_words(scenario.catalog)}",
    )
    more_fails = (f"{len(fails) - _FAILS} more",) if len(fails) > _FAILS else ()
    headline = "; ".join((*fails[:_FAILS], *more_fails)) if fails else "every objective, in steady state"
    how = tuple((name, words) for line in served_how(judgement) for name, _, words in (line.partition(": "),))
    told = (*figure_lines(figures), *how)
    return Page(
        title=f"{scenario.name}: simulation",
        verdict=verdict,
        good=not fails,
        headline=headline,
        about=about,
        tiles=tuple(tiles(figures, candidate, judgement)),
        figures=tuple(figure_lines(figures)),
        sections=(
            *section("buy", "What was simulated", *bought(candidate, picture), spoken),
            *section("binds", "What binds", binds(candidate, judgement, scenario.budget())),
            *served(candidate, judgement, picture),
            *phases(candidate, judgement, picture),
            *powered(judgement, candidate, scenario),
            again(scenario),
        ),
        screen=_screen(
            (f"{verdict}: {headline}", about), candidate, judgement, told,
            "More: --report FILE, --sections all (or binds, latency, pools, ...)",
        ),
    )  # fmt: skip


def _screen(
    head: tuple[str, ...],
    candidate: CandidatePlan,
    judgement: Judgement,
    told: tuple[tuple[str, str], ...],
    read_on: str,
) -> Callable[[int], Sequence[Block]]:
    """The first screen of machines and what the simulator said of them."""
    parts = (pools_part(pools_table(candidate, None), candidate), objectives_part(judgement.evidence))
    return Screen(head=head, parts=parts, told=told, more=read_on).blocks


def no_plan_page(no_plan: NoPlan, scenario: Scenario) -> Page:
    """Why there is no plan, and what would have to change."""
    raises = [(limit_words(row), *raised(row, low, high)) for row, (low, high) in sorted(no_plan.raises.items())]
    table = Table(columns=columns("budget", "#limit", "#needed"), rows=raises, caption="smallest set to raise")
    more = Lines(lines=no_plan.explanation[1:], bullets=True) if no_plan.explanation[1:] else None
    seen = no_plan.judgement.evidence if no_plan.judgement else ()
    best = objectives(seen) if seen else None
    lifted = ", ".join(f"{key} from {low} to {high}" for key, low, high in raises)
    headline = " ".join(no_plan.explanation[:1])
    headline = f"{headline.rstrip('.')}: raise {lifted}" if raises else headline
    verdict = f"NO PLAN ({no_plan.reason})"
    about = f"{scenario.model.name}, {best_words(scenario.objective)}"
    return Page(
        title=f"{scenario.name}: no plan", verdict=verdict, good=False, headline=headline, about=about,
        sections=(
            *section("why", "Why there is none", more),
            *section("raise", "Smallest set of budgets to raise", table if raises else None),
            *section("best", "Best candidate", best),
            *section("rounds", "Planning rounds", tried(no_plan.rounds) if no_plan.rounds else None),
            *section("refused", "Options that were not offered", _excuses(no_plan.excuses)),
            again(scenario),
        ),
        screen=Screen(
            head=(f"{verdict}: {headline}", about),
            parts=(*((rows_part(table),) if raises else ()), *((objectives_part(seen),) if seen else ())),
            told=tuple(_why_none(no_plan)),
            more="More: --verbose, --report FILE",
        ).blocks,
    )  # fmt: skip


_REASONS = 8
"""Lines of why that a first look has; the section has them all."""


def reasons(lines: Sequence[str], rest: str = "--verbose") -> Iterator[tuple[str, str]]:
    """The first lines of why, how many more there are, and where these are."""
    yield from (("Why", line) for line in lines[:_REASONS])
    if lines[_REASONS:]:
        yield "Why", f"{plural(len(lines[_REASONS:]), 'more reason')}: {rest}"


def _why_none(no_plan: NoPlan) -> Iterator[tuple[str, str]]:
    """What a first look must tell where there is no plan."""
    yield from reasons(no_plan.explanation[1:])
    if no_plan.judgement:
        yield "Objectives", "of the best candidate that was simulated"
    if no_plan.excuses:
        yield "Options", refused(no_plan.excuses).folded


def bought(candidate: CandidatePlan, picture: Picture | None) -> list[Block]:
    """The picture of the cluster, and the pools in numbers."""
    caption = "A square is a GPU; those of one instance share a shade."
    drawing = [Drawing(svg=cluster(candidate, picture), caption=caption)] if picture else []
    return [*drawing, pools_table(candidate, picture)]


def pools_table(candidate: CandidatePlan, picture: Picture | None) -> Table:
    """The pools with the load the optimiser predicts for each; what each costs where a picture tells."""
    parts = {b.pool: b for b in picture.bought} if picture else {}
    rows = []
    for pool in candidate.pools:
        what, spec = parts.get(pool.spec.name), pool.spec
        worth = (dollars(what.price_usd_per_h * pool.machines), watts(what.rated_w * pool.machines)) if what else ()
        machine = f"{spec.machine} ({what.machine_gpus} {what.gpu})" if what else spec.machine
        rows.append((
            spec.role, machine, layout_words(spec), number(pool.instances), number(pool.machines), *worth,
            number(sum(pool.rate_req_per_s.values())), planned_load(pool.load_frac), planned_load(pool.kv_load_frac),
        ))  # fmt: skip
    worth_headings = ("#cost", "#rated") if parts else ()
    headings = (
        "role", "machine", "layout", "?#instances", "#machines", *worth_headings, "?#req/s", "#load", "?#KV",
    )  # fmt: skip
    return Table(columns=columns(*headings), rows=rows, caption="pools")


def _spent(plan: ValidatedPlan, scenario: Scenario) -> Lines:
    """What the machines come to, in sentences."""
    return Lines(lines=tuple(_spending(plan, scenario)))


def _spending(plan: ValidatedPlan, scenario: Scenario) -> Iterator[str]:
    totals, limits = plan.candidate.totals, scenario.budget()
    for key, spent in plan.candidate.spent(plan.judgement.mean_w).items():
        limit = getattr(limits, key)
        if limit is not None:
            yield f"Budget {key}: {budget(key, spent)} of {budget(key, limit)}."
    policy = policy_words(plan.candidate.policy, scenario.policy)
    yield f"{plural(totals.gpus, 'GPU')}, {number(totals.rack_units)} rack units; {policy}."
    yield from expected_words(totals, plan.judgement, scenario)
    yield from token_words(plan.candidate, plan.judgement)
    yield f"Load limits of the optimiser: {_headroom(plan.candidate.headroom)}."
    if plan.candidate.rate_scale != 1:
        yield f"It carries {number(plan.candidate.rate_scale)} times the workload's rate."


def _headroom(headroom: Headroom) -> str:
    shares = {
        "prefill": headroom.prefill_frac,
        "decode": headroom.decode_frac,
        "mixed": headroom.mixed_frac,
        "KV": headroom.kv_frac,
        "link": headroom.link_frac,
    }
    return ", ".join(f"{name} {percent(share)}" for name, share in shares.items())


def _peaks(plan: ValidatedPlan) -> Lines | None:
    """How hard each pool works its GPUs."""
    return Lines(lines=tuple(map(peak_words, plan.peaks))) if plan.peaks else None


def binds(candidate: CandidatePlan, judgement: Judgement, budgets: Budgets) -> Table:
    """What is nearest to its limit: objectives, planned loads, memory, budgets; the tightest first."""
    headroom = candidate.headroom
    used = [(f"objective {e.key}", e.used_ratio, "upper end of the interval") for e in judgement.evidence]
    for pool in candidate.pools:
        most, name = headroom.of(pool.spec.role), pool.spec.name
        for what, load, limit in (("load", pool.load_frac, most), ("KV memory", pool.kv_load_frac, headroom.kv_frac)):
            used.append((f"{what} of {name}", load / limit, _planned(load / limit, limit)))
    for key, spent in candidate.spent(judgement.mean_w).items():
        limit = getattr(budgets, key)
        if limit:
            used.append((f"budget {key}", spent / limit, f"of {budget(key, limit)}"))
    used.sort(key=lambda row: -row[1])
    most = min(1.5, max((share for _, share, _ in used), default=1.0))
    rows = [
        (name, bar(share, f"{name}: {_percent(share)} of its limit", most=most), _percent(share), of)
        for name, share, of in used
    ]
    headings = columns("limit", "!used", "#used", "~of what")
    return Table(columns=headings, rows=rows, caption="limits, the tightest first")


def _planned(share: float, limit: float) -> str:
    beyond = "; the simulator confirms more than was estimated" if share > 1 + _PROVEN_FRAC else ""
    return f"planned at most {percent(limit)}{beyond}"


def _percent(share: float) -> str:
    return "unbounded" if isinf(share) else percent(share)


def _excuses(excuses: Sequence[Excuse]) -> Lines | None:
    return refused(excuses) if excuses else None


def _alternatives(plan: ValidatedPlan) -> Iterator[Section]:
    """What else was planned, and what it would take."""
    lines = Lines(lines=plan.alternatives, bullets=True) if plan.alternatives else None
    yield from section("alternatives", "Alternatives", lines)


def again(scenario: Scenario | Fleet) -> Section:
    """The whole question, so that it can be asked again."""
    text = yaml.safe_dump(scenario.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    return Section(
        name="scenario", title="The scenario", blocks=[Code(name="scenario", text=text)],
        lead=f"Save it as {scenario.name}.yaml to ask again, for example: phasewise plan {scenario.name}.yaml",
    )  # fmt: skip
