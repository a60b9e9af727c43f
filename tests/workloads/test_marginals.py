"""Rules of marginals: a trace's own lengths, each drawn on its own."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import WorkloadError
from workloads.marginals import Counted, load_marginals, marginals_json, marginals_of
from workloads.traces import Trace, plain_trace

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=40)


@given(prompts=lengths, seed=st.integers(0, 9))
def test_draws_are_lengths_of_the_trace_as_often_as_it_has_them(prompts: list[int], seed: int) -> None:
    """Every length that is drawn is one of the trace, and its share is that of the trace."""
    n, many = len(prompts), 4000
    trace = plain_trace("x", np.arange(n) * 1.0, np.array(prompts), np.array(prompts), duration_s=float(n))
    found = marginals_of(trace, "a test").prompts
    sample = found.sample(many, np.random.default_rng(seed))
    assert set(sample.tolist()) <= set(prompts)
    for tokens in set(prompts):
        share = prompts.count(tokens) / n
        # six deviations of a share
        assert np.mean(sample == tokens) == pytest.approx(share, abs=6 * (share * (1 - share) / many) ** 0.5 + 1e-9)


def same(one: Counted, other: Counted) -> bool:
    return np.array_equal(one.tokens, other.tokens) and np.array_equal(one.requests, other.requests)


@pytest.mark.parametrize("name", ["azure-code-2023", "azure-conv-2023"])
def test_what_ships_is_the_public_trace(name: str, request: pytest.FixtureRequest) -> None:
    """The marginals that ship are those of the trace they name, to the request, and say whose it is."""
    shipped = load_marginals(name)
    trace: Trace = request.getfixturevalue(name.rsplit("-", 1)[0].replace("-", "_"))
    counted = marginals_of(trace, shipped.source)
    assert same(shipped.prompts, counted.prompts)
    assert same(shipped.outputs, counted.outputs)
    assert "CC BY 4.0" in shipped.source


def test_the_shipped_form_holds_them() -> None:
    """What is written is read again."""
    found = load_marginals("azure-code-2023")
    data = json.loads(marginals_json(found))
    assert sum(data["prompts"][1]) == sum(data["outputs"][1]) == 8819
    assert data["prompts"][0] == found.prompts.tokens.tolist()


def test_others_have_none() -> None:
    """A workload without marginals is named."""
    with pytest.raises(WorkloadError, match="'mooncake'"):
        load_marginals("mooncake")
