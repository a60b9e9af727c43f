"""A schedule as an autoscaler's policy: KEDA ScaledObjects with cron triggers.

Source: kedacore/keda, ScaledObject v1alpha1 and the cron scaler (timezone, start, end, desiredReplicas); for the target
ai-dynamo/dynamo, ``DynamoGraphDeploymentScalingAdapter`` v1alpha1, whose name is DEPLOYMENT-COMPONENT.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import yaml

from planner.errors import BadInput
from planner.results.schedule import Schedule

Yaml = dict[str, Any]

DAY_S, WEEK_S, _MINUTE_S = 86_400, 604_800, 60
_LONGEST = 40
TIMEZONE = "Etc/UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Epochs in a row with the same number of instances of a pool.

    Attributes:
        start_s: from the beginning of the horizon, 0 on.
        end_s: likewise; beyond the horizon where it goes on at its beginning.
        instances: in each of them.
    """

    start_s: float
    end_s: float
    instances: int


def stretches(instances: Sequence[int], epoch_s: float) -> list[Stretch]:
    """The stretches of a horizon that repeats, those at the least number left out."""
    horizon, least = len(instances), min(instances)
    first = instances.index(least)
    turned = [*instances[first:], *instances[:first]]  # begins at the least, so that nothing goes on over its end
    found, at = list[Stretch](), 0
    while at < horizon:
        count, begin = turned[at], at
        while at < horizon and turned[at] == count:
            at += 1
        if count > least:
            start = (begin + first) % horizon
            found.append(Stretch(start_s=start * epoch_s, end_s=(start + at - begin) * epoch_s, instances=count))
    return sorted(found, key=lambda stretch: stretch.start_s)


def scaled_objects(name: str, schedule: Schedule, *, start_s: float) -> str:
    """A ScaledObject for each pool whose number of instances changes.

    Args:
        name: of the deployment, as Kubernetes takes it.
        schedule: of a day or a week, Monday first.
        start_s: from the order of an instance to its first request; triggers begin so much earlier.

    Raises:
        BadInput: the horizon is neither a day nor a week, which cron can repeat.
    """
    horizon_s = round(len(schedule.epochs) * schedule.epoch_s)
    if horizon_s not in (DAY_S, WEEK_S):
        raise BadInput(f"--format keda: found a horizon of {horizon_s / 3600:g} h; expected 24 or 168, which repeat")
    series: dict[str, list[int]] = {}
    for at, epoch in enumerate(schedule.epochs):
        for run in epoch.runs:
            series.setdefault(run.spec.name, [0] * len(schedule.epochs))[at] += run.instances
    steady = {pool: counts[0] for pool, counts in series.items() if len(set(counts)) == 1}
    moving = {pool: counts for pool, counts in series.items() if pool not in steady}
    lines = (
        f"{name}: instances of each pool over {'a day' if horizon_s == DAY_S else 'a week from Monday 00:00'}, "
        f"repeated; triggers begin {ceil(start_s / _MINUTE_S)} min early, for an instance takes {start_s:g} s to start",
        f"Set timezone in every trigger: epochs are local time, {TIMEZONE} stands for it.",
        "Targets are scaling adapters of a DynamoGraphDeployment whose components have these names and "
        "scalingAdapter: {}; another stack: change scaleTargetRef.",
        *(f"Always {count}: {pool}" for pool, count in sorted(steady.items())),
    )
    documents = [
        _object(name, pool, counts, list(_triggers(counts, schedule.epoch_s, horizon_s, start_s)))
        for pool, counts in sorted(moving.items())
    ]
    head = "".join(f"# {line}\n" for line in lines)
    return head + "---\n".join(yaml.safe_dump(each, sort_keys=False, width=110) for each in documents)


def _object(name: str, pool: str, counts: Sequence[int], triggers: list[Yaml]) -> Yaml:
    """One pool's policy."""
    component = re.sub(r"[^a-z0-9]+", "-", pool.lower()).strip("-")
    adapter = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeploymentScalingAdapter"}
    return {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": f"{name}-{component}"},
        "spec": {
            "scaleTargetRef": {**adapter, "name": f"{name}-{component}"},
            "minReplicaCount": min(counts), "maxReplicaCount": max(counts), "triggers": triggers,
        },
    }  # fmt: skip


def _triggers(counts: Sequence[int], epoch_s: float, horizon_s: int, start_s: float) -> Iterator[Yaml]:
    """Cron triggers, those that need more instances than the stretch before beginning early."""
    for stretch in stretches(counts, epoch_s):
        before = counts[round(stretch.start_s / epoch_s) - 1]
        early_s = ceil(start_s / _MINUTE_S) * _MINUTE_S if stretch.instances > before else 0
        begin, end = (_cron(at_s, horizon_s) for at_s in (stretch.start_s - early_s, stretch.end_s))
        fields = {"timezone": TIMEZONE, "start": begin, "end": end, "desiredReplicas": str(stretch.instances)}
        yield {"type": "cron", "metadata": fields}


def _cron(at_s: float, horizon_s: int) -> str:
    """A minute of the day, or of the week, Monday being 1."""
    minutes = int(at_s % horizon_s) // _MINUTE_S
    day, minute = divmod(minutes, DAY_S // _MINUTE_S)
    weekday = "*" if horizon_s == DAY_S else str((day + 1) % 7)
    return f"{minute % 60} {minute // 60} * * {weekday}"
