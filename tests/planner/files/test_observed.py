"""Evidence of a plan file, sealed anew after an edit: what could not have been seen together is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.errors import BadInput
from planner.files.observed import judgement_faults
from planner.files.plan_file import bound_text, plan_text, read_plan
from planner.results.use import PowerUse
from tests.planner import plans

Edit = Callable[[dict[str, Any]], object]


def resealed(path: Path, edit: Edit) -> Path:
    """The hand-made plan after an edit of its judgement, every digest made anew as a forger would."""
    asked = plans.scenario()
    data = json.loads(plan_text(asked, plans.plan(), plans.digests(asked)))
    edit(data["plan"]["judgement"])
    kept = {key: value for key, value in data.items() if key not in ("content_sha256", "evidence_sha256")}
    path.write_text(bound_text(kept), encoding="utf-8")
    return path


def _seen(place: int, **what: object) -> Edit:
    return lambda judgement: judgement["evidence"][place].update(what)


def _told(**what: object) -> Edit:
    return lambda judgement: judgement["latency_s"].update(what)


def _said(**what: object) -> Edit:
    return lambda judgement: judgement.update(what)


def _used(**what: object) -> Edit:
    return lambda judgement: judgement["pools"][0].update(what)


def test_what_was_simulated_is_read(tmp_path: Path) -> None:
    """Without an edit nothing contradicts."""
    assert read_plan(resealed(tmp_path / "p.json", lambda _: None)).sealed


@pytest.mark.parametrize(("edit", "words"), [
    (_said(finished=9000), "expected 7,213 in all"), (_said(arrived=100), "expected 100 in all"),
    (_said(seeds=[1, 1, 3]), "seeds"), (_said(seeds=[]), "seeds"), (_said(horizon_s=10.0), "horizon_s"),
    (_said(longer_missed=["ttft_p99_s"]), "steady"), (_said(attainment_frac=1.2), "attainment_frac"),
    (_said(goodput_req_per_s=400.0), "expected at most"), (_said(good_output_tokens_per_s=1e6), "the tokens of all"),
    (_seen(0, measured=0.2), "expected one that holds it"), (_seen(0, measured=0.6), "expected one that holds it"),
    (_seen(0, low=0.5), "expected one that holds it"), (_seen(0, n=0), "found n 0"), (_seen(0, n=9000), "found n 9000"),
    (_told(ttft_p50_s=5.0), "found p50 5 above p90"), (_told(e2e_p99_s=1.0), "above p99"),
    (_told(ttft_p50_s=0.1, e2e_p50_s=0.05), "expected the first no later"),
    (_told(ttft_p99_s=0.5), "as in the evidence"),
    (_used(pool="decode/dgx-h100/tp8"), "the pools of the plan"), (_used(busy_frac=1.5), "a share of at most 1"),
    (_used(kv_mean_frac=0.9), "above the peak"), (lambda judgement: judgement["pools"].pop(), "the pools of the plan"),
])  # fmt: skip
def test_what_was_not_seen_together_is_refused(tmp_path: Path, edit: Edit, words: str) -> None:
    """Counts, percentiles, intervals, rates and shares follow from one run: a figure that cannot is named."""
    with pytest.raises(BadInput) as refused:
        read_plan(resealed(tmp_path / "p.json", edit), edited_too=True)
    assert words in str(refused.value)


@pytest.mark.parametrize(("edit", "words"), [
    (lambda plan: plan["candidate"]["pools"][0]["spec"]["layout"].update(pp=0), "layout.pp: found 0"),
    (lambda plan: plan["judgement"].update(transfer_mean_s=1e18), "expected a number up to 1e+17"),
    (lambda plan: plan["judgement"].update(restarted=10**400), "expected a number up to 1e+17"),
    (lambda plan: plan["judgement"].update(link_wait_mean_s=-(10**400)), "expected a number >= 0"),
])  # fmt: skip
def test_numbers_that_no_plan_has_are_refused(tmp_path: Path, edit: Edit, words: str) -> None:
    """Stages from one on, and no number beyond all scale, however many digits it has."""
    asked = plans.scenario()
    data = json.loads(plan_text(asked, plans.plan(), plans.digests(asked)))
    edit(data["plan"])
    path = tmp_path / "p.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BadInput) as refused:
        read_plan(path, edited_too=True)
    assert words in str(refused.value)


WATTS = PowerUse(
    mean_w=900.0, p50_w=880.0, p95_w=990.0, p99_w=1000.0, peak_w=1010.0, standby_w=500.0, prefill_w=250.0,
    decode_w=150.0,
)  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), [
    ({}, ""), ({"mean_w": 1800.0}, "its parts together"), ({"p50_w": 995.0}, "found p50 995 above p95"),
    ({"peak_w": 700.0}, "above the peak"), ({"standby_w": 600.0, "mean_w": 1000.0}, "the sum of 2 pools"),
])  # fmt: skip
def test_watts_of_pools_add_up(changes: dict[str, float], words: str) -> None:
    """What all pools draw is the sum of what each draws, a mean is the sum of its parts and below the peak."""
    half = replace(WATTS, **{key: value / 2 for key, value in vars_of(WATTS).items()})
    judgement = plans.judgement()
    pools = tuple(replace(use, power=half) for use in judgement.pools)
    whole = replace(judgement, pools=pools, power=replace(WATTS, **changes))
    found = list(judgement_faults(whole, [use.pool for use in pools], "judgement"))
    assert bool(found) is bool(words)
    assert words in "\n".join(found)


def vars_of(use: PowerUse) -> dict[str, float]:
    """Its figures by name."""
    return {name: getattr(use, name) for name in PowerUse.__slots__}
