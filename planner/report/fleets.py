"""What is shown of several models on one fleet: each model's plan and evidence, and what they share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from planner.report.availability import fleet_line, fleet_nines
from planner.report.evidence import failures, objectives
from planner.report.figures import Figures, figure_lines, figure_tiles, figures_of
from planner.report.figures import together as summed
from planner.report.headlines import (
    best_words,
    count_words,
    machine_words,
    price_words,
    served_req_per_s,
)
from planner.report.page import Block, Cell, Chart, Code, Column, Lines, Page, Section, Table, columns, section
from planner.report.plans import again, no_plan_page, plan_page, pools_table, reasons, simulation_page
from planner.report.rows import row_line, row_section, row_tile, standing_words
from planner.report.screen import Part, Screen, more, rows_part, warned
from planner.report.sources import sources
from planner.report.words import budget, dollars, gap_words, limit_words, raised, rate, spares_down, valued
from planner.results.choice import priced
from planner.results.evidence import Evidence, Margin, ValidatedPlan, Verdict
from planner.results.fleet import FleetPlan, FleetSimulation, NoFleetPlan, machines_of, together
from planner.results.picture import Picture
from planner.results.plan import CandidatePlan
from planner.results.shortfall import Shortfall
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective
from workloads.counts import number, percent, plural, watts

_FIRST = 4
"""Reasons that a headline names."""


def fleet_page(found: FleetPlan, question: Fleet, pictures: Mapping[str, Picture] | None = None) -> Page:
    """Everything that is known of validated plans of several models.

    Args:
        found: the plans.
        question: about all models.
        pictures: of each model, one run of its plan over time, for the charts of a web page.
    """
    candidates = {each.name: each.plan.candidate for each in found.models}
    evidence = {each.name: each.plan.judgement.evidence for each in found.models}
    pages = [
        plan_page(each.plan, question.parts()[each.name], (pictures or {}).get(each.name)) for each in found.models
    ]
    warnings = (*found.warnings, *(f"{e.name}: {w}" for e in found.models for w in e.plan.warnings))
    verdict, headline = "VALIDATED", _headline(candidates, question) + standing_words(found.power)
    about = f"{best_words(question.objective)} of all models; {price_words(question.catalog)}"
    figures = summed([_figures(each.plan) for each in found.models])
    told = tuple(_facts(found))
    return Page(
        title=f"{question.name}: plan",
        verdict=verdict,
        good=True,
        headline=headline,
        about=about,
        tiles=(*([row_tile(found.power)] if found.power else ()), *figure_tiles(figures, _least(found))),
        figures=tuple(figure_lines(figures)),
        facts=told,
        warnings=warnings,
        sections=(
            *section("models", "Models", models_table(candidates, question), _spent(candidates, question)),
            *(row_section(found.power) if found.power else ()),
            *fleet_nines(found),
            *(one for each, page in zip(found.models, pages, strict=True) for one in _of(each.name, page)),
            *sources(*(each.plan for each in found.models), names=[each.name for each in found.models]),
            again(question),
        ),
        screen=Screen(
            head=(f"{verdict}: {headline}", about), parts=_parts(candidates, evidence),
            told=warned((*figure_lines(figures), *told), warnings),
            more=more(f"{found.models[0].name}.evidence, models, ..."),
        ).blocks,
    )  # fmt: skip


def summary(found: FleetPlan) -> tuple[str, ...]:
    """Sections whose tables a short page of the plans holds."""
    return ("models", *(f"{each.name}.evidence" for each in found.models))


def _facts(found: FleetPlan) -> Iterator[tuple[str, str]]:
    """What a first look must tell of all models together."""
    if found.shared:
        yield "Shared", "; ".join(found.shared)
    yield from _margins(found)
    if found.power:
        yield "Row", row_line(found.power)
    if line := fleet_line(found):
        yield "Availability", line
    yield from not_less(found)


def fleet_simulation_page(
    found: FleetSimulation, question: Fleet, pictures: Mapping[str, Picture] | None = None
) -> Page:
    """What the simulator says of every model's plan under workloads that they may not have been made for."""
    fails = [*found.over, *(f"{name}: {line}" for name, each in found.judgements.items() for line in failures(each))]
    rest = (f"{len(fails) - _FIRST} more",) if len(fails) > _FIRST else ()
    verdict = "NOT MET" if fails else "MET"
    headline = "; ".join((*fails[:_FIRST], *rest)) if fails else "every objective of every model, in steady state"
    about, parts = _headline(found.candidates, question), question.parts()
    pages = {
        name: simulation_page(each, found.candidates[name], parts[name], (pictures or {}).get(name), found.priced[name])
        for name, each in found.judgements.items()
    }
    figures = summed([figures_of(found.candidates[n], each, found.priced[n]) for n, each in found.judgements.items()])
    evidence = {name: each.evidence for name, each in found.judgements.items()}
    return Page(
        title=f"{question.name}: simulation",
        verdict=verdict,
        good=not fails,
        headline=headline,
        about=about,
        tiles=tuple(figure_tiles(figures)),
        figures=tuple(figure_lines(figures)),
        sections=(
            *section("models", "Models", models_table(found.candidates, question), _spent(found.candidates, question)),
            *(one for name, page in pages.items() for one in _of(name, page)),
            again(question),
        ),
        screen=Screen(
            head=(f"{verdict}: {headline}", about), parts=_parts(found.candidates, evidence),
            told=tuple(figure_lines(figures)), more="More: --report FILE, --sections all (or models, ...)",
        ).blocks,
    )  # fmt: skip


def no_fleet_page(found: NoFleetPlan, question: Fleet) -> Page:
    """Why there are no plans of all models, and what would have to change."""
    page = no_plan_page(found.answer, next(iter(question.parts().values())))
    evidence = {name: each.evidence for name, each in found.judgements.items()}
    best = _objectives(evidence) if evidence else None
    about = f"{plural(len(question.models), 'model')}, {best_words(question.objective)}"
    rows = sorted(found.answer.raises.items())
    raises = [(limit_words(row), *raised(row, low, high)) for row, (low, high) in rows]
    table = Table(columns=columns("limit", "#now", "#needed"), rows=raises, caption="smallest set to raise")
    needs = _needs(found.shortfalls)
    told = tuple(reasons(found.answer.explanation[1:]))
    return replace(
        page, title=f"{question.name}: no plan", about=about,
        sections=(
            *(each for each in page.sections if each.name not in ("best", "scenario")),
            *section("needs", "What each model takes of what is short", needs),
            *section("best", "Best candidates", best), again(question),
        ),
        screen=Screen(
            head=(f"{page.verdict}: {page.headline}", about),
            parts=(*((rows_part(table),) if raises else ()), *((rows_part(best),) if best else ())),
            told=told, more="More: --verbose, --report FILE",
        ).blocks,
    )  # fmt: skip


def _needs(short: Sequence[Shortfall]) -> Table | None:
    """What each model takes at least of limits that bind, and the nearest value of each with which there are plans."""
    if not short:
        return None
    names = list(short[0].least)
    rows = [
        (
            each.key, budget(each.row, each.given), *(budget(each.row, each.least[name]) for name in names),
            budget(each.row, each.refused), budget(each.row, each.admits), "by itself" if each.alone else "with others",
        )
        for each in short
    ]  # fmt: skip
    headings = columns("limit", "#now", *(f"#{name}" for name in names), "#no plans with", "#plans with", "raised")
    return Table(columns=headings, rows=rows, caption="at least")


def models_table(candidates: Mapping[str, CandidatePlan], question: Fleet) -> Table:
    """What each model needs, and all together."""
    rows: list[tuple[Cell, ...]] = [
        (
            name, question.parts()[name].model.name, rate(served_req_per_s(each)), each.policy,
            number(each.totals.machines), dollars(each.totals.cost_usd_per_h), watts(each.totals.power_w),
            watts(each.totals.expected_power_w),
        )
        for name, each in candidates.items()
    ]  # fmt: skip
    sums = together(candidates.values())
    totals = number(sums.machines), dollars(sums.cost_usd_per_h), watts(sums.power_w), watts(sums.expected_power_w)
    headings = columns("model", "served", "#load", "policy", "#machines", "#cost", "#rated", "#expected")
    return Table(columns=headings, rows=[*rows, ("all", "", "", "", *totals)], caption="models")


def _headline(candidates: Mapping[str, CandidatePlan], question: Fleet) -> str:
    """What to buy for all models, in a line."""
    sums, parts, every = together(candidates.values()), question.parts(), candidates.values()
    loads = ", ".join(
        f"{rate(served_req_per_s(each))} of {parts[name].model.name}" for name, each in candidates.items()
    )
    bought = machine_words(pool for each in every for pool in each.pools)
    money = f"{dollars(sums.cost_usd_per_h)}, {watts(sums.power_w)} rated"
    return f"{count_words(every)}, {money}, for {loads}: {bought}"


def _spent(candidates: Mapping[str, CandidatePlan], question: Fleet) -> Lines | None:
    """What of the shared budgets and the shared stock is used."""
    sums, found = together(candidates.values()), list[str]()
    for key in ("cost_usd_per_h", "power_w", "rack_units", "machines", "expected_power_w"):
        limit = getattr(question.budgets, key)
        if limit is not None:
            found.append(f"Budget {key}: {budget(key, getattr(sums, key))} of {budget(key, limit)}.")
    for kind, count in machines_of(candidates.values()).items():
        if kind in question.catalog.available:
            found.append(f"Stock of {kind}: {count} of {question.catalog.available[kind]}.")
    return Lines(lines=tuple(found)) if found else None


def _figures(plan: ValidatedPlan) -> Figures:
    """The figures of one model's plan."""
    return figures_of(plan.candidate, plan.judgement, priced(plan.choices))


def _least(found: FleetPlan) -> Margin | None:
    """The load margin of the model that has least; None where one is not known."""
    known = [each.plan.margin for each in found.models]
    if any(margin is None for margin in known):
        return None
    return min((margin for margin in known if margin), key=lambda margin: margin.holds_ratio, default=None)


def _margins(found: FleetPlan) -> Iterator[tuple[str, str]]:
    """How much more load the machines of each model carry."""
    known = [(each.name, each.plan.margin, each.plan.candidate) for each in found.models if each.plan.margin]
    if known:
        words = (
            f"{name} {spares_down(sum(pool.spares for pool in plan.pools))}"
            f"{'none' if margin.holds_ratio <= 1 else f'{margin.holds_ratio:g} times the load'}"
            for name, margin, plan in known
        )
        yield "Load margin", "; ".join(words)


def not_less(found: FleetPlan) -> Iterator[tuple[str, str]]:
    """What is proven of all plans together."""
    if found.bound is not None and found.gap_frac is not None:
        most = found.objective == Objective.THROUGHPUT
        words = f"proven: at {'most' if most else 'least'} {valued(found.objective, found.bound)}"
        metered = all(each.plan.judgement.mean_w is not None for each in found.models)
        gap = gap_words(found.objective, found.objective_value, found.gap_frac, metered=metered)
        yield f"Not {'more' if most else 'less'}", f"{words} (gap {gap})"


def _parts(candidates: Mapping[str, CandidatePlan], evidence: Mapping[str, Sequence[Evidence]]) -> tuple[Part, Part]:
    """The pools of all models, and what was observed of all their objectives, for a first screen."""
    tables = {name: pools_table(each, None) for name, each in candidates.items()}
    pools = _stacked(tables)
    flat = [each for seen in evidence.values() for each in seen]
    order = sorted(range(len(flat)), key=lambda at: (flat[at].verdict is Verdict.MET, -flat[at].used_ratio))

    def rest(places: Sequence[int]) -> str:
        used = max(flat[place].used_ratio for place in places)
        return f"and {plural(len(places), 'more objective')}, none beyond {percent(used)} of its limit"

    return rows_part(pools), Part(table=_objectives(evidence), places=order, rest=rest)


def _objectives(evidence: Mapping[str, Sequence[Evidence]]) -> Table:
    """What was observed of the objectives of all models."""
    return _stacked({name: objectives(seen) for name, seen in evidence.items()})


def _stacked(tables: Mapping[str, Table]) -> Table:
    """One table of the rows of several, each after the model that it is of."""
    first = next(iter(tables.values()))
    rows = [(name, *row) for name, table in tables.items() for row in table.rows]
    return replace(first, columns=(Column(name="model"), *first.columns), rows=rows)


def _of(name: str, page: Page) -> Iterator[Section]:
    """The sections of one model's page, named after it; sources and scenario are those of all."""
    for one in page.sections:
        if one.name not in ("scenario", "sources"):
            blocks = [_named(name, block) for block in one.blocks]
            yield replace(one, name=f"{name}.{one.name}", title=f"{name}: {one.title}", blocks=blocks, group=name)


def _named(name: str, block: Block) -> Block:
    """A block whose name is no other model's."""
    return replace(block, name=f"{name}-{block.name}") if isinstance(block, Chart | Code) else block
