"""What kinds of instances are worth over epochs at the duals of a relaxation that knows only some of them.

A pair is an option and a class that it serves. At the prices of a relaxation in some pairs every other pair has a
reduced cost, and every machine type that has none of them an amount by which prices would have to change before it
pays. So the bound of the small relaxation becomes one of all pairs, without a program of them all.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.formulate.epoch_program import price_of, rent_cost, start_cost
from planner.formulate.epoch_question import EpochQuestion
from planner.perf.layout import Role
from planner.results.schedule import FleetType
from workloads.load import Floats

Pair = tuple[int, int]
"""Places of an option and of a class."""

_HALVINGS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Duals of a relaxation by what they price.

    Attributes:
        served_worth: role -> (classes, epochs) worth of a request per second.
        asked_worth: (classes, epochs) dual of what is asked for.
        gpu_worth: (machine types, epochs) price of a GPU; 0 for a type that the relaxation does not have.
        on_worth: (machine types, epochs) what a powered machine counts.
        base_worth: (machine types,) what one of the base fleet counts.
        top_worth: (machine types, epochs) what one on top counts.
        watt_worth: (epochs,) price of a watt at the wall under its budget.
        change_worth: price of a start or stop under the churn bound.
    """

    served_worth: Mapping[Role, Floats]
    asked_worth: Floats
    gpu_worth: Floats
    on_worth: Floats
    base_worth: Floats
    top_worth: Floats
    watt_worth: Floats
    change_worth: float


class Pairs:
    """All pairs of a question as arrays, priced together."""

    def __init__(self, question: EpochQuestion) -> None:
        """Nothing is priced yet."""
        load, options = question.load, question.options
        self.question, self.names = question, tuple(load.peak_req_per_s)
        place = {kind.machine: at for at, kind in enumerate(question.fleet)}
        self.type_of = np.array([place[option.spec.machine] for option in options])
        self.peak = np.array([load.peak_req_per_s[name] for name in self.names])
        mean = np.array([load.mean_req_per_s[name] for name in self.names])
        self._mean_s = np.divide(mean, self.peak, out=np.zeros_like(mean), where=self.peak > 0) * load.epoch_s
        self.capacity = np.array([[o.capacity_req_per_s.get(n, 0.0) for n in self.names] for o in options])
        self._request_j = np.array([[o.request_j.get(n, 0.0) for n in self.names] for o in options])
        self._joule = np.array([price_of(question, t, energy_j=1.0) for t in range(load.epochs)])
        self._start = self._by_epoch(lambda kind, t: start_cost(question, kind, t))
        self._rent = self._by_epoch(lambda kind, t: rent_cost(question, kind, t))
        self.gpus = np.array([float(kind.gpus) for kind in question.fleet])

    def _by_epoch(self, of: Callable[[FleetType, int], float]) -> Floats:
        epochs = range(self.question.load.epochs)
        return np.array([[of(kind, t) for t in epochs] for kind in self.question.fleet])

    def prices(self, duals: Mapping[str, float]) -> Prices:
        """What rows of a relaxation price; a row that it does not have prices nothing."""
        question, load = self.question, self.question.load
        epochs, hours = range(load.epochs), load.epoch_s / 3600

        def of(family: str) -> Floats:
            return np.array([-duals.get(f"{family}[{t}]", 0.0) for t in epochs])

        cost, power, watt = of("epoch_cost"), of("epoch_power"), of("epoch_watts")
        space, machines = of("epoch_space"), of("epoch_machines")
        asked = np.array([[duals.get(f"epoch_demand[{n},{t}]", 0.0) for t in epochs] for n in self.names])
        passed = np.array([[duals.get(f"epoch_balance[{n},{t}]", 0.0) for t in epochs] for n in self.names])
        there = [
            price_of(question, 0, usd=kind.base_usd_per_h * hours * load.epochs)
            + float((cost * kind.base_usd_per_h + space * kind.rack_units + machines).sum())
            for kind in question.fleet
        ]
        return Prices(
            served_worth={Role.MIXED: asked, Role.PREFILL: asked - passed, Role.DECODE: passed}, asked_worth=asked,
            gpu_worth=self._by_epoch(lambda kind, t: -duals.get(f"epoch_gpus[{kind.machine},{t}]", 0.0)),
            on_worth=self._by_epoch(
                lambda kind, t: price_of(question, t, energy_j=kind.idle_w * load.epoch_s, powered=kind)
                + power[t] * kind.rated_w + watt[t] * kind.idle_w
            ),
            base_worth=np.array(there),
            top_worth=self._by_epoch(
                lambda kind, t: price_of(question, t, usd=kind.top_usd_per_h * hours)
                + cost[t] * kind.top_usd_per_h + space[t] * kind.rack_units + machines[t]
            ),
            watt_worth=watt, change_worth=-duals.get("churn", 0.0),
        )  # fmt: skip

    def reduced(self, prices: Prices, option: int) -> tuple[NDArray[np.intp], Floats]:
        """The classes of an option on a type that is priced, and (classes, epochs) the reduced cost of each per req/s.

        An instance counts with what of it a request per second takes.
        """
        classes, work, floor = self.counted(prices, option)
        each = floor + prices.gpu_worth[self.type_of[option]] * self.question.options[option].gpus
        worth = prices.served_worth[self.question.options[option].spec.role][classes]
        found = work + each / self.capacity[option][classes][:, None] - worth
        return classes, np.where(self.peak[classes] > 0, found, np.inf)

    def gain(self, prices: Prices, machine: int, worth_ratio: float) -> tuple[float, set[Pair]]:
        """The most that a machine of a type without pairs gains at so many times the prices, and the pairs it runs.

        A machine of the base fleet or one on top, which pays rent while it starts, is powered whenever that pays for
        its starts; how long it has to stay powered is left out, so a type that gains nothing here gains nothing. The
        k-th machine is powered where there are k, in the base fleet or never: a type gains what its machines gain.
        """
        earned, best = self.earned(prices, machine, worth_ratio)
        hourly = earned - prices.on_worth[machine]
        start = self._start[machine] + prices.change_worth
        most_gain = max(
            _powered(hourly, start) - prices.base_worth[machine],
            _powered(hourly - prices.top_worth[machine], start + self._rent[machine]),
        )
        return most_gain, {(int(option), int(name)) for option, name in best if option >= 0}

    def earned(self, prices: Prices, machine: int, worth_ratio: float) -> tuple[Floats, NDArray[np.intp]]:
        """(epochs,) what a full machine of a type earns at so many times the prices, and (epochs, 2) its best pair."""
        each, best = np.zeros(self.question.load.epochs), np.full((self.question.load.epochs, 2), -1)
        for option in np.flatnonzero(self.type_of == machine).tolist():
            classes, work, floor = self.counted(prices, option)
            worth = worth_ratio * prices.served_worth[self.question.options[option].spec.role][classes]
            carried = self.capacity[option][classes][:, None]
            full = np.where(self.peak[classes] > 0, (worth - work) * carried - floor, -np.inf)
            most, at = full.max(axis=0) / self.question.options[option].gpus, full.argmax(axis=0)
            better = most > each
            each, best[better] = np.maximum(each, most), np.stack([np.full(len(at), option), classes[at]], 1)[better]
        return each * self.gpus[machine], best

    def machine_worth(self, prices: Prices, ratios: Sequence[float | None]) -> Floats:
        """(machine types, epochs) what a machine is worth: what its GPUs are, or what it earns where a ratio is given.

        Args:
            prices: of a relaxation.
            ratios: of each machine type the multiple of the prices at which it gains nothing; None of those that the
                relaxation has.
        """
        return np.array([
            prices.gpu_worth[at] * gpus if ratio is None else self.earned(prices, at, ratio)[0]
            for at, (gpus, ratio) in enumerate(zip(self.gpus.tolist(), ratios, strict=True))
        ])  # fmt: skip

    def ratio(self, prices: Prices, machine: int) -> float:
        """The largest multiple of the prices, at most twice, at which a type without pairs gains nothing."""
        low, high = 0.0, 2.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.gain(prices, machine, middle)[0] > 0:
                high = middle
            else:
                low = middle
        return low

    def counted(self, prices: Prices, option: int) -> tuple[NDArray[np.intp], Floats, Floats]:
        """Classes of an option, (classes, epochs) what a request per second counts, (epochs,) what an instance does."""
        classes = np.flatnonzero(self.capacity[option] > 0)
        joules = self._request_j[option][classes][:, None]
        work = joules * (self._joule * self._mean_s[classes] + prices.watt_worth)
        floor_w = self.question.options[option].floor_w
        return classes, work, floor_w * (self._joule * self.question.load.epoch_s + prices.watt_worth)


def _powered(gains: Iterable[float], starts: Iterable[float]) -> float:
    """The most of what one machine gains over epochs in which it is powered or not; it may begin powered."""
    on = off = 0.0
    for gain, start in zip(gains, starts, strict=True):
        on, off = max(on, off - start) + gain, max(on, off)
    return max(on, off)
