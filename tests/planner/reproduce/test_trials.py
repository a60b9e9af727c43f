"""Rules of trials: draws, verdicts that are found early, machines that change nothing, and time at active tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.reproduce.designs import Cluster, cluster
from planner.reproduce.lab import CODING, CONVERSATION
from planner.reproduce.occupancy import occupancy
from planner.reproduce.readings import AS_MEASURED, AS_PUBLISHED, Reading
from planner.reproduce.trial import SLOWDOWNS, Bench, Draw, alone_with, at_rate, draw, unused
from planner.scenario.designs import A100, DESIGNS
from planner.simulator.pools import Stops
from workloads.traces import plain_trace

SHORT_S, REQUESTS = 40.0, 3000


@pytest.fixture(scope="module")
def drawn(published: Reading, measured: Reading) -> dict[tuple[str, str], tuple[Reading, Draw]]:
    both = (published, measured)
    return {(r.name, w): (r, draw(w, r.alone, requests=REQUESTS)) for r in both for w in (CODING, CONVERSATION)}


def test_draws_share_their_requests(published: Reading) -> None:
    """At every rate the same requests come in the same order, and prompts say nothing about outputs."""
    drawn = draw(CONVERSATION, published.alone, requests=20_000)
    slow, fast = at_rate(drawn, 5.0, 60.0), at_rate(drawn, 50.0, 60.0)
    assert np.array_equal(slow.prompt_tokens, fast.prompt_tokens[: len(slow)])
    assert np.allclose(slow.arrival_s, 10 * fast.arrival_s[: len(slow)])
    ranks = [np.argsort(np.argsort(x)) for x in (drawn.trace.prompt_tokens, drawn.trace.output_tokens)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.03  # four deviations of 20,000 independent pairs


def test_a_lone_request_is_never_slow(measured: Reading) -> None:
    """On idle DGX-A100s the nine objectives hold, for every request is as good as alone; overloaded they do not."""
    bench = Bench(measured, draw(CODING, measured.alone))
    many = cluster("Baseline-A100", 12)
    idle = bench.slowdowns(many, 0.5, 60.0)
    assert idle["ttft"][0] == pytest.approx(1.0, abs=0.01)
    assert all((idle[key] < limits).all() for key, limits in SLOWDOWNS.items())
    assert bench.holds(many, 0.5)
    assert not bench.holds(many, 60.0)


some_clusters = st.builds(
    lambda made, p, t: Cluster(design=made, prompt_machines=p, token_machines=t if made.token_machine else 0),
    st.sampled_from(DESIGNS), st.integers(1, 24), st.integers(1, 16),
)  # fmt: skip
some_draws = st.tuples(st.sampled_from([AS_PUBLISHED, AS_MEASURED]), st.sampled_from([CODING, CONVERSATION]))


@given(which=some_draws, one=some_clusters, rate=st.floats(2.0, 25.0))
def test_a_verdict_is_that_of_the_nine_quantiles(
    drawn: dict[tuple[str, str], tuple[Reading, Draw]], which: tuple[str, str], one: Cluster, rate: float
) -> None:
    """However early a trial ends, its verdict is that of all nine quantiles of the whole run."""
    bench = Bench(*drawn[which], duration_s=SHORT_S)
    found = bench.slowdowns(one, rate, SHORT_S)
    assert bench.holds(one, rate) == all((found[key] < limits).all() for key, limits in SLOWDOWNS.items())


@given(which=some_draws, one=some_clusters, rate=st.floats(2.0, 25.0))
def test_a_machine_that_served_nothing_changes_nothing(
    drawn: dict[tuple[str, str], tuple[Reading, Draw]], which: tuple[str, str], one: Cluster, rate: float
) -> None:
    """Without the machines that are called unused every request has the very same times."""
    bench = Bench(*drawn[which], duration_s=SHORT_S)
    trace = at_rate(bench.drawn, rate, SHORT_S)
    run = bench.serve(one, trace, cutoff_s=2 * SHORT_S)
    p, t = unused(one, run)
    fewer = Cluster(design=one.design, prompt_machines=one.prompt_machines - p, token_machines=one.token_machines - t)
    again = bench.serve(fewer, trace, cutoff_s=2 * SHORT_S)
    assert run.ledger.ttft_s.tolist() == again.ledger.ttft_s.tolist()
    assert run.ledger.e2e_s.tolist() == again.ledger.e2e_s.tolist()


def test_machines_of_a_large_cluster_stay_unused(drawn: dict[tuple[str, str], tuple[Reading, Draw]]) -> None:
    """Requests go to the first of idle machines, so those beyond the most that are ever busy at once are unused."""
    for which in ((AS_PUBLISHED, CONVERSATION), (AS_MEASURED, CODING)):
        bench, large = Bench(*drawn[which], duration_s=SHORT_S), cluster("Splitwise-HH", 40, 30)
        run = bench.serve(large, at_rate(bench.drawn, 5.0, SHORT_S), cutoff_s=2 * SHORT_S)
        assert unused(large, run)[0] > 20
        overloaded = bench.serve(large, at_rate(bench.drawn, 70.0, SHORT_S), cutoff_s=5.0)
        assert unused(large, overloaded) == (0, 0)  # not all have ended, so who serves the rest is not known


@given(which=some_draws, one=some_clusters, at=st.lists(st.floats(0.1, 50.0), min_size=1, max_size=4).map(sorted))
def test_a_run_that_is_asked_goes_on_as_it_would(
    drawn: dict[tuple[str, str], tuple[Reading, Draw]], which: tuple[str, str], one: Cluster, at: list[float]
) -> None:
    """Asking a run whether it is over changes nothing; where it is over, it knows what a run cut off then knows."""
    bench = Bench(*drawn[which], duration_s=SHORT_S)
    trace = at_rate(bench.drawn, 12.0, SHORT_S)
    whole = bench.serve(one, trace, cutoff_s=60.0)
    asked = bench.serve(one, trace, cutoff_s=60.0, stops=Stops(at_s=at, over=lambda *_: False))
    assert whole.ledger.e2e_s.tolist() == asked.ledger.e2e_s.tolist()
    assert (whole.waiting, whole.running, whole.end_s) == (asked.waiting, asked.running, asked.end_s)
    ended = bench.serve(one, trace, cutoff_s=60.0, stops=Stops(at_s=at, over=lambda *_: True))
    cut = bench.serve(one, trace, cutoff_s=at[0])
    assert ended.end_s == at[0]
    assert cut.ledger.ttft_s.tolist() == ended.ledger.ttft_s.tolist()


def test_time_at_active_tokens_is_that_of_the_steps(published: Reading) -> None:
    """Of two requests at one machine, prompts take their steps, decodes a token each, and what is left is idle."""
    trace = plain_trace("two", np.array([1.0, 2.0]), np.array([1500, 700]), np.array([41, 21]), duration_s=10.0)
    bench = Bench(published, alone_with(trace, published.alone))
    upto = (0.0, 1.0, 2.0, 699.0, 701.0, 1500.0)
    found = occupancy(bench, cluster("Baseline-A100", 1), 1.0, 10.0, upto)["machines"]
    step = published.physics[A100].step
    first_s, second_s = step.prefill_s([(1500, 0)]), step.prefill_s([(700, 0)], 1, 1500)
    shares = np.diff([0.0, *found]) * 10.0
    assert found[-1] == pytest.approx(1.0)
    assert shares[3:].tolist() == pytest.approx([0.0, second_s, first_s])
    ends_s = trace.arrival_s + bench.serve(cluster("Baseline-A100", 1), trace, cutoff_s=60.0).ledger.e2e_s
    assert shares[0] == pytest.approx(10.0 - (ends_s.max() - 1.0))
    assert shares[2] == pytest.approx(20 * step.decode_s(2, 1000), rel=0.05)


def test_borrowed_time_counts_where_a_machine_belongs(published: Reading) -> None:
    """A split cluster has prompt and token machines: prompts run on the first alone while none is borrowed."""
    bench = Bench(published, draw(CONVERSATION, published.alone, requests=500))
    found = occupancy(bench, cluster("Splitwise-AA", 4, 2), 1.0, 60.0, (0.0, 40.0, 1e6))
    assert list(found) == ["prompt machines", "token machines"]
    assert found["token machines"][1] == pytest.approx(1.0)
    assert found["prompt machines"][0] == pytest.approx(found["prompt machines"][1], abs=0.02)
    assert found["prompt machines"][1] < found["prompt machines"][2] == pytest.approx(1.0)
