"""A hand-made sweep of twenty points and a hand-made frontier."""

from dataclasses import replace

from planner.results.frontier import Design, Frontier
from planner.results.sweep import VALIDATED, Binding, Knob, Outcome, Point, Regret, ShadowPrice, Swing, WhatIf
from tests.planner import plans

RATES = ("0.5", "1", "2", "3", "4")
LIMITS = ("0.5", "1", "2", "4")


def outcome(cost_usd_per_h: float, *, holds: bool = True) -> Outcome:
    """A plan of some cost, or none."""
    base = plans.candidate()
    bought = replace(base, totals=replace(base.totals, cost_usd_per_h=cost_usd_per_h))
    return Outcome(
        digest="ab" * 32,
        verdict=VALIDATED if holds else "infeasible",
        explanation=() if holds else ("no plan fits the budgets",),
        candidate=bought if holds else None,
        objective_value=cost_usd_per_h if holds else None,
        served_req_per_s=20.0 if holds else None,
        bound=cost_usd_per_h * 0.9 if holds else None,
        evidence=plans.judgement().evidence if holds else (),
        margin_frac={"ttft_p99_s": 0.2, "tbt_p99_s": 0.4} if holds else {},
        binds=(Binding(kind="objective", name="ttft_p99_s", used_frac=0.8),) if holds else (),
    )


def whatif() -> WhatIf:
    """Load by limit, the last of which has no plan; a tornado and shadow prices."""
    points = tuple(
        Point(
            name=f"rate_scale={rate}, ttft_p99_s={limit}",
            settings={"workload.rate_scale": rate, "slo.ttft_p99_s": limit},
            outcome=outcome(40 + 30 * float(rate) / float(limit) ** 0.2, holds=(rate, limit) != ("4", "0.5")),
        )
        for rate in RATES
        for limit in LIMITS
    )
    held = [p for p in points if p.outcome.verdict == VALIDATED]
    as_given = Point(name="as given", settings={}, outcome=outcome(70.0))
    return WhatIf(
        scenario=plans.scenario(),
        knobs=(Knob(key="workload.rate_scale", values=RATES), Knob(key="slo.ttft_p99_s", values=LIMITS)),
        points=points,
        base=as_given,
        regret=tuple(
            Regret(
                bought=a.name, happens=b.name, holds=a is b, fails=(), add={}, extra=0.0,
                regret=max(0.0, (a.outcome.objective_value or 0) - (b.outcome.objective_value or 0)),
            )
            for a in held
            for b in held
            if a is not b
        ),
        tornado=tuple(
            Swing(name=name, low=as_given, high=as_given, low_change=low, high_change=high)
            for name, low, high in (
                ("load", -21.0, 41.4), ("price of dgx-h100", -8.0, 8.0), ("ttft_p99_s", 20.0, None), ("power", 0.0, 0.0)
            )
        ),
        tornado_frac=0.2,
        shadow_prices=(
            ShadowPrice(
                budget="power_w", limit=40_000.0, step=6500.0, more=as_given, less=as_given, gain_per_unit=0.0016,
                loss_per_unit=None,
            ),
        ),
    )  # fmt: skip


def frontier() -> Frontier:
    """Six efficient designs and three dominated ones."""
    pairs = [(30.0 + 15 * i, 4.0 + 6 * i**0.8, True) for i in range(6)]
    pairs += [(50.0 + 20 * i, 5.0 + 5 * i**0.8, False) for i in range(3)]
    return Frontier(
        scenario=plans.scenario(),
        x="cost",
        y="throughput",
        bounded="cost",
        units={"cost": "USD/h", "throughput": "req/s"},
        best={"cost": "least", "throughput": "most"},
        designs=tuple(
            Design(
                values={"cost": x, "throughput": y}, efficient=good, bound=x, outcome=outcome(x),
                machines={"decode dgx-a100": 2, "prefill dgx-h100": 1},
            )
            for x, y, good in sorted(pairs)
        ),
        step=0.01,
        complete=True,
        ended="the budget was reached",
    )  # fmt: skip
