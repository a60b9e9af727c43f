"""What a cell of a fleet did, in counts: those of all cells add up, so that a fleet of any size fits into memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.simulator.account import DESCRIBED, left
from planner.simulator.books import _INV, _LOG_MIN, GAP_BINS, Meter, bin_edges_s
from planner.simulator.metrics import Observed, Sample, attained, gap_parts, speaks_of
from planner.simulator.pools import Run
from workloads.slo import Metric, Slo, Unit

Counts = NDArray[np.float64]

ENDS = np.append(bin_edges_s(), np.inf)
"""Upper edges of the bins that values are counted in, 0.2 % wide as those of token gaps: percentiles of a fleet carry
at most that rounding, upward."""

FIGURES = tuple(Slo(metric=metric, percentile=DESCRIBED[0], limit=1.0) for metric in Metric)
"""Every metric, whose percentiles are told of every judgement."""


@dataclass(slots=True, kw_only=True, eq=False)
class Tally:
    """Counts of one cell, or of several.

    Attributes:
        objectives: of each objective (slices, bins) how many values ended in each bin.
        odd: the same of every second cell alone: two halves of a fleet differ by chance.
        figures: of each metric (1, bins).
        counts: requests arrived, finished, refused, restarted, unfinished, measured, and of them good; transfers.
        sums: output and prompt tokens of those that ended, and of the good; seconds on links, and waited for them.
        meters: pool name -> the meters of all instances.
        above_j: pool name -> joules above idle in each second.
        engine: what simulated it.
    """

    objectives: list[Counts]
    odd: list[Counts]
    figures: list[Counts]
    counts: dict[str, int]
    sums: dict[str, float]
    meters: dict[str, list[Meter]]
    above_j: dict[str, NDArray[np.float64]]
    engine: str

    def add(self, other: "Tally") -> None:
        """Count what another cell did too."""
        for name in ("objectives", "odd", "figures"):
            for mine, theirs in zip(getattr(self, name), getattr(other, name), strict=True):
                mine += theirs
        self.counts = {key: value + other.counts[key] for key, value in self.counts.items()}
        self.sums = {key: value + other.sums[key] for key, value in self.sums.items()}
        for name, meters in other.meters.items():
            self.meters[name] = [*self.meters[name], *meters]
            mine, theirs = self.above_j[name], other.above_j[name]
            seconds = min(len(mine), len(theirs))  # windows begin and end with an arrival
            self.above_j[name] = mine[:seconds] + theirs[:seconds]

    def sample(self, objective: int, *, second_half: bool = False, halves: bool = False) -> Sample:
        """The values of an objective, by slice of the window; of both halves of the cells, where these are compared."""
        rows = self.objectives[objective]
        if halves:
            odd = self.odd[objective]
            return Sample(values=(ENDS,) * (2 * len(rows)), weights=(*(rows - odd), *odd), slices=len(rows))
        kept = rows[len(rows) // 2 if second_half else 0 :]
        return Sample(values=(ENDS,) * len(kept), weights=tuple(kept))

    def latency_s(self) -> dict[str, float]:
        """The described percentiles of every metric, by the name that an objective on it would have."""
        found: dict[str, float] = {}
        for figure, rows in zip(FIGURES, self.figures, strict=True):
            values = Sample(values=(ENDS,), weights=(rows[0],)).quantiles([p / 100 for p in DESCRIBED])
            names = (Slo(metric=figure.metric, percentile=p, limit=1.0).name for p in DESCRIBED)
            found |= dict(zip(names, values, strict=True))
        return found


def tally(run: Run, seen: Observed, slos: Sequence[Slo], *, odd: bool = False) -> Tally:
    """What one cell did.

    Args:
        run: of the cell.
        seen: the same, as objectives are measured on it.
        slos: the objectives.
        odd: it is one of the second half of the cells.
    """
    rows, ledger, trace = seen.rows(), run.ledger, seen.trace
    objectives = [_binned(seen, slo) for slo in slos]
    good, ended = attained(seen, slos), np.isfinite(ledger.e2e_s[rows])
    return Tally(
        objectives=objectives,
        odd=[counts * odd for counts in objectives],
        figures=[_binned(seen, slo).sum(axis=0, keepdims=True) for slo in FIGURES],
        counts={
            **{key: getattr(ledger, key) for key in ("arrived", "finished", "refused", "restarted", "transfers")},
            "unfinished": left(run), "measured": seen.count, "good": int(good.sum()),
        },
        sums={
            "output_tokens": float(trace.output_tokens[rows][ended].sum()),
            "prompt_tokens": float(trace.prompt_tokens[rows][ended].sum()),
            "good_output_tokens": float(trace.output_tokens[rows][good].sum()),
            "good_prompt_tokens": float(trace.prompt_tokens[rows][good].sum()),
            "transfer_s": ledger.transfer_s, "link_wait_s": ledger.link_wait_s,
        },
        meters={name: list(meters) for name, meters in run.meters.items()},
        above_j={name: np.asarray(meters[0].above_j) for name, meters in run.meters.items() if meters},
        engine=run.engine,
    )  # fmt: skip


def _binned(seen: Observed, slo: Slo) -> Counts:
    """(slices, bins) how many values of an objective's metric end in each bin."""
    slices = seen.ledger.window.slices
    if slo.metric is Metric.TBT and slo.unit is Unit.SECONDS:
        return np.array([weights for _, weights in gap_parts(seen, slo, range(slices), ENDS)])
    mine = speaks_of(seen, slo)
    values, part = seen.values(slo)[mine], seen.slices()[mine]
    with np.errstate(divide="ignore"):
        place = np.ceil((np.log(values) - _LOG_MIN) * _INV) - 1
    bins = np.clip(np.nan_to_num(place, posinf=GAP_BINS, neginf=0), 0, GAP_BINS).astype(np.int64)
    return (
        np.bincount(part * (GAP_BINS + 1) + bins, minlength=slices * (GAP_BINS + 1)).reshape(slices, -1).astype(float)
    )
