"""What in the figures of a simulation cannot have been seen together, in a file that anything may have written."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from planner.results.evidence import Evidence, Judgement
from planner.results.use import PowerUse
from workloads.counts import plural
from workloads.slo import Metric, Slo, Unit

CLOSE_FRAC = 1e-6
"""Within which figures that follow from each other agree: files keep nine digits."""

_BY_TOKEN = (Metric.TBT, Metric.STALL)
"""Metrics with more observations than requests, or others."""


def judgement_faults(judgement: Judgement, pools: Iterable[str], where: str) -> Iterator[str]:
    """Counts, percentiles, rates and watts of a judgement that contradict each other, a sentence each.

    Args:
        judgement: of a plan.
        pools: names of the pools that it is of.
        where: it is in the file.
    """
    yield from _counts(judgement, where)
    yield from seen_faults(judgement.evidence, judgement.arrived, f"{where}.evidence")
    yield from _described(judgement, f"{where}.latency_s")
    yield from _rates(judgement, where)
    yield from _uses(judgement, sorted(pools), where)


def seen_faults(evidence: Sequence[Evidence], arrived: int, where: str) -> Iterator[str]:
    """Intervals that do not hold what was measured, percentiles that fall, and more observations than requests.

    Args:
        evidence: of one run.
        arrived: requests of it.
        where: it is in the file.
    """
    for each in evidence:
        if not each.low * (1 - CLOSE_FRAC) <= each.measured <= each.high * (1 + CLOSE_FRAC):
            words = f"{each.measured:g} measured, {each.low:g} to {each.high:g} its interval"
            yield f"{where}: {each.key}: found {words}; expected one that holds it"
        if each.n < 1 or (each.slo.metric not in _BY_TOKEN and each.n > arrived):
            yield f"{where}: {each.key}: found n {each.n}; expected 1 to {arrived}, the requests that arrived"
    kinds: dict[tuple[str, str, str], dict[float, float]] = {}
    for each in evidence:
        kind = (str(each.slo.metric), str(each.slo.unit), each.slo.request_class or "")
        kinds.setdefault(kind, {})[each.slo.percentile] = each.measured
    for (metric, _, _), measured in kinds.items():
        yield from _falling(measured, f"{where}: {metric}")


def _counts(judgement: Judgement, where: str) -> Iterator[str]:
    """Requests that ended and were not asked, and a window of which nothing is left."""
    ended = judgement.finished + judgement.refused + judgement.unfinished
    if ended != judgement.arrived:
        words = f"found {judgement.finished:,} finished, {judgement.refused} refused, {judgement.unfinished} unfinished"
        yield f"{where}: {words}; expected {judgement.arrived:,} in all, as arrived"
    if judgement.warmup_s + judgement.cooldown_s >= judgement.horizon_s:
        yield f"{where}.horizon_s: found {judgement.horizon_s:g}; expected more than warm-up and cool-down"
    if len(set(judgement.seeds)) < len(judgement.seeds) or not judgement.seeds:
        yield f"{where}.seeds: found {list(judgement.seeds)}; expected at least one, each once"
    if judgement.steady and judgement.longer_missed:
        yield f"{where}.steady: found true beside longer_missed {', '.join(judgement.longer_missed)}"


def _described(judgement: Judgement, where: str) -> Iterator[str]:
    """Percentiles that fall, a first token after the last one, and objectives that were measured otherwise."""
    slos = {name: slo for name in judgement.latency_s if (slo := _named(name))}
    for metric in Metric:
        mine = {slo.percentile: judgement.latency_s[name] for name, slo in slos.items() if slo.metric is metric}
        yield from _falling(mine, f"{where}: {metric}")
    first, last = (
        {slo.percentile: judgement.latency_s[name] for name, slo in slos.items() if slo.metric is metric}
        for metric in (Metric.TTFT, Metric.E2E)
    )
    for percentile in first.keys() & last.keys():
        if first[percentile] > last[percentile] * (1 + CLOSE_FRAC):
            words = f"found {first[percentile]:g} s to the first and {last[percentile]:g} s to the last token"
            yield f"{where}: p{percentile:g}: {words}; expected the first no later"
    for each in judgement.evidence if judgement.pooled is None else ():
        told = judgement.latency_s.get(each.key)
        same = told is None or each.measured == told or math.isclose(each.measured, told, rel_tol=CLOSE_FRAC)
        if each.unit is Unit.SECONDS and each.slo.request_class is None and not same:
            yield f"{where}.{each.key}: found {told:g}; expected {each.measured:g}, as in the evidence"


def _rates(judgement: Judgement, where: str) -> Iterator[str]:
    """More requests and tokens within the objectives than there were."""
    left_s = (judgement.horizon_s - judgement.warmup_s - judgement.cooldown_s) * len(judgement.seeds)
    if judgement.attainment_frac > 1:
        yield f"{where}.attainment_frac: found {judgement.attainment_frac:g}; expected a share"
    if left_s > 0 and judgement.goodput_req_per_s * left_s > judgement.arrived * (1 + CLOSE_FRAC):
        most = judgement.arrived / left_s
        yield f"{where}.goodput_req_per_s: found {judgement.goodput_req_per_s:g}; expected at most {most:g}, as arrived"
    good, every = judgement.good_output_tokens_per_s, judgement.output_tokens_per_s
    if good is not None and good > every * (1 + CLOSE_FRAC):
        yield f"{where}.good_output_tokens_per_s: found {good:g}; expected at most {every:g}, the tokens of all"


def _uses(judgement: Judgement, pools: Sequence[str], where: str) -> Iterator[str]:
    """Pools that are not those of the plan, busy for more than the time, and watts that do not add up."""
    named = sorted(use.pool for use in judgement.pools)
    if named != pools:
        yield f"{where}.pools: found {', '.join(named) or 'none'}; expected {', '.join(pools)}, the pools of the plan"
    for use in judgement.pools:
        shares = {"busy_frac": use.busy_frac, "kv_mean_frac": use.kv_mean_frac, "kv_peak_frac": use.kv_peak_frac}
        for key, share in shares.items():
            if share > 1 + CLOSE_FRAC:
                yield f"{where}.pools: {use.pool}: {key}: found {share:g}; expected a share of at most 1"
        if use.kv_mean_frac > use.kv_peak_frac * (1 + CLOSE_FRAC):
            words = f"found a mean of {use.kv_mean_frac:g} above the peak of {use.kv_peak_frac:g}"
            yield f"{where}.pools: {use.pool}: kv_mean_frac: {words}"
        yield from _watts(use.power, f"{where}.pools: {use.pool}: power") if use.power else ()
    parts = [use.power.mean_w for use in judgement.pools if use.power]
    if judgement.power is None:
        return
    yield from _watts(judgement.power, f"{where}.power")
    whole = judgement.power.mean_w
    if len(parts) == len(judgement.pools) and not math.isclose(whole, sum(parts), rel_tol=1e-4):
        words = f"the sum of {plural(len(parts), 'pool')}"
        yield f"{where}.power.mean_w: found {whole:g}; expected {sum(parts):g}, {words}"


def _watts(use: PowerUse, where: str) -> Iterator[str]:
    """Parts of a mean that are not the mean, and readings that fall."""
    parts = use.standby_w + use.prefill_w + use.decode_w
    if not math.isclose(use.mean_w, parts, rel_tol=1e-4, abs_tol=1e-3):
        yield f"{where}: found {use.mean_w:g} W; expected {parts:g}, its parts together"
    yield from _falling({50: use.p50_w, 95: use.p95_w, 99: use.p99_w, 100: use.peak_w}, f"{where}: watts")
    if use.mean_w > use.peak_w * (1 + 1e-4):
        yield f"{where}: found a mean of {use.mean_w:g} W above the peak of {use.peak_w:g}"


def _falling(by_percentile: Mapping[float, float], where: str) -> Iterator[str]:
    """A percentile below a lower one."""
    for (low, small), (high, large) in pairwise(sorted(by_percentile.items())):
        if small > large * (1 + CLOSE_FRAC):
            yield f"{where}: found p{low:g} {small:g} above p{high:g} {large:g}"


def _named(name: str) -> Slo | None:
    """The objective of a name; None where it is none."""
    try:
        return Slo.named(name, 1.0)
    except ValueError:
        return None
