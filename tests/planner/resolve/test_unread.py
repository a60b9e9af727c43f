"""Every key of a scenario is read, refused, or named as one that changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from planner.errors import BadInput
from planner.planning import plan as planning
from planner.resolve import inputs
from planner.resolve.inputs import Inputs
from planner.resolve.unread import rules, unread
from planner.scenario import Scenario
from planner.scenario.reading import Document
from planner.scenario.section import Section
from tests.planner.small import TEXT, small
from tests.soak.meaning import changed, keys, models_in

ASKED = yaml.safe_load(TEXT)
DRAWN = ("policy.name=colocated",)
SPLIT = ("policy.name=splitwise", "slo={ttft_p90_slowdown: 6, tbt_p90_s: 0.1}", "policy.kv_transfer=layerwise")
ELSEWHERE = {
    "schema_version": "a version", "name": "what people call it", "model.checkpoint": "read by export",
    "uncertainty": "drawn from by whatif --worlds", "workload.label_column": "refused without classes that have labels",
    "workload.columns": "refused without a trace file", "power": "refused without a row",
    "schedule": "of plans over time", "availability": "rules below", "catalog.directory": "none is named here",
    "workload.classes": "of questions with several kinds", "energy.usd_per_kwh": "read by the bill that is printed",
    "solver.search_evaluations": "rounds of a search that this plan has no need of",
}  # fmt: skip
"""Keys that no plan of a small question reads, and why."""
OTHERS: tuple[Any, ...] = (
    1, 2, 3, 0.5, 0.6, 0.03, 7.5, True, False, 3000, 40000.0, "layerwise", "decode-maximal", "independent", "azure",
    "ms", "dgx-h100", "fp8", "checkpoint", [300, 600], {"prefill": 1},
)  # fmt: skip


class _Reads(set[tuple[type[BaseModel], str]]):
    """Keys that code asked sections for."""

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain, dump = Section.__getattribute__, BaseModel.model_dump

        def asked(section: Section, name: str) -> Any:
            if name in type(section).model_fields:
                self.add((type(section), name))
            return plain(section, name)

        def dumped(section: Section, **how: Any) -> dict[str, Any]:
            if not isinstance(section, Scenario):
                self.update((type(section), name) for name in type(section).model_fields)
            return dump(section, **how)

        monkeypatch.setattr(Section, "__getattribute__", asked)
        monkeypatch.setattr(Section, "model_dump", dumped)


def _owners(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Dotted key -> the section that has it."""
    found: dict[str, type[BaseModel]] = {}
    for path, _ in keys(model):
        owner: Any = model
        for part in path[:-1]:
            if isinstance(part, str):
                owner = next(models_in(owner.model_fields[part].annotation))
        found[".".join(map(str, path))] = owner
    return found


def _unread(inputs_: Inputs, key: str, scenario: Scenario) -> Iterator[str]:
    """What is wrong with how other values of a key are met that nothing reads; nothing where they are named."""
    path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
    data, tried = scenario.model_dump(mode="json"), 0
    for value in OTHERS:
        try:
            other = Scenario.parse(Document(data=changed(data, path, value), places={(): "small"}))
        except BadInput:
            continue
        if other == scenario:
            continue
        tried += 1
        if not any(key in words for words in unread(other, inputs_.asked)):
            yield f"{key}: {value!r} is taken, read by nothing, and not named"


@pytest.mark.parametrize("settings", [DRAWN, SPLIT])
def test_a_key_that_no_plan_reads_is_named(settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a plan never asks of its question has no effect; a value there is refused, or a line says so."""
    scenario, reads = small(*settings), _Reads()
    with monkeypatch.context() as watched:
        watched.setattr(inputs, "unread", lambda *_: ())
        watched.setattr(inputs, "slips", lambda *_: ())
        reads.watch(watched)
        planning.plan(scenario, progress=lambda *_: None)
    read = planning.read(scenario)
    silent = [
        key
        for key, owner in _owners(Scenario).items()
        if (owner, key.rpartition(".")[2]) not in reads
        and not any(key == other or key.startswith(f"{other}.") for other in ELSEWHERE)
    ]
    assert len(reads) > 60
    found = [words for key in silent for words in _unread(read, key, scenario)]
    assert not found, "\n".join(found)


ROW = ("power.row_limit_w=60000",)
HOURS = ("schedule.load=[1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2]",)
NINES = ("availability.target_frac=0.99",)


@pytest.mark.parametrize(("settings", "setting", "read_beside"), [
    (DRAWN, "workload.time_unit=ms", ()), (DRAWN, "workload.format=azure", ()),
    (DRAWN, "workload.growth=independent", ()),
    (DRAWN, "reference.tp=4", ("slo.ttft_p90_slowdown=9", "slo.ttft_p90_s=null")),
    (DRAWN, "policy.kv_transfer=layerwise", ("policy.name=splitwise",)),
    (DRAWN, "policy.layerwise_from_tokens=9", ("policy.name=splitwise",)),
    (DRAWN, "policy.mixed_pool=true", ("policy.name=splitwise",)),
    (DRAWN, "policy.foresee_output=true", ("policy.name=auto",)),
    (DRAWN, "policy.prefill_threshold_tokens=9", ("policy.name=splitwise", "policy.mixed_pool=true")),
    (DRAWN, "policy.chunked_decode=true", ("policy.name=[splitwise, colocated]",)),
    (DRAWN, "policy.chunk_tokens=[300]", ("policy.name=sarathi",)),
    (DRAWN, "policy.tbt_target_s=0.05", ("policy.name=mnemosyne",)),
    (DRAWN, "policy.kvp_group_tokens=4096", ("policy.name=mnemosyne", "catalog.kvp=[1, 2]")),
    (DRAWN, "policy.recovery=checkpoint", ("validation.failures=[{pool: mixed, at_s: 1}]",)),
    (DRAWN, "headroom.link_frac=0.4", ("policy.name=splitwise",)),
    (("policy.name=splitwise",), "headroom.mixed_frac=0.4", ("policy.name=colocated",)),
    (DRAWN, "availability.rack.mtbf_h=9000", NINES),
    (NINES, "availability.spot.start_s=60", ("catalog.channel=spot",)),
    (NINES, "availability.maintenance.duration_h=2", ("availability.maintenance.every_h=500",)),
    (ROW, "power.threshold_frac=0.8", ("power.policy=one-threshold-low",)),
    ((*ROW, "power.policy=no-cap"), "power.t1_frac=0.7", ("power.policy=any",)),
    (HOURS, "schedule.confidence_frac=0.9", ("schedule.forecast_sigma_frac=0.1",)),
    (HOURS, "schedule.spare_confidence_frac=0.9", ("schedule.interruptions_per_h_ratio=0.01",)),
    (("prefix_cache={gib: ideal, hit_frac: 0.3}",), "prefix_cache.host_gib=100", ("prefix_cache.gib=20",)),
])  # fmt: skip
def test_a_key_is_named_where_nothing_reads_it_and_only_there(
    settings: tuple[str, ...], setting: str, read_beside: tuple[str, ...]
) -> None:
    """What another key would have to ask for first is named until that one does."""
    asked, key = planning.read(small()).asked, setting.partition("=")[0]
    assert any(words.startswith(f"{key}: found") for words in unread(small(*settings, setting), asked))
    if read_beside:
        assert not any(key in words for words in unread(small(*settings, *read_beside, setting), asked))


def test_what_is_named_changes_nothing() -> None:
    """The plan with every named key set is the plan without them, and `check` shows each line."""
    idle = (
        "policy.mixed_pool=true", "policy.layerwise_from_tokens=3", "policy.chunk_tokens=[300]",
        "policy.tbt_target_s=0.01", "policy.recovery=checkpoint", "headroom.prefill_frac=0.2", "reference.tp=4",
        "policy.prefill_threshold_tokens=1", "availability.rack.mtbf_h=9", "workload.growth=independent",
    )  # fmt: skip
    plain, other = small(*DRAWN), small(*DRAWN, *idle)
    warnings = planning.check(other).warnings
    assert all(any(words.startswith(setting.partition("=")[0]) for words in warnings) for setting in idle)
    one, two = (planning.plan(each, progress=lambda *_: None, with_margin=False) for each in (plain, other))
    assert one.candidate.pools == two.candidate.pools  # type: ignore[union-attr]
    assert one.judgement == two.judgement  # type: ignore[union-attr]


def test_a_whole_replay_names_the_window_that_it_does_not_use(tmp_path: Path) -> None:
    """A trace is replayed in its own time and measured from end to end."""
    trace = tmp_path / "t.csv"
    rows = "".join(f"{0.1 * k:.1f},300,20\n" for k in range(100))
    trace.write_text(f"arrival_s,prompt_tokens,output_tokens\n{rows}")
    replay = (
        "workload.lengths=null",
        "workload.rate_req_per_s=null",
        "workload.duration_s=null",
        f"workload.trace={trace}",
    )
    read = planning.read(small(*replay))
    named = unread(small(*replay, "workload.duration_s=9", "validation.warmup_frac=0.2"), read.asked)
    assert [words.partition(":")[0] for words in named] == ["workload.duration_s", "validation.warmup_frac"]
    assert unread(small(*replay, "workload.growth=independent", "workload.format=plain"), read.asked) == ()


def test_every_rule_says_why() -> None:
    """No rule is without a reason, and every key of it is one of the schema."""
    read = planning.read(small())
    known = {".".join(str(part) for part in path) for path, _ in keys(Scenario)}
    for rule in rules(small(*ROW), read.asked):
        assert len(rule.why) > 10
        assert all(any(each == key or each.startswith(f"{key}.") for each in known) for key in rule.keys)
