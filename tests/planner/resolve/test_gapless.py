"""Objectives on the gaps between tokens need answers of more than one token."""

import pytest

from planner.errors import BadInput
from planner.planning.plan import check
from tests.planner.small import small

ONE_TOKEN = ("workload.lengths.output.median_tokens=1", "workload.lengths.output.p95_tokens=1")


@pytest.mark.parametrize("key", ["tpot_p99_s", "tbt_p90_s", "stall_p99_s"])
def test_a_limit_on_gaps_that_no_answer_has_is_refused(key: str) -> None:
    """Where every answer is one token nothing is measured of a gap: the key is named."""
    with pytest.raises(BadInput) as refused:
        check(small(*ONE_TOKEN, f"slo={{ttft_p90_s: 1.0, {key}: 0.1}}"))
    assert any(line.startswith(f"slo.{key}: ") and "ttft or e2e" in line for line in refused.value.problems)


def test_a_class_of_one_token_is_named() -> None:
    """The limit of a class is refused under the key of that class; a limit for all is measured of the others."""
    kinds = "workload.classes=[{name: labels, output_max_tokens: 1}, {name: chat}]"
    lengths = ("workload.lengths.output.median_tokens=2", "workload.lengths.output.p95_tokens=40")
    with pytest.raises(BadInput) as refused:
        check(small(kinds, *lengths, "slo_by_class={labels: {tpot_p99_s: 0.1}}"))
    assert [line.split(":")[0] for line in refused.value.problems] == ["slo_by_class.labels.tpot_p99_s"]
    assert check(small(kinds, *lengths)).options


def test_answers_of_one_token_are_planned_by_their_first() -> None:
    """Without a limit on gaps such a workload is a question like any other."""
    assert check(small(*ONE_TOKEN, "slo={ttft_p90_s: 1.0}")).options
