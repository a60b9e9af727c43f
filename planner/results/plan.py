"""The nouns of a plan: what is bought, and what it is claimed to do."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from planner.perf.layout import InstanceSpec
from planner.results.precision import Variant
from planner.scenario.objectives import Budgets, Headroom
from solvers.allocation import Termination


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Equal instances.

    Attributes:
        spec: what each is.
        instances: replicas of the model, >= 1.
        machines: machines they fill, >= 1.
        rate_req_per_s: class name -> rate the optimiser routes here.
        load_frac: busy share of an instance (before headroom) by the optimiser's estimate; above 1 where the simulator
            confirmed more than was estimated.
        kv_load_frac: share of its KV tokens held on average, by the same estimate.
        spares: of the machines, how many may be down at once while the others meet every objective. All of them serve.
    """

    spec: InstanceSpec
    instances: int
    machines: int
    rate_req_per_s: Mapping[str, float]
    load_frac: float
    kv_load_frac: float
    spares: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a plan needs of each budgeted quantity.

    Attributes:
        cost_usd_per_h: of all machines.
        power_w: rated: nameplates, or what enforced caps leave of them.
        rack_units: space.
        machines: bought.
        gpus: in them.
        expected_power_w: mean watts at the wall at the planned rates, idle time included.
        carbon_g_per_h: CO2 that these watts and the cooling for them cause.
    """

    cost_usd_per_h: float
    power_w: float
    rack_units: float
    machines: int
    gpus: int
    expected_power_w: float = 0.0
    carbon_g_per_h: float = 0.0

    def __add__(self, other: Self) -> Self:
        """What both sets of machines need together."""
        return self._with(other, 1)

    def __sub__(self, other: Self) -> Self:
        """What is left without the other machines."""
        return self._with(other, -1)

    def _with(self, other: Self, sign: int) -> Self:
        names = [field.name for field in fields(self)]
        return replace(self, **{name: getattr(self, name) + sign * getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePlan:
    """What the optimiser proposes; not yet a plan anyone should buy.

    Attributes:
        policy: name of the policy it was made for.
        pools: at least one, ordered by spec name.
        totals: what it needs.
        headroom: that it was planned with.
        rate_scale: factor on the workload's rate that it serves (other than 1 for the throughput objective).
        termination: how the solve ended.
        variant: precision and engine that it was made for; None is what the scenario names first.
        cells: equal parts that every pool is divided into; each request is sent to one of them by chance.
    """

    policy: str
    pools: tuple[Pool, ...]
    totals: Totals
    headroom: Headroom
    rate_scale: float
    termination: Termination
    variant: Variant | None = None
    cells: int = 1

    def spent(self, mean_w: float | None = None) -> dict[str, float]:
        """What it takes of every budget, by the budget's key; mean watts as simulated where these are given."""
        taken = {each.name: float(getattr(self.totals, each.name, 0.0)) for each in fields(Budgets)}
        if mean_w is not None:
            taken["expected_power_w"] = mean_w
        return {**taken, "machine_types": float(len({pool.spec.machine for pool in self.pools}))}
