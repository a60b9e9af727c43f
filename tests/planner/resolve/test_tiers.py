"""Tiers: classes told apart by label, share or length, their priorities, and what is refused of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.planning.plan import plan
from planner.resolve.workload import asked
from planner.results.evidence import ValidatedPlan, Verdict
from planner.scenario import Scenario
from tests.planner.small import small
from workloads.errors import WorkloadError

SHARES = ["workload.classes=[{name: interactive, share_frac: 0.7, priority: 1}, {name: batch}]"]
LABELS = [
    "workload.classes=[{name: interactive, label: chat, priority: 1}, {name: batch, label: bulk}]",
]


def replayed(directory: Path, rows: list[dict[str, Any]], *settings: str, name: str = "t.jsonl") -> Scenario:
    """The small question about a trace of its own."""
    path = directory / name
    if name.endswith("csv"):
        text = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
        path.write_text("\n".join(text), encoding="utf-8")
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return small(
        "workload.lengths=null", "workload.rate_req_per_s=null", "workload.duration_s=null", f"workload.trace={path}",
        *settings,
    )  # fmt: skip


def rows(column: str = "tier", count: int = 300) -> list[dict[str, Any]]:
    """Two of three are chats."""
    return [
        {
            "arrival_s": i / 20, "prompt_tokens": 100 + i, "output_tokens": 10,
            column: "bulk" if i % 3 == 0 else "chat",
        }
        for i in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv"])
@pytest.mark.parametrize("column", ["tier", "Label", "kind"])
def test_a_column_of_labels_tells_tiers_apart(tmp_path: Path, name: str, column: str) -> None:
    """Every request is in the class of its label, whatever the file's form and the column's name."""
    named = [f"workload.label_column={column}"] if column == "kind" else []
    found = asked(replayed(tmp_path, rows(column), *LABELS, *named, name=name))
    trace = found.traces(1.0)[0]
    assert (trace.class_index == (np.arange(300) % 3 == 0)).all()
    assert {c.request_class.name: c.rate_req_per_s for c in found.demand.classes} == pytest.approx(
        {"interactive": 2 / 3 * trace.rate_req_per_s, "batch": trace.rate_req_per_s / 3}
    )


def test_a_thickened_trace_keeps_the_tier_of_every_request(tmp_path: Path) -> None:
    """At three times the rate two of three are still chats."""
    found = asked(replayed(tmp_path, rows(), *LABELS, "workload.rate_scale=3"))
    for trace in found.traces(1.0):
        assert np.mean(trace.class_index == 1) == pytest.approx(1 / 3, abs=0.01)


def test_labels_and_lengths_tell_apart_together(tmp_path: Path) -> None:
    """A class may have both: the long chats, the other chats, and the rest."""
    classes = "[{name: long, label: chat, prompt_min_tokens: 300}, {name: chat, label: chat}, {name: rest}]"
    trace = asked(replayed(tmp_path, rows(), f"workload.classes={classes}")).traces(1.0)[0]
    chat, long = np.arange(300) % 3 != 0, trace.prompt_tokens >= 300
    np.testing.assert_array_equal(trace.class_index, np.where(chat & long, 0, np.where(chat, 1, 2)))


@given(share=st.floats(0.01, 0.99), rate=st.floats(0.5, 50.0))
def test_shares_are_those_of_every_draw_and_of_the_demand(share: float, rate: float) -> None:
    """A class of a share has that share of the rate, exactly, and of the requests drawn, to one; lengths are alike."""
    classes = f"workload.classes=[{{name: a, share_frac: {share}}}, {{name: b}}]"
    found = asked(small(classes, f"workload.rate_req_per_s={rate}", "workload.duration_s=400"))
    for trace in found.traces(1.0):
        assert abs(np.sum(trace.class_index == 0) - share * len(trace)) <= 1
    assert sum(c.rate_req_per_s for c in found.demand.classes) == pytest.approx(rate, rel=0.01)
    rates = {c.request_class.name: c.rate_req_per_s for c in found.demand.classes}
    assert rates["a"] == pytest.approx(share * rate, rel=0.02)


def test_a_share_is_spread_over_time_and_lengths() -> None:
    """Which requests are of a class is chance: neither the first ones nor the long ones."""
    trace = asked(small(*SHARES, "workload.duration_s=400")).traces(1.0)[0]
    mine = trace.class_index == 0
    assert np.mean(mine[: len(trace) // 2]) == pytest.approx(0.7, abs=0.02)
    assert trace.prompt_tokens[mine].mean() == pytest.approx(trace.prompt_tokens.mean(), rel=0.03)


def test_both_tiers_have_evidence_and_batch_fills_what_interactive_leaves() -> None:
    """On a full machine first tokens of the higher priority come at once, those of the lower one later; both judged."""
    question = small(
        *SHARES, "slo={}", "catalog.machines=[dgx-h100]", "workload.rate_req_per_s=300", "validation.seeds=2",
        "slo_by_class={interactive: {ttft_p90_s: 0.5}, batch: {e2e_p90_s: 60}}",
    )  # fmt: skip
    found = plan(question, progress=lambda *_: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    assert [e.key for e in found.judgement.evidence] == ["batch:e2e_p90_s", "interactive:ttft_p90_s"]
    assert all(e.verdict is Verdict.MET and e.n > 100 for e in found.judgement.evidence)
    assert found.judgement.workload.endswith("interactive before batch")


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("[{name: a, share_frac: 0.7}, {name: b, share_frac: 0.7}]", "^workload.classes: share_frac: 1.4 together"),
        ("[{name: a, share_frac: 0.7}, {name: b}, {name: c}]", "2 classes have none"),
        ("[{name: a, share_frac: 0.7, prompt_max_tokens: 9}, {name: b}]", "told apart in one way"),
    ],
)
def test_shares_that_do_not_add_up_are_refused(classes: str, words: str) -> None:
    """Shares stand alone and make one; at most one class takes the rest."""
    with pytest.raises(WorkloadError, match=words):
        asked(small(f"workload.classes={classes}"))


@pytest.mark.parametrize("tier", ["priority: 1", "priority: -1"])
def test_a_tier_that_no_request_has_is_refused(tier: str) -> None:
    """A class with a priority or objectives of its own and no request in it would be promised in vain."""
    classes = f"[{{name: a, prompt_max_tokens: 999999}}, {{name: b, prompt_min_tokens: 1000000, {tier}}}]"
    with pytest.raises(BadInput, match=r"b: no request is in it \(prompts of 1e\+06 to inf tokens\).*a has prompts"):
        asked(small(f"workload.classes={classes}"))


def test_objectives_of_a_class_without_requests_are_refused() -> None:
    """Nothing can be observed of them."""
    classes = "workload.classes=[{name: a, prompt_max_tokens: 100000}, {name: b}]"
    with pytest.raises(BadInput, match="b: no request is in it"):
        asked(small(classes, "slo_by_class={b: {ttft_p90_s: 1}}"))


def test_a_label_that_no_request_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    """All such labels at once, with what was meant."""
    classes = "workload.classes=[{name: a, label: chatt}, {name: b, label: bulg}, {name: c}]"
    with pytest.raises(BadInput) as refused:
        asked(replayed(tmp_path, rows(), classes))
    assert [problem.split("; ")[0] for problem in refused.value.problems] == [
        "workload.classes: a: no request has the label 'chatt'",
        "workload.classes: b: no request has the label 'bulg'",
    ]
    assert "'chat'" in refused.value.problems[0]


def test_labels_need_a_trace_that_has_them(tmp_path: Path) -> None:
    """Drawn requests have no labels, and a file without such a column is named with the columns it has."""
    with pytest.raises(BadInput, match="requests are drawn"):
        asked(small(*LABELS))
    with pytest.raises(BadInput, match="requests are drawn"):
        asked(replayed(tmp_path, rows(), *LABELS, "workload.arrivals.process=poisson"))
    with pytest.raises(WorkloadError, match=r"found no column label or tier .* output_tokens, team"):
        asked(replayed(tmp_path, rows("team"), *LABELS))
    with pytest.raises(WorkloadError, match="did you mean 'team'"):
        asked(replayed(tmp_path, rows("team"), *LABELS, "workload.label_column=teams"))


def test_a_label_without_a_class_is_named(tmp_path: Path) -> None:
    """Requests whose label no class has are in none."""
    with pytest.raises(WorkloadError, match=r"200 of 300 requests fit no class.*label 'chat'"):
        asked(replayed(tmp_path, rows(), "workload.classes=[{name: batch, label: bulk}]"))


def test_a_column_of_labels_that_no_class_names_is_refused(tmp_path: Path) -> None:
    """A key that changes nothing is not taken in silence."""
    with pytest.raises(BadInput, match="no class has a label"):
        asked(replayed(tmp_path, rows(), "workload.label_column=tier"))
    with pytest.raises(BadInput, match="no class has a label"):
        asked(small("workload.label_column=tier"))


def test_public_rules_know_no_priority() -> None:
    """Splitwise's public simulator serves all alike: a priority under its rules is refused."""
    with pytest.raises(BadInput, match=r"workload\.classes: found priorities"):
        plan(small(*SHARES, "policy.name=splitwise-sim"), progress=lambda *_: None)
