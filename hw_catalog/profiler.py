"""Measuring a kernel profile: every operation at every knot, timed once, written down at once, composed at the end.

A step of the whole model is its layers times the operations of one, and the output head. Operations are timed one by
one, each on operands that no cache holds; what an engine adds around them is in none of the surfaces.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hw_catalog.added_attention import with_least_added
from hw_catalog.profiler_ops import Bench, Device, Operation, Shard
from hw_catalog.profiles import Floats, KernelProfile
from hw_catalog.provenance import Kind, Provenance

Progress = Callable[[str, float], None]

PROFILE_SET = "measured"
"""Profile set of what a user measured."""
WARM_UP_FRAC = 0.2
"""Of the time spent on an operation, before it counts: caches, clocks and lazy loading settle."""
MEMORY_FRAC = 0.5
"""Of the device's memory that the operands of one operation may fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knots:
    """Where a profile is measured, and how long each point takes.

    Attributes:
        tokens: of a step that carries prompt work; both sides of common tile edges.
        batch: requests of a decode-only step.
        new_tokens: of one prompt.
        past_tokens: of that prompt already cached.
        attention_batch: decoding requests.
        context_tokens: mean context of them.
        point_s: seconds spent on each operation and size.
    """

    tokens: tuple[int, ...]
    batch: tuple[int, ...]
    new_tokens: tuple[int, ...]
    past_tokens: tuple[int, ...]
    attention_batch: tuple[int, ...]
    context_tokens: tuple[int, ...]
    point_s: float


FULL = Knots(
    tokens=(1, 8, 16, 17, 32, 33, 64, 65, 128, 129, 256, 257, 384, 512, 513, 768, 1024, 1025, 2048, 2049, 4096, 8192,
            16384),
    batch=(1, 2, 4, 8, 16, 17, 32, 33, 64, 65, 128, 129, 256, 257, 512),
    new_tokens=(1, 32, 128, 512, 1024, 2048, 4096, 8192, 16384),
    past_tokens=(0, 1024, 4096, 16384, 65536),
    attention_batch=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    context_tokens=(1, 128, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072),
    point_s=0.4,
)  # fmt: skip
"""A few minutes on a GPU."""
QUICK = Knots(
    tokens=(1, 16, 64, 256, 1024, 4096), batch=(1, 4, 16, 64, 256), new_tokens=(1, 128, 512, 2048),
    past_tokens=(0, 1024, 4096), attention_batch=(1, 8, 64), context_tokens=(1, 256, 1024, 4096), point_s=0.1,
)  # fmt: skip
"""A look: half a minute, tile edges not resolved."""
QUICK_CPU = Knots(
    tokens=(1, 16, 64, 256, 1024), batch=(1, 4, 16, 64), new_tokens=(1, 64, 256, 1024), past_tokens=(0, 1024),
    attention_batch=(1, 8, 64), context_tokens=(1, 256, 1024, 2048), point_s=0.05,
)  # fmt: skip
"""The same where no GPU is: what one core does in a quarter of a minute for a small model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one operation took.

    Attributes:
        key: operation and sizes.
        median_s: of one operation.
        spread_ratio: distance of the 10th and 90th percentile over the median.
        samples: launches timed.
        watts_w: mean power while it ran; None where the device cannot say.
    """

    key: str
    median_s: float
    spread_ratio: float
    samples: int
    watts_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is measured.

    Attributes:
        model: id the profile will carry.
        gpu: catalog id.
        dtype: of weights and KV cache.
        shard: sizes on one GPU.
        knots: where.
    """

    model: str
    gpu: str
    dtype: str
    shard: Shard
    knots: Knots


def operations(subject: Subject, device: Device) -> list[Operation]:
    """Every operation to time, each once, in the order of the surfaces.

    Attention that does not fit the memory or the model's context is left out, and collectives where the device has
    fewer GPUs than the group.
    """
    shard, knots = subject.shard, subject.knots
    together = device.gpus >= shard.tp
    wanted: list[Operation] = []
    for tokens in sorted({*knots.tokens, *knots.batch}):
        wanted += [*shard.linear(tokens), *(shard.collectives(tokens) if together else ())]
    for rows in (1, *knots.batch):
        wanted += shard.head(rows)
    wanted += [
        shard.prefill(n, p) for n in knots.new_tokens for p in knots.past_tokens if _prefills(subject, device, n, p)
    ]
    wanted += [
        shard.decode(b, c)
        for b in knots.attention_batch
        for c in knots.context_tokens
        if _decodes(subject, device, b, c)
    ]
    return list(dict.fromkeys(wanted))


def _prefills(subject: Subject, device: Device, new: int, past: int) -> bool:
    """Whether a prompt can be measured."""
    fits = subject.shard.kv_bytes(new + past) <= MEMORY_FRAC * device.memory_bytes
    return fits and new + past <= subject.shard.max_context_tokens


def _decodes(subject: Subject, device: Device, batch: int, context: int) -> bool:
    """Whether a decode batch can be measured."""
    fits = subject.shard.kv_bytes(batch * context) <= MEMORY_FRAC * device.memory_bytes
    return fits and context <= subject.shard.max_context_tokens


def measure(
    bench: Bench,
    wanted: Sequence[Operation],
    *,
    point_s: float,
    known: Mapping[str, Reading],
    keep: Callable[[Reading], None],
    progress: Progress,
) -> dict[str, Reading]:
    """A reading of every operation.

    Args:
        bench: that runs them.
        wanted: what to time.
        point_s: seconds spent on each.
        known: readings of an earlier, interrupted run; they are not taken again.
        keep: told every new reading as soon as it is there.
        progress: told what is measured.

    Returns:
        Readings by key.
    """
    found = dict(known)
    for position, operation in enumerate(wanted):
        if operation.key in found:
            continue
        progress(operation.key, position / len(wanted))
        try:
            reading = read(bench, operation, point_s)
        except (MemoryError, RuntimeError) as error:  # PyTorch's OutOfMemoryError is a RuntimeError
            if not operation.kind.endswith("attention") or "memory" not in str(error).lower():
                raise
            continue  # too large after all: extrapolated like those that are known to be
        keep(reading)
        found[reading.key] = reading
    return found


def read(bench: Bench, operation: Operation, point_s: float) -> Reading:
    """One operation, warmed up and timed; power is energy over wall time of the timed part."""
    run = bench.recorded(operation.prepared(bench))
    bench.timed(run, at_least_s=WARM_UP_FRAC * point_s, fewest=1)
    before_j, began_s = bench.energy_j(), time.perf_counter()
    samples = bench.timed(run, at_least_s=point_s)
    after_j, took_s = bench.energy_j(), time.perf_counter() - began_s
    low, middle, high = np.percentile(samples, (10, 50, 90)).tolist()
    watts = None if before_j is None or after_j is None else (after_j - before_j) / took_s
    return Reading(
        key=operation.key, median_s=middle, spread_ratio=(high - low) / middle if middle else 0.0,
        samples=len(samples), watts_w=watts,
    )  # fmt: skip


def composed(
    subject: Subject, device: Device, readings: Mapping[str, Reading], *, date: str, note: str
) -> KernelProfile:
    """The profile that the readings make.

    Args:
        subject: what was measured.
        device: on what.
        readings: of every operation that ``operations`` names.
        date: ISO date.
        note: thermal state and whatever else to beware of.
    """
    shard, knots = subject.shard, subject.knots
    alone = shard.tp > device.gpus
    prefill, prefill_guessed = filled(
        np.array([[_one(readings, shard.prefill(n, p)) for p in knots.past_tokens] for n in knots.new_tokens]),
        np.array([[n * (p + n / 2) for p in knots.past_tokens] for n in knots.new_tokens]),
    )
    decode, decode_guessed = filled(
        np.array([[_one(readings, shard.decode(b, c)) for c in knots.context_tokens] for b in knots.attention_batch]),
        np.array([[b * c for c in knots.context_tokens] for b in knots.attention_batch]),
    )
    # As in the baked profiles: a step launches its attention kernels once for all its prompts.
    launch_s = shard.layers * float(prefill[1:].min() if len(prefill) > 1 else 0.0)
    grid = knots.new_tokens, knots.past_tokens, knots.attention_batch, knots.context_tokens
    new, past, batch, context = (np.array(points, dtype=np.int64) for points in grid)
    alone_s = np.maximum(shard.layers * prefill - launch_s, 0.0)
    guessed = [int(mask.sum()) for mask in (prefill_guessed, decode_guessed)]
    warnings = [f"all-reduce of {shard.tp} GPUs is not in it: {device.gpus} took part"] if alone else []
    warnings += [f"{sum(guessed)} attention points extrapolated by work"] if sum(guessed) else []
    return KernelProfile(
        gpu=subject.gpu, model=subject.model, dtype=subject.dtype, kv_dtype=subject.dtype, tp=shard.tp, ep=1,
        engine=device.library.partition(" ")[0], engine_version=device.library.partition(" ")[2],
        profile_set=PROFILE_SET, overhead_s=0.0,
        tokens=np.array(knots.tokens, dtype=np.int64),
        linear_prefill_s=np.array([step_s(subject, device, readings, n, 1) + launch_s for n in knots.tokens]),
        batch=np.array(knots.batch, dtype=np.int64),
        linear_decode_s=np.array([step_s(subject, device, readings, b, b) for b in knots.batch]),
        new_tokens=new, past_tokens=past,
        prefill_attention_s=with_least_added(alone_s, new, past, shard.layers * decode, batch, context),
        attention_batch=batch, context_tokens=context,
        decode_attention_s=shard.layers * decode,
        decode_extrapolated=decode_guessed, prefill_extrapolated=prefill_guessed, measured_frac=1.0,
        provenance=Provenance(
            kind=Kind.DERIVED if alone else Kind.MEASURED, date=date,
            source=f"phasewise profile: {device.library} on {device.name}, driver {device.driver or 'none'}",
            note="; ".join(part for part in (*warnings, note) if part),
        ),
    )  # fmt: skip


def step_operations(subject: Subject, device: Device, tokens: int, rows: int) -> list[tuple[int, Operation]]:
    """Token-wise operations of a step on ``tokens`` that draws ``rows`` tokens, and how often each runs."""
    shard = subject.shard
    layer = shard.linear(tokens) + (shard.collectives(tokens) if device.gpus >= shard.tp else [])
    return [(shard.layers, operation) for operation in layer] + [(1, operation) for operation in shard.head(rows)]


def step_s(subject: Subject, device: Device, readings: Mapping[str, Reading], tokens: int, rows: int) -> float:
    """Seconds of those operations."""
    parts = step_operations(subject, device, tokens, rows)
    return sum(times * readings[operation.key].median_s for times, operation in parts)


def mean_watts_w(parts: Iterable[tuple[int, Operation]], readings: Mapping[str, Reading]) -> float | None:
    """Power of a step made of these operations, weighted by their times; None where one has no reading of it."""
    energy_j = took_s = 0.0
    for times, operation in parts:
        reading = readings[operation.key]
        if reading.watts_w is None:
            return None
        energy_j += times * reading.median_s * reading.watts_w
        took_s += times * reading.median_s
    return energy_j / took_s if took_s else None


def _one(readings: Mapping[str, Reading], operation: Operation) -> float:
    """Seconds of one launch; not a number where it was not measured."""
    found = readings.get(operation.key)
    return float("nan") if found is None else found.median_s


def filled(times_s: Floats, work: Floats) -> tuple[Floats, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """The table with every gap scaled by work from the largest measured entry that is smaller in both directions."""
    gaps = np.isnan(times_s)
    filled = times_s.copy()
    for i, j in np.argwhere(gaps):
        below = np.where(gaps[: i + 1, : j + 1], -1.0, work[: i + 1, : j + 1])
        at = np.unravel_index(int(np.argmax(below)), below.shape)
        filled[i, j] = times_s[at] * max(1.0, work[i, j] / work[at])
    return filled, gaps
