"""What is wrong with a judgement, in words, and whether more machines may mend it."""

from math import isfinite

from planner.results.evidence import Evidence, Judgement, Verdict
from workloads.counts import number, plural


def failures(judgement: Judgement) -> tuple[str, ...]:
    """Why a judgement is not valid; empty where it is."""
    lines = [_against(e) for e in judgement.evidence if e.verdict is not Verdict.MET]
    lines += [
        f"{e.n} observations are too few to bound {e.key}: raise workload.duration_s or validation.seeds, or replay a "
        "longer trace"
        for e in _few(judgement)
    ]
    if not judgement.steady:
        lines.append(f"the backlog grows: {judgement.growth}")
    if judgement.unfinished:
        lines.append(f"{plural(judgement.unfinished, 'request')} left unfinished")
    if judgement.refused:
        lines.append(f"{plural(judgement.refused, 'request')} too long for the KV memory")
    return tuple(lines)


def _against(found: Evidence) -> str:
    """What was measured of an objective, and its limit."""
    sign = found.unit.symbol
    end = f"to {number(found.high, 3)}" if isfinite(found.high) else "or more"  # a backlog has no upper end
    measured = f"{number(found.measured, 3)} {sign} (interval {number(found.low, 3)} {end})"
    return f"{found.key} {found.words}: {measured}, limit {found.limit:g} {sign}"


def _few(judgement: Judgement) -> list[Evidence]:
    """Objectives that no verdict can be given on for want of observations alone."""
    return [e for e in judgement.evidence if e.few]


def incurable(judgement: Judgement) -> tuple[str, ...]:
    """What is wrong with a judgement that no number of machines can mend; empty where some may."""
    if judgement.refused:
        return (f"{plural(judgement.refused, 'request')} longer than the KV memory of the instances they reached",)
    if not judgement.steady or any(e.verdict is not Verdict.MET and not e.few for e in judgement.evidence):
        return ()
    return failures(judgement)
