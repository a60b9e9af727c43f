"""Lengths without an upper end are drawn within the model's context, and a context that is too short is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.planning.plan import check
from planner.scenario import Scenario
from workloads.traces import plain_trace, shortened

QUESTION = {
    "schema_version": 1, "name": "stated", "model": {"name": "llama-3.1-8b", "dtype": "bf16"},
    "workload": {"rate_req_per_s": 40.0, "lengths": {
        "prompt": {"median_tokens": 4000, "p95_tokens": 30000}, "output": {"median_tokens": 60, "p95_tokens": 90}}},
    "slo": {"ttft_p90_s": 20.0}, "catalog": {"machines": ["dgx-h100"], "tp": [8]}, "policy": {"name": "colocated"},
}  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_whether_a_question_is_answered_hangs_on_no_draw(seed: int) -> None:
    """The tail of a stated distribution ends at the context, whichever requests are drawn, and is told."""
    found = check(Scenario.model_validate(QUESTION).changed([f"validation.first_seed={seed}"]))
    assert any("longer than the model's context of 131,072 tokens" in line for line in found.warnings)


def test_a_context_that_is_too_short_is_refused() -> None:
    """Where more than a tail is too long, or a rare kind is, nothing is shortened in silence."""
    usual = "workload.lengths.prompt={median_tokens: 90000, p95_tokens: 200000}"
    rare = (
        "workload.lengths.long={share_frac: 0.001, prompt: {median_tokens: 300000, p95_tokens: 300000}, "
        "output: {median_tokens: 60, p95_tokens: 90}}"
    )
    for word in (usual, rare):
        with pytest.raises(BadInput, match=r"policy\.longer_context"):
            check(Scenario.model_validate(QUESTION).changed([word]))


@given(
    lengths=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=20),
    most=st.integers(2, 10**6),
)
def test_shortened_requests_fit_and_others_stay(lengths: list[tuple[int, int]], most: int) -> None:
    """None has more tokens than allowed or fewer than one of either; what fits is not touched."""
    prompt, output = (np.array(column) for column in zip(*lengths, strict=True))
    arrival_s = np.arange(len(lengths), dtype=float)
    short = shortened(plain_trace("t", arrival_s, prompt, output, duration_s=1.0 + len(lengths)), most)
    total = short.prompt_tokens + short.output_tokens
    fits = prompt + output <= most
    assert (total == np.minimum(prompt + output, most)).all()
    assert min(short.prompt_tokens.min(), short.output_tokens.min()) >= 1
    assert (short.prompt_tokens[fits] == prompt[fits]).all()
