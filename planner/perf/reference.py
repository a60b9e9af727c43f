"""A request alone on a reference instance: what slowdowns are measured against."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.perf.step_time import StepTime
from planner.perf.stretches import run_s
from workloads.slo import Metric, Slo, Unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Reference:
    """Times of one request that has an instance to itself.

    Source: Splitwise, ISCA'24, §VI-A: objectives are slowdowns against the same request alone on a DGX-A100.

    Attributes:
        per_token: the mean gap of a request is its decoding time over its tokens; else over its gaps, one fewer.
    """

    per_token = False

    def __init__(self, step: StepTime) -> None:
        """Nothing computed yet.

        Args:
            step: step time of the reference instance.
        """
        self.step = step
        self._ttft_s: dict[int, float] = {}
        self._tbt_s: dict[int, float] = {}
        self._e2e_s: dict[tuple[int, int], float] = {}

    def ttft_s(self, prompt_tokens: int) -> float:
        """Prefill of the prompt alone."""
        found = self._ttft_s.get(prompt_tokens)
        if found is None:
            found = self._ttft_s[prompt_tokens] = self.step.prefill_s([(prompt_tokens, 0)])
        return found

    def tbt_s(self, prompt_tokens: int) -> float:
        """First decode step alone, at the context the prompt leaves."""
        found = self._tbt_s.get(prompt_tokens)
        if found is None:
            found = self._tbt_s[prompt_tokens] = self.step.decode_s(1, prompt_tokens + 1)
        return found

    def e2e_s(self, prompt_tokens: int, output_tokens: int) -> float:
        """Prefill and every decode step alone, each at its own context."""
        if output_tokens <= 1:
            return self.ttft_s(prompt_tokens)
        key = (prompt_tokens, output_tokens)
        found = self._e2e_s.get(key)
        if found is None:
            steps = self.step.decode_segments(1, prompt_tokens + 1, output_tokens - 1)
            found = self._e2e_s[key] = self.ttft_s(prompt_tokens) + run_s(steps)
        return found

    def each_ttft_s(self, prompt_tokens: Ints) -> Floats:
        """(requests,) ``ttft_s`` of each."""
        lengths, places = np.unique(prompt_tokens, return_inverse=True)
        return np.array([self.ttft_s(prompt) for prompt in lengths.tolist()])[places]

    def each_tbt_s(self, prompt_tokens: Ints) -> Floats:
        """(requests,) ``tbt_s`` of each."""
        lengths, places = np.unique(prompt_tokens, return_inverse=True)
        return np.array([self.tbt_s(prompt) for prompt in lengths.tolist()])[places]

    def each_e2e_s(self, prompt_tokens: Ints, output_tokens: Ints) -> Floats:
        """(requests,) ``e2e_s`` of each."""
        pairs = zip(prompt_tokens.tolist(), output_tokens.tolist(), strict=True)
        return np.array([self.e2e_s(prompt, output) for prompt, output in pairs])


def unit_s(
    slo: Slo, reference: Reference | None, prompt_tokens: Ints | Sequence[int], output_tokens: Ints | Sequence[int]
) -> Floats:
    """Seconds that one unit of an objective is worth to each request.

    Args:
        slo: says which metric and which unit.
        reference: what slowdowns are measured against; may be None where the unit is seconds.
        prompt_tokens: of each request.
        output_tokens: of each request.

    Returns:
        (requests,) the time it takes alone; (1,) a single 1.0 where the unit is seconds.

    Raises:
        ValueError: a slowdown without a reference.
    """
    if slo.unit is Unit.SECONDS:
        return np.ones(1)
    if reference is None:
        raise ValueError(f"{slo.name} is a slowdown, and there is no reference to measure it against")
    prompts, outputs = np.asarray(prompt_tokens, np.int64), np.asarray(output_tokens, np.int64)
    if slo.metric is Metric.E2E:
        return reference.each_e2e_s(prompts, outputs)
    return reference.each_ttft_s(prompts) if slo.metric is Metric.TTFT else reference.each_tbt_s(prompts)
