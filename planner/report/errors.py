"""Errors of predictions against measured runs."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from planner.accuracy.calibrate import Calibration, Factor
from planner.accuracy.table import Accuracy, ErrorGroup, ErrorTotal, PublishedError
from planner.report.rich import bullets, listed
from planner.report.scatters import ALL, answer
from planner.report.words import bias
from workloads.counts import percent, plural

_SHOWN = 12
"""Reasons for exclusion that are spelled out; ``--json`` has every row."""


def accuracy_view(found: Accuracy) -> RenderableType:
    """Errors over everything, then by model and GPU, what is left out, and what others published.

    Where nothing could be compared, why.
    """
    if not found.totals:
        title = f"nothing compared: {plural(len(found.excluded), 'row')} left out"
        return Group(Text(title, style="bold"), bullets(_reasons(found)))
    title = f"{answer(found)}; {plural(len(found.excluded), 'row')} left out"
    return Group(
        Text(title, style="bold"),
        *_part("over all rows, and by what they have in common", _totals(told_apart(found.totals))),
        *_part("by GPU and model, median errors", _groups(found.groups)),
        *_part(f"left out: {plural(len(found.excluded), 'row')}", bullets(_reasons(found))),
        *_part("published medians of other simulators, on runs like sim2real", _others(found.published)),
    )


def _part(heading: str, body: RenderableType) -> tuple[RenderableType, ...]:
    return Text(), Text(heading, style="bold"), body


def _totals(totals: Sequence[ErrorTotal]) -> RenderableType:
    rows = [
        (t.dataset, t.of, _short(t.metric), str(t.n), percent(t.median_ape), percent(t.p90_ape), *_trust(t))
        for t in totals
    ]
    return listed(("data", "~rows", "metric", "#n", "#median", "#p90", "?#bias", "?#in band"), rows)


def _groups(groups: Sequence[ErrorGroup]) -> RenderableType:
    """A row for each GPU and model, its metrics side by side: ``--json`` has the rest."""
    metrics = tuple(dict.fromkeys(g.metric for g in groups))
    by: dict[tuple[str, str, str], dict[str, ErrorGroup]] = {}
    for g in groups:
        by.setdefault((g.dataset, g.gpu, g.model), {})[g.metric] = g
    rows = [
        (*key, str(max(g.n for g in of.values())), *(percent(of[m].median_ape) if m in of else "" for m in metrics))
        for key, of in by.items()
    ]
    return listed(("data", "GPU", "model", "#n", *(f"#{_short(metric)}" for metric in metrics)), rows)


def told_apart(totals: Sequence[ErrorTotal]) -> list[ErrorTotal]:
    """Totals without those of a part that holds all rows of its data set: the same figures under another name."""
    whole = {(t.dataset, t.metric): t.n for t in totals if t.of == ALL}
    same = {
        key
        for key in {(t.dataset, t.of) for t in totals if t.of != ALL}
        if all(whole.get((t.dataset, t.metric)) == t.n for t in totals if (t.dataset, t.of) == key)
    }
    return [t for t in totals if (t.dataset, t.of) not in same]


def _trust(found: ErrorTotal) -> tuple[str, str]:
    """On which side ours lies of theirs in the median, and how often theirs is in the band of ours."""
    inside = found.within_band_frac
    return bias(found.median_ratio), "" if inside is None else percent(inside)


def _reasons(found: Accuracy) -> list[str]:
    """How many rows are left out for which reason, the most frequent first."""
    counts = Counter((e.row.partition(":")[0], e.reason) for e in found.excluded).most_common()
    lines = [f"{file}: {plural(n, 'row')}: {reason}" for (file, reason), n in counts[:_SHOWN]]
    rest = sum(n for _, n in counts[_SHOWN:])
    return [*lines, f"{plural(rest, 'row')} for other reasons: --json lists every one"] if rest else lines


def _others(published: Sequence[PublishedError]) -> RenderableType:
    rows = [(p.simulator, _short(p.metric), str(p.n), percent(p.median_ape)) for p in published]
    return listed(("~simulator", "metric", "#n", "#median"), rows)


def _short(metric: str) -> str:
    """A metric without its unit, which errors do not have."""
    return metric.removesuffix("_s").removesuffix("_mean").replace("output_tokens_per_s_per_gpu", "tokens/s/GPU")


def calibration_view(found: Sequence[Calibration]) -> RenderableType:
    """What changed, how sure it is, and what the errors did."""
    parts: list[RenderableType] = []
    for c in found:
        rows = []
        for f in c.factors:
            told = "" if f.sd < 0.8 * f.prior_sd else "the runs say little of it"
            rows.append((f.name, _value(f, f.built_in), _value(f, f.calibrated), _value(f, f.sd), told))
        made = listed(("factor", "#built in", "#calibrated", "#sd", "~"), rows)
        left = "" if c.left_out_ape is None else f", {percent(c.left_out_ape)} on each run with the others fitted"
        errors = f"median error {percent(c.before_ape)} before, {percent(c.after_ape)} after{left}"
        parts += [Text(f"{c.key}: {plural(len(c.rows), 'run')}", style="bold"), made, Text(errors), Text()]
    return Group(*parts)


def _value(factor: Factor, value: float) -> str:
    """A ratio, or a time in milliseconds."""
    return f"{value:.3f}" if factor.name.endswith("_ratio") else f"{value * 1e3:.2f} ms"
