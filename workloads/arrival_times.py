"""Arrival times as they were meant: their unit, their order, and rows dated far from all others."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.trace_formats import UNITS, TraceFormat

Floats = NDArray[np.float64]

FEW_ROWS = 20
"""Below this many rows neither a rate nor an outlier can be told from chance."""

FAR_RATIO = 10.0
"""A gap of more than this many times the span of the middle 90 % of all rows separates outliers from them."""

FASTEST_REQ_PER_S, FASTEST_TOKENS_PER_S, SHORTEST_S = 1000.0, 5e6, 1.0
"""Beyond any public trace: the busiest (Azure 2024) has peaks of some 200 req/s and 400,000 tokens/s."""

SLOWEST_REQ_PER_S, SLOWEST_WHOLE_REQ_PER_S = 1e-3, 0.1
"""Below these a unit is asked for: the second where the unit's name promises fractions and there are none."""

_EPOCH_S = (1e9, 2.5e9)
"""Seconds since 1970 of the years 2001 and 2049."""

_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How the numbers of an arrival column are read.

    Attributes:
        unit: of them.
        reason: why, where it is not what the format or the column's name says; empty otherwise.
    """

    unit: str
    reason: str = ""

    @property
    def tick_s(self) -> float:
        """Seconds per unit."""
        return UNITS[self.unit]


def outliers(times: Floats) -> NDArray[np.bool_]:
    """Which rows are dated far from all others, (n,); none where there are few rows.

    A row is one where a gap of more than ``FAR_RATIO`` times the span of the middle 90 % of all rows lies between it
    and them. The order of the rows and the unit do not matter.
    """
    far = np.zeros(len(times), np.bool_)
    if len(times) < FEW_ROWS:
        return far
    order = np.argsort(times, kind="stable")
    ranked = times[order]
    low, high = round(0.05 * (len(times) - 1)), round(0.95 * (len(times) - 1))
    span = ranked[high] - ranked[low]
    if span <= 0:
        return far
    wide = np.diff(ranked) > FAR_RATIO * span
    after = np.flatnonzero(wide[high:])
    before = np.flatnonzero(wide[:low])
    far[order[high + 1 + after[0] :] if len(after) else []] = True
    far[order[: before[-1] + 1] if len(before) else []] = True
    return far


def clock_of(times: Floats, tokens: Floats, trace_format: TraceFormat, *, stated: str, where: str) -> Clock:
    """The unit of arrival times: as stated, as the format has it, or inferred with a reason.

    Args:
        times: (n,) non-decreasing, in the unit that is looked for.
        tokens: (n,) prompt and output tokens together.
        trace_format: whose column they come from.
        stated: ``workload.time_unit``: ``auto``, or the unit.
        where: what messages begin with.

    Raises:
        WorkloadError: no unit is stated, and that of the format or the column's name is implausible; the text gives
            the rate under each unit that is plausible.
    """
    seen = _Seen(times=times, tokens=tokens)
    usual = trace_format.unit
    if stated != "auto":
        doubt = seen.implausible(stated, whole_is_usual=True)
        return Clock(unit=stated, reason=f"arrivals are in {_WORDS[stated]}, as stated: {doubt}" if doubt else "")
    column = trace_format.columns[0]
    says = f"{column} says {usual}" if trace_format.named else f"{usual} is {trace_format.name}'s unit"
    epoch = _epoch_unit(times)
    if epoch and epoch != usual:
        year = f"{column} holds {_WORDS[epoch]} since 1970 ({times[0]:.0f} is in {_year(times[0] * UNITS[epoch])})"
        if trace_format.named:
            raise WorkloadError(f"{where}: {year}, though {says}; {_state((usual, epoch))}")
        return Clock(unit=epoch, reason=f"arrivals are read as {_WORDS[epoch]}, though {says}: {year}")
    doubt = seen.implausible(usual, whole_is_usual=False)
    # A format that writes whole milliseconds, and a file with fractions of them: another program wrote it.
    foreign = trace_format.whole and seen.fractions
    others = [unit for unit in UNITS if unit != usual and not seen.implausible(unit, whole_is_usual=True)]
    if doubt and foreign and len(others) == 1:
        read = f"{doubt}, and the numbers have fractions; as {_WORDS[others[0]]} {seen.rate(others[0])}"
        return Clock(unit=others[0], reason=f"arrivals are read as {_WORDS[others[0]]}, though {says}: {read}")
    if trace_format.whole and not others and not seen.implausible(usual, whole_is_usual=True):
        doubt = ""  # a sparse log of whole numbers, and no other unit to read it in
    if doubt or (foreign and others and len(times) >= FEW_ROWS):
        doubt = doubt or f"as {_WORDS[usual]} {seen.rate(usual)}, but {trace_format.name} writes whole numbers"
        choices = "; ".join(f"as {_WORDS[unit]} {seen.rate(unit)}" for unit in others)
        raise WorkloadError(
            f"{where}: {column}: {says}, but {doubt}{'; ' if choices else ''}{choices}; {_state((usual, *others))}"
        )
    if seen.sparse(usual) and others and not trace_format.named:
        either = f"as {_WORDS[usual]} {seen.rate(usual)}; as {_WORDS[others[0]]} {seen.rate(others[0])}"
        return Clock(unit=usual, reason=f"arrivals are read as {_WORDS[usual]}, for {says}: {either}")
    return Clock(unit=usual)


def _state(units: Iterable[str]) -> str:
    return f"expected workload.time_unit to say which: {' or '.join(dict.fromkeys(units))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What speaks for and against a unit."""

    times: Floats
    tokens: Floats

    @property
    def fractions(self) -> bool:
        """Whether a time is no whole number."""
        return bool((self.times != np.floor(self.times)).any())

    def _span_s(self, unit: str) -> float:
        return float(self.times[-1] - self.times[0]) * UNITS[unit]

    def rate(self, unit: str) -> str:
        """Requests and tokens per second under a unit, in words."""
        span_s = self._span_s(unit)
        rate, tokens = (len(self.times) - 1) / span_s, float(self.tokens.sum()) / span_s
        return f"{len(self.times):,} rows in {span_s:.4g} s are {rate:.4g} req/s, {tokens:.3g} tokens/s"

    def sparse(self, unit: str) -> bool:
        """Whether so few requests come that a smaller unit may be meant, fractions or not."""
        span_s = self._span_s(unit)
        return len(self.times) >= FEW_ROWS and span_s > 0 and (len(self.times) - 1) / span_s < SLOWEST_WHOLE_REQ_PER_S

    def implausible(self, unit: str, *, whole_is_usual: bool) -> str:
        """Why arrivals cannot well be in a unit; empty where they can, or there are too few to say."""
        span_s = self._span_s(unit)
        if len(self.times) < FEW_ROWS or span_s <= 0:
            return ""
        rate, tokens = (len(self.times) - 1) / span_s, float(self.tokens.sum()) / span_s
        if rate > FASTEST_REQ_PER_S or tokens > FASTEST_TOKENS_PER_S or span_s < SHORTEST_S:
            return f"as {_WORDS[unit]} {self.rate(unit)}: faster than any known log"
        slow = rate < SLOWEST_WHOLE_REQ_PER_S and not self.fractions and not whole_is_usual
        if slow or rate < SLOWEST_REQ_PER_S:
            whole = ", all of them whole numbers" if slow else ""
            return f"as {_WORDS[unit]} {self.rate(unit)}{whole}: slower than any known log"
        return ""


def _epoch_unit(times: Floats) -> str:
    """The unit in which numbers are dates since 1970; empty where they are none."""
    for unit, tick_s in UNITS.items():
        low, high = (bound / tick_s for bound in _EPOCH_S)
        if low <= times[0] and times[-1] <= high and times[-1] - times[0] < 0.2 * times[0]:
            return unit
    return ""


def _year(seconds: float) -> int:
    return 1970 + int(seconds / (365.25 * 86400))
