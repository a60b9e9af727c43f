"""What the simulator saw of a plan: objectives, latencies, pools."""

from collections.abc import Iterator, Sequence

from planner.report.html.charts import latencies, over_time
from planner.report.html.drawings import margin
from planner.report.money import longest_gap
from planner.report.page import Cell, Chip, Lines, Section, Table, Tone, columns, section
from planner.report.words import amount, rate, seconds, short_metric
from planner.results.cells import Pooled
from planner.results.evidence import Evidence, Judgement, Verdict
from planner.results.picture import Picture
from planner.results.plan import CandidatePlan
from workloads.counts import number, percent, plural
from workloads.slo import Metric, Unit

_TONES = {Verdict.MET: Tone.GOOD, Verdict.MISSED: Tone.BAD, Verdict.UNDECIDED: Tone.OPEN}


def failures(judgement: Judgement) -> tuple[str, ...]:
    """What keeps a judgement from being valid, objective by objective; empty where nothing does."""
    late = [f"{e.key} {e.words}" for e in judgement.evidence if e.verdict is not Verdict.MET]
    growing = [] if judgement.steady else [judgement.growth if judgement.longer_s else "the backlog grows"]
    refused = [f"{plural(judgement.refused, 'request')} refused"] if judgement.refused else []
    behind = [f"{plural(judgement.unfinished, 'request')} unfinished"] if judgement.unfinished else []
    return (*late, *growing, *refused, *behind, *judgement.over)


def _objective_row(e: Evidence) -> tuple[Cell, ...]:
    """An objective with its interval beside its limit."""
    limit, measured, low, high = (amount(value, e.unit) for value in (e.limit, e.measured, e.low, e.high))
    said = Chip(words=e.words, tone=_TONES[e.verdict])
    between = "exact" if e.low == e.high else f"{low} to {high}"  # every request of a log is seen: nothing is estimated
    words = f"{e.key}: {measured}, interval {between}, limit {limit}, {said.words}"
    picture = margin(e.low / e.limit, e.measured / e.limit, e.used_ratio, words, tone=said.tone)
    return e.key, picture, limit, measured, between, said, number(e.n)


def objectives(evidence: Sequence[Evidence]) -> Table:
    """Every objective with its limit, what was measured and how surely."""
    caption = "objectives: dot measured, band interval, line limit"
    headings = columns("objective", "!margin", "#limit", "#measured", "?#interval", "verdict", "?#n")
    return Table(columns=headings, rows=[_objective_row(e) for e in evidence], caption=caption)


def served(candidate: CandidatePlan, judgement: Judgement, picture: Picture | None) -> Iterator[Section]:
    """What the simulator saw: objectives, latencies, and the pools, over time where there is a picture of it."""
    spread = []
    for metric in Metric:
        values = [judgement.latency_s.get(f"{metric}_p{percentile}_s") for percentile in (50, 90, 99)]
        spread.append((short_metric(metric), *("" if v is None else seconds(v) for v in values)))
    use = [
        (p.pool, percent(p.busy_frac), percent(p.kv_mean_frac), percent(p.kv_peak_frac), f"{p.batch_mean:.1f}",
         f"{number(round(p.queue_mean_tokens))}", number(p.preemptions))
        for p in judgement.pools
    ]  # fmt: skip
    pools = Table(
        columns=columns("pool", "#busy", "#KV mean", "#KV peak", "#batch", "#queue, tokens", "#preempted"), rows=use,
        caption="use of the pools, all seeds",
    )  # fmt: skip
    yield from section(
        "evidence", "Evidence", objectives(judgement.evidence), Lines(lines=tuple(served_how(judgement)))
    )
    yield from section(
        "latency", "Latency", latencies(picture.curves, judgement.evidence) if picture else None,
        Table(columns=columns("latency", "#p50", "#p90", "#p99"), rows=spread, caption="percentiles, all seeds"),
        lead=f"The curves are of one run: {picture.words}." if picture else "",
    )  # fmt: skip
    charts = over_time(picture, candidate) if picture else ()
    shaded = "What was not measured is shaded. Drag to zoom, all charts together."
    lead = f"One run: {picture.words}. {shaded}" if picture else ""
    yield from section("pools", "Use of the pools", *charts, pools if use else None, lead=lead)


def _steady(judgement: Judgement) -> str:
    """Whether a backlog grows, and how long was looked."""
    if not judgement.steady:
        return judgement.growth if judgement.longer_s else "the backlog grows"
    return f"steady, over {number(judgement.longer_s)} s too" if judgement.longer_s else "steady"


def served_how(judgement: Judgement) -> Iterator[str]:
    """What was served and how it went, in sentences."""
    yield (
        f"Served: {judgement.workload}; {plural(len(judgement.seeds), 'seed')} of {number(judgement.horizon_s)} s, "
        f"measured from {number(judgement.warmup_s)} s to {number(judgement.horizon_s - judgement.cooldown_s)} s."
    )
    yield (
        f"Requests: {judgement.arrived:,} arrived, {judgement.finished:,} finished, {judgement.refused:,} refused, "
        f"{judgement.unfinished:,} unfinished; {_steady(judgement)}."
    )
    if judgement.pooled:
        yield _pooled(judgement.pooled)
    if judgement.restarted:
        yield f"Failures: requests were lost with a machine and served again {judgement.restarted:,} times."
    yield (
        f"Goodput: {rate(judgement.goodput_req_per_s)} met every objective jointly "
        f"({percent(judgement.attainment_frac)}{longest_gap(judgement)}); "
        f"{number(round(judgement.output_tokens_per_s))} output tokens/s."
    )
    yield from _stalls(judgement)
    yield from _bubbles(judgement)
    if judgement.transfer_mean_s:
        yield (
            f"KV transfers: landed {seconds(judgement.transfer_mean_s)} after the prefill on average, having waited "
            f"{seconds(judgement.link_wait_mean_s)} for the link."
        )


def _pooled(found: Pooled) -> str:
    """What dividing a fleet into cells costs, in a sentence."""
    shown = "; ".join(
        f"{key} {number(value)} against {number(found.together[key])}" for key, value in found.apart.items()
    )
    return (
        f"Cells: each request was sent to one of {found.fleet_cells} cells by chance, and all of them were simulated; "
        f"{found.cells} cells against their machines as one pool: {shown}."
    )


def _bubbles(judgement: Judgement) -> Iterator[str]:
    """What the stages of pipelines idled between batches, and why."""
    for use in judgement.pools:
        found = use.bubbles
        if found:
            kinds = (found.prompts_frac, found.phases_frac, found.contexts_frac)
            prompts, phases, contexts = (percent(share) for share in kinds)
            yield (
                f"Bubbles: the stages of {use.pool} were idle {percent(sum(kinds))} of the time between batches: "
                f"{prompts} between prompts of different length (PB1), {phases} between prompts and decodes (PB2), "
                f"{contexts} between decodes of different context (PB3); another {percent(found.unfilled_frac)} for "
                "want of a batch."
            )


def _stalls(judgement: Judgement) -> Iterator[str]:
    """That many requests have one long gap, where the percentile of all gaps hides it."""
    limits_s = [e.limit for e in judgement.evidence if e.slo.metric is Metric.TBT and e.unit is Unit.SECONDS]
    stalled_s = judgement.latency_s.get("stall_p50_s", 0.0), judgement.latency_s.get("stall_p90_s", 0.0)
    if limits_s and stalled_s[1] > min(limits_s):
        share = "half" if stalled_s[0] > min(limits_s) else "a tenth"
        usual = stalled_s[0] if stalled_s[0] > min(limits_s) else stalled_s[1]
        yield (
            f"Note: {share} of the requests pause for {seconds(usual)} or more once, mostly before their second token; "
            "among all gaps that is too rare to count. slo.stall_p90_s bounds it."
        )
