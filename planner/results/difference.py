"""The nouns of a difference: what is added, removed and changed, and in which order."""

from dataclasses import dataclass

from planner.results.bill import Bill
from planner.results.evidence import Evidence
from planner.results.plan import Pool, Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What becomes of the machines of one type, whatever pools they serve in.

    Attributes:
        machine: their type.
        before: in the first plan.
        after: in the second.
        buy: to be had besides those that are there.
        retire: of those that are there, not needed any more.
        rent: to be had during the migration alone: what stands at once beyond the larger of the two plans.
        rent_usd_per_h: what those to be rented cost together, at the price of the plans' catalog.
        rent_moves: the first and the last move during which any of them stands, counted from 1; None without any.
    """

    machine: str
    before: int
    after: int
    buy: int
    retire: int
    rent: int = 0
    rent_usd_per_h: float = 0.0
    rent_moves: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one pool.

    Attributes:
        sign: ``+`` new, ``-`` gone, ``~`` another number of machines or another load, ``=`` as it was.
        pool: spec name, for example ``prefill/dgx-h100/tp4``.
        before: in the first plan; None where it is new.
        after: in the second plan; None where it is gone.
    """

    sign: str
    pool: str
    before: Pool | None
    after: Pool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How much room an objective has in each plan.

    Attributes:
        slo: its key.
        before: in the first plan; None where that did not promise it.
        after: in the second.
    """

    slo: str
    before: Evidence | None
    after: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step of the migration, and what stands after it.

    Attributes:
        sign: ``+`` machines are added, ``-`` removed, ``~`` turned from one pool into another.
        pool: spec name of what is added, removed or made.
        source: spec name of the pool whose machines are turned; None where none are.
        machines: how many in this step.
        totals: of everything that stands after the step (turned machines draw power and serve no request).
        safe: the cluster after it serves the load within every objective, and the power during and after it is within
            the limit.
        checked_by: ``simulation`` or ``envelope`` (planned loads only).
        evidence: of the simulation; empty by envelope.
        fails: what breaks, where it is not safe.
    """

    sign: str
    pool: str
    source: str | None
    machines: int
    totals: Totals
    safe: bool
    checked_by: str
    evidence: tuple[Evidence, ...]
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What it takes to get from one plan to another.

    Attributes:
        before: totals of the first plan.
        after: totals of the second.
        changes: one per pool of either plan, by name.
        margins: one per objective of either plan.
        moves: in order; empty where nothing moves.
        safe: every move is safe; where not, ``moves`` is the order that comes furthest.
        load: what the migration was checked against, in words; empty where it was not.
        power_limit_w: what the machines may draw together during the migration; None is unlimited.
        explanation: why no safe order was found, full sentences; empty where one was.
        bill_before: watts of the first plan, joules of a token, and what they cost and emit.
        bill_after: the same of the second.
        purchases: machines to buy, to retire and to rent meanwhile, by type.
        change_usd_per_h: machine prices of the second plan less those of the first.
        month_change_usd: the same in a mean month.
        most: the most that stands at any time of the migration, each quantity by itself.
        notes: what else differs between the two questions, full sentences.
    """

    before: Totals
    after: Totals
    changes: tuple[Change, ...]
    margins: tuple[Margin, ...]
    moves: tuple[Move, ...]
    safe: bool
    load: str
    power_limit_w: float | None
    explanation: tuple[str, ...]
    bill_before: Bill
    bill_after: Bill
    purchases: tuple[Purchase, ...]
    change_usd_per_h: float
    month_change_usd: float
    most: Totals
    notes: tuple[str, ...] = ()
