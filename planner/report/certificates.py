"""Why this plan and no smaller one: rounds, bounds, rejected plans."""

from collections.abc import Iterator, Sequence

from planner.perf.layout import Role
from planner.report.html.drawings import bar
from planner.report.page import Chip, Lines, Section, Table, Tone, columns, section
from planner.report.words import dollars, is_best, plan_gap, valued
from planner.results.evidence import Certificate, Round, ValidatedPlan
from planner.results.precision import precision
from planner.scenario.objectives import Objective
from workloads.counts import number

_SLACK_RATIO = 1.1
"""A plan that carries so much more than its load is not called optimal: what it has to spare is whole machines."""
_RESOURCE = {
    "cost": "cost", "power": "rated power", "machines": "number of machines", "throughput": "throughput",
    "energy": "mean power", "carbon": "carbon",
}  # fmt: skip


def smaller(plan: ValidatedPlan) -> Iterator[Section]:
    """Every plan that would be better, and what it misses."""
    rows = [(n.pool, number(n.machines), "; ".join(n.fails)) for n in plan.certificate.neighbours]
    more = plan.objective == Objective.THROUGHPUT
    table = Table(columns=columns("pool", "#machines", "~fails"), rows=rows, caption="plans that were rejected")
    none = Lines(lines=("No neighbour was simulated.",))
    title = "Rejected plans of more throughput" if more else "Rejected smaller plans"
    yield from section("smaller", title, table if rows else none)


def rounds(plan: ValidatedPlan) -> Iterator[Section]:
    """What the optimiser proposed and the simulator said, and how far the plan is from a proven optimum."""
    yield from section("rounds", "Planning rounds", tried(plan.rounds), Lines(lines=(certified(plan),)))


def tried(turns: Sequence[Round]) -> Table:
    """Proposals, one a line."""
    most = max((r.candidate.totals.cost_usd_per_h for r in turns), default=1.0) or 1.0
    rows = []
    for index, turn in enumerate(turns, 1):
        totals, good = turn.candidate.totals, turn.judgement.valid
        cost = dollars(totals.cost_usd_per_h)
        drawing = bar(totals.cost_usd_per_h / most, cost, colour="c2" if good else "c1", limited=False)
        served = sum(sum(p.rate_req_per_s.values()) for p in turn.candidate.pools if p.spec.role is not Role.DECODE)
        said = Chip(words=turn.note, tone=Tone.GOOD if good else Tone.BAD)
        rows.append((str(index), turn.step, number(totals.machines), drawing, cost, number(served), said))
    headings = columns("#round", "step", "#machines", "!cost", "#cost", "#req/s", "~the simulator says")
    return Table(columns=headings, rows=rows, caption="propose, simulate, tighten, shrink")


def certified(plan: ValidatedPlan) -> str:
    """How far the plan is from a proven optimum, in sentences."""
    certificate, objective = plan.certificate, Objective(plan.objective)
    value = valued(objective, plan.objective_value)
    if certificate.bound is None or certificate.gap_frac is None:
        return f"The {_RESOURCE[objective]} is {value}; {_unbounded(certificate, objective)}."
    side = "at most" if objective is Objective.THROUGHPUT else "at least"
    what = f"The {_RESOURCE[objective]} is {value}"
    if not is_best(plan):
        bound = valued(objective, certificate.bound)
        return (
            f"{what}; whatever the latencies it is {side} {bound}, which is proven{_among(plan)}. "
            f"No plan in the gap of {plan_gap(plan)} is known: "
            f"latency percentiles and whole machines take most of it."
        )
    if plan.margin and plan.margin.holds_ratio >= _SLACK_RATIO:
        return (
            f"{what}; no fewer whole machines can carry the load, which is proven. The load margin is what whole "
            "machines leave."
        )
    return f"{what}, proven optimal{_among(plan)}: less cannot carry the load, whatever its latencies."


def _unbounded(certificate: Certificate, objective: Objective) -> str:
    """Why no bound is told of a value."""
    if certificate.expected_bound is None:
        return "the solver proved no bound"
    bound = valued(objective, certificate.expected_bound)
    return f"at least {bound} is proven of endless traffic, of which this sample drew less by chance"


def _among(plan: ValidatedPlan) -> str:
    """Among what an optimum is one."""
    if plan.certificate.among:
        return f" among the machines and layouts offered in {'; '.join(plan.certificate.among)}"
    if not plan.served:
        return ""
    return f" among the machines and layouts offered with {precision(plan.served)}, policy {plan.candidate.policy}"
