"""Traces that are drawn: whole, or only what one cell of a fleet is sent."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.resolve.stated_lengths import within
from planner.scenario import Scenario
from workloads.synthesis import Process, WorkloadModel, expect_drawable, synthesize
from workloads.traces import Trace, classify, scale_lengths

Draw = Callable[[int, float, float], Trace]
"""(seed, factor on the rate, factor on the window) -> trace."""

INDEPENDENT = ("poisson", "diurnal")
"""Processes whose arrivals are independent: sent to cells by chance, the traces of the cells are independent too."""

SHORTEST_S, ENOUGH_REQUESTS = 120.0, 1000
"""Arrival window of a seed where none is given: so many seconds, and enough requests in three seeds to bound a P99."""

FEWER = "a lower workload.rate_req_per_s, rate_scale or duration_s, or validation.requests"
"""Keys that lead to fewer requests."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawing:
    """How the traces of a scenario are drawn.

    Attributes:
        scenario: its sections ``workload`` and ``validation``.
        model: lengths, and what is known of arrivals.
        process: of the arrivals.
        rate_req_per_s: mean rate at factor 1.
    """

    scenario: Scenario
    model: WorkloadModel
    process: Process
    rate_req_per_s: float

    def window_s(self, factor: float) -> float:
        """The arrival window of one seed at a factor on the rate."""
        rate = self.rate_req_per_s * factor
        window_s = self.scenario.workload.duration_s or max(SHORTEST_S, ENOUGH_REQUESTS / rate)
        most = self.scenario.validation.requests
        return window_s if most is None else min(window_s, most / rate)

    def over(
        self, seed: int | tuple[int, ...], factor: float, window_s: float, of: WorkloadModel | None = None
    ) -> Trace:
        """Requests of a window, of the model or of another."""
        workload = self.scenario.workload
        drawn = synthesize(
            of or self.model, rate_req_per_s=self.rate_req_per_s * factor, duration_s=window_s,
            rng=np.random.default_rng(seed), process=self.process, cv=workload.arrivals.cv,
            peak_to_mean_ratio=workload.arrivals.peak_to_mean_ratio or 1.0,
            period_s=workload.arrivals.period_s or 86400.0,
        )  # fmt: skip
        return classify(scale_lengths(drawn, workload.prompt_scale, workload.output_scale), self.scenario.classes())

    def whole(self, end: int | None) -> Draw:
        """What draws traces whose requests end at a context."""

        def draw(seed: int, factor: float, times: float) -> Trace:
            rate, long_s = self.rate_req_per_s * factor, self.window_s(factor) * times
            expect_drawable(rate * long_s, f"{rate:g} req/s over {long_s:g} s", FEWER)
            return within(self.over(seed, factor, long_s), end)

        return draw

    def cell(self, end: int | None, cells: int, cell: int) -> Draw:
        """What draws the requests of one cell of so many, of a process whose arrivals are independent."""

        def draw(seed: int, factor: float, times: float) -> Trace:
            share = factor / cells
            return within(self.over((seed, cells, cell), share, self.window_s(share) * times), end)

        return draw
