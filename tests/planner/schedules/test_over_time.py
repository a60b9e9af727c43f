"""Every key of a scenario beside a schedule: honoured, refused with a reason, or shown to mean nothing there."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput
from planner.planning.plan import plan
from planner.scenario import Scenario
from planner.schedules import planning
from planner.schedules.question import opened, policies_of
from tests.planner.schedules.recorder import fingerprint
from workloads.errors import WorkloadError

DAY = """
name: day
model: {name: llama-3.1-70b}
workload:
  trace: azure-conv-2023
  rate_req_per_s: 20
  duration_s: 20
  classes:
    - {name: short, prompt_max_tokens: 1023}
    - {name: long, prompt_min_tokens: 1024}
slo: {ttft_p99_s: 2.0, tpot_p99_s: 0.2}
catalog: {machines: [dgx-h100, hgx-h200], tp: [4]}
policy: {name: sarathi, chunk_tokens: [1024]}
schedule: {load: [0.4, 1.0, 1.7, 1.0, 0.6], clocks_mhz: [1590]}
"""

REFUSED: Mapping[str, str] = {
    "objective": "throughput",
    "model.reading": "as-published",
    "model.draft_tokens": "2",
    "model.acceptance_frac": "0.5",
    "prefix_cache.gib": "ideal",
    "policy.name": "splitwise-sim",
    "policy.cells": "3",
    "workload.arrivals.process": "diurnal, peak_to_mean_ratio: 1.5, period_s: 100",
    "solver.gap_frac": "0.05",
}
"""Key -> a value that ``check`` and ``plan`` refuse, naming the key."""

ROW = {
    f"power.{key}"
    for key in (
        "row_limit_w", "provisioned_machines", "rows", "policy", "t1_frac", "t2_frac", "threshold_frac",
        "release_frac", "low_t1_mhz", "low_t2_mhz", "high_mhz", "low_priority_frac", "limits", "load", "weeks",
        "first_seed", "week_s", "tick_s", "max_ratio", "command_loss_frac", "machines_per_rack", "rows_per_ups",
    )
}  # fmt: skip
"""Keys of the row, in which the busiest epoch is studied when the schedule is made: they change nothing of it."""

CHANGES: Mapping[str, tuple[str, ...]] = {
    "model.name": ("model.name=llama-3.1-8b",),
    "model.dtype": ("model.dtype=fp8",),
    "model.kv_dtype": ("model.kv_dtype=fp8",),
    "model.prefill_dtype": (
        "model={name: deepseek-v3, dtype: fp8, kv_dtype: fp8, engine: trtllm}",
        "catalog={machines: [dgx-b200], tp: [8]}", "schedule.clocks_mhz=[1590]", "policy={name: splitwise}",
        "model.prefill_dtype=fp4",
    ),
    "model.profile_set": ("model.profile_set=other",),
    "model.engine": ("model.engine=other",),
    "workload.trace": ("workload.trace=azure-code-2023",),
    "workload.rate_req_per_s": ("workload.rate_req_per_s=30",),
    "workload.rate_scale": ("workload.rate_scale=1.2",),
    "workload.prompt_scale": ("workload.prompt_scale=1.2",),
    "workload.output_scale": ("workload.output_scale=1.2",),
    "workload.arrivals": ("workload.arrivals={process: gamma, cv: 2.0}",),
    "workload.duration_s": ("workload.duration_s=30",),
    "workload.lengths": (
        "workload.trace=null",
        "workload.lengths={prompt: {median_tokens: 300, p95_tokens: 900}, output: {median_tokens: 9, p95_tokens: 30}}",
    ),
    "workload.classes": ("workload.classes=[]",),
    "slo": ("slo.ttft_p99_s=1.5",),
    "slo_by_class": ("slo_by_class={short: {ttft_p99_s: 1.0}}",),
    "reference.machine": ("slo={ttft_p99_slowdown: 40}", "reference.machine=dgx-h100"),
    "reference.tp": ("slo={ttft_p99_slowdown: 40}", "reference.tp=4"),
    "reference.dtype": ("slo={ttft_p99_slowdown: 40}", "reference.machine=dgx-h100", "reference.dtype=fp8"),
    "catalog.machines": ("catalog.machines=[dgx-h100]",),
    "catalog.channel": ("catalog.channel=on-demand",),
    "catalog.directory": ("catalog.directory=nowhere",),
    "catalog.tp": ("catalog.tp=[8]",),
    "catalog.pp": ("catalog.pp=[2]",),
    "catalog.kvp": ("policy.name=mnemosyne", "catalog.kvp=[2]"),
    "catalog.available": ("catalog.available={dgx-h100: 1}",),
    "catalog.roles": ("catalog.roles={dgx-h100: [prefill]}",),
    "catalog.design": ("catalog.design=splitwise-hh",),
    "catalog.price_usd_per_h": ("catalog.price_usd_per_h={dgx-h100: 7.5}",),
    "catalog.price_scale": ("catalog.price_scale={dgx-h100: 0.5}",),
    "catalog.clocks_mhz": ("catalog.clocks_mhz={dgx-h100: [1200]}",),
    "catalog.caps_w": ("catalog.caps_w={dgx-h100: [500]}",),
    "budgets.cost_usd_per_h": ("budgets.cost_usd_per_h=60",),
    "budgets.power_w": ("budgets.power_w=30000",),
    "budgets.expected_power_w": ("budgets.expected_power_w=20000",),
    "budgets.rack_units": ("budgets.rack_units=30",),
    "budgets.machines": ("budgets.machines=3",),
    "budgets.machine_types": ("budgets.machine_types=1",),
    "objective": ("objective=machines",),
    "energy.pue_ratio": ("energy.pue_ratio=1.5",),
    "energy.usd_per_kwh": ("energy.usd_per_kwh=0.3",),
    "energy.carbon_g_per_kwh": ("objective=carbon", "energy.carbon_g_per_kwh=50"),
    "energy.hourly_carbon_g_per_kwh": ("objective=carbon", f"energy.hourly_carbon_g_per_kwh={[*range(1, 25)]}"),
    "policy.name": ("policy.name=colocated",),
    "policy.max_batch_tokens": ("policy.name=colocated", "policy.max_batch_tokens=1024"),
    "policy.max_batch_size": ("policy.max_batch_size=64",),
    "policy.block_tokens": ("policy.block_tokens=32",),
    "policy.kv_memory_frac": ("policy.kv_memory_frac=0.8",),
    "policy.max_preemptions": ("policy.max_preemptions=1",),
    "policy.order": ("policy.order=lars",),
    "policy.chunk_tokens": ("policy.chunk_tokens=[512]",),
    "policy.chunk_form": ("policy.chunk_form=decode-maximal",),
    "policy.tbt_target_s": ("policy.name=mnemosyne", "policy.tbt_target_s=0.05"),
    "policy.long_from_tokens": ("policy.name=mnemosyne", "policy.long_from_tokens=1000"),
    "policy.recovery": ("validation.failures=[{pool: mixed, at_s: 7300.0}]", "policy.recovery=checkpoint"),
    "headroom.mixed_frac": ("headroom.mixed_frac=0.5",),
    "headroom.kv_frac": ("headroom.kv_frac=0.1",),
    "solver.backend": ("solver.backend=cbc",),
    "solver.time_limit_s": ("solver.time_limit_s=7.0",),
    "validation.seeds": ("validation.seeds=4",),
    "validation.first_seed": ("validation.first_seed=9",),
    "validation.cooldown_frac": ("validation.cooldown_frac=0.2",),
    "validation.confidence_frac": ("validation.confidence_frac=0.8",),
    "validation.max_rounds": ("validation.max_rounds=3",),
    "validation.failures": ("validation.failures=[{pool: mixed, at_s: 7300.0}]",),
    "solver.search_evaluations": ("solver.search_evaluations=0",),
    "validation.requests": ("validation.requests=100",),
    "availability.target_frac": ("availability.target_frac=0.99",),
    "availability.spares": ("availability.spares=n+1",),
    "availability.machine": ("availability=0.999", "availability.machine={mttr_h: 2000.0}"),
    "availability.domain": ("availability=0.999", "availability.domain={count: 2, mttr_h: 300.0}"),
    "availability.spot": ("catalog.channel=spot", "availability=0.9", "availability.spot={start_s: 360000.0}"),
    "availability.maintenance": ("availability=0.99", "availability.maintenance={every_h: 9.0}"),
    "schedule.load": ("schedule.load=[0.4, 1.0, 1.6, 1.0, 0.6]",),
    "schedule.epoch_s": ("schedule.epoch_s=1800.0",),
    "schedule.objectives": ("schedule.objectives=[energy]",),
    "schedule.clocks_mhz": ("schedule.clocks_mhz={dgx-h100: [1200]}",),
    "schedule.top_channel": ("schedule.top_channel=reserved",),
    "schedule.base_machines": ("schedule.base_machines=1",),
    "schedule.interruptions_per_h_ratio": ("schedule.interruptions_per_h_ratio=0.2",),
    "schedule.spare_confidence_frac": (
        "schedule.interruptions_per_h_ratio=0.2", "schedule.spare_confidence_frac=0.9999",
    ),
    "schedule.start_s": ("schedule.start_s=600.0",),
    "schedule.start_usd": ("schedule.start_usd=3.0",),
    "schedule.min_up_epochs": ("schedule.min_up_epochs=2",),
    "schedule.ramp_machines": ("schedule.ramp_machines=1",),
    "schedule.churn_machines": ("schedule.churn_machines=2",),
    "schedule.usd_per_kwh": ("schedule.usd_per_kwh=0.3",),
    "schedule.carbon_g_per_kwh": ("objective=carbon", f"schedule.carbon_g_per_kwh={[*range(1, 25)]}"),
    "schedule.pue_ratio": ("schedule.pue_ratio=1.5",),
    "schedule.forecast_sigma_frac": ("schedule.forecast_sigma_frac=0.1",),
    "schedule.confidence_frac": ("schedule.forecast_sigma_frac=0.1", "schedule.confidence_frac=0.9"),
    "schedule.gap_frac": ("schedule.gap_frac=0.02",),
    "schedule.start_late_s": ("schedule.start_late_s=5.0",),
    "schedule.validated_epochs": ("schedule.validated_epochs=1",),
}  # fmt: skip
"""Key -> words, the last of them on the key, that change what is solved or what is served."""

IRRELEVANT: Mapping[str, tuple[str, str]] = {
    "availability.rack": ("availability.rack={machines: 2}", "availability is not asked: tested where it is"),
    "schema_version": ("schema_version=1", "there is one version"),
    "name": ("name=other", "a title"),
    "model.checkpoint": ("model.checkpoint=someone/quantized", "what a manifest starts; schedules are not exported"),
    "catalog.dp": ("catalog.dp=[1]", "a dense model has one attention rank"),
    "catalog.ep": ("catalog.ep=[1]", "a dense model has no experts"),
    "prefix_cache.host_gib": ("prefix_cache.host_gib=0.0", "of prefix_cache.gib, which is refused"),
    "prefix_cache.hit_frac": ("prefix_cache.hit_frac=null", "of prefix_cache.gib, which is refused"),
    "prefix_cache.turns": ("prefix_cache.turns=null", "of prefix_cache.gib, which is refused"),
    "policy.kv_admission": ("policy.kv_admission=as-needed", "as vLLM does anyway"),
    "policy.kv_transfer": ("policy.kv_transfer=serialized", "instances do both phases: no KV moves"),
    "policy.layerwise_from_tokens": ("policy.layerwise_from_tokens=4", "no KV moves"),
    "policy.prefill_threshold_tokens": ("policy.prefill_threshold_tokens=4", "splitwise only"),
    "policy.decode_threshold_tokens": ("policy.decode_threshold_tokens=4", "splitwise only"),
    "policy.mixed_pool": ("policy.mixed_pool=true", "splitwise only"),
    "policy.foresee_output": ("policy.foresee_output=true", "splitwise only"),
    "policy.chunked_prefill": ("policy.chunked_prefill=true", "splitwise only"),
    "policy.chunked_decode": ("policy.chunked_decode=true", "splitwise only"),
    "policy.longer_context": ("policy.longer_context=true", "no request is longer than the model's context here"),
    "policy.long_apart": ("policy.long_apart=false", "mnemosyne only, and no class is long here"),
    "policy.kvp_group_tokens": ("policy.kvp_group_tokens=64", "mnemosyne only, with several KV groups"),
    "headroom.prefill_frac": ("headroom.prefill_frac=0.5", "instances do both phases"),
    "headroom.decode_frac": ("headroom.decode_frac=0.5", "instances do both phases"),
    "headroom.link_frac": ("headroom.link_frac=0.3", "no KV moves"),
    "validation.warmup_frac": ("validation.warmup_frac=0.3", "the epoch before warms up; of a day that is cyclic"),
    "uncertainty": ("uncertainty={workload.rate_scale: [0.8, 1.2]}", "drawn from by whatif --worlds"),
}
"""Key -> words that change nothing, and why that is right."""

OF_TRACES = {
    "workload.format", "workload.skip_bad_rows", "workload.time_unit", "workload.growth", "workload.label_column",
    "workload.columns.arrival", "workload.columns.prompt", "workload.columns.output", "workload.bytes_per_token",
    "workload.answer_s_per_token", "schedule.epochs",
}  # fmt: skip
"""Keys of trace files, tested with one below."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario of a few hours."""
    path = tmp_path_factory.mktemp("day") / "day.yaml"
    path.write_text(DAY, encoding="utf-8")
    return path


def _leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Dotted keys of a schema; lists of sections count as one key."""
    for name, field in model.model_fields.items():
        annotated = (field.annotation, *get_args(field.annotation))
        inner = [a for a in annotated if isinstance(a, type) and issubclass(a, BaseModel)]
        whole = ".".join((*path, name))
        if inner and not re.fullmatch(r"workload\.(lengths|arrivals)|power\.(limits|load)|availability\..*", whole):
            yield from _leaves(inner[0], (*path, name))
        else:
            yield whole


def test_no_key_of_a_scenario_is_silent_beside_a_schedule() -> None:
    """Each key is in one list here: a schedule honours it, refuses it, or it means nothing there, with the reason."""
    asked = {key for key in _leaves(Scenario) if not key.startswith("workload.classes.")}
    asked = {"validation.failures" if key.startswith("validation.failures.") else key for key in asked}
    told = {*REFUSED, *CHANGES, *IRRELEVANT, *OF_TRACES, *ROW} - {"workload.arrivals.process", "workload.classes"}
    assert asked - told - {"workload.classes"} == set(), "new keys: put each in a list above"
    assert told - asked == set(), "no such keys any more"


def _say(*words: str) -> tuple[int, str]:
    said = CliRunner().invoke(build(), list(words))
    return said.exit_code, " ".join(said.output.split())


@pytest.mark.parametrize("key", REFUSED)
def test_what_no_schedule_honours_is_refused_by_name(day: Path, key: str) -> None:
    """``check`` refuses it, as ``plan`` does: both begin with the same function."""
    word = f"{key}={REFUSED[key]}"
    if key == "workload.arrivals.process":
        word = f"workload.arrivals={{process: {REFUSED[key]}}}"
    scenario = Scenario.load(day, [word, "budgets.machines=9"])  # throughput wants a budget
    with pytest.raises(BadInput, match=key.replace(".", r"\.")):
        opened(scenario, policies_of(scenario)[0])


def test_all_that_is_refused_is_said_at_once(day: Path) -> None:
    """Both verbs name every refused key, end with 2 and write nothing."""
    words = ["solver.gap_frac=0.1", "policy.name=splitwise-sim", "objective=throughput", "budgets.machines=4",
             "schedule.clocks_mhz=[2500, 1590]", "catalog.clocks_mhz={dgx-h100: [77]}"]  # fmt: skip
    sets = [part for word in words for part in ("--set", word)]
    for verb in ("check", "plan"):
        code, said = _say(verb, str(day), *sets)
        assert code == 2
        for key in ("solver.gap_frac", "policy.name", "objective: found throughput", "schedule.clocks_mhz",
                    "catalog.clocks_mhz.dgx-h100: found 77"):  # fmt: skip
            assert key in said, verb
        assert "found 2500; expected 345 to 1980 MHz" in said


def test_a_key_that_is_said_twice_is_said_alike(day: Path) -> None:
    """What ``schedule`` repeats of ``objective`` and ``energy`` may not differ from it; one of the two is enough."""
    twice = ["objective=power", "schedule.objectives=[energy]", "energy.usd_per_kwh=0.3", "schedule.usd_per_kwh=0.2",
             "energy.carbon_g_per_kwh=50", f"schedule.carbon_g_per_kwh={[380] * 24}"]  # fmt: skip
    with pytest.raises(BadInput) as wrong:
        Scenario.load(day, twice)
    assert [problem.partition(": found")[0].rpartition(" ")[2] for problem in wrong.value.problems] == [
        "objective", "energy.usd_per_kwh", "energy.carbon_g_per_kwh",
    ]  # fmt: skip
    one = Scenario.load(day, ["schedule.objectives=[energy]", "schedule.usd_per_kwh=0.2"])
    assert (one.objective, one.energy.usd_per_kwh) == ("energy", 0.2)
    assert Scenario.model_validate(one.model_dump(mode="json")) == one
    assert one.changed(()) == one


def test_verbs_that_know_no_schedule_refuse_it(day: Path) -> None:
    """A what-if or a frontier of a schedule would answer another question."""
    with pytest.raises(BadInput, match="schedule: found one; expected none here"):
        plan(Scenario.load(day), progress=lambda *_: None)


def test_machines_without_a_price_on_top_are_told(day: Path) -> None:
    """A type that the top channel does not sell stays in the base fleet, and both verbs say so."""
    words = ["catalog.machines=[hgx-h200]", "schedule.top_channel=spot"]
    code, said = _say("check", str(day), "--set", words[0], "--set", words[1])
    assert code == 0
    assert "hgx-h200 has no spot price, so it is only in the base fleet" in said
    scenario = Scenario.load(day, words)
    found = planning.timetable(scenario, progress=lambda *_: None)
    assert found.schedule is not None
    assert any("no spot price" in note for note in found.schedule.notes)
    assert all(not any(epoch.top_machines.values()) for epoch in found.schedule.epochs)
    assert found.schedule.base_machines["hgx-h200"] == max(e.machines["hgx-h200"] for e in found.schedule.epochs)


@pytest.mark.slow
@pytest.mark.parametrize("key", CHANGES)
def test_what_a_schedule_honours_changes_the_question(day: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key, another program is solved, other traces are served, or they are judged in another way."""
    *before, word = CHANGES[key]
    assert word.startswith(key)
    with monkeypatch.context() as patched:
        plain = fingerprint(day, tuple(before), patched)
    with monkeypatch.context() as patched:
        changed = fingerprint(day, CHANGES[key], patched)
    assert changed != plain


@pytest.mark.slow
@pytest.mark.parametrize("key", IRRELEVANT)
def test_what_means_nothing_over_time_changes_nothing(day: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same program, the same traces, judged alike: nothing was lost by ignoring the key."""
    with monkeypatch.context() as patched:
        plain = fingerprint(day, (), patched)
    with monkeypatch.context() as patched:
        changed = fingerprint(day, (IRRELEVANT[key][0],), patched)
    strip = ("name='other'", "name='day'")
    assert changed.replace(*strip) == plain.replace(*strip)


def test_keys_of_trace_files_are_honoured(tmp_path: Path) -> None:
    """Format, bad rows and the number of epochs of a replayed trace are read; too few epochs are refused by check."""
    rows = "".join(f"{i * 0.5},{100 + i % 7},{20 + i % 5}\n" for i in range(1200))
    trace = tmp_path / "t.csv"
    trace.write_text("arrival_s,prompt_tokens,output_tokens\n" + rows, encoding="utf-8")
    path = tmp_path / "day.yaml"
    path.write_text(DAY.replace("azure-conv-2023", "t.csv"), encoding="utf-8")
    words = (
        "workload.rate_req_per_s=null",
        "workload.duration_s=null",
        "schedule.load=trace",
        "schedule.epoch_s=420.0",
    )
    scenario = Scenario.load(path, words)
    assert opened(scenario, "sarathi").load.epochs == 2
    assert opened(scenario.changed(["schedule.epochs=5"]), "sarathi").load.epochs == 5
    hours = scenario.changed(["schedule.load=[1.0, 2.0]", "schedule.epoch_s=3600.0"])
    grown = [
        opened(hours.changed([f"workload.growth={how}"]), "sarathi").case.asked.draw(1, 2.0, 1.0).arrival_s
        for how in ("shared", "independent")
    ]
    assert not np.array_equal(*grown)
    code, said = _say("check", str(path), *(p for w in (*words, "schedule.epochs=1") for p in ("--set", w)))
    assert code == 2
    assert "expected at least 2 epochs" in said
    with pytest.raises(BadInput, match="time_unit"):
        opened(scenario.changed(["workload.time_unit=ms"]), "sarathi")  # a replay of 0.6 s
    with pytest.raises(WorkloadError, match="mooncake"):
        opened(scenario.changed(["workload.format=mooncake"]), "sarathi")


@pytest.mark.parametrize("key", ["carbon_g_per_kwh", "usd_per_kwh"])
def test_whole_numbers_beyond_every_float_are_refused(day: Path, key: str) -> None:
    """YAML has whole numbers that no float holds: they are refused by name wherever two sections say the same."""
    huge = str(10**400)
    hours = f"[{', '.join([huge] * 24)}]" if key == "carbon_g_per_kwh" else huge
    for word in (f"schedule.{key}={hours}", f"energy.{key}={huge}"):
        with pytest.raises(BadInput, match=key):
            Scenario.load(day, [word, f"schedule.{key}={hours}"])
