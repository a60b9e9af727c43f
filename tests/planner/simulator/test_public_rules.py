"""The rules of Splitwise's public simulator: what a request gets under them, worked out by hand, and what is kept."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.splitwise_points import points
from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.perf.published import LINK_BYTES_PER_S
from planner.planning.plan import simulation
from planner.policies.base import Policy
from planner.reproduce.readings import AS_PUBLISHED, Reading, reading
from planner.scenario.designs import A100, H100
from planner.simulator import reference
from planner.simulator.books import window
from planner.simulator.core.run import run as core
from planner.simulator.pools import Events, Failure, PoolModel, Run
from planner.simulator.serve import serve
from tests.planner.plans import candidate, scenario
from workloads.traces import Trace, plain_trace

DATA = Path(__file__).parents[4] / "shared" / "data" / "splitwise_points"
Rows = list[tuple[float, int, int]]


@pytest.fixture(scope="module")
def published() -> Reading:
    """BLOOM-176B as the public simulator prices it."""
    return reading(AS_PUBLISHED, "bloom-176b", (A100, H100))


def trace(rows: Rows) -> Trace:
    """Requests (arrival, prompt tokens, output tokens)."""
    at, prompts, outputs = (np.array(column) for column in zip(*rows, strict=True))
    return plain_trace("by hand", at.astype(float), prompts, outputs, duration_s=float(at[-1]) + 1.0)


def pool(role: Role, physics: InstancePhysics, instances: int) -> PoolModel:
    """Machines of one kind."""
    return PoolModel(
        name=role.value, role=role, physics=physics, instances=instances, speed=1.0, classes=frozenset({0})
    )


def split(reading: Reading, prompts: int, tokens: int, held: int = 0) -> tuple[list[PoolModel], Policy]:
    """Prompt and token machines, with memory for so many tokens if that is said, and how they serve."""
    physics = reading.physics[H100]
    physics = replace(physics, kv_blocks=held) if held else physics
    return [pool(Role.PREFILL, physics, prompts), pool(Role.DECODE, physics, tokens)], reading.split


def colocated(reading: Reading, machines: int) -> tuple[list[PoolModel], Policy]:
    """A baseline, and how it serves."""
    return [pool(Role.MIXED, reading.physics[H100], machines)], reading.colocated


def served(cluster: tuple[list[PoolModel], Policy], rows: Rows, *, interpreted: bool = False) -> Run:
    """Serve the requests to their ends."""
    what = trace(rows)
    measured = window(what, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    return core(*cluster, what, measured, cutoff_s=1e7, interpreted=interpreted)


def prompt_s(reading: Reading, tokens: int) -> float:
    """The prompt column."""
    return reading.physics[H100].step.prefill_s([(tokens, 0)])


def token_s(reading: Reading, batch: int) -> float:
    """The token column."""
    return reading.physics[H100].step.decode_s(batch, 100.0)


def test_a_lone_request_computes_travels_and_decodes(published: Reading) -> None:
    """TTFT is the prompt column; then come the KV cache at 200 GiB/s and a step of one token for each further token."""
    found = served(split(published, 1, 1), [(0.0, 1000, 11)]).ledger
    wire_s = 1000 * published.physics[H100].kv_bytes_per_token / LINK_BYTES_PER_S
    assert found.ttft_s[0] == pytest.approx(prompt_s(published, 1000), rel=1e-12)
    assert found.e2e_s[0] == pytest.approx(prompt_s(published, 1000) + wire_s + 10 * token_s(published, 1), rel=1e-12)


def test_a_prompt_joins_at_the_next_step_and_shares_it(published: Reading) -> None:
    """A run of decodes ends at the next step for a prompt; the step that both share takes 1.1 prompts of all tokens."""
    first_s, step_s = prompt_s(published, 500), token_s(published, 1)
    at = first_s + 3.5 * step_s
    found = served(colocated(published, 1), [(0.0, 500, 40), (at, 700, 2)]).ledger
    shared_s = 1.1 * prompt_s(published, 701)
    assert found.ttft_s[1] == pytest.approx(0.5 * step_s + shared_s, rel=1e-9)
    both_s = token_s(published, 2)
    assert found.e2e_s[0] == pytest.approx(first_s + 4 * step_s + shared_s + both_s + 33 * step_s, rel=1e-9)


def test_a_prompt_of_all_tokens_of_a_step_leaves_decodes_out(published: Reading) -> None:
    """2,048 prompt tokens fill a step: the decode beside is left out of it, and its longest gap is that step more."""
    first_s, step_s = prompt_s(published, 500), token_s(published, 1)
    found = served(colocated(published, 1), [(0.0, 500, 40), (first_s + 0.5 * step_s, 2048, 2)]).ledger
    assert found.ttft_s[1] == pytest.approx(0.5 * step_s + prompt_s(published, 2048), rel=1e-9)
    assert found.max_gap_s[0] == pytest.approx(prompt_s(published, 2048) + token_s(published, 2), rel=1e-9)


def test_a_decode_goes_to_the_least_reserved_memory(published: Reading) -> None:
    """Token machines are chosen by the memory promised to those sent there, though they wait for it yet."""
    rows = [(0.0, 4000, 900), (0.001, 100, 10), (0.002, 100, 10)]
    found = served(split(published, 3, 2), rows).ledger
    assert found.served_by[:, 1].tolist() == [3, 4, 4]


def test_a_prompt_beyond_the_threshold_borrows_a_token_machine(published: Reading) -> None:
    """A prompt machine with a queue takes no prompt beyond 8,192 pending tokens: a token machine computes it, and the
    decode of that prompt still goes to the token pool, which has none left, so to the mixed pool.
    """
    rows = [(0.0, 5000, 5), (0.01, 3000, 5), (0.02, 3000, 5)]
    found = served(split(published, 1, 1), rows)
    assert found.ledger.served_by.tolist() == [[0, 1], [0, 1], [1, 1]]
    assert found.borrowed == 0  # it went home when it held no request


REQUESTS = st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 6000), st.integers(1, 400)), min_size=1, max_size=60)


@settings(max_examples=40)
@given(rows=REQUESTS, prompts=st.integers(1, 3), tokens=st.integers(0, 3), held=st.sampled_from([0, 7000]))
def test_nothing_is_lost(published: Reading, rows: Rows, prompts: int, tokens: int, held: int) -> None:
    """Every request ends, no earlier than alone; all memory is free then, and no instance is lent."""
    rows = sorted(rows)
    cluster = split(published, prompts, tokens, held) if tokens else colocated(published, prompts)
    found = served(cluster, rows, interpreted=True)
    assert found.ledger.finished == len(rows)
    assert (found.waiting, found.running, found.borrowed) == (0, 0, 0)
    assert found.kv_free_blocks == found.kv_total_blocks
    for row, (_, prompt, output) in enumerate(rows):
        assert found.ledger.ttft_s[row] >= prompt_s(published, prompt) * (1 - 1e-12)
        assert found.ledger.e2e_s[row] >= found.ledger.ttft_s[row] + (output - 1) * token_s(published, 1) * (1 - 1e-9)


@settings(max_examples=25)
@given(rows=REQUESTS, prompts=st.integers(1, 3), tokens=st.integers(0, 3))
def test_compiled_is_interpreted(published: Reading, rows: Rows, prompts: int, tokens: int) -> None:
    """Compiled and interpreted, every first token and every end is the same to the last bit."""
    cluster = split(published, prompts, tokens) if tokens else colocated(published, prompts)
    one, other = (served(cluster, sorted(rows), interpreted=interpreted) for interpreted in (False, True))
    for a, b in ((one.ledger.ttft_s, other.ledger.ttft_s), (one.ledger.e2e_s, other.ledger.e2e_s)):
        assert a.tolist() == b.tolist()


def test_what_the_rules_leave_open_is_refused(published: Reading) -> None:
    """A failure, or a prefix cache, under these rules is an error that names both."""
    what = trace([(0.0, 100, 5)])
    measured = window(what, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    pools, policy = split(published, 1, 1)
    with pytest.raises(TypeError, match="LeastReserved does not go with failures"):
        serve(pools, policy, what, measured, cutoff_s=10.0, beside=Events(failures=[Failure(machine=0, at_s=1.0)]))
    cached = replace(what, cached_tokens=np.array([10]))
    with pytest.raises(BadInput, match="the reference knows the shortest queue"):
        reference.serve(pools, policy, what, measured, cutoff_s=10.0)
    with pytest.raises(TypeError, match="prefix cache"):
        serve(pools, policy, cached, measured, cutoff_s=10.0)


def test_points_of_the_public_simulator_are_met() -> None:
    """Every published point kept: all nine percentiles within 0.1 % and the same verdict of the nine objectives."""
    if not DATA.exists():
        pytest.skip("no shared data beside the checkout: points of the public simulator are NOT compared")
    with (DATA / "points.csv").open() as text:
        kept = len(list(csv.DictReader(text)))
    found = points(DATA / "points.csv", DATA / "traces", AS_PUBLISHED)
    assert len(found) == kept
    assert all(p.same_verdict for p in found)
    assert max(max(p.errors) for p in found) < 1e-3


def test_the_reference_says_what_it_does_not_know() -> None:
    """A plan under these rules, asked of the reference, is bad input that names the option."""
    made = replace(candidate(), policy="splitwise-sim")
    with pytest.raises(BadInput, match="--engine reference"):
        simulation(scenario(), made, progress=lambda *_: None, stepwise=True)
