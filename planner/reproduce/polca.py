"""POLCA (Patel et al., ASPLOS'24): a row of 40 servers, 12 more of them, and who pays.

The published row has one number that fixes its load: its peak, 79 % of what was provisioned. How full the servers were
was not published, and it decides everything else; so the row is run twice, lightly loaded and busy.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log10

from hw_catalog.domains import load_power_delivery
from planner.policies.power import NoCap, OneThreshold, Polca, PowerPolicy
from planner.reproduce.claims import Claim, Reproduction, claim
from planner.reproduce.polca_row import BRAKE_MHZ, CLOCK_MAX_MHZ, polca_floor
from planner.simulator.rows.load import WEEK_S, WeeklyLoad
from planner.simulator.rows.metrics import largest_rise_w, losses, throughput_loss_frac
from planner.simulator.rows.rows import Floor, RowCase, RowRun, run_rows

Progress = Callable[[str, float], None]

SERVERS, MORE_SERVERS = 40, 52
RATED_W = 6500.0
PEAK_FRAC = 0.79
WEEKS, SWEPT_WEEKS = 6, 2
WARMUP_S = 3600.0

LOADS = {"light": 0.1, "busy": 0.5}
"""Rate at the weekly peak over the rate at which a server saturates. Assumed, both: nothing was published."""

WEEK = WeeklyLoad(
    peak_to_valley_ratio=3.3, peak_at_s=15 * 3600.0, weekend_ratio=0.9, noise_frac=0.05, noise_s=300.0
)  # fmt: skip
"""Peak over valley as in Azure's conversation service (second-hand); the rest assumed."""

POLCA = Polca(
    t1_frac=0.80, t2_frac=0.89, release_frac=0.05, low_t1_mhz=1275.0, low_t2_mhz=1110.0, high_mhz=1305.0
)  # fmt: skip
LAWS: Mapping[str, PowerPolicy] = {
    "no cap": NoCap(release_frac=0.05),
    "one threshold, all": OneThreshold(threshold_frac=0.89, release_frac=0.05, low_mhz=1110.0, high_mhz=1110.0),
    "one threshold, low priority": OneThreshold(threshold_frac=0.89, release_frac=0.05, low_mhz=1110.0, high_mhz=None),
    "POLCA": POLCA,
}
CLOCKS_MHZ = (CLOCK_MAX_MHZ, 1305.0, 1275.0, 1110.0, BRAKE_MHZ)

T2_FRACS = (0.83, 0.86, 0.92, 0.95, 0.98)
LADDER = (48, 50, 51, 53, 54, 56, 60)
"""Other numbers of servers that POLCA is tried with."""

PAPER = "ASPLOS'24, second-hand"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Measured:
    """The row under one load.

    Attributes:
        floor: what stands in it.
        limit_w: set so that the first 40 servers peak at 79 % of it.
        small: weeks of 40 servers without control.
        free: weeks of the most servers without control.
        laws: name -> weeks of 52 servers.
        t2: threshold -> some weeks of 52 servers under POLCA with it.
        ladder: servers -> some weeks of so many under POLCA.
    """

    floor: Floor
    limit_w: float
    small: list[RowRun]
    free: list[RowRun]
    laws: Mapping[str, list[RowRun]]
    t2: Mapping[float, list[RowRun]]
    ladder: Mapping[int, list[RowRun]]

    def loss_frac(self, weeks: list[RowRun]) -> Mapping[str, float]:
        """Latency that control added in some weeks."""
        return losses(weeks, self.free[: len(weeks)], self.floor)


def polca(*, progress: Progress, weeks: int = WEEKS, week_s: float = WEEK_S) -> Reproduction:
    """Every claim under both loads, and what they add up to.

    Args:
        progress: takes what is being measured, and the share that is done.
        weeks: simulated, each drawn anew.
        week_s: length of each; shorter is a trial run.
    """
    claims: list[Claim] = list(_arithmetic())
    for i, (name, load_frac) in enumerate(LOADS.items()):

        def tell(words: str, frac: float, name: str = name, i: int = i) -> None:
            progress(f"{name} load: {words}", (i + frac) / len(LOADS))

        measured = _measure(load_frac, weeks, week_s, tell)
        claims += [replace(c, reading=f"{name} load") for c in (*_published(measured), *_findings(measured))]
    return Reproduction(claims=tuple(claims))


def _measure(load_frac: float, weeks: int, week_s: float, tell: Progress) -> _Measured:
    """Run every row: first without control, which sets the limit, then with."""
    floor = polca_floor(CLOCKS_MHZ, max(LADDER), WEEK, load_frac)
    controls = load_power_delivery().controls
    seeds, few = range(1, weeks + 1), range(1, min(weeks, SWEPT_WEEKS) + 1)

    def run(cases: Sequence[RowCase], words: str, begin_frac: float, span_frac: float) -> list[RowRun]:
        return run_rows(
            floor, cases, controls, duration_s=week_s, warmup_s=min(WARMUP_S, week_s / 4),
            tell=lambda frac: tell(words, begin_frac + span_frac * frac),
        )  # fmt: skip

    sizes = (SERVERS, max(LADDER))
    free = run(
        [RowCase(machines=n, limit_w=inf, policy=None, seed=s) for n in sizes for s in seeds], "no control", 0, 0.3
    )
    small, most = free[:weeks], free[weeks:]
    limit_w = max(float(r.peak_w[-1]) for r in small) / PEAK_FRAC
    laws = [(law, MORE_SERVERS, s) for law in LAWS.values() for s in seeds]
    laws += [(replace(POLCA, t2_frac=t2), MORE_SERVERS, s) for t2 in T2_FRACS for s in few]
    laws += [(POLCA, n, s) for n in LADDER for s in few]
    done = run([RowCase(machines=n, limit_w=limit_w, policy=p, seed=s) for p, n, s in laws], "control", 0.3, 0.7)
    left = iter(done)
    return _Measured(
        floor=floor, limit_w=limit_w, small=small, free=most,
        laws={name: [next(left) for _ in seeds] for name in LAWS},
        t2={t2: [next(left) for _ in few] for t2 in T2_FRACS},
        ladder={n: [next(left) for _ in few] for n in LADDER},
    )  # fmt: skip


def _row(name: str, paper: float | None, ours: float | None, tolerance: float, source: str, note: str = "") -> Claim:
    return claim(name, paper, ours, tolerance, source=source, reading="arithmetic", note=note)


def _arithmetic() -> Iterator[Claim]:
    """What follows from published numbers alone."""
    yield _row(
        "servers more that fit without any control, 1/0.79 - 1", 0.30, 1 / PEAK_FRAC - 1, 0.005, PAPER,
        "statistical headroom: control has to provide what is left of the published 30 %",
    )  # fmt: skip
    yield _row(
        "T2 plus the largest rise in 40 s, share of the limit", 1.0, 0.89 + 0.118, 0.0, PAPER,
        "T2 is said to be chosen so that the rise fits; it does not quite, or the rise has another base",
    )  # fmt: skip


def _published(m: _Measured) -> Iterator[Claim]:
    """The published row beside ours."""
    skip = int(min(WARMUP_S, m.small[0].row_w.shape[0] * m.small[0].tick_s / 4) / m.small[0].tick_s)
    peak_w = PEAK_FRAC * m.limit_w
    yield _row(
        "peak of 40 servers over their rating of 6.5 kW", PEAK_FRAC, peak_w / (SERVERS * RATED_W), 0.01, PAPER,
        f"the limit is then set so that the peak is 79 % of it: {m.limit_w / SERVERS:,.0f} W a server",
    )  # fmt: skip
    for window_s, paper, tolerance in ((2.0, 0.09, 0.005), (40.0, 0.118, 0.0005)):
        rise_w = max(largest_rise_w(r.row_w[skip:], r.tick_s, window_s) for r in m.small)
        yield _row(
            f"largest rise of 40 servers in {window_s:.0f} s, share of the limit", paper, rise_w / m.limit_w, tolerance,
            PAPER, "ours: means over 2 s",
        )  # fmt: skip
    row, lost = m.laws["POLCA"], m.loss_frac(m.laws["POLCA"])
    done = throughput_loss_frac(row, m.free, m.floor)
    yield _row("+30 % servers under POLCA: brakes", 0, sum(r.brakes for r in row), 0, f"{PAPER}, preprint", _spent(row))
    for key, most, source in (
        ("high_p50", 0.01, PAPER), ("high_p99", 0.05, "recalled, not confirmed"),
        ("low_p50", 0.05, "recalled, not confirmed"), ("low_p99", 0.5, "recalled, not confirmed"),
    ):  # fmt: skip
        name = key.replace("_", " priority ")
        yield _row(f"+30 % servers under POLCA: {name} latency, at most so much more", 0, lost[key], most, source)
    for name, most in (("high", 0.01), ("low", 0.02)):
        yield _row(f"+30 % servers under POLCA: {name} priority throughput lost", 0, done[name], most, PAPER)
    brakes = {name: sum(r.brakes for r in weeks) for name, weeks in m.laws.items()}
    yield _row(
        "+30 % servers without caps: brakes, power of ten", 2.5, log10(max(brakes["no cap"], 0.1)), 1.5,
        f"{PAPER}, preprint: baselines 10 to 10,000", f"{brakes['no cap']} brakes",
    )  # fmt: skip
    yield _row(
        "baselines that brake more often than POLCA, of three", 3, sum(n > brakes["POLCA"] for n in brakes.values()), 0,
        f"{PAPER}, preprint", ", ".join(f"{name} {n}" for name, n in brakes.items()),
    )  # fmt: skip


def _spent(row: list[RowRun]) -> str:
    """Where the weeks went."""
    total = sum(sum(r.level_s) for r in row)
    levels = [sum(r.level_s[k] for r in row) / total for k in range(4)]
    shares = ", ".join(
        f"{n} {100 * s:.0f} %" for n, s in zip(("uncapped", "low 1275", "low 1110", "all"), levels, strict=True)
    )
    return f"time: {shares}; peak {100 * max(float(r.row_w.max()) / r.case.limit_w for r in row):.1f} % of the limit"


def _findings(m: _Measured) -> Iterator[Claim]:
    """What was not published: how much is headroom, how much is control, and what T2 should be."""
    within = [int((r.peak_w <= m.limit_w).sum()) for r in m.free]
    yield _row(
        "servers over 40 that the limit bears without control", 1 / PEAK_FRAC, min(within) / SERVERS, 0.0125,
        "arithmetic on the published peak", "larger rows vary less, so a little more than in proportion",
    )  # fmt: skip
    ladder = {**m.ladder, MORE_SERVERS: m.laws["POLCA"]}
    for n in sorted(ladder):
        weeks, lost = ladder[n], m.loss_frac(ladder[n])
        yield _row(
            f"POLCA with {n} servers ({100 * (n / SERVERS - 1):+.0f} %): high priority p50", None, lost["high_p50"], 0,
            "our finding", _words(weeks, lost),
        )  # fmt: skip
    sweep = {**m.t2, 0.89: m.laws["POLCA"]}
    for t2 in sorted(sweep):
        weeks, lost = sweep[t2], m.loss_frac(sweep[t2])
        yield _row(
            f"POLCA with T2 at {100 * t2:.0f} %, +30 % servers: high priority p50", None, lost["high_p50"], 0,
            "our finding", _words(weeks, lost),
        )  # fmt: skip


def _words(weeks: list[RowRun], lost: Mapping[str, float]) -> str:
    """Brakes, peak and losses in one line."""
    peak = max(float(r.row_w.max()) / r.case.limit_w for r in weeks)
    shares = ", ".join(f"{key.replace('_', ' ')} {100 * value:+.1f} %" for key, value in lost.items())
    return f"{sum(r.brakes for r in weeks)} brakes in {len(weeks)} weeks, peak {100 * peak:.1f} %; {shares}"
