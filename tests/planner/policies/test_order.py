"""Rules of the order of prompts: a short one is not stuck behind a long one, equals are served as they come."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.policies.base import Policy
from planner.policies.order import ARRIVAL, ORDERS, SLACK, Order
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import window
from planner.simulator.pools import Run
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_trace
from workloads.requests import RequestClass
from workloads.traces import Trace, classify

CLASSES = (RequestClass(name="short", prompt_max_tokens=1000), RequestClass(name="long", prompt_min_tokens=1001))
CHUNK = 512


def lars(policy: Policy, **limits_s: float) -> Policy:
    """The same with prompts in order of relative slack."""
    return replace(policy, order=Order(rule=SLACK, limits_s=limits_s))


def served(
    trace: Trace, policy: Policy, *, kv_blocks: int = 10_000, chunk: int | None = CHUNK, steps: int = 1 << 60
) -> Run:
    """One instance that cuts prompts into chunks serves a trace of two classes."""
    pools = toy_pools("sarathi", prefills=1, decodes=0, physics=toy_physics(kv_blocks=kv_blocks), chunk_tokens=chunk)
    pools = [replace(pool, classes=frozenset({0, 1})) for pool in pools]
    trace = classify(trace, CLASSES)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    return run(pools, policy, trace, measured, cutoff_s=1e5, max_run_steps=steps)


PLAIN = toy_policy("sarathi")


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000), prompt=st.integers(1, 3000), rate=st.sampled_from([2.0, 8.0, 40.0]),
    chunk=st.sampled_from([64, 512, None]), promised=st.booleans(),
)  # fmt: skip
def test_equals_are_served_as_they_come(
    seed: int, prompt: int, rate: float, chunk: int | None, *, promised: bool
) -> None:
    """With prompts of one length and one promise, relative slack is order of arrival, request by request."""
    trace = random_trace(seed, 60, rate)
    trace = replace(trace, prompt_tokens=np.full(60, prompt))
    rules = lars(PLAIN, **({"short": 1.0, "long": 1.0} if promised else {}))
    one, other = (served(trace, policy, chunk=chunk).ledger for policy in (PLAIN, rules))
    assert np.allclose(one.ttft_s, other.ttft_s, rtol=1e-9)
    assert np.allclose(one.e2e_s, other.e2e_s, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000), rate=st.sampled_from([4.0, 40.0]), kv_blocks=st.sampled_from([400, 700, 10_000]),
    chunk=st.sampled_from([64, 512, None]), rule=st.sampled_from(sorted(ORDERS.values(), reverse=True)),
)  # fmt: skip
def test_every_request_is_served_once(seed: int, rate: float, kv_blocks: int, chunk: int | None, rule: int) -> None:
    """Under every order every request ends and all memory comes back; runs of steps change nothing."""
    trace = random_trace(seed, 60, rate, prompt_max=4000)
    rules = replace(PLAIN, order=Order(rule=rule, limits_s={"short": 0.5, "long": 20.0}))
    done = served(trace, rules, kv_blocks=kv_blocks, chunk=chunk)
    assert done.ledger.finished == 60
    assert done.kv_free_blocks == done.kv_total_blocks
    stepwise = served(trace, rules, kv_blocks=kv_blocks, chunk=chunk, steps=1)
    assert np.allclose(done.ledger.e2e_s, stepwise.ledger.e2e_s, rtol=1e-9)


def behind_a_giant(policy: Policy, shorts: int, gap_s: float) -> tuple[np.ndarray, float]:
    """First-token times of short prompts that come while a giant is computed, and of the giant."""
    arrivals = [0.0, *(0.5 + gap_s * i for i in range(shorts))]
    trace = toy_trace(arrivals, [100_000, *[200] * shorts], [5] * (shorts + 1))
    ttft_s = served(trace, policy).ledger.ttft_s
    return ttft_s[1:], float(ttft_s[0])


def test_a_giant_holds_short_ones_up_by_chunks() -> None:
    """Behind a giant a short prompt has its first token by when it is due, and waits for all of it in order of arrival.

    It may use up what it was promised but for its own work and two steps; the giant ends later by no more than what
    passes it.
    """
    chunk_s = toy_physics().step.prefill_s([(CHUNK, 100_000)], 64, 10_000)
    within, giant_s = behind_a_giant(lars(PLAIN, short=1.0, long=60.0), 12, 1.0)
    stuck, alone_s = behind_a_giant(PLAIN, 12, 1.0)
    assert within.max() <= 1.0
    assert within.min() >= 1.0 - 4 * chunk_s
    assert stuck.max() > 10.0
    own_s = 12 * toy_physics().step.prefill_s([(200, 0)])
    assert giant_s <= alone_s + own_s + 12 * chunk_s


@given(limit=st.floats(0.2, 5.0))
@settings(max_examples=10, deadline=None)
def test_a_tighter_promise_waits_less(limit: float) -> None:
    """Short prompts that are due sooner have their first tokens no later, behind the same giant."""
    soon, late = (behind_a_giant(lars(PLAIN, short=s, long=60.0), 5, 1.0)[0].max() for s in (limit, 2 * limit))
    assert soon <= late + 1e-9


def test_a_full_memory_is_no_deadlock() -> None:
    """A short prompt for which no memory is left waits for the giant that holds it, and the giant goes on."""
    trace = toy_trace([0.0, 0.1, 0.1], [6000, 900, 900], [20, 20, 20])
    done = served(trace, lars(PLAIN, short=0.01, long=1000.0), kv_blocks=380)
    assert done.ledger.finished == 3


def test_mnemosyne_alone_asks_for_relative_slack_by_itself() -> None:
    """Only the preset whose authors use it orders prompts by relative slack unasked."""
    assert toy_policy("mnemosyne").order.rule == SLACK
    assert toy_policy("mnemosyne", order="fifo").order.rule == ARRIVAL
    assert toy_policy("sarathi").order.rule == ARRIVAL
    assert toy_policy("sarathi", order="lars").order.rule == SLACK


def test_a_scenario_may_name_every_order_that_is_served() -> None:
    """``policy.order`` takes the names of all orders and no other; a rule without a name is refused."""
    with pytest.raises(ValidationError) as found:
        PolicySection(order="none")  # type: ignore[arg-type]
    assert set(re.findall(r"'(\w+)'", found.value.errors()[0]["ctx"]["expected"])) == set(ORDERS)
    with pytest.raises(ValueError, match="order: rule 99, expected one of"):
        Order(rule=99)
