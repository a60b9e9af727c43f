"""Whether the pools of every epoch have the spare machines that availability asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from planner.capacity.envelope import Option
from planner.capacity.redundancy import Rule, Stock, spares, up_frac
from planner.formulate import EpochQuestion
from planner.formulate.epoch_question import held, instances, rate
from planner.perf.layout import Role
from planner.results.schedule import EpochOption, FleetType
from planner.scenario.objectives import Aim

Pooled = tuple[EpochOption, int, int]
"""A kind of instance, how many the objectives need, and machines that are spare."""


def too_few(
    options: Mapping[str, Option], question: EpochQuestion, values: Mapping[str, float], rule: Rule
) -> dict[tuple[str, int], int] | None:  # fmt: skip
    """(Option name, epoch) -> spare machines of the epochs that have too few; None where no number is enough.

    Args:
        options: as pools are called -> how often their machines are gone.
        question: whose program was solved.
        values: of its columns.
        rule: what is asked of the machines of an epoch together, of each model by itself.
    """
    kinds = {kind.machine: kind for kind in question.fleet}
    found, known = dict[tuple[str, int], int](), dict[object, tuple[int, ...] | None]()
    models = sorted({option.model for option in question.options})
    for epoch, model in product(range(question.load.epochs), models):
        pools = [each for each in _pools(question, values, epoch) if each[0].model == model]
        key = tuple((option.name, needed, spare) for option, needed, spare in pools)
        if key not in known:
            worths = [_worth(question, kinds[option.spec.machine], option) for option, _, _ in pools]
            known[key] = _lacking(options, pools, worths, rule)
        if (lacking := known[key]) is None:
            return None
        if lacking:
            found |= {(option.name, epoch): more for (option, _, _), more in zip(pools, lacking, strict=True)}
    return found


def _pools(question: EpochQuestion, values: Mapping[str, float], epoch: int) -> list[Pooled]:
    """What serves in an epoch."""
    return [
        (option, count, round(values[held(option, epoch)]))
        for option in question.running(epoch)
        if (count := round(values[instances(option, epoch)]))
        and any(values[rate(option, name, epoch)] > 1e-9 for name in question.served(option, epoch))
    ]


def _lacking(
    options: Mapping[str, Option], pools: Sequence[Pooled], worths: Sequence[float], rule: Rule
) -> tuple[int, ...] | None:  # fmt: skip
    """Spare machines that the pools of an epoch need; none where they have enough, None where no number is enough."""
    needed, has = list[tuple[Role, Stock, float]](), list[Stock]()
    for (pooled, count, spare), worth in zip(pools, worths, strict=True):
        option = options[pooled.name]
        assert option.reliability is not None, "asked only where availability is"
        machines = pooled.machines_for(count)
        stock = Stock(
            machines=machines, needed=machines, span=option.machines_per_instance,
            each=replace(option.reliability, rule=rule),
        )  # fmt: skip
        needed.append((pooled.spec.role, stock, worth))
        has.append(replace(stock, machines=machines + spare))
    if not has or up_frac(has, rule) >= rule.target_frac:
        return ()
    return spares(needed)


def _worth(question: EpochQuestion, kind: FleetType, option: EpochOption) -> float:
    """What a spare machine counts in the first aim, for those of one epoch compared with each other."""
    match question.aims[0]:
        case Aim.POWER:
            return kind.rated_w
        case Aim.ENERGY | Aim.CARBON:
            return kind.idle_w + option.spare_w
        case Aim.COST:
            return kind.base_usd_per_h or kind.top_usd_per_h
        case Aim.MACHINES:
            return 1.0
