"""The power of a plan on its page: watts of the pools, joules of a token, and how many machines a row holds."""

from collections.abc import Iterator

from planner.report.html.blocks import Block, Lines, Section, Table, Tile
from planner.report.html.drawings import bar
from planner.report.power import expected_words, joules, joules_words
from planner.report.rows import row_words
from planner.report.words import number, percent, watts
from planner.results.evidence import Judgement
from planner.results.plan import Totals
from planner.results.row import RowStudy, RowTrial
from planner.scenario import Scenario


def energy_tile(judgement: Judgement, totals: Totals) -> Iterator[Tile]:
    """Joules of an output token: metered where the watts of every pool are known, else no more than the rating says."""
    spent, out = joules(judgement), judgement.output_tokens_per_s
    if out <= 0:
        return
    if spent:
        total_j = sum(spent.values())
        note = f"at the plugs; {number(total_j / 3.6)} kWh a million"
        yield Tile(label="Energy per output token", value=f"{total_j:.3g} J", note=note)
        return
    rated_j = totals.power_w / out
    note = f"at rated power; {number(rated_j / 3.6)} kWh a million"
    yield Tile(label="Energy per output token", value=f"≤ {number(rated_j)} J", note=note)


def power_blocks(judgement: Judgement, totals: Totals, scenario: Scenario) -> list[Block]:
    """Watts per pool, what a token takes, and what the electricity costs and emits."""
    rows = []
    for use in judgement.pools:
        if p := use.power:
            parts = (p.standby_w, p.prefill_w, p.decode_w, p.mean_w, p.p95_w, p.p99_w, p.peak_w)
            rows.append((use.pool, *(watts(value) for value in parts)))
    if not rows:
        return []
    headings = ("pool", "#standing by", "#prefill", "#decode", "#mean", "#p95", "#p99", "#peak 1 s")
    words = (*joules_words(judgement), *expected_words(totals, scenario))
    return [Table(headings=headings, rows=rows, caption="watts at the plugs"), Lines(lines=words)]


def row_section(row: RowStudy) -> Section:
    """How many machines the row holds, what control costs whom, and what the domains around it see."""
    headings = (
        "#machines", "#ratio", "peak, share of the limit", "#peak", "#brakes", "#low p50", "#low p99", "#high p50",
        "#high p99", "holds",
    )  # fmt: skip
    most = max((t.peak_frac for t in row.trials), default=1.0)
    domains = [
        (d.domain, number(d.machines), *(watts(w) for w in (d.rated_w, d.limit_w, d.p99_w, d.peak_w)),
         percent(d.coincidence_ratio))
        for d in row.domains
    ]  # fmt: skip
    return Section(
        name="row", title="How many a row holds",
        blocks=[
            Lines(lines=tuple(row_words(row))),
            Table(headings=headings, rows=[_trial(t, max(1.0, most)) for t in row.trials], caption="machines tried"),
            Table(
                headings=("domain", "#machines", "#rated", "#limit", "#p99", "#peak", "#coincidence"), rows=domains,
                caption="what the power domains see, without control",
            ),
            Lines(lines=row.assumptions, bullets=True),
        ],
    )  # fmt: skip


def _trial(trial: RowTrial, most: float) -> tuple[str, ...]:
    losses = (f"{trial.loss_frac[key]:+.1%}" for key in ("low_p50", "low_p99", "high_p50", "high_p99"))
    peak = bar(trial.peak_frac, f"peak {percent(trial.peak_frac)} of the limit", most=most)
    return (
        number(trial.machines), f"{trial.ratio:.2f}", peak, percent(trial.peak_frac), number(trial.brakes), *losses,
        "✗" if trial.fails else "✓",
    )  # fmt: skip
