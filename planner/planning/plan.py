"""The story of a plan, told once: propose, judge, tighten, shrink, certify."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from planner.errors import BadInput
from planner.executor.copies import given_up_after
from planner.planning.available import too_rarely_up
from planner.planning.cells import searched_in_cells
from planner.planning.choices import Depth, Table
from planner.planning.equals import cheapest
from planner.planning.figures import figures
from planner.planning.in_rows import in_rows, limited_by_rows, prepared
from planner.planning.learned import by_clock
from planner.planning.limits import over_budget, over_row
from planner.planning.load_margin import unsure_of_load
from planner.planning.loop import PlanningLoop
from planner.planning.manifests import unstartable
from planner.planning.other_growth import other_growth
from planner.planning.recount import recounted
from planner.planning.refusals import chief_and_further, unstruck
from planner.planning.row_study import study
from planner.planning.search import Foreseen, Searched, overtaken
from planner.planning.served import cells_as_served
from planner.planning.struck_words import cost_of_failures, too_late
from planner.planning.survived import searched_for_failures
from planner.planning.uncached import uncached
from planner.policies.presets import PUBLIC
from planner.resolve.case import Case, case_of, open_case
from planner.resolve.cells import cell_case, cells_of
from planner.resolve.digests import digests as digests_of
from planner.resolve.inputs import Inputs, inputs_of, policies_of, scenario_of
from planner.resolve.left_out import left_out
from planner.resolve.serving import serving_doubts
from planner.results.check import CheckReport
from planner.results.choice import Choice, Standing
from planner.results.evidence import Judgement, NoPlan, ValidatedPlan
from planner.results.picture import Bought, Picture
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario
from planner.scenario.objectives import Objective
from planner.simulator.judge import Note
from planner.simulator.outages import absent, outage
from planner.simulator.sketch import sketch

Progress = Callable[[str, float], None]

OVER_TIME = "only the verbs check, plan, whatif, frontier, simulate, show, diff and export know plans over time"
"""Said by those that would ignore a schedule."""


@given_up_after()
def plan(
    question: Scenario | Inputs,
    *,
    progress: Progress,
    with_margin: bool = True,
    drawn_w: float | None = None,
    with_growth: bool = False,
    depth: Depth = Depth.NONE,
) -> ValidatedPlan | NoPlan:
    """The cheapest plan that serves the scenario's workload within every objective and budget, in the simulator too.

    Args:
        question: the scenario; or what was read of it, so that it is not read again.
        progress: told what is happening and a share 0..1 of the work, which is an estimate.
        with_margin: also find out how much more load the plan carries.
        drawn_w: mean watts at the wall that it may draw in simulation; None: the budget of expected watts.
        with_growth: also plan for the other growth.
        depth: how many other precisions, engines and policies to price and to simulate beside the plan.

    Raises:
        BadInput, CatalogError, WorkloadError: something the scenario names is missing or broken.
    """
    scenario = scenario_of(question)
    if scenario.schedule is not None:
        raise BadInput(f"schedule: found one; expected none here: {OVER_TIME}")
    inputs = inputs_of(question)
    table, cases = Table(inputs, depth), [prepared(case) for case in cases_of(inputs)]
    foreseen = partial(table.expect, {(case.variant, case.policy.name) for case in cases})
    tell = partial(_tell, table, progress)

    def looked(cases: Sequence[Case], watts: float | None = drawn_w) -> Searched:
        look = partial(_searched, progress=tell, with_margin=with_margin, drawn_w=watts, foreseen=foreseen)
        return cheapest(look(cases), look)

    def alone(case: Case) -> Searched:
        return _searched([prepared(case)], progress, with_margin=False, drawn_w=drawn_w)

    own_w = scenario.budgets.expected_power_w if drawn_w is None else drawn_w
    searched = looked(cases, inf if own_w is None and limited_by_rows(scenario) else drawn_w)
    best = searched.answer
    if isinstance(best, ValidatedPlan) and scenario.power.row_limit_w is not None:
        best = in_rows(searched, best, looked, progress, own_w=own_w)
    if isinstance(best, NoPlan):
        return best
    if with_growth:
        progress("planning for the other growth", 0.96)
        best = replace(best, alternatives=(*_grown(scenario, best, progress, drawn_w), *best.alternatives))
    progress("pricing alternatives", 0.97)
    rows = table.told(searched.contenders, best)
    free = scenario.power.row_limit_w is None and not scenario.availability.asked  # what else an answer has to keep
    if free and (better := overtaken(searched, best, with_margin=with_margin)):
        assert isinstance(better.answer, ValidatedPlan)
        best = replace(better.answer, alternatives=best.alternatives)
        rows = table.told(better.contenders, best)
    told = (*left_out(cases), *cost_of_failures(searched.case_of(best), best, lambda c: alone(c).answer))
    return replace(best, choices=(*rows, *uncached(scenario, best, depth)), warnings=_warnings(told, searched, best))


def _warnings(told: tuple[str, ...], searched: Searched, best: ValidatedPlan) -> tuple[str, ...]:
    """What a buyer must know, of the search first."""
    most = best.objective == Objective.THROUGHPUT
    stopped = (words for contender in searched.contenders for words in by_clock(contender.loop.clocked))
    spare = sum(pool.spares for pool in best.candidate.pools)
    unsure = unsure_of_load(best.margin, most=most, spare_machines=spare)
    return tuple(dict.fromkeys((*stopped, *unsure, *told, *best.warnings)))


def _tell(table: Table, progress: Progress, words: str, done_frac: float) -> None:
    """Progress of the search, with which the table beside it goes on."""
    table.advance()
    progress(words, done_frac)


def _searched(
    cases: Sequence[Case], progress: Progress, *, with_margin: bool, drawn_w: float | None,
    foreseen: Foreseen | None = None,
) -> Searched:  # fmt: skip
    """The best plan of all, with spare machines and failures injected where availability is asked for."""
    sought = searched_for_failures if cases[0].scenario.availability.asked else searched_in_cells
    return sought(cases, progress, with_margin=with_margin, drawn_w=drawn_w, foreseen=foreseen)


def _grown(scenario: Scenario, best: ValidatedPlan, progress: Progress, drawn_w: float | None) -> tuple[str, ...]:
    """What the other growth needs, in the plan's own precision, engine and policy."""

    def planned(other: Scenario) -> ValidatedPlan | NoPlan:
        cases = [prepared(case_of(other, best.candidate))]
        return _searched(cases, progress, with_margin=False, drawn_w=drawn_w).answer

    return other_growth(scenario, best, planned)


def cases_of(inputs: Inputs) -> tuple[Case, ...]:
    """The question in every precision, on every engine and under every policy that it leaves open.

    Raises:
        BadInput: a machine is to fail in a pool that none of the policies has, or after the last request.
        CatalogError, WorkloadError: see ``open_case``.
    """
    every = [open_case(inputs, name, variant) for variant in inputs.variants for name in policies_of(inputs.scenario)]
    struck = tuple(case for case in every if not unstruck(case))
    if not struck:
        raise BadInput(*dict.fromkeys(words for case in every for words in unstruck(case)))
    if late := too_late(struck[0]):
        raise BadInput(*late)
    return struck


def simulate(
    question: Scenario | Inputs, candidate: CandidatePlan, *, progress: Progress, note: Note | None = None
) -> Judgement:
    """What ``simulation`` says, without the candidate's own figures."""
    return simulation(question, candidate, progress=progress, note=note).judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A candidate that served a workload.

    Attributes:
        judgement: what the simulator says; limits that its machines exceed are among it.
        candidate: the same machines, with the rates, loads and expected watts of this workload.
        priced: their money divided between prompts and outputs.
    """

    judgement: Judgement
    candidate: CandidatePlan
    priced: Choice


def simulation(
    question: Scenario | Inputs, candidate: CandidatePlan, *, progress: Progress, note: Note | None = None,
    stepwise: bool = False,
) -> Simulation:  # fmt: skip
    """What the simulator says of a candidate on the scenario's workload; nothing is planned or changed.

    Args:
        question: whose workload; or what was read of it, with the clocks and caps that are on offer there.
        candidate: who serves it.
        progress: told what is happening.
        note: is shown what became of the requests of every seed.
        stepwise: the reference serves, step by step.

    Raises:
        BadInput: the scenario's catalog no longer offers a pool of the candidate, or not so many instances on its
            machines; a machine is to fail that the candidate does not have; or the reference does not know its policy.
    """
    if stepwise and candidate.policy == PUBLIC:
        raise BadInput(f"--engine reference: it does not know the rules of {PUBLIC}; expected core")
    scenario, loop = scenario_of(question), PlanningLoop(case_of(question, candidate), progress)
    run, pools = recounted(loop.case, candidate), loop.pools(candidate)
    if missing := (*absent(scenario.validation.failures, pools), *too_late(loop.case)):
        raise BadInput(*missing)
    judgement = loop.judged(candidate, early=False, note=note, stepwise=stepwise)
    case = loop.case
    over = [*over_budget(scenario, run, judgement)]
    if judgement.valid:  # else what is missed says it; a short window may not live to see a backlog
        over += loop.overloads(run)
    if scenario.power.row_limit_w is not None:
        over += filter(None, [over_row(study(case, run, progress))])
    over += too_rarely_up(case, run, progress)
    priced = figures(loop, run, judgement, Standing.CHOSEN, allowed=True)
    return Simulation(judgement=replace(judgement, over=tuple(over)), candidate=run, priced=priced)


def picture(question: Scenario | Inputs, candidate: CandidatePlan, *, progress: Progress) -> Picture:
    """How a candidate serves the first trace of the scenario's workload, moment by moment, and what it is made of.

    Raises:
        BadInput: the scenario's catalog no longer offers a pool of the candidate.
    """
    case = cell_case(case_of(question, candidate), candidate.cells)
    pools = cells_as_served(case, candidate)[0]
    progress("drawing", 0.95)
    section, asked = case.scenario.validation, case.asked
    before, after = asked.unmeasured_at(candidate.rate_scale, section)
    seen = sketch(
        pools, case.policy, asked.draw(asked.seeds[0], candidate.rate_scale, 1.0),
        warmup_frac=before, cooldown_frac=after,
        failures=[f for each in section.failures if (f := outage(each, pools))],
    )  # fmt: skip
    return Picture(
        words=f"{asked.words}, seed {asked.seeds[0]}",
        start_s=seen.start_s, end_s=seen.end_s, moments_s=seen.moments_s, pools=seen.pools, curves=seen.curves,
        prompt_tokens_per_s=seen.prompt_tokens_per_s, output_tokens_per_s=seen.output_tokens_per_s,
        bought=tuple(_bought(case, pool.name) for pool in pools),
        kv_bytes_per_token=max(pool.physics.kv_bytes_per_token for pool in pools),
    )  # fmt: skip


def _bought(case: Case, pool: str) -> Bought:
    """What the machines of a pool are."""
    offer = next(o for o in case.options if o.spec.name == pool)
    machine, link = offer.machine, offer.machine.inter_link
    return Bought(
        pool=pool, gpu=machine.gpu.name, machine_gpus=machine.gpus, price_usd_per_h=offer.price_usd_per_h,
        rated_w=offer.rated_w, rack_units=machine.rack_units or 0.0, link=link.name,
        link_bytes_per_s=link.bandwidth_bytes_per_s,
    )  # fmt: skip


def check(question: Scenario | Inputs) -> CheckReport:
    """Resolve everything a scenario names, without solving or simulating.

    Raises:
        BadInput, CatalogError, WorkloadError: something it names is missing or broken.
    """
    inputs = inputs_of(question)
    cases = cases_of(inputs)
    cells_of(cases)
    served = (d for case in cases for d in serving_doubts(case, (o.spec for o in case.options)))
    return checked(cases, (*served, *unstartable(inputs)))


def checked(cases: Sequence[Case], warnings: tuple[str, ...] = ()) -> CheckReport:
    """What the cases of a scenario, one for each policy, resolve to, with warnings beside those of its workload."""
    lacking = [chief_and_further(case)[0] for case in cases]
    return CheckReport(
        workload=cases[0].asked.words,
        rate_req_per_s={c.request_class.name: c.rate_req_per_s for c in cases[0].asked.demand.classes},
        options=tuple(o.spec.name for case in cases for o in case.options),
        excuses=tuple(dict.fromkeys(e for case in cases for e in case.excuses)),
        reference=cases[0].reference_words,
        warnings=tuple(dict.fromkeys((*left_out(cases), *cases[0].slips, *cases[0].asked.doubts, *warnings))),
        precision="; ".join(dict.fromkeys(case.precision_words for case in cases)),
        unserved=tuple(dict.fromkeys(line for why in lacking for line in why)) if all(lacking) else (),
    )


def read(question: Scenario | Inputs) -> Inputs:
    """Everything a question names, for verbs that ask several things of it; see ``inputs.read_inputs``."""
    return inputs_of(question)


def digests(question: Scenario | Inputs) -> dict[str, str]:
    """SHA-256 of what a plan rests on, as it was read."""
    return digests_of(inputs_of(question))
