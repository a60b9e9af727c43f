"""The failures that machines which are spare must make good: one at a time, a rack, and the last that may fail."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planner.capacity.redundancy import Rule, Stock, lost_machines, racks
from workloads.counts import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """What fails.

    Attributes:
        words: what fails.
        single: one failure of machines that are all up.
        before: machines of each pool that are down from the start.
        failing: machines of each pool that fail.
    """

    words: str
    single: bool
    before: tuple[int, ...]
    failing: tuple[int, ...]


def strikes(names: Sequence[str], stocks: Sequence[Stock], rule: Rule) -> Iterator[Strike]:
    """A machine of each pool, a rack, and the last machines that may be down, each where enough others are left.

    Args:
        names: of the pools.
        stocks: their machines.
        rule: what fails together.
    """
    left = tuple(stock.machines - stock.needed for stock in stocks)
    none, spans = (0,) * len(left), tuple(stock.span for stock in stocks)
    for place, name in enumerate(names):
        if left[place] >= spans[place]:
            one = tuple(span if at == place else 0 for at, span in enumerate(spans))
            what = f"{'a machine' if spans[place] == 1 else 'an instance'} of {name} fails"
            yield Strike(words=what, single=True, before=none, failing=one)
    count = racks(sum(stock.machines for stock in stocks), rule)
    lost = tuple(lost_machines(stock.machines, 1, count) for stock in stocks)
    if count > 1 and all(gone <= most for gone, most in zip(lost, left, strict=True)):
        yield Strike(words=f"a rack with {plural(sum(lost), 'machine')} fails", single=True, before=none, failing=lost)
    last = tuple(span if most >= span else 0 for span, most in zip(spans, left, strict=True))
    before = tuple(most - one for most, one in zip(left, last, strict=True))
    if any(before) or sum(map(bool, last)) > 1:
        what = f"with {plural(sum(before), 'machine')} down, the last {sum(last)} that may fail do"
        yield Strike(words=what, single=False, before=before, failing=last)
