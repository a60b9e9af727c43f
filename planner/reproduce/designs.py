"""Clusters of a design: machines counted, and what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

from planner.scenario.designs import A100, DESIGNS, H100, H100_CAPPED, Design


def design(name: str) -> Design:
    """The design of the paper with that name.

    Raises:
        KeyError: there is none.
    """
    return {d.name: d for d in DESIGNS}[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What machines cost and draw, as one source has it.

    Attributes:
        name: what claims call it.
        usd_per_h: machine -> price.
        power_w: machine -> power to provision.
        source: where both stand.
    """

    name: str
    usd_per_h: Mapping[str, float]
    power_w: Mapping[str, float]
    source: str


TABLE_I = Tariff(
    name="Table I prices",
    usd_per_h={A100: 17.6, H100: 38.0, H100_CAPPED: 38.0},
    power_w={A100: 6500.0, H100: 10200.0, H100_CAPPED: 7140.0},
    source="Splitwise, Table I (CoreWeave); server ratings of splitwise-sim",
)
TABLE_V = Tariff(
    name="Table V ratios",
    usd_per_h={A100: 17.6, H100: 2.35 * 17.6, H100_CAPPED: 2.35 * 17.6},
    power_w={A100: 6500.0, H100: 1.75 * 6500.0, H100_CAPPED: 1.23 * 6500.0},
    source="Splitwise, Table V: cost 2.35 and power 1.75 (capped: 1.23) times those of a DGX-A100",
)
SIMULATOR = Tariff(
    name="simulator prices",
    usd_per_h={A100: 8 * 2.21, H100: 8 * 4.76, H100_CAPPED: 8 * 4.76},
    power_w={A100: 24.8 * 6500 / 24.8, H100: 44.0 * 6500 / 24.8, H100_CAPPED: 30.8 * 6500 / 24.8},
    source="splitwise-sim notebooks: 2.21 and 4.76 USD per GPU-hour; power units 24.8, 44 and 30.8 per machine",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A design with machines counted.

    Attributes:
        design: the machine types.
        prompt_machines: of the prompt type, >= 1.
        token_machines: of the token type; 0 in a colocated design.
    """

    design: Design
    prompt_machines: int
    token_machines: int = 0

    @property
    def machines(self) -> int:
        """Machines in all, which is what the paper calls space."""
        return self.prompt_machines + self.token_machines

    @property
    def words(self) -> str:
        """For example ``Splitwise-HH 25P+15T``."""
        counts = f"{self.prompt_machines}P+{self.token_machines}T" if self.token_machines else f"{self.prompt_machines}"
        return f"{self.design.name} {counts}"

    def usd_per_h(self, tariff: Tariff) -> float:
        """Price of the whole cluster."""
        return self._sum(tariff.usd_per_h)

    def power_w(self, tariff: Tariff) -> float:
        """Power to provision for the whole cluster."""
        return self._sum(tariff.power_w)

    def _sum(self, each: Mapping[str, float]) -> float:
        token = self.design.token_machine
        return self.prompt_machines * each[self.design.prompt_machine] + (
            self.token_machines * each[token] if token else 0.0
        )


def cluster(name: str, prompt_machines: int, token_machines: int = 0) -> Cluster:
    """Machines of a design of the paper."""
    return Cluster(design=design(name), prompt_machines=prompt_machines, token_machines=token_machines)


def affordable(made: Design, prompt_machines: int, each: Mapping[str, float], budget: float) -> int:
    """Most token machines that a budget leaves beside the prompt machines; for a colocated design most machines.

    Args:
        made: the design.
        prompt_machines: taken already; ignored for a colocated design.
        each: machine -> price or power.
        budget: in the unit of ``each``.
    """
    if made.token_machine is None:
        return floor(budget / each[made.prompt_machine] + 1e-9)
    left = budget - prompt_machines * each[made.prompt_machine]
    return max(0, floor(left / each[made.token_machine] + 1e-9))
