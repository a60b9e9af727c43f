"""The figures that a first look must tell, for a terminal and a web page alike: money, tokens, watts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isinf

from planner.report.money import NONE, longest_gap
from planner.report.page import Tile
from planner.report.power import energy_tile
from planner.report.words import dollars, objective_words, rate, spares_down
from planner.results.bill import MONTH_H
from planner.results.billed import billed_frac
from planner.results.choice import Choice, per_million
from planner.results.evidence import Judgement, Margin
from planner.results.plan import CandidatePlan
from workloads.counts import number, percent, plural, watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What machines take, and what they give for it.

    Attributes:
        machines: bought.
        spares: of them, how many may be down.
        gpus: in them.
        usd_per_h: of the machines alone.
        prompt_usd: of a million prompt tokens, all that are computed; None where no request met every objective, and
            where the money is not divided.
        output_usd: of a million output tokens, all that are generated; None where no request met every objective.
        late: an objective is missed, and both prices are of the tokens of requests that met every objective.
        divided: ``output_usd`` is without what prompts cost.
        output_tokens_per_s: of all GPUs.
        user_tokens_per_s: of the median request while it decodes; None where not known.
        concurrency: requests that decode at once on a machine, the mean; None where not known.
        rated_w: nameplates, or enforced caps.
        mean_w: mean at the wall in simulation; None where nothing is known of the GPUs' watts.
        expected_w: the same at the planned rates.
        p99_w: of 100 simulated seconds, 99 draw no more; None where that is not known.
        summed: ``p99_w`` adds up those of several models, whose peaks need not coincide.
    """

    machines: int
    spares: int
    gpus: int
    usd_per_h: float
    prompt_usd: float | None
    output_usd: float | None
    output_tokens_per_s: float
    user_tokens_per_s: float | None
    rated_w: float
    mean_w: float | None
    expected_w: float | None
    p99_w: float | None
    divided: bool = True
    concurrency: float | None = None
    summed: bool = False
    late: bool = False

    @property
    def usd_per_month(self) -> float:
        """Of the machines alone, in a mean month."""
        return self.usd_per_h * MONTH_H

    @property
    def gpu_tokens_per_s(self) -> float:
        """Output tokens, over all GPUs bought."""
        return self.output_tokens_per_s / max(1, self.gpus)

    @property
    def megawatt_tokens_per_s(self) -> float | None:
        """Output tokens a second over the megawatts that the machines draw at the wall on average."""
        drawn_w = self.average[0]
        return self.output_tokens_per_s / drawn_w * 1e6 if drawn_w else None

    @property
    def average(self) -> tuple[float | None, str]:
        """Watts at the wall, and whether they are the mean of a simulation or what the plan expects."""
        return (self.expected_w, "expected") if self.mean_w is None else (self.mean_w, "mean")


def figures_of(candidate: CandidatePlan, judgement: Judgement, priced: Choice | None) -> Figures:
    """The figures of a plan that was simulated.

    Args:
        candidate: the machines.
        judgement: what the simulator saw of them.
        priced: the same plan with its money divided between prompts and outputs; None where that was not asked.
    """
    totals = candidate.totals
    undivided = per_million(totals.cost_usd_per_h, judgement.output_tokens_per_s * billed_frac(judgement)[1])
    return Figures(
        machines=totals.machines, spares=sum(pool.spares for pool in candidate.pools), gpus=totals.gpus,
        usd_per_h=totals.cost_usd_per_h,
        prompt_usd=priced.usd_per_million_prompt_tokens if priced else None,
        output_usd=priced.usd_per_million_output_tokens if priced else undivided, divided=priced is not None,
        output_tokens_per_s=judgement.output_tokens_per_s,
        user_tokens_per_s=priced.user_tokens_per_s if priced else None, rated_w=totals.power_w,
        mean_w=judgement.power.mean_w if judgement.power else None, expected_w=totals.expected_power_w or None,
        p99_w=judgement.power.p99_w if judgement.power else None,
        concurrency=priced.concurrency if priced else None, late=judgement.missed,
    )  # fmt: skip


def together(every: Sequence[Figures]) -> Figures:
    """Several models on one fleet: sums. Tokens a user, and money of prompts and outputs, are those of each model."""
    means, expected, peaks = ([getattr(each, key) for each in every] for key in ("mean_w", "expected_w", "p99_w"))
    return Figures(
        machines=sum(each.machines for each in every), spares=sum(each.spares for each in every),
        gpus=sum(each.gpus for each in every), usd_per_h=sum(each.usd_per_h for each in every), prompt_usd=None,
        output_usd=None, output_tokens_per_s=sum(each.output_tokens_per_s for each in every), user_tokens_per_s=None,
        rated_w=sum(each.rated_w for each in every), mean_w=_sum(means), expected_w=_sum(expected), p99_w=_sum(peaks),
        summed=len(every) > 1,
    )  # fmt: skip


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def figure_lines(found: Figures) -> Iterator[tuple[str, str]]:
    """The figures as facts of a first screen: names and words."""
    money = f"${found.usd_per_month:,.0f}/month"
    none = found.output_usd is None  # no request met every objective
    yield "Cost", money if found.summed or none else f"{money}; {per_token(found)}"
    mega = found.megawatt_tokens_per_s
    per_mw = "" if mega is None else f", {number(round(mega, -3))} per MW"
    yield "Output", f"{speeds(found)}; {number(round(found.output_tokens_per_s))} tokens/s{per_mw}"
    yield "Power", f"{watts(found.rated_w)} rated, {drawn(found)}"


def per_token(found: Figures) -> str:
    """Money of a million tokens: ``$0.25/M tokens in, $0.71 out``."""
    of = ", of requests that met every objective" if found.late else ""
    if not found.divided:
        return f"{_usd(found.output_usd)}/M output tokens{of}"
    return f"{_usd(found.prompt_usd)}/M tokens in, {_usd(found.output_usd)} out{of}"


def _usd(value: float | None) -> str:
    return NONE if value is None else f"${value:,.2f}"


def speeds(found: Figures) -> str:
    """Output tokens per second of a GPU and of a user, and with how many users this is."""
    user = "" if found.user_tokens_per_s is None else f", {number(found.user_tokens_per_s, 3)} tokens/s/user"
    return f"{number(found.gpu_tokens_per_s, 3)} tokens/s/GPU{user}{_at_once(found)}"


def _at_once(found: Figures) -> str:
    """How many requests decode at once on a machine; nothing where that is not known."""
    return "" if found.concurrency is None else f" at concurrency {number(found.concurrency, 3)}"


def drawn(found: Figures) -> str:
    """Watts at the wall, beside the rating: ``20.8 kW mean, 23.5 kW P99``, as simulated; else what the plan expects."""
    most = "at most " if found.summed else ""
    ways = (("", *found.average), (most, found.p99_w, "P99"))
    words = [f"{before}{watts(value, 3)} {name}" for before, value, name in ways if value is not None]
    return ", ".join(words) or "expected and P99 not known"


def figure_tiles(found: Figures, margin: Margin | None = None) -> Iterator[Tile]:
    """The same figures as tiles of a web page."""
    spare = f", {found.spares} of them spare" if found.spares else ""
    yield Tile(label="Machines", value=number(found.machines), note=f"{plural(found.gpus, 'GPU')}{spare}")
    yield Tile(label="Cost", value=dollars(found.usd_per_h),
               note=f"${found.usd_per_month:,.0f} a month of 730 h, machines alone")  # fmt: skip
    if not found.summed:
        note = (
            "no request met every objective"
            if found.output_usd is None
            else "of requests that met every objective"
            if found.late
            else "in and out together are the cost"
            if found.divided
            else "of all tokens generated"
        )
        both = f"{_usd(found.prompt_usd)} in, {_usd(found.output_usd)} out"
        label = "Per million tokens" if found.divided else "Per million output tokens"
        value = both if found.divided else _usd(found.output_usd)
        yield Tile(label=label, value=NONE if found.output_usd is None else value, note=note)
    yield Tile(label="Output tokens per GPU", value=f"{number(found.gpu_tokens_per_s, 3)}/s",
               note=f"{number(round(found.output_tokens_per_s))}/s in all" + _each(found))  # fmt: skip
    if (mega := found.megawatt_tokens_per_s) is not None:
        yield Tile(label="Output tokens per MW", value=f"{number(round(mega, -3))}/s",
                   note=f"over {watts(found.average[0] or 0, 3)} {found.average[1]} at the wall")  # fmt: skip
    yield Tile(label="Rated power", value=watts(found.rated_w), note=drawn(found))
    if margin:
        yield Tile(
            label="Load margin",
            value="none" if margin.holds_ratio <= 1 else f"{margin.holds_ratio:g} times",
            note=_beyond(margin, spares_down(found.spares)),
        )


def _each(found: Figures) -> str:
    return (
        "" if found.user_tokens_per_s is None else f"; {number(found.user_tokens_per_s, 3)}/s a user{_at_once(found)}"
    )


def _beyond(margin: Margin, without: str) -> str:
    """Where it ends, and without which machines."""
    if margin.misses_ratio is None:
        return f"{without}the load holds; more was not tried"
    return f"{without}the load holds; {margin.misses_ratio:g} times is not confirmed"


def tiles(
    found: Figures, candidate: CandidatePlan, judgement: Judgement, margin: Margin | None = None
) -> Iterator[Tile]:
    """The figures that matter most of a plan or of a simulation."""
    yield from figure_tiles(found, margin)
    yield from energy_tile(judgement, candidate.totals)
    yield Tile(label="Goodput", value=rate(judgement.goodput_req_per_s),
               note=f"{percent(judgement.attainment_frac)} each met all{longest_gap(judgement)}")  # fmt: skip
    if judgement.evidence:
        tightest = max(judgement.evidence, key=lambda e: e.used_ratio)
        used = "out of bounds" if isinf(tightest.high) else f"{percent(tightest.used_ratio)} of its limit"
        yield Tile(label="Tightest objective", value=objective_words(tightest.key), note=used)
