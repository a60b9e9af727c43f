"""From the physics of instances to the rows and surfaces that the engine reads."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from planner.perf.instance import InstancePhysics
from planner.perf.pipeline import TraversalTime
from planner.perf.power import WattTerms
from planner.perf.step_time import StepTime
from planner.perf.stream import StreamTime, Way
from planner.simulator.core.state import BODY, Floats, Rows

STEPS = (TraversalTime, StreamTime)
"""Step times with more to them than surfaces: ways between pipeline stages, and KV groups."""


class _Tables:
    """Columns, one after the other."""

    def __init__(self) -> None:
        """None yet."""
        self.columns, self.end = list[Floats](), 0

    def put(self, values: object) -> int:
        """Add a column; where it begins."""
        self.columns.append(np.asarray(values, np.float64).reshape(-1))
        self.end += len(self.columns[-1])
        return self.end - len(self.columns[-1])


def rows_of_bodies(bodies: Sequence[InstancePhysics], batches: int) -> tuple[Rows, Floats]:
    """The physics, and all their surfaces one after the other.

    A body at a clock lock or under a cap is followed by one that has no more than the step times without.

    Args:
        bodies: of the instances.
        batches: most requests in a batch.
    """
    powers = [body.power.terms(batches) for body in bodies]
    steps = [b.step for b in bodies]
    for power in powers:
        if power and power.full_clock not in steps:
            steps.append(power.full_clock)
    rows, tables = np.zeros(len(steps), BODY), _Tables()
    for row, step in zip(rows, steps, strict=True):
        _put_step(row, step, tables)
    for row, body, power in zip(rows, bodies, powers, strict=False):
        _put_physics(row, body)
        if power:
            _put_watts(row, power, tables)
            row["full_clock"] = steps.index(power.full_clock)
            rows[steps.index(power.full_clock)]["ranks"] = body.ranks
            row["watt_parts"] = power.lanes
    curves = 2 * rows["context_n"] * (batches + 1)
    rows["curves"] = tables.end + np.cumsum(curves) - curves
    values = np.zeros(tables.end + int(curves.sum()))  # of the curves only those that are asked for are ever touched
    values[: tables.end] = np.concatenate(tables.columns)
    return rows, values


def _put_step(row: np.void, step: StepTime, tables: _Tables) -> None:
    """The step times of a body."""
    surfaces = step.surfaces()
    profile = surfaces.profile
    columns = {
        "linear_prefill": surfaces.linear_prefill_s, "linear_decode": surfaces.linear_decode_s,
        "context": profile.context_tokens, "new": profile.new_tokens, "past": profile.past_tokens,
        "prefill_attention": profile.prefill_attention_s, "batch": profile.attention_batch,
        "decode_attention": profile.decode_attention_s,
    }  # fmt: skip
    for name, values in columns.items():
        row[name] = tables.put(values)
        if f"{name}_n" in (BODY.names or ()):
            row[f"{name}_n"] = len(values)
    for name in ("prefill_ratio", "decode_ratio", "mixed_ratio"):
        row[name] = getattr(surfaces, name)
    row["overhead_s"], row["mixed_s"] = profile.overhead_s, profile.mixed_s
    row["stages"] = row["streams"] = row["groups"] = row["group_tokens"] = row["ranks"] = 1
    row["merge_bytes_per_s"] = 1.0
    if isinstance(step, TraversalTime):
        row["stages"] = step.stages.count
        row["hop_latency_s"], row["hop_token_s"] = step.stages.hop_latency_s, step.stages.hop_token_s
    elif isinstance(step, StreamTime):
        _put_way(row, step.way)


def _put_way(row: np.void, way: Way) -> None:
    """What lies between the GPUs of a replica through which prompts stream, or whose KV cache is in groups."""
    model, layout = way.model, way.layout
    row["streams"], row["groups"], row["group_tokens"] = layout.pp, layout.kvp, way.group_tokens
    row["hop_latency_s"], row["hop_token_s"], row["step_tokens"] = (
        way.hop_latency_s, way.hop_token_s, way.max_batch_tokens,
    )  # fmt: skip
    row["merge_latency_s"], row["merge_bytes_per_s"] = way.merge_latency_s, way.merge_bytes_per_s
    row["merge_layers"], row["merge_bytes"] = model.layers, model.heads * (model.head_dim + 2) * 4


def _put_physics(row: np.void, body: InstancePhysics) -> None:
    """Memory and link of a body."""
    for name in ("block_tokens", "layers", "ranks", "link_queues", "kv_bytes_per_token", "request_s", "lag_steps",
                 "ahead_steps", "hold_steps"):  # fmt: skip
        row[name] = getattr(body, name)
    for field in fields(body.link):
        if field.name in (BODY.names or ()):
            row[field.name] = getattr(body.link, field.name)


def _put_watts(row: np.void, power: WattTerms, tables: _Tables) -> None:
    """What a body draws."""
    for field in fields(power):
        if field.name not in ("correction_ratio", "clocked_ratio", "full_clock", "lanes"):
            row[field.name] = getattr(power, field.name)
    row["correction_ratio"] = tables.put(power.correction_ratio)
    row["clocked_ratio"] = tables.put(power.clocked_ratio)
