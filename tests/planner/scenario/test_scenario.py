"""Rules of the scenario file."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from planner.errors import BadInput
from planner.scenario import Scenario
from planner.scenario.findings import unit_of
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Budgets, Headroom
from planner.scenario.reading import override, read_document
from planner.scenario.sections import slo_of
from tests.planner import plans
from tests.planner.plans import EXAMPLES
from workloads.requests import ALL_REQUESTS
from workloads.slo import Metric, Unit

SMALL = """\
name: small
model: {name: llama-3.1-70b}
workload:
  trace: azure-conv-2023
slo:
  ttft_p99_s: 1
catalog:
  machines: [dgx-h100]
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def problems(path: Path, *overrides: str) -> str:
    with pytest.raises(BadInput) as caught:
        Scenario.load(path, overrides)
    return str(caught.value).replace(f"{path.parent}/", "")


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from sections(part)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_is_a_scenario(path: Path) -> None:
    """Every example is valid, named like its file, and agrees with the published JSON Schema."""
    written = yaml.safe_load(path.read_text())
    kind = Fleet if "models" in written else Scenario
    scenario = kind.load(path)
    assert scenario.name == path.stem
    jsonschema.validate(scenario.model_dump(mode="json"), kind.model_json_schema())
    if kind is Scenario:  # what models share may be written beside them, too
        jsonschema.validate(written, kind.model_json_schema())


def test_every_key_is_documented() -> None:
    """Every key of every section says what it means."""
    undocumented = [
        f"{section.__name__}.{name}"
        for section in sections(Scenario)
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert undocumented == []


def test_little_is_required(small: Path) -> None:
    """A name, a model, a workload, an objective and a machine are a scenario; the rest has defaults."""
    scenario = Scenario.load(small)
    assert scenario.budget() == Budgets()
    assert scenario.headroom_limits() == Headroom()
    assert scenario.classes() == (ALL_REQUESTS,)
    assert [slo.name for slo in scenario.slos()] == ["ttft_p99_s"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("objectiv: cost", "small.yaml:9: objectiv: unknown key; did you mean 'objective'?"),
        (
            "objective: mony",
            "objective: found 'mony'; expected one of: carbon, cost, energy, machines, power, throughput",
        ),
        ("objective: powr", "small.yaml:9: objective: found 'powr'; did you mean 'power'?"),
        ("objective: throughput", "objective: found 'throughput'; expected a budget"),
        ("budgets: {power_w: -1}", "small.yaml:9: budgets.power_w: found -1; expected greater than or equal to 0"),
        ("budgets: {power_kw: 1}", "small.yaml:9: budgets.power_kw: unknown key; expected watts under the key power_w"),
        ("budgets: {power_w: 60 kW}", "budgets.power_w: found '60 kW'; expected a plain number of watts, here 60000"),
        ("solver: {time_limit_s: 2min}", "found '2min'; expected a plain number of seconds, here 120"),
        ("solver: {time_limit_ms: 9}", "unknown key; expected seconds under the key time_limit_s"),
        ("solver: {gap_frac: .nan}", "solver.gap_frac: found nan; expected a finite number"),
        ("validation: {seeds: true}", "small.yaml:9: validation.seeds: found True; expected a valid integer"),
        ("validation: {warmup_frac: 0.6, cooldown_frac: 0.4}", "expected warmup_frac + cooldown_frac below 1"),
        ("slo_by_class: {long: {ttft_p99_s: 2}}", "slo_by_class: expected a class of workload.classes, not 'long'"),
        ("schema_version: 2", "small.yaml:9: schema_version: found 2; expected 1"),
        ("name: again", "small.yaml:9: name: the key is given twice, first at small.yaml:1"),
        ("policy: [splitwise]", "small.yaml:9: policy: found ['splitwise']; expected a mapping with keys of name, "),
        ("slo_by_class: [5]", "slo_by_class: found [5]; expected a mapping, class name -> objectives of that class"),
        ("schedule: {load: 5}", "schedule.load: found 5; expected one of: coding, conversation, trace, or a list, for"),
        ("power: {week_s: 1}", "power.week_s: found 1; expected greater than or equal to 60"),
        ("power: {t2_frac: 1.5}", "power.t2_frac: found 1.5; expected less than or equal to 1, or a list"),
        ("availability: {domain: {count: 100000}}", "availability.domain.count: found 100000; expected less than or"),
        ("policy: {name: ", "small.yaml:10: no valid YAML"),
    ],
)
def test_mistake_is_named(small: Path, change: str, words: str) -> None:
    """A mistake is reported with its line, its key, what was found and what was expected."""
    small.write_text(SMALL + change + "\n")
    assert words in problems(small)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("slo.ttft_p99_ms=500", "a limit in seconds under the key ttft_p99_s, or a ratio under ttft_p99_slowdown"),
        ("slo.ttft_p99_s=500ms", "slo.ttft_p99_s: found '500ms'; expected a plain number of seconds, here 0.5"),
        ("slo.ttft_p100_s=1", "expected a percentile above 0 and below 100"),
        ("slo.ttft_p0_s=1", "expected a percentile above 0 and below 100"),
        ("slo.ttft_p9_s=1", "did you mean ttft_p90_s or ttft_p99_s"),
        ("slo.ttft_p99.999999999999_s=1", "a percentile of at most six digits"),
        ("slo=null", "--set slo=null: slo: expected at least one limit"),
        ("models=null", "models: found"),
        ("catalog.tp=[8, 8]", "each of them once, and 8 is there 2 times"),
        ("slo.ttft_p99.0_s=1", "expected a limit in seconds under the key ttft_p99_s"),
        ("slo.tfft_p99_s=1", "with a metric of ttft, tbt, tpot, e2e"),
        ("slo.ttft_p99_s=0", "expected greater than 0"),
        ("slo.ttft_p99_slowdown=2", "slo: expected one of ttft_p99_s and ttft_p99_slowdown, not both"),
        ("slo.e2e_p50_slowdown=0", "slo.e2e_p50_slowdown: found 0; expected greater than 0"),
        ("slo.e2e_p50_slowdown=-1.5", "expected greater than 0"),
        ("slo.e2e_p99.9_slowdown=6x", "found '6x'; expected a plain number of times as long as alone on the reference"),
        ("reference.tp=0", "reference.tp: found 0; expected greater than or equal to 1"),
        ("slo={}", "expected at least one limit on latency, for example slo: {ttft_p99_s: 1.0}"),
        (
            "workload.trace=null",
            "workload: expected either trace (a file or azure-conv-2023) or lengths with rate_req_per_s, not neither",
        ),
        ("workload.arrivals.process=diurnal", "expected peak_to_mean_ratio and period_s, since process is diurnal"),
        ("workload.arrivals.cv=2", "expected cv only where process is gamma, not null"),
        ("workload.classes=[{name: a, prompt_min_tokens: 5, prompt_max_tokens: 4}]", "not below prompt_min_tokens"),
        ("workload.classes=[{name: a}, {name: a}]", "expected every class name once, not a, a"),
        ("catalog.machines=dgx-h100", "catalog.machines: found 'dgx-h100'; expected a list, for example [dgx-h100]"),
        ("catalog.clocks_mhz=[1590]", "MHz, or auto; for example {dgx-h100: [1590]}"),
        ("catalog.clocks_mhz=1590", "MHz, or auto; for example {dgx-h100: [1590]}"),
        ("catalog.available=5", "expected a mapping, machine type -> how many can be had; for example {dgx-h100: 5}"),
        ("catalog={machines: [[x]], available: 5}", "a mapping, machine type -> how many can be had"),
        ("catalog.machines=[]", "catalog.machines: found none; expected machine types"),
        ("catalog.tp=[0]", "catalog.tp.0: found 0; expected greater than or equal to 1"),
        ("catalog.available={dgx-a100: 3}", "only machine types that catalog.machines lists, not dgx-a100"),
        ("model.kv_dtype=bf17", "model.kv_dtype: found 'bf17'; expected one of fp32, bf16"),
        ("model.nam=x", "--set model.nam=x: model.nam: unknown key; did you mean 'name'?"),
        ("nonsense", "--set nonsense: expected dotted.key=value"),
        ("name.first=x", "found first inside name, which is 'small'; expected no key there"),
        ("catalog.machines.7.x=1", "found 7 in the list catalog.machines; expected a number from 0 to"),
        ("catalog.machines.first=x", "found first in the list catalog.machines; expected a number from 0 to"),
        ("workload=null", "workload: found null; expected a mapping with keys of trace"),
        ("catalog.machines=[null]", "catalog.machines.0: found null; expected a valid string"),
        ("name=[", "found a value that is no YAML"),
    ],
)
def test_wrong_override_is_named(small: Path, override: str, words: str) -> None:
    """A wrong ``--set`` is reported with the word itself, the key, what was found and what was expected."""
    found = problems(small, override)
    assert words in found
    assert f"--set {override}" in found or "slo_by_class:" in found


@given(
    st.sampled_from([("models", ("chat", "code")), ("models.0.workload.classes", ("interactive", "batch"))]),
    st.integers(0, 1), st.integers(2, 9),
)  # fmt: skip
def test_elements_of_lists_are_named_by_place_or_by_name(
    part: tuple[str, tuple[str, str]], at: int, value: int
) -> None:
    """A key of a model, or of a class, is the same key by the name of the element as by its place.

    A name that no element has is answered with those there are.
    """
    document = read_document(EXAMPLES / "two-models.yaml")
    around, names = part
    key = "workload.rate_scale" if around == "models" else "priority"
    by_place, by_name = (override(document, [f"{around}.{step}.{key}={value}"]) for step in (at, names[at]))
    assert by_place.data == by_name.data != document.data
    named = override(document, [f"models.chat.workload.classes.{names[at]}.x=1"]) if around != "models" else by_name
    assert named.data != document.data
    with pytest.raises(BadInput, match=f"expected {', '.join(names)} or a number from 0 to 1"):
        override(document, [f"{around}.chatt.{key}={value}"])


def test_percentiles_between_whole_ones_can_be_set(small: Path) -> None:
    """The dot of ``ttft_p99.9_s`` belongs to the key."""
    assert Scenario.load(small, ["slo.ttft_p99.9_s=2"]).slo == {"ttft_p99_s": 1, "ttft_p99.9_s": 2}


def test_all_problems_come_at_once(small: Path) -> None:
    """Three mistakes in three places are three findings."""
    small.write_text(SMALL + "objectiv: cost\nbudgets: {power_w: -1}\n")
    assert len(problems(small, "slo.foo=1").splitlines()) == 3


@pytest.mark.parametrize("text", ["", "- a list", "just words", "name: \x00", "a: &a [*a]"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    """A file that is no mapping, or no YAML, or refers to itself, is bad input and nothing worse."""
    path = tmp_path / "other.yaml"
    path.write_text(text)
    assert "other.yaml" in problems(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A scenario that does not exist is bad input."""
    assert "cannot be read: No such file" in problems(tmp_path / "none.yaml")


def test_exponents_are_numbers(small: Path) -> None:
    """``1e-5`` is a number, though YAML 1.1 calls it a word."""
    assert Scenario.load(small, ["solver.gap_frac=1e-5"]).solver.gap_frac == 1e-5


def test_files_lie_beside_the_scenario(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace named in the file lies beside it; one named by ``--set`` lies where one stands."""
    (small.parent / "t.csv").write_text("")
    small.write_text(SMALL.replace("azure-conv-2023", "t.csv"))
    monkeypatch.chdir(small.parent.parent)
    assert Scenario.load(small).workload.trace == f"{small.parent.as_posix()}/t.csv"
    assert Scenario.load(small, ["workload.trace=t.csv"]).workload.trace == "t.csv"


def test_objectives_of_classes_follow_those_of_all(small: Path) -> None:
    """Objectives of one class carry its name and come after those of every request."""
    long = ["workload.classes=[{name: long, prompt_min_tokens: 1000}]", "slo_by_class.long={e2e_p50_s: 9}"]
    scenario = Scenario.load(small, long)
    assert [slo.name for slo in scenario.slos()] == ["ttft_p99_s", "long:e2e_p50_s"]
    assert scenario.classes()[0].prompt_min_tokens == 1000


@given(
    metric=st.sampled_from(Metric), tenths=st.integers(500, 999), limit=st.floats(1e-6, 1e6), unit=st.sampled_from(Unit)
)
def test_objective_key_says_all(metric: Metric, tenths: int, limit: float, unit: Unit) -> None:
    """An objective read from its own name is the same objective, in the same unit."""
    key = f"{metric}_p{tenths / 10:g}_{unit}"
    found = slo_of(key, limit)
    assert (found.name, found.limit, found.unit) == (key, limit, unit)


scenarios = st.builds(
    lambda rate, power, seeds, tp, slo, objective: Scenario.load(EXAMPLES / "power-budget.yaml").changed(
        [
            f"workload.rate_req_per_s={rate!r}",
            f"budgets.power_w={power!r}",
            f"validation.seeds={seeds}",
            f"catalog.tp={tp}",
            f"slo={{tbt_p99.9_s: {slo!r}}}",
            f"objective={objective}",
        ]
    ),
    st.floats(1e-3, 1e6),
    st.floats(0, 1e9),
    st.integers(1, 99),
    st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True),
    st.floats(1e-9, 1e3),
    st.sampled_from(["cost", "power", "machines", "throughput"]),
)


@given(scenarios)
def test_scenario_survives_being_written(scenario: Scenario) -> None:
    """A scenario written as JSON or YAML data and read back is the same scenario."""
    data = scenario.model_dump(mode="json")
    assert Scenario.model_validate(data) == scenario
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert Scenario.model_validate(yaml.safe_load(yaml.safe_dump(data))) == scenario


@given(st.permutations(["ttft_p99_s", "ttft_p50_s", "tbt_p99_s", "e2e_p90_s"]))
def test_order_of_objectives_means_nothing(keys: list[str]) -> None:
    """Objectives come by metric and percentile, however the file, or a sorted copy of it, lists them."""
    slo = ", ".join(f"{key}: 1" for key in keys)
    shown = [slo.name for slo in plans.scenario().changed([f"slo={{{slo}}}"]).slos()]
    assert shown == ["ttft_p50_s", "ttft_p99_s", "tbt_p99_s", "e2e_p90_s"]


def test_override_is_an_edit(small: Path, tmp_path: Path) -> None:
    """``--set`` gives what editing the file gives."""
    edited = tmp_path / "edited.yaml"
    edited.write_text(SMALL + "budgets: {machines: 4}\n")
    assert Scenario.load(small, ["budgets.machines=4"]) == Scenario.load(edited)


def test_units_are_read_from_names() -> None:
    """The longest unit that ends a key's name is its unit."""
    assert unit_of("rate_req_per_s") == "requests per second"
    assert unit_of("ttft_p99_s") == "seconds"
    assert unit_of("name") == ""


@pytest.mark.parametrize(
    "key",
    [
        "prefix_cache", "availability", "headroom", "budgets", "power", "energy", "policy", "solver", "validation",
        "objective", "catalog.tp", "catalog.channel", "catalog.available", "policy.name", "workload.rate_scale",
        "workload.columns", "workload.arrivals", "workload.classes", "model.engine", "reference", "headroom.kv_frac",
        "availability.machine", "availability.spares", "uncertainty", "schema_version",
    ],
)  # fmt: skip
def test_null_is_the_key_left_out(small: Path, key: str) -> None:
    """Null where a key may be left out means what the key left out means, whatever its default is."""
    assert Scenario.load(small, [f"{key}=null"]) == Scenario.load(small)


def test_null_takes_a_limit_away(small: Path) -> None:
    """A name in a mapping that stands for null is not in it."""
    more = ["slo.e2e_p99_s=20", "catalog.available.dgx-h100=4"]
    none = ["slo.e2e_p99_s=null", "catalog.available.dgx-h100=null"]
    assert Scenario.load(small, [*more, *none]) == Scenario.load(small)
