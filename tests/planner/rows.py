"""A toy row: machines that serve quickly and draw round numbers, for laws that need weeks in a blink."""

from dataclasses import dataclass

import numpy as np

from hw_catalog.domains import PowerControls, load_power_delivery
from planner.perf.response import instance_response
from planner.simulator.rows.load import WeeklyLoad, interleaved
from planner.simulator.rows.rows import Floor
from planner.simulator.rows.servers import Kind
from tests.planner.toy import toy_physics

CLOCKS = (1000.0, 900.0, 800.0, 200.0)


@dataclass(frozen=True)
class ToyPower:
    """100 W idle, 200 W decoding, 400 W computing prompts; the watts above idle and the speed follow the clock."""

    def idle_w(self, clock_mhz: float) -> float:
        return 100.0 + 0 * clock_mhz

    def prefill_w(self, tokens: int, clock_mhz: float) -> float:
        return 100.0 + 300.0 * clock_mhz / 1000 + 0 * tokens

    def decode_w(self, batch: int, clock_mhz: float) -> float:
        return 100.0 + 100.0 * clock_mhz / 1000 + 0 * batch

    def prefill_slowdown_ratio(self, clock_mhz: float) -> float:
        return 1000 / clock_mhz

    def decode_slowdown_ratio(self, batch: int, clock_mhz: float) -> float:
        return (1000 / clock_mhz) ** 0.5 + 0 * batch


def toy_floor(machines: int, *, peak_req_per_s: float = 1.0, noise_frac: float = 0.1, per_machine: int = 1) -> Floor:
    """Half low, half high priority, one kind of each; steady but for noise."""
    response = instance_response(
        toy_physics(), ToyPower(), CLOCKS, max_batch=32, context_tokens=(100.0, 2000.0)
    )  # fmt: skip
    rng = np.random.default_rng(3)
    kinds = tuple(
        Kind(
            name=name, low_priority=low, response=response, prompt_tokens=rng.integers(200, 3000, 256),
            output_tokens=rng.integers(1, 200, 256),
        )
        for name, low in (("low", True), ("high", False))
    )  # fmt: skip
    load = WeeklyLoad(peak_to_valley_ratio=1.5, peak_at_s=900.0, weekend_ratio=1.0, noise_frac=noise_frac, noise_s=60.0)
    return Floor(
        kinds=kinds, kind_of=tuple(interleaved((1, 1), machines)), instances_per_machine=(per_machine, per_machine),
        peak_req_per_s=(peak_req_per_s, peak_req_per_s), load=load,
    )  # fmt: skip


def controls() -> PowerControls:
    """The published delays."""
    return load_power_delivery().controls
