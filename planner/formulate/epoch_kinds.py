"""The kinds of instances that are worth having in a large question over epochs, and a bound over all of them.

Column generation: the relaxation in a few pairs of option and class prices all others; those that pay come in, until
what the others could gain is less than a thousandth of the answer. The integer program is then written in these and in
those that pay most nearly, of which whole counts need some.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.formulate.epoch_merged import cheapest, merged
from planner.formulate.epoch_pricing import Pair, Pairs, Prices
from planner.formulate.epoch_program import epoch_problem
from planner.formulate.epoch_question import EpochQuestion, rate
from planner.formulate.epoch_whole import whole_machines
from planner.perf.layout import Role
from solvers.direct import Direct, relax
from solvers.problem import INF

MOST_COLUMNS = 40_000
"""Rates of a program that is written in all pairs; else pairs come in by how nearly they pay up to so many."""

MOST_TYPES = 12
"""Machine types beyond which a program has a quarter of these: what links its epochs counts machines of each type."""

ENOUGH_FRAC = 1e-3
"""What other pairs may still gain, of the answer."""

MOST_ROUNDS, TYPES_A_ROUND = 40, 3

STEP_RATIO, SMALL_FRAC = 1.4, 2e-3
"""By which each smaller machine type is smaller than the last, and the share of an epoch below which none matters."""

Chosen = NDArray[np.bool_]
"""(options, classes) whether a pair is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Few:
    """A question in few kinds.

    Attributes:
        question: the same in the pairs that are worth having.
        used: in those alone that the relaxation uses, all of which are in ``question``.
        mixed: in those and in some on smaller machine types, which whole machines need; None where machines are so many
            that a part of one is nothing.
        bound: proven bound on the first aim in all pairs, counts not whole.
        whole: proves one in all pairs with whole machines; it takes seconds, and is minus infinity where there is none.
        apart: in the cheapest options of every machine type, and in options that promise more than all there are.
        of_types: in all pairs of some machine types and in those of ``mixed``.
    """

    question: EpochQuestion
    used: EpochQuestion
    mixed: EpochQuestion | None
    bound: float
    whole: Callable[[], float]
    apart: Callable[[], tuple[EpochQuestion, EpochQuestion]]
    of_types: Callable[[Collection[str]], EpochQuestion]


def few(question: EpochQuestion) -> Few | None:
    """A large question in the kinds that are worth having.

    Returns:
        None where the question is small, or asks what prices do not say: spare machines of every pool, layouts that
        exclude one another, a number of machine types; or where its relaxation has no answer.
    """
    pairs = sum(len(option.capacity_req_per_s) for option in question.options)
    most = MOST_COLUMNS if len(question.fleet) <= MOST_TYPES else MOST_COLUMNS // 4
    if pairs * question.load.epochs <= most:
        return None
    if question.parted or question.budgets.machine_types is not None or any(o.spares for o in question.options):
        return None
    table = Pairs(question)
    chosen = _first(table)
    if (relaxed := _relaxed(table, chosen)) is None:
        chosen = _first_of_each(table)
        relaxed = _relaxed(table, chosen)
    for _ in range(MOST_ROUNDS):
        if relaxed is None:
            return None
        prices = table.prices(relaxed.duals)
        bound, new = _priced(table, prices, chosen, relaxed.bound)
        if relaxed.bound - bound <= ENOUGH_FRAC * abs(relaxed.bound) or not new:
            return _found(table, prices, chosen, relaxed, bound)
        for pair in new:
            chosen[pair] = True
        relaxed = _relaxed(table, chosen)
    return None


def _found(table: Pairs, prices: Prices, chosen: Chosen, relaxed: Direct, bound: float) -> Few:
    """What a relaxation says that has all pairs which pay."""
    question, used = table.question, _used(table, relaxed.values)
    there = _types(table, chosen)
    ladder = _ladder(table, prices, there, relaxed.bound)

    def ratios() -> list[float | None]:
        return [None if there[at] else table.ratio(prices, at) for at in range(len(question.fleet))]

    def apart() -> tuple[EpochQuestion, EpochQuestion]:
        kept = cheapest(table, prices, table.machine_worth(prices, ratios()) / table.gpus[:, None])
        own = np.isin(np.arange(len(question.options)), kept)[:, None] & (table.capacity > 0)
        return restricted(question, own), merged(table, kept)

    def of_types(machines: Collection[str]) -> EpochQuestion:
        mine = np.array([kind.machine in machines for kind in question.fleet])[table.type_of]
        return restricted(question, used | ladder | (mine[:, None] & (table.capacity > 0)))

    return Few(
        question=restricted(question, _filled(table, prices, chosen)), used=restricted(question, used),
        mixed=restricted(question, used | ladder) if ladder.any() else None, bound=bound, apart=apart,
        whole=lambda: whole_machines(table, prices, ratios(), relaxed.bound), of_types=of_types,
    )  # fmt: skip


def restricted(question: EpochQuestion, chosen: Chosen) -> EpochQuestion:
    """The question in some pairs, and on the machine types that they run on."""
    names, options = tuple(question.load.peak_req_per_s), []
    for at in np.flatnonzero(chosen.any(axis=1)).tolist():
        option, kept = question.options[at], [names[place] for place in np.flatnonzero(chosen[at])]
        options.append(
            replace(
                option, capacity_req_per_s={name: option.capacity_req_per_s[name] for name in kept},
                request_j={name: option.request_j[name] for name in kept},
            )
        )  # fmt: skip
    used = {option.spec.machine for option in options}
    fleet = tuple(kind for kind in question.fleet if kind.machine in used)
    return replace(question, options=tuple(options), fleet=fleet)


def _relaxed(table: Pairs, chosen: Chosen) -> Direct | None:
    return relax(epoch_problem(restricted(table.question, chosen)))


def _used(table: Pairs, values: Mapping[str, float]) -> Chosen:
    """The pairs that carry anything."""
    found, epochs = np.zeros(table.capacity.shape, bool), range(table.question.load.epochs)
    for at, option in enumerate(table.question.options):
        for number, name in enumerate(table.names):
            found[at, number] = any(values.get(rate(option, name, t), 0.0) > 1e-9 for t in epochs)
    return found


def _types(table: Pairs, chosen: Chosen) -> NDArray[np.bool_]:
    """Whether a machine type has a pair that is in."""
    found = np.zeros(len(table.question.fleet), bool)
    found[table.type_of[chosen.any(axis=1)]] = True
    return found


def _priced(table: Pairs, prices: Prices, chosen: Chosen, value: float) -> tuple[float, list[Pair]]:
    """The bound in all pairs, and pairs that pay.

    A bound comes of prices at which nothing pays. The worth of a request is lowered by what the best pair of a type in
    use would gain, class by class and epoch by epoch; then all worths by one share, until no other type gains.
    """
    there, new = _types(table, chosen), list[Pair]()
    gained = {role: np.zeros(table.peak.shape) for role in Role}
    best = {role: np.full(table.peak.shape, -1) for role in Role}
    for option in np.flatnonzero(there[table.type_of]).tolist():
        role = table.question.options[option].spec.role
        classes, reduced = table.reduced(prices, option)
        worth = np.maximum(1e-12, np.abs(prices.served_worth[role][classes]))
        better = -reduced > np.maximum(gained[role][classes], 1e-7 * worth)
        gained[role][classes] = np.where(better, -reduced, gained[role][classes])
        best[role][classes] = np.where(better, option, best[role][classes])
    for found in best.values():
        new += [(int(o), c) for c, row in enumerate(found) for o in np.unique(row[row >= 0]) if not chosen[o, c]]
    lost = sum(float((each * table.peak).sum()) for each in gained.values())
    ratios = {at: table.ratio(prices, at) for at in np.flatnonzero(~there).tolist()}
    paying = sorted((at for at in ratios if table.gain(prices, at, 1.0)[0] > 0), key=lambda at: ratios[at])
    for at in paying[:TYPES_A_ROUND]:
        new += sorted(table.gain(prices, at, 1.0)[1])
    share = 1 - min((ratios[at] for at in paying), default=1.0)
    lost += share * float((np.maximum(0.0, prices.asked_worth) * table.peak).sum())
    return value - lost, new


def _ladder(table: Pairs, prices: Prices, there: NDArray[np.bool_], value: float) -> Chosen:
    """The cheapest pairs on smaller machine types than those that are in, which few whole machines need.

    The smaller a type, the less of it a load leaves idle, and the more dearly it works: those are taken that no smaller
    one undercuts, each smaller than the last by ``STEP_RATIO``, down to one that costs too little to matter.
    """
    found, epochs = np.zeros(table.capacity.shape, bool), table.question.load.epochs
    costs = (prices.base_worth + prices.on_worth.sum(axis=1)) / epochs
    last, small = min(costs[there], default=0.0), SMALL_FRAC * abs(value) / epochs
    ratios, front = {at: table.ratio(prices, at) for at in np.flatnonzero(~there).tolist()}, list[int]()
    for at in sorted(ratios, key=lambda at: (costs[at], ratios[at])):
        if ratios[at] < min((ratios[other] for other in front), default=INF):
            front.append(at)
    each = _first_of_each(table) if front else found
    for at in reversed(front):
        if small < costs[at] * STEP_RATIO and costs[at] * STEP_RATIO <= last:
            last = costs[at]
            found[table.type_of == at] = each[table.type_of == at]
    return found


def _filled(table: Pairs, prices: Prices, chosen: Chosen) -> Chosen:
    """The pairs that are in and those whose prices would have to rise by the least, as many as a program may have."""
    there, ranked, found = _types(table, chosen), list[tuple[float, list[Pair]]](), chosen.copy()
    for option in np.flatnonzero(there[table.type_of]).tolist():
        worth = prices.served_worth[table.question.options[option].spec.role]
        classes, reduced = table.reduced(prices, option)
        rises = (reduced / np.maximum(1e-12, np.abs(worth[classes]))).min(axis=1)
        ranked += [(float(rise), [(option, name)]) for rise, name in zip(rises, classes.tolist(), strict=True)]
    for machine in np.flatnonzero(~there).tolist():
        ratio = table.ratio(prices, machine)
        ranked.append((ratio - 1, sorted(table.gain(prices, machine, ratio * 1.01 + 1e-3)[1])))
    for _, pairs in sorted(ranked):
        more = found.copy()
        for pair in pairs:
            more[pair] = True
        if more.sum() * table.question.load.epochs > MOST_COLUMNS:
            break
        found = more
    return found


def _first(table: Pairs) -> Chosen:
    """For every class and role the pair that is cheapest per request on a machine of the base fleet."""
    chosen = np.zeros(table.capacity.shape, bool)
    each = _alone(table)
    for role in Role:
        mine = [at for at, option in enumerate(table.question.options) if option.spec.role is role]
        for name in range(len(table.names)):
            able = [at for at in mine if table.capacity[at, name] > 0]
            if able:
                chosen[min(able, key=lambda at: each[at, name]), name] = True
    return chosen


def _first_of_each(table: Pairs) -> Chosen:
    """The same on every machine type: limits may keep the cheapest from serving all."""
    chosen, each = np.zeros(table.capacity.shape, bool), _alone(table)
    for at, option in enumerate(table.question.options):
        rivals = [
            other for other, rival in enumerate(table.question.options)
            if (rival.spec.machine, rival.spec.role) == (option.spec.machine, option.spec.role)
        ]  # fmt: skip
        chosen[at] = (table.capacity[at] > 0) & (each[at] <= each[rivals].min(axis=0))
    return chosen


def _alone(table: Pairs) -> NDArray[np.float64]:
    """(options, classes) what a request per second counts over all epochs on a machine of the base fleet; inf: none."""
    prices, question = table.prices({}), table.question
    found = np.full(table.capacity.shape, np.inf)
    for at in range(len(question.options)):
        kind = int(table.type_of[at])
        gpu = (prices.base_worth[kind] / question.load.epochs + prices.on_worth[kind]) / question.fleet[kind].gpus
        classes, reduced = table.reduced(replace(prices, gpu_worth=np.tile(gpu, (len(question.fleet), 1))), at)
        found[at, classes] = np.where(np.isfinite(reduced), reduced, 0.0).sum(axis=1)
    return found
