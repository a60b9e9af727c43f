"""What `export` will refuse is told before and with the plan, and nothing else is."""

from dataclasses import replace

import pytest

from planner.errors import BadInput
from planner.files.workers import deployment
from planner.planning.manifests import refused, unstartable
from planner.planning.plan import check, plan
from planner.resolve.case import case_of
from planner.resolve.inputs import inputs_of
from planner.results.evidence import ValidatedPlan
from tests.planner import plans
from tests.planner.small import small
from workloads.models import load_model

NO_WEIGHTS = ("model.name=codellama-34b", "model.dtype=fp8", "catalog.machines=[dgx-h100]")
TIERS = (
    "workload.classes=[{name: a, share_frac: 0.5, priority: 1}, {name: b, share_frac: 0.5}]",
    "model.engine=sglang",
)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ((), ""),
        (NO_WEIGHTS, "weights: no checkpoint of the model in fp8 is known"),
        (TIERS, "priorities: found tiers"),
    ],
)
def test_what_no_layout_mends_is_told_by_check(changed: tuple[str, ...], reason: str) -> None:
    """A question whose plans can all not be exported says so in one line with the reason; others say nothing."""
    question = small(*changed)
    told = [words for words in check(question).warnings if words.startswith("export: ")]
    assert told == list(unstartable(inputs_of(question)))
    assert [reason in words for words in told] == [True] * bool(reason)


@pytest.mark.parametrize("named", [False, True])
def test_a_plan_tells_what_its_export_refuses(named: bool) -> None:
    """A plan is made all the same; its doubts name the first reason that `export` gives, or none where it exports."""
    changed = ("model.checkpoint=me/mine",) if named else ()
    question = small(*NO_WEIGHTS, *changed)
    found = plan(question, progress=lambda *_: None)
    assert isinstance(found, ValidatedPlan)
    told = [words for words in found.warnings if words.startswith("export: ")]
    model = load_model("codellama-34b")
    if named:
        assert told == []
        assert deployment(found, question, model=model).model == "me/mine"
        return
    with pytest.raises(BadInput) as refusal:
        deployment(found, question, model=model)
    assert [refusal.value.problems[0] in words for words in told] == [True]


def test_a_layout_without_flags_is_told_with_the_plan() -> None:
    """Formats that could be started do not help a layout that no flag makes: KV groups."""
    question = plans.scenario()
    case = case_of(question, plans.candidate())
    pool = plans.candidate().pools[0]
    spec = replace(pool.spec, layout=replace(pool.spec.layout, kvp=2))
    grouped = replace(plans.candidate(), pools=(replace(pool, spec=spec),))
    known = replace(case, profiles={**case.profiles, spec.name: case.profiles[pool.spec.name]},
                    physics={**case.physics, spec.name: case.physics[pool.spec.name]})  # fmt: skip
    assert list(unstartable(inputs_of(question))) == []
    assert ["kvp: no engine flag" in words for words in refused(known, grouped)] == [True]
