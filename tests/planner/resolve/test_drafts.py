"""Multi-token prediction in a scenario: what steps cost and gain, what stays, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.accuracy.replay import tokens_per_step
from planner.errors import BadInput
from planner.perf.drafting import TOKENS_PER_STEP, Drafting, steps_of
from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.resolve.drafts import draft_words, drafting_of
from planner.resolve.inputs import read_inputs
from planner.simulator.books import window
from planner.simulator.metrics import Observed
from planner.simulator.serve import serve, stepwise
from tests.planner.files.test_manifests import candidate, pool
from tests.planner.files.test_rank_manifests import RELEASES
from tests.planner.resolve.test_rank_layouts import question, split
from tests.planner.toy import toy_physics, toy_policy, toy_pools, toy_profile, toy_trace
from workloads.slo import Metric

DECODE = "decode/gb200-tray/tp1dp8ep8"


def decode_s(case: Case) -> float:
    """Seconds of decode work of a request."""
    option = next(o for o in case.options if o.spec.name == DECODE)
    return option.envelopes["all"].decode_s


@given(outputs=st.lists(st.integers(1, 5000), min_size=1, max_size=20), gained=st.floats(1, 8))
def test_outputs_take_as_many_steps_as_their_tokens_need(outputs: list[int], gained: float) -> None:
    """A request decodes if it did before, and its steps are its tokens over what a step gains, to half a step."""
    steps = steps_of(np.array(outputs), gained)
    for tokens, found in zip(outputs, steps.tolist(), strict=True):
        assert (found > 1) == (tokens > 1)
        assert found <= tokens
        assert found - 1 == pytest.approx((tokens - 1) / gained, abs=0.5) or (tokens > 1 and found == 2)


def test_drafts_are_off_unless_asked_for() -> None:
    """Nothing is drafted by itself: an instance gains a token a step and verifies none."""
    body = split().physics[DECODE]
    assert body.step_tokens == 1
    assert body.step.profile.draft_tokens == 0
    assert drafting_of(question().model) is None


def test_measured_acceptance_is_the_default() -> None:
    """Draft lengths that were measured gain what they gained; a stated share of drafts is taken at its word."""
    for draft, gained in TOKENS_PER_STEP.items():
        found = drafting_of(question(f"model.draft_tokens={draft}").model)
        assert found == Drafting(draft_tokens=draft, step_tokens=gained)
        assert gained == tokens_per_step(draft)  # as replays of measured runs have it
    stated = drafting_of(question("model.draft_tokens=2", "model.acceptance_frac=0.5").model)
    assert stated == Drafting(draft_tokens=2, step_tokens=2.0)
    assert "verifies 2 drafted tokens and gains 2.07 (measured" in next(
        draft_words(question("model.draft_tokens=2").model)
    )


def test_drafts_make_decoding_cheaper_and_rejected_ones_dearer() -> None:
    """A request takes less decode work the more is accepted, and more than without drafts where nothing is."""
    shares = ("1", "0.5", "0")
    work = [decode_s(split("model.draft_tokens=3", f"model.acceptance_frac={share}")) for share in shares]
    assert work == sorted(work)
    assert work[1] < decode_s(split()) < work[2]


def test_tokens_come_as_fast_as_steps_gain_them() -> None:
    """Drafts that cost nothing halve the time a token where a step gains two; first tokens stay where they were."""
    trace = toy_trace([0.0], [100], [101])
    span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
    flat = replace(toy_profile(context_s=0.0), linear_decode_s=np.full(5, 0.02))
    body = toy_physics(profile=flat)
    found = []
    for gained in (1.0, 2.0):
        pools = toy_pools("colocated", prefills=1, decodes=0, physics=replace(body, step_tokens=gained))
        runs = [run(pools, toy_policy("colocated"), trace, span, cutoff_s=1e4) for run in (serve, stepwise)]
        seen = [Observed(trace=trace, ledger=run.ledger) for run in runs]
        assert seen[0].values_s(Metric.E2E) == pytest.approx(seen[1].values_s(Metric.E2E))
        found.append((float(seen[0].values_s(Metric.TTFT)[0]), float(seen[0].values_s(Metric.TPOT)[0])))
    assert found[0][0] == found[1][0]
    assert found[1][1] == pytest.approx(found[0][1] / 2)


@settings(deadline=None)
@given(draft=st.integers(1, 3))
def test_drafts_cost_watts(draft: int) -> None:
    """Tokens that are verified are computed: a step of as many requests draws more joules."""
    plain, more = split().physics[DECODE], split(f"model.draft_tokens={draft}").physics[DECODE]
    terms = [body.power.terms(8) for body in (plain, more)]
    assert [each.verified for each in terms if each] == [1, 1 + draft]
    joules = [body.power.decode_w(64, 1000) * body.step.decode_s(64, 1000) for body in (plain, more)]
    assert joules[0] < joules[1]


def test_memory_holds_what_requests_hold_on_average() -> None:
    """A request is simulated a token a step; memory is smaller by what it would hold beyond that."""
    plain, more = (split(*words).physics[DECODE].kv_blocks for words in ((), ("model.draft_tokens=3",)))
    assert 0.8 * plain < more < plain


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["model.draft_tokens=3", "model.acceptance_frac=1.2"], r"model\.acceptance_frac: found 1\.2"),
        (["model.draft_tokens=3", "model.acceptance_frac=-0.1"], r"model\.acceptance_frac: found -0\.1"),
        (["model.draft_tokens=-1"], r"model\.draft_tokens: found -1"),
        (["model.acceptance_frac=0.5"], r"model\.acceptance_frac: found without drafts"),
        (["model.draft_tokens=5"], r"model\.acceptance_frac: found none; expected the share of 5 drafted tokens"),
        (["model.draft_tokens=1", "catalog.pp=[1,61]"], r"model\.draft_tokens: found 1 beside catalog\.pp"),
    ],
)
def test_what_is_not_known_or_not_simulated_is_refused(words: list[str], found: str) -> None:
    """``check`` names the key: shares outside 0 to 1, lengths without a measurement, what drafts do not go with."""
    with pytest.raises(BadInput, match=found):
        read_inputs(question(*words))


@pytest.mark.parametrize(
    ("engine", "flags"),
    [
        ("vllm", '"num_speculative_tokens": 2'),
        ("sglang", "--speculative-num-steps 2 --speculative-eagle-topk 1 --speculative-num-draft-tokens 3"),
        ("trtllm", '"max_draft_len": 2, "num_nextn_predict_layers": 2'),
    ],
)
def test_manifests_turn_drafts_on(engine: str, flags: str) -> None:
    """Each engine is told the draft length in its own words, and nothing where there is none."""
    from planner.files.workers import deployment
    from tests.planner import plans
    from tests.planner.files.test_manifests import MODEL, served

    plan = candidate(pool(Role.MIXED, 1, 1, tp=8))
    ways = served(plan, engine=engine, engine_version=RELEASES[engine])
    off, on = (
        " ".join(deployment(plan, plans.scenario().changed(words), model=MODEL, served=ways).workers[0].arguments)
        for words in ([], ["model.draft_tokens=2", "model.acceptance_frac=0.5"])
    )
    assert flags in on
    assert "speculative" not in off
