"""A schedule as cron triggers: at every minute as many instances as the epoch has."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.files.keda import scaled_objects, stretches
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.schedule import Epoch, Run, Schedule
from solvers.allocation import Reason, Termination
from tests.planner.files.published_schemas import wrong
from tests.planner.small import write_small

SPEC = InstanceSpec(role=Role.MIXED, machine="dgx-h100", layout=Layout(tp=8))
MONDAY = datetime(2026, 11, 30)


def schedule(counts: list[int], epoch_s: float) -> Schedule:
    epochs = tuple(
        Epoch(
            start_s=at * epoch_s, machines={}, top_machines={}, started={}, stopped={},
            runs=(Run(spec=SPEC, instances=count, rate_req_per_s={}),), energy_j=0.0, carbon_g=0.0, cost_usd=0.0,
        )
        for at, count in enumerate(counts)
    )  # fmt: skip
    return Schedule(
        epoch_s=epoch_s, aims=(), base_machines={}, epochs=epochs, energy_j=0.0, carbon_g=0.0, cost_usd=0.0,
        churn_machines=0, termination=Termination(reason=Reason.OPTIMAL), method="monolithic",
    )  # fmt: skip


def last(cron: str, now: datetime) -> datetime:
    """The latest minute up to now that a trigger's time names."""
    minute, hour, _, _, weekday = cron.split()
    at = now.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    while at > now or weekday not in ("*", str(at.isoweekday() % 7)):
        at -= timedelta(days=1)
    return at


def wanted(made: dict[str, Any], now: datetime) -> int:
    """The replicas that KEDA asks for: the most of what is active, and the least count."""
    spec = made["spec"]
    active = [
        int(each["metadata"]["desiredReplicas"]) for each in spec["triggers"]
        if last(each["metadata"]["start"], now) > last(each["metadata"]["end"], now)
    ]  # fmt: skip
    return max([spec["minReplicaCount"], *active])


@given(st.lists(st.integers(1, 4), min_size=24, max_size=24).filter(lambda counts: len(set(counts)) > 1))
def test_stretches_are_the_epochs_above_the_least(counts: list[int]) -> None:
    """Laid over a day that repeats they give every hour its number; none begins or ends inside another."""
    filled = [min(counts)] * 24
    for stretch in stretches(counts, 3600.0):
        for hour in range(round(stretch.start_s / 3600), round(stretch.end_s / 3600)):
            filled[hour % 24] = stretch.instances
    assert filled == counts


@pytest.mark.parametrize(("epochs", "epoch_s"), [(24, 3600.0), (168, 3600.0), (48, 1800.0)])
def test_every_epoch_gets_its_instances(epochs: int, epoch_s: float) -> None:
    """In the middle of each epoch KEDA asks for its number; before a rise it asks early, by the time of a start."""
    counts = [2 + (at * 7 % 5) * (at % 3 == 0) for at in range(epochs)]
    text = scaled_objects("chat", schedule(counts, epoch_s), start_s=420.0)
    (made,) = list(yaml.safe_load_all(text))
    assert wrong("scaled_object", made) == []
    assert made["spec"]["scaleTargetRef"]["name"] == "chat-mixed-dgx-h100-tp8"
    for at in range(epochs):
        now = MONDAY + timedelta(seconds=(at + 0.5) * epoch_s)
        assert wanted(made, now) == counts[at], (at, now)
    rise = next(at for at in range(1, epochs) if counts[at] > counts[at - 1])
    assert wanted(made, MONDAY + timedelta(seconds=rise * epoch_s - 420)) == counts[rise]


def test_a_pool_that_never_changes_is_told_and_not_scaled() -> None:
    """A ScaledObject needs a trigger; a number that holds always is one of the deployment."""
    text = scaled_objects("chat", schedule([3] * 24, 3600.0), start_s=0.0)
    assert "# Always 3: mixed/dgx-h100/tp8" in text
    assert list(yaml.safe_load_all(text)) in ([], [None])


def test_a_horizon_that_cron_cannot_repeat_is_refused() -> None:
    """Neither a day nor a week."""
    with pytest.raises(BadInput, match=r"found a horizon of 3 h; expected 24 or 168"):
        scaled_objects("chat", schedule([1, 2, 3], 3600.0), start_s=0.0)


@pytest.mark.slow
def test_a_planned_week_is_exported_as_keda_takes_it(tmp_path: Path) -> None:
    """From a question over time to ScaledObjects that follow the published schema, through files."""
    words = ["--set", "schedule.load=conversation", "--set", "workload.rate_scale=20"]
    plan, manifest = str(tmp_path / "week.json"), tmp_path / "keda.yaml"
    runs = (
        ["plan", str(write_small(tmp_path)), *words, "--out", plan, "--quiet"],
        ["export", plan, "--format", "keda", "--out", str(manifest), "--quiet"],
    )
    assert [CliRunner().invoke(build(), each).exit_code for each in runs] == [ExitCode.VALIDATED, ExitCode.VALIDATED]
    made = [each for each in yaml.safe_load_all(manifest.read_text(encoding="utf-8")) if each]
    assert made
    assert [wrong("scaled_object", each) for each in made] == [[]] * len(made)
