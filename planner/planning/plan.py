"""The story of a plan, told once: propose, judge, tighten, shrink, certify."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from planner.errors import BadInput
from planner.planning.alternatives import tradeoffs
from planner.planning.fit import fit
from planner.planning.grow import grow
from planner.planning.limits import over_budget, over_row
from planner.planning.load_margin import margin
from planner.planning.local_search import climb, descend
from planner.planning.loop import PlanningLoop, outage
from planner.planning.other_growth import other_growth
from planner.planning.plausibility import peak_shares
from planner.planning.precisions import elsewise
from planner.planning.recount import recounted
from planner.planning.row_study import study
from planner.planning.shrink import Held, improve, stretch
from planner.planning.tighten import price
from planner.policies.presets import PUBLIC
from planner.resolve.case import Case, open_case
from planner.resolve.digests import digests as digests_of
from planner.resolve.inputs import Inputs, inputs_of, policies_of, scenario_of
from planner.resolve.measured_bands import measured_against
from planner.resolve.provenance import provenance
from planner.resolve.serving import served_as, serving_doubts
from planner.resolve.warnings import doubts
from planner.results.check import CheckReport
from planner.results.evidence import Certificate, Judgement, Neighbour, NoPlan, ValidatedPlan
from planner.results.picture import Bought, Picture
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario import Scenario
from planner.scenario.objectives import Objective
from planner.simulator.core.run import COMPILED
from planner.simulator.judge import Note
from planner.simulator.sketch import sketch

Progress = Callable[[str, float], None]

OVER_TIME = "only the verbs check, plan, simulate, show, diff and export know plans over time"
"""Said by those that would ignore a schedule."""


def plan(
    question: Scenario | Inputs,
    *,
    progress: Progress,
    with_margin: bool = True,
    drawn_w: float | None = None,
    with_elsewise: bool = False,
) -> ValidatedPlan | NoPlan:
    """The cheapest plan that serves the scenario's workload within every objective and budget, in the simulator too.

    Args:
        question: the scenario; or what was read of it, so that it is not read again.
        progress: told what is happening and a share 0..1 of the work, which is an estimate.
        with_margin: also find out how much more load the plan carries.
        drawn_w: mean watts at the wall that it may draw in simulation; None: the budget of expected watts.
        with_elsewise: also price other precisions and engines, by the optimiser alone, and plan for the other growth.

    Raises:
        BadInput, CatalogError, WorkloadError: something the scenario names is missing or broken.
    """
    scenario = scenario_of(question)
    if scenario.schedule is not None:
        raise BadInput(f"schedule: found one; expected none here: {OVER_TIME}")
    inputs = inputs_of(question)
    cases = _cases(inputs)
    best = _planned(cases, progress, with_margin=with_margin, drawn_w=drawn_w)
    if isinstance(best, ValidatedPlan) and scenario.power.row_limit_w is not None:
        best = _in_rows(cases, best, progress, with_margin=with_margin, drawn_w=drawn_w)
    if isinstance(best, NoPlan) or not with_elsewise:
        return best
    progress("planning for the other growth", 0.96)
    grown = other_growth(
        scenario, best, lambda other: _planned(_cases(inputs_of(other)), progress, with_margin=False, drawn_w=drawn_w)
    )
    progress("pricing other precisions", 0.97)
    return replace(best, alternatives=(*grown, *best.alternatives), elsewise=elsewise(inputs, best.candidate))


def _cases(inputs: Inputs) -> dict[str, Case]:
    """The question under every policy that it leaves open."""
    return {name: open_case(inputs, name) for name in policies_of(inputs.scenario)}


def _planned(
    cases: Mapping[str, Case], progress: Progress, *, with_margin: bool, drawn_w: float | None
) -> ValidatedPlan | NoPlan:
    """The best plan under any of the policies, whatever row its machines stand in."""
    answers: dict[str, ValidatedPlan | NoPlan] = {}
    loops: dict[str, PlanningLoop] = {}
    for position, (name, case) in enumerate(cases.items()):
        told = _part_of(progress, name, position, len(cases))
        loops[name] = PlanningLoop(case, told, drawn_w)
        answers[name] = _plan_one(loops[name])
    best = _best(answers, next(iter(cases.values())).scenario.objective)
    if isinstance(best, NoPlan):
        hints = next(iter(loops.values())).case.slips
        return replace(best, explanation=(*best.explanation, *hints))
    if with_margin and best.judgement.engine == COMPILED:
        best = replace(best, margin=margin(loops[best.candidate.policy], best.candidate))
    return best


MOST_ROW_ROUNDS = 3
"""Plans that are tried in a row; each after the first has fewer machines than the row did not hold."""


def _in_rows(
    cases: Mapping[str, Case], first: ValidatedPlan, progress: Progress, *, with_margin: bool, drawn_w: float | None
) -> ValidatedPlan | NoPlan:
    """The plan, if its machines stand in the rows that there are; else one with fewer machines that does, or none.

    How many machines a row holds follows from the plan, so it cannot be a row of the program: a plan that does not fit
    is made again with as many machines as would have.
    """
    best: ValidatedPlan | NoPlan = first
    refused: list[RowStudy] = []
    for _ in range(MOST_ROW_ROUNDS):
        assert isinstance(best, ValidatedPlan)
        row = study(cases[best.candidate.policy], best.candidate, progress)
        if row.fits:
            return replace(best, power=row, certificate=_bounded(best, first))
        refused.append(row)
        places = min(row.rows * row.machines, best.candidate.totals.machines - 1)
        if places < 1:
            break
        best = _planned(_of_at_most(places, cases), progress, with_margin=with_margin, drawn_w=drawn_w)
        if isinstance(best, NoPlan):
            break
    needs = [row.needed_rows for row in refused if row.needed_rows]
    found = min((row for row in refused if row.needed_rows), key=lambda row: row.needed_rows, default=refused[0])
    lines = (over_row(found), *((f"raise power.rows from {found.rows} to at least {min(needs)}",) if needs else ()))
    raises = {"rows": (float(found.rows), float(min(needs)))} if needs else {}
    return NoPlan(
        reason="not validated", explanation=lines, raises=raises, rounds=first.rounds, excuses=first.excuses,
        judgement=replace(first.judgement, over=(over_row(refused[0]),)),
    )  # fmt: skip


def _of_at_most(machines: int, cases: Mapping[str, Case]) -> dict[str, Case]:
    """The same question about fewer machines, which changes nothing of what they offer."""
    return {
        name: replace(case, scenario=case.scenario.changed([f"budgets.machines={machines}"]))
        for name, case in cases.items()
    }


def _bounded(plan: ValidatedPlan, first: ValidatedPlan) -> Certificate:
    """The certificate of a plan made again for its row: the bound is that of the question, not of the smaller one."""
    bound, value = first.certificate.bound, plan.objective_value
    gap = None if bound is None else abs(value - bound) / max(1e-9, abs(value))
    return replace(plan.certificate, bound=bound, gap_frac=gap)


def _part_of(progress: Progress, name: str, position: int, parts: int) -> Progress:
    """Progress of one policy as a part of the whole."""

    def tell(words: str, done_frac: float) -> None:
        progress(f"{name}: {words}", (position + done_frac) / parts)

    return tell


def _plan_one(loop: PlanningLoop) -> ValidatedPlan | NoPlan:
    """The story under one policy.

    Where clocks or caps are on offer the plan without them is found too, so that offering them never gives less.
    """
    found = _found(loop)
    if plain := loop.without_knobs():
        other = _found(plain)
        if not isinstance(other, NoPlan) and (isinstance(found, NoPlan) or _value(plain, other) < _value(plain, found)):
            found = other
            loop.rounds += plain.rounds
    if isinstance(found, NoPlan):
        return found
    last = stretch if loop.case.scenario.objective is Objective.THROUGHPUT else improve
    held, neighbours = last(loop, found)
    return _certified(loop.case, loop, *held, neighbours)


def _found(loop: PlanningLoop) -> Held | NoPlan:
    """The best plan that proposals, smaller plans and a search around them give.

    Where traces are long it is looked for by their busiest stretches, then grown until the whole says that it holds.
    """
    guess = loop.guessing()
    guessed = None if guess is None else _found(guess)
    if guessed and not isinstance(guessed, NoPlan) and (held := grow(loop, guessed[0])):
        return held
    first = loop.propose_and_tighten()
    if isinstance(first, NoPlan):
        first = fit(loop, first)
    if isinstance(first, NoPlan):
        return first
    if loop.case.scenario.objective is Objective.THROUGHPUT:
        return climb(loop, stretch(loop, first)[0])
    return descend(loop, improve(loop, first)[0])


def _value(loop: PlanningLoop, held: Held) -> float:
    """What the objective counts of a plan, to be minimised."""
    objective = loop.case.scenario.objective
    return -held[0].rate_scale if objective is Objective.THROUGHPUT else price(objective, held[0].totals)


def _certified(
    case: Case, loop: PlanningLoop, candidate: CandidatePlan, judgement: Judgement, neighbours: tuple[Neighbour, ...]
) -> ValidatedPlan:
    """The plan with everything that speaks for it and against it."""
    objective, rate = case.scenario.objective, case.asked.rate_req_per_s
    value = rate * candidate.rate_scale if objective is Objective.THROUGHPUT else price(objective, candidate.totals)
    bound = loop.bound
    shares, sources = provenance(case, candidate)
    return ValidatedPlan(
        candidate=candidate,
        objective=case.scenario.objective.value,
        objective_value=value,
        judgement=judgement,
        certificate=Certificate(
            bound=bound,
            gap_frac=None if bound is None else abs(value - bound) / max(1e-9, abs(value)),
            solver_gap_frac=candidate.termination.gap_frac,
            neighbours=neighbours,
        ),
        rounds=tuple(loop.rounds),
        excuses=case.excuses,
        provenance=shares,
        sources=sources,
        accuracy=measured_against(case, candidate),
        warnings=tuple(doubts(case, candidate)),
        peaks=peak_shares(case, candidate, judgement),
        alternatives=tradeoffs(loop, candidate),
        served=served_as(case, candidate),
    )


_REFUSALS = ("not validated", "no plan in time", "infeasible")
"""Reasons for no plan, the least final first: all policies together are proven infeasible only if each of them is."""


def _best(answers: Mapping[str, ValidatedPlan | NoPlan], objective: Objective) -> ValidatedPlan | NoPlan:
    """The best validated plan, with a word on every policy it was compared with; else the least final refusal."""
    plans = {name: answer for name, answer in answers.items() if isinstance(answer, ValidatedPlan)}
    if not plans:
        refusals = [answer for answer in answers.values() if isinstance(answer, NoPlan)]
        words = tuple(f"{n}: {line}" for n, a in answers.items() if isinstance(a, NoPlan) for line in a.explanation)
        nearest = min(refusals, key=lambda refusal: _REFUSALS.index(refusal.reason))
        return nearest if len(answers) == 1 else replace(nearest, explanation=words)
    sign = -1 if objective is Objective.THROUGHPUT else 1
    best = min(plans, key=lambda name: sign * plans[name].objective_value)
    words = tuple(_compared(plans[best], name, answer) for name, answer in answers.items() if name != best)
    return replace(plans[best], alternatives=(*words, *plans[best].alternatives))


def _compared(best: ValidatedPlan, name: str, other: ValidatedPlan | NoPlan) -> str:
    """One sentence on a policy that was not chosen."""
    if isinstance(other, NoPlan):
        return f"{name}: {other.reason}; {other.explanation[0]}"
    margin = other.objective_value / best.objective_value - 1
    return f"{name}: {other.objective} {other.objective_value:g}, {margin:+.1%} against {best.objective_value:g}"


def simulate(
    scenario: Scenario, candidate: CandidatePlan, *, progress: Progress, note: Note | None = None
) -> Judgement:
    """What ``simulation`` says, without the candidate's own figures."""
    return simulation(scenario, candidate, progress=progress, note=note).judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A candidate that served a workload.

    Attributes:
        judgement: what the simulator says; limits that its machines exceed are among it.
        candidate: the same machines, with the rates, loads and expected watts of this workload.
    """

    judgement: Judgement
    candidate: CandidatePlan


def simulation(
    scenario: Scenario, candidate: CandidatePlan, *, progress: Progress, note: Note | None = None,
    stepwise: bool = False,
) -> Simulation:  # fmt: skip
    """What the simulator says of a candidate on the scenario's workload; nothing is planned or changed.

    Args:
        scenario: whose workload.
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
    loop = PlanningLoop(open_case(scenario, candidate.policy), progress)
    run, pools = recounted(loop.case, candidate), loop.pools(candidate)
    have = ", ".join(f"{p.machines} {p.role}" for p in pools)
    absent = [f"{f.pool} {f.machine}" for f in scenario.validation.failures if outage(f, pools) is None]
    if absent:
        raise BadInput(*(f"validation.failures: no machine {name}; the plan has {have}, from 0" for name in absent))
    judgement = loop.judged(candidate, early=False, note=note, stepwise=stepwise)
    case = loop.case
    over = [*over_budget(scenario, run, judgement)]
    if scenario.power.row_limit_w is not None:
        over += filter(None, [over_row(study(case, run, progress))])
    return Simulation(judgement=replace(judgement, over=tuple(over)), candidate=run)


def picture(question: Scenario | Inputs, candidate: CandidatePlan, *, progress: Progress) -> Picture:
    """How a candidate serves the first trace of the scenario's workload, moment by moment, and what it is made of.

    Raises:
        BadInput: the scenario's catalog no longer offers a pool of the candidate.
    """
    case = open_case(question, candidate.policy)
    pools = PlanningLoop(case, progress).pools(candidate)
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
    cases = list(_cases(inputs_of(question)).values())
    return checked(cases, tuple(d for case in cases for d in serving_doubts(case, (o.spec for o in case.options))))


def checked(cases: Sequence[Case], warnings: tuple[str, ...] = ()) -> CheckReport:
    """What the cases of a scenario, one for each policy, resolve to, with warnings beside those of its workload."""
    return CheckReport(
        workload=cases[0].asked.words,
        rate_req_per_s={c.request_class.name: c.rate_req_per_s for c in cases[0].asked.demand.classes},
        options=tuple(o.spec.name for case in cases for o in case.options),
        excuses=tuple(dict.fromkeys(e for case in cases for e in case.excuses)),
        reference=cases[0].reference_words,
        warnings=tuple(dict.fromkeys((*cases[0].slips, *cases[0].asked.doubts, *warnings))),
        precision=cases[0].precision_words,
    )


def read(question: Scenario | Inputs) -> Inputs:
    """Everything a question names, for verbs that ask several things of it; see ``inputs.read_inputs``."""
    return inputs_of(question)


def digests(question: Scenario | Inputs) -> dict[str, str]:
    """SHA-256 of what a plan rests on, as it was read."""
    return digests_of(inputs_of(question))
