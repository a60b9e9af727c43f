"""Rules of designs by name: what each stands for, what contradicts it, and what cannot be built."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.planning.plan import digests, plan
from planner.scenario import Scenario
from planner.scenario.designs import DESIGNS
from planner.scenario.reading import Document
from tests.planner.plans import EXAMPLES
from tests.planner.small import TEXT, small

HA = EXAMPLES / "splitwise-ha.yaml"
PAIR_ROLES = "catalog.roles={dgx-h100: [prefill], dgx-a100: [decode]}"
SPELLED_OUT = {
    "baseline-a100": ("colocated", {"dgx-a100": ["mixed"]}),
    "baseline-h100": ("colocated", {"dgx-h100": ["mixed"]}),
    "splitwise-aa": ("splitwise", {"dgx-a100": ["prefill", "decode"]}),
    "splitwise-hh": ("splitwise", {"dgx-h100": ["prefill", "decode"]}),
    "splitwise-ha": ("splitwise", {"dgx-h100": ["prefill"], "dgx-a100": ["decode"]}),
    "splitwise-hhcap": ("splitwise", {"dgx-h100": ["prefill"], "dgx-h100-cap350": ["decode"]}),
    "splitwise:hgx-h200+dgx-h100": ("splitwise", {"hgx-h200": ["prefill"], "dgx-h100": ["decode"]}),
    "splitwise:hgx-h200+hgx-h200": ("splitwise", {"hgx-h200": ["prefill", "decode"]}),
}
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(build(), [str(word) for word in words])


def in_file(catalog: dict[str, object], **sections: object) -> Scenario:
    """The small question with another catalog section, all of it written in one place."""
    data = {**yaml.safe_load(TEXT), "catalog": catalog, **sections}
    return Scenario.parse(Document(data=data, places={(): "small"}))


@pytest.mark.parametrize(("name", "meaning"), SPELLED_OUT.items())
def test_a_design_is_the_keys_that_it_stands_for(name: str, meaning: tuple[str, dict[str, list[str]]]) -> None:
    """A scenario with a design is equal, digests too, to the one with machines, roles and policy written out."""
    policy, roles = meaning
    spelled = [
        f"catalog.machines={json.dumps(list(roles))}",
        f"catalog.roles={json.dumps(roles)}",
        f"policy.name={policy}",
    ]
    short, long = Scenario.load(HA, [f"catalog.design={name}"]), Scenario.load(EXAMPLES / "splitwise-conv.yaml")
    assert short == Scenario.load(HA, ["catalog.design=null", *spelled])
    assert digests(short) == digests(Scenario.load(HA, ["catalog.design=null", *spelled]))
    assert digests(short) != digests(long)


def test_every_published_design_has_a_name() -> None:
    """The designs that the reproduction compares are those that a scenario can name."""
    assert {d.name.lower() for d in DESIGNS} == {name for name in SPELLED_OUT if ":" not in name}


def test_a_design_plans_as_its_keys_do() -> None:
    """The plan of a design is the plan of the keys it stands for: same pools, evidence and rounds."""
    short = plan(small("catalog.design=splitwise-ha"), progress=lambda *_: None)
    spelled = small("catalog.machines=[dgx-h100, dgx-a100]", PAIR_ROLES, "policy.name=splitwise")
    assert short == plan(spelled, progress=lambda *_: None)


def test_a_design_on_the_command_line_replaces_the_keys_of_the_file() -> None:
    """What is typed later wins, the policy included; a policy that can run the design stays."""
    replaced = small("catalog.design=splitwise-aa")
    assert (replaced.catalog.machines, replaced.policy.name) == (("dgx-a100",), "splitwise")
    assert small("policy.name=auto", "catalog.design=splitwise-aa").policy.name == "auto"
    assert small("policy.name=sarathi", "catalog.design=Baseline-H100").policy.name == "sarathi"


def test_a_design_beside_keys_that_contradict_it_is_bad_input() -> None:
    """Written in the same place, each key that says otherwise is named."""
    with pytest.raises(BadInput) as refused:
        in_file({"design": "splitwise-ha", "machines": ["hgx-h200"], "tp": [8]})
    machines, policy = refused.value.problems
    assert "catalog.machines: found ['hgx-h200']" in machines
    assert "policy.name: found colocated; expected splitwise or splitwise-sim or auto" in policy


@pytest.mark.parametrize("typed", ["catalog.machines=[bogus]", "catalog.roles={bogus: prefill}", "policy.name=sarathi"])
def test_a_key_typed_above_the_design_of_a_file_is_no_silent_word(run: Run, typed: str) -> None:
    """What is typed is never passed over: beside the design of the file it is refused, and the design named."""
    found = run("check", HA, "--set", typed)
    assert found.exit_code == ExitCode.BAD_INPUT
    assert found.output.count("catalog.design splitwise-ha stands for it") == 1
    assert run("check", HA, "--set", "policy.name=auto").exit_code == 0


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("splitwise-hah", "did you mean 'splitwise-h"),
        ("splitwise:dgx-h100", "expected splitwise:<prefill machine>+<decode machine>"),
        ("splitwise:dgx-h10+dgx-a100", "no machine 'dgx-h10'; did you mean 'dgx-h100'?"),
        ("7", "expected one of: baseline-a100"),
    ],
)
def test_an_unknown_design_names_the_nearest(run: Run, word: str, said: str) -> None:
    """A design or a machine of a pair that does not exist ends in exit code 2 with what could be meant."""
    found = run("plan", HA, "--set", f"catalog.design={word}")
    assert found.exit_code == ExitCode.BAD_INPUT
    assert said in found.stderr


def lonely_catalog(directory: Path) -> Path:
    """A catalog with a DGX A100 that is joined to no other machine."""
    path = directory / "mine"
    path.mkdir()
    (path / "machines.yaml").write_text("machines:\n  dgx-a100: {inter_link: none}\n", encoding="utf-8")
    return path


def test_a_design_whose_machine_lacks_the_link_is_refused(run: Run, tmp_path: Path) -> None:
    """No cache reaches a decode machine without a link: exit code 3, the role, the reason and the way out."""
    found = run("plan", HA, "--set", f"catalog.directory={lonely_catalog(tmp_path)}")
    assert found.exit_code == ExitCode.INFEASIBLE
    assert "no option can serve all in the role decode" in found.stdout
    assert "decode/dgx-a100/tp8: no link to other machines (none)" in found.stdout
    assert "policy.name colocated, or a machine with a link" in " ".join(found.stdout.split())


def test_a_machine_without_a_link_still_serves_alone(run: Run, tmp_path: Path) -> None:
    """Colocated serving needs no link; a checkpoint does, and a link that no file knows is bad input."""
    mine = f"catalog.directory={lonely_catalog(tmp_path)}"
    alone = ["--set", mine, "--set", "catalog.design=baseline-a100", "--set", "workload.duration_s=20"]
    assert run("plan", HA, *alone).exit_code == ExitCode.VALIDATED
    kept = run("plan", HA, *alone, "--set", "policy.recovery=checkpoint")
    assert (kept.exit_code, "dgx-a100 has no link" in kept.stderr) == (ExitCode.BAD_INPUT, True)
    (tmp_path / "mine" / "machines.yaml").write_text("machines:\n  dgx-a100: {inter_link: infiniband-20}\n")
    unknown = run("plan", HA, "--set", mine)
    assert (unknown.exit_code, "nearest known: infiniband-200" in unknown.stderr) == (ExitCode.BAD_INPUT, True)


def test_stages_do_not_span_machines_without_a_link(run: Run, tmp_path: Path) -> None:
    """A pipeline over two machines that are not joined is not offered."""
    found = run(
        "check", HA, "--set", f"catalog.directory={lonely_catalog(tmp_path)}", "--set", "catalog.design=baseline-a100",
        "--set", "catalog.pp=[1, 2]", "--sections", "refused",
    )  # fmt: skip
    assert "its stages would span machines, which have no link to each other" in " ".join(found.stdout.split())


def test_a_model_whose_cache_does_not_fit_the_decode_machine_is_refused(run: Run) -> None:
    """Prompts fit the prefill machine, long answers do not fit the other: exit code 3, and what to raise."""
    lengths = "{prompt: {median_tokens: 200, p95_tokens: 400}, output: {median_tokens: 20000, p95_tokens: 40000}}"
    found = run(
        "plan", HA, "--set", "model.name=bloom-176b", "--set", "workload.trace=null", "--set",
        f"workload.lengths={lengths}", "--set", "workload.rate_req_per_s=0.1",
    )  # fmt: skip
    said = " ".join(found.stdout.split())
    assert found.exit_code == ExitCode.INFEASIBLE
    assert "no option can serve all in the role decode" in said
    assert "tokens of KV memory are less than 2 of the longest requests" in said
    assert "a larger policy.kv_memory_frac" in said


@pytest.mark.parametrize(
    ("limit", "raised"),
    [
        ("budgets.rack_units=40", "space 40"),
        ("catalog.available={dgx-a100: 1}", "catalog.available.dgx-a100 from 1 to at least"),
        ("budgets.machines=5", "machines 5"),
    ],
)
def test_a_rate_beyond_the_room_says_what_to_raise(run: Run, limit: str, raised: str) -> None:
    """More machines than the room holds: exit code 3 and the smallest set of budgets that would do."""
    found = run("plan", HA, "--set", "workload.rate_req_per_s=200", "--set", limit)
    said = " ".join(found.stdout.split())
    assert found.exit_code == ExitCode.INFEASIBLE
    assert "no plan fits the budgets" in said
    assert all(word in said for word in ("budget", "limit", "needed"))
    assert raised in said


@pytest.mark.parametrize("value", [5, [], "x", True])
@pytest.mark.parametrize(("key", "section"), [("catalog.design", "policy"), ("schedule.usd_per_kwh", "energy")])
def test_a_section_that_holds_no_keys_is_named(value: object, key: str, section: str) -> None:
    """A design or a schedule that stands for keys of a section beside a value in its place is bad input, and no bug."""
    top, _, inner = key.partition(".")
    data = {**yaml.safe_load(TEXT), section: value, top: {inner: "splitwise-hh" if top == "catalog" else 0.1}}
    with pytest.raises(BadInput, match=section):
        Scenario.parse(Document(data=data, places={(): "s.yaml"}))
