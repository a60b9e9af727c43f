"""What is shown of the difference between two plans, or two plans over time."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from planner.report.bill import bill_rows
from planner.report.page import Block, Cell, Lines, Page, Section, Table, Tile, columns, section
from planner.report.plans import reasons
from planner.report.schedule_words import J_PER_KWH
from planner.report.screen import Screen, rows_part
from planner.report.words import amount, dollars, planned_load
from planner.results.difference import Change, Diff, Move, Purchase
from planner.results.evidence import Evidence
from planner.schedules.compare import ScheduleDiff
from workloads.counts import number, percent, plural, watts

_SIGNS = {"+": "add", "-": "remove", "~": "change", "=": ""}
_CHECKED = {"simulation": "simulation", "envelope": "planned load"}


def diff_page(found: Diff) -> Page:
    """What to buy and to retire, what it costs, and the moves from one plan to the other."""
    verdict, headline = _verdict(found)
    pools = Table(
        columns=columns("", "pool", "#machines before", "#after", "#load after"),
        rows=[_change(change) for change in found.changes], caption="pools",
    )  # fmt: skip
    margins = Table(
        columns=columns("objective", "#limit before", "#room before", "#limit after", "#room after"),
        rows=[(each.slo, *_margin(each.before), *_margin(each.after)) for each in found.margins],
        caption="what is left of each limit",
    )  # fmt: skip
    notes = Lines(lines=tuple(found.notes), bullets=True) if found.notes else None
    about, told, moved = _about(found), tuple(_facts(found)), _moves_table(found)
    return Page(
        title="difference",
        verdict=verdict,
        good=found.safe,
        headline=headline,
        about=about,
        tiles=tuple(_tiles(found)),
        sections=(
            *section("purchase", "To buy and to retire", *_purchases(found)),
            *_moves(found),
            *section("pools", "Pools", pools),
            *section("totals", "Totals", _totals(found)),
            *section("margins", "Margins", margins),
            *section("asked", "Changes of the scenario", notes),
        ),
        screen=Screen(
            head=(f"{verdict}: {headline}", about),
            parts=(rows_part(moved),) if moved.rows else (),
            told=told,
            more="More: --report FILE, --sections all (or purchase, moves, pools, ...)",
        ).blocks,
    )


def _facts(found: Diff) -> Iterator[tuple[str, str]]:
    """What a first look must tell besides purchases and moves: what stops them, rent, money, watts, room, questions."""
    yield from reasons(found.explanation, "--sections moves")
    yield from (("Rent", _rented(each)) for each in found.purchases if each.rent)
    old, new, bills = found.before, found.after, (found.bill_before, found.bill_after)
    yield (
        "Cost",
        f"{dollars(old.cost_usd_per_h)} to {dollars(new.cost_usd_per_h)}; {month_words(found.month_change_usd)}",
    )
    mean = [bill.mean_w for bill in bills if bill.mean_w is not None]
    drawn = f"; {watts(mean[0], 3)} to {watts(mean[1], 3)} mean" if len(mean) == len(bills) else ""
    yield "Power", f"{watts(old.power_w)} to {watts(new.power_w)} rated{drawn}"
    if found.margins:
        yield (
            "Room left",
            "; ".join(f"{each.slo} {_room(each.before)} to {_room(each.after)}" for each in found.margins),
        )
    if found.load:
        yield "Checked", f"at {found.load}"
    yield from (("" if at else "Changed", line) for at, line in enumerate(found.notes))


def _room(found: Evidence | None) -> str:
    """What is left of a limit."""
    return "none asked" if found is None else percent(1 - found.used_ratio)


def _verdict(found: Diff) -> tuple[str, str]:
    """What to buy and to retire, what that changes, and whether there is a safe order."""
    if all(change.sign == "=" for change in found.changes) and not found.explanation:
        return "NO CHANGES", "the same machines in the same pools"
    headline = f"{purchase_words(found.purchases)}; {month_words(found.month_change_usd)}"
    if found.safe:
        return "SAFE", f"{headline}; a safe order of {plural(len(found.moves), 'move')}"
    return "NO SAFE ORDER FOUND", headline


def purchase_words(found: Sequence[Purchase]) -> str:
    """For example ``buy 4 hgx-h200, retire 2 dgx-a100, rent 1 hgx-h200 for moves 1 to 2 at $23.80/h``."""
    parts = [f"buy {each.buy} {each.machine}" for each in found if each.buy]
    parts += [f"retire {each.retire} {each.machine}" for each in found if each.retire]
    parts = parts or ["buy nothing, retire nothing"]
    parts += [f"rent {each.rent} {each.machine} for {_while(each)} at {_price(each)}" for each in found if each.rent]
    return ", ".join(parts)


def _price(found: Purchase) -> str:
    """What the rented machines of a type cost together."""
    return dollars(found.rent_usd_per_h)


def _rented(found: Purchase) -> str:
    """Why machines are rented, how many stand, and what that costs for how long it takes."""
    most = max(found.before, found.after)
    return (
        f"{number(most + found.rent)} {found.machine} stand at once during {_while(found)}, the plans have "
        f"{number(most)} at most; {number(found.rent)} more cost {_price(found)} while they stand, at the plans' prices"
    )


def _while(found: Purchase) -> str:
    """The moves during which a rented machine stands."""
    first, last = found.rent_moves or (0, 0)
    return f"moves {first} to {last}" if first < last else f"move {first}"


def month_words(usd_per_month: float) -> str:
    """For example ``$9,928/month more``."""
    if round(usd_per_month) == 0:
        return "at the same cost"
    return f"${abs(usd_per_month):,.0f}/month {'more' if usd_per_month > 0 else 'less'}"


def _about(found: Diff) -> str:
    """How service during the migration is known, and what stands at most."""
    if not found.moves:
        return ""
    ways = Counter(move.checked_by for move in found.moves)
    checked = ", ".join(f"{count} checked by {_CHECKED[way]}" for way, count in sorted(ways.items()))
    return (
        f"fleets during it: {checked}; at most {plural(found.most.machines, 'machine')}, "
        f"{dollars(found.most.cost_usd_per_h)}, {watts(found.most.power_w)} rated at once"
    )


def _tiles(found: Diff) -> Iterator[Tile]:
    """The figures of a purchase order."""
    bought, gone = (sum(getattr(each, key) for each in found.purchases) for key in ("buy", "retire"))
    yield Tile(label="Buy", value=number(bought), note=plural(bought, "machine").partition(" ")[2])
    yield Tile(label="Retire", value=number(gone), note=plural(gone, "machine").partition(" ")[2])
    same = not round(found.month_change_usd)
    sign = "+" if found.month_change_usd > 0 else "-"
    value = "none" if same else f"{sign}${abs(found.month_change_usd):,.0f}"
    note = "machines alone" if same else f"machines alone; {sign}{dollars(abs(found.change_usd_per_h))}"
    yield Tile(label="Change a month", value=value, note=note)
    change_w = found.after.power_w - found.before.power_w
    yield Tile(label="Rated power", value=f"{'+' if change_w >= 0 else '-'}{watts(abs(change_w))}",
               note=f"{watts(found.before.power_w)} to {watts(found.after.power_w)}")  # fmt: skip
    yield Tile(label="At most during it", value=watts(found.most.power_w),
               note=f"rated, {plural(found.most.machines, 'machine')}")  # fmt: skip
    yield Tile(label="Order of moves", value=f"{len(found.moves)} safe" if found.safe else "none found",
               note=_held(found) if found.safe else "see below")  # fmt: skip


def _held(found: Diff) -> str:
    """What is known of service after each move."""
    if all(move.checked_by == "simulation" for move in found.moves):
        return "every objective holds after each, simulated"
    return "planned loads stay within limits, not simulated"


def _purchases(found: Diff) -> Iterator[Block]:
    """Machines by type; those that the migration alone needs in columns of their own, where there are any."""
    rents = any(each.rent for each in found.purchases)
    rows = [
        (each.machine, *(number(count) for count in (each.before, each.after)),
         *(number(count) if count else "" for count in (each.buy, each.retire, each.rent)[: 3 if rents else 2]),
         *([_while(each), _price(each)] if each.rent else ["", ""] if rents else []))
        for each in found.purchases
    ]  # fmt: skip
    extra = ("#rent", "rented for", "#rent costs") if rents else ()
    headings = columns("machine", "#before", "#after", "#buy", "#retire", *extra)
    yield Table(columns=headings, rows=rows, caption="machines by type")
    if rents:
        yield Lines(lines=tuple(f"{_rented(each)}." for each in found.purchases if each.rent))


def _change(change: Change) -> tuple[Cell, ...]:
    """One pool, before and after."""
    was, will = (number(pool.machines) if pool else "none" for pool in (change.before, change.after))
    worked = planned_load(change.after.load_frac) if change.after else ""
    return _SIGNS[change.sign], change.pool, was, will, worked


def _totals(found: Diff) -> Table:
    """Money, watts and machines of both plans."""
    old, new = found.before, found.after
    rows = [
        ("cost", dollars(old.cost_usd_per_h), dollars(new.cost_usd_per_h), ""),
        ("power", watts(old.power_w), watts(new.power_w), "rated"),
        ("machines", number(old.machines), number(new.machines), ""),
        *bill_rows(found.bill_before, found.bill_after),
    ]
    return Table(columns=columns("", "#before", "#after", "~of what"), rows=rows, caption="totals")


def _margin(found: Evidence | None) -> tuple[str, str]:
    return ("", "") if found is None else (amount(found.limit, found.unit), percent(1 - found.used_ratio))


def _moves(found: Diff) -> Iterator[Section]:
    """Every move, then why it ends where it does."""
    if not found.moves and not found.explanation:
        return
    table = _moves_table(found)
    limit = "no power limit" if found.power_limit_w is None else f"at most {watts(found.power_limit_w)} rated"
    why = Lines(lines=found.explanation, bullets=True) if found.explanation else None
    checked = f"Checked at {found.load}; {limit}." if found.load else "Nothing was checked."
    yield from section("moves", "Order of moves", Lines(lines=(checked,)), table if table.rows else None, why)


def _moves_table(found: Diff) -> Table:
    """Every move, and what stands after it."""
    rows = [
        (
            str(index), _SIGNS[move.sign], _move(move), number(move.totals.machines),
            dollars(move.totals.cost_usd_per_h), watts(move.totals.power_w), _CHECKED[move.checked_by],
            _nearest(move.evidence), "safe" if move.safe else "; ".join(move.fails),
        )
        for index, move in enumerate(found.moves, 1)
    ]  # fmt: skip
    headings = columns("#", "", "move", "#machines", "?#cost", "#power", "?checked by", "?nearest objective", "~safe")
    return Table(columns=headings, rows=rows, caption="moves, and what stands after each")


def _nearest(evidence: Sequence[Evidence]) -> str:
    """The objective that has least room, as it was measured."""
    if not evidence:
        return ""
    near = max(evidence, key=lambda each: each.used_ratio)
    return f"{near.key} {amount(near.measured, near.unit)} of {amount(near.limit, near.unit)}"


def _move(move: Move) -> str:
    source = f" from {move.source}" if move.source else ""
    return f"{move.machines} {move.pool}{source}"


def fleet_diff_page(found: Mapping[str, Diff]) -> Page:
    """What changes between the plans of several models, model by model; moves are safe for each by itself."""
    pages = {name: diff_page(each) for name, each in found.items()}
    unsafe = [name for name, each in found.items() if not each.safe]
    still = all(page.verdict == "NO CHANGES" for page in pages.values())
    return Page(
        title="difference",
        verdict="NO SAFE ORDER FOUND" if unsafe else "NO CHANGES" if still else "SAFE",
        good=not unsafe,
        headline="; ".join(f"{name}: {page.headline}" for name, page in pages.items()),
        screen=_first_of(pages),
        sections=[
            replace(each, name=f"{name}.{each.name}", title=f"{name}: {each.title}", group=name)
            for name, page in pages.items()
            for each in page.sections
        ],
    )


def _first_of(pages: Mapping[str, Page]) -> Callable[[int], Sequence[Block]]:
    """The first screen of several models: how service of each is known, then where to read on."""
    told = tuple((name, page.about) for name, page in pages.items() if page.about)
    read_on = f"More: --report FILE, --sections all (or {next(iter(pages))}.moves, ...)"
    return Screen(head=(), parts=(), told=told, more=read_on).blocks


def schedule_diff_page(found: ScheduleDiff) -> Page:
    """Totals of two plans over time side by side, then the epochs that differ."""
    rows = [
        (
            str(each.epoch), f"{each.before.machines:g} -> {each.after.machines:g}",
            f"{each.after.cost_usd - each.before.cost_usd:+,.2f}",
            f"{(each.after.energy_j - each.before.energy_j) / J_PER_KWH:+,.1f}",
            f"{(each.after.carbon_g - each.before.carbon_g) / 1000:+,.1f}", _pools(each.instances_by_spec),
        )
        for each in found.epochs
    ]  # fmt: skip
    headings = columns("epoch", "#machines", "#cost, $", "#energy, kWh", "#CO2, kg", "~pools")
    epochs = Table(columns=headings, rows=rows, caption="epochs that differ") if rows else None
    totals = Table(
        columns=columns("over all epochs", "#before", "#after", "#change"), rows=_over_all(found), caption="totals"
    )
    return Page(
        title="difference",
        verdict="CHANGES" if rows else "NO CHANGES",
        good=True,
        headline=_schedule_headline(found),
        about=_base_change(found),
        tiles=list(_schedule_tiles(found)),
        warnings=found.notes,
        sections=(*section("totals", "Totals", totals), *section("epochs", "Epochs", epochs)),
    )


def _schedule_headline(found: ScheduleDiff) -> str:
    """What the second plan costs more or less, over all epochs."""
    if not found.epochs:
        return f"the same in all of {plural(found.unchanged, 'epoch')}"
    more = found.after.cost_usd - found.before.cost_usd
    share = f" ({percent(abs(more) / found.before.cost_usd)})" if found.before.cost_usd else ""
    money = f"${abs(more):,.2f}{share} {'more' if more > 0 else 'less'}" if round(more, 2) else "the same money"
    return f"{money}; {len(found.epochs)} of {plural(len(found.epochs) + found.unchanged, 'epoch')} differ"


def _base_change(found: ScheduleDiff) -> str:
    """What to buy and to retire of the base fleet."""
    moved = [(now - base, name) for name, (base, now) in found.base_machines.items() if now != base]
    words = [f"{'buy' if count > 0 else 'retire'} {abs(count)} {name}" for count, name in moved]
    return f"base fleet: {', '.join(words) or 'the same'}"


def _schedule_tiles(found: ScheduleDiff) -> Iterator[Tile]:
    """What changes over all epochs."""
    before, after = found.before, found.after
    yield Tile(label="Cost", value=f"{after.cost_usd - before.cost_usd:+,.2f} $",
               note=f"${before.cost_usd:,.2f} to ${after.cost_usd:,.2f}")  # fmt: skip
    was, now = ((side.energy_j / J_PER_KWH, side.carbon_g / 1000) for side in (before, after))
    yield Tile(label="Energy", value=f"{now[0] - was[0]:+,.1f} kWh", note=f"{was[0]:,.1f} to {now[0]:,.1f} kWh")
    yield Tile(label="Carbon", value=f"{now[1] - was[1]:+,.1f} kg CO2", note=f"{was[1]:,.1f} to {now[1]:,.1f} kg")
    starts = found.churn_machines
    yield Tile(label="Starts and stops", value=f"{starts[1] - starts[0]:+d}", note=f"{starts[0]} to {starts[1]}")


def _over_all(found: ScheduleDiff) -> Sequence[Sequence[Cell]]:
    """What all epochs together come to, before and after."""
    rows = []
    for words, key, scale in (
        ("cost, $", "cost_usd", 1.0), ("energy, kWh", "energy_j", J_PER_KWH), ("CO2, kg", "carbon_g", 1000.0),
        ("machines, mean", "machines", 1.0), ("instances, mean", "instances", 1.0),
    ):  # fmt: skip
        one, other = (getattr(side, key) / scale for side in (found.before, found.after))
        change = f"{100 * (other - one) / one:+.1f} %" if one else ""
        rows.append((words, number(round(one, 2)), number(round(other, 2)), change))
    rows.append(("starts and stops", str(found.churn_machines[0]), str(found.churn_machines[1]), ""))
    for name, (base, now) in found.base_machines.items():
        rows.append((f"base fleet, {name}", str(base), str(now), f"{now - base:+d}" if now != base else ""))
    return rows


def _pools(instances: Mapping[str, tuple[int, int]]) -> str:
    return "; ".join(f"{name.partition('/')[2]} {x} -> {y}" for name, (x, y) in instances.items())
