"""A first look at candidates: the busiest stretches of long traces, which settle most in a tenth of its time."""

from collections.abc import Sequence
from threading import Lock

from planner.resolve.case import Case
from planner.results.evidence import Judgement
from planner.simulator.excerpt import Excerpt, excerpts, look
from planner.simulator.pools import PoolModel

LONG_REQUESTS = 50_000
"""Requests of a seed's trace from which on its busiest stretches are looked at first."""


class Screen:
    """The busiest stretches of a question's traces."""

    def __init__(self, case: Case) -> None:
        """Nothing drawn yet."""
        self._case, self._scale = case, 0.0
        self._cut: dict[int, tuple[Excerpt, ...]] = {}
        self._lock = Lock()  # threads may look at candidates of other rates at the same time

    def applies(self, scale: float) -> bool:
        """Whether long traces with busy minutes of their own are replayed, all of them in the same minutes."""
        asked, section = self._case.asked, self._case.scenario.validation
        replayed = asked.aligned_at(scale) or (asked.growth is not None and asked.exact_at(scale))
        return replayed and not section.failures and bool(self._excerpts(scale, asked.seeds[0]))

    def look(self, pools: Sequence[PoolModel], scale: float, workload: str, *, first_alone: bool) -> Judgement:
        """What the busiest stretches say of a candidate: a miss there is one of the whole.

        Args:
            pools: the candidate.
            scale: factor on the workload's rate, at which ``applies`` holds.
            workload: in words.
            first_alone: serve the first seed alone, as a guess; what it misses the others may not.
        """
        case = self._case
        seeds = case.asked.seeds_at(scale)[: 1 if first_alone else None]
        return look(
            pools, case.policy, [self._excerpts(scale, seed) for seed in seeds], case.slos, first_seed=seeds[0],
            workload=workload, reference=case.reference, sure=not first_alone,
        )  # fmt: skip

    def _excerpts(self, scale: float, seed: int) -> tuple[Excerpt, ...]:
        """Of one seed's trace; none where it is short. Those of one rate at a time are kept."""
        with self._lock:
            if scale != self._scale:
                self._scale, self._cut = scale, {}
            if seed not in self._cut:
                before, after = self._case.asked.unmeasured_at(scale, self._case.scenario.validation)
                trace = self._case.asked.draw(seed, scale, 1.0)
                self._cut[seed] = (
                    excerpts(trace, self._case.slos, warmup_frac=before, cooldown_frac=after)
                    if len(trace) >= LONG_REQUESTS
                    else ()
                )
            return self._cut[seed]
