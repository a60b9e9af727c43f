"""A request alone on a reference instance: what slowdowns are measured against."""

from planner.perf.step_time import StepTime, run_s


class Reference:
    """Times of one request that has an instance to itself.

    Source: Splitwise, ISCA'24, §VI-A: objectives are slowdowns against the same request alone on a DGX-A100.
    """

    def __init__(self, step: StepTime) -> None:
        """Nothing computed yet.

        Args:
            step: step time of the reference instance.
        """
        self._step = step
        self._ttft_s: dict[int, float] = {}

    def ttft_s(self, prompt_tokens: int) -> float:
        """Prefill of the prompt alone."""
        found = self._ttft_s.get(prompt_tokens)
        if found is None:
            found = self._ttft_s[prompt_tokens] = self._step.prefill_s([(prompt_tokens, 0)])
        return found

    def tbt_s(self, prompt_tokens: int) -> float:
        """First decode step alone, at the context the prompt leaves."""
        return self._step.decode_s(1, prompt_tokens + 1)

    def e2e_s(self, prompt_tokens: int, output_tokens: int) -> float:
        """Prefill and every decode step alone, each at its own context."""
        if output_tokens <= 1:
            return self.ttft_s(prompt_tokens)
        steps = self._step.decode_segments(1, prompt_tokens + 1, output_tokens - 1)
        return self.ttft_s(prompt_tokens) + run_s(steps)
