"""Numbers that look like slips of the unit, keys that nobody reads, and how hard a plan works its GPUs."""

import ast
import json
from collections.abc import Iterator
from inspect import getfile
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from planner.errors import BadInput
from planner.planning.plan import check, plan
from planner.resolve.case import open_case
from planner.resolve.workload import LEAST_CLASS_REQ_PER_S
from planner.resolve.workload import asked as drawn
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario import Scenario

CODE = Path(getfile(Scenario)).parents[2]
QUESTION = {
    "schema_version": 1, "name": "plausible", "model": {"name": "llama-3.1-8b", "dtype": "bf16"},
    "workload": {"rate_req_per_s": 5.0, "duration_s": 20, "lengths": {
        "prompt": {"median_tokens": 500, "p95_tokens": 900}, "output": {"median_tokens": 60, "p95_tokens": 90}}},
    "slo": {"ttft_p90_s": 2.0}, "catalog": {"machines": ["dgx-h100"], "tp": [1]}, "policy": {"name": "colocated"},
    "validation": {"seeds": 1},
}  # fmt: skip


def asked(*words: str) -> Scenario:
    return Scenario.model_validate(QUESTION).changed(words)


def quiet(_words: str, _done_frac: float) -> None: ...


def test_a_usual_question_raises_no_doubt_about_units() -> None:
    """Warnings that always come are read by nobody."""
    assert open_case(asked(), "colocated").slips == ()


SLIPS = {
    "slo={ttft_p99_s: 500}": "were 500 ms meant, which are 0.5?",
    "slo={tbt_p99_s: 50}": "were 50 ms meant, which are 0.05?",
    "slo={ttft_p99_s: 0.0005}": "were 0.5 s meant?",
    "slo={tpot_p90_s: 0.00005}": "were 0.05 s meant?",
    "workload.rate_req_per_s=60000": "were 6e+04 a minute meant, which are 1000?",
    "catalog.price_scale={dgx-h100: 730}": "was the price of a month meant",
    "catalog.price_scale={dgx-h100: 0.001}": "is it in dollars",
    "energy.usd_per_kwh=8.71": "were 8.71 cents meant, which are 0.0871?",
    "energy.usd_per_kwh=871": "were 871 $ per MWh meant, which are 0.871?",
    "energy.pue_ratio=120": "were 120 % meant, which are 1.2?",
    "energy.carbon_g_per_kwh=0.38": "were 0.38 kg meant, which are 380?",
}


@pytest.mark.parametrize("word", SLIPS)
def test_a_slip_of_the_unit_is_met_with_a_hint(word: str) -> None:
    """Milliseconds, minutes, kilowatts and months under keys of other units: the sentence names key and what fits."""
    scenario = asked(*(("workload.duration_s=1",) if "rate" in word else ()), word)
    found = open_case(scenario, "colocated").slips
    assert len(found) == 1, found
    assert SLIPS[word] in found[0]


@pytest.mark.parametrize("word", ["budgets.power_w=500", "budgets.expected_power_w=30", "power.row_limit_w=40"])
def test_watts_below_an_idle_machine_are_refused_with_a_hint(word: str) -> None:
    """Kilowatts under a key in watts are impossible, and the refusal says what was probably meant."""
    with pytest.raises(BadInput, match="kW meant"):
        open_case(asked(word), "colocated")


def test_a_budget_of_a_month_is_met_with_a_hint() -> None:
    """A budget per hour beyond the price of every machine that can be had, which it is not per month, gets a hint."""
    fleet = "catalog.available={dgx-h100: 50}"
    for words in ((fleet,), ("budgets.machines=50",)):
        (found,) = open_case(asked("budgets.cost_usd_per_h=100000", *words), "colocated").slips
        assert "was the budget of a month meant, which is 137 $/h?" in found
    assert open_case(asked("budgets.cost_usd_per_h=100000"), "colocated").slips == ()
    assert open_case(asked("budgets.cost_usd_per_h=500", fleet), "colocated").slips == ()


@settings(max_examples=25)  # reads the whole question each time
@given(limit=st.floats(0.05, 100.0), rate=st.floats(0.1, 50.0), scale=st.floats(0.1, 3.0))
def test_plausible_numbers_are_left_alone(limit: float, rate: float, scale: float) -> None:
    """What people usually ask for is met without a remark."""
    changes = (f"slo={{ttft_p99_s: {limit}}}", f"workload.rate_req_per_s={rate}")
    scenario = asked(*changes, f"catalog.price_scale={{dgx-h100: {scale}}}", "workload.duration_s=5")
    assert open_case(scenario, "colocated").slips == ()


def test_a_refusal_hints_at_the_unit_too() -> None:
    """A limit that no option keeps ends as no plan, and the explanation says what unit would fit."""
    answer = plan(asked("slo={ttft_p99_s: 0.0005}"), progress=quiet)
    assert isinstance(answer, NoPlan)
    assert any("were 0.5 s meant?" in line for line in answer.explanation)
    assert any("were 0.5 s meant?" in line for line in check(asked("slo={ttft_p99_s: 0.0005}")).warnings)


@pytest.mark.parametrize("rate", ["1.1574e-05", "1e-9"])
def test_a_request_a_day_is_a_plan_of_one_machine(rate: str) -> None:
    """However rare requests are, a machine carries them, and the plan says at what rate it was simulated."""
    answer = plan(
        asked(f"workload.rate_req_per_s={rate}", "workload.duration_s=null"), progress=quiet, with_margin=False
    )
    assert isinstance(answer, ValidatedPlan)
    assert answer.candidate.totals.machines == 1
    assert any("simulated as 0.01 req/s" in warning for warning in answer.warnings)


def test_every_pool_says_how_hard_it_works_its_gpus() -> None:
    """Tokens of all GPUs together are those of the workload; least work is a share of what the boards can do."""
    answer = plan(asked(), progress=quiet, with_margin=False)
    assert isinstance(answer, ValidatedPlan)
    (peak,) = answer.peaks
    demand = open_case(asked(), "colocated").asked.demand.classes[0]
    assert peak.prompt_tokens_per_s * peak.gpus == pytest.approx(5 * demand.prompt_tokens.mean(), rel=0.02)
    assert peak.output_tokens_per_s * peak.gpus == pytest.approx(5 * demand.output_tokens.mean(), rel=0.02)
    tokens = peak.prompt_tokens_per_s + peak.output_tokens_per_s
    assert peak.flops_frac == pytest.approx(2 * 8.03e9 * tokens / 989e12, rel=0.1)
    assert 0 < peak.hbm_frac < 1


def sections(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from sections(part)


def keys(section: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{path}{name}"
        for inner in sections(field.annotation):
            yield from keys(inner, f"{path}{name}.")


def test_every_key_of_a_scenario_is_read_by_code() -> None:
    """A key that no module looks at by name would be taken and ignored."""
    read = {
        node.attr
        for package in ("planner", "workloads")
        for file in (CODE / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    ignored = {key for key in keys(Scenario) if key.rpartition(".")[2] not in read}
    assert ignored <= {"schema_version"}  # checked where a file is read; a plan of several models writes it


@given(share=st.floats(1e-4, 0.3), rate=st.floats(0.1, 30.0))
def test_a_rare_class_is_planned_for_at_its_share(share: float, rate: float) -> None:
    """The rate of a class is what was asked, however few of its requests a sample would hold."""
    one = {"median_tokens": 200000, "p95_tokens": 200000}
    long = {"share_frac": share, "prompt": one, "output": {"median_tokens": 60, "p95_tokens": 90}}
    workload = QUESTION["workload"]
    assert isinstance(workload, dict)
    lengths = {**workload["lengths"], "long": long}
    classes = [{"name": "short", "prompt_max_tokens": 100000}, {"name": "long", "prompt_min_tokens": 100001}]
    asks = {**workload, "rate_req_per_s": rate, "duration_s": 5, "lengths": lengths, "classes": classes}
    found = drawn(Scenario.model_validate({**QUESTION, "workload": asks})).demand
    rates = {each.request_class.name: each.rate_req_per_s for each in found.classes}
    assert rates == pytest.approx({"short": rate * (1 - share), "long": max(rate * share, LEAST_CLASS_REQ_PER_S)})


@given(share=st.floats(0.002, 0.5))
def test_a_class_of_two_kinds_has_the_mean_of_their_shares(share: float) -> None:
    """A class that holds a rare and a common kind is planned for as many tokens as the two bring."""
    short, long, output = ({"median_tokens": n, "p95_tokens": n} for n in (1000, 50000, 60))
    lengths = {"prompt": short, "output": output, "long": {"share_frac": share, "prompt": long, "output": output}}
    asks = {"rate_req_per_s": 20.0, "duration_s": 5, "lengths": lengths}
    (found,) = drawn(Scenario.model_validate({**QUESTION, "workload": asks})).demand.classes
    assert found.prompt_tokens.mean() == pytest.approx(1000 * (1 - share) + 50000 * share, rel=0.06)


def test_a_prompt_of_millions_of_tokens_may_take_an_hour() -> None:
    """A limit is held against the longest prompt that it is asked for, not against a chat's."""
    long = "workload.lengths.prompt={median_tokens: 8000000, p95_tokens: 10000000}"
    words = (long, "workload.rate_req_per_s=0.1", "policy.longer_context=true", "slo={ttft_p90_s: 3600}")
    assert open_case(asked(*words), "colocated").slips == ()


MODELS = ("llama-3.1-8b", "llama-2-7b", "gpt-oss-120b", "qwen3-14b")


@settings(max_examples=8)
@given(
    model=st.sampled_from(MODELS), rate=st.floats(0.5, 40.0), prompt=st.sampled_from([100, 2000, 20000]),
    output=st.sampled_from([2, 40, 600]), seed=st.integers(1, 9), policy=st.sampled_from(["colocated", "splitwise"]),
)  # fmt: skip
def test_no_plan_reads_more_than_its_memory_can(
    model: str, rate: float, prompt: int, output: int, seed: int, policy: str
) -> None:
    """What simulated decode steps read at least never passes the board's bandwidth, at whatever load and length."""
    lengths = {part: {"median_tokens": n, "p95_tokens": 2 * n} for part, n in (("prompt", prompt), ("output", output))}
    scenario = asked(
        f"model={{name: {model}, dtype: null}}", f"policy.name={policy}", f"workload.rate_req_per_s={rate}",
        f"validation.first_seed={seed}", "slo={tpot_p50_s: 0.5}", "policy.longer_context=true",
        f"workload.lengths={json.dumps(lengths)}", "solver.search_evaluations=0",
    )  # fmt: skip
    answer = plan(scenario, progress=quiet, with_margin=False)
    if isinstance(answer, ValidatedPlan):
        assert all(0 <= peak.hbm_frac <= 1 and 0 <= peak.flops_frac <= 1 for peak in answer.peaks)
