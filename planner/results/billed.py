"""Which tokens of a simulation the bill is divided by."""

from planner.results.evidence import Judgement


def billed_frac(judgement: Judgement) -> tuple[float, float]:
    """The shares of prompt and of output tokens that the bill is divided by.

    Objectives are percentiles: a request beyond one is part of what was promised, and one with a long gap among
    hundreds is not worthless. So all tokens count where none is missed, and price times tokens is the bill. Where one
    is, only requests that met every objective do: a fleet gets no cheaper by being late.
    """
    if judgement.attainment_frac <= 0:
        return 0.0, 0.0
    if not judgement.missed:
        return 1.0, 1.0
    pairs = (
        (judgement.good_prompt_tokens_per_s, judgement.prompt_tokens_per_s),
        (judgement.good_output_tokens_per_s, judgement.output_tokens_per_s),
    )
    prompt, output = (
        good / every if good is not None and every else judgement.attainment_frac for good, every in pairs
    )
    return prompt, output
