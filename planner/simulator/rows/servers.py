"""Instances of a row, advanced in ticks: queues, batches and watts.

An instance computes waiting prompts one after the other and decodes in between; steps of a batch are not simulated one
by one: all of it advances at one rate until a request joins, a request leaves, or the tick ends. Work is conserved: a
request leaves when its batch has advanced by its output tokens, whatever that took. docs/polca.md compares with the
simulation step by step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.perf.response import TOKEN_KNOTS, InstanceResponse
from planner.simulator.rows.state import (
    BUCKET_TOKENS,
    Books,
    Counts,
    Crew,
    Floats,
    Ints,
    Records,
    instance_type,
    kind_type,
    row_type,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """Instances that are alike.

    Attributes:
        name: of the pool or service.
        low_priority: capped first.
        response: times and watts.
        prompt_tokens: (s,) lengths that come round and round, one request after the other.
        output_tokens: (s,) likewise.
        computes_prompts: False where the KV cache arrives from elsewhere.
        decodes: False where requests leave with their first token.
    """

    name: str
    low_priority: bool
    response: InstanceResponse
    prompt_tokens: Ints
    output_tokens: Ints
    computes_prompts: bool = True
    decodes: bool = True


class RowServers:
    """The instances of a row; arrays over all of them."""

    def __init__(self, kinds: tuple[Kind, ...], kind_of: Ints, offset: Ints, machine_of: Ints) -> None:
        """Idle instances.

        Args:
            kinds: what there is.
            kind_of: (m,) position of each instance's kind.
            offset: (m,) where in the kind's lengths each instance begins.
            machine_of: (m,) machine that each stands on.
        """
        buckets = max(int(k.output_tokens.max()) for k in kinds) // BUCKET_TOKENS + 3
        ring = 1 << (buckets - 1).bit_length()  # code is compiled for each size of ring, so there are few
        from planner.simulator.rows.kernel import (
            kept_advance,
            records,
        )  # Numba is slow to import, and not needed before

        self.now: Records = records(len(kind_of), instance_type(ring))
        self.now["kind"], self.now["offset"], self.now["ring"] = kind_of, offset, ring
        self.waiting: Records = records(1, row_type())
        self._crew = Crew(instances=self.now, kinds=_tables(kinds, records), machine_of=machine_of)
        self._advance = kept_advance()

    @property
    def present(self) -> Ints:
        """(m,) requests that arrived and have not left."""
        present: Ints = self.now["arrived"] - self.now["finished"]
        return present

    def advance(
        self, ticks: range, tick_s: float, measured_from: int, arrivals: Counts, clock: Ints, books: Books
    ) -> int:
        """Ticks, until the manager has to look; see ``kernel.advance``.

        Returns:
            The tick after the last.
        """
        return int(self._advance(ticks.start, ticks.stop, tick_s, measured_from, arrivals, clock, self._crew, books))


def _tables(kinds: tuple[Kind, ...], records: Callable[[int, np.dtype[np.void]], Records]) -> Records:
    """Tables of several kinds; those of a smaller batch are filled up with their last entry."""
    most, samples = max(k.response.max_batch for k in kinds), len(kinds[0].prompt_tokens)
    made = records(len(kinds), kind_type(len(kinds[0].response.clocks_mhz), most, samples))
    for row, kind in zip(made, kinds, strict=True):
        r = kind.response
        for name, values in (
            ("base_s", r.decode_base_s), ("token_s", r.decode_token_s), ("decode_w", r.decode_w),
            ("decode_slow", r.decode_slowdown_ratio),
        ):  # fmt: skip
            missing = [(0, 0)] * (values.ndim - 1) + [(0, most + 1 - values.shape[-1])]
            row[name] = np.pad(values, missing, mode="edge")
        row["prefill_w"] = [np.interp(kind.prompt_tokens, TOKEN_KNOTS, w) for w in r.prefill_w]
        row["prefill_slow"], row["work_s"] = r.prefill_slowdown_ratio, _work_s(kind)
        row["prompt"], row["output"] = kind.prompt_tokens, kind.output_tokens if kind.decodes else 1
        row["kv"], row["most"], row["block"], row["samples"] = r.kv_tokens, r.max_batch, r.block_tokens, samples
    return made


def _work_s(kind: Kind) -> Floats:
    """Seconds of prefill work of each sample."""
    if not kind.computes_prompts:
        return np.zeros(len(kind.prompt_tokens))
    return np.interp(kind.prompt_tokens, TOKEN_KNOTS, kind.response.prefill_s)
