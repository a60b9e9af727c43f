"""Long contexts beside other policies: instances of their own, which requests go where, and what is refused."""

from collections import Counter

import pytest

from planner.errors import BadInput
from planner.perf.layout import Role
from planner.planning.plan import plan
from planner.resolve.case import Case, open_case
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario
from tests.planner.small import small

LONG = (
    "workload.lengths={prompt: {median_tokens: 500, p95_tokens: 1000}, output: {median_tokens: 20, p95_tokens: 40}, "
    "long: {share_frac: 0.01, prompt: {median_tokens: 60000, p95_tokens: 60000}, "
    "output: {median_tokens: 20, p95_tokens: 40}}}",
    "workload.classes=[{name: short, prompt_max_tokens: 30000}, {name: long, prompt_min_tokens: 30001}]",
    "slo_by_class={short: {ttft_p90_s: 1.0}, long: {ttft_p90_s: 20}}", "slo={tbt_p90_s: 0.1}",
    "workload.duration_s=60", "catalog.machines=[dgx-h100]", "catalog.tp=[2]",
)  # fmt: skip


def asked(*more: str) -> Scenario:
    """A question with a class of 60,000 tokens beside short requests."""
    return small(*LONG, *more)


def carried(case: Case) -> dict[tuple[Role, bool, bool], set[str]]:
    """(role, has groups, under the rules for long contexts) -> classes that such options serve."""
    found: dict[tuple[Role, bool, bool], set[str]] = {}
    for option in case.options:
        at = option.spec.role, option.spec.layout.kvp > 1, option.spec.name in case.beside
        found.setdefault(at, set()).update(option.envelopes)
    return found


def test_splitwise_offers_long_contexts_instances_of_their_own() -> None:
    """Beside prefill and decode pools instances of both phases, with stages and groups, serve the long class alone."""
    case = open_case(asked("policy.name=splitwise", "catalog.pp=[1, 2]", "catalog.kvp=[1, 2]"), "splitwise")
    beside = {key: names for key, names in carried(case).items() if key[2]}
    assert beside == {(Role.MIXED, False, True): {"long"}, (Role.MIXED, True, True): {"long"}}
    assert all("short" in carried(case)[role, False, False] for role in (Role.PREFILL, Role.DECODE))
    assert {o.spec.layout.pp for o in case.options if o.spec.name in case.beside} == {1, 2}


@pytest.mark.parametrize("name", ["colocated", "sarathi"])
def test_groups_tell_long_contexts_apart_where_roles_do_not(name: str) -> None:
    """Where all instances do both phases those with KV groups serve the long class, the others whom they served."""
    plain = carried(open_case(asked(f"policy.name={name}"), name))
    case = open_case(asked(f"policy.name={name}", "catalog.kvp=[1, 2]"), name)
    assert carried(case) == {**plain, (Role.MIXED, True, True): {"long"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("policy.name=splitwise", "policy.long_from_tokens=70000"), "no class has a median prompt of"),
        (("policy.name=sarathi", "policy.long_apart=false"), "only mnemosyne serves all requests on them"),
        (("policy.name=splitwise-sim",), "splitwise serves long contexts beside its pools"),
    ],
)
def test_groups_that_nothing_uses_are_refused(change: tuple[str, ...], words: str) -> None:
    """KV groups without long contexts, or under rules that have none: refused by key, with what can."""
    with pytest.raises(BadInput, match=r"catalog\.kvp: found \[2\]; expected \[1\]") as raised:
        open_case(asked("catalog.kvp=[2]", *change), change[0].partition("=")[2])
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        ("policy.mixed_pool=true", "catalog.kvp=[2]"),
        pytest.param(("catalog.kvp=[1, 2]", "catalog.pp=[1, 2]"), marks=pytest.mark.slow),
        pytest.param((), marks=pytest.mark.slow),
    ],
)
def test_a_plan_of_pools_with_long_contexts_beside_is_validated(change: tuple[str, ...]) -> None:
    """One plan has prefill, decode and long-context pools; every request ends, each on a pool that serves its class."""
    question = asked("policy.name=splitwise", "policy.chunked_prefill=true", *change)
    found = plan(question, progress=lambda *_: None)
    assert isinstance(found, ValidatedPlan)
    rates: Counter[str] = Counter()
    for pool in found.candidate.pools:
        if pool.spec.role is not Role.DECODE:
            rates.update(pool.rate_req_per_s)
        assert pool.spec.role is not Role.MIXED or set(pool.rate_req_per_s) == {"long"}
    asked_for = {c.request_class.name: c.rate_req_per_s for c in open_case(question, "splitwise").asked.demand.classes}
    assert rates == pytest.approx(asked_for, rel=1e-6)
    assert found.judgement.finished == found.judgement.arrived
