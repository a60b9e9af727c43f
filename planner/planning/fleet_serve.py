"""What a question about several models resolves to, and how their plans serve another workload."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from planner.planning.fleet import row_of
from planner.planning.fleet_bound import proven_raises
from planner.planning.fleet_limits import limits_of
from planner.planning.fleet_question import FleetInputs, exceeded
from planner.planning.fleet_refusals import TOGETHER
from planner.planning.limits import over_row
from planner.planning.plan import check, simulation
from planner.planning.refusals import raise_words
from planner.results.check import CheckReport
from planner.results.fleet import FleetSimulation
from planner.results.plan import CandidatePlan
from planner.simulator.judge import Note

Progress = Callable[[str, float], None]


def check_fleet(question: FleetInputs) -> CheckReport:
    """What every model resolves to alone on the whole fleet; names say whose it is.

    Raises:
        BadInput, CatalogError, WorkloadError: something the question names is missing or broken.
    """
    found = {name: check(inputs) for name, inputs in question.models.items()}
    first, limited = next(iter(found.values())), bool(limits_of(question)) and question.fleet.schedule is None
    unserved = tuple(f"{name}: {why}" for name, each in found.items() for why in each.unserved)
    lacking = proven_raises(question.models) if limited and not unserved else {}
    return CheckReport(
        workload="; ".join(f"{name}: {each.workload}" for name, each in found.items()),
        rate_req_per_s={
            f"{n}: {kind}": rate for n, each in found.items() for kind, rate in each.rate_req_per_s.items()
        },
        options=tuple(f"{name}: {option}" for name, each in found.items() for option in each.options),
        excuses=tuple(replace(e, option=f"{name}: {e.option}") for name, each in found.items() for e in each.excuses),
        reference=first.reference,
        warnings=tuple(f"{name}: {warning}" for name, each in found.items() for warning in each.warnings),
        precision="; ".join(f"{name}: {each.precision}" for name, each in found.items()),
        unserved=(*unserved, *((TOGETHER, *raise_words(lacking)) if lacking else ())),
    )


def simulate_fleet(
    question: FleetInputs, candidates: Mapping[str, CandidatePlan], *, progress: Progress,
    stepwise: bool = False, notes: Mapping[str, Note] | None = None,
) -> FleetSimulation:  # fmt: skip
    """What the simulator says of every model's plan on its workload; nothing is planned or changed.

    Args:
        question: whose workloads, as it was read.
        candidates: who serves each model, by its name.
        progress: told what is happening.
        stepwise: the reference serves.
        notes: of each model what is shown every seed's trace and run; None shows them to none.

    Raises:
        BadInput: the catalog no longer offers a pool of a candidate.
    """
    done = {
        name: simulation(
            question.models[name], candidates[name], stepwise=stepwise, note=(notes or {}).get(name),
            progress=lambda words, done_frac, name=name: progress(f"{name}: {words}", done_frac),  # type: ignore[misc]
        )
        for name in question.models
    }  # fmt: skip
    served = {name: each.candidate for name, each in done.items()}
    judgements = {name: each.judgement for name, each in done.items()}
    beyond = exceeded(question, served, judgements)
    over = [f"{name} is {limit:g}, all models take {needed:g}" for name, (limit, needed) in beyond.items()]
    if question.fleet.power.row_limit_w is not None:
        over += filter(None, [over_row(row_of(question, served, progress))])
    return FleetSimulation(
        judgements=judgements, candidates=served, priced={name: each.priced for name, each in done.items()},
        over=tuple(over),
    )  # fmt: skip
