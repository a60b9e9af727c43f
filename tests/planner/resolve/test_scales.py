"""Rules of the factors on lengths and prices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.resolve.case import open_case
from planner.resolve.workload import asked
from tests.planner.small import small
from tests.planner.toy import random_trace
from workloads.traces import scale_lengths


@given(st.floats(0.01, 10), st.floats(0.01, 10))
def test_scaled_lengths_are_whole_and_keep_their_order(prompt_scale: float, output_scale: float) -> None:
    """A longer prompt stays the longer one, every length is a whole number above 0, and arrivals stay."""
    trace = random_trace(1, 50, 5.0)
    scaled = scale_lengths(trace, prompt_scale, output_scale)
    order = np.argsort(trace.prompt_tokens, kind="stable")
    assert (np.diff(scaled.prompt_tokens[order]) >= 0).all()
    assert min(scaled.prompt_tokens.min(), scaled.output_tokens.min()) >= 1
    assert np.abs(scaled.output_tokens - trace.output_tokens * output_scale).max() <= 1
    assert (scaled.arrival_s == trace.arrival_s).all()


def test_a_factor_of_one_changes_nothing() -> None:
    """Scaled by one, a trace is itself."""
    trace = random_trace(1, 5, 5.0)
    assert scale_lengths(trace, 1.0, 1.0) is trace


def test_scaled_workloads_say_so() -> None:
    """Longer prompts reach demand and traces alike, and the workload's words name the factor."""
    plain, longer = asked(small()), asked(small("workload.prompt_scale=3"))
    of_plain, of_longer = (np.concatenate([c.prompt_tokens for c in a.demand.classes]) for a in (plain, longer))
    assert of_longer.mean() == pytest.approx(3 * of_plain.mean(), rel=1e-3)
    drawn, scaled = (a.traces(1.0, [1])[0] for a in (plain, longer))
    assert (scaled.prompt_tokens == 3 * drawn.prompt_tokens).all()
    assert (scaled.output_tokens == drawn.output_tokens).all()
    assert longer.words.endswith(", prompts 3 times as long")


def test_a_scaled_price_is_paid() -> None:
    """The factor on a machine's price is what the optimiser pays, and other machines keep theirs."""
    plain, dear = (
        {o.spec.machine: o.price_usd_per_h for o in open_case(each, "colocated").options}
        for each in (small(), small("catalog.price_scale={dgx-h100: 2.5}"))
    )
    assert dear["dgx-h100"] == pytest.approx(2.5 * plain["dgx-h100"])
    assert dear["dgx-a100"] == plain["dgx-a100"]


def test_prices_of_strangers_are_refused() -> None:
    """A factor on a machine that the scenario does not list is bad input, and so is one of 0."""
    with pytest.raises(BadInput, match="only machine types that"):
        small("catalog.price_scale={dgx-b200: 2}")
    with pytest.raises(BadInput, match="greater than 0"):
        small("catalog.price_scale={dgx-h100: 0}")
