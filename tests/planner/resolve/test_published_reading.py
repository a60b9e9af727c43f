"""The reading ``as-published`` in a scenario: priced, sized, linked and judged as in Splitwise's public simulator."""

import numpy as np
import pytest

from hw_catalog.load import load_catalog
from hw_catalog.machines import PUBLISHED
from planner.errors import BadInput
from planner.perf.layout import Role
from planner.planning.plan import check
from planner.reproduce.designs import SIMULATOR, TABLE_I, TABLE_V
from planner.reproduce.readings import AS_PUBLISHED, reading
from planner.resolve.case import Case, open_case
from planner.scenario import Scenario
from planner.scenario.designs import A100, H100, H100_CAPPED
from planner.simulator.books import window
from planner.simulator.metrics import Observed
from planner.simulator.pools import PoolModel
from planner.simulator.serve import serve
from tests.planner.plans import EXAMPLES
from workloads.slo import Metric, Slo, Unit
from workloads.traces import plain_trace

PAPER = EXAMPLES / "splitwise-paper-slos.yaml"
ASKED = ("model.name=bloom-176b", "model.reading=as-published", "catalog.design=splitwise-ha", "catalog.tp=[8]")


def case(*more: str) -> Case:
    return open_case(Scenario.load(PAPER, [*ASKED, *more]), "splitwise-sim")


def test_instances_are_those_of_the_public_simulator() -> None:
    """Step times, memory and link of a scenario are those by which the public points are met to the digit."""
    theirs, ours = reading(AS_PUBLISHED, "bloom-176b", (A100, H100)).physics, case().physics
    for name, machine in (("prefill/dgx-h100/tp8", H100), ("decode/dgx-a100/tp8", A100)):
        one, other = ours[name], theirs[machine]
        assert one.step.prefill_s([(1500, 0)]) == other.step.prefill_s([(1500, 0)])
        assert one.step.decode_s(64, 900) == other.step.decode_s(64, 900)
        assert (one.kv_blocks, one.kv_bytes_per_token) == (other.kv_blocks, other.kv_bytes_per_token)
        assert (one.link, one.link_queues) == (other.link, False)


def test_a_token_counts_as_published() -> None:
    """TBT of a request is its decoding time over its tokens, one more than it has gaps; under no other reading."""
    ours, made = case(), reading(AS_PUBLISHED, "bloom-176b", (A100, H100))
    trace = plain_trace("two", np.array([0.0, 5.0]), np.array([1500, 700]), np.array([2, 11]), duration_s=60.0)
    pool = PoolModel(
        name="m", role=Role.MIXED, physics=made.physics[A100], instances=1, speed=1.0, classes=frozenset({0})
    )
    whole = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    ledger = serve([pool], made.colocated, trace, whole, cutoff_s=1e4).ledger
    slo = Slo(metric=Metric.TBT, percentile=50.0, limit=2.0, unit=Unit.SLOWDOWN)
    found = Observed(trace=trace, ledger=ledger, reference=ours.reference).values(slo)
    per_token = (ledger.e2e_s - ledger.ttft_s) / trace.output_tokens
    assert found == pytest.approx(per_token / [made.alone.tbt_s(1500), made.alone.tbt_s(700)])
    assert not open_case(Scenario.load(PAPER), "splitwise").reference.per_token  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("model.profile_set=aiconfigurator-0.12", "model.profile_set"),
        ("catalog.tp=[4,8]", "catalog.tp"),
        ("reference.tp=4", "reference.tp"),
        ("catalog.caps_w={dgx-h100: [400]}", "caps_w"),
    ],
)
def test_what_was_never_published_is_refused(setting: str, word: str) -> None:
    """Keys for which the published columns have no answer are refused by name, by check as by plan."""
    with pytest.raises(BadInput, match=word):
        check(Scenario.load(PAPER, [*ASKED, setting]))


def test_price_sets_of_publications_have_names() -> None:
    """Through each published price set a machine costs what the publication says, and these prices do not age."""
    machines = load_catalog().machines
    for channel, tariff in zip(PUBLISHED, (SIMULATOR, TABLE_I, TABLE_V), strict=True):
        for name in (A100, H100, H100_CAPPED):
            price = machines[name].price(channel)
            assert price is not None
            assert price.usd_per_h == pytest.approx(tariff.usd_per_h[name])
